"""What a waiting proposal reserves: one hold in the ledger, named by the proposal, until it is done or given up."""

from datetime import datetime

from accounts.models import Approval
from registry.ledger import services as ledger
from registry.ledger.models import Hold

PURPOSE = "proposal"


def reserve(approval: Approval, *, account: int, asset: int, quantity: int, now: datetime) -> None:
    """Reserve what the proposal will spend; refused where not enough is available."""
    ledger.hold(account=account, asset=asset, quantity=quantity, purpose=PURPOSE, reference=str(approval.pk), now=now)


def give_back(approval: Approval, now: datetime) -> None:
    """Release what the proposal reserved."""
    ledger.release(hold_ids=_open_holds(approval), now=now)


def spend(approval: Approval, *, posting: ledger.Posting, kind: str, reference: str, now: datetime, note: str) -> int:
    """Post what the proposal was for out of what it reserved, and return the journal's id."""
    posted = ledger.capture(
        hold_ids=_open_holds(approval),
        transfers=[posting],
        kind=kind,
        reference=reference,
        actor=approval.decided_by,
        now=now,
        note=note,
    )
    return posted.journal_id


def _open_holds(approval: Approval) -> list[int]:
    return list(
        Hold.objects.filter(purpose=PURPOSE, reference=str(approval.pk), status="open").values_list("pk", flat=True)
    )
