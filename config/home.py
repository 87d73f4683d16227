"""The overview a person sees first, by the kind of organisation they act for: what waits, and how it stands."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.urls import reverse

from accounts.acting import Acting
from accounts.models import Approval
from accounts.selectors import approvals_in_scope, tasks_in_scope
from accounts.views.approvals import waiting_for
from common.charts import Chart, Series
from exchange.selectors import MarketSummary, market_summaries, parked_commands
from registry import calendars
from registry.ledger import selectors as ledger
from registry.models import Case, Obligation, Operator, Period, Report, Sanction
from registry.selectors import (
    ObligationPosition,
    position_against_obligation,
    public_overview,
    reporting_table,
    reports_to_verify,
)
from registry.services import due

POINTS = 400
"""A chart of holdings shows at most so many of the latest changes."""


@dataclass(frozen=True)
class SchemeCard:
    """One operator's position in one period: what it owes and has, what it would cost, and how it came about."""

    period: Period
    position: ObligationPosition
    market: MarketSummary | None
    chart: Chart
    report: Report | None

    @property
    def cost_minor(self) -> int | None:
        """What buying the missing permits would cost at the best ask, or at the last price."""
        if self.position.net >= 0 or self.market is None:
            return None
        price = self.market.best_ask_minor or self.market.last_price_minor
        return None if price is None else -self.position.net * price


def of_firm(acting: Acting, now: datetime) -> dict[str, object]:
    """Return the overview of a firm or lab: each running period in which it is an operator."""
    operators = Operator.objects.filter(organisation=acting.organisation).select_related(
        "organisation", "scheme__currency", "account"
    )
    by_scheme = {operator.scheme_id: operator for operator in operators}
    periods = list(
        Period.objects.filter(scheme__in=by_scheme, status__in=["open", "closing"])
        .select_related("scheme__currency", "permit")
        .order_by("surrender_due", "scheme__code")
    )
    markets = {summary.market.period_id: summary for summary in market_summaries()}
    return {
        "cards": [_card(by_scheme[period.scheme_id], period, markets.get(period.pk), now) for period in periods],
        "deadlines": _deadlines(periods, now),
        "approvals": _waiting(acting),
        "waits": _waits(acting, now),
        "may_initiate": acting.has("initiator", "approver"),
    }


def of_verifier(acting: Acting, now: datetime) -> dict[str, object]:
    """Return the overview of a verifier: the reports that wait, oldest first, and open tasks."""
    return {"reports": reports_to_verify(acting.for_organisation())[:100], "waits": [_open_tasks(acting, now)]}


def of_regulator(acting: Acting, now: datetime) -> dict[str, object]:
    """Return the overview of the regulator: what waits for a decision, what is late, and how the markets stand."""
    periods = Period.objects.filter(status__in=["open", "closing"]).select_related("scheme", "permit")
    overdue = [(period, row) for period in periods for row in reporting_table(period, now) if row.is_overdue]
    return {
        "approvals": _waiting(acting),
        "overdue": overdue,
        "waits": _waits(acting, now),
        "reports_waiting": reports_to_verify().count(),
        "markets": market_summaries(),
        "parked": parked_commands().count(),
        "overviews": public_overview(),
        "deadlines": _deadlines(periods, now),
    }


def of_auditor() -> dict[str, object]:
    """Return the overview of an auditor: every period with its files, and whether its permits add up."""
    return {"overviews": public_overview(), "markets": market_summaries()}


@dataclass(frozen=True)
class Wait:
    """How many things of one kind wait, and the page where they are dealt with."""

    label: str
    count: int
    address: str
    note: str = ""
    tone: str = "caution"


def _waits(acting: Acting, now: datetime) -> list[Wait]:
    """What waits for the organisation acted for beside proposals; the regulator's people see everybody's."""
    sanctions = acting.view.filter(Sanction.objects.filter(status__in=["due", "in_appeal"]), "operator__organisation")
    due = sanctions.aggregate(total=Count("pk"), late=Count("pk", filter=Q(status="due", due_at__lt=now)))
    cases = acting.view.filter(Case.objects.filter(status="open"), "operator__organisation").count()
    return [
        _open_tasks(acting, now),
        Wait("Sanctions not settled", due["total"], reverse("sanctions"), _overdue(due["late"]), "negative"),
        Wait("Open cases", cases, reverse("cases"), "waiting for a decision" if cases else ""),
    ]


def _open_tasks(acting: Acting, now: datetime) -> Wait:
    """Count the tasks that the organisation's own people have to do."""
    waiting = tasks_in_scope(acting.scope).filter(organisation=acting.organisation, status__in=["unclaimed", "claimed"])
    found = waiting.order_by().aggregate(total=Count("pk"), late=Count("pk", filter=Q(due_at__lt=now)))
    return Wait("Open tasks", found["total"], reverse("tasks"), _overdue(found["late"]), "negative")


def _overdue(count: int) -> str:
    return f"{count:,} overdue" if count else ""


def _waiting(acting: Acting) -> list[Approval]:
    undecided = acting.view.filter(approvals_in_scope(acting.scope).filter(status="proposed"), "organisation")
    return waiting_for(acting, list(undecided[:100]))


@dataclass(frozen=True)
class Deadline:
    """Something that is due."""

    what: str
    period: Period
    at: datetime


def _deadlines(periods: Iterable[Period], now: datetime) -> list[Deadline]:
    """The next things that are due by the calendars of some periods, the nearest first."""
    events = calendars.coming(periods, now)[:8]
    return [Deadline(due.label(event.kind), event.period, event.due_at) for event in events if event.period]


def _card(operator: Operator, period: Period, market: MarketSummary | None, now: datetime) -> SchemeCard:
    return SchemeCard(
        period=period,
        position=position_against_obligation(operator, period),
        market=market,
        chart=_position_chart(operator, period, now),
        report=Report.objects.filter(operator=operator, period=period).order_by("-version").first(),
    )


def _position_chart(operator: Operator, period: Period, now: datetime) -> Chart:
    """Draw the permits of the period that the account held over time, against what was owed."""
    entries = ledger.holdings([operator.account_id]).filter(asset=period.permit_id).first()
    moves: list[tuple[datetime, int | None, int | None]] = []
    if entries is not None and entries.last_at is not None:
        until = entries.last_at + timedelta(microseconds=1)  # a statement ends before its end
        statement = ledger.statement(operator.account_id, period.permit_id, operator.account.opened_at, until)
        moves += [(entry.at, entry.balance_after, None) for entry in statement.entries[-POINTS:]]
    owed = Obligation.objects.filter(operator=operator, period=period).order_by("version")
    moves += [(obligation.at, None, obligation.quantity) for obligation in owed]
    held_now: int | None = None
    owed_now: int | None = None
    rows: dict[datetime, list[int | None]] = {}
    for at, held, quantity in sorted(moves, key=lambda move: move[0]):
        held_now = held if held is not None else held_now
        owed_now = quantity if quantity is not None else owed_now
        rows[at] = [held_now, owed_now]
    if rows:
        rows[max(now, *rows)] = [held_now, owed_now]  # the line goes on until today
    return Chart(
        key=f"position-{period.code}",
        title="Permits held against obligation",
        summary=(
            f"{held_now or 0:,} permits are held and {owed_now or 0:,} are owed for the year."
            if rows
            else "Nothing has come in yet. The chart begins with the first permits."
        ),
        x_label="Time (UTC)",
        series=[Series("Held", draw="stepped"), Series("Owed", line="2", draw="stepped")],
        rows=list(rows.items()),
        from_zero=True,
    )
