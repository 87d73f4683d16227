"""A second tally of the ledger, by another path than the books: plain arithmetic over a list of movements.

The books keep running balances in SQL and serial blocks in steps with a mark. Here every movement is walked once, in
its order, with sums and queues in memory and no database: whatever the books got wrong, this gets differently.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Range = tuple[int, int]
"""Serial numbers from the first to the last, both included."""


@dataclass(frozen=True)
class Movement:
    """One transfer: from one balance to another, with its number in each balance's list of entries."""

    id: int
    asset: int
    debit: int
    credit: int
    amount: int
    debit_seq: int
    credit_seq: int


@dataclass(frozen=True)
class Stop:
    """Numbers of an asset that movements above `since`, and up to `until`, pass over."""

    asset: int
    numbers: Range
    since: int
    until: int | None


@dataclass
class Tally:
    """Totals and counts of entries by balance, and serial numbers by balance where they were asked for."""

    totals: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    entries: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    serials: defaultdict[int, deque[Range]] = field(default_factory=lambda: defaultdict(deque))
    unissued: set[int] = field(default_factory=set)
    """Balances that passed on permits nobody had issued to them."""


def tally(
    movements: Iterable[Movement],
    *,
    entries_booked: Mapping[int, int],
    numbered_assets: frozenset[int],
    numbered_up_to: int,
    issuers: frozenset[int],
    stops: Sequence[Stop] = (),
) -> Tally:
    """Count the movements that the books had when they were read.

    `entries_booked` says of each balance how many entries its books then had: later ones are left out, so that the
    ledger may go on while we count. Serial numbers are followed for the assets in `numbered_assets`, in movements up
    to `numbered_up_to`: issuers number upwards from 1, everybody else passes on what it has had longest and what no
    stop keeps.
    """
    found = Tally()
    next_number: defaultdict[int, int] = defaultdict(lambda: 1)
    for one in movements:
        if one.debit_seq <= entries_booked.get(one.debit, 0):
            found.totals[one.debit] -= one.amount
            found.entries[one.debit] += 1
        if one.credit_seq <= entries_booked.get(one.credit, 0):
            found.totals[one.credit] += one.amount
            found.entries[one.credit] += 1
        if one.asset in numbered_assets and one.id <= numbered_up_to:
            staying = [
                stop.numbers
                for stop in stops
                if stop.asset == one.asset and stop.since < one.id and (stop.until is None or one.id <= stop.until)
            ]
            taken, missing = _take(found.serials[one.debit], one.amount, staying)
            if missing:
                if one.debit not in issuers:
                    found.unissued.add(one.debit)
                first = next_number[one.asset]
                next_number[one.asset] += missing
                taken.append((first, first + missing - 1))
            found.serials[one.credit].extend(sorted(taken))
    return found


def same_numbers(one: Iterable[Range], other: Iterable[Range]) -> bool:
    """Say whether two lists of ranges name the same numbers, however they are cut."""
    return _joined(one) == _joined(other)


def count(ranges: Iterable[Range]) -> int:
    """Return how many numbers the ranges name."""
    return sum(last - first + 1 for first, last in ranges)


def in_both(one: Iterable[Range], other: Iterable[Range]) -> int:
    """Return how many numbers two lists of ranges have in common."""
    left, right = deque(_joined(one)), deque(_joined(other))
    common = 0
    while left and right:
        common += max(0, min(left[0][1], right[0][1]) - max(left[0][0], right[0][0]) + 1)
        (left if left[0][1] <= right[0][1] else right).popleft()
    return common


def _take(queue: deque[Range], quantity: int, staying: Sequence[Range] = ()) -> tuple[list[Range], int]:
    """Take numbers from the front of a queue, but for those that stay; return them and how many were missing."""
    if staying:
        return _take_around(queue, quantity, staying)
    taken: list[Range] = []
    while quantity and queue:
        first, last = queue.popleft()
        cut = min(last, first + quantity - 1)
        taken.append((first, cut))
        quantity -= cut - first + 1
        if cut < last:
            queue.appendleft((cut + 1, last))
    return taken, quantity


def _take_around(queue: deque[Range], quantity: int, staying: Sequence[Range]) -> tuple[list[Range], int]:
    """Cut the queue at the edges of what stays, so that each piece stays or goes whole; then take those that go."""
    edges = sorted({edge for first, last in staying for edge in (first, last + 1)})
    pieces: list[Range] = []
    for first, last in queue:
        starts = [first, *(edge for edge in edges if first < edge <= last)]
        pieces += zip(starts, [*(start - 1 for start in starts[1:]), last], strict=True)
    going = deque(piece for piece in pieces if not any(first <= piece[0] <= last for first, last in staying))
    taken, missing = _take(going, quantity)
    kept = {piece[1]: piece for piece in going}
    queue.clear()
    for piece in pieces:
        if any(first <= piece[0] <= last for first, last in staying):
            queue.append(piece)
        elif piece[1] in kept:
            queue.append(kept[piece[1]])
    return taken, missing


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """Sort ranges and join neighbours."""
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and joined[-1][1] == first - 1:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
