"""Who plays in the story: invented organisations, and the people who act for them.

Names of real organisations appear in the story only as the source of a published figure.
"""

from dataclasses import dataclass
from decimal import Decimal

PASSWORD = "a permit for every flop"  # noqa: S105 - the demo prints it; production refuses to install this app
"""The password of every demo log-in."""

REGULATOR = "Office for Compute Permits"
VERIFIER = "Verity Assurance"
AUDITOR = "Public Audit Chamber"

# Energy per operation at the accelerator's rated peak (TDP / dense 16-bit peak), in J per FLOP.
H100_PEAK = Decimal("0.71e-12")
A100_PEAK = Decimal("1.28e-12")


def efficiency(peak: Decimal, utilisation: str) -> Decimal:
    """Return J per FLOP of a fleet that reaches this share of its rated peak."""
    return (peak / Decimal(utilisation)).quantize(Decimal("1e-15"))


@dataclass(frozen=True)
class Party:
    """A firm or lab: whose published figures it reports, how efficient its fleet is, and how it behaves."""

    name: str
    short: str
    kind: str
    cohort: str
    source: str
    """The organisation whose published training compute stands in for this party's use."""
    joules_per_flop: Decimal
    assistance: str
    """The factor C: above one for clean energy, below one for fossil."""
    cash_minor: int
    habit: str = "reports and surrenders in time"
    pilot_file: str = ""
    """The measured CodeCarbon file it reports in the CO2e pilot, if it takes part."""
    pilot_history: tuple[str, ...] = ()
    """The older files that serve as its base year there."""


PARTIES = (
    Party(
        "Marlowe Compute", "marlowe", "firm", "large", "Meta AI", efficiency(H100_PEAK, "0.36"), "1.00", 2_000_000_000
    ),
    Party(
        "Halvorsen Models",
        "halvorsen",
        "firm",
        "large",
        "Mistral AI",
        efficiency(A100_PEAK, "0.46"),
        "1.00",
        2_000_000_000,
    ),
    Party("Castellan AI", "castellan", "firm", "large", "NVIDIA", efficiency(H100_PEAK, "0.43"), "1.00", 500_000_000),
    Party(
        "Quayside Inference",
        "quayside",
        "firm",
        "mid",
        "Inflection AI",
        efficiency(A100_PEAK, "0.42"),
        "0.95",
        800_000_000,
        pilot_file="v3.3.2/emissions_pue_1.5.csv",
        pilot_history=("v2.3.5/emissions_pue_1.5.csv",),
    ),
    Party(
        "Redshank Systems",
        "redshank",
        "firm",
        "mid",
        "DeepSeek",
        efficiency(H100_PEAK, "0.35"),
        "1.00",
        400_000_000,
        habit="surrenders the last part late",
    ),
    Party("Umbra Foundry", "umbra", "firm", "mid", "Apple", efficiency(A100_PEAK, "0.48"), "1.00", 600_000_000),
    Party(
        "Bracken Softworks",
        "bracken",
        "firm",
        "small",
        "Tencent",
        efficiency(A100_PEAK, "0.40"),
        "1.00",
        400_000_000,
        pilot_file="v3.0.0/emissions.csv",
        pilot_history=("v2.8.4/emissions.csv",),
    ),
    Party(
        "Tinderbox Speech",
        "tinderbox",
        "firm",
        "small",
        "Databricks",
        efficiency(H100_PEAK, "0.40"),
        "1.05",
        200_000_000,
        pilot_file="v3.1.0/emissions_pue_1.5.csv",
        pilot_history=("v2.8.4/emissions_pue_1.5.csv",),
    ),
    Party(
        "Fennel & Rook",
        "fennel",
        "firm",
        "small",
        "01.AI",
        efficiency(A100_PEAK, "0.44"),
        "1.00",
        400_000_000,
        habit="never reports",
    ),
    Party(
        "Aldermere University Lab",
        "aldermere",
        "lab",
        "academic",
        "Peking University",
        efficiency(H100_PEAK, "0.45"),
        "1.10",
        20_000_000,
        habit="sells what it does not need",
        pilot_file="v3.1.0/emissions.csv",
        pilot_history=("v2.3.5/emissions.csv",),
    ),
    Party(
        "Institute for Sparse Methods",
        "sparse",
        "lab",
        "academic",
        "Chinese University of Hong Kong (CUHK)",
        efficiency(H100_PEAK, "0.47"),
        "1.10",
        10_000_000,
        habit="sells what it does not need",
        pilot_file="v3.3.2/emissions.csv",
        pilot_history=("v2.3.5/emissions.csv", "v2.8.4/emissions.csv"),
    ),
    Party(
        "Skerry Bay Polytechnic",
        "skerry",
        "lab",
        "academic",
        "University of California (UC) Berkeley",
        efficiency(A100_PEAK, "0.38"),
        "1.00",
        60_000_000,
        pilot_file="v3.3.2/emissions_api_mode.csv",
        pilot_history=("v2.3.5/emissions_pue_1.5.csv",),
    ),
)


@dataclass(frozen=True)
class Person:
    """A log-in: one person in one role of one organisation."""

    email: str
    name: str
    organisation: str
    role: str


PEOPLE = (
    Person("desk@regulator.example", "Dana Desk", REGULATOR, "desk_officer"),
    Person("senior@regulator.example", "Sam Senior", REGULATOR, "senior_officer"),
    Person("second@regulator.example", "Sol Second", REGULATOR, "senior_officer"),
    Person("monitor@regulator.example", "Mo Monitor", REGULATOR, "market_monitor"),
    Person("verifier@verity.example", "Vera Verifier", VERIFIER, "verifier"),
    Person("reviewer@verity.example", "Rolf Reviewer", VERIFIER, "verifier"),
    Person("auditor@audit.example", "Audrey Auditor", AUDITOR, "auditor"),
    *(
        Person(f"{role}@{party.short}.example", f"{first} {party.short.title()}", party.name, role)
        for party in PARTIES
        for role, first in (("initiator", "Ines"), ("approver", "Ari"), ("trader", "Toni"))
    ),
)
