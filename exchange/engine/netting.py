"""Multilateral netting: what each account finally gives or gets of each asset when many trades settle together.

Source: exchange rules, section 6 (delivery versus payment model 3: permits and money both net, at the end of the
cycle). Quantities are permits and prices are minor units of money per permit, both whole numbers. Accounts and assets
are named by their ledger ids.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple


class Trade(NamedTuple):
    """One trade to settle: the buyer gets `quantity` of `permit` and pays the seller `quantity * price` of `money`."""

    buyer: int
    seller: int
    permit: int
    money: int
    quantity: int
    price: int


class Net(NamedTuple):
    """What an account gets (positive) or gives (negative) of one asset in the batch."""

    account: int
    asset: int
    amount: int


class Difference(NamedTuple):
    """A net that does not follow from the trades: what was posted, and what an auditor computes."""

    account: int
    asset: int
    posted: int
    recomputed: int


def net(trades: Iterable[Trade]) -> tuple[Net, ...]:
    """Return the nets of the trades, ordered by account and asset, without those that come to nothing.

    Nets of trades in several markets and currencies may be formed together; per asset they sum to zero.
    """
    amounts: dict[tuple[int, int], int] = defaultdict(int)
    for buyer, seller, permit, money, quantity, price in trades:
        assert quantity > 0 and price > 0 and permit != money
        value = quantity * price
        amounts[buyer, permit] += quantity
        amounts[seller, permit] -= quantity
        amounts[seller, money] += value
        amounts[buyer, money] -= value
    nets = tuple(Net(account, asset, amount) for (account, asset), amount in sorted(amounts.items()) if amount)
    assert not any(totals(nets).values()), "what one account gives, another gets"
    return nets


def totals(nets: Iterable[Net]) -> dict[int, int]:
    """Return the sum of the nets per asset, which is zero for each in a batch that balances."""
    sums: dict[int, int] = defaultdict(int)
    for _, asset, amount in nets:
        sums[asset] += amount
    return dict(sums)


def differences(trades: Iterable[Trade], posted: Iterable[Net]) -> tuple[Difference, ...]:
    """Return every net that an auditor computes otherwise from the trades than it was posted; empty when all is right.

    Adds up what each account received and what it gave apart from each other, on purpose a different road from that of
    `net`. A net posted twice counts twice.
    """
    received: Counter[tuple[int, int]] = Counter()
    given: Counter[tuple[int, int]] = Counter()
    for trade in trades:
        received[trade.buyer, trade.permit] += trade.quantity
        given[trade.seller, trade.permit] += trade.quantity
        received[trade.seller, trade.money] += trade.quantity * trade.price
        given[trade.buyer, trade.money] += trade.quantity * trade.price
    was: Counter[tuple[int, int]] = Counter()
    for account, asset, amount in posted:
        was[account, asset] += amount
    return tuple(
        Difference(*pair, posted=was[pair], recomputed=received[pair] - given[pair])
        for pair in sorted(received.keys() | given.keys() | was.keys())
        if was[pair] != received[pair] - given[pair]
    )
