"""Publishing a cap: two officers, one minting, and the period opens."""

import threading
from collections.abc import Callable

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from accounts.models import Approval, AuditEvent
from accounts.services import approvals, organisations
from common.errors import Forbidden, Refused
from registry.ledger import services as ledger
from registry.ledger.models import Balance, Journal
from registry.models import Cap, Period
from registry.services import caps, central
from tests import cast
from tests.cast import Party, Regulator


@pytest.fixture
def propose(regulator: Regulator, draft_period: Period) -> Callable[..., Approval]:
    """Let the desk propose a cap of the draft period."""

    def propose(quantity: object = cast.CAP, **changes: object) -> Approval:
        arguments = {"actor": regulator.desk, "period": draft_period, "quantity": quantity, "now": cast.OPENING}
        return caps.propose_cap(**(arguments | changes))  # type: ignore[arg-type]

    return propose


def test_a_proposal_does_nothing_yet(propose: Callable[..., Approval], draft_period: Period) -> None:
    proposal = propose()

    draft_period.refresh_from_db()
    assert (proposal.status, draft_period.status) == ("proposed", "draft")
    assert not Cap.objects.exists()
    assert not Journal.objects.exists()


def test_approval_mints_the_cap_and_opens_the_period(
    propose: Callable[..., Approval], regulator: Regulator, draft_period: Period
) -> None:
    approval = regulator.approve(propose())

    draft_period.refresh_from_db()
    cap = Cap.objects.get()
    assert (draft_period.status, cap.version, cap.quantity, cap.approval) == ("open", 1, cast.CAP, approval)
    issuance = Balance.objects.get(account=central.account(draft_period, "issuance"))
    total = Balance.objects.get(account=central.account(draft_period, "total"))
    assert (issuance.balance, issuance.issue_limit, total.balance) == (-cast.CAP, cast.CAP, cast.CAP)
    assert Journal.objects.get().reference == "issuance:ai-flop-2026"


def test_publishing_leaves_one_event_beside_those_of_the_approval(
    propose: Callable[..., Approval], regulator: Regulator
) -> None:
    regulator.approve(propose())

    actions = AuditEvent.objects.exclude(action__startswith="accounts.").order_by("id").values_list("action", flat=True)
    assert list(actions) == [
        "registry.scheme.created",
        "registry.period.opened",
        "registry.year.planned",
        "registry.cap.published",
    ]


def test_not_one_permit_more_can_be_issued(propose: Callable[..., Approval], regulator: Regulator) -> None:
    period_id = regulator.approve(propose()).parameters["period"]
    period = Period.objects.get(pk=period_id)

    with pytest.raises(Refused) as refused, transaction.atomic():
        ledger.post(
            transfers=[
                ledger.Posting(
                    cast.key(),
                    central.account(period, "issuance").pk,
                    central.account(period, "total").pk,
                    period.permit_id,
                    1,
                )
            ],
            kind="issuance",
            reference="one more",
            actor=None,
            now=cast.OPENING,
        )

    assert refused.value.code == "cap_exceeded"


@pytest.mark.parametrize(
    ("quantity", "code"),
    [
        (0, "quantity_out_of_range"),
        (-1, "quantity_out_of_range"),
        (10**15 + 1, "quantity_out_of_range"),
        ("many", "quantity_not_whole"),
        (True, "quantity_not_whole"),
    ],
)
def test_a_cap_is_a_whole_number_in_range(propose: Callable[..., Approval], quantity: object, code: str) -> None:
    with pytest.raises(Refused) as refused:
        propose(quantity)

    assert refused.value.code == code
    assert not Approval.objects.exists()


def test_only_the_desk_proposes(propose: Callable[..., Approval], regulator: Regulator, verity: Party) -> None:
    for stranger in (regulator.monitor, verity.verifier):
        with pytest.raises(Forbidden):
            propose(actor=stranger)


def test_the_desk_does_not_approve(propose: Callable[..., Approval], regulator: Regulator) -> None:
    proposal = propose(actor=regulator.senior)

    with pytest.raises(Forbidden):
        approvals.approve(actor=regulator.desk, approval_id=proposal.pk, now=cast.OPENING)


def test_a_senior_officer_does_not_approve_their_own_proposal(
    propose: Callable[..., Approval], regulator: Regulator
) -> None:
    proposal = propose(actor=regulator.senior)

    with pytest.raises(Refused) as refused:
        approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=cast.OPENING)

    assert refused.value.code == "second_person_needed"
    assert not Cap.objects.exists()


def test_an_approver_whose_role_ended_between_decides_nothing(
    propose: Callable[..., Approval], regulator: Regulator
) -> None:
    proposal = propose()
    second = cast.person("Sol Second")
    membership = organisations.grant_role(
        actor=regulator.senior,
        user=second,
        organisation=regulator.organisation,
        role="senior_officer",
        now=cast.OPENING,
    )
    organisations.end_role(actor=regulator.senior, membership=membership, now=cast.OPENING)

    with pytest.raises(Forbidden):
        approvals.approve(actor=second, approval_id=proposal.pk, now=cast.OPENING)


def test_a_disabled_approver_decides_nothing(propose: Callable[..., Approval], regulator: Regulator) -> None:
    proposal = propose()
    regulator.senior.is_active = False
    regulator.senior.save()

    with pytest.raises(Forbidden):
        approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=cast.OPENING)


def test_when_the_proposer_was_disabled_the_act_fails_and_says_so(
    propose: Callable[..., Approval], regulator: Regulator
) -> None:
    proposal = propose()
    regulator.desk.is_active = False
    regulator.desk.save()

    failed = approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=cast.OPENING)

    assert (failed.status, failed.failure_code) == ("failed", "proposer_no_longer_entitled")
    assert not Cap.objects.exists()


def test_an_open_period_takes_no_second_cap(propose: Callable[..., Approval], regulator: Regulator) -> None:
    regulator.approve(propose())

    with pytest.raises(Refused) as refused:
        propose(5)

    assert refused.value.code == "cap_published_already"


def test_of_two_proposals_one_is_executed(propose: Callable[..., Approval], regulator: Regulator) -> None:
    first, second = propose(100), propose(200)
    regulator.approve(first)

    with pytest.raises(Refused) as refused:
        approvals.approve(actor=regulator.senior, approval_id=second.pk, now=cast.OPENING)

    assert refused.value.code == "cap_published_already"
    assert Cap.objects.get().quantity == 100


def test_an_execution_that_is_refused_is_recorded_as_failed_and_posts_nothing(
    propose: Callable[..., Approval], regulator: Regulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = propose()
    post = ledger.post

    def frozen_meanwhile(**arguments: object) -> object:
        post(**arguments)  # type: ignore[arg-type]
        raise Refused("account_frozen", "Frozen at the last moment.")

    monkeypatch.setattr(ledger, "post", frozen_meanwhile)

    failed = approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=cast.OPENING)

    assert (failed.status, failed.failure_code) == ("failed", "account_frozen")
    assert not Journal.objects.exists()
    assert not Cap.objects.exists()
    assert Period.objects.get().status == "draft"
    assert AuditEvent.objects.filter(action="accounts.approval.failed").count() == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE registry_cap SET quantity = 7",
        "UPDATE registry_cap SET published_at = now()",
        "DELETE FROM registry_cap",
    ],
)
def test_a_published_cap_never_changes(propose: Callable[..., Approval], regulator: Regulator, change: str) -> None:
    regulator.approve(propose())

    with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_the_proposed_quantity_cannot_be_changed_by_raw_sql(propose: Callable[..., Approval]) -> None:
    propose()

    with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("""UPDATE accounts_approval SET parameters = parameters || '{"quantity": 99999}'""")


def test_one_approval_makes_one_cap(propose: Callable[..., Approval], regulator: Regulator) -> None:
    approval = regulator.approve(propose())

    with pytest.raises(IntegrityError), transaction.atomic():
        Cap.objects.create(
            period=Period.objects.get(), version=2, quantity=1, published_at=cast.OPENING, approval=approval
        )


@pytest.mark.django_db(transaction=True)
def test_two_officers_who_approve_at_once_mint_once(propose: Callable[..., Approval], regulator: Regulator) -> None:
    proposal = propose()
    second = cast.person("Sol Second")
    organisations.grant_role(
        actor=regulator.senior,
        user=second,
        organisation=regulator.organisation,
        role="senior_officer",
        now=cast.OPENING,
    )
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def approve(officer: object) -> None:
        together.wait(10)
        try:
            outcomes.append(approvals.approve(actor=officer, approval_id=proposal.pk, now=cast.OPENING).status)  # type: ignore[arg-type]
        except Refused as refusal:
            outcomes.append(refusal.code)
        connection.close()

    both = [threading.Thread(target=approve, args=(officer,)) for officer in (regulator.senior, second)]
    for one in both:
        one.start()
    for one in both:
        one.join(20)

    assert sorted(outcomes) == ["approval_not_executed_to_approved", "executed"]
    assert (Cap.objects.count(), Journal.objects.count()) == (1, 1)
