"""Stopping serial numbers, such as stolen ones, wherever they lie, and letting them go again.

Which numbers a transfer takes is derived afterwards, so a stop works on two sides. At once, as many permits as lie in
the range are held in each balance, and so cannot be spent by anything. And the derivation passes the stopped numbers
over from then on, so that what still leaves the balance is other permits. One reader of serial blocks at a time, and
the locks of the balances, make both the same instant.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.db.models import F, Max, QuerySet
from django.db.models.functions import Greatest, Least

from common.database import assert_in_transaction
from common.errors import refuse, require
from registry.ledger.models import Balance, Hold, LedgerAccount, Mark, SerialBlock, SerialStop, Transfer
from registry.ledger.services.accounts import freeze_account, unfreeze_account
from registry.ledger.services.holds import HoldChange, hold, release, set_holds
from registry.ledger.services.posting import lock_balances
from registry.ledger.services.serials import MARK

PURPOSE = "serial_stop"


class StoppedPart(NamedTuple):
    """What a stop found in one account: permits with numbers in the range, and how many of them could be held.

    Less is held where the permits back something else, such as open orders. The caller has to see to it that nothing
    leaves such an account before `hold_stopped` has held the rest.
    """

    account_id: int
    quantity: int
    held: int


def stop_serials(*, asset_id: int, first: int, last: int, reference: str, now: datetime) -> list[StoppedPart] | None:
    """Stop a range of numbers where it lies. None if a transfer of them is not derived yet: derive, and try again."""
    assert_in_transaction()
    Mark.objects.get_or_create(name=MARK)
    mark = Mark.objects.select_for_update().get(name=MARK)  # no block moves until we are done
    _require_stoppable(asset_id, first, last)
    found = _parts(asset_id, first, last)
    _lock_accounts(found)
    lock_balances((account, asset_id) for account in found)
    on_the_way = Transfer.objects.filter(
        pk__gt=mark.up_to, debit__asset_id=asset_id, debit__account_id__in=found, asset_id=asset_id
    )
    if on_the_way.exists():
        return None
    SerialStop.objects.create(asset_id=asset_id, first=first, last=last, reference=reference, since=_last_transfer())
    return [_hold(account, asset_id, quantity, reference, now) for account, quantity in sorted(found.items())]


def hold_stopped(*, account_id: int, now: datetime) -> int:
    """Hold what stops still lack in an account, as far as it is free now; return how much they lack after that."""
    assert_in_transaction()
    lacking = 0
    _lock_accounts([account_id])
    holds = Hold.objects.filter(balance__account_id=account_id, purpose=PURPOSE, status="open").order_by("id")
    lock_balances(holds.values_list("balance__account_id", "balance__asset_id"))
    for one in holds.select_related("balance"):
        stop = SerialStop.objects.get(reference=one.reference)
        quantity = _parts(stop.asset_id, stop.first, stop.last).get(account_id, 0)
        free = Balance.objects.get(pk=one.balance_id)
        held = min(quantity, one.quantity + (quantity if free.contra else free.available))
        if held > one.quantity:
            with _thawed(account_id):
                set_holds([HoldChange(one.pk, held)])
        lacking += quantity - held
    return lacking


def release_serials(*, reference: str, now: datetime) -> None:
    """End a stop: its numbers are free to move with the next transfer."""
    assert_in_transaction()
    stop = SerialStop.objects.select_for_update().filter(reference=reference, until__isnull=True).first()
    if stop is None:
        refuse("serials_not_stopped", "These numbers are not stopped any more.")
    holds = Hold.objects.filter(purpose=PURPOSE, reference=reference, status="open")
    lock_balances(holds.values_list("balance__account_id", "balance__asset_id"))
    stop.until = _last_transfer()
    stop.save(update_fields=["until"])
    release(hold_ids=list(holds.values_list("pk", flat=True)), now=now)


def stopped_quantities(account_ids: Iterable[int]) -> dict[tuple[int, int], int]:
    """Return how many permits with stopped numbers lie in each (account, asset)."""
    found: dict[tuple[int, int], int] = {}
    for stop in SerialStop.objects.filter(until__isnull=True):
        for account, quantity in _parts(stop.asset_id, stop.first, stop.last, account_ids).items():
            found[account, stop.asset_id] = found.get((account, stop.asset_id), 0) + quantity
    return found


def _require_stoppable(asset_id: int, first: int, last: int) -> None:
    require(1 <= first <= last, "serials_out_of_order", "Give the first and the last number, the smaller one first.")
    issued = SerialBlock.objects.filter(asset=asset_id).aggregate(last=Max("last"))["last"] or 0
    require(last <= issued, "serials_not_issued", f"Numbers were issued up to {issued:,}. Stop no more than that.")
    require(
        not SerialStop.objects.filter(asset=asset_id, until__isnull=True, first__lte=last, last__gte=first).exists(),
        "serials_stopped_already",
        "Some of these numbers are stopped already. Stop the others only.",
    )


def _blocks(asset_id: int, first: int, last: int) -> "QuerySet[SerialBlock]":
    return SerialBlock.objects.filter(asset=asset_id, until__isnull=True, last__gte=first, first__lte=last)


def _parts(asset_id: int, first: int, last: int, account_ids: Iterable[int] | None = None) -> dict[int, int]:
    """Return by account how many numbers of a range lie in it."""
    blocks = _blocks(asset_id, first, last).order_by()
    if account_ids is not None:
        blocks = blocks.filter(balance__account_id__in=list(account_ids))
    found: dict[int, int] = {}
    lengths = blocks.annotate(n=Least(F("last"), last) - Greatest(F("first"), first) + 1)
    for account, length in lengths.values_list("balance__account_id", "n"):
        found[account] = found.get(account, 0) + length
    return found


def _hold(account_id: int, asset_id: int, quantity: int, reference: str, now: datetime) -> StoppedPart:
    balance = Balance.objects.get(account_id=account_id, asset_id=asset_id)
    held = quantity if balance.contra else min(quantity, balance.available)
    with _thawed(account_id):
        hold(account=account_id, asset=asset_id, quantity=held, purpose=PURPOSE, reference=reference, now=now)
    return StoppedPart(account_id, quantity, held)


def _lock_accounts(account_ids: Iterable[int]) -> None:
    """Lock accounts before their balances, as every change of an account's status does."""
    list(LedgerAccount.objects.select_for_update(no_key=True).filter(pk__in=list(account_ids)).order_by("pk"))


@contextmanager
def _thawed(account_id: int) -> Iterator[None]:
    """Let a hold be made in a frozen account: it is open for that alone, as its balances are locked meanwhile."""
    is_frozen = LedgerAccount.objects.filter(pk=account_id, status="frozen").exists()
    if is_frozen:
        unfreeze_account(account_id=account_id)
    yield
    if is_frozen:
        freeze_account(account_id=account_id)


def _last_transfer() -> int:
    """Return the highest id of a transfer; under the balances' locks, later transfers of theirs have higher ones."""
    return Transfer.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
