"""A scheme stopped by a court: its clocks stand, nothing is surrendered, and later the rest of the time runs.

Work to come keeps the seconds that were left. When the scheme goes on, both deadlines of every period that had not
passed become at least as far away as they were, at the end of a working day, and everything else follows from them.
"""

import math
import uuid
from datetime import datetime, timedelta

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import require, require_permission
from registry.engine import deadlines
from registry.models import DueWork, Period, Scheme, Suspension
from registry.permissions import may_sign_for_the_regulator, regulator_of
from registry.services import outages, rules, year


def is_suspended(scheme_id: uuid.UUID) -> bool:
    """Say whether the clocks of a scheme stand."""
    return Suspension.objects.filter(scheme=scheme_id, resumed_at__isnull=True).exists()


def require_running(scheme_id: uuid.UUID) -> None:
    """Refuse what cannot happen while a court has stopped the scheme."""
    require(
        not is_suspended(scheme_id),
        "scheme_suspended",
        "A court has stopped this scheme: nothing can be surrendered or decided until it goes on. No deadline passes.",
    )


def may_trade(scheme_id: uuid.UUID) -> bool:
    """Say whether permits of a scheme may be traded: always, unless a suspension stopped that too."""
    return not Suspension.objects.filter(scheme=scheme_id, resumed_at__isnull=True, trading=False).exists()


def stop_clocks(*, actor: User, scheme: Scheme, trading: bool, reason: str, now: datetime) -> Suspension:
    """Stop a scheme by order of a court. Part of the exchange's service, which halts its markets where trading stops.

    Receipts on their way in are waited for: they came before the stop.
    """
    assert_in_transaction()
    _require_senior(actor)
    require(bool(reason.strip()), "reason_missing", "Name the court and its order, as the public will read it.")
    periods = _locked_periods(scheme)
    require(not is_suspended(scheme.pk), "scheme_suspended_already", f"{scheme} stands already.")
    for period in periods:
        if period.status != "closed":
            year.plan_year(period, now)  # so that every clock has a row that keeps its time
    suspension = Suspension.objects.create(
        scheme=scheme, stopped_at=now, trading=trading, reason=reason.strip()[:500], stopped_by=actor
    )
    waiting = list(DueWork.objects.select_for_update().filter(scheme=scheme, status__in=["planned", "failed"]))
    for work in waiting:
        work.status = "paused"
        work.remaining_s = max(0, math.ceil((work.due_at - now).total_seconds()))
    DueWork.objects.bulk_update(waiting, ["status", "remaining_s"])
    audit.record(
        actor,
        "registry.scheme.suspended",
        suspension,
        at=now,
        scheme=scheme.code,
        trading=trading,
        reason=suspension.reason,
        clocks=len(waiting),
    )
    return suspension


def resume_clocks(*, actor: User, scheme: Scheme, reason: str, now: datetime) -> Suspension:
    """Let a scheme go on with the time that was left. Part of the exchange's service."""
    assert_in_transaction()
    _require_senior(actor)
    require(bool(reason.strip()), "reason_missing", "Say why the scheme goes on, as the public will read it.")
    periods = _locked_periods(scheme)
    suspension = Suspension.objects.select_for_update().filter(scheme=scheme, resumed_at__isnull=True).first()
    require(suspension is not None, "scheme_not_suspended", f"{scheme} does not stand.")
    assert suspension is not None
    require(now >= suspension.stopped_at, "resumed_before_stopped", "A scheme cannot go on before it stopped.")
    suspension.resumed_at, suspension.resumed_by = now, actor
    suspension.resumed_because = reason.strip()[:500]
    suspension.save(update_fields=["resumed_at", "resumed_by", "resumed_because"])
    stood = math.ceil((now - suspension.stopped_at).total_seconds())
    standing = list(DueWork.objects.select_for_update().filter(scheme=scheme, status="paused"))
    with_clocks = {work.period_id for work in standing}
    for work in standing:
        work.result = {year.STOOD: work.result.get(year.STOOD, 0) + stood}
        work.status, work.retry_at, work.remaining_s = "planned", None, None
        work.due_at += timedelta(seconds=stood)
    DueWork.objects.bulk_update(standing, ["status", "retry_at", "remaining_s", "due_at", "result"])
    for period in periods:
        if period.pk in with_clocks:
            _move_deadlines(period, suspension, now)
            year.plan_year(period, now)
    audit.record(
        actor, "registry.scheme.resumed", suspension, at=now, scheme=scheme.code, stood_s=stood, clocks=len(standing)
    )
    return suspension


def _move_deadlines(period: Period, suspension: Suspension, now: datetime) -> None:
    """Give each deadline that had not passed the time that was left, to the end of a working day."""
    rule = rules.policy_at(period.scheme, now.astimezone(period.scheme.tz).date()).compliance
    for deadline in ("surrender_due", "report_due"):  # permits first: reports stay due before them
        was: datetime = getattr(period, deadline)
        continued = deadlines.continued(was, suspension.stopped_at, now)
        if continued == was:
            continue
        day = (continued - timedelta(microseconds=1)).astimezone(period.scheme.tz).date()
        day = deadlines.next_working_day(day, rule.holidays) if rule.holiday_moves else day
        becomes = deadlines.end_of_day(day, period.scheme.tz)
        reason = f"The scheme stood from {suspension.stopped_at:%Y-%m-%d %H:%M} UTC: {suspension.reason}"
        outages.extend(period, deadline, becomes, reason=reason, now=now)


def _locked_periods(scheme: Scheme) -> list[Period]:
    """Lock every period of a scheme against receipts and against due work, in order of id."""
    periods = Period.objects.select_for_update(of=("self",)).select_related("scheme").filter(scheme=scheme)
    return list(periods.order_by("id"))


def _require_senior(actor: User) -> None:
    require_permission(
        may_sign_for_the_regulator(actor, regulator_of(actor)),
        "Only a senior officer carries out an order of a court.",
    )
