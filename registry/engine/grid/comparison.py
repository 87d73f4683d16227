"""Emissions of a stream hour by hour, and beside them what the average of the time would have given."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from operator import mul

from registry.engine.grid.energy import EnergySeries
from registry.engine.grid.hours import hour_number
from registry.engine.grid.intensities import Fill, IntensitySeries
from registry.engine.grid.units import GRAM_PLACES, KWH_PLACES, rounded
from registry.engine.rounding import EXACT_DECIMALS


@dataclass(frozen=True)
class HourlyResult:
    """What a stream emitted: `grams` hour by hour and exact, `annual_grams` by the average of the same hours."""

    energy_kwh: Decimal
    grams: Decimal
    annual_grams: Decimal
    hours: int
    hours_without_record: int
    hours_without_intensity: int
    fills: tuple[tuple[Fill, int], ...]

    @property
    def g_per_kwh(self) -> Decimal:
        """The effective factor, for reading only: rounded to three places."""
        return rounded(Fraction(self.grams) / Fraction(self.energy_kwh), 3) if self.energy_kwh else Decimal(0)

    @property
    def annual_overstates_by(self) -> Fraction | None:
        """How much more the average gives than the hours do, as a part of it; nothing where nothing was emitted."""
        return Fraction(self.annual_grams) / Fraction(self.grams) - 1 if self.grams else None


def hourly_result(energy: EnergySeries, intensity: IntensitySeries) -> HourlyResult:
    """Return the emissions of the hours of a stream: the sum of E_h x I_h. The intensity covers at least its hours."""
    place = hour_number(energy.start) - intensity.first
    until = place + len(energy)
    assert place >= 0 and until <= len(intensity), "every hour of the stream needs an intensity"
    micro, fills = intensity.micro_g_per_kwh[place:until], intensity.fills[place:until]
    drawn = energy.pico_kwh
    sum_of_hours = sum(map(mul, drawn, micro))
    counts = {fill: fills.count(fill) for fill in Fill if fill is not Fill.KNOWN}
    annual = sum(drawn) * intensity.mean() / 10 ** (KWH_PLACES + GRAM_PLACES)
    return HourlyResult(
        energy_kwh=energy.kwh,
        grams=EXACT_DECIMALS.scaleb(Decimal(sum_of_hours), -(KWH_PLACES + GRAM_PLACES)),
        annual_grams=rounded(annual, GRAM_PLACES),
        hours=len(energy),
        hours_without_record=len(energy.filled),
        hours_without_intensity=sum(counts.values()),
        fills=tuple((fill, count) for fill, count in counts.items() if count),
    )
