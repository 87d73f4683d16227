"""Whatever bytes arrive, an importer refuses them with a place and a sentence, or keeps exactly what was written."""

import csv
import io
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.factors import BUILT_IN, FactorTable
from registry.engine.rounding import half_up
from registry.importers import bulk, codecarbon, epoch, grid_factors
from registry.importers.formats import FORMATS
from registry.importers.lines import LONGEST_KEY, ImportedFile
from registry.importers.table import BadFile
from registry.importers.template import COLUMNS
from registry.ledger.models.account import account_number
from tests.registry.reading import junk, numbers

RUN_ID = "8a3b2c1d-0000-4000-8000-000000000001"
RUN = f"2027-03-01T12:00:00,owl,{RUN_ID},36,0.00005,100,0,0,0.001,0,0,0.001,FRA,3.3.2,machine,N"
EXAMPLES: dict[str, bytes] = {
    "boamps": json.dumps(
        {
            "header": {"reportId": "r", "publisher": {"publicKey": "k"}},
            "task": {"taskStage": "inference", "nbRequest": 3, "algorithms": [{}]},
            "measures": [{"measurementMethod": "m", "powerConsumption": 0.5, "measurementDuration": 60}],
            "environment": {"country": "France"},
        }
    ).encode(),
    "impact_framework": (
        b"name: owl\ntree:\n  children:\n    chat:\n      defaults: &d {duration: 60}\n      inputs:\n"
        b"        - {timestamp: 2027-03-01T00:00:00Z, energy: 0.5, requests: 3}\n      outputs: [{energy: 0.5}]\n"
    ),
    "ecologits": (
        b'{"request_id": "1", "model": "m", "impacts": {"energy": {"value": {"min": 0.1, "max": 0.5}}}}\n'
        b'{"request_id": "2", "timestamp": "2027-03-01T00:00:00Z", "model": "m", "impacts": {"energy": 0.5}}\n'
    ),
    "ai_energy_score": b'{"units": "Wh", "total": 0.5, "decode_wh": 0.5}',
    "nvml": b"timestamp,device,energy_mj\n2027-03-01T00:00:00Z,GPU-1,0\n2027-03-01T00:01:00Z,GPU-1,7\n",
    "rapl": (
        b"timestamp,host,domain,energy_uj,max_energy_range_uj\n"
        b"2027-03-01T00:00:00Z,n,package-0,5,99\n2027-03-01T00:01:00Z,n,package-0,7,99\n"
    ),
    "template": (
        ",".join(column.name for column in COLUMNS) + "\n" + ",".join(f'"{column.example}"' for column in COLUMNS)
    ).encode(),
    "prometheus": b'codecarbon_energy_total{project="owl"} 0.5\n',
    "codecarbon": (",".join(codecarbon.REQUIRED) + "\n" + RUN).encode(),
    "epoch": b"Model,Organization,Publication date,Training compute (FLOP)\nowl,Quill,2027-01-01,1e24\n",
    "grid_factors": b"iso3,country,year,gco2e_per_kwh\nFRA,France,2023,56.039\n",
    "transfers": b"to,permit,quantity,price\n%s,ai-flop-2030,250,25.40\n" % account_number("holding", 42).encode(),
    "surrenders": b"scheme,year,quantity\nai-flop,2030,250\n",
}
OPTIONS = {"boamps": {"measures": "add"}, "ai_energy_score": {"queries": "1000", "model": "owl"}}


def reader(code: str) -> Callable[[bytes], object]:
    """Return the reader of a format with its usual options."""
    return lambda content: FORMATS[code].parse(content, OPTIONS.get(code, {}))


READERS: dict[str, Callable[[bytes], object]] = {
    **{code: reader(code) for code in FORMATS if code not in ("codecarbon", "epoch")},
    "codecarbon": lambda content: codecarbon.parse_emissions_csv(content, factors=BUILT_IN),
    "epoch": epoch.parse_notable_models,
    "grid_factors": lambda content: grid_factors.parse_country_factors(content, version="1", source="s", licence="l"),
    "transfers": bulk.read_transfers,
    "surrenders": bulk.read_surrenders,
}
TABLES = ("nvml", "rapl", "template", "codecarbon", "epoch", "grid_factors", "transfers", "surrenders")
BOMB = b"a: &a [x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b", ".join([b"*%c" % (name - 1)] * 8)) for name in range(98, 110)
)


def judged(name: str, content: bytes) -> bool:
    """Read a file, and check what must hold whether it is refused or not; say whether it was good."""
    result = READERS[name](content)
    if isinstance(result, BadFile):
        assert result.errors
        assert all(error.line >= 1 and error.column and error.code for error in result.errors)
        assert all(error.sentence.rstrip().endswith((".", "!", "?")) for error in result.errors)
        json.dumps([[error.column, error.sentence] for error in result.errors]).encode()
        assert not any("\ud800" <= letter <= "\udfff" for error in result.errors for letter in error.sentence)
        return False
    if isinstance(result, ImportedFile):
        assert len({line.key for line in result.lines}) == len(result.lines) > 0
        for line in result.lines:
            assert len(line.key) <= LONGEST_KEY and len(line.label) <= 200
            assert line.energy is None or (line.energy.kwh.is_finite() and line.energy.kwh >= 0)
            assert line.lowest_kwh is None or (line.energy is not None and line.lowest_kwh <= line.energy.kwh)
            assert "\x00" not in line.label + line.key + line.zone
            (line.label + line.key + "".join(line.evidence.values())).encode()
    return True


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "prometheus"])
def test_the_example_is_good_so_that_damage_means_something(name: str) -> None:
    assert judged(name, EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
@given(data=st.data())
def test_damaged_files_are_refused_with_a_place_or_read(name: str, data: st.DataObject) -> None:
    content = EXAMPLES[name]
    start = data.draw(st.integers(0, len(content)))
    cut = data.draw(st.integers(0, 12))
    noise = data.draw(st.one_of(junk.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=40)))

    judged(name, content[:start] + noise + content[start + cut :])


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 99,
        b"\xff\xfea\x00",
        b"PK\x03\x04nothing",
        b"[" * 99_999,
        b"{" * 99_999,
        b'{"a":' * 9_999,
        b"- " * 9_999,
        BOMB,
        b'"' * 99_999,
        b"a,b\n" * 9_999,
        b"9" * 99_999,
        "\u0661,\u0662\n".encode() * 99,
        "caf\u00e9;1".encode("latin-1"),
    ],
    ids=lambda content: content[:12].decode("latin-1").encode("unicode_escape").decode(),
)
def test_what_is_no_such_file_at_all_is_refused(name: str, content: bytes) -> None:
    assert not judged(name, content)


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
def test_tables_may_come_in_any_order_with_a_mark_and_windows_lines(name: str, data: st.DataObject) -> None:
    header, *rows = csv.reader(io.StringIO(EXAMPLES[name].decode()))
    order = data.draw(st.permutations(range(len(header))))
    text = io.StringIO()
    csv.writer(text, lineterminator=data.draw(st.sampled_from(("\n", "\r\n")))).writerows(
        [row[place] for place in order] for row in (header, *rows)
    )
    marked = (b"\xef\xbb\xbf" if data.draw(st.booleans()) else b"") + text.getvalue().encode()

    assert judged(name, marked)
    assert figures(READERS[name](marked)) == figures(READERS[name](EXAMPLES[name]))
    assert not judged(name, EXAMPLES[name].replace(b",", b";"))
    if name not in ("nvml", "rapl"):
        assert not judged(name, EXAMPLES[name].rstrip() + b"\n" + EXAMPLES[name].split(b"\n", 1)[1]), "a row twice"


def figures(result: object) -> object:
    """Return what was read of a table, without its hash."""
    if isinstance(result, ImportedFile):
        return result.lines[0].energy, result.lines[0].flop, result.lines[0].requests
    if isinstance(result, FactorTable):
        return result.factors
    rows: Any = getattr(result, "rows", None) or getattr(result, "models", None) or result
    return [getattr(row, "energy", row) for row in rows]


@dataclass(frozen=True)
class _Field:
    """A figure of an example: how it stands there, and what it becomes."""

    name: str
    written: bytes
    read: Callable[[Any], Decimal]


FIELDS = (
    _Field("boamps", b"0.5", lambda found: found.lines[0].energy.kwh),
    _Field("impact_framework", b"energy: 0.5, requests", lambda found: found.lines[0].energy.kwh),
    _Field("ecologits", b'"max": 0.5', lambda found: found.lines[0].energy.kwh),
    _Field("ai_energy_score", b'"total": 0.5', lambda found: Decimal(found.lines[0].evidence["total"])),
    _Field("nvml", b"GPU-1,7", lambda found: Decimal(found.lines[0].evidence["energy_j"]) * 1000),
    _Field("codecarbon", b"0,0,0.001,FRA", lambda found: found.rows[0].energy.kwh),
    _Field("epoch", b"1e24", lambda found: Decimal(found.models[0].training_flop)),
    _Field("grid_factors", b"56.039", lambda found: found.factors["FRA"].g_per_kwh),
    _Field("transfers", b",250,", lambda found: Decimal(found[0].quantity)),
)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
@given(text=numbers)
def test_a_number_is_kept_exactly_or_refused(field: _Field, text: str) -> None:
    old = max((part for part in field.written.replace(b",", b" ").split() if part[:1].isdigit()), key=len)
    content = EXAMPLES[field.name].replace(field.written, field.written.replace(old, text.encode()), 1)

    result = READERS[field.name](content)

    if not isinstance(result, BadFile):
        written = Decimal(text)
        assert field.read(result) == (half_up(written) if field.name == "epoch" else written)


@given(st.dictionaries(st.sampled_from(("queries", "samples", "model", "measures", "lines", "max_gap_s")), junk))
def test_options_of_any_kind_are_refused_by_name_or_used(options: Mapping[str, str]) -> None:
    for name in ("boamps", "ecologits", "ai_energy_score", "nvml", "rapl"):
        result = FORMATS[name].parse(EXAMPLES[name], options)
        if isinstance(result, BadFile):
            assert {error.column for error in result.errors} <= {
                *options,
                "queries",
                "model",
                "/timestamp",
            }


def test_ten_thousand_damaged_rows_are_listed_up_to_a_limit() -> None:
    rows = [f"2027-03-01T00:00:00Z,GPU-1,{random.Random(1).random()}" for _ in range(10_000)]

    result = READERS["nvml"](("timestamp,device,energy_mj\n" + "\n".join(rows)).encode())

    assert isinstance(result, BadFile)
    assert result.errors[-1].code == "too_many_errors"
    assert len(result.errors) < 5_010
