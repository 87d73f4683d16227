"""The catalogue of rules: every leaf of a `Policy` with its name, meaning, kind, unit, bounds and rounding rule.

Add a lever by adding a field to `registry.engine.policy` and its line here: the documents, their schema, the forms and
the pages all read this list. Defaults stand in `Policy` alone. `rounding` names the rule of
`registry.engine.rounding` that cuts the figure that follows from the leaf; none means that nothing is cut.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from decimal import Decimal
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from registry.engine import policy as rules
from registry.engine.parameters.kinds import (
    FIRST_YEAR,
    LAST_YEAR,
    MOST_PERMITS,
    Amount,
    ByName,
    ByYear,
    Choice,
    Count,
    Day,
    Kind,
    ListOf,
    MonthDay,
    Record,
    Span,
    Text,
    TimeOfDay,
    Whole,
    YearDay,
    YesNo,
)

CHAPTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unit": "Unit and conversions",
        "scope": "Who and what is covered",
        "cap": "Cap",
        "alloc": "Allocation",
        "time": "Periods, banking and borrowing",
        "supply": "Reserves and price controls",
        "limits": "Limits on holdings, purchases and offsets",
        "links": "Links to other schemes",
        "monitoring": "Monitoring",
        "verification": "Verification",
        "compliance": "Calendar and compliance",
        "sanction": "Sanctions",
        "revenue": "Revenue",
        "oversight": "Oversight",
        "transactions": "Transactions",
    }
)
"""The chapters of a rule book by the first word of their rules' names, in the order in which they are read."""

FOUNDING_TERMS: Final = ("scheme", "on", "zone", "currency", "unit.metric", "unit.size")
"""The leaves of a `Policy` that are no rules: who asks and when, and the terms on which a scheme was founded."""


@dataclass(frozen=True)
class Parameter:
    """One rule that a scheme may set: what it is called, what it means, and which values it may have."""

    name: str
    title: str
    meaning: str
    kind: Kind
    unit: str = ""
    """What the value counts, in words; empty where it counts nothing."""
    rounding: str | None = None

    @property
    def chapter(self) -> str:
        """The first word of the name, which is a key of `CHAPTERS`."""
        return self.name.partition(".")[0]

    @property
    def default(self) -> Any:
        """The value while nobody has set one, as the policy holds it; None where there is none."""
        return DEFAULTS[self.name]


YEAR = Count(FIRST_YEAR, LAST_YEAR)
SHARE = Amount(Decimal(0), Decimal(1), word="a share from 0 to 1")
RATE = Amount(Decimal("-0.5"), Decimal(1), word="a yearly rate")
FACTOR = Amount(Decimal(0), Decimal("1.5"), word="a factor")
POSITIVE = Amount(Decimal(0), Decimal(10) ** 30, above_least=True, word="a number above zero")
ANY_AMOUNT = Amount(Decimal(0), Decimal(10) ** 30, word="a number")
PRICE = Amount(Decimal(0), Decimal(10) ** 9, word="a price")
MULTIPLE = Amount(Decimal(0), Decimal(100), word="a multiple")
PERMITS = Whole(word="a whole number of permits")
SOME_PERMITS = Whole(1, word="a whole number of permits")
SIGNED_PERMITS = Whole(-MOST_PERMITS, word="a whole number of permits, below zero to take away")
MINOR = Whole(word="a sum of money in minor units")
NAME = Text()
SENTENCE = Text(300)

ONE_OFF = Record(
    rules.OneOff,
    {"year": YEAR, "permits": SIGNED_PERMITS, "reason": SENTENCE, "reference": SIGNED_PERMITS},
)
PRICE_PATH = Record(rules.PricePath, {"start_year": YEAR, "start": PRICE, "real": RATE, "index": ByYear(RATE)})
LADDER_STEP = Record(
    rules.LadderStep,
    {
        "action": Choice(("BLOCK_TRANSFERS", "AUTO_DEDUCT", "CASH", "SET_OFF", "SUSPEND_FREE", "PROSECUTE")),
        "business_days": Count(0, 366),
        "days": Count(0, 1000),
        "on": YearDay(),
    },
)
TIER = Record(
    rules.Tier,
    {
        "regime": Choice.of(rules.Regime),
        "measure": Choice(("use", "training_flop", "inference_flop", "it_kw", "kwh")),
        "threshold_in": ANY_AMOUNT,
        "threshold_out": ANY_AMOUNT,
        "exit_after": Count(1, 20),
        "notify_by": MonthDay(),
        "min_stay_years": Count(0, 50),
        "target": PERMITS,
        "avoided_cost_minor": MINOR,
    },
)
METHOD = Record(
    rules.MethodRule,
    {
        "kind": Choice(("AI_ALLOWANCE", "PRODUCT_BENCHMARK", "GRANDFATHERING", "GRANDFATHERING_MEDIAN")),
        "product": NAME,
        "lag": Count(0, 10),
        "base_years": ListOf(YEAR, once=True),
        "share": SHARE,
        "pre_share": SHARE,
    },
)
BENCHMARK = Record(
    rules.BenchmarkRule,
    {
        "product": NAME,
        "method": Choice(("FIXED", "TOP_PCT", "PCT_OF_MEAN")),
        "value": POSITIVE,
        "pct": SHARE,
        "rate_lo": RATE,
        "rate_hi": RATE,
        "years": Count(0, 50),
        "min_population": Count(1, 10_000),
    },
)
SET_ASIDE = Record(
    rules.SetAside,
    {
        "cohort": NAME,
        "share": SHARE,
        "rule": Choice(("PRO_RATA",)),
        "leftover": Choice(("auction", "next_year")),
    },
)
CONTAINMENT_TIER = Record(
    rules.ContainmentTier,
    {"trigger": PRICE_PATH, "quantity": SOME_PERMITS, "share": SHARE, "rolls_over": YesNo()},
)
RELEASE = Record(
    rules.ReleaseRule,
    {
        "name": NAME,
        "measure": Choice(("PRICE_ABOVE", "CIRCULATION_BELOW")),
        "threshold": POSITIVE,
        "quantity": SOME_PERMITS,
        "times_a_year": Count(1, 12),
        "smooth_from": POSITIVE,
    },
)
LINK = Record(
    rules.Link,
    {
        "partner": NAME,
        "direction": Choice(("IN", "OUT", "BOTH")),
        "rate_in": POSITIVE,
        "rate_out": POSITIVE,
        "net_cap": PERMITS,
    },
)
BRIDGE = Record(
    rules.Bridge,
    {"on": Day(), "region": NAME, "joules_per_flop": POSITIVE, "grams_per_kwh": ANY_AMOUNT, "source": SENTENCE},
)
REVENUE_STEP = Record(
    rules.RevenueStep,
    {
        "destination": NAME,
        "kind": Choice(("FIXED", "SHARE")),
        "amount": Amount(Decimal(0), Decimal(MOST_PERMITS), word="an amount"),
    },
)
ALL_RECORDS: Final = (
    ONE_OFF,
    PRICE_PATH,
    LADDER_STEP,
    TIER,
    METHOD,
    BENCHMARK,
    SET_ASIDE,
    CONTAINMENT_TIER,
    RELEASE,
    LINK,
    BRIDGE,
    REVENUE_STEP,
    CONDITIONALITY := Record(rules.Conditionality, {"condition": NAME, "cut": SHARE}),
)


def _price_path(prefix: str, title: str) -> tuple[Parameter, ...]:
    """The four leaves of one price path. Sources: CA-95911 (real rate plus CPI), RGGI-25 (a fixed rate)."""
    return (
        Parameter(f"{prefix}.start_year", f"{title}: first year", "The year whose price is given.", YEAR, "year"),
        Parameter(
            f"{prefix}.start",
            f"{title}: price of the first year",
            "In units of the currency, not in minor units.",
            PRICE,
            "money per permit",
            "R5",
        ),
        Parameter(
            f"{prefix}.real",
            f"{title}: yearly real rise",
            "Added to the index of the year; the price is rounded to the cent every year and compounded from there.",
            RATE,
            "per year",
            "R5",
        ),
        Parameter(
            f"{prefix}.index",
            f"{title}: index by year",
            "The change of consumer prices that counts for each year; with an index, other years have no price yet.",
            ByYear(RATE),
            "per year",
            "R5",
        ),
    )


def _calendar(name: str, title: str, meaning: str) -> Parameter:
    return Parameter(f"compliance.calendar.{name}", title, meaning, YearDay(), "day of the scheme's year")


_ALL: Final = (
    # Unit and conversions
    Parameter(
        "unit.precision_weights",
        "Precision weights",
        "What one FLOP of each number format counts for, such as bits / 16.",
        ByName(POSITIVE),
        "FLOP per FLOP",
        "R6",
    ),
    Parameter(
        "unit.bridge",
        "Bridges between compute, energy and emissions",
        "Dated conversions that stand beside a figure; they never change what is owed.",
        ListOf(BRIDGE),
        "J per FLOP, g CO2e per kWh",
    ),
    # Who and what is covered
    Parameter(
        "scope.activities",
        "Covered activities",
        "What use of compute counts.",
        ListOf(Choice(("training", "fine_tuning", "inference", "evaluation")), least=1, once=True),
    ),
    Parameter(
        "scope.basis",
        "Geographic basis",
        "Whether use counts where the machines stand, where its users are, or both.",
        Choice(("located", "served_users", "both")),
    ),
    Parameter(
        "scope.obligated_party",
        "Obligated party",
        "Who owes the permits. One FLOP has exactly one obligated party.",
        Choice(("deployer", "data_centre", "cloud_region")),
    ),
    Parameter(
        "scope.tiers",
        "Tiers and thresholds",
        "Which regime applies to operators of which size, and when they enter and leave it.",
        ListOf(TIER),
        "permits a year, FLOP, kW or kWh",
    ),
    # Cap
    Parameter(
        "cap.type",
        "Kind of cap",
        "An absolute cap fixes the total. An intensity cap follows output, so that the aggregate is not capped.",
        Choice.of(rules.CapType),
    ),
    Parameter("cap.table", "Caps by year", "Years in the table are taken as they stand.", ByYear(PERMITS), "permits"),
    Parameter("cap.start_year", "Start year", "The year from which the reduction counts down.", YEAR, "year"),
    Parameter("cap.start", "Cap of the start year", "The cap before the first reduction.", PERMITS, "permits"),
    Parameter(
        "cap.reference",
        "Reference of the reduction",
        "The fixed quantity of which the yearly reduction is a share, so that every cut has the same size.",
        PERMITS,
        "permits",
    ),
    Parameter(
        "cap.reduction",
        "Yearly reduction",
        "The share of the reference that is taken off each year, from the year named on.",
        ByYear(SHARE),
        "share of the reference per year",
        "R4",
    ),
    Parameter(
        "cap.one_off",
        "Single changes",
        "Permits added to or taken from the cap of one year, each with its reason.",
        ListOf(ONE_OFF),
        "permits",
    ),
    Parameter(
        "cap.scope_change",
        "Changes of scope",
        "Permits added or taken because sectors joined or left, each with its reason.",
        ListOf(ONE_OFF),
        "permits",
    ),
    Parameter("cap.formula.a", "Linear cap: a", "cap = a - b x (year - base year).", PERMITS, "permits"),
    Parameter("cap.formula.b", "Linear cap: b", "cap = a - b x (year - base year).", PERMITS, "permits per year"),
    Parameter("cap.formula.base_year", "Linear cap: base year", "The formula holds for years after it.", YEAR, "year"),
    Parameter(
        "cap.offsets_under_cap",
        "Offsets under the cap",
        "Whether offsets used in a year are taken off the cap of the next.",
        YesNo(),
    ),
    Parameter(
        "cap.lock_years",
        "Locked years",
        "A rule that changes within so many years needs a stated reason.",
        Count(0, 20),
        "years",
    ),
    # Allocation
    Parameter("alloc.free_share", "Free share", "The share of the cap that may be given free.", SHARE, "share", "R7"),
    Parameter(
        "alloc.methods",
        "Methods",
        "How free permits are worked out for each product.",
        ListOf(METHOD),
        "years and shares",
        "R2",
    ),
    Parameter(
        "alloc.benchmarks",
        "Benchmarks",
        "Each product's benchmark, and how it is updated.",
        ListOf(BENCHMARK),
        "base units per unit of output",
    ),
    Parameter(
        "alloc.activity_threshold",
        "Activity threshold",
        "Output moves the allocation only where its two-year mean differs by more than this share.",
        SHARE,
        "share",
    ),
    Parameter(
        "alloc.true_up", "True-up", "Whether allocation is corrected once the output is verified.", YesNo(), "", "R2"
    ),
    Parameter(
        "alloc.correction_factor",
        "Correction factor",
        "Whether claims above the free pool are cut by one factor.",
        YesNo(),
        "",
        "R3",
    ),
    Parameter(
        "alloc.cap_factor",
        "Cap decline factor by year",
        "Multiplies output-based claims of the year.",
        ByYear(FACTOR),
        "1",
        "R2",
    ),
    Parameter(
        "alloc.assistance", "Assistance factor by class", "Multiplies claims of the class.", ByName(FACTOR), "1", "R2"
    ),
    Parameter(
        "alloc.leakage",
        "Leakage factor by class and year",
        "Multiplies claims of a class that is exposed to leakage more or less.",
        ByName(ByYear(FACTOR)),
        "1",
        "R2",
    ),
    Parameter(
        "alloc.conditionality",
        "Conditions",
        "The share of free permits that is cut where a condition is not met.",
        ListOf(CONDITIONALITY),
        "share",
        "R2",
    ),
    Parameter(
        "alloc.set_asides",
        "Set-asides",
        "Shares of the cap kept for cohorts, up to their proven need.",
        ListOf(SET_ASIDE),
        "share of the cap",
        "R7",
    ),
    Parameter(
        "alloc.new_entrants.share",
        "New entrants' share",
        "The share of the cap kept for operators that begin, first come first served.",
        SHARE,
        "share of the cap",
        "R7",
    ),
    Parameter(
        "alloc.new_entrants.leftover",
        "New entrants' leftover",
        "Where the rest of the new entrants' share goes.",
        Choice(("auction", "next_year")),
    ),
    Parameter(
        "alloc.consign",
        "Consigned classes",
        "Classes whose free permits may only be sent to the auction.",
        ListOf(NAME, once=True),
    ),
    # Periods, banking and borrowing
    Parameter("time.period_years", "Years in a period", "How many years of use one period has.", Count(1, 5), "years"),
    Parameter(
        "time.annual_share",
        "Share due each year",
        "The share of its verified use that is due after each year of a period; after the last, all of it.",
        ListOf(SHARE, least=1),
        "share of verified use",
        "R6",
    ),
    Parameter("time.banking.mode", "Banking", "What may be carried over.", Choice.of(rules.BankingMode)),
    Parameter(
        "time.banking.pct",
        "Banking: share",
        "PCT_PLUS: the share of the average yearly allocation that may be carried over.",
        SHARE,
        "share",
        "R7",
    ),
    Parameter(
        "time.banking.fixed", "Banking: fixed part", "PCT_PLUS and NET_SALES: permits on top.", PERMITS, "permits"
    ),
    Parameter(
        "time.banking.multiple",
        "Banking: multiple of net sales",
        "NET_SALES: permits that may be carried over for each one sold more than bought.",
        MULTIPLE,
        "1",
        "R7",
    ),
    Parameter(
        "time.banking.deduct_excess",
        "Banking: deduct the excess",
        "Whether what is above the limit comes off the next allocation, rather than being lost.",
        YesNo(),
    ),
    Parameter(
        "time.borrow_share",
        "Borrowing",
        "The share of the next allocation that may be used a year early.",
        SHARE,
        "share",
        "R7",
    ),
    Parameter(
        "time.borrow_interest",
        "Interest on borrowing",
        "Permits given back on top of those borrowed.",
        SHARE,
        "share per year",
        "R4",
    ),
    Parameter(
        "time.vintage_rule",
        "Vintages that count",
        "SAME_OR_EARLIER: permits of the year of use or before; SAME: of that year alone; ANY: of every vintage.",
        Choice(("SAME_OR_EARLIER", "SAME", "ANY")),
    ),
    Parameter(
        "time.expires_after",
        "Expiry",
        "Permits expire so many years after their vintage; without a value, never.",
        Count(0, 100),
        "years",
    ),
    # Reserves and price controls
    Parameter(
        "supply.msr.upper", "Stability reserve: upper line", "Above it permits are taken in.", PERMITS, "permits"
    ),
    Parameter(
        "supply.msr.mid",
        "Stability reserve: end of the buffer",
        "Between the upper line and this, the intake is what lies above the upper line.",
        PERMITS,
        "permits",
    ),
    Parameter(
        "supply.msr.lower", "Stability reserve: lower line", "Below it permits are released.", PERMITS, "permits"
    ),
    Parameter(
        "supply.msr.intake",
        "Stability reserve: intake",
        "The share of the circulation that is taken in.",
        SHARE,
        "share of the circulation",
        "R4",
    ),
    Parameter("supply.msr.release", "Stability reserve: release", "How much is released.", PERMITS, "permits"),
    Parameter(
        "supply.msr.invalidate_above",
        "Stability reserve: cancellation",
        "Holdings of the reserve above this are cancelled; without a value, never.",
        PERMITS,
        "permits",
    ),
    Parameter("supply.msr.start_month", "Stability reserve: first month", "When a flow begins.", Count(1, 12), "month"),
    Parameter(
        "supply.msr.months",
        "Stability reserve: months",
        "Over how many months a flow is spread; what does not divide goes first.",
        Count(1, 12),
        "months",
        "R3",
    ),
    Parameter(
        "supply.ccr",
        "Cost containment tiers",
        "Permits added to an auction whose price would pass the trigger.",
        ListOf(CONTAINMENT_TIER),
        "permits or share; money per permit",
        "R7",
    ),
    *_price_path("supply.ecr.trigger", "Emissions containment trigger"),
    Parameter(
        "supply.ecr.share",
        "Emissions containment: share",
        "The share of the year's cap that is withheld for good below the trigger.",
        SHARE,
        "share of the cap",
        "R7",
    ),
    *_price_path("supply.floor", "Floor price"),
    *_price_path("supply.ceiling.path", "Ceiling price"),
    Parameter(
        "supply.ceiling.need_proof",
        "Ceiling: proof of need",
        "Whether only who is short at the next deadline may buy, and only that much.",
        YesNo(),
    ),
    Parameter(
        "supply.spike.multiple",
        "Spike: multiple",
        "The recent average price over the reference average that allows a release.",
        Amount(Decimal(1), Decimal(100), above_least=True, word="a multiple above 1"),
        "1",
    ),
    Parameter("supply.spike.quantity", "Spike: release", "How much may be released.", SOME_PERMITS, "permits"),
    Parameter(
        "supply.spike.recent_months", "Spike: recent", "The months of the recent average.", Count(1, 36), "months"
    ),
    Parameter(
        "supply.spike.reference_months",
        "Spike: reference",
        "The months of the reference average, which ends where the recent one begins.",
        Count(1, 60),
        "months",
    ),
    Parameter(
        "supply.releases",
        "Releases from the reserve",
        "Permits that leave the reserve when a price or the circulation crosses a threshold.",
        ListOf(RELEASE),
        "permits; money per permit",
        "R4",
    ),
    Parameter("supply.unsold.rule", "Unsold permits", "Where they go.", Choice.of(rules.UnsoldRule)),
    Parameter(
        "supply.unsold.auctions",
        "Unsold permits: auctions",
        "SPREAD: over how many later auctions.",
        Count(1, 60),
        "auctions",
        "R3",
    ),
    Parameter(
        "supply.unsold.cap_pct",
        "Unsold permits: most",
        "SPREAD: an auction may grow to this multiple of its planned quantity.",
        Amount(Decimal(1), Decimal(10), word="a multiple"),
        "1",
        "R7",
    ),
    Parameter(
        "supply.sealed_reserve",
        "Sealed reserve price",
        "Whether a confidential price is committed to before an auction and revealed after it.",
        YesNo(),
    ),
    # Limits
    Parameter("limits.holding.p1", "Holding limit: first share", "Of the cap up to the base.", SHARE, "share", "R7"),
    Parameter("limits.holding.base", "Holding limit: base", "Where the second share begins.", PERMITS, "permits"),
    Parameter("limits.holding.p2", "Holding limit: second share", "Of the cap beyond the base.", SHARE, "share", "R7"),
    Parameter(
        "limits.holding.exemption",
        "Holding limit: exemption",
        "Whether permits in a compliance account do not count up to the verified obligation.",
        YesNo(),
    ),
    Parameter(
        "limits.purchase",
        "Purchase limit by class",
        "The share of an auction that one group may buy.",
        ByName(SHARE),
        "share of the quantity offered",
        "R7",
    ),
    Parameter("limits.lot", "Lot", "Auction quantities are whole multiples of it.", SOME_PERMITS, "permits", "R7"),
    Parameter(
        "limits.price_band",
        "Price band",
        "How far a trade may lie from the reference price.",
        SHARE,
        "share of the reference price",
    ),
    Parameter(
        "limits.offset.pct",
        "Offset quota",
        "The share of an obligation that may be met with offsets.",
        SHARE,
        "share of the obligation",
        "R7",
    ),
    Parameter(
        "limits.offset.sub",
        "Offset quota by tag",
        "Narrower shares for some offsets.",
        ByName(SHARE),
        "share of the obligation",
        "R7",
    ),
    Parameter("limits.transfer", "Largest transfer", "Of one transfer between firms.", SOME_PERMITS, "permits"),
    Parameter(
        "limits.cure_days",
        "Days to cure",
        "Business days in which a breach of the holding limit may be put right.",
        Count(0, 60),
        "business days",
    ),
    # Links
    Parameter(
        "links",
        "Partner schemes",
        "Whose permits are taken, and what one of them is worth here, and back.",
        ListOf(LINK),
        "permits per permit",
        "R7",
    ),
    # Monitoring
    Parameter(
        "monitoring.plan_required",
        "Approved plan",
        "Whether a report needs a monitoring plan that the regulator approved.",
        YesNo(),
    ),
    # Verification
    Parameter(
        "verification.rotation_years",
        "Rotation: years",
        "How many years a verifier may serve an operator before a break.",
        Count(1, 50),
        "years",
    ),
    Parameter(
        "verification.rotation_break_years",
        "Rotation: break",
        "How many years a verifier then leaves the operator to others.",
        Count(1, 50),
        "years",
    ),
    Parameter(
        "verification.materiality",
        "Materiality",
        "Uncorrected misstatements that exceed this share bar a positive opinion.",
        SHARE,
        "share of the reported total",
    ),
    Parameter(
        "verification.materiality_large",
        "Materiality: large reports",
        "The share for a large report.",
        SHARE,
        "share of the reported total",
    ),
    Parameter(
        "verification.large_from",
        "Materiality: large above",
        "A report above this use is large.",
        PERMITS,
        "permits",
    ),
    Parameter(
        "verification.answer_days",
        "Findings: days to answer",
        "An operator answers a finding within so many days, unless the verifier names another day.",
        Count(1, 366),
        "days",
    ),
    # Calendar and compliance
    _calendar("parameters_final", "Rules final", "From here on the rules of the year are locked."),
    _calendar("floor_price", "Floor price announced", "The floor price takes its yearly step."),
    _calendar("issue", "Issue", "The year's permits are created."),
    _calendar("allocation", "Free allocation", "Free permits are delivered."),
    _calendar("self_report", "Self report", "Operators report their use."),
    _calendar("verified_report", "Verified report", "Reports are verified."),
    _calendar("true_up", "True-up", "Allocation is corrected by verified output."),
    _calendar("indicator", "Stability indicator", "The number of permits in circulation is published."),
    _calendar("reserve_sale", "Last reserve sale", "The last sale before permits are due."),
    _calendar("surrender", "Surrender", "Permits are due before the end of this day."),
    _calendar("set_off", "Set-off", "What is still owed is set off against allocations."),
    _calendar("publication", "Publication", "The year's results are published."),
    Parameter("compliance.holidays", "Holidays", "Days that are no business days.", ListOf(Day(), once=True), "days"),
    Parameter(
        "compliance.holiday_moves",
        "Deadlines on holidays",
        "Whether a deadline on a weekend or holiday moves to the next working day.",
        YesNo(),
    ),
    Parameter(
        "compliance.estimate_uplift",
        "Estimate: uplift",
        "Times the last verified use, where no report came.",
        Amount(Decimal(1), Decimal(10), word="a factor from 1"),
        "1",
        "R6",
    ),
    Parameter(
        "compliance.capacity_share",
        "Estimate: share of capacity",
        "Times the contracted capacity, where no report came.",
        SHARE,
        "share of capacity",
        "R6",
    ),
    Parameter(
        "compliance.tier_uplift",
        "Uplift by tier of data",
        "What an estimate adds where use is measured less well, from tier 0 (typed figures) to 5 (guaranteed).",
        ByName(SHARE, numbered=True),
        "share added",
        "R6",
    ),
    Parameter(
        "compliance.retire_order",
        "Order of retirement",
        "Which units are used first for an obligation.",
        ListOf(Choice(("offset", "reserve", "permit")), least=1, once=True),
    ),
    Parameter(
        "compliance.outage.minutes",
        "Outage: least length",
        "A longer outage moves a deadline.",
        Count(0, 1440),
        "minutes",
    ),
    Parameter(
        "compliance.outage.window_hours",
        "Outage: window",
        "Outages count that lie in so many hours before a deadline.",
        Count(1, 240),
        "hours",
    ),
    Parameter(
        "compliance.outage.round_up_minutes",
        "Outage: rounding",
        "A deadline moves by the length, rounded up to whole multiples of this.",
        Count(1, 1440),
        "minutes",
    ),
    Parameter(
        "compliance.shutdown_report_days",
        "Report after closing down",
        "An operator that closes reports within so many days.",
        Count(1, 366),
        "days",
    ),
    Parameter(
        "compliance.offset_replacement_months",
        "Replacing offsets",
        "An offset that was invalidated after use is replaced within so many months.",
        Count(0, 60),
        "months",
    ),
    Parameter("compliance.appeal_days", "Appeal", "How long a decision may be appealed.", Count(0, 366), "days"),
    # Sanctions
    Parameter(
        "sanction.mode",
        "What a missing permit costs",
        "Money, more permits, or a multiple of the price.",
        Choice.of(rules.SanctionMode),
    ),
    Parameter(
        "sanction.rate_minor",
        "Cash rate",
        "CASH: for each missing permit, in minor units of the currency.",
        Amount(Decimal(0), Decimal(MOST_PERMITS), word="a sum of money in minor units"),
        "minor units per permit",
        "R8",
    ),
    Parameter(
        "sanction.index",
        "Cash index by year",
        "CASH: what the rate is multiplied with; with an index, a year without one has no rate yet.",
        ByYear(Amount(Decimal(0), Decimal(100), above_least=True, word="an index")),
        "1",
        "R8",
    ),
    Parameter(
        "sanction.multiple",
        "Multiple",
        "PERMITS: permits for each missing one. PRICE_MULT: times the average price.",
        MULTIPLE,
        "1",
        "R8",
    ),
    Parameter(
        "sanction.counts_original",
        "The missing one counts",
        "PERMITS: whether the missing permit is part of the multiple.",
        YesNo(),
    ),
    Parameter(
        "sanction.cap_minor",
        "Highest cost",
        "PRICE_MULT: at most this for each missing permit.",
        MINOR,
        "minor units per permit",
    ),
    Parameter(
        "sanction.cohort_multiple",
        "Multiple by cohort",
        "Takes the place of the multiple for some operators.",
        ByName(MULTIPLE),
        "1",
        "R8",
    ),
    Parameter("sanction.make_good", "Make good", "Whether the missing permits stay owed.", YesNo()),
    Parameter(
        "sanction.min_allowance_share",
        "Least share in permits",
        "PERMITS: how much of the sanction must be permits rather than offsets.",
        SHARE,
        "share",
        "R7",
    ),
    Parameter(
        "sanction.ladder",
        "Ladder of enforcement",
        "What happens when, after the surrender deadline.",
        ListOf(LADDER_STEP),
    ),
    Parameter("sanction.publish", "Publication of names", "Whether who is short is named.", YesNo()),
    Parameter(
        "sanction.first_time_waiver", "First-time waiver", "Whether a first minor breach may be waived.", YesNo()
    ),
    Parameter(
        "sanction.misreport_fine_minor",
        "Fine for misreporting",
        "For a report that was wrong by fault.",
        MINOR,
        "minor units",
    ),
    # Revenue
    Parameter(
        "revenue",
        "Use of revenue",
        "Fixed sums first, then shares of what is left, in this order.",
        ListOf(REVENUE_STEP),
        "minor units, or share of the rest",
        "R3",
    ),
    # Oversight
    Parameter(
        "oversight.disclosure_threshold",
        "Disclosure",
        "Who uses more than this share of the cap publishes inside information.",
        SHARE,
        "share of the cap",
    ),
    Parameter(
        "oversight.blackouts", "Blackouts", "Days on which staff accounts may not trade.", ListOf(Span()), "days"
    ),
    Parameter("oversight.alerts", "Alerts", "From which figure on each alert is raised.", ByName(ANY_AMOUNT)),
    # Transactions
    Parameter(
        "transactions.large_transfer",
        "Large transfer",
        "So many permits or more need a second person.",
        SOME_PERMITS,
        "permits",
    ),
    Parameter(
        "transactions.delay_days",
        "Delay",
        "Working days that a transfer outside the trusted list waits.",
        Count(0, 30),
        "working days",
    ),
    Parameter(
        "transactions.activation_days",
        "Activation of a trusted account",
        "Working days before an addition to the trusted list counts.",
        Count(0, 30),
        "working days",
    ),
    Parameter(
        "transactions.opens", "Working hours: begin", "When the delay's clock starts.", TimeOfDay(), "time of day"
    ),
    Parameter("transactions.closes", "Working hours: end", "When the delay's clock stops.", TimeOfDay(), "time of day"),
    Parameter(
        "transactions.receiver_confirms", "Receiver confirms", "Whether the receiver accepts or refuses.", YesNo()
    ),
    Parameter(
        "transactions.second_person_for_surrender",
        "Second person for surrender",
        "Whether a surrender needs the approval of a colleague.",
        YesNo(),
    ),
)

PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType({parameter.name: parameter for parameter in _ALL})
"""Every rule by its name, in the order of a rule book."""
assert len(PARAMETERS) == len(_ALL), "each name stands in the catalogue once"


def group_of(hint: Any) -> type | None:
    """Return the value type of the policy that a type hint names, also where it may be missing; None for a leaf."""
    if get_origin(hint) is UnionType:
        options = [option for option in get_args(hint) if option is not NoneType]
        hint = options[0] if len(options) == 1 else None
    return hint if isinstance(hint, type) and is_dataclass(hint) else None


def leaves(cls: type = rules.Policy, prefix: str = "") -> dict[str, Any]:
    """Return the dotted name of every leaf under a value type of the policy, with its default (None where it has none).

    A leaf in a part that a scheme may do without, such as supply.msr, has the default that it gets with the part.
    """
    found: dict[str, Any] = {}
    hints = get_type_hints(cls)
    for part in fields(cls):
        group = group_of(hints[part.name])
        if group is not None:
            found |= leaves(group, f"{prefix}{part.name}.")
        elif part.default is not MISSING:
            found[prefix + part.name] = part.default
        elif part.default_factory is not MISSING:
            found[prefix + part.name] = part.default_factory()
        else:
            found[prefix + part.name] = None
    return found


DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(leaves())
