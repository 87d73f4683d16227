"""BoAmps reports: genuine exports of CodeCarbon are read exactly, and what the format leaves open is never guessed."""

import copy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from registry.engine.emissions import ItEnergy, SiteEnergy
from registry.importers.boamps import parse_boamps
from tests.registry.reading import faults, flags, json_bytes, read

REPORT: dict[str, Any] = {
    "header": {
        "formatVersion": "0.1",
        "reportId": "quill-7",
        "publisher": {
            "name": "Quill Lab",
            "projectName": "owl",
            "confidentialityLevel": "public",
            "publicKey": "ssh-1",
        },
    },
    "task": {
        "taskStage": "inference",
        "taskFamily": "chatbot",
        "nbRequest": 20,
        "algorithms": [{"foundationModelName": "owl-13b", "parametersNumber": 13}],
    },
    "measures": [{"measurementMethod": "wattmeter", "powerConsumption": 0.25, "measurementDuration": 3600}],
    "infrastructure": {"infraType": "onPremise", "components": []},
    "environment": {"country": "france", "powerSourceCarbonIntensity": 12.5},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    report = copy.deepcopy(REPORT)
    place: Any = report
    *above, last = path.split(".")
    for name in above:
        place = place[int(name) if name.isdigit() else name]
    place[int(last) if last.isdigit() else last] = value
    return report


@pytest.mark.parametrize(
    ("run", "kwh", "country"),
    [
        ("9fa394ad-a5e6-41ab-bafb-81e63099331a", "0.00023346001613973484", "DEU"),
        ("42c959b4-7813-408d-b3dd-91ba106cafc5", "0.00031973535539880015", "NLD"),
        ("df520acc-ca50-44a5-a759-2b405786b7a0", "0.00034244807315644637", "USA"),
        ("b4ca3c57-f003-4e95-b1b0-885930947d5c", "0.00037381362671331896", "FRA"),
    ],
)
def test_genuine_reports_give_the_energy_and_the_key_of_their_run(
    shared_data: Path, run: str, kwh: str, country: str
) -> None:
    result = parse_boamps((shared_data / "codecarbon" / "v3.3.2" / f"boamps_report_{run}.json").read_bytes())

    (line,) = read(result).lines
    assert (line.energy, line.key, line.zone) == (SiteEnergy(Decimal(kwh)), f"codecarbon:{run}", country)
    assert flags(result) == [("/task", "task_missing"), ("/measures", "pue_unknown")]


def test_a_whole_report_is_read_with_its_publisher_as_evidence() -> None:
    result = parse_boamps(b"\xef\xbb\xbf" + json_bytes(REPORT))

    (line,) = read(result).lines
    assert (line.key, line.label, line.method) == ("boamps:quill-7", "owl / chatbot / owl-13b", "boamps")
    assert (line.energy, line.zone, line.activity, line.requests) == (ItEnergy(Decimal("0.25")), "FRA", "inference", 20)
    assert '"publicKey":"ssh-1"' in line.evidence["header"]
    assert flags(result) == []


@pytest.mark.parametrize(
    ("path", "value", "flag"),
    [
        ("task", None, ("/task", "task_missing")),
        ("task.taskStage", "training+inference", ("/task/taskStage", "stage_unknown")),
        ("environment.country", "Narnia", ("/environment/country", "country_unknown")),
        ("environment", None, ("/environment/country", "country_unknown")),
        ("header.reportStatus", "draft", ("/header/reportStatus", "report_not_final")),
        ("header.reportId", None, ("/header/reportId", "report_id_missing")),
        ("$hash", {"value": "x"}, ("/$hash", "signature_not_checked")),
        ("measures.0.powerConsumption", 1001, ("/measures", "power_implausible")),
    ],
)
def test_what_a_report_leaves_open_is_flagged(path: str, value: Any, flag: tuple[str, str]) -> None:
    assert flags(parse_boamps(json_bytes(changed(path, value)))) == [flag]


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("measures", None, ("/measures", "missing_value")),
        ("measures", [], ("/measures", "missing_value")),
        ("measures.0", 7, ("/measures/0", "not_a_table")),
        ("measures.0.powerConsumption", -1, ("/measures/0/powerConsumption", "number_out_of_range")),
        ("measures.0.powerConsumption", 1e27, ("/measures/0/powerConsumption", "number_out_of_range")),
        ("measures.0.powerConsumption", None, ("/measures/0/powerConsumption", "missing_value")),
        ("measures.0.powerConsumption", True, ("/measures/0/powerConsumption", "not_a_number")),
        ("measures.0.powerConsumption", [1], ("/measures/0/powerConsumption", "not_one_value")),
        ("measures.0.measurementDuration", 0, ("/measures/0/measurementDuration", "number_out_of_range")),
        ("measures.0.measurementMethod", "", ("/measures/0/measurementMethod", "missing_value")),
        ("header.formatVersion", "9", ("/header/formatVersion", "version_unknown")),
        ("task.nbRequest", 1.5, ("/task/nbRequest", "not_whole")),
        ("task.algorithms", {}, ("/task/algorithms", "not_a_list")),
    ],
)
def test_a_wrong_field_is_named_by_its_pointer(path: str, value: Any, fault: tuple[str, str]) -> None:
    assert faults(parse_boamps(json_bytes(changed(path, value)))) == [(1, *fault)]


def test_several_measures_are_not_added_unless_somebody_says_so() -> None:
    report = changed("measures", [*REPORT["measures"], {"measurementMethod": "rapl", "powerConsumption": "0.1"}])
    content = json_bytes(report)

    assert faults(parse_boamps(content)) == [(1, "/measures", "several_measures")]
    assert read(parse_boamps(content, measures="add")).lines[0].energy == ItEnergy(Decimal("0.35"))
    assert read(parse_boamps(content, measures="largest")).lines[0].energy == ItEnergy(Decimal("0.25"))
    assert flags(parse_boamps(content, measures="largest")) == [("/measures", "several_measures")]

    report["measures"][1]["measurementMethod"] = "codecarbon"
    assert faults(parse_boamps(json_bytes(report), measures="add")) == [(1, "/measures", "kinds_mixed")]


def test_reports_may_stand_in_a_list_or_one_on_each_line() -> None:
    other = changed("header.reportId", "quill-8")
    lines = json_bytes(REPORT) + b"\n" + json_bytes(other) + b"\n"

    assert [line.key for line in read(parse_boamps(json_bytes([REPORT, other]))).lines] == [
        "boamps:quill-7",
        "boamps:quill-8",
    ]
    assert [line.line for line in read(parse_boamps(lines)).lines] == [1, 2]
    assert faults(parse_boamps(lines + json_bytes(REPORT))) == [(3, "/header/reportId", "duplicate_report")]
    assert faults(parse_boamps(b"[]")) == [(1, "/", "no_rows")]
    assert faults(parse_boamps(b"[1]")) == [(1, "/0", "not_a_table")]
