"""Consistency checks: what a set of reported figures cannot all mean, found without knowing more than the figures.

A finding asks for an explanation and never rejects: genuine reports have odd figures. `findings` runs every check whose
inputs are there.

| finding | what was seen |
|---|---|
| energy_sum_differs | the parts do not add up to the whole |
| energy_power_mismatch | energy does not follow from power and time, whichever way the PUE is in the power |
| below_physical_bound | fewer joules per FLOP than the hardware needs at its peak |
| pue_left_out | emissions fit their energy only without its PUE: 1287 MWh and 502 t |
| pue_applied_twice | emissions fit their energy only if the PUE is applied once more |
| implied_factor_differs | emissions over energy is more than one per cent from the factor of the table |
| energy_above_ceiling | more energy than all devices draw at full power |
| energy_below_floor | less energy than the devices draw idle, a tenth of their power |
| utilisation_too_high | the compute would have needed an MFU above 0.65 |
| methods_disagree | compute by hardware over compute by architecture is outside 0.7 to 1.43 |
| flop_do_not_fit_tokens | FLOP outside 2 N to 20 N per token |
| pue_implausible, wue_implausible, utilisation_implausible, intensity_implausible | outside the range of real ones |
| duration_not_positive | a run that took no time |
| energy_per_request_implausible | outside 0.01 to 50 Wh for text, 0.5 to 50 Wh for an image |
| year_on_year | more than 30 per cent away from last year |
| round_numbers | most figures end in zeros, which measured figures do not |
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from registry.engine.emissions.compute import HIGHEST_RATIO, LOWEST_RATIO, cross_check, joules_per_flop
from registry.engine.emissions.electricity import differs_materially
from registry.engine.emissions.energy import SECONDS_PER_HOUR
from registry.engine.rounding import Exact, exact, exact_sum

SUM_TOLERANCE = Fraction(1, 10**9)
POWER_TOLERANCE = Fraction(5, 100)
SAMPLING_S = Fraction(3, 2)
"""Clients add binary floats and sample power, so sums differ in the last digits and short runs by a sample."""

POWER_WITHOUT_PUE_UNTIL = (3, 1, 0)
POWER_WITH_PUE_FROM = (3, 3, 2)
HIGHEST_UTILISATION = Decimal("0.65")
IDLE_SHARE = Decimal("0.10")
PUE_RANGE = (Decimal("1.02"), Decimal(3))
WUE_RANGE = (Decimal(0), Decimal(10))
PERCENT_RANGE = (Decimal(0), Decimal(100))
INTENSITY_RANGE = (Decimal(0), Decimal(1500))
WH_PER_REQUEST = {"text": (Decimal("0.01"), Decimal(50)), "image": (Decimal("0.5"), Decimal(50))}
MOST_FLOP_PER_TOKEN_FACTOR = 10
YEARLY_CHANGE = Decimal("0.30")
FEWEST_FIGURES = 10
"""Digit tests say nothing about fewer figures than this."""


@dataclass(frozen=True)
class Hardware:
    """One accelerator: its rated power and its peak for dense 16-bit arithmetic."""

    watts: int
    peak_flop_per_second: Decimal

    @property
    def lowest_joules_per_flop(self) -> Fraction:
        """The energy of one FLOP at full power and peak speed: nobody needs less without 8 bits or sparsity."""
        return exact(self.watts) / exact(self.peak_flop_per_second)


HARDWARE = {
    "V100": Hardware(300, Decimal("125E12")),
    "A100": Hardware(400, Decimal("312E12")),
    "H100": Hardware(700, Decimal("989.4E12")),
    "TPUv3": Hardware(450, Decimal("123E12")),
}
"""From the makers' data sheets: 2.40, 1.28, 0.71 and 3.66 pJ per FLOP."""


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit: a stable code, a sentence for people, and our figure for the field."""

    code: str
    sentence: str
    expected: Exact


@dataclass(frozen=True)
class Figures:
    """What a report says of one activity; None is not said. Energy is that of the site, PUE included.

    `client_version` is the version of the CodeCarbon client that measured power, None for any other source. `watts` is
    its average power over `duration_s`. `rated_watts` is that of one device at full power. `reduced_precision` declares
    8-bit or sparse arithmetic. `modality` is text or image.
    """

    kwh: Decimal | None = None
    parts_kwh: Mapping[str, Decimal] = field(default_factory=dict)
    watts: Decimal | None = None
    duration_s: Decimal | None = None
    pue: Decimal | None = None
    client_version: tuple[int, ...] | None = None
    claimed_kg: Decimal | None = None
    g_per_kwh: Decimal | None = None
    flop: Decimal | int | None = None
    hardware: str = ""
    reduced_precision: bool = False
    devices: int | None = None
    rated_watts: Decimal | None = None
    peak_flop_per_second: Decimal | None = None
    mean_utilisation: Decimal | None = None
    active_parameters: int | None = None
    tokens: int | None = None
    requests: int | None = None
    modality: str = "text"
    wue: Decimal | None = None
    utilisation_percent: Decimal | None = None
    last_year_kwh: Decimal | None = None
    figures: Sequence[Decimal] = ()


def findings(said: Figures) -> tuple[Finding, ...]:
    """Return everything that does not fit, in the order of the table above; nothing where all fits."""
    checks = (_sum, _power, _bound, _claimed, _limits, _methods, _tokens, _ranges, _request, _year, _digits)
    return tuple(finding for check in checks for finding in check(said))


def codecarbon_power_has_pue(version: tuple[int, ...]) -> bool | None:
    """Say whether the power columns of this CodeCarbon client include the PUE; None where both were seen between.

    Its energy includes the PUE in every version.
    """
    if version <= POWER_WITHOUT_PUE_UNTIL:
        return False
    return True if version >= POWER_WITH_PUE_FROM else None


def round_share(figures: Sequence[Decimal]) -> Fraction:
    """Return the share of figures that two digits and zeros can write, as in 1,200,000 or 0.05. None is zero."""
    stripped = [len("".join(map(str, figure.as_tuple().digits)).strip("0")) for figure in figures]
    return Fraction(sum(digits <= 2 for digits in stripped), len(stripped)) if stripped else Fraction(0)


def _sum(said: Figures) -> Iterable[Finding]:
    if said.kwh is None or not said.parts_kwh:
        return
    whole = exact_sum(said.parts_kwh.values())
    if abs(whole - exact(said.kwh)) > SUM_TOLERANCE * max(whole, exact(said.kwh)):
        yield Finding("energy_sum_differs", "The parts of the energy do not add up to the whole.", whole)


def _power(said: Figures) -> Iterable[Finding]:
    """Compare energy with power x time; the tolerance grows by the sampling of short runs."""
    if said.duration_s is not None and said.duration_s <= 0:
        yield Finding("duration_not_positive", "The activity took no time: check its start and end.", 0)
        return
    if said.kwh is None or said.watts is None or said.duration_s is None:
        return
    seconds = exact(said.duration_s)
    plain = exact(said.watts) * seconds / SECONDS_PER_HOUR / 1000
    pue = exact(1 if said.pue is None else said.pue)
    has_pue = codecarbon_power_has_pue(said.client_version) if said.client_version else None
    expected = {True: [plain], False: [plain * pue], None: [plain, plain * pue]}[has_pue]
    tolerance = POWER_TOLERANCE + SAMPLING_S / seconds
    if all(abs(exact(said.kwh) - value) > tolerance * value for value in expected):
        sentence = "The energy does not follow from power and time, with the PUE where this source has it."
        yield Finding("energy_power_mismatch", sentence, expected[0])


def _bound(said: Figures) -> Iterable[Finding]:
    if said.kwh is None or not said.flop or said.hardware not in HARDWARE or said.reduced_precision:
        return
    lowest = HARDWARE[said.hardware].lowest_joules_per_flop
    if joules_per_flop(said.kwh, said.flop) < lowest:
        sentence = f"An {said.hardware} needs more energy per FLOP at its peak: declare 8 bits or sparsity, or check."
        yield Finding("below_physical_bound", sentence, lowest)


def _claimed(said: Figures) -> Iterable[Finding]:
    """Compare claimed emissions with energy x factor, and name the PUE where it explains the difference."""
    if said.kwh is None or said.claimed_kg is None or said.g_per_kwh is None:
        return
    ours = exact(said.kwh) * exact(said.g_per_kwh) / 1000
    if not differs_materially(said.claimed_kg, ours):
        return
    pue = exact(1 if said.pue is None else said.pue)
    if pue > 1 and not differs_materially(said.claimed_kg, ours / pue):
        sentence = f"Energy and emissions are inconsistent, factor {said.pue} = PUE: the emissions leave it out."
        yield Finding("pue_left_out", sentence, ours)
    elif pue > 1 and not differs_materially(said.claimed_kg, ours * pue):
        sentence = f"Energy and emissions are inconsistent, factor {said.pue} = PUE: the emissions apply it twice."
        yield Finding("pue_applied_twice", sentence, ours)
    else:
        sentence = "Emissions over energy is more than one per cent from the factor of the table: both are shown."
        yield Finding("implied_factor_differs", sentence, ours)


def _limits(said: Figures) -> Iterable[Finding]:
    """Hold energy between what the devices draw idle and at full power. A PUE that nobody said is 3 for the ceiling."""
    if (
        said.kwh is None
        or said.devices is None
        or said.rated_watts is None
        or not said.duration_s
        or said.duration_s < 0
    ):
        return
    full = said.devices * exact(said.rated_watts) * exact(said.duration_s) / SECONDS_PER_HOUR / 1000
    ceiling = full * exact(PUE_RANGE[1] if said.pue is None else said.pue)
    if exact(said.kwh) > ceiling:
        sentence = "This is more energy than all devices draw at full power over this time, with the PUE."
        yield Finding("energy_above_ceiling", sentence, ceiling)
    if exact(said.kwh) < full * exact(IDLE_SHARE):
        sentence = "This is less energy than the devices draw idle over this time."
        yield Finding("energy_below_floor", sentence, full * exact(IDLE_SHARE))


def _methods(said: Figures) -> Iterable[Finding]:
    """Compare compute by architecture with what the devices can do in the time."""
    if not said.flop or not said.devices or not said.peak_flop_per_second or not said.duration_s:
        return
    hours = said.devices * exact(said.duration_s) / SECONDS_PER_HOUR
    if hours <= 0:
        return
    used = said.mean_utilisation
    check = cross_check(said.flop, hours, said.peak_flop_per_second, used or 1)
    if check.implied_utilisation > exact(HIGHEST_UTILISATION) and not said.reduced_precision:
        sentence = "The devices would have had to work at more than 65 per cent of their peak all the time."
        yield Finding("utilisation_too_high", sentence, exact(HIGHEST_UTILISATION))
    if used and check.flagged:
        sentence = f"FLOP by hardware over FLOP by architecture is outside {LOWEST_RATIO} to {HIGHEST_RATIO}."
        yield Finding("methods_disagree", sentence, check.ratio)


def _tokens(said: Figures) -> Iterable[Finding]:
    if said.flop is None or not said.active_parameters or not said.tokens:
        return
    least = 2 * said.active_parameters * said.tokens
    if not least <= said.flop <= least * MOST_FLOP_PER_TOKEN_FACTOR:
        sentence = "The FLOP do not fit the tokens: 2 to 20 operations per active parameter and token are plausible."
        yield Finding("flop_do_not_fit_tokens", sentence, least)


def _ranges(said: Figures) -> Iterable[Finding]:
    for code, name, value, (least, most) in (
        ("pue_implausible", "PUE", said.pue, PUE_RANGE),
        ("wue_implausible", "WUE in L/kWh", said.wue, WUE_RANGE),
        ("utilisation_implausible", "utilisation in per cent", said.utilisation_percent, PERCENT_RANGE),
        ("intensity_implausible", "intensity in g/kWh", said.g_per_kwh, INTENSITY_RANGE),
    ):
        if value is not None and not least <= value <= most:
            yield Finding(
                code, f"A {name} of {value} is outside {least} to {most}: explain it.", min(max(value, least), most)
            )


def _request(said: Figures) -> Iterable[Finding]:
    if said.kwh is None or not said.requests or said.modality not in WH_PER_REQUEST:
        return
    least, most = WH_PER_REQUEST[said.modality]
    each = exact(said.kwh) * 1000 / said.requests
    if not exact(least) <= each <= exact(most):
        sentence = f"The energy per {said.modality} request is outside {least} to {most} Wh: explain it."
        yield Finding("energy_per_request_implausible", sentence, least if each < exact(least) else most)


def _year(said: Figures) -> Iterable[Finding]:
    if said.kwh is None or not said.last_year_kwh:
        return
    change = abs(exact(said.kwh) - exact(said.last_year_kwh))
    if change > exact(YEARLY_CHANGE) * exact(said.last_year_kwh):
        sentence = "The energy changed by more than 30 per cent in a year: give the reason."
        yield Finding("year_on_year", sentence, said.last_year_kwh)


def _digits(said: Figures) -> Iterable[Finding]:
    share = round_share(said.figures)
    if len(said.figures) >= FEWEST_FIGURES and share > Fraction(1, 2):
        sentence = "Most figures are round: measured ones have digits of every kind. Say how they were found."
        yield Finding("round_numbers", sentence, share)
