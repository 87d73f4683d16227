"""Country emission factors from a CSV file (iso3, country, year, gco2e_per_kwh) into a versioned factor table."""

import re
from decimal import Decimal

from registry.engine.factors import WORLD_AVERAGE, Factor, FactorTable, factor_table
from registry.importers.table import BadFile, Limits, bad_file, cells_of, read_table

LIMITS = Limits(max_bytes=2_000_000, max_rows=20_000, max_columns=20, max_cell=500)
REQUIRED = ("iso3", "country", "year", "gco2e_per_kwh")
HIGHEST_INTENSITY = Decimal(1500)
"""No national grid emits more per kilowatt-hour; above it a factor of thousand was lost somewhere."""

_ISO3 = re.compile(r"[A-Z]{3}", re.ASCII)


def parse_country_factors(
    content: bytes, *, version: str, source: str, licence: str, limits: Limits = LIMITS
) -> FactorTable | BadFile:
    """Read a factor file, or refuse it with every error; a country may stand there once per year."""
    factors = read_country_factors(content, limits=limits)
    if isinstance(factors, BadFile):
        return factors
    return factor_table(version, source, licence, factors, WORLD_AVERAGE)


def read_country_factors(content: bytes, *, limits: Limits = LIMITS) -> tuple[Factor, ...] | BadFile:
    """Return every country and year of a factor file, or refuse it with every error."""
    table = read_table(content, required=REQUIRED, limits=limits)
    errors = list(table.errors)
    factors: dict[tuple[str, int], Factor] = {}
    for cells in cells_of(table, errors, limits):
        zone = cells.choice("iso3", _ISO3, "not_a_country", "Write the country in three capital letters.")
        cells.text("country")
        year = cells.whole("year", 1990, 2100, required=True)
        intensity = cells.decimal("gco2e_per_kwh", Decimal(0), HIGHEST_INTENSITY, required=True)
        if not zone or year is None or intensity is None:
            continue
        if (zone, year) in factors:
            cells.refuse("iso3", "duplicate_factor", f"{zone} {year} stands in the file twice: keep one of the rows.")
        factors[zone, year] = Factor(zone, year, intensity)
    return bad_file(content, table, errors) if errors else tuple(factors.values())
