"""Country factor files: a versioned table, or errors with line and column."""

from decimal import Decimal
from pathlib import Path

import pytest

from registry.engine.factors import BUILT_IN, WORLD_AVERAGE, FactorTable
from registry.importers.grid_factors import parse_country_factors
from registry.importers.table import BadFile

HEADER = "iso3,country,year,gco2e_per_kwh"


def parse(content: bytes) -> FactorTable | BadFile:
    return parse_country_factors(content, version="v1", source="Our World in Data (Ember)", licence="CC BY 4.0")


def test_the_genuine_file_holds_every_built_in_figure(shared_data: Path) -> None:
    table = parse((shared_data / "grid" / "country_annual_ci_owid.csv").read_bytes())

    assert isinstance(table, FactorTable)
    assert len(table.factors) == 213
    assert {zone: table.factor(zone) for zone in BUILT_IN.factors} == BUILT_IN.factors


def test_a_table_knows_its_version_and_falls_back_to_the_world_average() -> None:
    table = parse(f"{HEADER}\nFRA,France,2022,85.1\nFRA,France,2023,56.039\n".encode())

    assert isinstance(table, FactorTable)
    assert (table.version, table.licence) == ("v1", "CC BY 4.0")
    assert (table.factor("FRA").year, table.factor("FRA").g_per_kwh) == (2023, Decimal("56.039"))
    assert table.factor("DEU") == WORLD_AVERAGE


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("fra,France,2022,1", "iso3", "not_a_country"),
        (",France,2022,1", "iso3", "missing_value"),
        ("FRA,France,1066,1", "year", "number_out_of_range"),
        ("FRA,France,2022,", "gco2e_per_kwh", "missing_value"),
        ("FRA,France,2022,NaN", "gco2e_per_kwh", "not_a_number"),
        ("FRA,France,2022,-1", "gco2e_per_kwh", "number_out_of_range"),
        ("FRA,France,2022,56039", "gco2e_per_kwh", "number_out_of_range"),
        ("DEU,Germany,2023,1", "iso3", "duplicate_factor"),
        ("FRA,France,2022", "gco2e_per_kwh", "wrong_column_count"),
    ],
)
def test_a_bad_row_is_refused_with_line_and_column(row: str, column: str, code: str) -> None:
    result = parse(f"{HEADER}\nDEU,Germany,2023,380.95\n{row}\n".encode())

    assert isinstance(result, BadFile)
    assert [(error.line, error.column, error.code) for error in result.errors] == [(3, column, code)]
