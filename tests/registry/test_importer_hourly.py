"""Files of intensities and serving records, however damaged: exact rows, or errors by line and column, never ours."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from registry.importers.hourly import HourlyFile, parse_hourly
from registry.importers.serving import COLUMNS, ServingRow, parse_csv, parse_objects
from registry.importers.table import BadFile

SPOILT = ["", " ", "NaN", "-1", "1E+27", "1e-80", "0x10", "1,5", "\x00", "é", "CISO", "2026-01-01T00:00Z", "1" * 50]
GOOD = ("chat", "2026-01-01T00:00Z", "CISO", "full", "fp16", "1", "2", "3.5")

cell = st.sampled_from(SPOILT) | st.text(max_size=8)
number = st.decimals(min_value=0, max_value=1500, places=6)


def check(read: BadFile) -> None:
    """Every error says where it is and what to do."""
    assert read.errors
    assert all(error.line >= 1 and error.column and error.code and error.sentence for error in read.errors)


@given(st.binary(max_size=300) | st.lists(st.lists(cell, max_size=5), max_size=5).map(lambda rows: as_csv(rows)))
def test_no_bytes_break_the_readers(content: bytes) -> None:
    heads = (b"zone,datetime_utc,gco2e_per_kwh\n", b"datetime_utc,CISO\n", b"")

    for head in heads:
        read = parse_hourly(head + content)
        if isinstance(read, BadFile):
            check(read)
    rows = parse_csv(",".join(COLUMNS).encode() + b"\n" + content)
    if isinstance(rows, BadFile):
        check(rows)


@given(st.lists(st.none() | number, min_size=1, max_size=20), st.permutations(range(3)), st.booleans())
def test_figures_come_back_exactly_whatever_the_order_of_columns(
    values: list[Decimal | None], order: list[int], mark: bool
) -> None:
    rows = [("zone", "datetime_utc", "gco2e_per_kwh")]
    rows += [
        ("CISO", f"2026-01-01T{hour:02}:00Z", "" if value is None else f"{value:f}")
        for hour, value in enumerate(values)
    ]
    text = "\n".join(",".join(row[place] for place in order) for row in rows)

    read = parse_hourly(text.encode("utf-8-sig" if mark else "utf-8"))

    if all(value is None for value in values):
        assert isinstance(read, BadFile)
        assert [error.code for error in read.errors] == ["no_figures"]
    else:
        assert isinstance(read, HourlyFile)
        assert [figure.g_per_kwh for figure in read.figures] == values


@given(st.sampled_from(range(len(COLUMNS))), cell)
def test_a_spoilt_cell_is_an_error_in_its_column_or_means_what_it_says(place: int, text: str) -> None:
    record = dict(zip(COLUMNS, GOOD, strict=True)) | {COLUMNS[place]: text}

    read = parse_objects(b"", [record])

    if isinstance(read, BadFile):
        check(read)
        assert {error.column for error in read.errors} == {COLUMNS[place]}
    else:
        (row,) = read
        assert isinstance(row, ServingRow)
        assert row.energy_kwh.is_finite() and row.energy_kwh >= 0


def as_csv(rows: list[list[str]]) -> bytes:
    """Write cells as they are."""
    return "\n".join(",".join(row) for row in rows).encode(errors="surrogatepass")
