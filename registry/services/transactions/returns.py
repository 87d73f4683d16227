"""What a return of excess pays: the holder's debt of free permits that were too many."""

from datetime import datetime

from accounts.models import User
from common.errors import refuse
from registry.models import DebtEntry, Operator, Period, Transaction
from registry.services.transactions.facts import Asked
from registry.services.transactions.life import Effect


def _lock(asked: Asked) -> Operator:
    """Lock the operator that returns, so that a debt is paid once."""
    period = Period.objects.filter(permit=asked.asset).first()
    operators = Operator.objects.select_for_update(of=("self",), no_key=True)
    operator = None
    if period is not None:
        operator = operators.filter(organisation__ledger_accounts=asked.sender, scheme=period.scheme_id).first()
    if operator is None:
        refuse("operator_unknown", "The holder of this account is no operator of the scheme. Choose another account.")
    return operator


def _paid(row: Transaction, locked: Operator, now: datetime, actor: User | None) -> None:
    """Write off as much debt as was returned."""
    DebtEntry.objects.create(
        operator=locked,
        period=Period.objects.get(permit=row.asset_id),
        kind=DebtEntry.Kind.PAID,
        quantity=-row.quantity,
        reference=f"return:{row.pk}",
        journal=row.journal,
        at=now,
    )


EFFECTS = {"return_excess": Effect(lock=_lock, done=_paid)}
