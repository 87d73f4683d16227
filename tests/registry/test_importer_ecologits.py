"""Impacts of requests: ranges stay ranges and their upper end counts, requests are never counted twice."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from registry.engine.emissions import SiteEnergy
from registry.importers.ecologits import parse_ecologits
from registry.importers.table import BadFile
from tests.registry.reading import faults, flags, json_bytes, read

RANGE = {"type": "energy", "name": "Energy", "unit": "kWh", "value": {"min": 0.001, "max": 0.003}}
REQUEST: dict[str, Any] = {
    "request_id": "r-1",
    "timestamp": "2027-03-01T12:59:00+01:00",
    "provider": "quill",
    "model": "owl-2",
    "output_tokens": 300,
    "latency_s": 1.5,
    "impacts": {
        "energy": RANGE,
        "gwp": {"unit": "kgCO2eq", "value": {"min": 0.0005, "max": 0.0015}},
        "usage": {"energy": RANGE, "gwp": {"unit": "kgCO2eq", "value": {"min": 0.0004, "max": 0.0012}}},
        "embodied": {"gwp": {"unit": "kgCO2eq", "value": {"min": 0.0001, "max": 0.0003}}},
    },
}


def request(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {**REQUEST, "request_id": f"r-{number}", **fields}


def impacts(**fields: Any) -> dict[str, Any]:
    return {**REQUEST, "impacts": {**REQUEST["impacts"], **fields}}


def json_lines(*requests: dict[str, Any]) -> bytes:
    return b"\n".join(json_bytes(one) for one in requests)


def test_the_upper_end_of_a_range_counts_and_the_lower_one_is_kept() -> None:
    result = parse_ecologits(json_lines(REQUEST))

    (line,) = read(result).lines
    assert (line.energy, line.lowest_kwh) == (SiteEnergy(Decimal("0.003")), Decimal("0.001"))
    assert line.claimed_co2e_g == Decimal("1.2"), "the claim of the use phase, not of the hardware"
    assert (line.key, line.label, line.activity, line.tier) == ("ecologits:quill:r-1", "quill / owl-2", "inference", 0)
    assert (line.requests, line.tokens) == (1, 300)
    assert line.ended_at == datetime(2027, 3, 1, 11, 59, tzinfo=UTC)
    assert line.started_at == datetime(2027, 3, 1, 11, 58, 58, 500_000, tzinfo=UTC)
    assert flags(result) == [("/impacts/energy", "range_upper_end")]


def test_a_plain_value_is_read_as_it_stands() -> None:
    result = parse_ecologits(json_bytes({"request_id": "x", "model": "m", "impacts": {"energy": 0.004}}))

    (line,) = read(result).lines
    assert (line.energy, line.lowest_kwh, line.claimed_co2e_g) == (SiteEnergy(Decimal("0.004")), None, None)
    assert (line.started_at, line.tokens, line.zone) == (None, None, "")
    assert flags(result) == []


def test_what_the_released_client_writes_is_read() -> None:
    """Output of EcoLogits 0.11.3 for 300 tokens of a closed model and 4.2 s in France, shortened to what counts."""
    genuine = b"""{"energy": {"type": "energy", "name": "Energy", "unit": "kWh",
      "value": {"min": 0.0004302609167917642, "max": 0.0007188854278715351}},
      "gwp": {"type": "GWP", "name": "Global Warming Potential", "unit": "kgCO2eq",
      "value": {"min": 2.876751239185071e-05, "max": 4.072811213099642e-05}},
      "usage": {"type": "usage", "name": "Usage",
      "energy": {"value": {"min": 0.0004302609167917642, "max": 0.0007188854278715351}, "unit": "kWh"},
      "gwp": {"value": {"min": 1.783001239185071e-05, "max": 2.9790612130996415e-05}, "unit": "kgCO2eq"}},
      "embodied": {"type": "embodied", "gwp": {"value": 1.09375e-05, "unit": "kgCO2eq"}},
      "warnings": [{"code": "model-arch-not-released"}], "errors": null}"""

    result = parse_ecologits(b'{"request_id": "x", "model": "m", "impacts": ' + genuine.replace(b"\n", b" ") + b"}")

    (line,) = read(result).lines
    assert line.energy == SiteEnergy(Decimal("0.0007188854278715351"))
    assert line.claimed_co2e_g == Decimal("0.029790612130996415")
    assert [code for _, code in flags(result)] == ["range_upper_end", "estimate_imprecise"]


@pytest.mark.parametrize(
    ("document", "seen"),
    [
        (impacts(usage={"energy": 0.002}), ("/impacts/usage/energy", "usage_differs")),
        (impacts(embodied={"gwp": 0.9}), ("/impacts/gwp", "phases_differ")),
        (request(request_id=""), ("/impacts", "request_id_missing")),
        (impacts(energy=0.06, usage={}), ("/impacts/energy", "intensity_implausible")),
    ],
)
def test_what_a_verifier_should_see_is_flagged(document: dict[str, Any], seen: tuple[str, str]) -> None:
    assert [flag for flag in flags(parse_ecologits(json_bytes(document))) if flag[1] != "range_upper_end"] == [seen]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (request(model=""), ("/model", "missing_value")),
        (request(timestamp="2027-03-01 12:00:00"), ("/timestamp", "not_an_instant")),
        (request(zone="France"), ("/zone", "not_a_zone")),
        (request(output_tokens=-1), ("/output_tokens", "number_out_of_range")),
        (request(impacts=None), ("/impacts", "missing_value")),
        (impacts(energy=None), ("/impacts/energy", "missing_value")),
        (impacts(energy=None, errors=[{"code": "model-not-registered"}]), ("/impacts/errors", "not_estimated")),
        (impacts(energy=[1]), ("/impacts/energy", "not_one_value")),
        (impacts(energy=-0.001), ("/impacts/energy", "number_out_of_range")),
        (impacts(energy={"value": 1, "unit": "Wh"}), ("/impacts/energy/unit", "unit_unknown")),
        (impacts(energy={"min": 2, "max": 1}), ("/impacts/energy", "range_turned")),
        (impacts(energy={"min": 2}), ("/impacts/energy/max", "missing_value")),
        (impacts(adpe="much"), ("/impacts/adpe", "not_a_number")),
        ({"resourceMetrics": []}, ("/", "metrics_lose_the_range")),
        ([], ("/", "no_rows")),
        ([3], ("/0", "not_a_table")),
    ],
)
def test_a_wrong_field_is_named_by_its_pointer(document: Any, fault: tuple[str, str]) -> None:
    assert faults(parse_ecologits(json_bytes(document))) == [(1, *fault)]


def test_a_request_counts_once() -> None:
    assert faults(parse_ecologits(json_lines(request(1), request(2), request(1)))) == [(3, "/", "duplicate_request")]
    unnamed = request(request_id=None)
    assert faults(parse_ecologits(json_lines(unnamed, unnamed))) == [(2, "/", "duplicate_request")]


def test_requests_can_be_added_up_by_model_and_utc_hour() -> None:
    late = request(3, timestamp="2027-03-01T12:00:00Z")
    plain = request(2, timestamp="2027-03-01T11:00:00Z", impacts={"energy": 0.002})
    other = request(4, model="owl-9")

    found = read(parse_ecologits(json_lines(late, request(1), plain, other), by_hour=True)).lines

    assert [(line.key, line.requests, line.tokens) for line in found] == [
        ("ecologits:hour:2027-03-01T11Z::quill / owl-2", 2, 600),
        ("ecologits:hour:2027-03-01T11Z::quill / owl-9", 1, 300),
        ("ecologits:hour:2027-03-01T12Z::quill / owl-2", 1, 300),
    ]
    assert (found[0].energy, found[0].lowest_kwh) == (SiteEnergy(Decimal("0.005")), Decimal("0.003"))
    assert found[0].claimed_co2e_g is None, "one of the two claims nothing"
    assert found[0].started_at == datetime(2027, 3, 1, 11, tzinfo=UTC)

    unknown = parse_ecologits(json_lines(request(timestamp=None)), by_hour=True)
    assert faults(unknown) == [(1, "/timestamp", "missing_value")]


def span(**attributes: Any) -> dict[str, Any]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return {
        "traceId": "aa",
        "spanId": "01",
        "endTimeUnixNano": "1803902340000000999",
        "attributes": [
            {"key": name.replace("__", "."), "value": {kinds[type(value)]: value}} for name, value in attributes.items()
        ],
    }


def trace(*spans: dict[str, Any]) -> bytes:
    return json_bytes({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]})


def test_spans_of_opentelemetry_are_read_like_requests() -> None:
    names: dict[str, Any] = {"gen_ai__request__model": "owl-2", "gen_ai__system": "quill"}
    names |= {"gen_ai__usage__output_tokens": 5, "ecologits__energy__min": 0.001, "ecologits__energy__max": 0.002}

    result = parse_ecologits(trace(span(**names), span(http="GET")))

    (line,) = read(result).lines
    assert (line.key, line.label, line.tokens) == ("ecologits:quill:aa:01", "quill / owl-2", 5)
    assert (line.energy, line.lowest_kwh) == (SiteEnergy(Decimal("0.002")), Decimal("0.001"))
    assert line.ended_at == datetime(2027, 3, 1, 11, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "content",
    [
        trace({"attributes": 3}),
        trace(span(http="GET")),
        trace({**span(ecologits__energy=1.0), "endTimeUnixNano": "-1"}),
        json_bytes({"resourceSpans": [{"scopeSpans": [1]}]}),
        json_bytes({"resourceSpans": 1}),
    ],
)
def test_broken_spans_are_refused(content: bytes) -> None:
    assert isinstance(parse_ecologits(content), BadFile)
    assert faults(parse_ecologits(content))
