"""Our own table of activities: exact figures from CSV and XLSX, and templates that can be filled in and read back."""

import io
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.emissions import ItEnergy, SiteEnergy
from registry.importers.table import BadFile
from registry.importers.template import COLUMNS, parse_template, template_csv, template_xlsx
from registry.models import ReportLine
from tests.registry.reading import faults, flags, numbers, read

NAMES = [column.name for column in COLUMNS]
ROW = {column.name: column.example for column in COLUMNS}


def table(*rows: dict[str, str], columns: list[str] = NAMES) -> bytes:
    lines = [",".join(f'"{row.get(name, "")}"' for name in columns) for row in rows]
    return "\n".join((",".join(columns), *lines)).encode()


def test_the_example_of_the_template_is_read_exactly() -> None:
    (line,) = read(parse_template(table(ROW))).lines

    assert (line.label, line.activity, line.method) == ("owl-2 chat, Frankfurt", "inference", "smart meter")
    assert (line.energy, line.flop, line.requests) == (SiteEnergy(Decimal("1250.5")), 3 * 10**21, 1_200_000)
    assert (line.tokens, line.claimed_co2e_g, line.tier, line.zone) == (480_000_000, Decimal(476_000), 3, "DEU")
    assert (line.started_at, line.ended_at) == (datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC))


def test_a_claimed_tier_is_flagged_for_the_verifier() -> None:
    result = parse_template(table(ROW, {**ROW, "label": "elk", "tier": "0"}, {**ROW, "label": "owl", "tier": ""}))

    assert flags(result) == [("tier", "tier_claimed")]


def test_every_activity_of_a_report_can_be_written() -> None:
    for activity in ReportLine.Activity.values:
        assert read(parse_template(table({**ROW, "activity": activity}))).lines[0].activity == activity


def test_energy_of_the_computers_keeps_its_kind() -> None:
    (line,) = read(parse_template(table({**ROW, "energy_kwh": "", "it_energy_kwh": "7.25"}))).lines

    assert line.energy == ItEnergy(Decimal("7.25"))


def test_a_corrected_figure_is_the_same_row_and_another_month_is_not() -> None:
    first, corrected, april = (
        read(parse_template(table({**ROW, **changed}))).lines[0].key
        for changed in ({}, {"energy_kwh": "9", "tier": "1"}, {"started_at": "2027-03-02T00:00:00Z"})
    )

    assert first == corrected != april


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"label": ""}, ("label", "missing_value")),
        ({"label": "x" * 201}, ("label", "text_too_long")),
        ({"activity": "training "}, None),
        ({"activity": "serving"}, ("activity", "activity_unknown")),
        ({"zone": "Germany"}, ("zone", "not_a_zone")),
        ({"started_at": "2027-03-01"}, ("started_at", "not_an_instant")),
        ({"started_at": "2027-03-01T00:00:00"}, ("started_at", "not_an_instant")),
        ({"started_at": "0001-01-01T00:00:00+23:59"}, ("started_at", "not_an_instant")),
        ({"ended_at": "2027-03-01T00:00:00Z"}, ("ended_at", "ends_before_start")),
        ({"energy_kwh": "1,5"}, ("energy_kwh", "not_a_number")),
        ({"energy_kwh": "1E+27"}, ("energy_kwh", "number_out_of_range")),
        ({"it_energy_kwh": "1"}, ("it_energy_kwh", "energy_twice")),
        ({"energy_kwh": "", "flop": ""}, ("label", "row_says_nothing")),
        ({"flop": "1e36"}, ("flop", "number_out_of_range")),
        ({"flop": "1.5"}, ("flop", "not_whole")),
        ({"requests": "-1"}, ("requests", "number_out_of_range")),
        ({"tier": "6"}, ("tier", "number_out_of_range")),
    ],
)
def test_a_wrong_cell_is_refused_with_line_and_column(changed: dict[str, str], fault: tuple[str, str] | None) -> None:
    result = parse_template(table(ROW, {**ROW, "label": "elk", **changed}))

    if fault is None:
        assert len(read(result).lines) == 2
    else:
        assert faults(result) == [(3, *fault)]


def test_rows_that_describe_the_same_and_unknown_columns_are_refused() -> None:
    assert faults(parse_template(table(ROW, ROW))) == [(3, "label", "row_twice")]
    assert faults(parse_template(table(ROW, columns=[*NAMES, "power_w"]))) == [(1, "power_w", "unknown_column")]
    assert faults(parse_template(table(ROW).replace(b'","', b'";"').replace(b",", b";"))) == [
        (1, "column 1", "wrong_separator")
    ]


def test_the_templates_can_be_filled_in_and_read_back() -> None:
    book = openpyxl.load_workbook(io.BytesIO(template_xlsx()))
    book.worksheets[0].append([column.example for column in COLUMNS])
    filled = io.BytesIO()
    book.save(filled)

    from_sheet = read(parse_template(filled.getvalue())).lines
    from_text = read(parse_template(template_csv() + table(ROW).split(b"\n", 1)[1])).lines

    assert from_sheet[0].key == from_text[0].key
    assert from_sheet == from_text
    assert [row[0] for row in book.worksheets[1].iter_rows(values_only=True)] == ["Column", *NAMES]
    assert faults(parse_template(template_csv())) == [(1, "label", "no_rows")]


@given(st.permutations(NAMES), st.booleans(), numbers)
def test_whatever_the_order_a_number_is_kept_exactly_or_refused(columns: list[str], marked: bool, text: str) -> None:
    content = (b"\xef\xbb\xbf" if marked else b"") + table({**ROW, "energy_kwh": text}, columns=columns)

    result = parse_template(content)

    if isinstance(result, BadFile):
        assert {(error.line, error.column) for error in result.errors} == {(2, "energy_kwh")}
    else:
        (line,) = result.lines
        assert line.energy == SiteEnergy(Decimal(text))
