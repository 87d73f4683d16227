"""Files read in parts, and rows read by column: always exactly what the row reader makes of the whole file."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.importers import codecarbon, fast
from registry.importers.formats import FORMATS
from registry.importers.stream import parts, read_beginning
from registry.importers.table import Cells, Flag, Limits, Row, RowError, read_rows, read_table
from registry.models import Draft, Upload
from registry.services.drafting.lines import COPIED, Flags, Valuation, copied

LIMITS = Limits(max_bytes=10_000, max_rows=50, max_cell=200)
PIECES = st.sampled_from(
    ["a", "1.5", ",", ",", "\n", "\n", "\r\n", "\r", '"', '""', '"x\ny"', '"p,q"', "é", "\x00", " ", ";", "\ud800"]
)


@given(st.lists(PIECES, max_size=40), st.integers(1, 12))
@example(["a", ",", '"x\ny"', "\n"] * 3, 1)
@example(["\r", "1.5", ",", "a", "\r", '"'], 2)
def test_a_file_in_parts_has_the_rows_and_the_errors_of_the_whole(pieces: list[str], size: int) -> None:
    content = ("a,b\n" + "".join(pieces)).encode("utf-8", "surrogatepass")
    whole = read_table(content, required=("a",), limits=LIMITS)

    beginning = read_beginning(content, len(content), required=("a",), limits=LIMITS)
    rows: list[Row] = []
    errors: list[RowError] = list(beginning.errors)
    line, position, is_broken = beginning.place.line, beginning.place.position, bool(beginning.errors)
    for ends_at, text in parts(content[position:], position, size, is_last=True):
        if is_broken:
            break
        read = read_rows(text, beginning.columns, line, limits=LIMITS, most=LIMITS.max_rows - len(rows))
        rows += read.rows
        errors += read.errors
        line, position, is_broken = read.line, ends_at, read.is_broken

    assert tuple(rows) == whole.rows
    assert [error for error in errors if error.code != "no_rows"] == [
        error for error in whole.errors if error.code != "no_rows"
    ]
    assert is_broken or position == len(content), "no byte is left out"


def test_bytes_after_the_last_whole_record_wait_for_more() -> None:
    raw = b'1,2\n3,"4\n5'

    assert list(parts(raw, 100, 4, is_last=False)) == [(104, "1,2\n")]
    assert [text for _, text in parts(raw, 100, 4, is_last=True)] == ["1,2\n", '3,"4\n5']


COLUMNS = (
    "timestamp", "project_name", "run_id", "duration", "emissions", "cpu_power", "gpu_power", "ram_power", "cpu_energy",
    "gpu_energy", "ram_energy", "energy_consumed", "country_iso_code", "codecarbon_version", "tracking_mode",
    "on_cloud", "pue", "longitude", "cpu_count", "gpu_utilization_percent", "os",
)  # fmt: skip
PLAIN = {
    "timestamp": "2026-05-01T10:00:00", "project_name": "otter", "run_id": "00000001-0000-4000-8000-00000000000a",
    "duration": "3600.5", "emissions": "0.2", "cpu_power": "1500", "gpu_power": "400.0", "ram_power": "100",
    "cpu_energy": "1.5", "gpu_energy": "0.4", "ram_energy": "0.1", "energy_consumed": "2.0", "country_iso_code": "FRA",
    "codecarbon_version": "3.3.2", "tracking_mode": "machine", "on_cloud": "N", "pue": "1.0", "longitude": "-7.5",
    "cpu_count": "8", "gpu_utilization_percent": "40.5", "os": "Linux",
}  # fmt: skip
ODD = st.sampled_from(
    ["", " ", "0", "-1", "1e3", "2.5E-07", "1E+27", "NaN", "3.30", "0.11", "2.0000000001", "2.3", "999999999.9",
     "1e-40", "0.5e-3", "None", "FRA", "XXX", "fra", "process", "Y", "1.9", "3.1.0", "2026-02-30T00:00:00", "300",
     "=1", "00000001-0000-4000-8000-00000000000A", " padded ", "line\nbreak", "0.112078", "0.11320", "0.00000000000001"]
)  # fmt: skip


def by_rows(columns: tuple[str, ...], text: str) -> tuple[str, list[dict[str, object]], list[RowError]]:
    """Read, value and spell a text row by row."""
    valuation, flags, errors = of_a_draft(), Flags(), []  # type: ignore[var-annotated]
    rows = FORMATS["codecarbon"].rows
    assert rows is not None
    read = read_rows(text, columns, 2, limits=codecarbon.LIMITS, most=1000)
    errors += read.errors
    spelled = ""
    for row in read.rows:
        found: list[Flag] = []
        line = rows.read(Cells(row, errors), found)
        for flag in found:
            flags.add(flag)
        made = line and valuation.draft_line(line, flags, errors)
        if made:
            spelled += "\t".join(copied(getattr(made, name)) for name in COPIED) + "\n"
    return spelled, flags.stored(), errors


def by_columns(columns: tuple[str, ...], text: str) -> tuple[str, list[dict[str, object]]] | None:
    """Read, value and spell a text by column, or nothing if it is left to the row reader."""
    valuation, flags = of_a_draft(), Flags()
    rows = FORMATS["codecarbon"].rows
    assert rows is not None
    plain = fast.read_codecarbon(columns, text, 2)
    differing = None if plain is None else valuation.differing(plain)
    if plain is None or differing is None:
        return None
    for place in differing:
        if flags.wants("reported_emissions_differ"):
            found: list[Flag] = []
            rows.read(Cells(plain.row(columns, place), []), found)
            for flag in found:
                flags.add(flag)
    spelled = valuation.spelled(plain)
    return None if spelled is None else (spelled, flags.stored())


DRAFT, UPLOAD = Draft(), Upload()


def of_a_draft() -> Valuation:
    """Value lines for a draft that is in no database."""
    return Valuation(DRAFT, at=None, activity="inference", upload=UPLOAD)  # type: ignore[arg-type]


def table(*rows: dict[str, str]) -> str:
    """Write rows as CodeCarbon does."""

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([row[name] for name in COLUMNS] for row in rows)
    return text.getvalue()


def test_plain_rows_are_read_by_column() -> None:
    rows = [PLAIN | {"run_id": f"{number:08d}-0000-4000-8000-000000000000"} for number in range(30)]

    read = by_columns(COLUMNS, table(*rows))

    assert read is not None, "the fast reader takes what it is made for"
    spelled, flags, errors = by_rows(COLUMNS, table(*rows))
    assert (*read, []) == (spelled, flags, errors)
    assert flags[-1]["more"] == 10, "every row claims other emissions than ours"


@given(
    st.lists(st.dictionaries(st.sampled_from(COLUMNS), ODD, max_size=2), min_size=1, max_size=4),
    st.sampled_from(["", "\n", "x", "1,2,3\n"]),
)
def test_what_is_read_by_column_is_what_the_row_reader_makes_of_it(changes: list[dict[str, str]], end: str) -> None:
    text = table(*(PLAIN | change for change in changes)) + end

    read = by_columns(COLUMNS, text)

    if read is not None:
        assert (*read, []) == by_rows(COLUMNS, text)


@pytest.mark.parametrize("factor", ["0.056039", "0.0554", "0.0567", "0.05547861", "0.05659939", "0.0565994"])
def test_the_hundredth_part_is_judged_exactly(factor: str) -> None:
    """One per cent from our factor on either side, and the last digit before and behind it."""
    text = table(PLAIN | {"energy_consumed": "1", "cpu_energy": "0.5", "cpu_power": "500", "emissions": factor})

    read = by_columns(COLUMNS, text)

    assert read is not None and (*read, []) == by_rows(COLUMNS, text)


def test_a_file_may_not_be_larger_than_its_limit() -> None:
    beginning = read_beginning(b"a,b\n1,2\n", 11, required=("a",), limits=replace(LIMITS, max_bytes=10))

    assert [error.code for error in beginning.errors] == ["file_too_large"]
