"""Serving records: taking in what streams used hour by hour, and the emissions that follow from it.

Records are never changed. A later batch restates every hour that it names of a stream, whole, so that a correction is
seen and the latest counts. A calculation for a report pins the last batch, the hours and the factor sets it used, and
`recomputed` works it out again from those.
"""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Organisation, User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import require_permission
from registry.engine.canonical import canonical_json
from registry.engine.deadlines import end_of_day, start_of_day
from registry.engine.grid import (
    EnergySeries,
    HourlyResult,
    IntensitySeries,
    fill_energy,
    first_hour,
    hour_at,
    hour_number,
    hourly_result,
)
from registry.engine.grid.units import GRAM_PLACES, rounded
from registry.importers import serving as tables
from registry.importers.serving import ServingRow
from registry.importers.table import BadFile, RowError, sha256_hex
from registry.models import (
    DraftLine,
    FactorSet,
    Operator,
    Period,
    ServingBatch,
    ServingCalculation,
    ServingRecord,
    Workload,
)
from registry.permissions import may_report
from registry.services.drafting import evidence
from registry.services.grid import intensities
from registry.services.reports import RowsRefused
from registry.services.verifying import keys

SCHEMA = "headroom.serving-batch.1"
METHOD = "serving_hourly"
PREFIX = "serving:"
"""How keys of draft lines begin that come from serving records."""

FLOP_PER_PARAMETER_AND_TOKEN = 2
"""One forward pass: 2 operations for each active parameter and token (Kaplan 2020, arXiv 2001.08361)."""


# Taking in ------------------------------------------------------------------------------------------------------------


def signed_document(organisation: Organisation, content: bytes) -> bytes:
    """Return the bytes that an organisation signs to stand by a file of records: they name its hash and the signer."""
    return canonical_json({"schema": SCHEMA, "organisation": str(organisation.pk), "sha256": sha256_hex(content)})


def receive_file(
    *,
    actor: User,
    organisation: Organisation,
    name: str,
    content: bytes,
    now: datetime,
    key_id: str = "",
    signature: str = "",
) -> ServingBatch:
    """Take in a CSV file of records, all of it, or refuse it with every error by line and column."""
    return _receive(actor, organisation, name, content, tables.parse_csv(content), now, key_id, signature)


def receive_objects(
    *,
    actor: User,
    organisation: Organisation,
    records: Sequence[Mapping[str, object]],
    now: datetime,
    key_id: str = "",
    signature: str = "",
) -> ServingBatch:
    """Take in the records of a request, all of them, or refuse it with every error. They are kept in canonical form."""
    content = canonical_json({"records": list(records)})
    parsed = tables.parse_objects(content, records)
    return _receive(actor, organisation, "records.json", content, parsed, now, key_id, signature)


@transaction.atomic(durable=True)
def _receive(
    actor: User,
    organisation: Organisation,
    name: str,
    content: bytes,
    parsed: tuple[ServingRow, ...] | BadFile,
    now: datetime,
    key_id: str,
    signature: str,
) -> ServingBatch:
    """Check the rows against the streams they name, lock those, and keep the batch; the same file again is the same."""
    require_permission(
        may_report(actor, organisation), "Only an initiator or approver of the organisation may record this."
    )
    if isinstance(parsed, BadFile):
        raise RowsRefused(parsed.errors)
    streams = list(_streams(organisation).select_for_update(of=("self",), no_key=True).order_by("pk"))
    named, errors = _named(parsed, streams, now)
    if errors:
        raise RowsRefused(errors)
    sha256 = sha256_hex(content)
    same = ServingBatch.objects.filter(organisation=organisation, sha256=sha256).order_by("-id").first()
    if same is not None and not _was_restated(same):
        return same
    key = None
    if key_id or signature:
        document = signed_document(organisation, content)
        key = keys.require_signature(
            organisation=organisation, key_id=key_id, content=document, signature=signature, at=now
        )
    batch = ServingBatch.objects.create(
        organisation=organisation,
        file=evidence.keep_bytes(organisation=organisation, actor=actor, name=name, content=content, at=now),
        sha256=sha256,
        rows=len(parsed),
        restated=_restated(parsed, named),
        key_id=key.key_id if key else "",
        signature="".join(signature.split()) if key else "",
        received_by=actor,
        received_at=now,
    )
    with connection.cursor() as cursor, cursor.copy(_COPY_RECORDS) as copy:
        for row in parsed:
            copy.write_row(
                (
                    batch.pk,
                    named[row.stream].pk,
                    hour_at(row.hour),
                    row.zone,
                    row.tier,
                    row.operating_point,
                    row.requests,
                    row.tokens,
                    row.energy_kwh,
                )
            )
    audit.record(
        actor,
        "registry.serving.received",
        batch,
        at=now,
        organisation=organisation,
        rows=batch.rows,
        restated=batch.restated,
        sha256=sha256,
        key_id=batch.key_id,
    )
    return batch


_COPY_RECORDS = (
    "COPY registry_servingrecord (batch_id, workload_id, hour, zone, tier, operating_point, requests, tokens,"
    " energy_kwh) FROM STDIN"
)


def all_streams() -> QuerySet[Workload]:
    """Every serving stream, with where it runs."""
    return Workload.objects.filter(kind="stream").select_related("system__site__organisation", "ai_model")


def _streams(organisation: Organisation) -> QuerySet[Workload]:
    return all_streams().filter(system__site__organisation=organisation)


def _named(
    rows: Sequence[ServingRow], streams: Collection[Workload], now: datetime
) -> tuple[dict[str, Workload], list[RowError]]:
    """Return the streams that rows name, by that name, and every row that does not fit its stream."""
    by_name: defaultdict[str, list[Workload]] = defaultdict(list)
    for stream in streams:
        by_name[stream.name].append(stream)
        by_name[str(stream.pk)].append(stream)
    named: dict[str, Workload] = {}
    bounds: dict[uuid.UUID, tuple[int, int]] = {}
    errors: list[RowError] = []
    first: dict[tuple[uuid.UUID, int, str, str], int] = {}
    present = hour_number(now)
    for row in rows:
        found = by_name.get(row.stream, ())
        if len(found) != 1:
            errors.append(_unknown(row, bool(found)))
            continue
        stream = named[row.stream] = found[0]
        if stream.pk not in bounds:
            bounds[stream.pk] = _life(stream)
        site = stream.system.site
        begins, ends = bounds[stream.pk]
        if row.zone != site.zone:
            sentence = f"{stream.name} runs at {site.name} in the zone {site.zone}: write that, or correct the site."
            errors.append(RowError(row.line, "zone", "zone_not_of_site", sentence))
        if row.hour >= present:
            errors.append(RowError(row.line, "hour_utc", "hour_not_over", "This hour is not over yet: send it later."))
        elif row.hour < begins:
            sentence = f"{stream.system.name} runs since {stream.system.opened_on}: correct the hour."
            errors.append(RowError(row.line, "hour_utc", "hour_before_opening", sentence))
        elif row.hour >= ends:
            sentence = f"{stream.name} ended on {stream.ended_on}: correct the hour."
            errors.append(RowError(row.line, "hour_utc", "hour_after_end", sentence))
        key = (stream.pk, row.hour, row.tier, row.operating_point)
        if first.setdefault(key, row.line) != row.line:
            sentence = f"Line {first[key]} tells the same stream under its other name: merge the two."
            errors.append(RowError(row.line, "stream", "row_twice", sentence))
    return named, errors[: tables.LIMITS.max_errors]


def _unknown(row: ServingRow, is_ambiguous: bool) -> RowError:
    if is_ambiguous:
        sentence = f"Several of your streams are called {row.stream!r}: write the id of the one you mean."
        return RowError(row.line, "stream", "stream_ambiguous", sentence)
    sentence = f"You have no serving stream {row.stream!r}: open it under a system first, or write its id."
    return RowError(row.line, "stream", "stream_unknown", sentence)


def _life(stream: Workload) -> tuple[int, int]:
    """Return the first hour that a stream can have, and the first that it cannot have any more."""
    begins = datetime.combine(stream.system.opened_on, time.min, UTC)
    ends = end_of_day(stream.ended_on, UTC) if stream.ended_on else datetime(9999, 1, 1, tzinfo=UTC)
    return hour_number(begins), hour_number(ends)


def _restated(rows: Sequence[ServingRow], named: Mapping[str, Workload]) -> int:
    """Count the hours of streams that an earlier batch has told."""
    hours = {(named[row.stream].pk, row.hour) for row in rows}
    there = ServingRecord.objects.filter(
        workload__in={stream for stream, _ in hours},
        hour__gte=hour_at(min(hour for _, hour in hours)),
        hour__lte=hour_at(max(hour for _, hour in hours)),
    )
    told = there.order_by().values_list("workload_id", "hour").distinct()
    return sum((stream, hour_number(hour)) in hours for stream, hour in told.iterator())


def _was_restated(batch: ServingBatch) -> bool:
    """Say whether a later batch told an hour of this one again."""
    later = ServingRecord.objects.filter(
        workload=OuterRef("workload"), hour=OuterRef("hour"), batch__gt=OuterRef("batch")
    )
    return ServingRecord.objects.filter(Exists(later), batch=batch).exists()


# Reading --------------------------------------------------------------------------------------------------------------


def counting(workloads: Iterable[Workload], start: datetime, end: datetime) -> QuerySet[ServingRecord]:
    """The records that count for streams between two instants: of each hour those of the latest batch."""
    later = ServingRecord.objects.filter(
        workload=OuterRef("workload"), hour=OuterRef("hour"), batch__gt=OuterRef("batch")
    )
    rows = ServingRecord.objects.filter(~Exists(later), workload__in=list(workloads), hour__gte=start, hour__lt=end)
    return rows.order_by("workload_id", "hour", "tier", "operating_point")


@dataclass(frozen=True)
class Told:
    """What the records of one stream say: by the number of the hour its zone and energy in 10^-12 kWh."""

    zones: Mapping[int, str]
    pico_kwh: Mapping[int, int]
    requests: Mapping[int, int]
    tokens: Mapping[int, int | None]
    last_batch: int
    begins: int
    """The first hour of any of its records, which may lie before the hours asked for."""


def told(
    workloads: Collection[uuid.UUID], start: int, until: int, last_batch: int | None = None
) -> dict[uuid.UUID, Told]:
    """Return what the counting records of streams say of some hours; with `last_batch` what they said then.

    One query, whose sums are made in the database: a year of twenty streams comes as twenty rows.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT workload_id, array_agg(hour),
                   CASE WHEN min(zone) = max(zone) THEN ARRAY[min(zone)] ELSE array_agg(zone) END,
                   string_agg(trunc(kwh * 1000000000000)::text, ','), array_agg(requests), array_agg(tokens), max(last),
                   (SELECT extract(epoch FROM min(e.hour))::bigint / 3600 FROM registry_servingrecord e
                     WHERE e.workload_id = h.workload_id AND e.batch_id <= %(last)s)
              FROM (SELECT workload_id, hour, min(zone) AS zone, sum(energy_kwh) AS kwh,
                           sum(requests)::bigint AS requests,
                           CASE WHEN count(tokens) = count(*) THEN sum(tokens)::bigint END AS tokens, max(last) AS last
                      FROM (SELECT workload_id, extract(epoch FROM hour)::bigint / 3600 AS hour, zone, requests, tokens,
                                   energy_kwh, batch_id, max(batch_id) OVER (PARTITION BY workload_id, hour) AS last
                              FROM registry_servingrecord
                             WHERE workload_id = ANY(%(workloads)s) AND hour >= %(start)s AND hour < %(until)s
                               AND batch_id <= %(last)s) r
                     WHERE batch_id = last GROUP BY workload_id, hour) h
             GROUP BY workload_id""",
            {
                "workloads": list(workloads),
                "start": hour_at(start),
                "until": hour_at(until),
                "last": last_batch if last_batch is not None else 2**63 - 1,
            },
        )
        rows = cursor.fetchall()
    return {
        stream: Told(
            zones=dict.fromkeys(hours, zones[0]) if len(zones) == 1 else dict(zip(hours, zones, strict=True)),
            pico_kwh=dict(zip(hours, map(int, kwh.split(",")), strict=True)),
            requests=dict(zip(hours, requests, strict=True)),
            tokens=dict(zip(hours, tokens, strict=True)),
            last_batch=last,
            begins=begins,
        )
        for stream, hours, zones, kwh, requests, tokens, last, begins in rows
    }


def hours_of_period(period: Period, now: datetime) -> tuple[int, int]:
    """Return the hours of a period that are over: the first, and the first that is not among them any more."""
    zone = period.scheme.tz
    start = first_hour(start_of_day(period.starts_on, zone))
    return start, max(start, min(first_hour(end_of_day(period.ends_on, zone)), hour_number(now)))


@dataclass(frozen=True)
class StreamFigures:
    """One stream in one zone over the hours that it was expected to tell, with what its emissions follow from."""

    workload: Workload
    zone: str
    country: str
    told: Told
    energy: EnergySeries
    intensity: IntensitySeries
    factor_sets: tuple[FactorSet, ...]
    result: HourlyResult

    @property
    def since(self) -> int:
        """The number of the first hour."""
        return hour_number(self.energy.start)

    @property
    def until(self) -> int:
        """The number of the first hour that does not belong to it any more."""
        return self.since + len(self.energy)

    @property
    def missing(self) -> tuple[int, ...]:
        """Hours without a record."""
        return self.energy.filled

    @property
    def kilograms(self) -> Decimal:
        """What it emitted hour by hour, rounded for reading."""
        return rounded(self.result.grams.scaleb(-3), 3)

    @property
    def annual_kilograms(self) -> Decimal:
        """What it would have emitted by the average of the same hours, rounded for reading."""
        return rounded(self.result.annual_grams.scaleb(-3), 3)

    @property
    def difference(self) -> str:
        """How the average compares with the hours, in words."""
        over = self.result.annual_overstates_by
        return "" if over is None else f"{rounded(abs(over) * 100, 1)} % {'more' if over > 0 else 'less'}"

    @property
    def requests(self) -> int:
        """Requests served, as far as they were told."""
        return sum(n for hour, n in self.told.requests.items() if self.since <= hour < self.until)

    @property
    def tokens(self) -> int | None:
        """Tokens processed; nothing where a record does not say."""
        counts = [n for hour, n in self.told.tokens.items() if self.since <= hour < self.until]
        return None if any(n is None for n in counts) else sum(n or 0 for n in counts)

    @property
    def flop(self) -> Decimal | None:
        """Tokens times the FLOP of a token, by the model's active parameters; nothing where either is not known."""
        model, tokens = self.workload.ai_model, self.tokens
        if model is None or tokens is None:
            return None
        parameters = model.active_parameters or (model.parameters if model.architecture == "dense" else None)
        return None if parameters is None else FLOP_PER_PARAMETER_AND_TOKEN * parameters * tokens


def figures(workloads: Collection[Workload], start: int, until: int, *, at: datetime) -> list[StreamFigures]:
    """Return the emissions of streams over some hours, hour by hour, by stream and zone. Streams without records are
    left out.

    Expected are the hours from the first record on, or from `start` where there are earlier ones, to `until` or the
    end of the stream. Intensities are read once for each zone and time.
    """
    if start >= until or not workloads:
        return []
    records = told([one.pk for one in workloads], start, until)
    found = []
    read: dict[_Read, _Intensity] = {}
    for workload in sorted(workloads, key=lambda one: (one.name, one.pk)):
        if workload.pk not in records:
            continue
        of_stream = records[workload.pk]
        ends = min(until, _life(workload)[1])
        for zone, since, to in _segments(of_stream, max(start, of_stream.begins), ends):
            wanted = (zone, workload.system.site.country, since, to)
            if wanted not in read:
                read[wanted] = _intensity(wanted, at, None)
            found.append(_figures(workload, of_stream, wanted, read[wanted]))
    return found


def recomputed(calculation: ServingCalculation) -> StreamFigures | None:
    """Work a calculation out again from what it pins; nothing where the records of that time are not there."""
    since, until = hour_number(calculation.since), hour_number(calculation.until)
    records = told([calculation.workload_id], since, until, calculation.last_batch_id)
    if calculation.workload_id not in records:
        return None
    wanted = (calculation.zone, calculation.country, since, until)
    intensity = _intensity(wanted, calculation.calculated_at, calculation.factor_sets)
    of_stream = replace(records[calculation.workload_id], last_batch=calculation.last_batch_id)
    return _figures(calculation.workload, of_stream, wanted, intensity)


_Read = tuple[str, str, int, int]
_Intensity = tuple[IntensitySeries, list[FactorSet]]


def _intensity(wanted: _Read, at: datetime, sets: Collection[uuid.UUID] | None) -> _Intensity:
    zone, country, since, until = wanted
    return intensities.with_sets(zone, hour_at(since), hour_at(until), at=at, country=country, sets=sets)


def _figures(workload: Workload, of_stream: Told, wanted: _Read, intensity: _Intensity) -> StreamFigures:
    """Compute the hours of one stream in one zone; gaps in its records are filled from these hours alone."""
    zone, country, since, until = wanted
    drawn = of_stream.pico_kwh
    if min(drawn) < since or max(drawn) >= until:  # of another zone
        drawn = {hour: pico for hour, pico in drawn.items() if since <= hour < until}
    energy = fill_energy(since, until, drawn)
    return StreamFigures(
        workload=workload,
        zone=zone,
        country=country,
        told=of_stream,
        energy=energy,
        intensity=intensity[0],
        factor_sets=tuple(intensity[1]),
        result=hourly_result(energy, intensity[0]),
    )


def _segments(of_stream: Told, since: int, until: int) -> list[tuple[str, int, int]]:
    """Cut the hours of a stream where its zone changes; an hour without a record has the zone of the one before it."""
    begins: list[tuple[str, int]] = []
    zone = ""
    for hour in sorted(of_stream.zones):
        if of_stream.zones[hour] != zone:
            zone = of_stream.zones[hour]
            begins.append((zone, hour if begins else since))
    ends = [hour for _, hour in begins[1:]] + [until]
    return [(zone, hour, end) for (zone, hour), end in zip(begins, ends, strict=True)]


def figures_of_period(operator: Operator, period: Period, now: datetime) -> list[StreamFigures]:
    """Return the figures of an operator's streams for the hours of a period that are over."""
    start, until = hours_of_period(period, now)
    return figures(list(_streams(operator.organisation)), start, until, at=now)


def figures_of_year(workloads: Collection[Workload], year: int, now: datetime) -> list[StreamFigures]:
    """Return the figures of streams for the hours of a calendar year (UTC) that are over."""
    start, end = (hour_number(datetime(each, 1, 1, tzinfo=UTC)) for each in (year, year + 1))
    return figures(workloads, start, min(end, hour_number(now)), at=now)


# Into a report --------------------------------------------------------------------------------------------------------


def report_lines(operator: Operator, period: Period, *, now: datetime) -> list[DraftLine]:
    """Return one line for each stream and zone of an operator, ready for a draft and not stored."""
    return [draft_line(one, period) for one in figures_of_period(operator, period, now)]


def reference_of(one: StreamFigures, period: Period) -> str:
    """Return the factor source of a line: the sets, how many hours were filled, and a short hash of all it rests on."""
    result = one.result
    pinned = canonical_json(
        {
            "workload": str(one.workload.pk),
            "period": period.code,
            "zone": one.zone,
            "country": one.country,
            "since": one.since,
            "until": one.until,
            "last_batch": one.told.last_batch,
            "factor_sets": [str(each.pk) for each in one.factor_sets],
            "kwh": f"{result.energy_kwh:f}",
            "grams": f"{result.grams:f}",
        }
    )
    sets = ", ".join(one.intensity.versions)
    filled = f"{result.hours_without_intensity:,} of {result.hours:,} hours filled"
    end = f": {one.zone} by hour, {filled}, #{hashlib.sha256(pinned).hexdigest()[:16]}"
    return f"{sets[: 120 - len(end)]}{end}"


def told_again(one: StreamFigures, period: Period) -> tuple[str, Decimal, Decimal]:
    """Return what a calculation says: its reference, energy and emissions."""
    return reference_of(one, period), one.result.energy_kwh, rounded(one.result.grams, GRAM_PLACES)


def draft_line(one: StreamFigures, period: Period) -> DraftLine:
    """Return the line of a stream, ready for a draft and not stored."""
    result = one.result
    return DraftLine(
        key=f"{PREFIX}{one.workload.pk}:{one.zone}:{one.since}",
        label=str(one.workload)[:200],
        activity=one.workload.activity,
        method=METHOD,
        workload=one.workload,
        tier=one.workload.system.tier,
        zone=one.zone,
        started_at=hour_at(one.since),
        ended_at=hour_at(one.until),
        requests=one.requests,
        tokens=one.tokens,
        flop=one.flop or Decimal(0),
        energy_kwh=result.energy_kwh,
        co2e_g=rounded(result.grams, GRAM_PLACES),
        factor_source=reference_of(one, period),
    )


def keep_calculation(one: StreamFigures, period: Period, actor: User, now: datetime) -> ServingCalculation:
    """Keep what a line rests on, in the caller's transaction; the same calculation is kept once."""
    assert_in_transaction()
    result = one.result
    kept, _ = ServingCalculation.objects.get_or_create(
        reference=reference_of(one, period),
        defaults={
            "workload": one.workload,
            "period": period,
            "zone": one.zone,
            "country": one.country,
            "since": hour_at(one.since),
            "until": hour_at(one.until),
            "last_batch_id": one.told.last_batch,
            "factor_sets": [each.pk for each in one.factor_sets],
            "hours": result.hours,
            "hours_without_record": result.hours_without_record,
            "hours_without_intensity": result.hours_without_intensity,
            "energy_kwh": result.energy_kwh,
            "co2e_g": rounded(result.grams, GRAM_PLACES),
            "annual_co2e_g": result.annual_grams,
            "calculated_by": actor,
            "calculated_at": now,
        },
    )
    return kept
