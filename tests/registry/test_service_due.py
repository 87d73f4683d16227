"""Due work: done once by whoever comes first, kept with its reason when it fails, and never half done."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction

from accounts.models import AuditEvent, Task
from common.errors import Forbidden, Refused
from registry.models import DueWork, Period
from registry.services import due
from registry.services.due import Handler
from tests.cast import OPENING, Party, Regulator
from tests.worker import CHECKOUT, database_url

NEXT_DAY = OPENING + timedelta(days=1)


@pytest.fixture
def handle() -> Iterator[Callable[..., None]]:
    """Let a kind of work be done in another way during one test: handle("issue", work)."""
    usual = dict(due.HANDLERS)

    def handle(kind: str, work: Callable[..., due.Result], **more: Callable[..., None]) -> None:
        due.HANDLERS[kind] = Handler(kind, work, **more)

    yield handle
    due.HANDLERS.clear()
    due.HANDLERS.update(usual)


def states(period: Period) -> dict[str, str]:
    """Return the status of the work that was due on the opening day."""
    return dict(DueWork.objects.filter(period=period, due_at__lte=NEXT_DAY).values_list("kind", "status"))


def test_what_is_due_is_done_once_and_noted(regulator: Regulator, acme: Party, draft_period: Period) -> None:
    assert due.run_due(now=OPENING) == due.Ran(done=3, failed=0)
    assert due.run_due(now=OPENING) == due.Ran(done=0, failed=0)

    assert states(draft_period) == {"parameters_final": "done", "issue": "done", "allocation": "done"}
    issue = DueWork.objects.get(kind="issue")
    assert (issue.result, issue.done_at, issue.attempts) == ({"reminded": True}, OPENING, 1)
    assert Task.objects.get(kind="year_issue").organisation == regulator.organisation
    assert AuditEvent.objects.filter(action="registry.due_work.issue").count() == 1


def test_work_whose_time_has_not_come_waits(draft_period: Period) -> None:
    before = DueWork.objects.get(kind="self_report").due_at - timedelta(microseconds=1)

    due.run_due(now=before)

    assert DueWork.objects.get(kind="self_report").status == "planned"


def test_nobody_is_reminded_of_what_is_done(period: Period) -> None:
    due.run_due(now=OPENING)

    results = dict(DueWork.objects.filter(status="done").values_list("kind", "result"))
    assert results["issue"] == {"issued": 10_000}
    assert results["allocation"] == {"allocated": True}
    assert not Task.objects.filter(kind__startswith="year_").exists()


def test_work_that_fails_keeps_why_stops_nobody_and_is_tried_again_later(
    regulator: Regulator, draft_period: Period, handle: Callable[..., None]
) -> None:
    tries: list[object] = []

    def fail_twice(work: DueWork, now: object) -> due.Result:
        Task.objects.create(
            key=f"left behind {len(tries)}",
            kind="x",
            organisation=regulator.organisation,
            title="x",
            created_at=OPENING,
        )
        tries.append(now)
        if len(tries) < 3:
            raise Refused("not_yet", "The figures are not in.")
        return {"worked": True}

    handle("issue", fail_twice)

    assert due.run_due(now=OPENING) == due.Ran(done=2, failed=1)
    work = DueWork.objects.get(kind="issue")
    assert (work.status, work.attempts, work.result["code"]) == ("failed", 1, "not_yet")
    assert work.retry_at == OPENING + timedelta(minutes=1)
    assert not Task.objects.filter(key__startswith="left behind").exists()

    assert due.run_due(now=OPENING + timedelta(seconds=59)) == due.Ran(0, 0)
    assert due.run_due(now=OPENING + timedelta(minutes=1)) == due.Ran(0, 1)
    assert due.run_due(now=OPENING + timedelta(minutes=2)) == due.Ran(0, 0)  # now it waits twice as long
    assert due.run_due(now=OPENING + timedelta(minutes=3)) == due.Ran(1, 0)
    work.refresh_from_db()
    assert (work.status, work.attempts, work.result) == ("done", 3, {"worked": True})
    assert Task.objects.filter(key__startswith="left behind").count() == 1


def test_what_breaks_before_the_transaction_is_a_failure_too(draft_period: Period, handle: Callable[..., None]) -> None:
    def broken(work: DueWork, now: object) -> None:
        raise ZeroDivisionError("a bug")

    handle("issue", lambda work, now: {}, first=broken)

    assert due.run_due(now=OPENING).failed == 1
    work = DueWork.objects.get(kind="issue")
    assert work.result["code"] == "ZeroDivisionError"
    assert work.result["failure"] == "a bug"


def test_work_that_nobody_knows_fails_loudly(draft_period: Period, caplog: pytest.LogCaptureFixture) -> None:
    DueWork.objects.create(key="x", kind="moon_phase", scheme=draft_period.scheme, due_at=OPENING)

    assert due.run_due(now=OPENING) == due.Ran(done=3, failed=1)

    assert DueWork.objects.get(key="x").result["code"] == "kind_unknown"
    assert "Nobody knows how to do moon_phase" in caplog.text


def test_an_officer_lets_failed_work_be_tried_at_once_or_strikes_it_out(
    regulator: Regulator, acme: Party, draft_period: Period
) -> None:
    work = DueWork.objects.create(key="x", kind="moon_phase", scheme=draft_period.scheme, due_at=OPENING)
    with pytest.raises(Refused) as not_failed:
        due.retry(actor=regulator.desk, work_id=work.pk, now=OPENING)
    due.run_due(now=OPENING)

    due.retry(actor=regulator.desk, work_id=work.pk, now=OPENING)
    assert due.run_due(now=OPENING) == due.Ran(0, 1)

    with pytest.raises(Forbidden):
        due.cancel(actor=acme.initiator, work_id=work.pk, reason="Never mind.", now=OPENING)
    with pytest.raises(Refused) as no_reason:
        due.cancel(actor=regulator.desk, work_id=work.pk, reason=" ", now=OPENING)
    cancelled = due.cancel(actor=regulator.desk, work_id=work.pk, reason="There is no moon.", now=OPENING)
    assert (cancelled.status, not_failed.value.code, no_reason.value.code) == (
        "cancelled",
        "work_not_failed",
        "reason_missing",
    )
    assert due.run_due(now=OPENING + timedelta(days=1)) == due.Ran(0, 0)


def test_what_is_done_cannot_be_struck_out(regulator: Regulator, draft_period: Period) -> None:
    due.run_due(now=OPENING)

    with pytest.raises(Refused) as refusal:
        due.cancel(actor=regulator.desk, work_id=DueWork.objects.get(kind="issue").pk, reason="Undo it.", now=OPENING)

    assert refusal.value.code == "due_work_not_done_to_cancelled"


# Real connections -----------------------------------------------------------------------------------------------------


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Do every act on a connection of its own, all at the same moment; return what they gave."""
    gate, outcomes = threading.Barrier(len(acts)), []

    def run(act: Callable[[], object]) -> None:
        gate.wait(10)
        try:
            outcomes.append(act())
        except Exception as error:  # the test looks at it
            outcomes.append(error)
        connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


@pytest.mark.django_db(transaction=True)
def test_two_workers_do_each_piece_once(draft_period: Period, handle: Callable[..., None]) -> None:
    met = threading.Barrier(2)
    done: list[str] = []

    def slow(work: DueWork, now: object) -> due.Result:
        done.append(work.key)
        return {}

    def together(work: DueWork, now: object) -> None:
        met.wait(10)  # both have listed the work, neither has locked it

    handle("issue", slow, first=together)

    rounds = at_once(lambda: due.run_due(now=OPENING), lambda: due.run_due(now=OPENING))
    due.run_due(now=OPENING)  # what one of them skipped because the other held the period

    assert all(isinstance(ran, due.Ran) and ran.failed == 0 for ran in rounds), rounds
    assert done == [f"{draft_period.code}:issue"]
    assert set(states(draft_period).values()) == {"done"}


@pytest.mark.django_db(transaction=True)
def test_without_the_row_lock_both_workers_would_do_it(draft_period: Period) -> None:
    """The race exists: two who look before either has written both find the work undone."""
    both_looked = threading.Barrier(2)

    def look() -> str:
        with transaction.atomic():
            found = DueWork.objects.get(kind="issue").status
            both_looked.wait(10)
            return found

    assert at_once(look, look) == ["planned", "planned"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("place", ["before", "inside", "after"])
def test_a_worker_killed_at_any_instant_leaves_nothing_half_done(draft_period: Period, place: str) -> None:
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "config.settings"}
    killed = subprocess.run(
        [sys.executable, "-m", "tests.registry.mortal_worker", place, OPENING.isoformat()],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr.decode()
    half_done = Task.objects.filter(kind="year_issue").exists()
    assert (states(draft_period)["issue"], half_done) == ("planned", False)

    due.run_due(now=OPENING)

    assert set(states(draft_period).values()) == {"done"}
    assert Task.objects.filter(kind="year_issue").count() == 1
    assert AuditEvent.objects.filter(action="registry.due_work.issue").count() == 1
