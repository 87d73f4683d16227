"""Transparency: what anybody may read about a period, on a page and as open files of the same tables.

Organisations are named where real registries name them, in allocation, verified use and compliance; never in trading.
What a closing has not yet published is not here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Literal
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from common import clock
from common.charts import Chart, Series
from common.downloads import Cell, table_file
from common.errors import Unknown
from common.quantities import format_money
from exchange import selectors
from exchange.models import Market
from registry import calendars
from registry import selectors as registry
from registry.models import AllocationRun, LetterRemoval, Period, Report
from registry.services import due, regimes

TRADES_IN_FILE = 100_000

REGIMES = {
    "TARGET_ONLY": "Keeps a target and surrenders nothing",
    "NOTIFY_ONLY": "Monitors, and tells when it passes the threshold",
    "OPT_IN": "Takes part by choice",
    "REPORT_ONLY": "Reports only",
    "OUT": "Below every threshold",
}
"""What a lighter regime asks, in words."""


@login_not_required
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show every published period."""
    rows = [(row, row.permits.quantity("surrender")) for row in registry.public_overview()]
    return render(request, "exchange/transparency.html", {"rows": rows})


@login_not_required
@require_safe
def period(request: HttpRequest, code: str) -> HttpResponse:
    """Show one period: where every permit is, prices, allocation, use, and compliance once it is published."""
    found = _published(code)
    market = _market(found)
    permits = registry.where_every_permit_is(found)
    run = _executed_run(found)
    is_named = registry.names_are_public(found, clock.now())
    hidden = registry.hidden_operators(found) if is_named else set()
    context = {
        "period": found,
        "overview": next((row for row in registry.public_overview() if row.period.pk == found.pk), None),
        "is_named": is_named,
        "regimes": [(status, REGIMES.get(status.regime, status.regime)) for status in regimes.public_list(found)],
        "removals": LetterRemoval.objects.filter(period=found) if is_named else [],
        "permits": permits,
        "shares": [(place, place.quantity / permits.total if permits.total else 0) for place in permits.places],
        "cap": found.caps.order_by("-version").first(),
        "run": run,
        "allocation": registry.allocation_lines(run) if run else [],
        "market": market,
        "charts": _charts(market) if market else [],
        "compliance": _named(found, hidden) if is_named else [],
        "uses": _verified(found, hidden) if is_named else [],
        "year": [
            (event, due.label(event.kind), due.PUBLIC[event.status]) for event in calendars.public_events_of(found)
        ],
        "suspensions": calendars.suspensions_of(found.scheme),
        "extensions": calendars.extensions_of([found]),
    }
    return render(request, "exchange/transparency_period.html", context)


@login_not_required
@require_safe
def table(request: HttpRequest, code: str, table: str, kind: Literal["csv", "json"]) -> HttpResponse:
    """Return one table of a period as an open file."""
    found = _published(code)
    if not _is_open(found, table):
        raise Unknown("table_unknown", "There is no such table, or it is not published yet. Choose one from the page.")
    made = TABLES[table](found)
    return table_file(kind, f"{code}-{table}", made.columns, made.rows)


# The tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenTable:
    """A table as it is published."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def _permits_table(found: Period) -> OpenTable:
    permits = registry.where_every_permit_is(found)
    return OpenTable(("place", "permits"), [(place.label, place.quantity) for place in permits.places])


def _allocation_table(found: Period) -> OpenTable:
    run = _executed_run(found)
    lines = registry.allocation_lines(run) if run else []
    return OpenTable(
        ("operator", "cohort", "method", "claimed", "permits"),
        [
            (line.operator.organisation.name, line.operator.cohort, line.method, line.claim, line.quantity)
            for line in lines
        ],
    )


def _prices_table(found: Period) -> OpenTable:
    market = _market(found)
    candles = selectors.daily_candles(market) if market else []
    return OpenTable(
        ("day", "open_minor", "high_minor", "low_minor", "close_minor", "permits", "trades"),
        [(c.day.isoformat(), c.opening, c.high, c.low, c.closing, c.permits, c.trades) for c in candles],
    )


def _trades_table(found: Period) -> OpenTable:
    market = _market(found)
    series = selectors.price_series(market, limit=TRADES_IN_FILE) if market else []
    return OpenTable(("at", "price_minor", "permits"), series)


def _use_table(found: Period) -> OpenTable:
    return OpenTable(
        ("operator", "kind", "flop", "energy_kwh", "co2e_g", "permits_owed"),
        [
            (
                report.operator.organisation.name,
                report.kind,
                report.flop,
                report.energy_kwh,
                report.co2e_g,
                report.obligation.quantity,
            )
            for report in _verified(found, registry.hidden_operators(found))
        ],
    )


def _compliance_table(found: Period) -> OpenTable:
    return OpenTable(
        ("operator", "status_at_deadline", "status_now", "owed", "surrendered", "missing", "sanction_minor"),
        [
            (
                row.operator.organisation.name,
                row.deadline_status,
                row.present_status,
                row.owed,
                row.surrendered,
                row.shortfall,
                row.sanction_minor,
            )
            for row in _named(found, registry.hidden_operators(found))
        ],
    )


def _calendar_table(found: Period) -> OpenTable:
    return OpenTable(
        ("due_at", "event", "what", "state"),
        [
            (event.due_at, event.kind, due.label(event.kind), due.PUBLIC[event.status])
            for event in calendars.public_events_of(found)
        ],
    )


TABLES: dict[str, Callable[[Period], OpenTable]] = {
    "permits": _permits_table,
    "allocation": _allocation_table,
    "prices": _prices_table,
    "trades": _trades_table,
    "use": _use_table,
    "compliance": _compliance_table,
    "calendar": _calendar_table,
}
"""Every open table: its name in addresses, and how it is made."""

AFTER_CLOSING = frozenset({"use", "compliance"})
"""What the last step of the closing publishes, or the end of the time to appeal where the rules wait for it."""


def _is_open(found: Period, name: str) -> bool:
    return name in TABLES and (name not in AFTER_CLOSING or registry.names_are_public(found, clock.now()))


def _named(found: Period, hidden: set[UUID]) -> Sequence[registry.ComplianceRow]:
    """The compliance table without those who appeal and whose letter was removed."""
    return [row for row in registry.compliance_table(found) if row.operator.pk not in hidden]


def _verified(found: Period, hidden: set[UUID]) -> Sequence[Report]:
    """The figures in force: verified reports, and the regulator's estimates."""
    return list(
        Report.objects.filter(period=found, status__in=["verified", "determined"])
        .exclude(operator__in=hidden)
        .select_related("operator__organisation", "obligation")
        .order_by("operator__organisation__name")
    )


def _executed_run(found: Period) -> AllocationRun | None:
    return AllocationRun.objects.filter(period=found, status="executed").first()


def _charts(market: Market) -> list[Chart]:
    candles = selectors.daily_candles(market)
    currency = market.period.scheme.currency.code.upper()
    days = [datetime.combine(candle.day, time.min, tzinfo=UTC) for candle in candles]
    span = volume = "Nothing has traded yet."
    if candles:
        first, last = format_money(candles[0].closing), format_money(candles[-1].closing)
        span = f"The closing price went from {first} to {last} {currency}."
        volume = f"{sum(candle.permits for candle in candles):,} permits changed hands on {len(candles):,} days."
    return [
        Chart(
            key="prices",
            title=f"Price, {currency} per permit",
            summary=span,
            x_label="Day",
            series=[
                Series("Close", kind="money"),
                Series("High", line="2", kind="money"),
                Series("Low", line="3", kind="money"),
            ],
            rows=[(day, [c.closing, c.high, c.low]) for day, c in zip(days, candles, strict=True)],
        ),
        Chart(
            key="volume",
            title="Traded, permits per day",
            summary=volume,
            x_label="Day",
            series=[Series("Permits", line="3", draw="bars")],
            rows=[(day, [c.permits]) for day, c in zip(days, candles, strict=True)],
            from_zero=True,
        ),
    ]


def _published(code: str) -> Period:
    found = registry.period_coded(code)
    if found.status == "draft":
        raise Unknown("period_unknown", "There is no such period. Check the address.")
    return found


def _market(found: Period) -> Market | None:
    return Market.objects.select_related("period__scheme__currency").filter(period=found).first()
