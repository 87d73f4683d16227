"""What is always true of serving: report lines that rest on hourly records follow from them, hour by hour."""

from datetime import datetime

from common.invariants import Finding, Invariant, sql_invariant
from registry.models import ServingCalculation
from registry.services.grid import serving


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


INVARIANTS: list[Invariant] = [
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
