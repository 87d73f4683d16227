"""Reading CSV bytes: what is refused before anything is understood, always with its line and column."""

import csv
from decimal import Decimal

import pytest

from registry.importers.table import Cells, Limits, Row, RowError, Table, read_table

SMALL = Limits(max_bytes=2000, max_rows=3, max_columns=4, max_cell=50)


def faults(table: Table) -> list[tuple[int, str, str]]:
    return [(error.line, error.column, error.code) for error in table.errors]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", [(1, "column 1", "empty_file")]),
        (b"\xef\xbb\xbf \r\n", [(1, "column 1", "empty_file")]),
        (b"a,b\n1,2\n" + b" " * 2000, [(1, "column 1", "file_too_large")]),
        ("a,b\n1,2\n".encode("utf-16"), [(1, "column 1", "bad_encoding")]),
        (b"a,b\n", [(1, "a", "no_rows")]),
        (b"a;b\n1;2\n", [(1, "column 1", "wrong_separator")]),
        (b"a\tb\n1\t2\n", [(1, "column 1", "wrong_separator")]),
        (b"a\n1\n", [(1, "b", "missing_column")]),
        (b"a,b,a\n1,2,3\n", [(1, "a", "duplicate_column")]),
        (b"a,b,c,d,e\n1,2,3,4,5\n", [(1, "column 5", "too_many_columns")]),
        (b"a,b\n1,2\n1\n", [(3, "b", "wrong_column_count")]),
        (b"a,b\n1,2,3\n", [(2, "column 3", "wrong_column_count")]),
        (b"a,b\n1,2\n\n1,2\n1,2\n1,2\n", [(6, "a", "too_many_rows")]),
        (b"a,b\n1,Universit\xe9\n", [(2, "b", "bad_encoding")]),
        (b"a,Universit\xe9\n1,2\n", [(1, "column 2", "bad_encoding"), (1, "b", "missing_column")]),
        (b"a,b\n1,\x00\n", [(2, "b", "control_character")]),
        (b"a,b\n1," + b"x" * 51 + b"\n", [(2, "b", "cell_too_long")]),
        (b'a,b\n1,"open\n2,3\n', [(3, "a", "bad_quoting")]),
        (b'a,b\n1,"shut"more\n', [(2, "a", "bad_quoting")]),
        (b'a,b\n1,"two\nlines"\n1\n1,2,3\n', [(4, "b", "wrong_column_count"), (5, "column 3", "wrong_column_count")]),
    ],
)
def test_a_file_of_bad_form_is_refused_with_line_and_column(content: bytes, found: list[tuple[int, str, str]]) -> None:
    assert faults(read_table(content, required=("a", "b"), limits=SMALL)) == found


def test_a_cell_beyond_the_parser_s_own_limit_is_an_error_and_not_an_exception() -> None:
    content = b"a,b\n1," + b"x" * (csv.field_size_limit() + 1) + b"\n"

    table = read_table(content, required=("a", "b"), limits=Limits(max_bytes=10**6, max_rows=3))

    assert faults(table) == [(2, "a", "cell_too_long")]


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfa,b\n1,2\n", b"b,a\r\n2,1\r\n", b" a , b \r1,2\r", b'"a","b"\n"1","2"']
)
def test_a_byte_order_mark_line_ends_and_column_order_do_not_matter(content: bytes) -> None:
    table = read_table(content, required=("a", "b"), limits=SMALL)

    assert table.errors == ()
    assert [(row.line, dict(row.cells)) for row in table.rows] == [(2, {"a": "1", "b": "2"})]


def test_rows_in_good_form_are_read_beside_rows_that_are_not() -> None:
    table = read_table(b'a,b\n1,"x\ny"\n1\n3,4\n', required=("a",), limits=SMALL)

    assert [row.line for row in table.rows] == [2, 5]
    assert faults(table) == [(4, "b", "wrong_column_count")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("NaN", "not_a_number"),
        ("inf", "not_a_number"),
        ("-inf", "not_a_number"),
        ("1,5", "not_a_number"),
        ("1_000", "not_a_number"),
        ("0x1F", "not_a_number"),
        ("\u0661\u0662", "not_a_number"),
        ("9" * 41, "not_a_number"),
        ("1e9999", "not_a_number"),
        (".5", "not_a_number"),
        ("", "missing_value"),
        ("   ", "missing_value"),
        ("-1", "number_out_of_range"),
        ("1E+27", "number_out_of_range"),
        ("1e999", "number_out_of_range"),
        ("1e-61", "too_precise"),
        ("1\n2", "line_break"),
    ],
)
def test_a_number_that_is_none_reads_as_nothing_and_says_why(text: str, code: str) -> None:
    errors: list[RowError] = []

    number = _cells({"x": text}, errors).decimal("x", Decimal(0), Decimal(10**12), required=True)

    assert number is None
    assert [(error.line, error.column, error.code) for error in errors] == [(7, "x", code)]


@pytest.mark.parametrize(
    ("text", "number"),
    [("2.4221528535349934e-05", "0.000024221528535349934"), ("0", "0"), ("-0.0", "0"), ("5.", "5"), ("+7", "7")],
)
def test_a_number_is_read_with_every_digit(text: str, number: str) -> None:
    errors: list[RowError] = []

    read = _cells({"x": text}, errors).decimal("x", Decimal(0), Decimal(10**12))

    assert errors == []
    assert read is not None
    assert f"{read.normalize():f}" == number


@pytest.mark.parametrize(
    ("method", "text", "value", "code"),
    [
        ("whole", "5.0", 5, None),
        ("whole", "5.5", None, "not_whole"),
        ("positive", "0.0", None, "number_out_of_range"),
        ("day", "2027-02-30", None, "not_a_date"),
        ("day", "27-02-01", None, "not_a_date"),
        ("day", "", None, None),
        ("local_time", "2027-01-31T25:00:00", None, "not_a_time"),
        ("local_time", "2027-01-31T23:00:00Z", None, "not_a_time"),
        ("local_time", "", None, "missing_value"),
        ("text", "x" * 501, "", "text_too_long"),
    ],
)
def test_cells_of_other_kinds(method: str, text: str, value: object, code: str) -> None:
    bounds = {"whole": (0, 10), "positive": (Decimal(10),)}.get(method, ())
    errors: list[RowError] = []

    read = getattr(_cells({"x": text}, errors), method)("x", *bounds)

    assert (read, [error.code for error in errors]) == (value, [code] if code else [])


def _cells(cells: dict[str, str], errors: list[RowError]) -> Cells:
    return Cells(Row(7, cells), errors)
