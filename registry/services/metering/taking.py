"""The way of measured runs into a draft: one line for each run of the period, and a table of them as evidence.

What was taken before is replaced by what is known now, so that it may be done as often as runs come in. A run whose
file somebody uploaded as well stays as uploaded: it counts once.
"""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.errors import Refused, require
from registry.engine.emissions import SiteEnergy
from registry.engine.factors import BUILT_IN
from registry.engine.rounding import exact_text
from registry.importers.lines import ImportedLine, measurement_key
from registry.importers.table import Flag, RowError
from registry.models import Draft, DraftLine, MeterReading, Upload
from registry.services.drafting import evidence
from registry.services.drafting.lines import Flags, Valuation
from registry.services.metering.sums import MEASURED, RunSums, runs_of_period, site_of
from registry.services.versions import require_reporter

FORMAT = "codecarbon_api"
METHOD = "codecarbon"
COLUMNS = (
    *("project", "experiment", "run", "client_run", "source", "client_version", "tracking_mode", "country", "pue"),
    *("began_at", "ended_at", "readings", *MEASURED, "readings_sha256"),
)


@dataclass(frozen=True)
class Taken:
    """What came into the draft."""

    runs: int
    uploaded_too: int
    upload: Upload


@transaction.atomic(durable=True)
def take_runs(*, actor: User, draft: Draft, now: datetime) -> Taken:
    """Take the runs that clients reported in the draft's period into the draft, all of them or none."""
    draft = (
        Draft.objects.select_for_update(of=("self",))
        .select_related("operator__organisation", "operator__scheme", "period__scheme")
        .get(pk=draft.pk)
    )
    require_reporter(actor, draft.operator)
    require(draft.status == "open", "draft_not_open", "This draft was filed or discarded. Begin a new one.")
    runs = runs_of_period(draft.operator, draft.period, BUILT_IN)
    require(bool(runs), "no_runs", f"No client has reported a run in {draft.period} yet.")
    _require_activities(runs)
    _take_back(draft, now)
    uploaded = _uploaded_runs(draft)
    counting = [one for one in runs if str(one.run.client_run) not in uploaded]
    require(bool(counting), "no_runs", "All runs of this period are in the draft already, from files.")
    flags = Flags()
    lines = _lines(draft, counting, flags, now)
    for number, one in enumerate(counting, start=1):
        for flag in one.flags:
            flags.add(Flag(number, flag.column, flag.code, flag.sentence))
    upload = Upload.objects.create(
        draft=draft,
        file=evidence.keep_bytes(
            organisation=draft.operator.organisation,
            actor=actor,
            name=f"codecarbon-runs-{draft.period.year}.csv",
            content=_table(counting),
            at=now,
        ),
        format=FORMAT,
        status="read",
        rows=len(counting),
        rows_read=len(counting),
        flags=flags.stored(),
        received_by=actor,
        received_at=now,
        ended_at=now,
    )
    for line in lines:
        line.upload = upload
    DraftLine.objects.bulk_create(lines, batch_size=1000)
    draft.changed_at = now
    draft.save(update_fields=["changed_at"])
    audit.record(
        actor,
        "registry.draft.runs_taken",
        draft,
        at=now,
        organisation=draft.operator.organisation,
        runs=len(counting),
        sha256=upload.file.sha256,
    )
    return Taken(len(counting), len(runs) - len(counting), upload)


def _require_activities(runs: Iterable[RunSums]) -> None:
    """Refuse runs of which nobody said yet what they do."""
    unnamed = sorted({str(one.run.experiment) for one in runs if not one.run.experiment.activity})
    if unnamed:
        raise Refused(
            "experiment_without_activity",
            f"Say on the page Meters what these experiments do, then take the runs: {', '.join(unnamed[:5])}.",
        )


def _take_back(draft: Draft, now: datetime) -> None:
    """Remove what was taken before."""
    before = Upload.objects.filter(draft=draft, format=FORMAT, status="read")
    DraftLine.objects.filter(draft=draft, upload__in=before).delete()
    before.update(status="removed", ended_at=now)


def _uploaded_runs(draft: Draft) -> set[str]:
    """Return the client's ids of the runs, with tasks or without, that files have brought into the draft."""
    keys = DraftLine.objects.filter(draft=draft, key__startswith=f"{METHOD}:").values_list("key", flat=True)
    return {key.split(":")[1] for key in keys.iterator()}


def _lines(draft: Draft, runs: Sequence[RunSums], flags: Flags, now: datetime) -> list[DraftLine]:
    """Value each run as if it had come in a file: with its workload, its site's zone, and its hours where known."""
    by_experiment = defaultdict(list)
    for number, one in enumerate(runs, start=1):
        by_experiment[one.run.experiment].append((number, one))
    lines: list[DraftLine] = []
    errors: list[RowError] = []
    for experiment, numbered in by_experiment.items():
        valuation = Valuation(draft, at=now, workload=experiment.workload, activity=experiment.activity)
        lines += valuation.draft_lines((_imported(number, one, valuation) for number, one in numbered), flags, errors)
    assert not errors, "Every experiment has its activity."
    return lines


def _imported(number: int, one: RunSums, valuation: Valuation) -> ImportedLine:
    site = site_of(one.run)
    began = f"{one.sums.began_at:%Y-%m-%d %H:%M}"
    return ImportedLine(
        line=number,
        key=measurement_key(METHOD, str(one.run.client_run or one.run.content_sha256)),
        label=f"{one.run.experiment.project.name} / {one.run.experiment.name} / {began}",
        method=METHOD,
        energy=SiteEnergy(one.energy_kwh),
        zone=site.zone if site and valuation.has_hours(site.zone) else one.country,
        started_at=one.sums.began_at,
        ended_at=one.sums.ended_at,
        claimed_co2e_g=one.claimed_co2e_g,
    )


def _table(runs: Sequence[RunSums]) -> bytes:
    """Write the runs with every digit, and a hash over their readings: what a verifier compares with the bodies."""
    digests = _digests(runs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in runs:
        run = one.run
        writer.writerow(
            [
                *(_plain(words) for words in (run.experiment.project.name, run.experiment.name)),
                run.pk,
                run.client_run or "",
                run.source,
                _plain(run.client_version),
                run.tracking_mode,
                one.country,
                run.pue if run.pue is not None else "",
                one.sums.began_at.isoformat(),
                one.sums.ended_at.isoformat(),
                one.sums.readings,
                *(exact_text(one.sums.figures[name]) for name in MEASURED),
                digests[run.pk],
            ]
        )
    return text.getvalue().encode()


def _plain(words: str) -> str:
    """Keep a spreadsheet from taking a client's words for a formula."""
    return f"'{words}" if words[:1] in "=+-@" and words else words


def _digests(runs: Sequence[RunSums]) -> dict[object, str]:
    """Hash the hashes of each run's readings, in the order in which they were measured."""
    hashes: dict[object, hashlib._Hash] = {one.run.pk: hashlib.sha256() for one in runs}
    rows = (
        MeterReading.objects.filter(run__in=[one.run.pk for one in runs])
        .order_by("run_id", "measured_at", "id")
        .values_list("run", "content_sha256")
    )
    for run, digest in rows.iterator(chunk_size=10_000):
        hashes[run].update(digest.encode())
    return {run: one.hexdigest() for run, one in hashes.items()}
