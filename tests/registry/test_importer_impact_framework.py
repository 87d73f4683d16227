"""Impact Framework manifests: measured inputs are taken, what a pipeline works out is compared and never believed."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from registry.engine.emissions import ItEnergy, SiteEnergy
from registry.importers.impact_framework import parse_impact_framework
from tests.registry.reading import faults, flags, read

MANIFEST = b"""\
name: owl-serving
execution:
  environment:
    if-version: 0.7.2
tree:
  defaults:
    grid/carbon-intensity: 400
  children:
    chat:
      defaults:
        duration: 3600
      inputs:
        - timestamp: '2027-03-01T00:00:00.000Z'
          energy: 0.25
          requests: 900
        - timestamp: 2027-03-01T01:00:00Z
          energy: 1e-1
          grid/carbon-intensity: 50.5
    batch:
      children:
        night:
          inputs:
            - timestamp: 2027-03-01T00:00:00+01:00
              duration: 1.5
              energy: 3
"""


def test_inputs_are_read_with_the_defaults_above_them() -> None:
    found = read(parse_impact_framework(MANIFEST))

    assert (found.version, [line.label for line in found.lines]) == (
        "0.7.2",
        ["owl-serving/chat", "owl-serving/chat", "owl-serving/batch/night"],
    )
    first, second, night = found.lines
    assert (first.line, first.energy, first.claimed_co2e_g, first.requests) == (
        13,
        ItEnergy(Decimal("0.25")),
        Decimal(100),
        900,
    )
    assert (second.energy, second.claimed_co2e_g) == (ItEnergy(Decimal("0.1")), Decimal("5.05"))
    assert (first.started_at, first.ended_at) == (
        datetime(2027, 3, 1, tzinfo=UTC),
        datetime(2027, 3, 1, 1, tzinfo=UTC),
    )
    assert night.ended_at == datetime(2027, 2, 28, 23, 0, 1, 500_000, tzinfo=UTC)
    assert night.evidence["grid/carbon-intensity"] == "400"
    assert first.key == "impact_framework:owl-serving:/chat:2027-03-01T00:00:00.000000Z"
    assert found.flags == ()


def test_energy_that_includes_the_pue_is_site_energy() -> None:
    found = read(parse_impact_framework(MANIFEST, includes_pue=True))

    assert found.lines[0].energy == SiteEnergy(Decimal("0.25"))


@pytest.mark.parametrize(
    ("outputs", "codes"),
    [
        (b"[{energy: 0.35, carbon-operational: 105.05}]", []),
        (b"[{energy: 0.2, carbon-operational: 0}, {energy: 0.2, carbon-operational: 105}]", ["outputs_energy_differ"]),
        (b"[{energy: 0.35, carbon-operational: 50}]", ["outputs_carbon_differ"]),
        (b"[{carbon: 50}]", []),
        (b"[]", []),
    ],
)
def test_outputs_are_compared_and_not_believed(outputs: bytes, codes: list[str]) -> None:
    content = MANIFEST.replace(b"    batch:", b"      outputs: " + outputs + b"\n    batch:")

    result = parse_impact_framework(content)

    assert [code for _, code in flags(result)] == codes
    assert read(result).lines[0].energy == ItEnergy(Decimal("0.25"))


def test_the_same_time_of_one_component_is_flagged_or_refused() -> None:
    overlapping = MANIFEST.replace(b"T01:00:00Z", b"T00:59:00Z")
    same = MANIFEST.replace(b"T01:00:00Z", b"T00:00:00Z")

    assert flags(parse_impact_framework(overlapping)) == [("/tree/children/chat/inputs", "inputs_overlap")]
    assert faults(parse_impact_framework(same)) == [(16, "/tree/children/chat/inputs/1", "duplicate_input")]


INPUT = "/tree/children/chat/inputs/0"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"name: owl-serving", b"", (1, "/name", "missing_value")),
        (b"energy: 0.25", b"cpu/utilization: 20", (13, f"{INPUT}/energy", "energy_not_measured")),
        (b"energy: 0.25", b"energy: .inf", (13, f"{INPUT}/energy", "not_a_number")),
        (b"energy: 0.25", b"energy: -1", (13, f"{INPUT}/energy", "number_out_of_range")),
        (b"energy: 0.25", b"energy: 1E+27", (13, f"{INPUT}/energy", "number_out_of_range")),
        (b"energy: 0.25", b"energy: 1_000", (13, f"{INPUT}/energy", "not_a_number")),
        (b"requests: 900", b"requests: 9.5", (13, f"{INPUT}/requests", "not_whole")),
        (b"duration: 3600", b"duration: 0", (11, "/tree/children/chat/defaults/duration", "number_out_of_range")),
        (b".000Z'", b"'", (13, f"{INPUT}/timestamp", "not_an_instant")),
        (b"tree:", b"forest:", (1, "/tree", "missing_value")),
        (b"      inputs:", b"      observations:", (16, "/tree/children/chat/inputs", "")),
    ],
)
def test_a_wrong_field_is_named_by_line_and_pointer(old: bytes, new: bytes, fault: tuple[int, str, str]) -> None:
    result = parse_impact_framework(MANIFEST.replace(old, new, 1))

    if fault[2]:
        assert faults(result)[0] == fault
    else:
        assert [line.label for line in read(result).lines] == ["owl-serving/batch/night"]


def test_a_manifest_without_inputs_says_nothing() -> None:
    assert faults(parse_impact_framework(b"name: x\ntree: {children: {a: {pipeline: []}}}")) == [
        (2, "/tree", "no_rows")
    ]
    assert faults(parse_impact_framework(b"just text")) == [(1, "/", "not_a_table")]
