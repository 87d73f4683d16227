"""Where each obligation stands, as a log of moves: the newest is the state, and it follows from the facts.

Every service that changes a fact calls `follow` in its transaction. It derives the state by the engine
(`registry.engine.compliance.obligation_state`) and writes down the moves from the last one; without a change it writes
nothing. `manage.py verify` derives every state again.
"""

import uuid
from collections import defaultdict, deque
from collections.abc import Mapping
from datetime import datetime

from django.db.models import Sum

from common.database import assert_in_transaction
from registry.engine.compliance import ObligationFacts, obligation_state
from registry.models import (
    AWAITS_OPINION,
    OBLIGATION,
    Case,
    ComplianceRecord,
    DueWork,
    ObligationEvent,
    Operator,
    Period,
    Report,
    Surrender,
)
from registry.standing import Standing, records


def follow(
    period: Period,
    now: datetime,
    reason: str,
    *,
    operator: Operator | None = None,
    is_open: bool = False,
    is_closed: bool = False,
) -> int:
    """Write down the moves that the facts of a period imply, for one operator or for all; return how many.

    `is_open` and `is_closed` say that the due work in whose transaction this happens is about to be done: it puts the
    obligations to their operators, or closes them for good.
    """
    assert_in_transaction()
    states = newest_states(period, operator)
    moves = []
    for operator_id, facts in facts_of(period, operator, is_open=is_open, is_closed=is_closed).items():
        was, state = states.get(operator_id, OBLIGATION.initial), obligation_state(facts).value.lower()
        if operator_id not in states:
            moves.append(
                ObligationEvent(operator_id=operator_id, period=period, state=OBLIGATION.initial, reason=reason, at=now)
            )
        for step in steps_between(was, state):
            moves.append(
                ObligationEvent(
                    operator_id=operator_id, period=period, was=was, state=step, reason=reason[:300], at=now
                )
            )
            was = step
    ObligationEvent.objects.bulk_create(moves)
    return len(moves)


def follow_onwards(operator: Operator, period: Period, now: datetime, reason: str) -> None:
    """Follow one operator's obligations of a period and of the later ones, which count what is left of its permits."""
    later = Period.objects.filter(scheme_id=operator.scheme_id, year__gte=period.year).exclude(status="draft")
    for each in later.order_by("year"):
        follow(each, now, reason, operator=operator)


def follow_all_onwards(period: Period, now: datetime, reason: str) -> None:
    """Follow every operator's obligations of a period and of the later ones."""
    later = Period.objects.filter(scheme_id=period.scheme_id, year__gte=period.year).exclude(status="draft")
    for each in later.order_by("year"):
        follow(each, now, reason)


def newest_states(period: Period, operator: Operator | None = None) -> dict[uuid.UUID, str]:
    """Return the state of every obligation of a period that has a log."""
    events = ObligationEvent.objects.filter(period=period)
    if operator is not None:
        events = events.filter(operator=operator)
    newest = events.order_by("operator_id", "-id").distinct("operator_id")
    return dict(newest.values_list("operator_id", "state"))


def facts_of(
    period: Period, operator: Operator | None = None, *, is_open: bool = False, is_closed: bool = False
) -> dict[uuid.UUID, ObligationFacts]:
    """Return what the state of every obligation of a period rests on, in a fixed number of queries."""
    done = set(
        DueWork.objects.filter(
            period=period, kind__in=["verified_report", "end_of_appeals"], status="done"
        ).values_list("kind", flat=True)
    )
    has_letters = ComplianceRecord.objects.filter(period=period, occasion="deadline").exists()
    is_open = is_open or has_letters or period.status in {"closing", "closed"} or "verified_report" in done
    is_closed = is_closed or "end_of_appeals" in done
    statuses = _report_statuses(period, operator)
    taken = _taken(period, operator)
    appeals = _open_appeals(period, operator)
    by_deadline = records(period, before=period.surrender_due, operator=operator)
    in_time = {standing.operator.pk: standing for standing in by_deadline}
    facts = {}
    for standing in records(period, operator=operator):
        owner = standing.operator
        if not _is_liable(owner, period):
            continue
        at_deadline = in_time[owner.pk]
        # until the letters are out, what came after the deadline does not count: it will have made good, not met
        covered = _covered(standing) if has_letters else _covered_by(standing, at_deadline.surrendered)
        set_off = min(covered, taken[owner.pk].get(Surrender.Kind.SET_OFF, 0))
        deducted = min(covered - set_off, taken[owner.pk].get(Surrender.Kind.AUTO_DEDUCTED, 0))
        facts[owner.pk] = ObligationFacts(
            is_reported=not statuses[owner.pk].isdisjoint(AWAITS_OPINION),
            is_verified=bool(statuses[owner.pk] & {"verified", "determined"}),
            is_open=is_open,
            is_past_deadline=has_letters,
            owed=standing.owed_for_the_year,
            owed_at_deadline=at_deadline.owed_for_the_year,
            surrendered=covered - set_off - deducted,
            in_time=_covered(at_deadline),
            deducted=deducted,
            set_off=set_off,
            has_open_appeal=owner.pk in appeals,
            is_closed=is_closed,
        )
    return facts


def steps_between(was: str, state: str) -> list[str]:
    """Return the moves from one state to another by the table, the fewest there are; none where nothing changed."""
    if was == state:
        return []
    came_from: dict[str, str] = {was: ""}
    waiting = deque([was])
    while waiting and state not in came_from:
        here = waiting.popleft()
        for following in sorted(OBLIGATION.moves.get(here, ())):
            if following not in came_from:
                came_from[following] = here
                waiting.append(following)
    OBLIGATION.require(came_from.get(state, was), state)
    path = [state]
    while came_from[path[0]] != was:
        path.insert(0, came_from[path[0]])
    return path


def _covered(standing: Standing) -> int:
    """Return how much of the year's obligation is covered: earlier years come first."""
    return standing.owed_for_the_year - standing.shortfall_of_the_year


def _covered_by(standing: Standing, surrendered: int) -> int:
    """Return how much of the year's obligation so many permits cover, after the earlier years."""
    for_the_year = surrendered - (standing.owed - standing.owed_for_the_year)
    return min(max(0, for_the_year), standing.owed_for_the_year)


def _is_liable(operator: Operator, period: Period) -> bool:
    last = operator.last_year if operator.last_year is not None else period.year
    return operator.first_year <= period.year <= last and period.year not in operator.excluded_years


def _report_statuses(period: Period, operator: Operator | None) -> Mapping[uuid.UUID, set[str]]:
    reports = Report.objects.filter(period=period)
    if operator is not None:
        reports = reports.filter(operator=operator)
    statuses: defaultdict[uuid.UUID, set[str]] = defaultdict(set)
    newest: dict[uuid.UUID, str] = {}
    for operator_id, kind, status in reports.order_by("version").values_list("operator_id", "kind", "status"):
        if kind == Report.Kind.OPERATOR:
            newest[operator_id] = status
        if status in {"verified", "determined"}:
            statuses[operator_id].add(status)
    for operator_id, status in newest.items():
        statuses[operator_id].add(status)
    return statuses


def _taken(period: Period, operator: Operator | None) -> Mapping[uuid.UUID, Mapping[str, int]]:
    """Return by operator and kind what enforcement took for the period."""
    kinds = [Surrender.Kind.AUTO_DEDUCTED, Surrender.Kind.SET_OFF]
    surrenders = Surrender.objects.filter(period=period, kind__in=kinds)
    if operator is not None:
        surrenders = surrenders.filter(operator=operator)
    taken: defaultdict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    for row in surrenders.order_by().values("operator_id", "kind").annotate(sum=Sum("quantity")):
        taken[row["operator_id"]][row["kind"]] = row["sum"]
    return taken


def _open_appeals(period: Period, operator: Operator | None) -> set[uuid.UUID]:
    """Return who contests what is owed or what it cost. An appeal against an allocation does not concern it."""
    appeals = Case.objects.filter(period=period, kind=Case.Kind.APPEAL, status="open").exclude(subject="allocation")
    if operator is not None:
        appeals = appeals.filter(operator=operator)
    return set(appeals.values_list("operator_id", flat=True))
