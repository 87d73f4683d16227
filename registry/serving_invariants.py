"""What is always true of figures by the hour: lines of reports follow from the records and intensities they name."""

from datetime import datetime
from functools import cache, partial

from common.invariants import Finding, Invariant, sql_invariant
from registry.models import ReportLine, ServingCalculation
from registry.services.grid import serving, spans


def _calculations_follow_from_records(as_of: datetime | None) -> Finding:
    """Each calculation comes out again from the records up to its last batch and from the sets that it pins."""
    calculations = ServingCalculation.objects.select_related(
        "workload__system__site", "workload__ai_model", "period__scheme"
    ).order_by("id")
    if as_of is not None:
        calculations = calculations.filter(calculated_at__lte=as_of)
    checked = 0
    for calculation in calculations.iterator():
        checked += 1
        found = serving.recomputed(calculation)
        said = (calculation.reference, calculation.energy_kwh, calculation.co2e_g)
        again = None if found is None else serving.told_again(found, calculation.period)
        if said != again:
            return checked, {"calculation_id": calculation.pk, "said": said, "found": again}
    return checked, None


def _lines_follow_from_their_hours(as_of: datetime | None) -> Finding:
    """Each line that was computed by its hours comes out again from its energy, its moments and the sets it names."""
    lines = ReportLine.objects.filter(factor_source__startswith="hourly: ").order_by("id")
    if as_of is not None:
        lines = lines.filter(report__received_at__lte=as_of)
    sets_of, of_year = cache(spans.sets_of), cache(spans.year_series)
    checked = 0
    for line in lines.only("id", "started_at", "ended_at", "zone", "energy_kwh", "co2e_g", "factor_source").iterator():
        checked += 1
        named = sets_of(line.factor_source)
        again = None
        if named is not None and line.started_at and line.ended_at:
            zone, sets = named
            pinned = partial(of_year, zone, at=max(one.loaded_at for one in sets), sets=sets)
            again = spans.span(line.zone, line.started_at, line.ended_at, pinned)
        said = (line.co2e_g, line.factor_source)
        found = None if again is None else (again.grams(line.energy_kwh), again.source)
        if said != found:
            return checked, {"report_line_id": line.pk, "said": said, "found": found}
    return checked, None


INVARIANTS: list[Invariant] = [
    Invariant(
        "Each report line that counts by its hours follows from the sets it names", _lines_follow_from_their_hours
    ),
    Invariant(
        "Each calculation of a serving stream follows from its hourly records", _calculations_follow_from_records
    ),
    sql_invariant(
        "Each report line of a serving stream is what its calculation says",
        counted="SELECT count(*) FROM registry_reportline WHERE method = 'serving_hourly'",
        breaches="""
            SELECT l.id AS report_line_id, l.factor_source, l.energy_kwh, l.co2e_g, c.energy_kwh AS calculated_kwh,
                   c.co2e_g AS calculated_co2e_g
              FROM registry_reportline l
              LEFT JOIN registry_servingcalculation c ON c.reference = l.factor_source
             WHERE l.method = 'serving_hourly'
               AND (c.workload_id, c.zone, c.energy_kwh, c.co2e_g) IS DISTINCT FROM
                   (l.workload_id, l.zone, l.energy_kwh, l.co2e_g)
             ORDER BY l.id""",
    ),
]
