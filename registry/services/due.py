"""Work that is due: taken row by row, each in one durable transaction, by whichever worker comes first.

The table of due work says what is to be done and when; the handlers registered here say how. Being killed at any
instant leaves a row either done with all its effects or not begun, and telling a worker twice, or two of them at once,
changes nothing. Work that fails is kept with its reason and tried again later, until it works or an officer cancels it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import User
from accounts.services import audit
from common.errors import Refused, Unknown, require
from registry.models import DUE_WORK, DueWork, Period, Scheme, Suspension
from registry.permissions import regulator_of

log = logging.getLogger(__name__)

Result = Mapping[str, object]

FIRST_RETRY, LAST_RETRY = timedelta(minutes=1), timedelta(hours=1)
"""How long work that failed waits: a minute, then twice as long each time, up to an hour."""


def _nothing(work: DueWork, now: datetime) -> None:
    """Most work needs nothing before its transaction."""


@dataclass(frozen=True)
class Handler:
    """How one kind of work is done.

    `work` runs inside the row's transaction, holding the period's row, and returns figures for people. It must come to
    the same end when it was done before. `first` runs before that transaction, with transactions of its own: it is for
    work that is resumable by itself, and may have happened although the row is then not marked as done.
    """

    label: str
    work: Callable[[DueWork, datetime], Result]
    first: Callable[[DueWork, datetime], None] = _nothing


HANDLERS: dict[str, Handler] = {}
"""Every kind of work that can be planned. Each app adds its own when Django starts."""


PUBLIC = {"planned": "planned", "failed": "late", "paused": "stopped", "done": "done"}
"""What the public reads for each status of an event."""


def register(kind: str, handler: Handler) -> None:
    """Make a kind of work known. Each is registered once."""
    assert kind not in HANDLERS, f"{kind} is registered twice."
    HANDLERS[kind] = handler


@dataclass(frozen=True)
class Ran:
    """What one round did."""

    done: int
    failed: int


def run_due(*, now: datetime, limit: int = 1000, scheme: Scheme | None = None) -> Ran:
    """Do what is due, of one scheme or of all, the oldest first, each piece in its own transaction."""
    done = failed = 0
    waiting = _waiting(now) if scheme is None else _waiting(now).filter(scheme=scheme)
    for pk, kind in list(waiting.order_by("due_at", "id").values_list("pk", "kind")[:limit]):
        status = _do(pk, kind, now)
        done, failed = done + (status == "done"), failed + (status == "failed")
    return Ran(done, failed)


@transaction.atomic(durable=True)
def retry(*, actor: User, work_id: int, now: datetime) -> DueWork:
    """Let work that failed be tried again at the next round instead of later."""
    regulator = regulator_of(actor)
    work = _locked(work_id)
    require(work.status == "failed", "work_not_failed", "Only work that failed can be tried again.")
    work.retry_at = now
    work.save(update_fields=["retry_at"])
    audit.record(actor, "registry.due_work.retried", work, at=now, organisation=regulator, key=work.key)
    return work


@transaction.atomic(durable=True)
def cancel(*, actor: User, work_id: int, reason: str, now: datetime) -> DueWork:
    """Strike out work that must not be done any more, with a reason that auditors read."""
    regulator = regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say why this is not done, in a sentence that auditors can read.")
    work = _locked(work_id)
    DUE_WORK.require(work.status, "cancelled")
    work.status, work.result = "cancelled", {"reason": reason.strip()[:500], "by": actor.name}
    work.save(update_fields=["status", "result"])
    audit.record(actor, "registry.due_work.cancelled", work, at=now, organisation=regulator, key=work.key)
    return work


def _waiting(now: datetime) -> QuerySet[DueWork]:
    """Work whose time has come, of schemes whose clocks run."""
    stopped = Suspension.objects.filter(scheme=OuterRef("scheme"), resumed_at__isnull=True)
    return DueWork.objects.filter(
        Q(retry_at__isnull=True) | Q(retry_at__lte=now),
        ~Exists(stopped),
        status__in=["planned", "failed"],
        due_at__lte=now,
    )


def _do(pk: int, kind: str, now: datetime) -> str:
    """Do one piece of work if nobody else does; return its status now, or nothing."""
    handler = HANDLERS.get(kind)
    failure: Exception | None = None
    if handler is not None and handler.first is not _nothing:
        try:
            handler.first(DueWork.objects.select_related("scheme", "period__scheme").get(pk=pk), now)
        except Exception as error:  # whatever went wrong is kept with the row
            failure = error
    return _finish(pk, handler, failure, now)


@transaction.atomic(durable=True)
def _finish(pk: int, handler: Handler | None, failure: Exception | None, now: datetime) -> str:
    work = _taken(pk, now)
    if work is None:
        return ""
    try:
        if failure is not None:
            raise failure
        if handler is None:
            raise Refused("kind_unknown", f"Nobody knows how to do {work.kind}. Cancel it, or bring back its program.")
        with transaction.atomic():
            result = dict(handler.work(work, now))
    except OperationalError:
        raise  # the database is gone: nothing can be written down, and the row is taken again later
    except Exception as error:  # one piece of work must not stop the others
        _fail(work, error, now)
        return "failed"
    work.status, work.done_at, work.result, work.attempts = "done", now, result, work.attempts + 1
    work.save(update_fields=["status", "done_at", "result", "attempts"])
    audit.record(None, f"registry.due_work.{work.kind}", work, at=now, key=work.key, due_at=work.due_at, result=result)
    return "done"


def _taken(pk: int, now: datetime) -> DueWork | None:
    """Lock the period and then the row; nothing where another worker has either of them, or the work is done.

    Whoever moves a deadline or stops the clocks locks the period first too. Not waiting for it keeps the other periods'
    work from waiting behind this one's; the row is still there at the next round.
    """
    period_id = DueWork.objects.values_list("period_id", flat=True).get(pk=pk)
    if period_id is not None:
        held = Period.objects.select_for_update(no_key=True, skip_locked=True, of=("self",)).filter(pk=period_id)
        if held.first() is None:
            return None
    return (
        _waiting(now)
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("scheme", "period__scheme", "operator__organisation")
        .filter(pk=pk)
        .first()
    )


def _fail(work: DueWork, error: Exception, now: datetime) -> None:
    """Keep why it failed, and when it is tried again."""
    if isinstance(error, Refused):
        code, sentence = error.code, error.sentence
        log.warning("due work %s refused: %s", work.key, sentence)
    else:
        code, sentence = type(error).__name__, str(error)
        log.error("due work %s broke", work.key, exc_info=error)
    work.attempts += 1
    work.retry_at = now + min(LAST_RETRY, FIRST_RETRY * 2 ** min(work.attempts - 1, 10))
    work.status, work.result = "failed", {"code": code[:80], "failure": sentence[:500], "tried_at": now.isoformat()}
    work.save(update_fields=["status", "attempts", "retry_at", "result"])
    if work.attempts == 1:  # once is enough for the trail: the row counts the others
        audit.record(None, "registry.due_work.failed", work, at=now, key=work.key, code=code[:80])


def _locked(work_id: int) -> DueWork:
    """Lock a row for an officer's act: its period first, as everywhere."""
    period_id = DueWork.objects.filter(pk=work_id).values_list("period_id", flat=True).first()
    if period_id is not None:
        Period.objects.select_for_update(no_key=True, of=("self",)).get(pk=period_id)
    work = DueWork.objects.select_for_update(of=("self",)).filter(pk=work_id).first()
    if work is None:
        raise Unknown("work_unknown", "There is no such work. Reload the calendar.")
    return work


def label(kind: str) -> str:
    """Return what a kind of work is called; one that nobody knows is called by its code."""
    handler = HANDLERS.get(kind)
    return handler.label if handler else kind.replace("_", " ")
