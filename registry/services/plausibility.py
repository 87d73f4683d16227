"""What does not fit in reports and drafts: their lines held against their systems, models, sites, and the year before.

Lines are added up by workload in the database, so that a million of them cost as many queries as one. Nothing here
rejects anything: everything found asks for an explanation.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.db.models import Count, ExpressionWrapper, F, Max, Min, Q, QuerySet, Sum
from django.db.models import DurationField as Duration

from registry import drafted
from registry.engine.emissions import HARDWARE, Figures, findings
from registry.engine.prior import compare_training, expected_training
from registry.engine.rounding import Exact, coefficient
from registry.models import Draft, Operator, Report, ReportLine, Workload
from registry.services import reference
from registry.services.monitoring import sites

IN_FORCE = ("verified", "determined")
TRAININGS = ("training", "fine_tuning")
LOOKED_AT = 200
"""Lines whose digits are looked at, the first of each report."""

MOST_LABELS = 500
"""Trainings without a workload that are compared with published ones, the largest."""

MODALITY_OF = {
    "text_generation": "text",
    "summarisation": "text",
    "translation": "text",
    "question_answering": "text",
    "reasoning": "text",
    "image_generation": "image",
}
"""Kinds of models of which we know what a request takes."""


@dataclass(frozen=True)
class Doubt:
    """One thing that does not fit: what it is about, a stable code, a sentence, and the figure we expected."""

    about: str
    code: str
    sentence: str
    expected: Exact


@dataclass(frozen=True)
class _Filed:
    """What is known of a report or draft besides its lines."""

    organisation: str
    year: int
    last_year_kwh: Decimal | None


def of_report(report: Report) -> list[Doubt]:
    """Return what does not fit in one version of a report."""
    return of_reports([report])[report.pk]


def of_reports(reports: Collection[Report]) -> dict[UUID, list[Doubt]]:
    """Return what does not fit in each of many reports, with the queries of one."""
    filed = _filed(reports)
    lines = ReportLine.objects.filter(report__in=filed).annotate(owner=F("report_id"))
    return _of_lines(filed, lines, lines.filter(number__lte=LOOKED_AT))


def of_draft(draft: Draft) -> list[Doubt]:
    """Return what would not fit in a draft if it were filed as it stands."""
    lines = drafted.counting(draft).annotate(owner=F("draft_id"))
    return _of_lines(_filed([draft]), lines, lines.order_by("pk")[:LOOKED_AT])[draft.pk]


def _filed(owners: Iterable[Report | Draft]) -> dict[UUID, _Filed]:
    """Return what is known of each, with the energy in force for the year before."""
    owners = list(owners)
    operators = {owner.operator_id for owner in owners}
    names = dict(Operator.objects.filter(pk__in=operators).values_list("pk", "organisation__name"))
    before = {
        (report.operator_id, report.period.year): report.energy_kwh
        for report in Report.objects.filter(
            operator__in=operators,
            period__year__in={owner.period.year - 1 for owner in owners},
            status__in=IN_FORCE,
        ).select_related("period")
    }
    return {
        owner.pk: _Filed(
            names[owner.operator_id], owner.period.year, before.get((owner.operator_id, owner.period.year - 1)) or None
        )
        for owner in owners
    }


def _of_lines(filed: Mapping[UUID, _Filed], lines: QuerySet[Any], looked_at: QuerySet[Any]) -> dict[UUID, list[Doubt]]:
    doubts: dict[UUID, list[Doubt]] = {pk: [] for pk in filed}
    groups = _by_workload(lines)
    workloads = {
        workload.pk: workload
        for workload in Workload.objects.filter(pk__in={row["workload"] for row in groups} - {None}).select_related(
            "system__site", "ai_model"
        )
    }
    pues = _pues(filed, workloads.values())
    shared = _shared(groups, workloads)
    digits = _digits(looked_at)
    energy: defaultdict[UUID, Decimal] = defaultdict(Decimal)
    for row in groups:
        energy[row["owner"]] += row["kwh"]
    for pk, owner in filed.items():
        whole = Figures(kwh=energy[pk] or None, last_year_kwh=owner.last_year_kwh, figures=digits.get(pk, ()))
        doubts[pk] += [Doubt("The whole report", one.code, one.sentence, one.expected) for one in findings(whole)]
    for row in groups:
        pk, workload = row["owner"], workloads.get(row["workload"])
        pue = None if workload is None else pues.get((workload.system.site_id, filed[pk].year))
        about = "Lines without a workload" if workload is None else str(workload)
        for one in findings(_figures(row, workload, pue)):
            if one.code == "energy_below_floor" and (pk, workload and workload.system_id) in shared:
                continue  # the others on the system drew the rest
            doubts[pk].append(Doubt(about, one.code, one.sentence, one.expected))
    _compare(filed, doubts, groups, workloads, lines)
    return doubts


def _by_workload(lines: QuerySet[Any]) -> list[dict[str, Any]]:
    """Add the lines up by workload; those without one are one group."""
    ran = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=Duration())
    rows = lines.order_by().values("owner", "workload", "activity")
    return list(
        rows.annotate(
            kwh=Sum("energy_kwh"),
            flop_sum=Sum("flop"),
            ours_g=Sum("co2e_g"),
            claimed_g=Sum("claimed_co2e_g"),
            token_sum=Sum("tokens"),
            request_sum=Sum("requests"),
            ran=Sum(ran),
            first=Min("started_at"),
            last=Max("ended_at"),
            lines=Count("pk"),
            with_claim=Count("claimed_co2e_g"),
            with_tokens=Count("tokens"),
            with_requests=Count("requests"),
            with_times=Count("pk", filter=Q(started_at__isnull=False, ended_at__isnull=False)),
        ).order_by("owner", "workload", "activity")
    )


def _figures(row: Mapping[str, Any], workload: Workload | None, pue: Decimal | None) -> Figures:
    """Return what the lines of a group say together. What only some of them say is not said."""
    kwh: Decimal | None = row["kwh"] or None
    is_claimed = kwh is not None and row["with_claim"] == row["lines"]
    said: dict[str, Any] = {
        "kwh": kwh,
        "flop": row["flop_sum"] or None,
        "claimed_kg": row["claimed_g"] / 1000 if is_claimed else None,
        "g_per_kwh": coefficient(Fraction(row["ours_g"]) / Fraction(kwh), 9) if is_claimed and kwh else None,
    }
    if workload is None:
        return Figures(**said)
    system, model = workload.system, workload.ai_model
    active = None if model is None else model.active_parameters or model.parameters
    return Figures(
        **said,
        pue=pue,
        hardware=_hardware(system.hardware),
        reduced_precision=any(bits in system.number_format for bits in ("8", "4")),
        devices=system.devices,
        rated_watts=system.watts_per_device,
        peak_flop_per_second=system.peak_flop_per_second,
        duration_s=_seconds(row),
        active_parameters=None if active is None else int(active),
        tokens=row["token_sum"] if row["with_tokens"] == row["lines"] else None,
        requests=row["request_sum"] if row["with_requests"] == row["lines"] else None,
        modality="" if model is None else MODALITY_OF.get(model.task_class, ""),
    )


def _seconds(row: Mapping[str, Any]) -> Decimal | None:
    """Return how long a group ran: no longer than from its first start to its last end."""
    if row["with_times"] != row["lines"]:
        return None
    ran = min(row["ran"], row["last"] - row["first"])
    return Decimal(ran // timedelta(microseconds=1)) / 10**6


def _hardware(name: str) -> str:
    """Return the hardware that we know by what an operator calls it."""
    plain = name.replace(" ", "").casefold()
    return next((known for known in HARDWARE if known.casefold() in plain), "")


def _pues(filed: Mapping[UUID, _Filed], workloads: Iterable[Workload]) -> dict[tuple[UUID, int], Decimal]:
    """Return the PUE of each site in each year that is reported."""
    places = {workload.system.site_id for workload in workloads}
    years = {owner.year for owner in filed.values()}
    return {(site, year): pue for year in years for site, (pue, _) in sites.pues(places, year).items()}


def _shared(groups: Sequence[Mapping[str, Any]], workloads: Mapping[UUID, Workload]) -> set[tuple[UUID, UUID | None]]:
    """Return the systems on which a report has several workloads: none of them has to explain idle devices."""
    seen: set[tuple[UUID, UUID | None]] = set()
    twice: set[tuple[UUID, UUID | None]] = set()
    for row in groups:
        if row["workload"] is not None:
            place = (row["owner"], workloads[row["workload"]].system_id)
            (twice if place in seen else seen).add(place)
    return twice


def _digits(looked_at: QuerySet[Any]) -> dict[UUID, list[Decimal]]:
    """Return figures of the first lines of each, for their digits."""
    found: defaultdict[UUID, list[Decimal]] = defaultdict(list)
    for owner, kwh, flop in looked_at.values_list("owner", "energy_kwh", "flop"):
        if kwh or flop:
            found[owner].append((kwh or flop).normalize())
    return found


def _compare(
    filed: Mapping[UUID, _Filed],
    doubts: dict[UUID, list[Doubt]],
    groups: Sequence[Mapping[str, Any]],
    workloads: Mapping[UUID, Workload],
    lines: QuerySet[Any],
) -> None:
    """Compare trainings with published ones; those without a workload go by their label."""
    trained = [row for row in groups if row["activity"] in TRAININGS and row["flop_sum"]]
    known = reference.known_trainings() if trained else []
    if not known:
        return
    named = [(row["owner"], workloads[row["workload"]], "", int(row["flop_sum"])) for row in trained if row["workload"]]
    labelled: list[tuple[UUID, Workload | None, str, int]] = []
    if len(named) < len(trained):
        rows = (
            lines.filter(workload__isnull=True, activity__in=TRAININGS, flop__gt=0).order_by().values("owner", "label")
        )
        largest = rows.annotate(total=Sum("flop")).order_by("-total", "owner", "label")[:MOST_LABELS]
        labelled = [(row["owner"], None, row["label"], int(row["total"])) for row in largest]
    for owner, workload, label, flop in (*named, *labelled):
        model = workload.ai_model if workload else None
        prior = expected_training(
            known,
            model=model.name if model else label,
            parameters=model.parameters if model else None,
            hardware=workload.system.hardware if workload else "",
            organisation=filed[owner].organisation,
        )
        if prior is None:
            continue
        held = compare_training(flop, prior)
        if held.verdict != "within":
            count = "one model" if len(prior.models) == 1 else f"{len(prior.models)} models"
            sentence = (
                f"The compute lies {held.verdict} that of comparable published trainings (by {prior.basis}, {count})."
            )
            doubts[owner].append(
                Doubt(label or str(workload), "training_unlike_published", sentence, prior.median_flop)
            )
