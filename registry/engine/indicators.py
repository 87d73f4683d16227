"""Indicators: the figures by which a regulator and the public judge a market, each from its published formula.

Every result is exact (rule R1), a whole number of permits or a fraction; whoever shows a figure rounds it for the eye.
An indicator that would divide by nothing answers with a refusal: "no trade yet" is another message than nought.

| function | formula | unit |
|---|---|---|
| `circulation` | minted + imported - verified use - cancelled - reserve | permits |
| `supply_check` | the parts of a cap against the cap | permits |
| `cover_ratio` | bid for / offered | ratio |
| `auction_premium` | clearing price / average price - 1 | ratio |
| `turnover` | volume / circulating | ratio |
| `corridor_position` | (price - floor) / (ceiling - floor) | 0 at the floor, 1 at the ceiling |
| `average_price` | sum of price x quantity / sum of quantity | money a permit |
| `hhi` | sum of the squared percent shares | 0 to 10,000 |
| `top_share` | the n largest / all | ratio |
| `minimum_audit_rate` | p / (f + m p) | ratio |
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact


@dataclass(frozen=True)
class SupplyCheck:
    """The parts of one cap beside the cap: where every permit of a year went, in permits.

    `difference` is what the parts have too much (or, below zero, too little); a right split has none.
    """

    cap: int
    total: int
    difference: int

    @property
    def is_complete(self) -> bool:
        """Whether the parts are the whole cap, to the permit."""
        return not self.difference


def circulation(*, minted: int, imported: int, verified_use: int, cancelled: int, reserve: int) -> int:
    """Return the permits in circulation: what a stability reserve looks at.

    All figures are cumulative since the scheme began and in whole permits, so nothing is rounded. The result may be
    negative: where permits may be borrowed, more can have been used than was issued.

    Source: the total number of allowances in circulation of the EU [EU-TNAC].
    """
    return minted + imported - verified_use - cancelled - reserve


def supply_check(*, cap: int, parts: Mapping[str, int]) -> SupplyCheck:
    """Compare the parts of a year's supply (free, auctioned, set aside, reserves ...) with its cap, in permits.

    The check every published supply has to pass.
    """
    total = sum(parts.values())
    return SupplyCheck(cap, total, total - cap)


def cover_ratio(*, bid: int, offered: int) -> Fraction | Refusal:
    """Return how many times an auction was covered: the permits bid for over the permits offered.

    Source: the auction reports of RGGI (2.7 in auction 37) [RGGI-MM].
    """
    if offered <= 0:
        return Refusal("nothing_offered", "A cover ratio needs an auction that offered permits.")
    return Fraction(bid, offered)


def auction_premium(*, clearing_price: Exact, average_price: Exact) -> Fraction | Refusal:
    """Return how far an auction cleared above the average price of the market; below zero it cleared cheaper.

    Both prices in the same unit of money; the average of the last 30 days by quantity.

    A usual figure of market monitors [RGGI-MM].
    """
    average = exact(average_price)
    if average <= 0:
        return Refusal("no_average_price", "A premium needs an average price of the market above nought.")
    return exact(clearing_price) / average - 1


def turnover(*, volume: int, circulating: int) -> Fraction | Refusal:
    """Return how often the permits in circulation changed hands: permits traded over permits circulating.

    A usual figure of market monitors [RGGI-MM].
    """
    if circulating <= 0:
        return Refusal("nothing_circulates", "Turnover needs permits in circulation.")
    return Fraction(volume, circulating)


def corridor_position(*, price: Exact, floor: Exact, ceiling: Exact) -> Fraction | Refusal:
    """Return where a price lies between floor (0) and ceiling (1); beyond them the figure leaves that range.

    A usual figure of market monitors [RGGI-MM].
    """
    low, high = exact(floor), exact(ceiling)
    if high <= low:
        return Refusal("no_corridor", "The ceiling must lie above the floor: correct one of the two price paths.")
    return (exact(price) - low) / (high - low)


def average_price(trades: Iterable[tuple[Exact, int]]) -> Fraction | Refusal:
    """Return the average price by quantity of (price, quantity) pairs.

    The volume-weighted average price.
    """
    money, permits = Fraction(0), 0
    for price, quantity in trades:
        money += exact(price) * quantity
        permits += quantity
    if permits <= 0:
        return Refusal("nothing_traded", "An average price needs at least one trade.")
    return money / permits


def hhi(holdings: Mapping[str, int]) -> Fraction | Refusal:
    """Return the Herfindahl-Hirschman index: the sum of the squared percent shares of the groups.

    10,000 is one group alone, 10,000/n is n equal groups. The same function serves holdings, purchases and sales.

    A usual figure of market monitors [RGGI-MM].
    """
    total = sum(holdings.values())
    if total <= 0 or min(holdings.values()) < 0:
        return _nothing_held()
    return Fraction(10_000 * sum(held * held for held in holdings.values()), total * total)


def top_share(holdings: Mapping[str, int], largest: int = 5) -> Fraction | Refusal:
    """Return the share that the largest groups hold together.

    A usual figure of market monitors, often for five [RGGI-MM].
    """
    total = sum(holdings.values())
    if total <= 0 or min(holdings.values()) < 0:
        return _nothing_held()
    return Fraction(sum(sorted(holdings.values(), reverse=True)[: max(0, largest)]), total)


def minimum_audit_rate(*, price: Exact, fine: Exact, permits_owed: Exact) -> Fraction | Refusal:
    """Return the audit rate above which the truth is the cheapest report: q_min = p / (f + m p).

    Who hides one permit of use saves the price `p`; if found, with probability `q`, that costs `f` in cash and `m`
    permits at the same price. Truth is optimal if q (f + m p) >= p. A rate above 1 says that no audit is enough and the
    sanction itself is too small. Price and fine in the same unit of money.

    Source: 1/4 where m = 4 (California, Quebec), 1/3 where m = 3 (RGGI), 3/7 in the EU at a price of 75.
    """
    saved, cash, multiple = exact(price), exact(fine), exact(permits_owed)
    if min(saved, cash, multiple) < 0:
        return Refusal("negative_sanction", "Price, fine and permits owed are never negative.")
    cost = cash + multiple * saved
    if not cost:
        return Refusal("no_sanction", "Without a fine and without permits owed, no audit rate makes the truth pay.")
    return saved / cost


def _nothing_held() -> Refusal:
    return Refusal("nothing_held", "Concentration needs holdings that are above nought together and never negative.")
