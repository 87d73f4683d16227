"""Files read in parts, and rows read by column: always exactly what the row reader makes of the whole file."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.importers import template
from registry.importers.formats import FORMATS
from registry.importers.stream import parts, read_beginning
from registry.importers.table import Cells, Flag, Limits, Row, RowError, read_rows, read_table
from registry.models import Draft, Period, Upload
from registry.services.drafting.lines import COPIED, Flags, Valuation, copied

LIMITS = Limits(max_bytes=10_000, max_rows=50, max_cell=200)
PIECES = st.sampled_from(
    ["a", "1.5", ",", ",", "\n", "\n", "\r\n", "\r", '"', '""', '"x\ny"', '"p,q"', "é", "\x00", " ", ";", "\ud800"]
)


@given(st.lists(PIECES, max_size=40), st.integers(1, 12))
@example(["a", ",", '"x\ny"', "\n"] * 3, 1)
@example(["\r", "1.5", ",", "a", "\r", '"'], 2)
@example(["a", '"', "\n", '"x\ny"'], 1)
@example(["a", '"', ",", '"x\ny"'], 1)
@example(['"', '""', "\n", "a"], 1)
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


def by_rows(
    columns: tuple[str, ...], text: str, kind: str = "codecarbon"
) -> tuple[str, list[dict[str, object]], list[RowError]]:
    """Read, value and spell a text row by row."""
    valuation, flags, errors = of_a_draft(), Flags(), []  # type: ignore[var-annotated]
    rows = FORMATS[kind].rows
    assert rows is not None
    read = read_rows(text, columns, 2, limits=rows.limits, most=1000)
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


def by_columns(
    columns: tuple[str, ...], text: str, kind: str = "codecarbon"
) -> tuple[str, list[dict[str, object]]] | None:
    """Read, value and spell a text by column, or nothing if it is left to the row reader."""
    valuation, flags = of_a_draft(), Flags()
    rows = FORMATS[kind].rows
    assert rows is not None and rows.fast is not None
    plain = rows.fast(columns, text, 2)
    differing = None if plain is None else valuation.differing(plain)
    if plain is None or differing is None:
        return None
    for place in differing:
        if flags.wants("reported_emissions_differ"):
            found: list[Flag] = []
            rows.read(Cells(plain.row(place), []), found)
            for flag in found:
                flags.add(flag)
    spelled = valuation.spelled(plain)
    valuation.add_flags(plain, flags)
    return None if spelled is None else (spelled, flags.stored())


DRAFT, UPLOAD = Draft(period=Period(year=2026)), Upload()


def of_a_draft() -> Valuation:
    """Value lines for a draft that is in no database; one zone of the world has hourly figures."""
    valuation = Valuation(DRAFT, at=None, activity="inference", upload=UPLOAD)  # type: ignore[arg-type]
    valuation.has_hours = lambda zone: zone == "CISO"  # type: ignore[method-assign]
    return valuation


def table(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS, end: str = "\n") -> str:
    """Write rows as programs do."""
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows([row[name] for name in columns] for row in rows)
    return text.getvalue()


def test_plain_rows_are_read_by_column() -> None:
    rows = [PLAIN | {"run_id": f"{number:08d}-0000-4000-8000-000000000000"} for number in range(30)]

    read = by_columns(COLUMNS, table(*rows))

    assert read is not None, "the fast reader takes what it is made for"
    spelled, flags, errors = by_rows(COLUMNS, table(*rows))
    assert (*read, []) == (spelled, flags, errors)
    assert flags[-1]["more"] == 10, "every row claims other emissions than ours"


@given(
    st.lists(st.dictionaries(st.sampled_from(COLUMNS), ODD, max_size=1), min_size=1, max_size=2),
    st.sampled_from(["", "", "", "\n", "1,2,3\n"]),
)
def test_what_is_read_by_column_is_what_the_row_reader_makes_of_it(changes: list[dict[str, str]], end: str) -> None:
    text = table(*(PLAIN | change for change in changes)) + end

    read = by_columns(COLUMNS, text)

    if read is not None:
        assert (*read, []) == by_rows(COLUMNS, text)


PLAIN_COLUMNS = tuple(column.name for column in template.COLUMNS)
PLAIN_ROW = dict.fromkeys(PLAIN_COLUMNS, "") | {
    "label": "owl", "activity": "inference", "method": "smart meter", "zone": "FRA", "energy_kwh": "12.5",
}  # fmt: skip
ODD_CELLS = {
    "label": [
        "", " ", " owl ", "a,b", 'q"q', "back\\slash", "tab\tin", "line\nbreak", "re\rturn", "é\u2028", "\x07",
        "x" * 201, " " * 501,
    ],
    "activity": ["training", " training ", "mining", "", "Inference"],
    "method": ["", "x" * 61, " bill ", "tab\tin"],
    "started_at": [
        "2026-03-01T00:00:00Z", "2026-03-01 00:00:00+02:00", "2025-12-31T23:00:00-01:00", "2026-03-01",
        "1969-01-01T00:00:00Z",
    ],
    "ended_at": ["2026-04-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-02-30T00:00:00Z"],
    "zone": ["", "XXX", "fra", "CISO", "DEU", " DEU"],
    "energy_kwh": [
        "", "0", "0.0000000000005", "1e3", "2.5E-07", "1" * 13, "1000000000000", "-1", "-0", "NaN", ".5", "5.", " 7",
        "1_0", "1e-60", "1\n2",
    ],
    "it_energy_kwh": ["3", "0", "1e-34", "x"],
    "flop": ["3e21", "1.5e0", "1.5e10", "9" * 36, "9" * 37, "1e35", "1e36", "2.5", "0", "007", "1E+05"],
    "requests": ["5", "5.0", "5e0", "1" * 19, "1000000000000000001", "-5"],
    "tokens": ["0", "12", "1.5"],
    "claimed_co2e_g": ["0", "476000.1234565", "1" * 19, "1e-40", "1,5"],
    "tier": ["0", "3", "6", "0.0", " 0"],
}  # fmt: skip
CHANGES = st.sampled_from([{name: value} for name, values in ODD_CELLS.items() for value in values] + [{}] * 20)
PAIRS = st.tuples(CHANGES, CHANGES).map(lambda both: both[0] | both[1])
"""Few odd cells in a table: most tables of many would be left to the row reader, and nothing compared."""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"label": "name, with comma"},
        {"label": "back\\slash"},
        {"energy_kwh": "", "it_energy_kwh": "3.25", "started_at": "2025-03-01T00:00:00Z"},
        {"zone": "XXX"},
        {"zone": "CISO"},
        {"energy_kwh": "", "flop": "3e21", "zone": ""},
        {"requests": "5", "tokens": "12", "claimed_co2e_g": "476000.1234565", "tier": "0"},
    ],
)
def test_our_own_table_is_read_by_column(change: dict[str, str], end: str) -> None:
    rows = [PLAIN_ROW | {"label": f"owl {number}"} | change for number in range(30)]
    text = table(*rows, columns=PLAIN_COLUMNS, end=end)

    read = by_columns(PLAIN_COLUMNS, text, "template")

    assert read is not None, "the fast reader takes what it is made for"
    assert (*read, []) == by_rows(PLAIN_COLUMNS, text, "template")


@given(
    st.lists(PAIRS, min_size=1, max_size=2),
    st.sampled_from(["", "", "", "\n", "1,2\n"]),
    st.sampled_from(["\n", "\r\n"]),
)
@example([{"energy_kwh": "1\n2"}], "x\r", "\n")
def test_our_own_table_by_column_is_what_the_row_reader_makes_of_it(
    changes: list[dict[str, str]], rest: str, end: str
) -> None:
    text = table(*(PLAIN_ROW | change for change in changes), columns=PLAIN_COLUMNS, end=end) + rest

    read = by_columns(PLAIN_COLUMNS, text, "template")

    if read is not None:
        assert (*read, []) == by_rows(PLAIN_COLUMNS, text, "template")


def test_a_line_with_hourly_figures_is_left_to_the_row_reader() -> None:
    moments = {"started_at": "2026-03-01T00:00:00Z", "ended_at": "2026-03-02T00:00:00Z"}

    assert by_columns(PLAIN_COLUMNS, table(PLAIN_ROW | moments, columns=PLAIN_COLUMNS), "template") is not None
    ours = PLAIN_ROW | moments | {"zone": "CISO"}
    assert by_columns(PLAIN_COLUMNS, table(ours, columns=PLAIN_COLUMNS), "template") is None


@pytest.mark.parametrize("factor", ["0.056039", "0.0554", "0.0567", "0.05547861", "0.05659939", "0.0565994"])
def test_the_hundredth_part_is_judged_exactly(factor: str) -> None:
    """One per cent from our factor on either side, and the last digit before and behind it."""
    text = table(PLAIN | {"energy_consumed": "1", "cpu_energy": "0.5", "cpu_power": "500", "emissions": factor})

    read = by_columns(COLUMNS, text)

    assert read is not None and (*read, []) == by_rows(COLUMNS, text)


def test_a_file_may_not_be_larger_than_its_limit() -> None:
    beginning = read_beginning(b"a,b\n1,2\n", 11, required=("a",), limits=replace(LIMITS, max_bytes=10))

    assert [error.code for error in beginning.errors] == ["file_too_large"]
