"""Efficiency for everybody: league tables, published measures, labels and the editions they come from."""

import uuid
from typing import Literal

from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from common.downloads import stored_file, table_file
from common.errors import Unknown
from registry.engine.canonical import canonical_json
from registry.engine.efficiency import FEWEST, PUBLISHED_DIGITS
from registry.models import EfficiencyLabel, LabelEdition
from registry.services.efficiency import labels, league

PER_PAGE = 100
COLUMNS = (
    "place",
    "organisation",
    "measure",
    "title",
    "kinds",
    "wh_before",
    "wh_after",
    "saving_percent",
    "quality_percent",
    "quality_within_tolerance",
    "stars",
    "label_edition",
    "attested_by",
    "published_at",
)


@login_not_required
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """List the fields in which measures are published, and the editions of labels."""
    context = {
        "fields": league.fields(),
        "page_obj": Paginator(league.editions(), PER_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "registry/efficiency.html", context)


@login_not_required
@require_safe
def league_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the league table of a field, and under which rule nothing secret is in it."""
    found = league.league(league.field_named(slug))
    context = {
        "league": found,
        "page_obj": Paginator(found.rows, PER_PAGE).get_page(request.GET.get("page")),
        "kinds": [(kind.replace("_", " "), number) for kind, number in found.summary.by_kind.items()],
        "fewest": FEWEST,
        "digits": PUBLISHED_DIGITS,
    }
    return render(request, "registry/league.html", context)


@login_not_required
@require_safe
def league_file(request: HttpRequest, slug: str, kind: Literal["csv", "json"]) -> HttpResponse:
    """Return the same table as an open file."""
    found = league.league(league.field_named(slug))
    rows = [
        (
            row.place,
            row.measure.organisation.name,
            str(row.measure.pk),
            row.measure.title,
            " ".join(row.measure.kinds),
            row.figures.before_wh,
            row.figures.after_wh,
            row.figures.saving_percent,
            row.figures.quality_percent,
            row.figures.within_tolerance,
            row.label.stars if row.label else None,
            row.label.edition.issued_on.isoformat() if row.label else None,
            row.measure.verifier.name if row.measure.verifier else None,
            row.measure.published_at,
        )
        for row in found.rows
    ]
    return table_file(kind, f"efficiency-{slug}", COLUMNS, rows)


@login_not_required
@require_safe
def published_measure(request: HttpRequest, measure_id: uuid.UUID) -> HttpResponse:
    """Show what is public of a measure: its figures, its statement and its labels; a withdrawn one is marked."""
    found = league.public().filter(pk=measure_id).first()
    if found is None:
        raise Unknown("measure_unknown", "There is no published measure at this address. Compare the league tables.")
    context = {
        "measure": found,
        "figures": league.figures(found),
        "field": league.field_of(found),
        "labels": league.labels_of(found),
    }
    return render(request, "registry/published_measure.html", context)


@login_not_required
@require_safe
def label(request: HttpRequest, label_id: uuid.UUID) -> HttpResponse:
    """Show a label: its stars, its date, and what it rests on."""
    found = EfficiencyLabel.objects.select_related("edition").filter(pk=label_id).first()
    if found is None:
        raise Unknown("label_unknown", "There is no such label. Compare the league tables.")
    measure = league.public().get(pk=found.measure_id)
    later = LabelEdition.objects.filter(
        task_class=found.edition.task_class,
        counted=found.edition.counted,
        boundary=found.edition.boundary,
        issued_at__gt=found.edition.issued_at,
    )
    context = {
        "label": found,
        "measure": measure,
        "figures": league.figures(measure),
        "field": league.field_of(measure),
        "is_latest": not later.exists(),
        "is_reproduced": labels.is_reproduced(found.edition),
    }
    return render(request, "registry/label.html", context)


@login_not_required
@require_safe
def edition(request: HttpRequest, edition_id: uuid.UUID) -> HttpResponse:
    """Show an edition: its rule, the field it was worked out on, and its labels."""
    found = _edition(edition_id)
    rows = found.labels.select_related("measure__organisation").order_by("wh", "measure__organisation__name", "id")
    context = {
        "edition": found,
        "field": league.Field(found.task_class, found.counted, found.boundary),
        "page_obj": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
        "steps": found.document["steps"],
        "is_reproduced": labels.is_reproduced(found),
    }
    return render(request, "registry/label_edition.html", context)


@login_not_required
@require_safe
def edition_file(request: HttpRequest, edition_id: uuid.UUID) -> HttpResponse:
    """Return the frozen field: the bytes whose hash the edition names."""
    found = _edition(edition_id)
    return stored_file(f"labels-{found.issued_on}-{found.task_class}.json", canonical_json(found.document))


def _edition(edition_id: uuid.UUID) -> LabelEdition:
    found = LabelEdition.objects.filter(pk=edition_id).first()
    if found is None:
        raise Unknown("edition_unknown", "There is no such edition of labels. Compare the list.")
    return found
