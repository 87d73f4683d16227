"""The rules of a scheme that are in force on one day, as one frozen value that every engine reads.

Rates and shares are exact decimals, permits and minor units of money whole numbers, years are calendar years of use.
The parts follow the chapters of a scheme's rule document; `registry.engine.parameters` names every leaf with its unit,
bounds and rounding rule, and reads a document into a `Policy`. Nothing here computes: the engines do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any


def _empty() -> Mapping[Any, Any]:
    return MappingProxyType({})


class CapType(StrEnum):
    """Whether the total is fixed, or follows from what is given to each operator."""

    ABSOLUTE = "ABSOLUTE"
    INTENSITY = "INTENSITY"


class Regime(StrEnum):
    """How much of the scheme applies to an operator."""

    FULL = "FULL"
    TARGET_ONLY = "TARGET_ONLY"
    NOTIFY_ONLY = "NOTIFY_ONLY"
    OPT_IN = "OPT_IN"
    REPORT_ONLY = "REPORT_ONLY"


class BankingMode(StrEnum):
    """What may be carried into the next period."""

    UNLIMITED = "UNLIMITED"
    NONE = "NONE"
    PCT_PLUS = "PCT_PLUS"
    NET_SALES = "NET_SALES"


class SanctionMode(StrEnum):
    """What a missing permit costs: money, permits, or a multiple of the price."""

    CASH = "CASH"
    PERMITS = "PERMITS"
    PRICE_MULT = "PRICE_MULT"


class UnsoldRule(StrEnum):
    """Where permits go that an auction did not sell."""

    ROLL_YEAR = "ROLL_YEAR"
    SPREAD = "SPREAD"
    TO_RESERVE = "TO_RESERVE"
    CANCEL = "CANCEL"


@dataclass(frozen=True)
class Bridge:
    """One dated conversion between compute, energy and emissions, with where it comes from."""

    on: date
    region: str
    joules_per_flop: Decimal
    grams_per_kwh: Decimal
    source: str


@dataclass(frozen=True)
class Unit:
    """What one permit covers, and how other units relate to it. `size` is in FLOP, or in grams of CO2e."""

    metric: str
    size: Decimal
    precision_weights: Mapping[str, Decimal] = field(default_factory=_empty)
    bridge: tuple[Bridge, ...] = ()


@dataclass(frozen=True)
class Tier:
    """A regime and who falls into it. Thresholds are in permits of use a year; `None` is no bound.

    An operator enters above `threshold_in` and leaves after `exit_after` consecutive reports at or below
    `threshold_out`. `measure` names what is compared: use, training_flop, inference_flop, it_kw or kwh.
    """

    regime: Regime
    measure: str = "use"
    threshold_in: Decimal | None = None
    threshold_out: Decimal | None = None
    exit_after: int = 3
    notify_by: str | None = None
    min_stay_years: int = 0
    target: int | None = None
    avoided_cost_minor: int = 0


@dataclass(frozen=True)
class Scope:
    """What is covered, where, and who answers for it."""

    activities: tuple[str, ...] = ("inference",)
    basis: str = "located"
    obligated_party: str = "deployer"
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True)
class OneOff:
    """A single change of the cap of one year, in permits (below zero takes away), with its reason.

    `reference` is what a change of scope adds to the fixed reference of the yearly reduction from that year on.
    """

    year: int
    permits: int
    reason: str
    reference: int = 0


@dataclass(frozen=True)
class LinearFormula:
    """cap(year) = a - b x (year - base_year), for years after `base_year`."""

    a: int
    b: int
    base_year: int


@dataclass(frozen=True)
class CapRule:
    """How the cap of each year follows. A year in `table` is taken as it stands; other years follow the formula, or
    the yearly reduction `reduction[from year] x reference` counted down from `start`."""

    type: CapType = CapType.ABSOLUTE
    table: Mapping[int, int] = field(default_factory=_empty)
    start_year: int | None = None
    start: int | None = None
    reference: int | None = None
    reduction: Mapping[int, Decimal] = field(default_factory=_empty)
    one_off: tuple[OneOff, ...] = ()
    scope_change: tuple[OneOff, ...] = ()
    formula: LinearFormula | None = None
    offsets_under_cap: bool = False
    lock_years: int = 0


@dataclass(frozen=True)
class MethodRule:
    """One way of giving free permits for a product: which output counts, which benchmark, which factors.

    `kind` is AI_ALLOWANCE, PRODUCT_BENCHMARK, GRANDFATHERING (mean) or GRANDFATHERING_MEDIAN. `lag` is how many years
    before the year of use the output was made; `base_years` are the years of a grandfathering.
    """

    kind: str
    product: str
    lag: int = 2
    base_years: tuple[int, ...] = ()
    share: Decimal = Decimal(1)
    pre_share: Decimal = Decimal(1)


@dataclass(frozen=True)
class BenchmarkRule:
    """A product's benchmark: fixed by `value` in base units per unit of output, or taken from the population.

    `method` is FIXED, TOP_PCT or PCT_OF_MEAN. An update moves the old value by a yearly rate clamped to
    `rate_lo`..`rate_hi` over `years`.
    """

    product: str
    method: str = "FIXED"
    value: Decimal | None = None
    pct: Decimal = Decimal("0.10")
    rate_lo: Decimal = Decimal(0)
    rate_hi: Decimal = Decimal(0)
    years: int = 0
    min_population: int = 1


@dataclass(frozen=True)
class SetAside:
    """A share of the cap kept for a cohort: PRO_RATA up to proven need; what is left goes to `leftover`."""

    cohort: str
    share: Decimal
    rule: str = "PRO_RATA"
    leftover: str = "auction"


@dataclass(frozen=True)
class NewEntrants:
    """A share of the cap for operators that begin, first come first served; what is left goes to `leftover`."""

    share: Decimal
    leftover: str = "auction"


@dataclass(frozen=True)
class Conditionality:
    """A cut of an operator's free permits where a named condition is not met."""

    condition: str
    cut: Decimal


@dataclass(frozen=True)
class AllocationRule:
    """How the cap is divided: the free share and its methods, set-asides, new entrants, and the rest to auction."""

    free_share: Decimal = Decimal(1)
    methods: tuple[MethodRule, ...] = ()
    benchmarks: tuple[BenchmarkRule, ...] = ()
    activity_threshold: Decimal = Decimal("0.15")
    true_up: bool = False
    correction_factor: bool = True
    cap_factor: Mapping[int, Decimal] = field(default_factory=_empty)
    assistance: Mapping[str, Decimal] = field(default_factory=_empty)
    leakage: Mapping[str, Mapping[int, Decimal]] = field(default_factory=_empty)
    conditionality: tuple[Conditionality, ...] = ()
    set_asides: tuple[SetAside, ...] = ()
    new_entrants: NewEntrants | None = None
    consign: tuple[str, ...] = ()


@dataclass(frozen=True)
class Banking:
    """How many unused permits may be carried over."""

    mode: BankingMode = BankingMode.UNLIMITED
    pct: Decimal = Decimal(0)
    fixed: int = 0
    multiple: Decimal = Decimal(0)
    deduct_excess: bool = False


@dataclass(frozen=True)
class TimeRule:
    """Periods, banking, borrowing and vintages. `expires_after` counts years after the vintage; `None` never."""

    period_years: int = 1
    annual_share: tuple[Decimal, ...] = (Decimal(1),)
    banking: Banking = Banking()
    borrow_share: Decimal = Decimal(0)
    borrow_interest: Decimal = Decimal(0)
    vintage_rule: str = "SAME_OR_EARLIER"
    expires_after: int | None = None


@dataclass(frozen=True)
class StabilityReserve:
    """A quantity-triggered reserve on the number of permits in circulation.

    Above `mid` the intake is `intake` x circulation; between `upper` and `mid` it is circulation - `upper`; below
    `lower` the reserve releases `release`. Flows are spread over `months` from `start_month`. Holdings above
    `invalidate_above` are cancelled; `None` never.
    """

    upper: int
    lower: int
    intake: Decimal
    release: int
    mid: int | None = None
    invalidate_above: int | None = None
    start_month: int = 9
    months: int = 12


@dataclass(frozen=True)
class PricePath:
    """A price that starts in one year and rises yearly by a real rate plus the index of that year, by rule R5."""

    start_year: int
    start: Decimal
    real: Decimal = Decimal(0)
    index: Mapping[int, Decimal] = field(default_factory=_empty)


@dataclass(frozen=True)
class ContainmentTier:
    """More permits above a trigger price. The quantity is fixed, or a share of the year's cap."""

    trigger: PricePath
    quantity: int | None = None
    share: Decimal | None = None
    rolls_over: bool = False


@dataclass(frozen=True)
class EmissionsContainment:
    """Fewer permits below a trigger price: up to this share of the year's cap is withheld for good."""

    trigger: PricePath
    share: Decimal


@dataclass(frozen=True)
class Ceiling:
    """Permits at a fixed price, where asked for with proof of need."""

    path: PricePath
    need_proof: bool = True


@dataclass(frozen=True)
class Spike:
    """Where the recent average price exceeds `multiple` x the reference average, `quantity` may be released."""

    multiple: Decimal
    quantity: int
    recent_months: int = 6
    reference_months: int = 24


@dataclass(frozen=True)
class ReleaseRule:
    """`quantity` leaves the reserve when a measure crosses `threshold`, at most `times_a_year`.

    `measure` is PRICE_ABOVE (money a permit) or CIRCULATION_BELOW (permits). Between `threshold` and `smooth_from`,
    where less and less leaves, a circulation at `smooth_from` releases nothing.
    """

    name: str
    measure: str
    threshold: Decimal
    quantity: int
    times_a_year: int = 1
    smooth_from: Decimal | None = None


@dataclass(frozen=True)
class Unsold:
    """What becomes of permits that an auction did not sell."""

    rule: UnsoldRule = UnsoldRule.ROLL_YEAR
    auctions: int = 4
    cap_pct: Decimal = Decimal("1.25")


@dataclass(frozen=True)
class SupplyRule:
    """Reserves and price controls."""

    msr: StabilityReserve | None = None
    ccr: tuple[ContainmentTier, ...] = ()
    ecr: EmissionsContainment | None = None
    floor: PricePath | None = None
    ceiling: Ceiling | None = None
    spike: Spike | None = None
    releases: tuple[ReleaseRule, ...] = ()
    unsold: Unsold = Unsold()
    sealed_reserve: bool = False


@dataclass(frozen=True)
class HoldingLimit:
    """floor(p1 x min(base, cap) + p2 x max(0, cap - base)) permits for a group; with `exemption`, permits in a
    compliance account up to the verified obligation do not count."""

    p1: Decimal
    base: int
    p2: Decimal
    exemption: bool = True


@dataclass(frozen=True)
class OffsetQuota:
    """At most this share of an obligation in offsets, with narrower shares by tag."""

    pct: Decimal
    sub: Mapping[str, Decimal] = field(default_factory=_empty)


@dataclass(frozen=True)
class LimitRule:
    """Limits on holdings, purchases, prices and offsets. `transfer` is the largest single transfer, in permits."""

    holding: HoldingLimit | None = None
    purchase: Mapping[str, Decimal] = field(default_factory=_empty)
    lot: int = 1
    price_band: Decimal | None = None
    offset: OffsetQuota | None = None
    transfer: int | None = None
    cure_days: int = 5


@dataclass(frozen=True)
class Link:
    """A partner scheme whose permits are taken: rates are what one foreign permit is worth here, and back."""

    partner: str
    direction: str
    rate_in: Decimal
    rate_out: Decimal
    net_cap: int | None = None


@dataclass(frozen=True)
class Calendar:
    """The days of the year, as MM-DD with the year counted from the year of use: 0 is that year, 1 the next."""

    parameters_final: tuple[int, str] = (-1, "09-30")
    floor_price: tuple[int, str] = (-1, "12-01")
    issue: tuple[int, str] = (0, "01-01")
    allocation: tuple[int, str] = (0, "02-28")
    self_report: tuple[int, str] = (1, "01-31")
    verified_report: tuple[int, str] = (1, "03-31")
    true_up: tuple[int, str] = (1, "05-15")
    indicator: tuple[int, str] = (1, "06-01")
    reserve_sale: tuple[int, str] = (1, "09-15")
    surrender: tuple[int, str] = (1, "09-30")
    set_off: tuple[int, str] = (2, "01-31")
    publication: tuple[int, str] = (1, "10-31")


@dataclass(frozen=True)
class OutageRule:
    """An outage longer than `minutes` within the last `window_hours` moves a deadline by its length, rounded up to
    `round_up_minutes`."""

    minutes: int = 30
    window_hours: int = 24
    round_up_minutes: int = 60


@dataclass(frozen=True)
class ComplianceRule:
    """Dates, estimates, and the order in which permits are retired.

    With `holiday_moves`, a deadline on a weekend or holiday moves to the next working day.
    """

    calendar: Calendar = Calendar()
    holidays: tuple[date, ...] = ()
    holiday_moves: bool = True
    estimate_uplift: Decimal = Decimal("1.10")
    capacity_share: Decimal = Decimal("0.5")
    tier_uplift: Mapping[int, Decimal] = field(default_factory=_empty)
    retire_order: tuple[str, ...] = ("offset", "reserve", "permit")
    outage: OutageRule = OutageRule()
    shutdown_report_days: int = 60
    offset_replacement_months: int = 6
    appeal_days: int = 30


@dataclass(frozen=True)
class MonitoringRule:
    """What an operator has to show of how it measures. With `plan_required`, no report without an approved plan."""

    plan_required: bool = False


@dataclass(frozen=True)
class VerificationRule:
    """How long a verifier may serve an operator, and how much uncorrected error bars a positive opinion.

    Above `large_from` permits of reported use a report is large, and `materiality_large` holds.
    """

    rotation_years: int = 6
    rotation_break_years: int = 3
    materiality: Decimal = Decimal("0.05")
    materiality_large: Decimal = Decimal("0.02")
    large_from: int = 500_000
    answer_days: int = 30


@dataclass(frozen=True)
class LadderStep:
    """One step of enforcement: BLOCK_TRANSFERS, AUTO_DEDUCT, CASH, SET_OFF, SUSPEND_FREE or PROSECUTE.

    It comes `business_days` or `days` after the surrender deadline, or on `on` (years after the year of use, MM-DD).
    """

    action: str
    business_days: int | None = None
    days: int | None = None
    on: tuple[int, str] | None = None


@dataclass(frozen=True)
class SanctionRule:
    """What a shortfall costs.

    CASH: `rate_minor` a permit, times `index[year]`. PERMITS: `multiple` permits for each missing one, of which the
    missing one is part where `counts_original`, at least `min_allowance_share` of them permits and not offsets.
    PRICE_MULT: `multiple` x the average price, at most `cap_minor` a permit. With `make_good` the permits stay owed.
    """

    mode: SanctionMode = SanctionMode.CASH
    rate_minor: Decimal = Decimal(0)
    index: Mapping[int, Decimal] = field(default_factory=_empty)
    multiple: Decimal = Decimal(1)
    counts_original: bool = True
    cap_minor: int | None = None
    cohort_multiple: Mapping[str, Decimal] = field(default_factory=_empty)
    make_good: bool = True
    min_allowance_share: Decimal = Decimal(0)
    ladder: tuple[LadderStep, ...] = ()
    publish: bool = True
    first_time_waiver: bool = False
    misreport_fine_minor: int = 0


@dataclass(frozen=True)
class RevenueStep:
    """One destination of auction money: a FIXED sum in minor units first, then a SHARE of what is left."""

    destination: str
    kind: str
    amount: Decimal


@dataclass(frozen=True)
class Oversight:
    """Who must disclose, when staff may not trade, and what raises an alert."""

    disclosure_threshold: Decimal | None = None
    blackouts: tuple[tuple[date, date], ...] = ()
    alerts: Mapping[str, Decimal] = field(default_factory=_empty)


@dataclass(frozen=True)
class TransactionRule:
    """How permits move between accounts of firms.

    `large_transfer` permits or more need a second person. A transfer outside the trusted list waits `delay_days`
    working days on the clock `opens`..`closes`; an addition to the list waits `activation_days`. With
    `receiver_confirms` the receiver accepts or refuses.
    """

    large_transfer: int = 1_000_000
    delay_days: int = 0
    activation_days: int = 0
    opens: time = time(10)
    closes: time = time(16)
    receiver_confirms: bool = False
    second_person_for_surrender: bool = False


@dataclass(frozen=True)
class Policy:
    """All rules of one scheme in force on one day."""

    scheme: str
    on: date
    zone: str
    currency: str
    unit: Unit
    scope: Scope = Scope()
    cap: CapRule = CapRule()
    alloc: AllocationRule = AllocationRule()
    time: TimeRule = TimeRule()
    supply: SupplyRule = SupplyRule()
    limits: LimitRule = LimitRule()
    links: tuple[Link, ...] = ()
    monitoring: MonitoringRule = MonitoringRule()
    verification: VerificationRule = VerificationRule()
    compliance: ComplianceRule = ComplianceRule()
    sanction: SanctionRule = SanctionRule()
    revenue: tuple[RevenueStep, ...] = ()
    oversight: Oversight = Oversight()
    transactions: TransactionRule = TransactionRule()
