"""Emission factors of electricity: versioned tables of what a kilowatt-hour emits, each figure with its source.

A report pins the version of the table it was computed with; a corrected figure makes a new version, never an edit.
Country factors are life-cycle averages of national production for one year, in g CO2e per kWh.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

WORLD = "WORLD"


@dataclass(frozen=True)
class Factor:
    """What one kilowatt-hour emits in one country, by the average of one year."""

    zone: str
    year: int
    g_per_kwh: Decimal


@dataclass(frozen=True)
class FactorTable:
    """One version of the factors, with where they come from and the figure for unknown countries."""

    version: str
    source: str
    licence: str
    factors: Mapping[str, Factor]
    default: Factor

    def factor(self, country_iso3: str) -> Factor:
        """Return the country's factor, or the default; the default's zone says that it is one."""
        return self.factors.get(country_iso3, self.default)


def factor_table(version: str, source: str, licence: str, factors: Iterable[Factor], default: Factor) -> FactorTable:
    """Build a table by country; the latest year wins where a country stands there twice."""
    latest: dict[str, Factor] = {}
    for factor in factors:
        if factor.zone not in latest or factor.year > latest[factor.zone].year:
            latest[factor.zone] = factor
    return FactorTable(version, source, licence, latest, default)


WORLD_AVERAGE = Factor(WORLD, 2018, Decimal(475))
"""Used where no country is known: 475 g CO2e per kWh, the world average of the IEA's Global Energy and CO2 Status
Report 2019, which CodeCarbon's client falls back to as well."""

BUILT_IN = factor_table(
    version="owid-ember-2024-09-excerpt",
    source="Our World in Data electricity data (Ember), file of September 2024, https://ourworldindata.org/energy",
    licence="CC BY 4.0",
    factors=(
        Factor("BRA", 2023, Decimal("98.348")),
        Factor("CAN", 2023, Decimal("170.043")),
        Factor("CHN", 2023, Decimal("582.317")),
        Factor("DEU", 2023, Decimal("380.95")),
        Factor("ESP", 2023, Decimal("174.05")),
        Factor("FIN", 2023, Decimal("79.158")),
        Factor("FRA", 2023, Decimal("56.039")),
        Factor("GBR", 2023, Decimal("237.589")),
        Factor("IND", 2023, Decimal("713.441")),
        Factor("IRL", 2023, Decimal("290.805")),
        Factor("JPN", 2023, Decimal("485.392")),
        Factor("KOR", 2023, Decimal("430.567")),
        Factor("NLD", 2023, Decimal("267.622")),
        Factor("NOR", 2023, Decimal("30.08")),
        Factor("POL", 2023, Decimal("661.926")),
        Factor("SGP", 2023, Decimal("470.783")),
        Factor("SWE", 2023, Decimal("40.695")),
        Factor("USA", 2023, Decimal("369.473")),
    ),
    default=WORLD_AVERAGE,
)
"""Eighteen countries, so that a report can be recomputed before anybody has loaded a factor file."""
