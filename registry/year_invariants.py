"""What is always true of the year: deadlines are what their extensions say, and states are what the facts imply."""

from datetime import datetime

from accounts.models import AuditEvent
from common.invariants import Finding, Invariant, sql_invariant
from registry.engine.compliance import obligation_state
from registry.models import OBLIGATION, Extension, ObligationEvent, Period
from registry.services import obligations

DEADLINES = ("report_due", "surrender_due")


def _deadlines_follow_from_their_extensions(as_of: datetime | None) -> Finding:
    """Each deadline is the one announced when the period was prepared, moved later by one extension after another."""
    opened = {
        event.subject_id: event.details
        for event in AuditEvent.objects.filter(
            action="registry.period.opened", subject_type=Period._meta.label_lower
        ).order_by("id")
    }
    moves: dict[tuple[object, str], list[Extension]] = {}
    for extension in Extension.objects.order_by("id"):
        moves.setdefault((extension.period_id, extension.deadline), []).append(extension)
    checked = 0
    for period in Period.objects.order_by("pk"):
        for deadline in DEADLINES:
            checked += 1
            announced = opened.get(str(period.pk), {}).get(deadline)
            at = datetime.fromisoformat(announced) if announced else None
            for extension in moves.get((period.pk, deadline), []):
                if at is not None and extension.was != at:
                    return checked, {"extension_id": extension.pk, "was": extension.was, "deadline_then": at}
                at = extension.becomes
            if at is not None and at != getattr(period, deadline):
                return checked, {"period_id": period.pk, deadline: getattr(period, deadline), "extensions_say": at}
    return checked, None


def _states_follow_from_facts(as_of: datetime | None) -> Finding:
    """The newest event of each obligation is what the engine derives from the rows of today."""
    checked = 0
    for period in Period.objects.filter(obligation_events__isnull=False).distinct().order_by("pk"):
        facts = obligations.facts_of(period)
        for operator_id, state in obligations.newest_states(period).items():
            checked += 1
            found = obligation_state(facts[operator_id]).value.lower() if operator_id in facts else state
            if found != state:
                return checked, {"period_id": period.pk, "operator_id": operator_id, "state": state, "found": found}
    return checked, None


def _log_moves_by_the_table(as_of: datetime | None) -> Finding:
    """Each event goes on from the one before, by a move that the table has."""
    last: dict[tuple[object, object], str] = {}
    checked = 0
    events = ObligationEvent.objects.order_by("id")
    if as_of is not None:
        events = events.filter(at__lte=as_of)
    for event in events.iterator():
        checked += 1
        key = (event.operator_id, event.period_id)
        before = last.get(key, "")
        begins = key not in last and (event.was, event.state) == ("", OBLIGATION.initial)
        if not begins and (event.was != before or not OBLIGATION.allows(before, event.state)):
            return checked, {"obligation_event_id": event.pk, "before": before, "was": event.was, "state": event.state}
        last[key] = event.state
    return checked, None


INVARIANTS: list[Invariant] = [
    Invariant(
        "Each deadline is the one announced, moved by its extensions",
        _deadlines_follow_from_their_extensions,
        present_only=True,
    ),
    Invariant("Each obligation stands where its facts put it", _states_follow_from_facts, present_only=True),
    Invariant("Each obligation moved by the table", _log_moves_by_the_table),
    sql_invariant(
        "No deadline was dealt with before it had passed",
        counted="SELECT count(*) FROM registry_duework WHERE status = 'done'",
        breaches="""
            SELECT w.id AS due_work_id, w.key, w.due_at, w.done_at FROM registry_duework w
             WHERE w.status = 'done' AND w.done_at < w.due_at
               AND w.kind IN ('surrender', 'verified_report')
             ORDER BY w.id""",
        present_only=True,
    ),
    sql_invariant(
        "Nothing was surrendered while a court had stopped the scheme",
        counted="SELECT count(*) FROM registry_suspension",
        breaches="""
            SELECT s.id AS surrender_id, s.received_at, x.stopped_at, x.resumed_at
              FROM registry_surrender s
              JOIN registry_period p ON p.id = s.period_id
              JOIN registry_suspension x ON x.scheme_id = p.scheme_id
               AND s.received_at > x.stopped_at AND s.received_at < coalesce(x.resumed_at, 'infinity')
             WHERE s.received_at <= %(as_of)s::timestamptz AND s.reverses_id IS NULL
             ORDER BY s.id""",
    ),
]
