"""Every change to the ledger, for the services of other apps to call inside the transaction that they own.

    from registry.ledger import services as ledger

    ledger.post(
        transfers=[
            ledger.Posting(permit_key, seller, buyer, permit, 100),
            ledger.Posting(cash_key, buyer, seller, euro, 2500),
        ],
        kind="settlement", reference="settlement:7", actor=None, now=now,
    )

Nothing here opens a transaction or asks who may do it. What the rules of the ledger turn down raises `Refused`, and
has changed nothing.
"""

from registry.ledger.services.accounts import (
    close_account,
    create_asset,
    freeze_account,
    open_account,
    open_balances,
    set_issue_limit,
    unfreeze_account,
)
from registry.ledger.services.holds import HoldChange, capture, hold, release, set_holds
from registry.ledger.services.posting import Posted, Posting, lock_balances, post, reverse
from registry.ledger.services.stops import StoppedPart, hold_stopped, release_serials, stop_serials

__all__ = [
    "HoldChange",
    "Posted",
    "Posting",
    "StoppedPart",
    "capture",
    "close_account",
    "create_asset",
    "freeze_account",
    "hold",
    "hold_stopped",
    "lock_balances",
    "open_account",
    "open_balances",
    "post",
    "release",
    "release_serials",
    "reverse",
    "set_holds",
    "set_issue_limit",
    "stop_serials",
    "unfreeze_account",
]
