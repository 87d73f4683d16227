"""Estimates, in binary floats and never legal figures: the price that a cap implies, and what firms would do at it.

Every function is named `estimated_*`: nothing here may enter an obligation, an allocation or a balance. The cap page
shows the price that a target cut implies before a cap is published (policy decision 9); the simulator and its tests use
the rest. The model is that of policy chapter 3: a firm takes the price as given, complies, and chooses its use x.

- Use x is in FLOP (or any unit of compute), a permit covers what the scheme says, `intensity` E is permits per unit of
  use, `cost` a is money per unit of use, the price p is money per permit. Any consistent units will do.
- A firm values x at v(x) = -s x^-k with k > 0; free permits are L + beta x, where beta is what updating gives back.
- Its optimum is v'(x) = a + p (E - beta) (policy chapter 3.2).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

STEPS = 200
"""Halvings of an interval: enough to reach neighbouring floats from any start."""


@dataclass(frozen=True)
class Firm:
    """A firm that values compute at -scale x use^-curvature and pays `cost` for each unit of it.

    `intensity` is permits per unit of use, `lump_sum` free permits whatever it uses, `updating` free permits that each
    unit of its own use earns it.
    """

    cost: float
    scale: float = 1.0
    curvature: float = 1.0
    intensity: float = 1.0
    lump_sum: float = 0.0
    updating: float = 0.0

    def __post_init__(self) -> None:
        assert self.cost > 0 and self.scale > 0 and self.curvature > 0 and self.intensity > 0

    @property
    def exposure(self) -> float:
        """How many permits one more unit of use costs on balance: tau = E - beta."""
        return self.intensity - self.updating


@dataclass(frozen=True)
class Market:
    """An equilibrium: the price, each firm's use in its own unit, and the permits it sells (below zero, buys)."""

    price: float
    uses: tuple[float, ...]
    sales: tuple[float, ...]


@dataclass(frozen=True)
class Abater:
    """A firm with a linear marginal cost of abatement: `slope` x the permits of use that it avoids."""

    usual_use: float
    slope: float
    allocation: float

    def __post_init__(self) -> None:
        assert self.usual_use >= 0 and self.slope > 0 and self.allocation >= 0


@dataclass(frozen=True)
class AbatementMarket:
    """The equilibrium among linear abaters, its cost, and the cost if all cut by the same number of permits."""

    price: float
    uses: tuple[float, ...]
    sales: tuple[float, ...]
    cost: float
    cost_of_equal_cuts: float

    @property
    def gain(self) -> float:
        """What trade saves against equal cuts."""
        return self.cost_of_equal_cuts - self.cost


@dataclass(frozen=True)
class CallAuction:
    """One call on whole permits with truthful unit values: what trades, and between which prices it clears."""

    volume: int
    lowest_price: float
    highest_price: float
    surplus: float

    @property
    def middle_price(self) -> float:
        """The middle of the clearing interval."""
        return (self.lowest_price + self.highest_price) / 2


@dataclass(frozen=True)
class BankingPath:
    """Two periods: price and use of each, the permits carried from the first to the second, and the discounted cost."""

    prices: tuple[float, float]
    uses: tuple[float, float]
    bank: float
    present_cost: float


@dataclass(frozen=True)
class Rebound:
    """What became of a gain in efficiency: use in permits before, after, and as expected without any reaction."""

    before: float
    after: float
    expected: float

    @property
    def share(self) -> float:
        """The part of the expected saving that more use takes back; above 1 it backfires."""
        return (self.after - self.expected) / (self.before - self.expected)


def estimated_use(firm: Firm, price: float) -> float:
    """Estimate a firm's use at a permit price: (s k / (a + p tau))^(1/(k+1)), infinite where use is paid for."""
    full_cost = firm.cost + price * firm.exposure
    return inf if full_cost <= 0 else _root(firm.scale * firm.curvature / full_cost, firm.curvature + 1)


def estimated_use_without_trade(firm: Firm) -> float:
    """Estimate a firm's use under a cap of its own without trade: its free use, or what its lump sum covers."""
    return min(estimated_use(firm, 0.0), firm.lump_sum / firm.intensity)


def estimated_sales(firm: Firm, price: float) -> float:
    """Estimate the permits a firm sells at a price; below zero it buys them."""
    return firm.lump_sum - firm.exposure * estimated_use(firm, price)


def estimated_utility(firm: Firm, price: float) -> float:
    """Estimate what a firm is left with, in money: value less cost of use plus the worth of what it sells."""
    use = estimated_use(firm, price)
    value = float(-firm.scale * use**-firm.curvature)
    return value - firm.cost * use + price * estimated_sales(firm, price)


def estimated_price_for_cut(cost: float, cut: float, *, exposure: float = 1.0, curvature: float = 1.0) -> float:
    """Estimate the permit price that makes a firm cut its use by a share: a ((1 - cut)^-(k+1) - 1) / tau.

    With k = 1 a cut of 5 % takes 10.8 % of the cost of compute, 20 % takes 56.3 %, a half takes 300 %. At prices like
    those of carbon permits, well below one per cent of that cost, compute hardly falls (policy chapter 3.7).
    """
    assert 0 <= cut < 1 and exposure > 0 and cost > 0 and curvature > 0
    return float(cost * ((1 - cut) ** -(curvature + 1) - 1) / exposure)


def estimated_cut(cost: float, price: float, *, exposure: float = 1.0, curvature: float = 1.0) -> float:
    """Estimate the share by which a firm cuts its use at a permit price: the inverse of `estimated_price_for_cut`."""
    return 1 - _root(cost / (cost + price * exposure), curvature + 1)


def estimated_market(firms: Sequence[Firm], cap: float) -> Market:
    """Estimate the price at which a cap is just used, by halving (Montgomery 1972; policy chapter 3.3).

    The price is zero where the cap does not bind. It is unique, and depends on who got the permits only where free
    permits follow use. Where updating pays firms to use more, no price fills the cap; that is an error of the caller.
    """
    assert cap > 0 and all(firm.exposure > 0 for firm in firms)

    def wanted(price: float) -> float:
        return sum(firm.intensity * estimated_use(firm, price) for firm in firms)

    price = _price_at_which(wanted, cap)
    uses = tuple(estimated_use(firm, price) for firm in firms)
    return Market(price, uses, tuple(estimated_sales(firm, price) for firm in firms))


def estimated_grandfathering(firms: Sequence[Firm], cap: float) -> tuple[float, ...]:
    """Estimate the lump sums where a cap is shared in proportion to use without a scheme."""
    usual = [firm.intensity * estimated_use(firm, 0.0) for firm in firms]
    return tuple(cap * use / sum(usual) for use in usual)


def estimated_abatement_market(firms: Sequence[Abater]) -> AbatementMarket:
    """Estimate the equilibrium of firms whose marginal abatement cost is linear; nobody abates more than it uses."""
    cap = sum(firm.allocation for firm in firms)
    price = _price_at_which(lambda at: sum(_use_of_abater(firm, at) for firm in firms), cap)
    uses = tuple(_use_of_abater(firm, price) for firm in firms)
    equal = max(0.0, sum(firm.usual_use for firm in firms) - cap) / len(firms)
    return AbatementMarket(
        price=price,
        uses=uses,
        sales=tuple(firm.allocation - use for firm, use in zip(firms, uses, strict=True)),
        cost=sum(firm.slope * (firm.usual_use - use) ** 2 / 2 for firm, use in zip(firms, uses, strict=True)),
        cost_of_equal_cuts=sum(firm.slope * equal**2 / 2 for firm in firms),
    )


def estimated_call_auction(firms: Sequence[Abater]) -> CallAuction:
    """Estimate one call on whole permits where every firm tells its true unit values (policy example W3).

    A firm that holds h values the next permit at c (bau - h - 1/2) and gives up its last at c (bau - h + 1/2).
    """
    bids = sorted(
        (
            firm.slope * (firm.usual_use - held - 0.5)
            for firm in firms
            for held in range(int(firm.allocation), int(firm.usual_use))
        ),
        reverse=True,
    )
    asks = sorted(
        firm.slope * max(0.0, firm.usual_use - held + 0.5)
        for firm in firms
        for held in range(int(firm.allocation), 0, -1)
    )
    volume = sum(bid > ask for bid, ask in zip(bids, asks, strict=False))
    low = max([*asks[volume - 1 : volume], *bids[volume : volume + 1]], default=0.0)
    high = min([*bids[volume - 1 : volume], *asks[volume : volume + 1]], default=inf)
    return CallAuction(volume, low, high, sum(bids[:volume]) - sum(asks[:volume]))


def estimated_banking_path(
    *, usual_use: float, slope: float, caps: tuple[float, float], interest: float, bank_limit: float = inf
) -> BankingPath:
    """Estimate two periods with banking and without borrowing (Rubin 1996; policy chapter 3.4).

    Marginal cost is slope x abatement in both. Permits are banked until the price rises with the interest, up to the
    limit; a limit of zero shows the prices without banking.
    """
    assert usual_use >= max(caps) >= 0 and slope > 0 and interest > -1 and bank_limit >= 0
    wanted = ((usual_use - caps[1]) - (1 + interest) * (usual_use - caps[0])) / (2 + interest)
    bank = min(max(0.0, wanted), bank_limit, caps[0])
    uses = (caps[0] - bank, caps[1] + bank)
    prices = (slope * (usual_use - uses[0]), slope * (usual_use - uses[1]))
    costs = [slope * (usual_use - use) ** 2 / 2 for use in uses]
    return BankingPath(prices, uses, bank, costs[0] + costs[1] / (1 + interest))


def estimated_rebound(
    *,
    base_cost: float,
    energy_cost: float,
    price: float,
    before: float,
    after: float,
    curvature: float = 1.0,
    power: float | None = None,
) -> Rebound:
    """Estimate how much of a gain in efficiency more use takes back (policy chapter 3.5).

    Use costs a0 + (c_E + p) E, and E, the intensity, goes from `before` to `after`. With value -x^-k the efficient firm
    always uses fewer permits; with `power` m and value x^m, 0 < m < 1, it may use more: both forms are needed.
    """
    assert before > 0 and after > 0 and (power is None or 0 < power < 1)

    def use(intensity: float) -> float:
        cost = base_cost + (energy_cost + price) * intensity
        return _root(curvature / cost, curvature + 1) if power is None else _root(power / cost, 1 - power)

    return Rebound(before * use(before), after * use(after), after * use(before))


def estimated_use_elasticity(energy_share: float, *, curvature: float = 1.0, power: float | None = None) -> float:
    """Estimate d ln(E x) / d ln E: by how many per cent a firm's use of permits follows one per cent of its intensity.

    1 - theta/(k+1), or 1 - theta/(1-m) with power utility; below zero, efficiency backfires. `energy_share` is theta,
    the part of the cost of use that follows the intensity.
    """
    return 1 - energy_share / (curvature + 1 if power is None else 1 - power)


def estimated_updating(benchmark: float, *, interest: float, lags: Iterable[int] = (0,)) -> float:
    """Estimate beta, the worth today of the free permits that one unit of use earns: a benchmark discounted by its lag.

    Several lags are a rolling mean: (1, 2) is the mean of the two years before, with weights (d + d^2) / 2.
    """
    years = tuple(lags)
    return benchmark * sum((1 + interest) ** -lag for lag in years) / len(years)


def estimated_price_share(price: float, cost: float) -> float:
    """Estimate the permit price as a share of the cost of the compute that one permit covers (policy chapter 3.7)."""
    assert cost > 0
    return price / cost


def estimated_prices_for_cuts(cost: float, cuts: Iterable[float], *, curvature: float = 1.0) -> Mapping[float, float]:
    """Estimate the price for each of several cuts, for the table on the cap page."""
    return {cut: estimated_price_for_cut(cost, cut, curvature=curvature) for cut in cuts}


def _use_of_abater(firm: Abater, price: float) -> float:
    return max(0.0, firm.usual_use - price / firm.slope)


def _price_at_which(wanted: Callable[[float], float], cap: float) -> float:
    """Return the price at which a falling demand meets a cap, by halving; 0 where it is not above the cap."""
    if wanted(0.0) <= cap:
        return 0.0
    low, high = 0.0, 1.0
    while wanted(high) > cap:
        low, high = high, high * 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if wanted(middle) > cap else (low, middle)
    return high


def _root(value: float, degree: float) -> float:
    """Return the degree-th root of a positive number; a square root by its own, more exact, function."""
    return sqrt(value) if degree == 2 else float(value ** (1 / degree))
