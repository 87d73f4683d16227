"""AI Energy Score results: a benchmark per thousand queries times the queries served, never called a measurement."""

from decimal import Decimal
from typing import Any

import pytest

from registry.engine.emissions import ItEnergy
from registry.importers.energy_score import parse_energy_score
from registry.importers.lines import ImportedFile
from registry.importers.prometheus import refuse_prometheus
from registry.importers.table import BadFile
from tests.registry.reading import faults, flags, json_bytes, read

SUMMARY = {
    "units": "Wh",
    "total": 50.11,
    "format": "optimum",
    "preprocess_wh": 0.1,
    "prefill_wh": 10,
    "decode_wh": 40.01,
}


def parse(document: Any, **options: int) -> ImportedFile | BadFile:
    content = document if isinstance(document, bytes) else json_bytes(document)
    return parse_energy_score(content, **{"queries": 2_000_000, **options}, model="owl-2")  # type: ignore[arg-type]


def test_a_summary_is_applied_to_the_queries_served() -> None:
    result = parse(SUMMARY)

    (line,) = read(result).lines
    assert (line.energy, line.requests, line.activity) == (ItEnergy(Decimal("100.22")), 2_000_000, "inference")
    assert line.evidence["decode_wh"] == "40.01"
    assert flags(result) == [("/total", "gpu_only"), ("/total", "from_benchmark")]


def test_the_text_file_holds_the_sum_alone() -> None:
    assert read(parse(b"50.11\n")).lines[0].energy == ItEnergy(Decimal("100.22"))


def test_another_number_of_samples_is_said_and_the_quotient_rounded_half_up() -> None:
    assert read(parse(b"50.11", samples=100)).lines[0].energy == ItEnergy(Decimal("1002.2"))
    assert read(parse(b"1", samples=3, queries=2)).lines[0].energy == ItEnergy(Decimal("0.000666666666666666666667"))


def test_phases_that_do_not_add_up_are_flagged() -> None:
    assert flags(parse({**SUMMARY, "decode_wh": 30}))[-1] == ("/total", "phases_differ")
    assert len(flags(parse({**SUMMARY, "decode_wh": 40.03}))) == 2, "two decimals of four figures"


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({**SUMMARY, "units": "J"}, ("/units", "unit_unknown")),
        ({**SUMMARY, "units": None}, ("/units", "missing_value")),
        ({**SUMMARY, "total": 0}, ("/total", "number_out_of_range")),
        ({**SUMMARY, "total": None}, ("/total", "missing_value")),
        ({**SUMMARY, "decode_wh": -1}, ("/decode_wh", "number_out_of_range")),
        ([1], ("/total", "not_one_value")),
        (b"fifty", ("/", "bad_json")),
        (b"NaN", ("/", "not_a_number")),
        (b"1E+27", ("/total", "number_out_of_range")),
        (b"\xef\xbb\xbf", ("/", "empty_file")),
    ],
)
def test_a_wrong_result_is_refused(document: Any, fault: tuple[str, str]) -> None:
    assert faults(parse(document)) == [(1, *fault)]


@pytest.mark.parametrize(
    ("scrape", "fault"),
    [
        (b'codecarbon_energy_consumed{project="owl"} 0.5', (2, "codecarbon_energy_consumed", "gauge_last_value")),
        (
            b'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{UUID="GPU-1"} 5 1700000000000',
            (2, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "single_reading"),
        ),
        (b"up 1", (1, "column 1", "no_energy_metric")),
        (b"\xff\x00", (1, "column 1", "no_energy_metric")),
    ],
)
def test_a_scrape_is_refused_with_the_format_to_take_instead(scrape: bytes, fault: tuple[int, str, str]) -> None:
    assert faults(refuse_prometheus(b"# HELP codecarbon gauges\n" + scrape)) == [fault]
