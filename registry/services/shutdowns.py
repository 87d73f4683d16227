"""Shutdowns: an operator that stops for good reports once more, keeps what it owes, and gets no more free permits."""

from datetime import date, datetime, timedelta
from fractions import Fraction

from django.db import transaction
from django.db.models import Sum

from accounts.models import Organisation, User
from accounts.services import audit, tasks
from common.errors import require
from registry.engine.deadlines import end_of_day
from registry.engine.rounding import floor_permits
from registry.grades import active_days
from registry.models import AllocationLine, DueWork, Operator, Period, Report
from registry.permissions import regulator_of
from registry.services import debts, due, operators, rules
from registry.services.due import Handler, Result

SHUTDOWN_REPORT = "shutdown_report"


@transaction.atomic(durable=True)
def shut_down(*, actor: User, operator: Operator, closed_on: date, reason: str, now: datetime) -> Operator:
    """Record that an operator stopped for good: its last year is that of the day, and free permits stop with it.

    Its last report is due in the days that the rules give. What it owes stays owed, whoever owns it. Free permits of
    the days after are taken back, and what its account does not have becomes a debt [late case 8].
    """
    regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the operator can read.")
    operator = operators.locked(operator)
    scheme, zone = operator.scheme, operator.scheme.tz
    require(operator.closed_on is None, "operator_closed_already", f"{operator} has closed already.")
    require(closed_on <= now.astimezone(zone).date(), "shutdown_to_come", "Record a shutdown when it has happened.")
    require(
        closed_on >= date(operator.first_year, 1, 1),
        "shutdown_before_first_year",
        f"{operator} was not liable before {operator.first_year}.",
    )
    operator.closed_on, operator.last_year = closed_on, closed_on.year
    operator.save(update_fields=["closed_on", "last_year"])
    period = Period.objects.filter(scheme=scheme, year=closed_on.year).select_related("scheme").first()
    days = rules.policy_at(scheme, closed_on).compliance.shutdown_report_days
    due_at = end_of_day(closed_on + timedelta(days=days), zone)
    DueWork.objects.create(
        key=f"{SHUTDOWN_REPORT}:{operator.pk}",
        kind=SHUTDOWN_REPORT,
        scheme=scheme,
        period=period,
        operator=operator,
        due_at=due_at,
    )
    tasks.open_task(
        key=f"{SHUTDOWN_REPORT}:{operator.pk}",
        kind=SHUTDOWN_REPORT,
        organisation=operator.organisation,
        title=f"Report the last year of {operator}",
        link="/reports/",
        now=now,
        due_at=due_at,
    )
    taken = owed = 0
    excess = 0 if period is None else _free_after(operator, period)
    if period is not None and excess:
        taken, owed = debts.claw_back(operator, period, excess, f"closed:{operator.pk}", now, actor=actor)
    audit.record(
        actor,
        "registry.operator.shut_down",
        operator,
        at=now,
        organisation=operator.organisation,
        closed_on=closed_on,
        report_due_at=due_at,
        reason=reason,
        taken_back=taken,
        owed=owed,
    )
    return operator


def _free_after(operator: Operator, period: Period) -> int:
    """Return the free permits of the days after the last one: what was given less the days' share, floored (R2)."""
    lines = AllocationLine.objects.filter(run__period=period, run__status="executed", operator=operator)
    given = lines.aggregate(sum=Sum("quantity"))["sum"] or 0
    active, days = active_days(operator, period.starts_on, period.ends_on)
    return int(given - floor_permits(Fraction(given * active, days)).permits)


def _last_report_due(work: DueWork, now: datetime) -> Result:
    """Tell the desk where the last report of an operator that stopped has not come."""
    operator = work.operator
    assert operator is not None and operator.last_year is not None, f"{work.key} belongs to an operator that stopped"
    reports = Report.objects.filter(operator=operator, period__year=operator.last_year)
    if reports.exclude(status__in=["returned", "superseded"]).exists():
        return {"reported": True}
    regulator = Organisation.objects.filter(kind="regulator", status="active").order_by("pk").first()
    if regulator is not None:
        tasks.open_task(
            key=f"{SHUTDOWN_REPORT}-missing:{operator.pk}",
            kind=SHUTDOWN_REPORT,
            organisation=regulator,
            title=f"{operator} stopped and has not reported its last year",
            link="/desk/",
            now=now,
        )
    return {"reported": False}


def register_work() -> None:
    """Make known what is done when the last report of an operator is due. Called once, at the start."""
    due.register(SHUTDOWN_REPORT, Handler("Last report of an operator that stopped is due", _last_report_due))
