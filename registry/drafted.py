"""Reads of drafts: who sees one, its lines by source, and what it would mean in permits and in money today.

A draft is the operator's own paper: nobody else sees it before it is filed.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, F, QuerySet, Sum

from accounts.selectors import Scope
from common.errors import Unknown
from registry import ports, rulebook
from registry.engine.compliance import obligation
from registry.models import Draft, DraftLine, Operator, Period, ReportLine, Upload, Workload
from registry.selectors import position_against_obligation


@dataclass(frozen=True)
class Source:
    """Where lines of a draft come from, with their sums."""

    name: str
    upload: Upload | None
    lines: int
    flop: Decimal
    energy_kwh: Decimal
    co2e_g: Decimal


@dataclass(frozen=True)
class Preview:
    """What a draft would mean if it were verified as it stands."""

    total: Decimal
    """What counts, in the scheme's unit."""
    left_out: tuple[str, ...]
    """Activities of its lines that the rules do not count."""
    permits: int
    held: int
    """Permits that the operator could surrender for the period now."""
    missing: int
    spare: int
    """Permits that would be left to sell or to keep."""
    quote: ports.Quote | None
    cost_minor: int | None
    """What the missing permits cost at the price of the latest trade."""
    worth_minor: int | None
    """What those that would be left are worth at that price."""


def drafts_visible(scope: Scope) -> QuerySet[Draft]:
    """Open drafts of the organisations that somebody works for."""
    rows = Draft.objects.filter(status="open", operator__organisation__in=scope.organisation_ids)
    return rows.select_related("operator__organisation", "operator__scheme", "period__scheme", "period__permit")


def uploads_visible(scope: Scope) -> QuerySet[Upload]:
    """Uploads into drafts, filed ones too, of the organisations that somebody works for."""
    rows = Upload.objects.filter(draft__operator__organisation__in=scope.organisation_ids)
    return rows.select_related(
        "file", "received_by", "draft__period__scheme", "draft__operator__organisation", "draft__operator__scheme"
    )


def own_operator(scope: Scope, period: Period) -> Operator:
    """Return the operator of a period's scheme that somebody reports for."""
    found = (
        Operator.objects.select_related("organisation", "scheme")
        .filter(organisation__in=scope.organisation_ids, scheme_id=period.scheme_id)
        .first()
    )
    if found is None:
        raise Unknown("operator_unknown", "Your organisation is not an operator of this scheme.")
    return found


def workloads_of(operator: Operator) -> QuerySet[Workload]:
    """Workloads that a file of an operator may have measured."""
    rows = Workload.objects.filter(system__site__organisation_id=operator.organisation_id)
    return rows.select_related("system__site").order_by("name")


def sources_of(draft: Draft) -> list[Source]:
    """Return the sources of a draft's lines with their sums, in the order in which they count."""
    uploads = {upload.pk: upload for upload in draft.uploads.filter(status="read").select_related("file")}
    rows = (
        counting(draft)
        .order_by()
        .values("upload", "method")
        .annotate(lines=Count("pk"), flop=Sum("flop"), energy=Sum("energy_kwh"), co2e=Sum("co2e_g"))
        .order_by(F("upload__received_at").asc(nulls_last=True), "upload", "method")
    )
    return [
        Source(
            uploads[row["upload"]].file.name if row["upload"] else row["method"],
            uploads.get(row["upload"]),
            row["lines"],
            row["flop"],
            row["energy"],
            row["co2e"],
        )
        for row in rows
    ]


def preview(draft: Draft, at: datetime) -> Preview:
    """Work out the obligation of a draft by rule R6 from what the rules count, against what is held now."""
    column = "flop" if draft.operator.scheme.metric == "flop" else "co2e_g"
    covered = frozenset(rulebook.policy_at(draft.operator.scheme, draft.period.starts_on, at).scope.activities)
    sums = dict(counting(draft).order_by().values_list("activity").annotate(sum=Sum(column)))
    total = sum((figure for activity, figure in sums.items() if activity in covered), Decimal(0))
    labels = dict(ReportLine.Activity.choices)
    permits = obligation(total, draft.operator.scheme.unit_size)
    position = position_against_obligation(draft.operator, draft.period)
    held = sum(holding.available for holding in position.holdings)
    of_earlier_years = position.owed - position.owed_for_the_year
    needed = max(0, of_earlier_years + permits - position.surrendered)  # both are counted over all years
    missing, spare = max(0, needed - held), max(0, held - needed)
    quote = ports.latest_price(draft.period)
    return Preview(
        total=total,
        left_out=tuple(labels[activity] for activity in sums if activity not in covered),
        permits=permits,
        held=held,
        missing=missing,
        spare=spare,
        quote=quote,
        cost_minor=None if quote is None else missing * quote.price_minor,
        worth_minor=None if quote is None else spare * quote.price_minor,
    )


def counting(draft: Draft) -> QuerySet[DraftLine]:
    """The lines that count: those of uploads only once all of the file was read."""
    return DraftLine.objects.filter(draft=draft).exclude(upload__isnull=False, upload__status__in=UNREAD)


UNREAD = ("received", "reading", "refused", "removed")
