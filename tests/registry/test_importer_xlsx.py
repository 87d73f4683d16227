"""XLSX tables: read like CSV, refused before they inflate, and never a fault of ours."""

import io
import zipfile
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from registry.importers.table import Limits, Table
from registry.importers.xlsx import MOST_INFLATED, read_any, read_xlsx

LIMITS = Limits(max_bytes=2**20, max_rows=100)
REQUIRED = ("to", "quantity")


def sheet(*rows: tuple[Any, ...]) -> bytes:
    book = Workbook()
    for row in rows:
        assert book.active is not None
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def read(content: bytes) -> Table:
    return read_xlsx(content, required=REQUIRED, limits=LIMITS)


def test_a_sheet_reads_like_the_same_table_as_csv() -> None:
    rows = [("to", "quantity", "note"), ("HR-100-1", 12, None), ("HR-100-2", 2.5, "second"), ("HR-100-3", "7", "")]
    csv = "\n".join(",".join("" if cell is None else str(cell) for cell in row) for row in rows).encode()

    from_sheet = read_any(sheet(*rows), required=REQUIRED, limits=LIMITS)
    from_csv = read_any(csv, required=REQUIRED, limits=LIMITS)

    assert from_sheet == from_csv
    assert [row.cells["quantity"] for row in from_sheet.rows] == ["12", "2.5", "7"]


def test_days_and_answers_become_text() -> None:
    table = read(
        sheet(
            ("to", "quantity", "on", "at", "yes"),
            ("a", 1, date(2027, 1, 31), datetime.fromisoformat("2027-01-31T09:00:00"), True),
        )
    )

    assert list(table.rows[0].cells.values()) == ["a", "1", "2027-01-31", "2027-01-31T09:00:00", "yes"]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("=1+1", "formula"),
        (10**15, "number_too_long"),
        (1e27, "number_too_long"),
        ("x" * 20_001, "cell_too_long"),
    ],
)
def test_what_a_spreadsheet_cannot_say_exactly_is_refused_with_its_cell(value: Any, code: str) -> None:
    table = read(sheet(("to", "quantity"), ("a", 1), ("b", value)))

    assert [(error.line, error.column, error.code) for error in table.errors] == [(3, "quantity", code)]


def test_blank_rows_are_passed_over_and_lines_keep_their_numbers() -> None:
    table = read(sheet(("to", "quantity"), (None, None), ("a", 1), ("", ""), ("b", 2)))

    assert [(row.line, row.cells["to"]) for row in table.rows] == [(3, "a"), (5, "b")]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([("to",), ("a",)], "missing_column"),
        ([("to", "quantity", "to"), ("a", 1, "b")], "duplicate_column"),
        ([("to", "quantity")], "no_rows"),
        ([("to", "quantity"), ("a", 1, "beyond")], "wrong_column_count"),
        ([("to", "quantity"), *[("a", 1)] * 101], "too_many_rows"),
    ],
)
def test_a_table_of_another_form_is_refused(rows: list[tuple[Any, ...]], code: str) -> None:
    assert code in {error.code for error in read(sheet(*rows)).errors}


def test_a_small_file_that_inflates_to_fifty_megabytes_is_refused_by_its_table_of_contents() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("xl/worksheets/sheet1.xml", b" " * 53_000_000)
    content = file.getvalue()
    assert len(content) < 160_000 < MOST_INFLATED

    table = read(content)

    assert [error.code for error in table.errors] == ["inflates_too_far"]


@pytest.mark.parametrize(
    ("part", "xml"),
    [
        (
            "xl/worksheets/sheet1.xml",
            '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><worksheet>&b;</worksheet>',
        ),
        ("xl/workbook.xml", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><workbook>&e;</workbook>'),
        ("[Content_Types].xml", "<nothing"),
    ],
)
def test_hostile_or_broken_parts_are_refused(part: str, xml: str) -> None:
    honest = zipfile.ZipFile(io.BytesIO(sheet(("to", "quantity"), ("a", 1))))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as changed:
        for name in honest.namelist():
            changed.writestr(name, xml if name == part else honest.read(name))

    table = read(file.getvalue())

    assert [error.code for error in table.errors] == ["bad_xlsx"]
    assert not table.rows


def test_a_file_that_is_too_large_is_not_opened() -> None:
    assert [error.code for error in read(b"PK\x03\x04" + b"0" * 2**20).errors] == ["file_too_large"]


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_noise_is_refused_and_never_a_fault_of_ours(noise: bytes) -> None:
    for content in (b"PK\x03\x04" + noise, sheet(("to", "quantity"), ("a", 1))[:-1] + noise):
        table = read(content)
        assert table.errors or table.rows


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"]), min_size=1, max_size=8),
            st.integers(-(10**15) + 1, 10**15 - 1),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_was_written_is_what_is_read(rows: list[tuple[str, int]]) -> None:
    rows = [(text, number) for text, number in rows if text.strip() and not text.startswith("=")]
    if not rows:
        return

    table = read(sheet(("to", "quantity"), *rows))

    assert not table.errors
    assert [int(row.cells["quantity"]) for row in table.rows] == [number for _, number in rows]
