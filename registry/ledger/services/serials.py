"""Serial numbers: which permits, by number, each account owns, derived from the transfers in the background.

The rule: an issuing account numbers permits upwards from 1 as it issues them, and every other account passes on those
it has had longest, lowest number first. So the whole history follows from the transfers alone, a stolen permit can be
traced through every hand, and posting pays nothing for it. Numbers that were stopped stay where they are
(`stops.py`): transfers made meanwhile pass them over.
"""

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Max

from registry.ledger.models import Asset, Balance, Mark, SerialBlock, SerialStop, Transfer

MARK = "serial_blocks"
_TRANSFERS_PER_STEP = 5_000
_PATIENCE_SECONDS = 2.0


def derive_serial_blocks() -> int:
    """Read the transfers that are new and move their permits' serial numbers; return how many transfers were read.

    Each step is one transaction with its own mark, so a run that is interrupted or doubled changes nothing.
    """
    settled = _settled_up_to()
    read = 0
    while step := _derive_step(settled):
        read += step
    return read


def _settled_up_to() -> int:
    """Return an id up to which no transfer can appear any more.

    A transaction that took a lower id than the highest visible one may still be under way. It locked the table before
    it took the id, so once every transaction that was writing to the table has ended, nothing below can come. If one
    of them runs for long, the next run tries again.
    """
    highest = Transfer.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    writing = _writing()
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while writing:
        if time.monotonic() > give_up:
            return 0
        time.sleep(0.02)
        writing &= _writing()
    return highest


def _writing() -> set[str]:
    """Return the other transactions that write transfers now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'"
            " AND relation = 'ledger_transfer'::regclass AND pid IS DISTINCT FROM pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return {transaction_id for (transaction_id,) in cursor.fetchall()}


@transaction.atomic(durable=True)
def _derive_step(settled: int) -> int:
    Mark.objects.get_or_create(name=MARK)
    mark = Mark.objects.select_for_update().get(name=MARK)  # one reader at a time
    transfers = list(Transfer.objects.filter(id__gt=mark.up_to, id__lte=settled).order_by("id")[:_TRANSFERS_PER_STEP])
    if not transfers:
        return 0
    permits = set(Asset.objects.filter(kind=Asset.Kind.PERMIT).values_list("id", flat=True))
    shelf = _Shelf([transfer for transfer in transfers if transfer.asset_id in permits])
    shelf.save()
    mark.up_to = transfers[-1].pk
    mark.save(update_fields=["up_to"])
    return len(transfers)


@dataclass
class _Block:
    """A block as it is being moved; `stored` is its row, if it has one."""

    first: int
    last: int
    since: int
    stored: int | None = None


class _Shelf:
    """The open blocks of every balance that a run of transfers debits, and what becomes of them."""

    def __init__(self, transfers: list[Transfer]) -> None:
        debits = {transfer.debit_id for transfer in transfers}
        self.contra = set(Balance.objects.filter(pk__in=debits, contra=True).values_list("pk", flat=True))
        self.issued: dict[int, int] = dict(
            SerialBlock.objects.filter(asset__in={transfer.asset_id for transfer in transfers})
            .values_list("asset_id")
            .annotate(Max("last"))
        )
        self.blocks: defaultdict[int, deque[_Block]] = defaultdict(deque)
        open_blocks = SerialBlock.objects.filter(balance__in=debits, until__isnull=True)
        for stored in open_blocks.order_by("balance", "since", "first"):
            self.blocks[stored.balance_id].append(_Block(stored.first, stored.last, stored.since, stored.pk))
        self.stops = list(
            SerialStop.objects.filter(asset__in={transfer.asset_id for transfer in transfers}).order_by("first")
        )
        self.changed: dict[int, tuple[int, int | None]] = {}  # a stored block's new first number and end
        self.added: list[SerialBlock] = []
        self.assets: dict[int, int] = {}
        for transfer in transfers:
            self._move(transfer)

    def save(self) -> None:
        """Write what changed: stored blocks first, so that what was cut off them finds its numbers free."""
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE ledger_serial_block b SET first = x.first, until = x.until"
                " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) x(id, first, until) WHERE b.id = x.id",
                [
                    list(self.changed),
                    [first for first, _ in self.changed.values()],
                    [until for _, until in self.changed.values()],
                ],
            )
        SerialBlock.objects.bulk_create([*self.added, *self._still_open()], batch_size=2_000)

    def _move(self, transfer: Transfer) -> None:
        self.assets[transfer.debit_id] = self.assets[transfer.credit_id] = transfer.asset_id
        arrived = self.blocks[transfer.credit_id]
        for first, last in sorted(self._take(transfer, transfer.amount)):
            if arrived and arrived[-1].since == transfer.pk and arrived[-1].last == first - 1:
                arrived[-1].last = last  # neighbours that come together stay together
            else:
                arrived.append(_Block(first, last, transfer.pk))

    def _take(self, transfer: Transfer, quantity: int) -> Iterator[tuple[int, int]]:
        """Yield the number ranges that leave the debited balance, oldest block first, without what is stopped."""
        blocks = self.blocks[transfer.debit_id]
        stops = [stop for stop in self.stops if stop.stays_in(transfer)]
        stopped: list[_Block] = []
        while quantity and blocks:
            block = blocks[0]
            stop = next((one for one in stops if one.last >= block.first), None)
            if stop is not None and stop.first <= block.first:
                stopped.append(blocks.popleft())
                if stop.last < block.last:
                    blocks.appendleft(self._cut(block, stop.last))
                continue
            last = min(block.last, block.first + quantity - 1)
            if stop is not None:
                last = min(last, stop.first - 1)
            quantity -= last - block.first + 1
            yield block.first, last
            self._end(block, last, transfer)
            if last == block.last:
                blocks.popleft()
            else:
                block.first = last + 1
        blocks.extendleft(reversed(stopped))
        if quantity:
            assert transfer.debit_id in self.contra, f"Transfer {transfer.pk} spends permits that nobody issued."
            first = self.issued.get(transfer.asset_id, 0) + 1
            self.issued[transfer.asset_id] = first + quantity - 1
            yield first, first + quantity - 1

    def _end(self, block: _Block, last: int, transfer: Transfer) -> None:
        """Record that the block's numbers up to `last` have left; what remains of it keeps its row."""
        is_whole = last == block.last
        if block.stored is not None:
            self.changed[block.stored] = (block.first, transfer.pk) if is_whole else (last + 1, None)
        if block.stored is None or not is_whole:
            self.added.append(
                SerialBlock(
                    asset_id=transfer.asset_id,
                    first=block.first,
                    last=last,
                    balance_id=transfer.debit_id,
                    since=block.since,
                    until=transfer.pk,
                )
            )

    def _cut(self, block: _Block, last: int) -> _Block:
        """End a block at a number and return what follows, which keeps its row."""
        rest = _Block(last + 1, block.last, block.since, block.stored)
        if block.stored is not None:
            self.changed[block.stored] = (rest.first, None)
        block.last, block.stored = last, None
        return rest

    def _still_open(self) -> Iterable[SerialBlock]:
        for balance_id, blocks in self.blocks.items():
            for block in blocks:
                if block.stored is None:
                    yield SerialBlock(
                        asset_id=self.assets[balance_id],
                        first=block.first,
                        last=block.last,
                        balance_id=balance_id,
                        since=block.since,
                    )
