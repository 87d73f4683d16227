"""The guides to the formats tell the truth: each example is read by its importer and gives what its page says."""

import re
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from registry.importers.formats import FORMATS
from registry.importers.template import COLUMNS
from tests.registry.reading import faults, flags, read

GUIDES = Path(__file__).parents[2] / "docs" / "guides" / "formats"
EXAMPLE = re.compile(
    r"(?P<before>(?:(?!```).)*?)```(?:csv|json|yaml|text)\n(?P<block>(?:(?!```).)*)```\n\nThe example (?P<says>[^\n]+)",
    re.S,
)
OPTION = re.compile(r"`([a-z_]+)=([^`]+)`")


def examples(code: str) -> list[tuple[bytes, dict[str, str], str]]:
    """Return each example of a page with its options and what the page says of it."""
    text = (GUIDES / f"{code}.md").read_text()
    found = []
    for match in EXAMPLE.finditer(text):
        offered = match["before"].rpartition("With the options")
        found.append((match["block"].encode(), dict(OPTION.findall(offered[2])) if offered[1] else {}, match["says"]))
    return found


@pytest.mark.parametrize("code", FORMATS)
def test_every_format_has_a_page_whose_examples_give_what_it_says(code: str) -> None:
    found = examples(code)

    assert found, "a page has at least one example"
    for content, options, says in found:
        result = FORMATS[code].parse(content, options)
        if code == "prometheus":
            assert {error for _, _, error in faults(result)} == set(re.findall(r"`([a-z_]+)`", says))
            continue
        lines = read(result).lines
        kwh = sum((line.energy.kwh for line in lines if line.energy is not None), Decimal(0))
        assert f"**{kwh.normalize():f} kWh**" in says, kwh
        if code == "epoch":
            assert f"**{sum(line.flop for line in lines)} FLOP**" in says


def test_the_pages_name_every_option_column_and_format() -> None:
    index = (GUIDES / "README.md").read_text()
    for code, one in FORMATS.items():
        assert f"({code}.md)" in index
        page = (GUIDES / f"{code}.md").read_text() + (GUIDES / "nvml.md").read_text()
        assert all(f"`{option.name}" in page for option in one.options), code
    table = (GUIDES / "template.md").read_text()
    assert all(f"`{column.name}`" in table for column in COLUMNS)


def test_the_script_of_the_guide_writes_a_log_that_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counts = iter(range(1000, 9000, 500))
    monkeypatch.setitem(
        sys.modules,
        "pynvml",
        SimpleNamespace(
            nvmlInit=lambda: None,
            nvmlDeviceGetCount=lambda: 2,
            nvmlDeviceGetHandleByIndex=lambda index: index,
            nvmlDeviceGetUUID=lambda device: f"GPU-{device}",
            nvmlDeviceGetTotalEnergyConsumption=lambda device: next(counts),
        ),
    )
    (script,) = re.findall(r"```python\n(.*?)```", (GUIDES / "nvml.md").read_text(), re.S)
    names: dict[str, Any] = {}
    exec(script, names)  # noqa: S102

    names["write_log"](tmp_path / "log.csv", 3, 0.001)

    result = FORMATS["nvml"].parse((tmp_path / "log.csv").read_bytes(), {})
    assert {line.tier for line in read(result).lines} == {2}
    assert sum(Decimal(line.evidence["energy_j"]) for line in read(result).lines) == 4
    assert ("chain", "not_chained") not in flags(result)
