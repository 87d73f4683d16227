"""Public league tables: measures ranked by published intensity, with labels, and without anybody's volumes.

A field is a task class, a unit and a boundary: only figures of one field are held against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Count, Q, QuerySet

from common.errors import Unknown
from registry.engine import efficiency as engine
from registry.models import Boundary, Counted, EfficiencyLabel, EfficiencyMeasure, LabelEdition, TaskClass
from registry.services.efficiency import measures


class Field(NamedTuple):
    """What figures have in common that are held against each other."""

    task_class: str
    counted: str
    boundary: str

    @property
    def title(self) -> str:
        """The field as people read it."""
        return f"{TaskClass(self.task_class).label}, Wh per {Counted(self.counted).label}"

    @property
    def boundary_label(self) -> str:
        """What the energy is of."""
        return str(Boundary(self.boundary).label)

    @property
    def slug(self) -> str:
        """The field as addresses name it."""
        return "-".join(self)


@dataclass(frozen=True)
class Figures:
    """What is published of a measure: intensities with three digits, and shares in per cent with one place."""

    before_wh: Decimal
    after_wh: Decimal
    saving_percent: Decimal
    quality_percent: Decimal
    within_tolerance: bool


@dataclass(frozen=True)
class Row:
    """One row of a league table."""

    place: int
    measure: EfficiencyMeasure
    figures: Figures
    label: EfficiencyLabel | None


@dataclass(frozen=True)
class League:
    """A field's table, and what is said of the field as a whole."""

    field: Field
    rows: Sequence[Row]
    summary: engine.FieldSummary


def public() -> QuerySet[EfficiencyMeasure]:
    """Measures that were published, the withdrawn ones among them, the latest first."""
    return measures.rows().filter(published_at__isnull=False).order_by("-published_at", "id")


def figures(measure: EfficiencyMeasure) -> Figures:
    """Return what is published of a measure."""
    compared = measures.comparison(measure)
    return Figures(
        before_wh=engine.published(compared.before_wh),
        after_wh=engine.published(compared.after_wh),
        saving_percent=engine.published_percent(compared.saving),
        quality_percent=engine.published_percent(compared.quality_change),
        within_tolerance=compared.within_tolerance,
    )


def field_of(measure: EfficiencyMeasure) -> Field:
    """Return the field that a measure is ranked in."""
    after = measures.side(measure, "after")
    return Field(after.task_class, after.counted, after.boundary)


def field_named(slug: str) -> Field:
    """Return the field of an address, or refuse one that does not exist."""
    parts = slug.split("-")
    if len(parts) == 3:
        field = Field(*parts)
        if (
            field.task_class in TaskClass.values
            and field.counted in Counted.values
            and (field.boundary in Boundary.values)
        ):
            return field
    raise Unknown("field_unknown", "There is no such league table. Choose one from the list.")


def fields() -> list[tuple[Field, int, int]]:
    """Return every field in which something is published, with its measures and organisations."""
    found = (
        EfficiencyMeasure.objects.filter(status="published", measurements__moment="after")
        .values_list("measurements__task_class", "measurements__counted", "measurements__boundary")
        .annotate(measures=Count("pk", distinct=True), organisations=Count("organisation", distinct=True))
        .order_by("measurements__task_class", "measurements__counted", "measurements__boundary")
    )
    return [(Field(*row[:3]), row[3], row[4]) for row in found]


def published_in(field: Field) -> list[EfficiencyMeasure]:
    """Return the measures of a field that stand published."""
    return list(
        measures.rows()
        .filter(
            Q(status="published"),
            measurements__moment="after",
            measurements__task_class=field.task_class,
            measurements__counted=field.counted,
            measurements__boundary=field.boundary,
        )
        .order_by("published_at", "id")
    )


def league(field: Field) -> League:
    """Return the league table of a field: the least energy first, each measure with its latest label."""
    found = published_in(field)
    shown = {str(measure.pk): figures(measure) for measure in found}
    places = engine.places({name: row.after_wh for name, row in shown.items()})
    latest: dict[object, EfficiencyLabel] = {}
    labels = EfficiencyLabel.objects.filter(measure__in=found).select_related("edition")
    for label in labels.order_by("edition__issued_on", "edition__issued_at", "id"):
        latest[label.measure_id] = label
    rows = [Row(places[str(measure.pk)], measure, shown[str(measure.pk)], latest.get(measure.pk)) for measure in found]
    rows.sort(key=lambda row: (row.place, row.measure.organisation.name, str(row.measure.pk)))
    summary = engine.summary(
        [(str(row.measure.organisation_id), row.measure.kinds, row.figures.saving_percent) for row in rows]
    )
    return League(field, rows, summary)


def labels_of(measure: EfficiencyMeasure) -> QuerySet[EfficiencyLabel]:
    """Every label of a measure, the latest first."""
    return measure.labels.select_related("edition").order_by("-edition__issued_on", "-edition__issued_at", "id")


def editions() -> QuerySet[LabelEdition]:
    """Every edition with how many labels it gave, the latest first."""
    return LabelEdition.objects.annotate(given=Count("labels")).order_by("-issued_on", "-issued_at", "id")
