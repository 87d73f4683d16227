"""Outages of the registry, and deadlines that move later because of them or by a decision of two officers.

A long outage in the last hours before a deadline moves it by its length, rounded up as the rules say. A deadline moves
later only, and never once the letters at that deadline are recorded: what was decided stays decided.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.database import assert_in_transaction
from common.errors import require
from registry.engine import deadlines
from registry.models import ComplianceRecord, Extension, Outage, Period, Suspension
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import rules, year

EXTEND = "registry.extend_deadline"

DEADLINES = {"report_due": "verified reports", "surrender_due": "permits"}
"""The deadlines of a period, and what must have come by each."""

LONGEST = timedelta(days=31)
"""A longer outage is a typing error, or a matter for a court."""


@transaction.atomic(durable=True)
def record_outage(
    *, actor: User, began_at: datetime, ended_at: datetime, reason: str, now: datetime
) -> tuple[Outage, list[Extension]]:
    """Record a time in which the registry took no receipts, and move every deadline that the rules let it move.

    An outage that still goes on is recorded in parts, each up to now; parts that touch count as one.
    """
    regulator = regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say what was out of order, as the public will read it.")
    require(began_at < ended_at, "outage_out_of_order", "The outage has to end after it began.")
    require(ended_at <= now, "outage_in_future", "Record what has happened so far, and the rest when it is over.")
    require(ended_at - began_at <= LONGEST, "outage_too_long", "Check the dates: an outage lasts at most 31 days.")
    periods = list(
        Period.objects.select_for_update(of=("self",))
        .select_related("scheme")
        .exclude(status="closed")
        .filter(surrender_due__gt=began_at - LONGEST)
        .order_by("id")
    )
    outage = Outage.objects.create(
        began_at=began_at, ended_at=ended_at, reason=reason.strip()[:500], recorded_by=actor, recorded_at=now
    )
    moved = [extension for period in periods for extension in _after_outage(period, outage, now)]
    audit.record(
        actor,
        "registry.outage.recorded",
        outage,
        at=now,
        organisation=regulator,
        began_at=began_at,
        ended_at=ended_at,
        deadlines_moved=len(moved),
    )
    return outage, moved


def propose_extension(
    *, actor: User, period: Period, deadline: str, last_day: date, reason: str, now: datetime
) -> Approval:
    """Propose to move a deadline to the end of a later day; a senior officer approves it."""
    regulator = regulator_of(actor)
    return approvals.propose(
        actor=actor,
        act=EXTEND,
        organisation=regulator,
        summary=f"Move the deadline for {DEADLINES.get(deadline, deadline)} of {period} to {last_day:%-d %B %Y}.",
        parameters={
            "period": str(period.pk),
            "deadline": deadline,
            "last_day": last_day.isoformat(),
            "reason": reason.strip()[:500],
        },
        now=now,
    )


def extend(
    period: Period, deadline: str, becomes: datetime, *, reason: str, now: datetime, outage: Outage | None = None
) -> Extension | None:
    """Move a deadline of a locked period later, and keep why. Nothing where it is that late already."""
    assert_in_transaction()
    was: datetime = getattr(period, deadline)
    if becomes <= was or has_letters(period):
        return None
    setattr(period, deadline, becomes)
    require(
        period.report_due < period.surrender_due,
        "report_due_too_late",
        "Permits are due after the reports, so that all know what they owe. Move that deadline first.",
    )
    period.save(update_fields=[deadline])
    extension = Extension.objects.create(
        period=period, deadline=deadline, was=was, becomes=becomes, reason=reason[:500], outage=outage, at=now
    )
    audit.record(
        None, "registry.period.deadline_moved", period, at=now, deadline=deadline, was=was, becomes=becomes, why=reason
    )
    return extension


def has_letters(period: Period) -> bool:
    """Say whether the letters at the deadline are out, after which no deadline of the period moves."""
    return period.status == "closed" or ComplianceRecord.objects.filter(period=period, occasion="deadline").exists()


def _after_outage(period: Period, outage: Outage, now: datetime) -> list[Extension]:
    """Move both deadlines of one period as far as its rules say, counting every outage that was recorded."""
    if has_letters(period) or Suspension.objects.filter(scheme=period.scheme, resumed_at__isnull=True).exists():
        return []
    moved = []
    for deadline in ("surrender_due", "report_due"):  # permits first: reports stay due before them
        base = _before_outages(period, deadline)
        day = base.astimezone(period.scheme.tz).date()
        rule = rules.policy_at(period.scheme, day).compliance.outage
        known = Outage.objects.filter(
            ended_at__gt=base - timedelta(hours=rule.window_hours), began_at__lt=getattr(period, deadline)
        )
        becomes = deadlines.extended(base, [deadlines.Outage(o.began_at, o.ended_at) for o in known], rule)
        length = f"The registry was out of order from {outage.began_at:%Y-%m-%d %H:%M} to {outage.ended_at:%H:%M} UTC"
        extension = extend(period, deadline, becomes, reason=f"{length}: {outage.reason}", now=now, outage=outage)
        moved += [extension] if extension else []
    if moved:
        year.plan_year(period, now)
    return moved


def _before_outages(period: Period, deadline: str) -> datetime:
    """Return the deadline as it was before the outages that moved it last: their lengths are added and rounded once."""
    base: datetime = getattr(period, deadline)
    for extension in Extension.objects.filter(period=period, deadline=deadline).order_by("-id"):
        if extension.outage_id is None:
            break
        base = extension.was
    return base


def _check(parameters: Mapping[str, Any]) -> None:
    period = Period.objects.select_related("scheme").get(pk=parameters["period"])
    require(parameters["deadline"] in DEADLINES, "deadline_unknown", "Choose the reports' deadline or the permits'.")
    require(bool(parameters["reason"]), "reason_missing", "Say why, as the public will read it.")
    require(not has_letters(period), "letters_recorded", f"The letters of {period} are out: its deadlines stay.")
    becomes = deadlines.end_of_day(date.fromisoformat(parameters["last_day"]), period.scheme.tz)
    require(
        becomes > getattr(period, parameters["deadline"]),
        "deadline_not_later",
        "A deadline moves later only. Choose a later day.",
    )
    require(
        parameters["deadline"] == "surrender_due" or becomes < period.surrender_due,
        "report_due_too_late",
        "Permits are due after the reports, so that all know what they owe. Move that deadline first.",
    )


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    """Move the deadline under the period's lock, after every receipt that is under way."""
    found = Period.objects.select_for_update(of=("self",)).select_related("scheme")
    period = found.get(pk=approval.parameters["period"])
    _check(approval.parameters)
    becomes = deadlines.end_of_day(date.fromisoformat(approval.parameters["last_day"]), period.scheme.tz)
    extension = extend(period, approval.parameters["deadline"], becomes, reason=approval.parameters["reason"], now=now)
    assert extension is not None, "the check saw that it is later"
    year.plan_year(period, now)
    return {"extension": extension.pk, "becomes": becomes.isoformat()}


ACTS = (
    approvals.Act(
        name=EXTEND,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_execute,
    ),
)
