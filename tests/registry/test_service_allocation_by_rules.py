"""Allocation by the rules: from uploaded figures and verified reports to permits in accounts, to the last permit."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction

from accounts.models import Task
from common.errors import Forbidden, Refused, SeveralRefusals
from registry.engine import allocation as engine
from registry.engine.allocation import Stage
from registry.invariants import INVARIANTS
from registry.ledger import services as ledger
from registry.ledger.models import Balance, LedgerAccount
from registry.models import (
    AllocationRun,
    AllocationTable,
    CohortCheck,
    DebtEntry,
    DueWork,
    Period,
    PublishedRun,
    Scheme,
    Transaction,
)
from registry.services import allocation, allocation_data, central, due, rules, runs, transactions
from registry.services.reports import RowsRefused
from tests import cast
from tests.cast import Party, Regulator

FLOP = cast.PERMIT_FLOP
METHOD = {"kind": "PRODUCT_BENCHMARK", "product": "tokens", "lag": 1, "base_years": [], "share": "1", "pre_share": "1"}
BENCHMARK = {
    "product": "tokens",
    "method": "FIXED",
    "value": str(FLOP),
    "pct": "0.1",
    "rate_lo": "0",
    "rate_hi": "0",
    "years": 0,
    "min_population": 1,
}
TIER = {
    "trigger": {"start_year": cast.YEAR, "start": "50", "real": "0", "index": {}},
    "quantity": "400",
    "share": None,
    "rolls_over": False,
}
RULES: dict[str, Any] = {
    "alloc.free_share": "0.6",
    "alloc.methods": [METHOD],
    "alloc.benchmarks": [BENCHMARK],
    "alloc.activity_threshold": "0",
    "alloc.set_asides": [{"cohort": "academic", "share": "0.05", "rule": "PRO_RATA", "leftover": "next_year"}],
    "alloc.new_entrants.share": "0.02",
    "alloc.new_entrants.leftover": "auction",
    "alloc.consign": ["large"],
    "supply.ccr": [TIER],
}
HEADER = "operator,year,product,output,proven_need,applied_at,applied_permits\n"


@pytest.fixture
def enact(regulator: Regulator, scheme: Scheme) -> Callable[..., None]:
    """Put rules in force from the beginning of the year of use."""

    def enact(values: dict[str, Any]) -> None:
        entries = [
            {"name": name, "value": value, "valid_from": f"{cast.YEAR}-01-01", "valid_to": None, "source": "Order 1"}
            for name, value in values.items()
        ]
        regulator.approve(
            rules.propose_change(
                actor=regulator.desk,
                scheme=scheme,
                title="First rules",
                entries=entries,
                reason_code="correction",
                now=cast.OPENING,
            )
        )

    return enact


@pytest.fixture
def upload(regulator: Regulator, scheme: Scheme) -> Callable[[str], AllocationTable]:
    """Let the desk upload a table."""
    return lambda text: allocation_data.upload_table(
        actor=regulator.desk, scheme=scheme, name="figures.csv", content=text.encode(), now=cast.OPENING
    )


def figures(acme: Party, borealis: Party, cobalt: Party) -> str:
    """Acme made 3,000 tokens, Borealis 1,000 with a need of 300 more, and Cobalt begins with a wish for 150."""
    last = cast.YEAR - 1
    return HEADER + "".join(
        f"{line}\n"
        for line in (
            f"{acme.account.number},{last},tokens,3000,,,",
            f"{borealis.account.number},{last},tokens,1000,,,",
            f"{borealis.account.number},{cast.YEAR},,,300,,",
            f"{cobalt.account.number},{cast.YEAR},,,,{cast.YEAR}-01-05T12:00:00+01:00,150",
        )
    )


def by_kind(period: Period) -> dict[str, int]:
    """Return the permits of a period by kind of account, without those kinds that have none."""
    found: dict[str, int] = {}
    for kind, quantity in Balance.objects.filter(asset=period.permit_id).values_list("account__kind", "balance"):
        found[kind] = found.get(kind, 0) + quantity
    return {kind: quantity for kind, quantity in found.items() if quantity}


def nothing_is_amiss() -> None:
    """Let every invariant of allocations look at the database."""
    found = {each.name: each.check(None) for each in INVARIANTS if "allocation" in each.name}
    assert len(found) == 3
    assert {name: offender for name, (_, offender) in found.items() if offender} == {}


def draft(regulator: Regulator, period: Period, stage: Stage = Stage.INITIAL) -> AllocationRun:
    return allocation.draft_by_rules(actor=regulator.desk, period=period, now=cast.OPENING, stage=stage)


def execute(regulator: Regulator, run: AllocationRun) -> None:
    regulator.approve(allocation.propose_run(actor=regulator.desk, run=run, now=cast.OPENING))
    run.refresh_from_db()


def check_cohort(regulator: Regulator, party: Party, holds: bool) -> None:
    """Write down what the yearly look at a cohort found."""
    assert party.operator is not None
    CohortCheck.objects.create(
        operator=party.operator,
        year=cast.YEAR,
        cohort=party.operator.cohort,
        holds=holds,
        reason="Its accounts of last year.",
        checked_by=regulator.desk,
        at=cast.OPENING,
    )


def test_rules_and_figures_become_permits_and_a_run_that_anybody_can_work_out(
    regulator: Regulator,
    capped_period: Period,
    acme: Party,
    borealis: Party,
    cobalt: Party,
    enact: Callable[..., None],
    upload: Callable[[str], AllocationTable],
    tmp_path: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    enact(RULES)
    upload(figures(acme, borealis, cobalt))
    with pytest.raises(SeveralRefusals, match="was not confirmed as academic"):
        draft(regulator, capped_period)
    check_cohort(regulator, borealis, holds=True)
    run = draft(regulator, capped_period)

    execute(regulator, run)

    # cap 10,000: free 3,000 + 1,000; set-aside 300 of 500, 200 for next year; entrants 150 of 200; tier 400; the rest
    assert (run.free, run.set_aside, run.kept, run.auction) == (4_000, 300, 800, 4_900)
    assert by_kind(capped_period) == {
        "issuance": -10_000,
        "consignment": 3_000,
        "holding": 1_000 + 300 + 150,
        "set_aside": 200,
        "new_entrants": 50,
        "containment": 400,
        "auction": 4_900,
    }
    nothing_is_amiss()
    consigned = LedgerAccount.objects.get(kind="consignment")
    assert consigned.owner == acme.organisation

    published = PublishedRun.objects.get(allocation=run)
    assert (published.kind, published.number) == ("allocation", 1)
    assert published.rules_sha256 == published.document["rules"]["version"] == run.rules_sha256
    path = tmp_path / runs.file_name(published)
    path.write_bytes(runs.as_file(published))
    call_command("recompute", str(path))
    assert "line by line" in capsys.readouterr().out

    document = json.loads(path.read_bytes())
    document["result"]["awards"][0]["free_permits"] = "3001"
    path.write_text(json.dumps(document))
    with pytest.raises(SystemExit):
        call_command("recompute", str(path))
    assert "DIFFERS result.awards[0].free_permits" in capsys.readouterr().out
    with pytest.raises(CommandError):
        call_command("recompute", str(tmp_path / "nothing.json"))


def test_a_run_is_worked_out_again_when_it_is_approved_and_every_gap_is_listed_when_it_is_drafted(
    regulator: Regulator,
    capped_period: Period,
    acme: Party,
    borealis: Party,
    cobalt: Party,
    enact: Callable[..., None],
    upload: Callable[[str], AllocationTable],
) -> None:
    enact(RULES)
    last = cast.YEAR - 1
    upload(HEADER + f"{acme.account.number},{last - 1},tokens,1,,,\n{borealis.account.number},{last},tokens,5,,,\n")
    regulator_run = draft(regulator, capped_period)
    upload(HEADER + f"{borealis.account.number},{last},tokens,6,,,\n")

    with pytest.raises(Refused) as refused:
        allocation.propose_run(actor=regulator.desk, run=regulator_run, now=cast.OPENING)
    assert refused.value.code == "allocation_data_changed"

    upload(HEADER + f"{cobalt.account.number},{cast.YEAR},,,7,,\n{acme.account.number},{cast.YEAR},,,9,,\n")
    with pytest.raises(SeveralRefusals) as several:
        draft(regulator, capped_period)
    assert [refusal.code for refusal in several.value.refusals] == ["no_set_aside", "no_set_aside"]

    check_cohort(regulator, borealis, holds=False)
    upload(HEADER + f"{borealis.account.number},{cast.YEAR},,,7,,\n")
    data = {one.operator: one for one in allocation_data.operator_data(capped_period)}
    assert data[borealis.account.number].proven_need == 0


def test_a_table_with_errors_stores_nothing_and_names_each_of_them(
    regulator: Regulator,
    acme: Party,
    borealis: Party,
    enact: Callable[..., None],
    upload: Callable[[str], AllocationTable],
    draft_period: Period,
) -> None:
    enact({name: RULES[name] for name in ("alloc.free_share", "alloc.methods", "alloc.benchmarks")})
    number = acme.account.number

    with pytest.raises(RowsRefused) as refused:
        upload(
            HEADER
            + f"{number},2025,tokens,12x,,,\n{number},2025,tokens,1,,,\n{number},2025,,5,,,\n"
            + f"{number},20255,tokens,-1,,,\n{number},2024,,,,2026-01-05T12:00:00,\n{number},2023,,,,,\n"
        )

    assert [(error.line, error.column, error.code) for error in refused.value.errors] == [
        (2, "output", "not_a_number"),
        (3, "operator", "row_twice"),
        (4, "product", "missing_value"),
        (5, "year", "number_out_of_range"),
        (5, "output", "number_out_of_range"),
        (6, "applied_at", "not_an_instant"),
        (7, "operator", "row_says_nothing"),
    ]
    with pytest.raises(RowsRefused) as refused:
        upload(HEADER + f"HR-1,2025,tokens,1,,,\n{number},2025,token,1,,,\n")
    assert [error.code for error in refused.value.errors] == ["operator_unknown", "product_unknown"]
    with pytest.raises(RowsRefused) as refused:
        upload("operator,year,produce\nHR-1,2025,tokens\n")
    assert [error.code for error in refused.value.errors] == ["unknown_column", "row_says_nothing"]
    assert not AllocationTable.objects.exists()
    with pytest.raises(Forbidden):
        allocation_data.upload_table(
            actor=acme.initiator, scheme=draft_period.scheme, name="x", content=b"", now=cast.OPENING
        )
    template = allocation_data.template_rows(draft_period)
    assert [row[:3] for row in template] == [
        [each.account.number, "2025", "tokens"] for each in sorted((acme, borealis), key=lambda p: p.account.number)
    ]


def test_a_settlement_takes_back_what_was_too_much_and_gives_what_was_too_little(
    regulator: Regulator,
    capped_period: Period,
    acme: Party,
    borealis: Party,
    cobalt: Party,
    enact: Callable[..., None],
    upload: Callable[[str], AllocationTable],
) -> None:
    """70 % ahead on last year's output, the rest on this: Acme made less, Borealis more, Cobalt has spent."""
    enact(
        {
            "alloc.free_share": "0.6",
            "alloc.methods": [{**METHOD, "pre_share": "0.7"}],
            "alloc.benchmarks": [BENCHMARK],
            "alloc.activity_threshold": "0",
        }
    )
    last = cast.YEAR - 1
    parties = (acme, borealis, cobalt)
    upload(HEADER + "".join(f"{one.account.number},{last},tokens,1000,,,\n" for one in parties))
    execute(regulator, draft(regulator, capped_period))
    assert by_kind(capped_period) == {"issuance": -10_000, "holding": 2_100, "reserve": 3_900, "auction": 4_000}
    assert DebtEntry.objects.count() == 0
    undone = transactions.reverse(
        actor=regulator.desk,
        original=Transaction.objects.get(kind="allocate", receiver=borealis.account),
        reason="It was given before its time.",
        key=cast.key(),
        now=cast.OPENING,
    )
    assert undone.approval is not None
    regulator.approve(undone.approval)
    _spend(cobalt, capped_period, 650)
    upload(
        HEADER
        + "".join(
            f"{one.account.number},{cast.YEAR},tokens,{made},,,\n"
            for one, made in zip(parties, (500, 900, 600), strict=True)
        )
    )

    work = DueWork.objects.create(
        key=f"{capped_period.code}:test:true_up",
        kind="true_up",
        scheme=capped_period.scheme,
        period=capped_period,
        due_at=cast.OPENING,
    )
    for _ in range(2):
        due.run_due(now=cast.OPENING)
    work.refresh_from_db()
    (task,) = Task.objects.filter(kind="year_true_up")
    assert not AllocationRun.objects.filter(stage=Stage.SETTLEMENT).exists()  # a draft is a person's

    run = draft(regulator, capped_period, Stage.SETTLEMENT)
    execute(regulator, run)

    task.refresh_from_db()
    assert (task.link, task.status) == (f"/desk/periods/{capped_period.code}/figures/", "completed")
    assert work.result == {
        "inputs_sha256": run.inputs_sha256,
        "given": str(run.free),
        "owed_back": "300",  # Acme 200, Cobalt 100, of which it has 50
        "reminded": True,
    }
    # Acme 700 - 500 = 200 back; Borealis, whose 700 were taken back, all 900; Cobalt owes 100 and has 50 left
    holdings = {one.account.number: _held(one, capped_period) for one in parties}
    assert holdings == {acme.account.number: 500, borealis.account.number: 900, cobalt.account.number: 0}
    owed = dict.fromkeys((one.operator for one in parties), 0)
    for entry in DebtEntry.objects.select_related("operator"):
        owed[entry.operator] += entry.quantity
    assert list(owed.values()) == [0, 0, 50]
    assert by_kind(capped_period) == {
        "issuance": -10_000,
        "holding": 1_400,
        "cancellation": 650,
        "auction": 10_000 - 1_400 - 650,
    }
    assert PublishedRun.objects.filter(kind="allocation").count() == 2
    nothing_is_amiss()
    again = draft(regulator, capped_period, Stage.SETTLEMENT)
    with pytest.raises(Refused, match="settled already"):
        allocation.propose_run(actor=regulator.desk, run=again, now=cast.OPENING)


def _held(party: Party, period: Period) -> int:
    return Balance.objects.get(account=party.account, asset=period.permit_id).balance


def _spend(party: Party, period: Period, quantity: int) -> None:
    """Let a party use permits up."""
    with transaction.atomic():
        ledger.post(
            transfers=[
                ledger.Posting(
                    cast.key(),
                    party.account.pk,
                    central.account(period, central.CANCELLATION).pk,
                    period.permit_id,
                    quantity,
                )
            ],
            kind="cancellation",
            reference="spent",
            actor=None,
            now=cast.OPENING,
        )


def test_operator_data_takes_as_many_queries_for_many_operators_as_for_one(
    regulator: Regulator,
    scheme: Scheme,
    capped_period: Period,
    acme: Party,
    django_assert_num_queries: Any,
    django_assert_max_num_queries: Any,
) -> None:
    assert capped_period.scheme == scheme
    with django_assert_max_num_queries(8) as one:
        allocation_data.operator_data(capped_period)
    for name in ("Dorian", "Elba", "Faro"):
        cast.operator(regulator, scheme, name, "firm", "mid")

    with django_assert_num_queries(len(one.captured_queries)):
        assert len(allocation_data.operator_data(capped_period)) == 4


def test_an_uploaded_document_may_not_say_what_the_books_do_not(
    regulator: Regulator, capped_period: Period, acme: Party
) -> None:
    assert acme.operator is not None
    plain = cast.allocation_inputs(capped_period, {acme.operator: 100})
    odd = engine.Standing(acme.account.number, delivered=5)
    wrong: dict[str, dict[str, Any]] = {
        "standing_differs": {"standings": (odd,)},
        "reserve_unknown": {"reserves": (engine.Reserve("pocket", 5),)},
        "transfers_not_moved": {"transfers": 5},
    }
    for code, change in wrong.items():
        with pytest.raises(SeveralRefusals) as refused:
            allocation.draft_run(
                actor=regulator.desk, period=capped_period, inputs=replace(plain, **change), now=cast.OPENING
            )
        assert [refusal.code for refusal in refused.value.refusals] == [code]
    with pytest.raises(SeveralRefusals) as refused:
        allocation.draft_run(
            actor=regulator.desk, period=capped_period, inputs=plain, now=cast.OPENING, stage=Stage.SETTLEMENT
        )
    assert refused.value.code == "first_stage_missing"
