"""Manifests of the Impact Framework (YAML): the inputs of a tree of components, as portable and re-executable evidence.

Energy is taken from the inputs: the field `energy`, in kWh, of an input or of the defaults above it. Energy that a
pipeline works out itself, from utilisation and curves, is a model and no measurement: such an input is refused, and its
manifest can be kept as evidence beside a measured one. Outputs are compared with the inputs and never believed.

The framework does not say whether energy includes the PUE. It is IT energy unless the option `includes_pue` is set.

| flag | what was seen |
|---|---|
| outputs_energy_differ | a component's outputs hold another energy than its inputs |
| outputs_carbon_differ | a component's outputs hold other emissions than its inputs times their intensity |
| inputs_overlap | two inputs of one component cover the same time |
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from registry.engine.emissions import ItEnergy, SiteEnergy, differs_materially
from registry.engine.rounding import EXACT_DECIMALS
from registry.importers.document import Place, read_yaml, refused, until_too_many
from registry.importers.lines import ImportedFile, ImportedLine, measurement_key
from registry.importers.table import BadFile, Flag, Limits, RowError, sha256_hex

LIMITS = Limits(max_bytes=4_000_000, max_rows=20_000)
ENERGY, INTENSITY, REQUESTS = "energy", "grid/carbon-intensity", "requests"
OPERATIONAL = "carbon-operational"
MOST_ENERGY_KWH = Decimal(10**12)
MOST_CARBON_G = Decimal(10**18)
LONGEST_S = Decimal(10 * 366 * 86_400)
HIGHEST_INTENSITY = Decimal(5000)
MOST_REQUESTS = 10**15


@dataclass(frozen=True)
class _Component:
    """A component with inputs: its path in the tree, and the defaults above it, the nearest first."""

    path: str
    place: Place
    defaults: tuple[Place, ...]


def parse_impact_framework(
    content: bytes, *, includes_pue: bool = False, limits: Limits = LIMITS
) -> ImportedFile | BadFile:
    """Read a manifest, or refuse it with every error in it."""
    root = read_yaml(content, limits=limits)
    if isinstance(root, RowError):
        return refused(content, [root])
    if not root.is_group():
        return refused(content, root.errors)
    name = root.text("name", required=True, longest=200)
    version = root.group("execution").group("environment").text("if-version") or root.text("if-version")
    components = list(_components(root.group("tree", required=True), "", ()))
    lines: list[ImportedLine] = []
    flags: list[Flag] = []
    for component in components:
        found = _inputs(component, name, includes_pue, limits)
        flags += _flags(component, found)
        lines += found
        if len(root.errors) > limits.max_errors or len(lines) > limits.max_rows:
            root.refuse("too_many_rows", f"More than {limits.max_rows:,} inputs or errors: send the file in parts.")
            break
    if not lines and not root.errors:
        root.at("tree").refuse("no_rows", "No component of the tree has inputs: nothing to read.")
    if root.errors:
        return refused(content, root.errors)
    return ImportedFile(sha256_hex(content), "impact_framework", version, tuple(lines), tuple(flags))


def _components(node: Place, path: str, defaults: tuple[Place, ...]) -> Iterator[_Component]:
    """Yield each component that has inputs, from the root down."""
    if not node.is_group():
        return
    own = node.group("defaults")
    below = (own, *defaults) if own.value else defaults
    if node.at("inputs").has_value:
        yield _Component(path, node, below)
    children = node.group("children")
    for name in children.value:
        yield from _components(children.at(name), f"{path}/{name}", below)


def _inputs(component: _Component, name: str, includes_pue: bool, limits: Limits) -> list[ImportedLine]:
    """Read the inputs of one component."""
    lines: list[ImportedLine] = []
    first: dict[str, int] = {}
    for place in until_too_many(component.place.items("inputs", required=True), component.place.errors, limits):
        line = _input(place, component, name, includes_pue)
        if line is None:
            continue
        if line.key in first:
            place.refuse("duplicate_input", f"Line {first[line.key]} is the same component at the same moment.")
        first.setdefault(line.key, line.line)
        lines.append(line)
    return lines


def _input(place: Place, component: _Component, name: str, includes_pue: bool) -> ImportedLine | None:
    """Read one input, or nothing where a field is wrong; every field is read first, so that every error is listed."""
    before = len(place.errors)
    if not place.is_group():
        return None
    started_at = place.instant("timestamp", required=True)
    duration_s = _holder(place, component, "duration").positive("duration", LONGEST_S, required=True)
    kwh = None
    if _holder(place, component, ENERGY).at(ENERGY).has_value:
        kwh = _holder(place, component, ENERGY).decimal(ENERGY, Decimal(0), MOST_ENERGY_KWH)
    else:
        place.at(ENERGY).refuse(
            "energy_not_measured",
            "This input has no energy in kWh: what a pipeline works out is not taken. Put measured energy in.",
        )
    intensity = _holder(place, component, INTENSITY).decimal(INTENSITY, Decimal(0), HIGHEST_INTENSITY)
    requests = _holder(place, component, REQUESTS).whole(REQUESTS, 0, MOST_REQUESTS)
    if len(place.errors) > before or kwh is None or started_at is None or duration_s is None:
        return None
    return ImportedLine(
        line=place.line,
        key=measurement_key("impact_framework", name, component.path, f"{started_at:%Y-%m-%dT%H:%M:%S.%f}Z"),
        label=f"{name}{component.path}"[:200],
        method="impact_framework",
        energy=SiteEnergy(kwh) if includes_pue else ItEnergy(kwh),
        started_at=started_at,
        ended_at=_after(started_at, duration_s),
        requests=requests,
        claimed_co2e_g=EXACT_DECIMALS.multiply(kwh, intensity) if intensity is not None else None,
        evidence=_evidence(place, component),
    )


def _holder(place: Place, component: _Component, name: str) -> Place:
    """Return where a field stands: in the input itself, or in the nearest defaults."""
    for holder in (place, *component.defaults):
        if holder.at(name).has_value:
            return holder
    return place


def _after(started_at: datetime, duration_s: Decimal) -> datetime:
    return started_at + timedelta(microseconds=int(EXACT_DECIMALS.scaleb(duration_s, 6)))


def _evidence(place: Place, component: _Component) -> dict[str, str]:
    found: dict[str, str] = {}
    for holder in (place, *component.defaults):
        for name, text in holder.scalars().items():
            found.setdefault(name, text)
    return found


def _flags(component: _Component, lines: Sequence[ImportedLine]) -> list[Flag]:
    """Compare a component's outputs with its inputs, and its inputs with each other."""
    place, found = component.place, []
    in_order = sorted(lines, key=lambda line: (line.started_at is None, line.started_at, line.line))
    for earlier, later in pairwise(in_order):
        if earlier.ended_at and later.started_at and later.started_at < earlier.ended_at:
            sentence = f"It begins before the input of line {earlier.line} ends: the same time may count twice."
            found.append(Flag(later.line, f"{place.pointer}/inputs", "inputs_overlap", sentence))
    outputs = place.at("outputs")
    if not isinstance(outputs.value, list):
        return found
    energies = [line.energy.kwh for line in lines if line.energy is not None]
    claims = [line.claimed_co2e_g for line in lines if line.claimed_co2e_g is not None]
    for name, highest, inputs, code, unit in (
        (ENERGY, MOST_ENERGY_KWH, energies, "outputs_energy_differ", "kWh"),
        (OPERATIONAL, MOST_CARBON_G, claims, "outputs_carbon_differ", "g CO2e"),
    ):
        shown = _shown(place.items("outputs"), name, highest)
        if shown is not None and len(inputs) == len(lines) and differs_materially(shown, total := _sum(inputs)):
            sentence = f"Outputs say {shown:.6g} {unit}, the inputs give {total:.6g}: the inputs count."
            found.append(Flag(outputs.line, outputs.pointer, code, sentence))
    return found


def _shown(outputs: Sequence[Place], name: str, highest: Decimal) -> Decimal | None:
    """Return the sum of one field over the outputs, or nothing where they do not show it."""
    if not outputs or not all(isinstance(place.value, dict) and place.at(name).has_value for place in outputs):
        return None
    numbers = [place.decimal(name, Decimal(0), highest) for place in outputs]
    return _sum([number for number in numbers if number is not None])


def _sum(numbers: Sequence[Decimal]) -> Decimal:
    total = Decimal(0)
    for number in numbers:
        total = EXACT_DECIMALS.add(total, number)
    return total
