"""What the operators of the four schemes do in two periods: figures, bids, transfers and use. All of it is input.

What follows from it (caps, free permits, prices, letters, sanctions, banked permits) is not here: the registry works it
out, and `worked.md` says by hand what it has to be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

YEARS = (2024, 2025)


@dataclass(frozen=True)
class Player:
    """An operator: a firm or lab with its cohort, and its class in the tables of leakage or assistance."""

    name: str
    kind: str
    cohort: str
    leakage_class: str = ""

    @property
    def short(self) -> str:
        """The name in its e-mail addresses."""
        return self.name.split()[0].lower()


@dataclass(frozen=True)
class Figure:
    """A verified figure of one year that an allocation rests on, in base units (FLOP or t CO2e) and units of output.

    `need` is the proven need of the year itself, in permits; `own` the operator's joules per FLOP.
    """

    operator: str
    year: int
    output: Decimal | None = None
    use: Decimal | None = None
    own: Decimal | None = None
    need: int | None = None


@dataclass(frozen=True)
class Bid:
    """A sealed bid of an operator: so many permits at up to this price each."""

    operator: str
    price: Decimal
    quantity: int


@dataclass(frozen=True)
class Deal:
    """Permits of a period that one operator sends another at a price, during its year or after its deadline."""

    seller: str
    buyer: str
    quantity: int
    price: Decimal
    is_late: bool = False


@dataclass(frozen=True)
class Days:
    """On which days people act for one period, beside the deadlines of the calendar, which nobody here chooses."""

    allocate: date
    sell: date
    deal: date
    report: date
    verify: date
    reserve: date
    surrender: date
    deal_late: date
    make_good: date


@dataclass(frozen=True)
class Year:
    """What happens in one period."""

    year: int
    days: Days
    figures: tuple[Figure, ...]
    """What the desk uploads before it allocates."""
    offered: int | None
    """Permits of the sale; None is all that the auction account then has. Nought is no sale."""
    bids: tuple[Bid, ...]
    deals: tuple[Deal, ...]
    use: Mapping[str, int]
    """Verified use by operator, in permits."""


@dataclass(frozen=True)
class Book:
    """Everything that is put into one scheme."""

    name: str
    product: str
    players: tuple[Player, ...]
    years: tuple[Year, ...]
    reference_price: Mapping[int, tuple[Decimal, str]] = field(default_factory=dict)
    """By year, the average price that two officers record, and its source; where a sanction is a multiple of it."""
    refused_deal: tuple[Deal, str] | None = None
    """A transfer that the rules refuse in the first year, and the code of the refusal."""

    def player(self, name: str) -> Player:
        """Return the operator of a name."""
        return next(player for player in self.players if player.name == name)


def _d(text: str) -> Decimal:
    return Decimal(text)


# EU-like --------------------------------------------------------------------------------------------------------------

AURORA, BOREAL, CIRRUS, DELTA = "Aurora Inference", "Boreal Cloud", "Cirrus Models", "Delta Research Lab"

EU_LIKE = Book(
    name="eu-like",
    product="inference",
    players=(
        Player(AURORA, "firm", "large", "exposed"),
        Player(BOREAL, "firm", "large", "exposed"),
        Player(CIRRUS, "firm", "mid", "other"),
        Player(DELTA, "lab", "academic", "other"),
    ),
    years=(
        Year(
            2024,
            Days(
                allocate=date(2024, 7, 1),
                sell=date(2024, 10, 15),
                deal=date(2024, 11, 5),
                report=date(2025, 2, 10),
                verify=date(2025, 3, 10),
                reserve=date(2025, 7, 15),
                surrender=date(2025, 9, 22),
                deal_late=date(2025, 10, 8),
                make_good=date(2025, 10, 14),
            ),
            figures=(
                Figure(AURORA, 2022, _d("200000"), _d("180000000")),
                Figure(BOREAL, 2022, _d("150000"), _d("150000000")),
                Figure(CIRRUS, 2022, _d("100000"), _d("110000000")),
                Figure(DELTA, 2022, _d("50000"), _d("60000000")),
            ),
            offered=None,
            bids=(
                Bid(AURORA, _d("75.00"), 500_000_000),
                Bid(BOREAL, _d("74.00"), 416_423_652),
                Bid(CIRRUS, _d("72.00"), 78_000_000),
                Bid(DELTA, _d("70.00"), 40_000_000),
            ),
            deals=(
                Deal(AURORA, BOREAL, 5_000_000, _d("70.00")),
                Deal(AURORA, DELTA, 1_500_000, _d("72.00"), is_late=True),
            ),
            use={AURORA: 150_000_000, BOREAL: 140_000_000, CIRRUS: 105_000_000, DELTA: 55_000_000},
        ),
        Year(
            2025,
            Days(
                allocate=date(2025, 7, 1),
                sell=date(2025, 10, 15),
                deal=date(2025, 11, 5),
                report=date(2026, 2, 9),
                verify=date(2026, 3, 9),
                reserve=date(2026, 7, 15),
                surrender=date(2026, 9, 21),
                deal_late=date(2026, 10, 7),
                make_good=date(2026, 10, 13),
            ),
            figures=(
                Figure(AURORA, 2023, _d("400000"), _d("344000000")),
                Figure(BOREAL, 2023, _d("250000"), _d("237500000")),
                Figure(CIRRUS, 2023, _d("150000"), _d("157500000")),
                Figure(DELTA, 2023, _d("80000"), _d("92000000")),
            ),
            offered=156_112_375,
            bids=(Bid(CIRRUS, _d("73.00"), 104_855_897), Bid(DELTA, _d("71.00"), 51_256_478)),
            deals=(),
            use={AURORA: 300_000_000, BOREAL: 220_000_000, CIRRUS: 140_000_000, DELTA: 70_000_000},
        ),
    ),
)

# California-like ------------------------------------------------------------------------------------------------------

PACIFIC, SIERRA, MOJAVE, REDWOOD = "Pacific Models", "Sierra Compute", "Mojave AI", "Redwood Lab"

CALIFORNIA_LIKE = Book(
    name="california-like",
    product="inference",
    players=(
        Player(PACIFIC, "firm", "large"),
        Player(SIERRA, "firm", "large"),
        Player(MOJAVE, "firm", "small"),
        Player(REDWOOD, "lab", "academic"),
    ),
    years=(
        Year(
            2024,
            Days(
                allocate=date(2024, 2, 28),
                sell=date(2024, 5, 15),
                deal=date(2024, 6, 12),
                report=date(2025, 6, 2),
                verify=date(2025, 7, 21),
                reserve=date(2025, 7, 15),
                surrender=date(2025, 9, 15),
                deal_late=date(2025, 11, 6),
                make_good=date(2025, 11, 10),
            ),
            figures=(
                Figure(PACIFIC, 2023, _d("6000")),
                Figure(SIERRA, 2023, _d("5000")),
                Figure(MOJAVE, 2023, _d("3000")),
                Figure(REDWOOD, 2023, _d("1000")),
            ),
            offered=6_000_000,
            bids=(
                Bid(PACIFIC, _d("32.00"), 1_500_000),
                Bid(SIERRA, _d("30.00"), 1_490_000),
                Bid(MOJAVE, _d("28.50"), 1_470_000),
                Bid(REDWOOD, _d("29.00"), 250_000),
            ),
            deals=(Deal(SIERRA, REDWOOD, 6_000, _d("27.00")),),
            use={PACIFIC: 5_300_000, SIERRA: 4_700_000, MOJAVE: 3_400_000, REDWOOD: 900_000},
        ),
        Year(
            2025,
            Days(
                allocate=date(2025, 10, 27),
                sell=date(2025, 11, 19),
                deal=date(2025, 12, 10),
                report=date(2026, 6, 1),
                verify=date(2026, 7, 20),
                reserve=date(2026, 7, 15),
                surrender=date(2026, 10, 19),
                deal_late=date(2026, 11, 5),
                make_good=date(2026, 11, 9),
            ),
            figures=(
                Figure(PACIFIC, 2024, _d("6600")),
                Figure(SIERRA, 2024, _d("4800")),
                Figure(MOJAVE, 2024, _d("3300")),
                Figure(REDWOOD, 2024, _d("800")),
            ),
            offered=3_600_000,
            bids=(
                Bid(PACIFIC, _d("34.00"), 900_000),
                Bid(SIERRA, _d("33.00"), 900_000),
                Bid(MOJAVE, _d("31.00"), 900_000),
                Bid(REDWOOD, _d("36.00"), 900_000),
            ),
            deals=(),
            use={PACIFIC: 5_300_000, SIERRA: 3_714_000, MOJAVE: 3_116_000, REDWOOD: 900_000},
        ),
    ),
    refused_deal=(Deal(SIERRA, PACIFIC, 4_000_000, _d("27.00")), "holding_limit_exceeded"),
)

# RGGI-like ------------------------------------------------------------------------------------------------------------

HUDSON, CATSKILL, CHESAPEAKE = "Hudson AI", "Catskill Compute", "Chesapeake Cloud"
ACADIA, GREEN = "Acadia Inference", "Green Mountain Lab"

RGGI_LIKE = Book(
    name="rggi-like",
    product="inference",
    players=(
        Player(HUDSON, "firm", "large"),
        Player(CATSKILL, "firm", "large"),
        Player(CHESAPEAKE, "firm", "mid"),
        Player(ACADIA, "firm", "small"),
        Player(GREEN, "lab", "academic"),
    ),
    years=(
        Year(
            2024,
            Days(
                allocate=date(2024, 2, 28),
                sell=date(2024, 6, 5),
                deal=date(2024, 9, 10),
                report=date(2025, 1, 10),
                verify=date(2025, 1, 24),
                reserve=date(2025, 7, 15),
                surrender=date(2025, 2, 24),
                deal_late=date(2025, 6, 16),
                make_good=date(2025, 6, 18),
            ),
            figures=(),
            offered=40_000_000,
            bids=(
                Bid(HUDSON, _d("24.00"), 10_000_000),
                Bid(CATSKILL, _d("22.00"), 10_000_000),
                Bid(CHESAPEAKE, _d("20.00"), 10_000_000),
                Bid(ACADIA, _d("19.00"), 8_000_000),
                Bid(GREEN, _d("18.00"), 6_000_000),
            ),
            deals=(Deal(CHESAPEAKE, GREEN, 90_000, _d("19.00")),),
            use={HUDSON: 9_000_000, CATSKILL: 10_000_000, CHESAPEAKE: 9_500_000, ACADIA: 8_000_000, GREEN: 2_100_000},
        ),
        Year(
            2025,
            Days(
                allocate=date(2025, 2, 28),
                sell=date(2025, 6, 4),
                deal=date(2025, 9, 10),
                report=date(2026, 1, 9),
                verify=date(2026, 1, 23),
                reserve=date(2026, 7, 15),
                surrender=date(2026, 2, 23),
                deal_late=date(2026, 6, 15),
                make_good=date(2026, 6, 17),
            ),
            figures=(),
            offered=28_000_000,
            bids=(
                Bid(HUDSON, _d("36.00"), 7_000_000),
                Bid(CATSKILL, _d("34.00"), 7_000_000),
                Bid(CHESAPEAKE, _d("33.00"), 7_000_000),
                Bid(ACADIA, _d("32.00"), 7_000_000),
                Bid(GREEN, _d("30.00"), 4_000_000),
            ),
            deals=(),
            use={HUDSON: 7_500_000, CATSKILL: 7_000_000, CHESAPEAKE: 7_400_000, ACADIA: 6_900_000, GREEN: 3_900_000},
        ),
    ),
)

# AI allowances --------------------------------------------------------------------------------------------------------

ATLAS, BOREALIS, COBALT, DELPHI = "Atlas Inference", "Borealis Compute", "Cobalt AI", "Delphi Lab"

AI_ALLOWANCE = Book(
    name="ai-allowance",
    product="inference",
    players=(
        Player(ATLAS, "firm", "large", "standard"),
        Player(BOREALIS, "firm", "large", "clean"),
        Player(COBALT, "firm", "small", "fossil"),
        Player(DELPHI, "lab", "academic", "clean"),
    ),
    years=(
        Year(
            2024,
            Days(
                allocate=date(2024, 2, 28),
                sell=date(2024, 5, 15),
                deal=date(2024, 6, 12),
                report=date(2025, 2, 10),
                verify=date(2025, 3, 10),
                reserve=date(2025, 7, 15),
                surrender=date(2025, 9, 22),
                deal_late=date(2025, 10, 2),
                make_good=date(2025, 10, 6),
            ),
            figures=(
                Figure(ATLAS, 2022, _d("3e24"), own=_d("1.0e-12")),
                Figure(BOREALIS, 2022, _d("2e24"), own=_d("0.8e-12")),
                Figure(COBALT, 2022, _d("1e24"), own=_d("1.4e-12")),
                Figure(DELPHI, 2022, _d("0.5e24"), own=_d("1.0e-12")),
                Figure(DELPHI, 2024, need=150_000),
            ),
            offered=200_000,
            bids=(Bid(COBALT, _d("2.50"), 200_000),),
            deals=(
                Deal(DELPHI, COBALT, 100_000, _d("2.40")),
                Deal(BOREALIS, ATLAS, 100_000, _d("2.40")),
                Deal(BOREALIS, COBALT, 21_429, _d("2.60"), is_late=True),
            ),
            use={ATLAS: 2_600_000, BOREALIS: 1_700_000, COBALT: 900_000, DELPHI: 480_000},
        ),
        Year(
            2025,
            Days(
                allocate=date(2025, 2, 28),
                sell=date(2025, 5, 14),
                deal=date(2025, 11, 5),
                report=date(2026, 2, 9),
                verify=date(2026, 3, 9),
                reserve=date(2026, 7, 15),
                surrender=date(2026, 9, 21),
                deal_late=date(2026, 10, 1),
                make_good=date(2026, 10, 5),
            ),
            figures=(
                Figure(ATLAS, 2023, _d("3.4e24"), own=_d("1.0e-12")),
                Figure(BOREALIS, 2023, _d("2.6e24"), own=_d("0.8e-12")),
                Figure(COBALT, 2023, _d("1.2e24"), own=_d("1.4e-12")),
                Figure(DELPHI, 2023, _d("0.8e24"), own=_d("1.05e-12")),
                Figure(DELPHI, 2025, need=100_000),
            ),
            offered=0,
            bids=(),
            deals=(
                Deal(BOREALIS, COBALT, 300_000, _d("2.70")),
                Deal(DELPHI, COBALT, 50_000, _d("2.70")),
            ),
            use={ATLAS: 2_700_000, BOREALIS: 2_500_000, COBALT: 940_000, DELPHI: 700_000},
        ),
    ),
    reference_price={2024: (_d("2.40"), "average of the transfers of 2024 at 2.40")},
)

BOOKS: Mapping[str, Book] = {book.name: book for book in (EU_LIKE, CALIFORNIA_LIKE, RGGI_LIKE, AI_ALLOWANCE)}
