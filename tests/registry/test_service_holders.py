"""A new holder: a new number, one journal, the old account closed, and the operator's years and debts go with it."""

import uuid

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import Approval, AuditEvent
from accounts.services import approvals
from common.errors import Forbidden, Refused
from registry.grades import accounts_of
from registry.ledger.models import Journal, LedgerAccount
from registry.models import DebtEntry, HolderChange, Operator, Period, Transaction, TrustedAccount
from registry.selectors import holding_account
from registry.services import holders, operators
from tests import cast
from tests.cast import ACME_PERMITS, CASH_MINOR, OPENING, Party, Regulator
from tests.registry.holding import fresh, lies, opened, send, set_grade


@pytest.fixture
def dunlin(regulator: Regulator) -> Party:
    """A firm that buys Acme's site and is no operator itself."""
    return cast.party(regulator, "Dunlin", "firm")


def propose(regulator: Regulator, account: LedgerAccount, holder: Party) -> Approval:
    return holders.propose_new_holder(
        actor=regulator.desk, account=account, holder=holder.organisation, agreement="Sale of 1 March.", now=OPENING
    )


def codes(account: LedgerAccount, holder: Party) -> list[str]:
    return [refusal.code for refusal in holders.against_new_holder(account, holder.organisation)]


def test_everything_goes_over_in_one_journal(
    regulator: Regulator, acme: Party, borealis: Party, dunlin: Party, period: Period
) -> None:
    assert acme.operator is not None
    compliance = opened(regulator, acme.organisation, "compliance", acme.operator)
    send(acme, borealis.account, period.permit, 1)
    operators.set_standing_surrender(actor=acme.approver, operator=acme.operator, on=True, now=OPENING)
    DebtEntry.objects.create(
        operator=acme.operator, period=period, kind="borrowed", quantity=7, reference="borrowed:1", at=OPENING
    )
    TrustedAccount.objects.create(
        account=borealis.account,
        trusted=acme.account,
        status="active",
        added_by=borealis.initiator,
        added_at=OPENING,
        active_from=OPENING,
    )

    proposal = propose(regulator, acme.account, dunlin)
    assert [fresh(one) for one in (acme.account, compliance)] == ["transfer_pending", "transfer_pending"]
    regulator.approve(proposal)

    operator = Operator.objects.get(pk=acme.operator.pk)
    account = operator.account
    assert (operator.organisation, account.owner, account.label) == (
        dunlin.organisation,
        dunlin.organisation,
        "Dunlin",
    )
    assert account.number != acme.account.number
    assert lies(account, period.permit) == (ACME_PERMITS - 1, 0)
    assert lies(account, period.scheme.currency) == (CASH_MINOR, 0)
    assert Journal.objects.get(kind="holder_change").transfers.count() == 2
    assert {fresh(one) for one in (acme.account, compliance)} == {"closed"}
    assert [one.kind for one in accounts_of(operator)] == ["compliance"]
    assert operator.debt_entries.get().quantity == 7
    assert not operator.surrenders_automatically
    assert TrustedAccount.objects.get().status == "removed"
    change = HolderChange.objects.get()
    assert (change.from_account, change.to_account, change.approval_id) == (acme.account, account, proposal.pk)
    assert holding_account(dunlin.organisation) == account
    assert AuditEvent.objects.filter(action="registry.operator.handed_over").count() == 1


def test_a_trading_account_goes_over_without_an_operator(
    regulator: Regulator, acme: Party, dunlin: Party, period: Period
) -> None:
    trading = opened(regulator, acme.organisation, "trading")

    regulator.approve(propose(regulator, trading, dunlin))

    assert LedgerAccount.objects.get(owner=dunlin.organisation).kind == "trading"
    assert not HolderChange.objects.exists()
    assert fresh(acme.account) == "open"


def test_a_rejected_proposal_opens_the_accounts_again(regulator: Regulator, acme: Party, dunlin: Party) -> None:
    proposal = propose(regulator, acme.account, dunlin)

    approvals.reject(actor=regulator.senior, approval_id=proposal.pk, reason="No contract.", now=OPENING)

    assert fresh(acme.account) == "open"


class TestWhatStandsAgainstIt:
    """Each condition by its own code."""

    def test_nothing(self, acme: Party, dunlin: Party, period: Period) -> None:
        assert codes(acme.account, dunlin) == []

    def test_there_is_one_operator_for_each_scheme_and_organisation(
        self, regulator: Regulator, acme: Party, borealis: Party
    ) -> None:
        assert codes(acme.account, borealis) == ["holder_operates_already"]

    def test_the_same_holder(self, acme: Party) -> None:
        assert "same_holder" in codes(acme.account, acme)

    def test_somebody_who_cannot_hold(self, acme: Party, verity: Party) -> None:
        assert codes(acme.account, verity) == ["holder_cannot_hold"]

    def test_a_central_account(self, period: Period, dunlin: Party) -> None:
        assert codes(LedgerAccount.objects.get(reference=f"auction:{period.code}"), dunlin) == ["account_is_central"]

    def test_an_account_that_belongs_to_an_operator(self, regulator: Regulator, acme: Party, dunlin: Party) -> None:
        compliance = opened(regulator, acme.organisation, "compliance", acme.operator)

        assert codes(compliance, dunlin) == ["account_of_an_operator"]

    def test_a_transaction_under_way(self, acme: Party, borealis: Party, dunlin: Party, period: Period) -> None:
        Transaction.objects.create(
            kind="transfer",
            key=uuid.uuid4(),
            organisation=acme.organisation,
            sender=acme.account,
            receiver=borealis.account,
            asset=period.permit,
            quantity=1,
            proposed_at=OPENING,
        )

        assert codes(acme.account, dunlin) == ["transactions_open"]

    def test_an_account_that_is_not_open(self, regulator: Regulator, acme: Party, dunlin: Party) -> None:
        set_grade(regulator, acme.account, "suspended")

        with pytest.raises(Refused) as refused:
            propose(regulator, acme.account, dunlin)

        assert refused.value.code == "account_not_open"

    def test_an_account_that_came_since(self, regulator: Regulator, acme: Party, dunlin: Party) -> None:
        proposal = propose(regulator, acme.account, dunlin)
        opened(regulator, acme.organisation, "consignment", acme.operator)

        with pytest.raises(Refused) as refused:
            approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=OPENING)

        assert refused.value.code == "accounts_changed"

    def test_only_the_desk_proposes(self, acme: Party, dunlin: Party) -> None:
        with pytest.raises(Forbidden):
            holders.propose_new_holder(
                actor=acme.approver,
                account=acme.account,
                holder=dunlin.organisation,
                agreement="Sale.",
                now=OPENING,
            )


def test_no_operator_changes_hands_without_a_record(acme: Party, borealis: Party) -> None:
    assert acme.operator is not None and borealis.operator is not None

    with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE registry_operator SET account_id = %s WHERE id = %s", [borealis.account.pk, acme.operator.pk]
        )
