"""Programmes: the desk opens a call with its budget, criteria and days, begins the scoring, or cancels it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum

from accounts.models import User
from accounts.services import audit, tasks
from common.database import assert_in_transaction
from common.errors import Refused, Unknown, require, require_none
from common.quantities import MAX_ENTRY, MAX_FLOP
from registry.engine import access as engine
from registry.engine.access import Criterion
from registry.ledger.models import Balance
from registry.models import PROGRAMME, AccessAward, AccessProgramme, Period
from registry.permissions import regulator_of
from registry.services import central
from registry.services.monitoring import parts

LONGEST = timedelta(days=5 * 366)


@dataclass(frozen=True)
class Call:
    """What a programme offers, by which criteria and until when."""

    period: Period
    name: str
    description: str
    permits: int
    flop: int
    criteria: Sequence[Criterion]
    least_score: Decimal
    deadline_on: date
    report_due_on: date


@transaction.atomic(durable=True)
def open_programme(*, actor: User, call: Call, now: datetime) -> AccessProgramme:
    """Open a call. Its permits come from the set-aside account of the period, which has to hold them."""
    regulator = regulator_of(actor)
    period = Period.objects.select_for_update(of=("self",), no_key=True).select_related("scheme").get(pk=call.period.pk)
    name = parts.name_of(call.name)
    require_none(list(_faults(call, period, name, now)))
    programme = AccessProgramme.objects.create(
        period=period,
        name=name,
        description=call.description.strip(),
        permits=call.permits,
        flop=call.flop,
        criteria=[
            {"code": criterion.code, "title": criterion.title, "weight": criterion.weight}
            for criterion in call.criteria
        ],
        least_score=call.least_score,
        deadline_at=_end_of(call.deadline_on, period),
        report_due_on=call.report_due_on,
        opened_by=actor,
        opened_at=now,
    )
    tasks.open_task(
        key=_task(programme),
        kind="access",
        organisation=regulator,
        title=f"Score the applications for “{programme}”.",
        link=f"/access/desk/{programme.pk}/",
        due_at=programme.deadline_at + timedelta(days=30),
        now=now,
    )
    audit.record(
        actor,
        "registry.programme.opened",
        programme,
        at=now,
        organisation=regulator,
        period=period.code,
        permits=call.permits,
        flop=str(call.flop),
    )
    return programme


@transaction.atomic(durable=True)
def begin_scoring(*, actor: User, programme: AccessProgramme, now: datetime) -> AccessProgramme:
    """Close the door for applications, once their deadline has passed, and let assessors score them."""
    regulator = regulator_of(actor)
    programme = locked(programme.pk)
    PROGRAMME.require(programme.status, "scoring")
    require(
        now >= programme.deadline_at,
        "deadline_ahead",
        f"Applications are taken until {programme.deadline_at:%Y-%m-%d %H:%M} UTC. Wait for it.",
    )
    _move(programme, "scoring")
    audit.record(actor, "registry.programme.scoring", programme, at=now, organisation=regulator)
    return programme


@transaction.atomic(durable=True)
def cancel_programme(*, actor: User, programme: AccessProgramme, reason: str, now: datetime) -> AccessProgramme:
    """Cancel a call before anything is awarded, with a reason that everybody reads; its applications are declined."""
    regulator = regulator_of(actor)
    programme = locked(programme.pk)
    PROGRAMME.require(programme.status, "cancelled")
    reason = " ".join(reason.split())
    require(0 < len(reason) <= 500, "reason_missing", "Say why in at most 500 characters: the public page shows it.")
    programme.status, programme.reason = "cancelled", reason
    programme.save(update_fields=["status", "reason"])
    declined = programme.applications.filter(status="submitted").update(status="declined")
    tasks.end_task(key=_task(programme), actor=actor, now=now, status="cancelled")
    audit.record(
        actor,
        "registry.programme.cancelled",
        programme,
        at=now,
        organisation=regulator,
        reason=reason,
        declined=declined,
    )
    return programme


# Reading --------------------------------------------------------------------------------------------------------------


def public() -> QuerySet[AccessProgramme]:
    """Every programme with how many applications it has and had, the latest first."""
    return (
        AccessProgramme.objects.select_related("period__scheme")
        .annotate(received=Count("applications", filter=~Q(applications__status="withdrawn")))
        .order_by("-opened_at", "id")
    )


def public_programme(programme_id: UUID) -> AccessProgramme:
    """Return a programme with what its page shows."""
    found = public().filter(pk=programme_id).first()
    if found is None:
        raise Unknown("programme_unknown", "There is no such programme. Compare the list.")
    return found


def awards() -> QuerySet[AccessAward]:
    """Awards with what public tables show, by programme and place."""
    return AccessAward.objects.select_related(
        "application__programme__period__scheme", "application__organisation"
    ).order_by("-application__programme__opened_at", "place")


def criteria_of(programme: AccessProgramme) -> tuple[Criterion, ...]:
    """Return the criteria as the engine takes them."""
    return tuple(Criterion(row["code"], row["title"], row["weight"]) for row in programme.criteria)


# Parts ----------------------------------------------------------------------------------------------------------------


def locked(programme_id: UUID) -> AccessProgramme:
    """Lock a programme and return it with its period."""
    assert_in_transaction()
    found = (
        AccessProgramme.objects.select_for_update(of=("self",))
        .select_related("period__scheme")
        .filter(pk=programme_id)
        .first()
    )
    if found is None:
        raise Unknown("programme_unknown", "There is no such programme. Check the address.")
    return found


def end_scoring(programme: AccessProgramme, actor: User | None, now: datetime) -> None:
    """End the desk's task of scoring a programme, because it was awarded."""
    tasks.end_task(key=_task(programme), actor=actor, now=now)


def free_permits(period: Period) -> int:
    """Return how many permits of the set-aside no open programme has promised yet."""
    held = Balance.objects.filter(account=central.account(period, central.SET_ASIDE), asset=period.permit_id).first()
    promised = AccessProgramme.objects.filter(period=period, status__in=["open", "scoring"])
    return (held.available if held else 0) - (promised.aggregate(sum=Sum("permits"))["sum"] or 0)


def _faults(call: Call, period: Period, name: str, now: datetime) -> list[Refused]:
    found: list[Refused] = []

    def expect(condition: bool, code: str, sentence: str) -> None:
        if not condition:
            found.append(Refused(code, sentence))

    expect(
        not AccessProgramme.objects.filter(period=period, name=name).exists(),
        "name_taken",
        f"{period} has a programme of this name already. Choose another name.",
    )
    expect(
        0 < len(call.description.strip()) <= 4000,
        "description_missing",
        "Say in at most 4,000 characters whom the programme is for and what it supports.",
    )
    expect(
        0 <= call.permits <= MAX_ENTRY and 0 <= call.flop < MAX_FLOP and bool(call.permits or call.flop),
        "budget_missing",
        "Offer permits, compute in FLOP, or both.",
    )
    if call.permits:
        expect(period.status == "open", "period_not_open", f"{period} is not open: it has no permits to set aside.")
        if period.status == "open":
            free = max(0, free_permits(period))
            expect(
                call.permits <= free,
                "set_aside_too_small",
                f"The set-aside account of {period} has {free:,} permits that no programme has promised. "
                "Offer fewer, or move permits into it first.",
            )
    found.extend(Refused(fault.code, fault.sentence) for fault in engine.criteria_faults(call.criteria))
    expect(
        0 <= call.least_score <= engine.MOST_POINTS and call.least_score * 100 == int(call.least_score * 100),
        "least_score_out_of_range",
        f"Enter a least score from 0 to {engine.MOST_POINTS} with at most two places.",
    )
    expect(_end_of(call.deadline_on, period) > now, "deadline_past", "Let the last day for applications lie ahead.")
    expect(
        call.deadline_on < call.report_due_on <= call.deadline_on + LONGEST,
        "report_day_implausible",
        "Let use reports be due after the last day for applications, and within five years of it.",
    )
    return found


def _end_of(day: date, period: Period) -> datetime:
    """Return the moment at which a day is over where the scheme is."""
    return datetime.combine(day + timedelta(days=1), time.min, tzinfo=period.scheme.tz)


def _move(programme: AccessProgramme, status: str) -> None:
    programme.status = status
    programme.save(update_fields=["status"])


def _task(programme: AccessProgramme) -> str:
    return f"access-scoring:{programme.pk}"
