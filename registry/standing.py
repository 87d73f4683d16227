"""Where every operator of a period stands: what it owes, what it gave, and the letter that follows by the engine.

The facts come from rows with their receipt instants, so that the letter of any instant can be worked out again.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from registry.engine import compliance as engine
from registry.models import Obligation, Operator, Period, Sanction, Surrender


@dataclass(frozen=True)
class Standing:
    """One operator at one instant: cumulative figures in permits, and the status letter."""

    operator: Operator
    status: str
    owed: int
    owed_for_the_year: int
    surrendered: int
    shortfall: int
    shortfall_of_earlier_years: int
    record: engine.ComplianceRecord
    """The facts that the letter follows from."""

    @property
    def shortfall_of_the_year(self) -> int:
        """What this period added to the shortfall: each missing permit is sanctioned once."""
        return max(0, self.shortfall - self.shortfall_of_earlier_years)


def records(period: Period, *, before: datetime | None = None, operator: Operator | None = None) -> list[Standing]:
    """Return the standing of every operator of a period's scheme, or of one, at the period's surrender deadline.

    With `before`, only what was received before that instant counts; without it, everything received so far does.
    """
    operators = Operator.objects.filter(scheme_id=period.scheme_id).select_related("organisation", "account", "scheme")
    if operator is not None:
        operators = operators.filter(pk=operator.pk)
    owed = _obligations(period, before, operator)
    given = _surrendered(period, before, operator)
    return [_standing(each, period, owed.get(each.pk, {}), given.get(each.pk, 0)) for each in operators]


def _standing(operator: Operator, period: Period, owed: Mapping[int, tuple[int, str]], surrendered: int) -> Standing:
    """Ask the engine for the letter. The official one is the ordinary status once the period's year is closed."""
    last = operator.last_year if operator.last_year is not None and operator.last_year <= period.year else None
    excluded = frozenset(year for year in operator.excluded_years if year <= period.year)
    record = engine.ComplianceRecord(
        year=period.year + 1,
        first_year=operator.first_year,
        last_year=last,
        verified={year: quantity for year, (quantity, kind) in owed.items() if kind != "estimate"},
        estimated={year: quantity for year, (quantity, kind) in owed.items() if kind == "estimate"},
        surrendered=surrendered,
        excluded=excluded,
    )
    decided = engine.compliance(record)
    assert not decided.refusals, f"{operator}: {decided.refusals}"
    for_earlier_years = sum(quantity for year, (quantity, _) in owed.items() if year < period.year)
    return Standing(
        operator=operator,
        status=decided.ordinary.value,
        owed=decided.owed,
        owed_for_the_year=owed.get(period.year, (0, ""))[0],
        surrendered=surrendered,
        shortfall=decided.shortfall,
        shortfall_of_earlier_years=max(0, for_earlier_years - surrendered),
        record=record,
    )


def _obligations(
    period: Period, before: datetime | None, operator: Operator | None
) -> dict[object, dict[int, tuple[int, str]]]:
    """Return by operator and year what is owed by its latest version, and the kind of report that says so."""
    versions = Obligation.objects.filter(period__scheme_id=period.scheme_id, period__year__lte=period.year)
    if before is not None:
        versions = versions.filter(at__lt=before)
    if operator is not None:
        versions = versions.filter(operator=operator)
    owed: defaultdict[object, dict[int, tuple[int, str]]] = defaultdict(dict)
    rows = versions.order_by("version").values_list("operator_id", "period__year", "quantity", "report__kind")
    for operator_id, year, quantity, kind in rows:
        owed[operator_id][year] = (quantity, kind)
    return owed


def _surrendered(period: Period, before: datetime | None, operator: Operator | None) -> dict[object, int]:
    """Return by operator what was surrendered for this period and earlier ones, less what was given back.

    A paid sanction whose rule does not make good ends what was missing, as if it had been surrendered.
    """
    ended = Sanction.objects.filter(
        kind=Sanction.Kind.SHORTFALL,
        make_good=False,
        status="paid",
        period__scheme_id=period.scheme_id,
        period__year__lte=period.year,
    )
    surrenders = Surrender.objects.filter(period__scheme_id=period.scheme_id, period__year__lte=period.year)
    if before is not None:
        surrenders, ended = surrenders.filter(received_at__lt=before), ended.filter(ended_at__lt=before)
    if operator is not None:
        surrenders, ended = surrenders.filter(operator=operator), ended.filter(operator=operator)
    given: defaultdict[object, int] = defaultdict(int)
    by_row = surrenders.order_by().values("operator_id").annotate(sum=Sum("quantity"))
    by_money = ended.order_by().values("operator_id").annotate(sum=Sum("shortfall"))
    for operator_id, quantity in by_row.values_list("operator_id", "sum").union(
        by_money.values_list("operator_id", "sum"), all=True
    ):
        given[operator_id] += int(quantity)
    return given
