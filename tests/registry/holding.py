"""Short ways to acts on accounts, for the tests of accounts, freezes, closures and new holders."""

from datetime import datetime
from uuid import uuid4

from accounts.models import Organisation
from registry.grades import grade_of
from registry.ledger.models import Asset, Balance, LedgerAccount
from registry.models import Operator
from registry.services import accounts, transfers
from tests.cast import OPENING, Party, Regulator


def opened(
    regulator: Regulator,
    holder: Organisation,
    kind: str,
    operator: Operator | None = None,
    now: datetime = OPENING,
    **terms: object,
) -> LedgerAccount:
    """Open an account for a holder, by two officers."""
    approval = accounts.propose_opening(
        actor=regulator.desk, holder=holder, kind=kind, label=holder.name, operator=operator, terms=terms, now=now
    )
    regulator.approve(approval, now=now)
    assert approval.status in {"proposed", "executed"}
    approval.refresh_from_db()
    return LedgerAccount.objects.get(number=approval.result["account"])  # type: ignore[index]


def set_grade(regulator: Regulator, account: LedgerAccount, grade: str) -> str:
    """Let the senior officer change a grade, and return what it is then."""
    accounts.change_grade(actor=regulator.senior, account=account, grade=grade, reason="Looked into.", now=OPENING)
    return fresh(account)


def fresh(account: LedgerAccount) -> str:
    """Return the grade of an account as the database has it now."""
    return grade_of(LedgerAccount.objects.get(pk=account.pk))


def send(sender: Party, to: LedgerAccount, asset: Asset, quantity: int) -> None:
    """Transfer permits from a party's own account."""
    transfers.transfer(
        actor=sender.initiator,
        organisation=sender.organisation,
        to_number=to.number,
        asset=asset,
        quantity=quantity,
        key=uuid4(),
        now=OPENING,
    )


def lies(account: LedgerAccount, asset: Asset) -> tuple[int, int]:
    """Return (balance, held) of an asset in an account."""
    found = Balance.objects.filter(account=account, asset=asset).values_list("balance", "held").first()
    return found or (0, 0)
