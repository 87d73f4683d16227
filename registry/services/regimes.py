"""Regimes: how much of a scheme applies to each operator in each year, and what the lighter regimes charge.

The rule is the engine's (`registry.engine.scope`): thresholds on the verified figures of the years, in and out over
several reports, from 1 January of the year of crossing. The state of each year is a row, written when a report is
verified and when the year is run; a scheme without tiers has none, and everybody is under all of it.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from django.db import transaction
from django.db.models import QuerySet, Sum

from accounts.models import AuditEvent, User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import require, require_permission
from registry.engine import scope as engine
from registry.engine.deadlines import end_of_day
from registry.engine.policy import Regime, Scope, Tier
from registry.engine.rounding import exact, floor_permits
from registry.models import (
    AllocationLine,
    CohortCheck,
    EvidenceFile,
    Operator,
    Period,
    RegimeStatus,
    Report,
    ReportLine,
    Sanction,
    Scheme,
)
from registry.permissions import may_report, regulator_of
from registry.services import operators, rules, sanctions

OUT, IN = "OUT", "IN"
OPTED_IN, OPTED_OUT = "Opted in.", "Opted out."
SURRENDERS = frozenset({Regime.FULL.value, Regime.OPT_IN.value})
"""Regimes under which permits are surrendered."""

NOTIFIED = "registry.regime.notified"


@dataclass(frozen=True)
class YearOfRegime:
    """Which regime applies to an operator in a year, the state of its threshold, and why."""

    regime: str
    state: str
    reports_below: int
    target: int | None
    reason: str


def scope_of(period: Period) -> Scope:
    """Return the scope in force at the beginning of a period."""
    return rules.policy_at(period.scheme, period.starts_on).scope


def decide(operator: Operator, period: Period) -> YearOfRegime | None:
    """Work out an operator's regime of a year from its verified figures; nothing where the scheme has no tiers."""
    scope = scope_of(period)
    if not scope.tiers:
        return None
    figures = _figures(operator, period)
    decided = _by_thresholds(scope, figures, operator, period)
    chosen = _chosen(operator, period)
    if decided.regime != Regime.FULL and chosen is not None:
        return YearOfRegime(Regime.OPT_IN.value, IN, 0, None, chosen)
    return decided


def record(operator: Operator, period: Period, now: datetime) -> str:
    """Write down an operator's regime of a year if it is new or has changed, and return it. Part of a verification."""
    assert_in_transaction()
    decided = decide(operator, period)
    if decided is None:
        return Regime.FULL.value
    latest = RegimeStatus.objects.filter(operator=operator, year=period.year).order_by("-version").first()
    if latest is None or (latest.regime, latest.state, latest.reports_below, latest.target) != (
        decided.regime,
        decided.state,
        decided.reports_below,
        decided.target,
    ):
        _write(operator, period.year, decided, latest, now)
    return decided.regime


def surrenders(operator: Operator, year: int, *, at: datetime | None = None) -> bool:
    """Say whether an operator surrenders permits for a year, as it was decided last or by an instant."""
    rows = RegimeStatus.objects.filter(operator=operator, year=year)
    if at is not None:
        rows = rows.filter(at__lte=at)
    regime = rows.order_by("-version").values_list("regime", flat=True).first()
    return regime is None or regime in SURRENDERS


def run_year(period: Period, now: datetime) -> dict[str, int]:
    """Decide the regime of every operator for a year and charge the lighter ones; running twice is running once."""
    assert_in_transaction()
    counts: defaultdict[str, int] = defaultdict(int)
    if not scope_of(period).tiers:
        return counts
    everybody = Operator.objects.filter(scheme_id=period.scheme_id, first_year__lte=period.year)
    for operator in everybody.select_related("organisation", "scheme", "account").order_by("pk"):
        regime = record(operator, period, now)
        counts[regime] += 1
        if _charge(operator, period, regime, now):
            counts["charged"] += 1
    return counts


@transaction.atomic(durable=True)
def opt_in(*, actor: User, operator: Operator, year: int, now: datetime) -> RegimeStatus:
    """Take part in full although the thresholds do not ask for it, from a year that has not ended."""
    operator, tier = _opt(actor, operator, year, now)
    require(tier is not None, "opt_in_unknown", "The rules of this scheme know no opting in.")
    return _write_choice(operator, year, Regime.OPT_IN.value, IN, OPTED_IN, actor, now)


@transaction.atomic(durable=True)
def opt_out(*, actor: User, operator: Operator, year: int, now: datetime) -> RegimeStatus:
    """End the taking part that was chosen, after the years for which the rules keep one in."""
    operator, tier = _opt(actor, operator, year, now)
    since = _opted_in_since(operator, year)
    require(since is not None and tier is not None, "not_opted_in", "You have not opted in: there is nothing to end.")
    assert since is not None and tier is not None
    require(
        engine.may_leave_opt_in(tier, since, year),
        "opt_in_too_short",
        f"Who opts in stays for {tier.min_stay_years} years: opt out from {since + tier.min_stay_years} on.",
    )
    return _write_choice(operator, year, OUT, OUT, OPTED_OUT, actor, now)


@transaction.atomic(durable=True)
def notify_exceeded(*, actor: User, operator: Operator, period: Period, now: datetime) -> None:
    """Tell the regulator that the use of a year passed the bound below which one only notifies."""
    require_permission(
        may_report(actor, operator.organisation), "Only an initiator or approver of the operator may notify."
    )
    operator = operators.locked(operator)
    if not _notified(operator, period).exists():
        audit.record(actor, NOTIFIED, operator, at=now, organisation=operator.organisation, year=period.year)


@transaction.atomic(durable=True)
def check_cohort(
    *,
    actor: User,
    operator: Operator,
    year: int,
    holds: bool,
    reason: str,
    now: datetime,
    evidence: EvidenceFile | None = None,
) -> CohortCheck:
    """Write down the yearly look at whether an operator still belongs to its cohort, and on what evidence."""
    regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say what the check rests on.")
    operator = operators.locked(operator)
    require(
        not CohortCheck.objects.filter(operator=operator, year=year).exists(),
        "cohort_checked_already",
        f"{operator.organisation} was checked for {year} already.",
    )
    check = CohortCheck.objects.create(
        operator=operator,
        year=year,
        cohort=operator.cohort,
        holds=holds,
        reason=reason.strip()[:500],
        evidence=evidence,
        checked_by=actor,
        at=now,
    )
    audit.record(
        actor,
        "registry.cohort.checked",
        check,
        at=now,
        organisation=operator.organisation,
        year=year,
        cohort=check.cohort,
        holds=holds,
    )
    return check


def confirmed(operators_: Iterable[Operator], year: int) -> set[uuid.UUID]:
    """Return which operators belong to their cohort in a year by the check of that year: these share a set-aside."""
    checks = CohortCheck.objects.filter(operator__in=list(operators_), year=year, holds=True)
    return {check.operator_id for check in checks.select_related("operator") if check.cohort == check.operator.cohort}


def public_list(period: Period) -> list[RegimeStatus]:
    """Return the operators that are not under all of the scheme in a period, by name: the list is public."""
    newest = (
        RegimeStatus.objects.filter(operator__scheme_id=period.scheme_id, year=period.year)
        .order_by("operator_id", "-version")
        .distinct("operator_id")
        .select_related("operator__organisation")
    )
    lighter = [status for status in newest if status.regime != Regime.FULL.value]
    return sorted(lighter, key=lambda status: (status.operator.organisation.name, status.operator_id))


def _by_thresholds(
    scope: Scope, figures: Mapping[int, Mapping[str, Fraction]], operator: Operator, period: Period
) -> YearOfRegime:
    """Return the strictest regime that binds, counting the years in which an operator is leaving."""
    bound: list[tuple[int, Tier, engine.YearOfMembership]] = []
    for tier in scope.tiers:
        if tier.regime not in engine.LADDER:
            continue
        measured = {year: by_name[tier.measure] for year, by_name in figures.items() if tier.measure in by_name}
        year = engine.membership(tier, measured, operator.first_year, period.year)[-1]
        if year.is_bound:
            bound.append((engine.LADDER.index(tier.regime), tier, year))
    if bound:
        _, tier, year = max(bound, key=lambda one: one[0])
        return YearOfRegime(
            tier.regime.value, year.status.value, year.low_reports, tier.target, f"By {tier.measure} of {period.year}."
        )
    if engine.must_report(scope, figures.get(period.year, {})):
        return YearOfRegime(Regime.REPORT_ONLY.value, IN, 0, None, f"By the figures of {period.year}.")
    return YearOfRegime(OUT, OUT, 0, None, "Below every threshold.")


def _figures(operator: Operator, period: Period) -> dict[int, dict[str, Fraction]]:
    """Return the verified figures of the years so far, by measure; use is in permits."""
    reports = Report.objects.filter(operator=operator, period__year__lte=period.year).exclude(kind="estimate")
    size = exact(operator.scheme.unit_size)
    figures: dict[int, dict[str, Fraction]] = {}
    in_force = reports.filter(status__in=["verified", "determined"]).select_related("period")
    for report in in_force:
        total = report.flop if operator.scheme.metric == Scheme.Metric.FLOP else report.co2e_g
        figures[report.period.year] = {"use": exact(total) / size, "kwh": exact(report.energy_kwh)}
    by_activity = (
        ReportLine.objects.filter(report__in=in_force)
        .order_by()
        .values("report__period__year", "activity")
        .annotate(sum=Sum("flop"))
    )
    for row in by_activity:
        name = {"training": "training_flop", "fine_tuning": "training_flop", "inference": "inference_flop"}.get(
            row["activity"]
        )
        if name is not None:
            year = figures[row["report__period__year"]]
            year[name] = year.get(name, Fraction(0)) + exact(row["sum"])
    return figures


def _charge(operator: Operator, period: Period, regime: str, now: datetime) -> bool:
    """Charge what a lighter regime costs, once; wait while the figure or the price is missing."""
    figures = _figures(operator, period).get(period.year)
    price = sanctions.reference_price(period)
    if figures is None or price is None:
        return False
    scope, use = scope_of(period), floor_permits(figures["use"]).permits
    if regime == Regime.TARGET_ONLY.value:
        target = RegimeStatus.objects.filter(operator=operator, year=period.year).order_by("-version")[0].target or 0
        charge = engine.target_charge(use, target, price.price_minor)
        kind = Sanction.Kind.TARGET
    else:
        light = next((tier for tier in scope.tiers if tier.regime is Regime.NOTIFY_ONLY), None)
        if light is None or not _passed_in_silence(operator, period, light, now):
            return False
        bound = engine.bound_above(scope, light)
        if bound is None:
            return False
        lines = AllocationLine.objects.filter(run__period=period, run__status="executed", operator=operator)
        free = lines.aggregate(sum=Sum("quantity"))["sum"] or 0
        charge = engine.notify_charge(light, use=use, bound=bound, free_equivalent=free, price_minor=price.price_minor)
        kind = Sanction.Kind.NOTICE
    known = Sanction.objects.filter(operator=operator, period=period, kind=kind).exists()
    if not charge.excess or known:
        return False
    steps = [
        {"step": "use", "value": str(use)},
        {"step": "excess", "value": str(charge.excess)},
        {"step": "price_minor", "value": str(price.price_minor), "source": price.source},
        {"step": "avoided_cost_minor", "value": str(charge.avoided_cost_minor)},
        {"step": "cash_minor", "value": str(charge.cash_minor), "rounding": "R8"},
    ]
    sanctions.impose_charge(
        operator, period, kind=kind, permits=charge.excess, amount_minor=charge.cash_minor, steps=steps, now=now
    )
    return True


def _passed_in_silence(operator: Operator, period: Period, light: Tier, now: datetime) -> bool:
    """Say whether an operator that only had to notify passed its bound, and told nobody by the day."""
    before = RegimeStatus.objects.filter(operator=operator, year=period.year - 1).order_by("-version").first()
    due_on = engine.notice_due_on(light, period.year)
    if before is None or before.regime != Regime.NOTIFY_ONLY.value or due_on is None:
        return False
    due_at = end_of_day(due_on, operator.scheme.tz)
    return now >= due_at and not _notified(operator, period).filter(at__lt=due_at).exists()


def _notified(operator: Operator, period: Period) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(
        action=NOTIFIED,
        subject_type=Operator._meta.label_lower,
        subject_id=str(operator.pk),
        details__year=period.year,
    )


def _chosen(operator: Operator, period: Period) -> str | None:
    """Return why an operator takes part by choice in a year; nothing where it does not."""
    since = _opted_in_since(operator, period.year)
    return None if since is None else f"Opted in from {since}."


def _opted_in_since(operator: Operator, year: int) -> int | None:
    """Return the first year of the choice that holds in a year."""
    choices = RegimeStatus.objects.filter(operator=operator, year__lte=year, reason__in=[OPTED_IN, OPTED_OUT])
    newest = choices.order_by("-year", "-version").first()
    return newest.year if newest is not None and newest.reason == OPTED_IN else None


def _opt(actor: User, operator: Operator, year: int, now: datetime) -> tuple[Operator, Tier | None]:
    require_permission(
        may_report(actor, operator.organisation), "Only an initiator or approver of the operator may choose this."
    )
    operator = operators.locked(operator)
    today = now.astimezone(operator.scheme.tz).date()
    require(year >= today.year, "year_over", f"{year} is over: choose from {today.year} on.")
    require(year >= operator.first_year, "year_before_first", f"You begin in {operator.first_year}.")
    scope = rules.policy_at(operator.scheme, date(year, 1, 1)).scope
    return operator, next((tier for tier in scope.tiers if tier.regime is Regime.OPT_IN), None)


def _write_choice(
    operator: Operator, year: int, regime: str, state: str, reason: str, actor: User, now: datetime
) -> RegimeStatus:
    latest = RegimeStatus.objects.filter(operator=operator, year=year).order_by("-version").first()
    if latest is not None and latest.reason == reason:
        return latest
    status = _write(operator, year, YearOfRegime(regime, state, 0, None, reason), latest, now)
    audit.record(
        actor, "registry.regime.chosen", status, at=now, organisation=operator.organisation, year=year, regime=regime
    )
    return status


def _write(
    operator: Operator, year: int, decided: YearOfRegime, latest: RegimeStatus | None, now: datetime
) -> RegimeStatus:
    status = RegimeStatus.objects.create(
        operator=operator,
        year=year,
        version=latest.version + 1 if latest else 1,
        regime=decided.regime,
        state=decided.state,
        reports_below=decided.reports_below,
        target=decided.target,
        reason=decided.reason[:300],
        at=now,
    )
    audit.record(
        None,
        "registry.regime.decided",
        status,
        at=now,
        organisation=operator.organisation,
        year=year,
        regime=decided.regime,
        state=decided.state,
    )
    return status
