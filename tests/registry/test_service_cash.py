"""Cash: two officers record a line of the bank statement, once."""

from collections.abc import Callable

import pytest

from accounts.models import Approval, AuditEvent
from accounts.services import approvals
from common.errors import Forbidden, Refused
from registry.ledger.models import Balance, Journal, LedgerAccount
from registry.models import Scheme
from registry.services import cash
from tests import cast
from tests.cast import Party, Regulator


@pytest.fixture
def propose(regulator: Regulator, scheme: Scheme, acme: Party) -> Callable[..., Approval]:
    """Let the desk propose a deposit to Acme, or a withdrawal."""

    def propose(act: Callable[..., Approval] = cash.propose_deposit, **changes: object) -> Approval:
        arguments = {
            "actor": regulator.desk,
            "account": acme.account,
            "currency": scheme.currency,
            "amount_minor": 250_000,
            "reference": "statement 7, line 3",
            "now": cast.OPENING,
        }
        return act(**(arguments | changes))

    return propose


def money(party: Party) -> tuple[int, int]:
    """Return a party's money and how much of it is held."""
    balance = Balance.objects.get(account=party.account, asset__kind="currency")
    return balance.balance, balance.held


def test_a_deposit_comes_from_the_bank(propose: Callable[..., Approval], regulator: Regulator, acme: Party) -> None:
    approval = regulator.approve(propose())

    assert money(acme) == (250_000, 0)
    assert Balance.objects.get(account__reference="bank:eur").balance == -250_000
    journal = Journal.objects.get(kind="deposit")
    assert (journal.reference, journal.actor) == ("deposit:eur:statement 7, line 3", regulator.senior)
    assert approval.result == {"journal": journal.pk}
    assert AuditEvent.objects.filter(action="registry.deposit.recorded").count() == 1


def test_a_withdrawal_is_held_from_the_proposal_on(
    propose: Callable[..., Approval], regulator: Regulator, acme: Party
) -> None:
    regulator.approve(propose())

    proposal = propose(cash.propose_withdrawal, amount_minor=100_000, reference="order 1")
    assert money(acme) == (250_000, 100_000)
    regulator.approve(proposal)

    assert money(acme) == (150_000, 0)


@pytest.mark.parametrize("ending", ["reject", "cancel"])
def test_a_withdrawal_that_is_not_made_is_given_back(
    propose: Callable[..., Approval], regulator: Regulator, acme: Party, ending: str
) -> None:
    regulator.approve(propose())
    proposal = propose(cash.propose_withdrawal, reference="order 1")

    getattr(approvals, ending)(
        actor=regulator.senior, approval_id=proposal.pk, reason="Wrong account.", now=cast.OPENING
    )

    assert money(acme) == (250_000, 0)


def test_what_is_not_there_cannot_be_withdrawn(propose: Callable[..., Approval]) -> None:
    with pytest.raises(Refused) as refused:
        propose(cash.propose_withdrawal)

    assert refused.value.code == "insufficient_available"
    assert not Approval.objects.exists()


def test_one_line_of_the_statement_counts_once(propose: Callable[..., Approval], regulator: Regulator) -> None:
    first, second = propose(), propose()
    regulator.approve(first)

    with pytest.raises(Refused) as late:
        propose()
    with pytest.raises(Refused) as waiting:
        approvals.approve(actor=regulator.senior, approval_id=second.pk, now=cast.OPENING)

    assert late.value.code == waiting.value.code == "cash_recorded_already"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount_minor": 0}, "quantity_out_of_range"),
        ({"amount_minor": "12.50"}, "quantity_not_whole"),
        ({"reference": "  "}, "reference_missing"),
        ({"reference": "x" * 81}, "reference_too_long"),
    ],
)
def test_odd_deposits_are_refused(propose: Callable[..., Approval], change: dict[str, object], code: str) -> None:
    with pytest.raises(Refused) as refused:
        propose(**change)

    assert refused.value.code == code


def test_money_lies_in_participants_accounts_only(propose: Callable[..., Approval]) -> None:
    with pytest.raises(Refused) as refused:
        propose(account=LedgerAccount.objects.get(reference="bank:eur"))

    assert refused.value.code == "account_not_a_participants"


def test_permits_are_not_deposited(propose: Callable[..., Approval], regulator: Regulator, scheme: Scheme) -> None:
    permit = cast.period_of(regulator, scheme).permit

    with pytest.raises(Refused) as refused:
        propose(currency=permit)

    assert refused.value.code == "not_a_currency"


def test_only_the_desk_proposes_and_only_seniors_approve(
    propose: Callable[..., Approval], regulator: Regulator, acme: Party
) -> None:
    with pytest.raises(Forbidden):
        propose(actor=acme.approver)
    proposal = propose()
    for stranger in (acme.approver, regulator.monitor):
        with pytest.raises(Forbidden):
            approvals.approve(actor=stranger, approval_id=proposal.pk, now=cast.OPENING)
