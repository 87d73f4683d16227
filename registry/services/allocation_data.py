"""Tables of verified figures for allocations: uploaded whole or not at all, kept in versions, read for one period."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Sum

from accounts.models import User
from accounts.services import audit
from common.errors import require
from registry import rulebook
from registry.engine import allocation as engine
from registry.engine.policy import Policy
from registry.engine.rounding import Exact, exact, exact_text
from registry.importers import allocation_table
from registry.importers.allocation_table import FigureRow
from registry.importers.table import BadFile, RowError, sha256_hex
from registry.models import (
    AllocationFigure,
    AllocationLine,
    AllocationRun,
    AllocationTable,
    CohortCheck,
    DebtEntry,
    Operator,
    Period,
    Report,
    Scheme,
    Transaction,
)
from registry.permissions import regulator_of
from registry.services.reports import RowsRefused

GRAMS_PER_TONNE = 1_000_000
JOULES_PER_KWH = 3_600_000
SET_ASIDE, NEW_ENTRANTS = "SET_ASIDE", "NEW_ENTRANTS"
"""Methods of lines that are no free permits by a claim, so that a settlement does not compare with them."""


@transaction.atomic(durable=True)
def upload_table(*, actor: User, scheme: Scheme, name: str, content: bytes, now: datetime) -> AllocationTable:
    """Keep a table of figures, or refuse it with every error by line and column; nothing is stored by halves."""
    regulator = regulator_of(actor)
    parsed = allocation_table.parse(content)
    if isinstance(parsed, BadFile):
        raise RowsRefused(parsed.errors)
    Scheme.objects.select_for_update(no_key=True).get(pk=scheme.pk)  # one table at a time, for its number
    operators = {
        operator.account.number: operator
        for operator in Operator.objects.filter(scheme=scheme).select_related("account")
    }
    errors = list(_errors(scheme, parsed, operators))
    if errors:
        raise RowsRefused(errors)
    require(bool(name.strip()) and name.isprintable(), "name_missing", "Give the table a name.")
    table = AllocationTable.objects.create(
        scheme=scheme,
        version=AllocationTable.objects.filter(scheme=scheme).count() + 1,
        name=name.strip()[:200],
        sha256=sha256_hex(content),
        rows=len(parsed),
        uploaded_by=actor,
        uploaded_at=now,
    )
    AllocationFigure.objects.bulk_create(
        AllocationFigure(
            table=table,
            operator=operators[row.operator],
            year=row.year,
            product=row.product,
            output=row.output,
            use=row.use,
            historical_level=row.historical_level,
            own_j_per_flop=row.own_j_per_flop,
            leakage_class=row.leakage_class,
            proven_need=row.proven_need,
            conditions=list(row.conditions),
            first_day=row.first_day,
            applied_at=row.applied_at,
            applied_permits=row.applied_permits,
        )
        for row in parsed
    )
    audit.record(
        actor,
        "registry.allocation.data_uploaded",
        table,
        at=now,
        organisation=regulator,
        scheme=scheme.code,
        version=table.version,
        rows=table.rows,
        sha256=table.sha256,
    )
    return table


def template_rows(period: Period) -> list[list[str]]:
    """Return the rows of a template: each operator of the scheme with the products that the rules allocate."""
    policy = rulebook.policy_at(period.scheme, period.starts_on)
    products = [(method.product, period.year - method.lag) for method in policy.alloc.methods] or [("", period.year)]
    numbers = Operator.objects.filter(scheme_id=period.scheme_id).order_by("account__number")
    blank = [""] * (len(allocation_table.COLUMNS) - 3)
    return [
        [number, str(year), product, *blank]
        for number in numbers.values_list("account__number", flat=True)
        for product, year in products
    ]


@dataclass
class _Known:
    """What the tables say of one operator, the latest row of each year and product."""

    use: dict[int, Decimal] = field(default_factory=dict)
    """Of everything, where a row without a product says so."""
    sums: dict[int, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Added up over the products."""
    product_use: dict[str, dict[int, Exact]] = field(default_factory=lambda: defaultdict(dict))
    output: dict[str, dict[int, Exact]] = field(default_factory=lambda: defaultdict(dict))
    level: dict[str, Exact] = field(default_factory=dict)
    own: Decimal | None = None
    leakage_class: str = ""
    need: int = 0
    conditions: frozenset[str] = frozenset()
    first_day: date | None = None
    applied_at: datetime | None = None
    applied_permits: int = 0


def operator_data(period: Period) -> list[engine.OperatorData]:
    """Return what the registry knows about each operator for a period's allocation, by account number.

    Verified use comes from the reports in force and, for years without one, from the tables. Output, levels, classes,
    needs and applications come from the tables, what an earlier run counted from its frozen inputs. An operator whose
    yearly check says that it left its cohort gets nothing of the set-aside. Ten queries, however many operators.
    """
    scheme = period.scheme
    operators = list(
        Operator.objects.filter(scheme=scheme, first_year__lte=period.year)
        .exclude(excluded_years__contains=[period.year])
        .select_related("account")
        .order_by("account__number")
    )
    known = _from_tables(scheme, period.year)
    verified, own = _from_reports(scheme)
    used = _outputs_used(period)
    delivered = _delivered(period, operators)
    debts = dict(
        DebtEntry.objects.filter(operator__scheme=scheme)
        .order_by()
        .values("operator_id")
        .annotate(owed=Sum("quantity"))
        .values_list("operator_id", "owed")
    )
    checks = dict(
        CohortCheck.objects.filter(operator__scheme=scheme, year=period.year).values_list("operator_id", "holds")
    )
    found = []
    for operator in operators:
        data = known.get(operator.pk) or _Known()
        number = operator.account.number
        found.append(
            engine.OperatorData(
                operator=number,
                cohort=operator.cohort,
                leakage_class=data.leakage_class,
                use_by_year={**data.sums, **data.use, **verified.get(operator.pk, {})},
                use_by_product_and_year=data.product_use,
                output_by_product_and_year=data.output,
                output_used=used.get(number, {}),
                historical_activity=data.level,
                own_j_per_flop=own.get(operator.pk) if data.own is None else data.own,
                proven_need=data.need if checks.get(operator.pk, True) else 0,
                first_day=data.first_day or date(operator.first_year, 1, 1),
                last_day=_last_day(operator),
                conditions_met=data.conditions,
                applied_at=data.applied_at,
                applied_permits=data.applied_permits,
                delivered=delivered.get(operator.pk, 0),
                debt=max(0, int(debts.get(operator.pk, 0))),
            )
        )
    return found


def latest_figures(scheme: Scheme) -> list[AllocationFigure]:
    """Return the row that counts for each operator, year and product: that of the latest table."""
    return list(
        AllocationFigure.objects.filter(table__scheme=scheme)
        .order_by("operator_id", "year", "product", "-table__version")
        .distinct("operator_id", "year", "product")
    )


def _from_tables(scheme: Scheme, year: int) -> dict[object, _Known]:
    """Gather the rows by operator. Class, own energy and level are the latest known; the rest is of the year itself."""
    known: defaultdict[object, _Known] = defaultdict(_Known)
    for row in latest_figures(scheme):  # by operator and year, the earlier years first
        data = known[row.operator_id]
        if row.output is not None:
            data.output[row.product][row.year] = row.output
        if row.use is not None:
            if row.product:
                data.sums[row.year] += row.use
                data.product_use[row.product][row.year] = row.use
            else:
                data.use[row.year] = row.use
        if row.first_day is not None:
            data.first_day = row.first_day
        if row.year > year:
            continue
        if row.historical_level is not None:
            data.level[row.product] = row.historical_level
        data.own = row.own_j_per_flop if row.own_j_per_flop is not None else data.own
        data.leakage_class = row.leakage_class or data.leakage_class
        if row.year == year:
            data.need += row.proven_need or 0
            data.conditions |= frozenset(row.conditions)
            if row.applied_at is not None:
                data.applied_at, data.applied_permits = row.applied_at, row.applied_permits or 0
    return known


def _from_reports(scheme: Scheme) -> tuple[dict[object, dict[int, Exact]], dict[object, Exact]]:
    """Return the verified use of each operator and year in base units, and its latest verified joules per FLOP."""
    in_force = Report.objects.filter(period__scheme=scheme, status__in=["verified", "determined"])
    use: defaultdict[object, dict[int, Exact]] = defaultdict(dict)
    own: dict[object, Exact] = {}
    rows = in_force.order_by("period__year").values_list(
        "operator_id", "period__year", "flop", "energy_kwh", "co2e_g", "kind"
    )
    for operator_id, year, flop, kwh, grams, kind in rows:
        use[operator_id][year] = flop if scheme.metric == Scheme.Metric.FLOP else exact(grams) / GRAMS_PER_TONNE
        if flop and kwh and kind == Report.Kind.OPERATOR:
            own[operator_id] = exact(kwh) * JOULES_PER_KWH / exact(flop)
    return use, own


def _outputs_used(period: Period) -> dict[str, dict[str, dict[int, Exact]]]:
    """Return the output that earlier allocations counted, by operator, product and year of allocation."""
    used: dict[str, dict[str, dict[int, Exact]]] = {}
    runs = AllocationRun.objects.filter(
        period__scheme_id=period.scheme_id, period__year__lt=period.year, status="executed"
    ).order_by("period__year", "executed_at")
    for year, document in runs.values_list("period__year", "inputs"):
        for operator, products in engine.outputs_used(engine.inputs_from_document(document)).items():
            for product, output in products.items():
                used.setdefault(operator, {}).setdefault(product, {})[year] = output
    return used


def _delivered(period: Period, operators: Collection[Operator]) -> dict[object, int]:
    """Return the free permits that an executed run of the same period has delivered by claims, and nobody took back."""
    lines = AllocationLine.objects.filter(run__period=period, run__status="executed", quantity__gt=0)
    sums = lines.exclude(method__in=[SET_ASIDE, NEW_ENTRANTS]).order_by().values("operator_id")
    delivered = dict(sums.annotate(given=Sum("quantity")).values_list("operator_id", F("given")))
    if not delivered:
        return {}
    undone = Transaction.objects.filter(
        kind="allocate", status="reversed", asset=period.permit_id, sender__reference=f"total:{period.code}"
    )
    rows = undone.order_by().values("organisation_id").annotate(back=Sum("quantity"))
    back = dict(rows.values_list("organisation_id", F("back")))
    by_operator = {operator.pk: back.get(operator.organisation_id, 0) for operator in operators}
    return {operator: given - by_operator.get(operator, 0) for operator, given in delivered.items()}


def _last_day(operator: Operator) -> date | None:
    closed = operator.closed_on
    if operator.last_year is None:
        return closed
    last = date(operator.last_year, 12, 31)
    return last if closed is None else min(closed, last)


# Errors of rows that only the registry can see -----------------------------------------------------------------------


def _errors(scheme: Scheme, rows: Sequence[FigureRow], operators: Mapping[str, Operator]) -> Iterator[RowError]:
    """List where rows do not fit the scheme: its operators, its rules, and what was verified already."""
    policies = _policies(scheme)
    products = {method.product for policy in policies for method in policy.alloc.methods}
    conditions = {each.condition for policy in policies for each in policy.alloc.conditionality}
    classes = {name for policy in policies for name in (*policy.alloc.leakage, *policy.alloc.assistance)}
    verified, _ = _from_reports(scheme)
    for row in rows:
        operator = operators.get(row.operator)
        if operator is None:
            yield RowError(
                row.line, "operator", "operator_unknown", f"{row.operator} is not the account of an operator here."
            )
            continue
        yield from _unknown(row.line, "product", (row.product,), products)
        yield from _unknown(row.line, "conditions", row.conditions, conditions)
        yield from _unknown(row.line, "leakage_class", (row.leakage_class,), classes)
        figure = verified.get(operator.pk, {}).get(row.year)
        if row.use is not None and not row.product and figure is not None and exact(row.use) != exact(figure):
            sentence = f"The verified report of {row.year} says {exact_text(figure)}: leave the cell empty."
            yield RowError(row.line, "use", "verified_already", sentence)


def _unknown(line: int, column: str, names: Collection[str], known: Collection[str]) -> Iterator[RowError]:
    """Refuse names that the rules do not know, where they know any: a slip of the pen would cost an operator all."""
    for name in names:
        if name and name not in known:
            listed = ", ".join(sorted(known)) or "none yet"
            yield RowError(line, column, f"{column}_unknown", f"The rules do not know {name!r}. They have: {listed}.")


def _policies(scheme: Scheme) -> list[Policy]:
    """Return the rules at the start of every period of a scheme. One query for the rules, one for the periods."""
    book = rulebook.history(scheme)
    starts = Period.objects.filter(scheme=scheme).order_by("starts_on").values_list("starts_on", flat=True)
    return [book.policy_on(start) for start in starts]
