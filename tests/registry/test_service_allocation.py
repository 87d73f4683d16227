"""Allocation: drafted from frozen inputs, read, executed by approval, and worked out again by anybody."""

import dataclasses
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import ProgrammingError, connection, transaction

from accounts.models import Approval, AuditEvent
from accounts.services import approvals
from common.errors import Forbidden, Refused, SeveralRefusals
from registry import selectors
from registry.engine import allocation as engine
from registry.engine.allocation import AllocationInputs, SetAsideNeed
from registry.ledger.models import Balance, Journal
from registry.models import AllocationRun, Period
from registry.services import allocation
from tests import cast
from tests.cast import Party, Regulator

Draft = Callable[..., AllocationRun]


@pytest.fixture
def inputs(acme: Party, borealis: Party, capped_period: Period) -> AllocationInputs:
    """Acme claims 4,000 permits and Borealis 2,000; Borealis has proved a need for 300 more, from a pool of 500."""
    assert acme.operator is not None
    assert borealis.operator is not None
    plain = cast.allocation_inputs(capped_period, {acme.operator: 4_000, borealis.operator: 2_000})
    return dataclasses.replace(
        plain, set_aside_pool=500, set_aside_needs=(SetAsideNeed(borealis.account.number, "academic", 300),)
    )


@pytest.fixture
def draft(regulator: Regulator, capped_period: Period, inputs: AllocationInputs) -> Draft:
    """Let the desk draft a run, with changes to the inputs."""

    def draft(**changes: object) -> AllocationRun:
        return allocation.draft_run(
            actor=regulator.desk,
            period=capped_period,
            inputs=dataclasses.replace(inputs, **changes),  # type: ignore[arg-type]
            now=cast.OPENING,
        )

    return draft


@pytest.fixture
def propose(regulator: Regulator) -> Callable[[AllocationRun], Approval]:
    """Let the desk propose a run."""
    return lambda run: allocation.propose_run(actor=regulator.desk, run=run, now=cast.OPENING)


def held_by(party: Party) -> int:
    """Return the permits in a party's account."""
    return sum(Balance.objects.filter(account=party.account, asset__kind="permit").values_list("balance", flat=True))


class TestDraft:
    """A draft moves nothing and shows everything."""

    def test_the_lines_say_what_each_gets_and_from_what(self, draft: Draft, acme: Party, borealis: Party) -> None:
        run = draft()

        assert (run.status, run.cap, run.free, run.set_aside, run.auction) == ("draft", 10_000, 6_000, 300, 3_700)
        lines = selectors.allocation_lines(run).values_list("operator", "method", "claim", "quantity")
        assert list(lines) == [
            (acme.operator.pk, "GRANDFATHERING", 4_000, 4_000),  # type: ignore[union-attr]
            (borealis.operator.pk, "GRANDFATHERING", 2_000, 2_000),  # type: ignore[union-attr]
            (borealis.operator.pk, "SET_ASIDE", 300, 300),  # type: ignore[union-attr]
        ]
        assert run.lines.first().figures["claims"][0]["steps"][0]["name"] == f"use {cast.YEAR - 1}"  # type: ignore[union-attr]
        assert not Journal.objects.filter(kind="allocation").exists()

    def test_the_inputs_are_kept_with_their_hash(self, draft: Draft, inputs: AllocationInputs) -> None:
        run = draft()
        run.refresh_from_db()

        assert engine.inputs_from_document(run.inputs) == engine.inputs_from_document(engine.inputs_document(inputs))
        assert run.inputs_sha256 == engine.inputs_hash(inputs)

    def test_an_oversubscribed_pool_is_shared_to_the_last_permit(self, draft: Draft) -> None:
        run = draft(free_pool=1_000)

        assert sum(run.lines.exclude(method="SET_ASIDE").values_list("quantity", flat=True)) == 1_000 == run.free

    def test_several_methods_of_one_operator_are_one_line(self, draft: Draft, inputs: AllocationInputs) -> None:
        claim = inputs.claims[0]
        bench = engine.ProductBenchmarkClaim(
            claim.operator, "tokens", output=Decimal(10), benchmark=Decimal(10**18), factor=Decimal(1)
        )

        run = draft(claims=(*inputs.claims, bench), free_pool=6_010)

        (line,) = run.lines.filter(operator__account__number=claim.operator)
        assert (line.method, line.quantity, len(line.figures["claims"])) == ("COMBINED", 4_010, 2)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"cap": 9_999}, "cap_differs"),
            ({"scheme": "other"}, "inputs_of_another_period"),
            ({"period": "ai-flop-2031"}, "inputs_of_another_period"),
            ({"metric": engine.Metric.CO2E}, "inputs_of_another_period"),
            ({"permit_size": 10**15}, "permit_size_differs"),
            ({"free_pool": 10_001}, "pools_exceed_cap"),
            ({"set_aside_needs": (SetAsideNeed("HR-100-0000000-00", "academic", 1),)}, "operator_unknown"),
        ],
    )
    def test_inputs_of_something_else_are_refused(self, draft: Draft, change: dict[str, object], code: str) -> None:
        with pytest.raises(SeveralRefusals) as refused:
            draft(**change)

        assert code in {refusal.code for refusal in refused.value.refusals}
        assert not AllocationRun.objects.exists()

    def test_claims_are_for_operators_of_the_scheme(self, draft: Draft, inputs: AllocationInputs) -> None:
        stranger = dataclasses.replace(inputs.claims[0], operator="HR-100-9999999-00")

        with pytest.raises(SeveralRefusals) as refused:
            draft(claims=(stranger,))

        assert [refusal.code for refusal in refused.value.refusals] == ["operator_unknown"]

    def test_the_set_aside_is_for_its_cohort(self, draft: Draft, acme: Party) -> None:
        with pytest.raises(SeveralRefusals) as refused:
            draft(set_aside_needs=(SetAsideNeed(acme.account.number, "academic", 10),))

        assert [refusal.code for refusal in refused.value.refusals] == ["cohort_differs"]

    def test_a_period_without_a_cap_has_nothing_to_allocate(
        self, regulator: Regulator, capped_period: Period, inputs: AllocationInputs
    ) -> None:
        draft_period = cast.period_of(regulator, capped_period.scheme, cast.YEAR + 1)

        with pytest.raises(SeveralRefusals) as refused:
            allocation.draft_run(actor=regulator.desk, period=draft_period, inputs=inputs, now=cast.OPENING)

        assert "period_not_open" in {refusal.code for refusal in refused.value.refusals}

    def test_only_the_desk_drafts(self, acme: Party, capped_period: Period, inputs: AllocationInputs) -> None:
        with pytest.raises(Forbidden):
            allocation.draft_run(actor=acme.approver, period=capped_period, inputs=inputs, now=cast.OPENING)

    def test_a_discarded_draft_cannot_be_proposed(
        self, draft: Draft, propose: Callable[[AllocationRun], Approval], regulator: Regulator
    ) -> None:
        run = allocation.discard_run(actor=regulator.desk, run=draft(), now=cast.OPENING)

        with pytest.raises(Refused) as refused:
            propose(run)

        assert refused.value.code == "allocation_run_not_discarded_to_executed"
        assert AuditEvent.objects.filter(action="registry.allocation.discarded").count() == 1


class TestExecution:
    """One journal moves the whole cap out of the total-quantity account."""

    def test_every_permit_goes_where_the_run_says(
        self,
        draft: Draft,
        propose: Callable[[AllocationRun], Approval],
        regulator: Regulator,
        acme: Party,
        borealis: Party,
        capped_period: Period,
    ) -> None:
        run = draft()

        regulator.approve(propose(run))

        run.refresh_from_db()
        assert (run.status, run.executed_at) == ("executed", cast.OPENING)
        assert (held_by(acme), held_by(borealis)) == (4_000, 2_300)
        where = selectors.where_every_permit_is(capped_period)
        assert (where.quantity("auction"), where.quantity("set_aside"), where.quantity("reserve")) == (3_700, 0, 0)
        assert where.adds_up
        assert Journal.objects.get(kind="allocation") == run.journal

    def test_the_set_asides_use_can_be_seen(
        self, draft: Draft, propose: Callable[[AllocationRun], Approval], regulator: Regulator
    ) -> None:
        regulator.approve(propose(draft()))

        moves = Journal.objects.get(kind="allocation").transfers.order_by("id")
        assert [(t.debit.account.kind, t.credit.account.kind, t.amount) for t in moves] == [
            ("reserve", "set_aside", 500),
            ("reserve", "holding", 4_000),
            ("reserve", "holding", 2_000),
            ("set_aside", "holding", 300),
            ("set_aside", "auction", 200),
            ("reserve", "auction", 3_500),
        ]

    def test_executing_leaves_one_event(
        self, draft: Draft, propose: Callable[[AllocationRun], Approval], regulator: Regulator
    ) -> None:
        run = draft()

        regulator.approve(propose(run))

        event = AuditEvent.objects.get(action="registry.allocation.executed")
        assert (event.subject_id, event.details["inputs_sha256"]) == (str(run.pk), run.inputs_sha256)

    def test_a_period_is_allocated_once(
        self, draft: Draft, propose: Callable[[AllocationRun], Approval], regulator: Regulator
    ) -> None:
        first, second = propose(draft()), propose(draft(free_pool=1_000))
        regulator.approve(first)

        with pytest.raises(Refused) as refused:
            approvals.approve(actor=regulator.senior, approval_id=second.pk, now=cast.OPENING)

        assert refused.value.code == "allocated_already"

    @pytest.mark.parametrize(
        ("sabotage", "code"),
        [
            ("UPDATE registry_allocationline SET quantity = quantity + 1", "allocation_lines_differ"),
            (
                """UPDATE registry_allocationrun SET inputs = jsonb_set(inputs, '{free_pool}', '"6001"')""",
                "allocation_inputs_differ",
            ),
        ],
    )
    def test_what_was_altered_behind_the_draft_is_not_executed(
        self,
        draft: Draft,
        propose: Callable[[AllocationRun], Approval],
        regulator: Regulator,
        sabotage: str,
        code: str,
    ) -> None:
        proposal = propose(draft())
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(sabotage)
            cursor.execute("SET LOCAL session_replication_role = origin")

        with pytest.raises(Refused) as refused:
            approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=cast.OPENING)

        assert refused.value.code == code
        assert not Journal.objects.filter(kind="allocation").exists()

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE registry_allocationrun SET free = free + 1, auction = auction - 1",
            "UPDATE registry_allocationrun SET inputs = '{}'",
            "DELETE FROM registry_allocationrun",
            "UPDATE registry_allocationline SET quantity = 1",
            "DELETE FROM registry_allocationline",
        ],
    )
    def test_runs_and_lines_are_frozen(self, draft: Draft, change: str) -> None:
        draft()

        with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


def test_a_permit_of_a_carbon_scheme_is_a_part_of_a_tonne(regulator: Regulator) -> None:
    scheme = cast.co2e_scheme(regulator)

    assert allocation.permit_size(scheme) * 1_000_000 == Decimal("0.001")
