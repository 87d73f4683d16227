"""EcoLogits impacts of requests to language models: one JSON object per request, or OpenTelemetry spans with them.

An estimate of a closed model is a range. It stays one: the upper end counts, the lower one is kept and a flag says so.
Energy is that of the use phase and includes the PUE of the data centre, so it is site energy. The claimed emissions are
those of the use phase too; embodied ones lie outside the obligation.

EcoLogits' own OpenTelemetry counters are refused: they add up the middle of each range, and the upper end is lost.

| flag | what was seen |
|---|---|
| range_upper_end | the energy is a range: its upper end counts |
| usage_differs | energy and the energy of the use phase are not the same |
| phases_differ | emissions of use and of the hardware's share do not add up to the whole |
| estimate_imprecise | the tracer itself warns: an architecture that is not published, or more than text |
| request_id_missing | no request id: the request is known by its content |
| intensity_implausible | the estimate is outside 0.01 to 50 Wh per request |
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from registry.engine.canonical import sha256
from registry.engine.emissions import SiteEnergy
from registry.engine.rounding import EXACT_DECIMALS, exact
from registry.importers.document import WHOLE_FILE, Place, read_documents, read_zone, refused, until_too_many
from registry.importers.lines import ImportedFile, ImportedLine, measurement_key
from registry.importers.table import BadFile, Flag, Limits, RowError, sha256_hex
from registry.importers.telemetry import is_metrics, is_trace, requests_of_spans

LIMITS = Limits(max_bytes=20_000_000, max_rows=100_000)
MOST_ENERGY_KWH = Decimal(10**6)
MOST_EMISSIONS_KG = Decimal(10**9)
MOST_TOKENS = 10**12
LEAST_WH, MOST_WH = Decimal("0.01"), Decimal(50)
TOLERANCE = exact(Decimal("1e-9"))
HOUR = timedelta(hours=1)
WORLD_MIX = "WOR"
"""EcoLogits' zone of a request whose place is not known."""


@dataclass(frozen=True)
class _Impact:
    """A value or a range of one impact; a value has two equal ends."""

    low: Decimal
    high: Decimal

    @property
    def is_range(self) -> bool:
        return self.low != self.high


def parse_ecologits(content: bytes, *, by_hour: bool = False, limits: Limits = LIMITS) -> ImportedFile | BadFile:
    """Read requests, or refuse the file with every error; `by_hour` adds up each model's requests of one UTC hour.

    A file that is added up by hour has to hold whole hours: the same hour in another file is the same measurement.
    """
    documents = read_documents(content, limits=limits)
    if isinstance(documents, RowError):
        return refused(content, [documents])
    errors = documents.errors
    lines: list[ImportedLine] = []
    flags: list[Flag] = []
    first: dict[str, tuple[int, str]] = {}
    for place in until_too_many(_requests(documents.places), errors, limits):
        line = _request(place, flags, needs_time=by_hour)
        if line is None:
            continue
        if line.key in first:
            earlier, pointer = first[line.key]
            where = f"line {earlier}" if earlier != place.line else pointer
            place.refuse("duplicate_request", f"This request already stands in {where}: keep one of the two.")
        first.setdefault(line.key, (place.line, place.pointer))
        lines.append(line)
    if not lines and not errors:
        errors.append(RowError(1, WHOLE_FILE, "no_rows", "The file holds no request with impacts: nothing to read."))
    if errors:
        return refused(content, errors)
    if by_hour:
        lines = _by_hour(lines)
    return ImportedFile(sha256_hex(content), "ecologits", "", tuple(lines), tuple(flags))


def _requests(documents: Iterable[Place]) -> Iterable[Place]:
    """Yield the places that hold one request each."""
    for document in documents:
        if is_metrics(document.value):
            document.refuse(
                "metrics_lose_the_range",
                "These are OpenTelemetry counters, which keep the middle of each range: send the impacts per request.",
            )
        elif is_trace(document.value):
            yield from requests_of_spans(document)
        else:
            yield document


def _request(place: Place, flags: list[Flag], *, needs_time: bool) -> ImportedLine | None:
    """Read one request, or nothing where a field is wrong; every field is read first, so that every error is listed."""
    before = len(place.errors)
    if not place.is_group():
        return None
    model = place.text("model", required=True, longest=200)
    provider = place.text("provider", longest=100)
    ended_at = place.instant("timestamp", required=needs_time)
    latency_s = place.decimal("latency_s", Decimal(0), Decimal(86_400))
    tokens = place.whole("output_tokens", 0, MOST_TOKENS)
    request_id = place.text("request_id", longest=200)
    zone = read_zone(place, "zone")
    impacts = place.group("impacts", required=True)
    usage, embodied = impacts.group("usage"), impacts.group("embodied")
    is_estimated = not impacts.items("errors")
    if not is_estimated:
        impacts.at("errors").refuse(
            "not_estimated", "The tracer could not estimate this request: report it by a counter or our own table."
        )
    has_impacts = is_estimated and place.at("impacts").has_value
    energy = _impact(impacts, "energy", "kWh", MOST_ENERGY_KWH, required=has_impacts)
    gwp = _impact(impacts, "gwp", "kgCO2eq", MOST_EMISSIONS_KG)
    used = _impact(usage, "energy", "kWh", MOST_ENERGY_KWH)
    used_gwp = _impact(usage, "gwp", "kgCO2eq", MOST_EMISSIONS_KG)
    embodied_gwp = _impact(embodied, "gwp", "kgCO2eq", MOST_EMISSIONS_KG)
    for part in (impacts, usage, embodied):
        for name, unit in (("adpe", "kgSbeq"), ("pe", "MJ"), ("wcf", "L")):
            _impact(part, name, unit, Decimal(10**15))
    if len(place.errors) > before or energy is None:
        return None

    seen = []
    if energy.is_range:
        seen.append(("energy", "range_upper_end", f"From {energy.low} to {energy.high} kWh: the upper end counts."))
    if used is not None and not (_same(used.low, energy.low) and _same(used.high, energy.high)):
        seen.append(("usage/energy", "usage_differs", "The energy of the use phase is not the energy of the request."))
    if gwp is not None and used_gwp is not None and embodied_gwp is not None:
        whole = EXACT_DECIMALS.add(used_gwp.high, embodied_gwp.high)
        if not _same(whole, gwp.high):
            seen.append(("gwp", "phases_differ", "Use and hardware do not add up to the emissions of the request."))
    if not LEAST_WH <= EXACT_DECIMALS.scaleb(energy.high, 3) <= MOST_WH:
        seen.append(("energy", "intensity_implausible", "Requests take 0.01 to 50 Wh: explain this one."))
    if impacts.items("warnings"):
        seen.append(("warnings", "estimate_imprecise", "The tracer warns that this estimate is less precise."))
    if not request_id:
        seen.append(("", "request_id_missing", "No request id: the request is known by its content."))
    flags += [Flag(place.line, f"{impacts.pointer}/{name}".rstrip("/"), code, text) for name, code, text in seen]
    claimed = used_gwp if used_gwp is not None else gwp
    content_sha256 = sha256(place.value)
    identity = (provider, request_id) if request_id else (content_sha256[:40],)
    return ImportedLine(
        line=place.line,
        key=measurement_key("ecologits", *identity),
        label=" / ".join(filter(None, (provider, model)))[:200],
        method="ecologits",
        energy=SiteEnergy(energy.high),
        lowest_kwh=energy.low if energy.is_range else None,
        activity="inference",
        zone="" if zone == WORLD_MIX else zone,
        started_at=ended_at - timedelta(microseconds=int(latency_s * 10**6)) if ended_at and latency_s else ended_at,
        ended_at=ended_at,
        requests=1,
        tokens=tokens,
        claimed_co2e_g=EXACT_DECIMALS.scaleb(claimed.high, 3) if claimed is not None else None,
        tier=0,
        evidence={"sha256": content_sha256},
    )


def _impact(place: Place, name: str, unit: str, highest: Decimal, *, required: bool = False) -> _Impact | None:
    """Read a value or a range; it stands there alone, or as the `value` of an impact that names its unit."""
    holder, field = place, name
    found = place.at(name)
    if not found.has_value and not required:
        return None
    if isinstance(found.value, dict) and "value" in found.value:
        written = found.text("unit")
        if written and written != unit:
            found.at("unit").refuse("unit_unknown", f"This impact is in {unit} here, not in {written[:20]!r}.")
        holder, field = found, "value"
        found = found.at("value")
    if isinstance(found.value, dict):
        low = found.decimal("min", Decimal(0), highest, required=True)
        high = found.decimal("max", Decimal(0), highest, required=True)
        if low is None or high is None:
            return None
        if low > high:
            found.refuse("range_turned", "The lower end is above the upper one: correct it.")
            return None
        return _Impact(low, high)
    value = holder.decimal(field, Decimal(0), highest, required=required)
    return None if value is None else _Impact(value, value)


def _by_hour(lines: Iterable[ImportedLine]) -> list[ImportedLine]:
    """Add up the requests of each provider, model, zone and UTC hour."""
    hours: dict[tuple[datetime, str, str], list[ImportedLine]] = {}
    for line in lines:
        assert line.ended_at is not None, "requests without a time were refused"
        hour = line.ended_at.replace(minute=0, second=0, microsecond=0)
        hours.setdefault((hour, line.label, line.zone), []).append(line)
    return [_added(hour, label, zone, found) for (hour, label, zone), found in sorted(hours.items())]


def _added(hour: datetime, label: str, zone: str, found: list[ImportedLine]) -> ImportedLine:
    highs = [line.energy.kwh for line in found if line.energy is not None]
    lows = [line.lowest_kwh if line.lowest_kwh is not None else high for line, high in zip(found, highs, strict=True)]
    tokens = [line.tokens for line in found if line.tokens is not None]
    claims = [line.claimed_co2e_g for line in found if line.claimed_co2e_g is not None]
    high, low = _sum(highs), _sum(lows)
    return ImportedLine(
        line=found[0].line,
        key=measurement_key("ecologits", "hour", f"{hour:%Y-%m-%dT%H}Z", zone, label),
        label=label,
        method="ecologits",
        energy=SiteEnergy(high),
        lowest_kwh=low if low != high else None,
        activity="inference",
        zone=zone,
        started_at=hour,
        ended_at=hour + HOUR,
        requests=len(found),
        tokens=sum(tokens) if len(tokens) == len(found) else None,
        claimed_co2e_g=_sum(claims) if len(claims) == len(found) else None,
        tier=0,
        evidence={"requests_sha256": sha256([line.evidence["sha256"] for line in found])},
    )


def _sum(numbers: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for number in numbers:
        total = EXACT_DECIMALS.add(total, number)
    return total


def _same(one: Decimal, other: Decimal) -> bool:
    """Say whether two figures are the same but for the tracer's binary floats."""
    return one == other or abs(exact(one) - exact(other)) <= TOLERANCE * max(exact(one), exact(other))
