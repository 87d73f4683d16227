"""Tables of bulk work: what is read, what is refused by line and column, and templates that read back."""

import io
import zipfile
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.importers import blank, bulk
from registry.importers.bulk import SURRENDER_COLUMNS, TRANSFER_COLUMNS, SurrenderRow, TransferRow
from registry.importers.table import BadFile
from registry.ledger.models import account_number

HEAD = "from,to,permit,quantity,price,agreement"
ACME, BOREALIS = account_number("holding", 7), account_number("holding", 42)


def transfers(*rows: str, head: str = HEAD) -> Any:
    return bulk.read_transfers("\n".join((head, *rows, "")).encode())


def surrenders(*rows: str, head: str = "account,scheme,year,permit,quantity") -> Any:
    return bulk.read_surrenders("\n".join((head, *rows, "")).encode())


def faults(read: Any) -> list[tuple[int, str, str]]:
    assert isinstance(read, BadFile)
    return [(error.line, error.column, error.code) for error in read.errors]


def test_transfers_are_read_in_their_order_with_their_lines() -> None:
    read = transfers(f"{ACME},{BOREALIS},ai-flop-2026,250,25.4,contract 7", f",{BOREALIS},ai-flop-2025, 1 ,,")

    assert read == (
        TransferRow(2, ACME, BOREALIS, "ai-flop-2026", 250, 2540, "contract 7"),
        TransferRow(3, "", BOREALIS, "ai-flop-2025", 1, None, ""),
    )


def test_columns_are_found_by_their_header_and_optional_ones_may_be_missing() -> None:
    read = transfers(f"3,{BOREALIS},ai-flop-2026", head="quantity,to,permit")

    assert read == (TransferRow(2, "", BOREALIS, "ai-flop-2026", 3, None, ""),)


def test_surrenders_are_read_with_what_may_stay_empty() -> None:
    read = surrenders(f"{ACME},ai-flop,2026,ai-flop-2025,12", ",ai-flop,2026.0,,1")

    assert read == (
        SurrenderRow(2, ACME, "ai-flop", 2026, "ai-flop-2025", 12),
        SurrenderRow(3, "", "ai-flop", 2026, "", 1),
    )


TRANSFER_FAULTS = [
    # one row, and what it is told
    (f",{BOREALIS},ai-flop-2026,,,", ("quantity", "missing_value")),
    (f",{BOREALIS},ai-flop-2026,0,,", ("quantity", "quantity_out_of_range")),
    (f",{BOREALIS},ai-flop-2026,-3,,", ("quantity", "quantity_not_whole")),
    (f",{BOREALIS},ai-flop-2026,1.5,,", ("quantity", "quantity_not_whole")),
    (f",{BOREALIS},ai-flop-2026,1e3,,", ("quantity", "quantity_not_whole")),
    (f',{BOREALIS},ai-flop-2026,"1,000",,', ("quantity", "quantity_not_whole")),
    (f",{BOREALIS},ai-flop-2026,\u0661\u0662,,", ("quantity", "quantity_not_whole")),
    (f",{BOREALIS},ai-flop-2026,1000000000000001,,", ("quantity", "quantity_out_of_range")),
    (f",{BOREALIS},ai-flop-2026,1,25.405,", ("price", "money_too_precise")),
    (f",{BOREALIS},ai-flop-2026,1,NaN,", ("price", "quantity_not_decimal")),
    (f",{BOREALIS},ai-flop-2026,1,10000000000001,", ("price", "quantity_out_of_range")),
    (f",{BOREALIS[:-2]}00,ai-flop-2026,1,,", ("to", "account_number_wrong")),
    (f"HR-7,{BOREALIS},ai-flop-2026,1,,", ("from", "account_number_wrong")),
    (",,ai-flop-2026,1,,", ("to", "missing_value")),
    (f",{BOREALIS},,1,,", ("permit", "missing_value")),
    (f",{BOREALIS},ai-flop-2026,1,,{'x' * 201}", ("agreement", "text_too_long")),
    (f",{BOREALIS},ai-flop-2026,1", ("price", "wrong_column_count")),
]


def test_each_fault_is_named_by_line_column_and_code_and_all_of_them_are() -> None:
    read = transfers(*(row for row, _ in TRANSFER_FAULTS))

    assert faults(read) == [(line, *told) for line, (_, told) in enumerate(TRANSFER_FAULTS, start=2)]
    assert all(error.sentence.endswith(".") for error in read.errors)


def test_a_year_that_is_none_and_an_unknown_column_are_named() -> None:
    assert faults(surrenders(",ai-flop,26,,1", ",ai-flop,,,1")) == [
        (2, "year", "number_out_of_range"),
        (3, "year", "missing_value"),
    ]
    assert faults(transfers(f"{BOREALIS},a,1,x", head="to,permit,quantity,colour")) == [(1, "colour", "unknown_column")]
    assert faults(transfers("1", head="quantity")) == [(1, "to", "missing_column"), (1, "permit", "missing_column")]


def test_the_same_row_twice_is_a_mistake_unless_something_tells_them_apart() -> None:
    row = f",{BOREALIS},ai-flop-2026,5,,"

    assert faults(transfers(row + "a", row + "b", row + "a")) == [(4, "quantity", "row_twice")]
    assert len(transfers(row + "a", row + "b")) == 2
    assert faults(surrenders(",ai-flop,2026,,1", ",ai-flop,2026,,2")) == [(3, "quantity", "row_twice")]


def test_a_table_is_at_most_two_thousand_rows_and_two_million_bytes() -> None:
    rows = [f",{BOREALIS},ai-flop-2026,{number},," for number in range(1, 2002)]

    assert len(transfers(*rows[:-1])) == 2000
    assert faults(transfers(*rows)) == [(2002, "from", "too_many_rows")]
    assert faults(bulk.read_transfers(b"x" * 2_000_001)) == [(1, "column 1", "file_too_large")]


@pytest.mark.parametrize("columns", [TRANSFER_COLUMNS, SURRENDER_COLUMNS])
def test_templates_have_the_columns_that_are_read_and_nothing_else(columns: tuple[blank.Column, ...]) -> None:
    read = bulk.read_transfers if columns is TRANSFER_COLUMNS else bulk.read_surrenders
    for template in (blank.template_csv(columns), blank.template_xlsx(columns)):
        assert [code for _, _, code in faults(read(template))] == ["no_rows"]
    book = openpyxl.load_workbook(io.BytesIO(blank.template_xlsx(columns)))
    assert book.active is not None
    assert [cell.value for cell in book.active[1]] == [column.name for column in columns]
    assert blank.template_xlsx(columns) == blank.template_xlsx(columns)


def test_a_filled_in_spreadsheet_reads_like_the_same_csv() -> None:
    book = openpyxl.load_workbook(io.BytesIO(blank.template_xlsx(TRANSFER_COLUMNS)))
    assert book.active is not None
    book.active.append([ACME, BOREALIS, "ai-flop-2026", 250, 25.4, "contract 7"])
    book.active.append([None, BOREALIS, "ai-flop-2026", "7", None, None])
    file = io.BytesIO()
    book.save(file)

    assert bulk.read_transfers(file.getvalue()) == transfers(
        f"{ACME},{BOREALIS},ai-flop-2026,250,25.4,contract 7", f",{BOREALIS},ai-flop-2026,7,,"
    )


def _bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 40_000_000)
    return file.getvalue()


HOSTILE = [
    (b"", "empty_file"),
    (b"\xff\xfeto", "bad_encoding"),
    (b"to;permit;quantity\n", "wrong_separator"),
    (b"to,to,permit,quantity\n1,1,1,1\n", "duplicate_column"),
    (b'to,permit,quantity\n"x,1,1\n', "bad_quoting"),
    (b"to,permit,quantity\n\x00,a,1\n", "control_character"),
    (b"to,permit,quantity\n\xff,a,1\n", "bad_encoding"),
    (b"to,permit,quantity\n" + b"x" * 5000 + b",a,1\n", "cell_too_long"),
    (b"PK\x03\x04 and nothing more", "bad_xlsx"),
    (_bomb(), "inflates_too_far"),
]


@pytest.mark.parametrize(("content", "code"), HOSTILE)
def test_a_hostile_file_is_refused_with_a_code(content: bytes, code: str) -> None:
    assert [found for _, _, found in faults(bulk.read_transfers(content))] == [code]


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=120).map(lambda body: f"{HEAD}\n{body}".encode())))
def test_any_bytes_are_rows_or_errors_and_never_a_fault_of_ours(content: bytes) -> None:
    read = bulk.read_transfers(content)

    if isinstance(read, BadFile):
        assert read.errors and all(error.line >= 1 and error.code and error.sentence for error in read.errors)
    else:
        assert all(1 <= row.quantity <= 10**15 and row.to for row in read)
