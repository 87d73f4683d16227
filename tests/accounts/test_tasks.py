"""Scheduled work: approved acts are done when their delay has passed, however often the bell rings."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.models import Approval, AuditEvent
from accounts.permissions import is_approver, is_initiator
from accounts.services import approvals
from accounts.tasks import execute_due_approvals
from common import clock
from tests.accounts.conftest import Office

DELAY = timedelta(hours=24)


@pytest.fixture
def waiting(acme: Office, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Approval:
    """An approved act that waits for a day."""

    def check(parameters: Mapping[str, Any]) -> None:
        assert parameters == {"cups": 2}

    act = approvals.Act(
        name="test.brew",
        may_propose=is_initiator,
        may_approve=is_approver,
        check=check,
        execute=lambda approval, now: {"cups": approval.parameters["cups"]},
        delay=DELAY,
    )
    monkeypatch.setattr(approvals, "_acts", {**approvals._acts, act.name: act})
    proposal = approvals.propose(
        actor=acme["initiator"],
        act=act.name,
        organisation=acme.organisation,
        summary="Brew two cups",
        parameters={"cups": 2},
        now=now,
    )
    return approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now)


@pytest.mark.parametrize(("moved_by", "status"), [(-timedelta(microseconds=1), "waiting"), (timedelta(0), "executed")])
def test_an_act_is_done_when_its_delay_has_passed(
    waiting: Approval, now: datetime, moved_by: timedelta, status: str
) -> None:
    with clock.simulate(now + DELAY + moved_by):
        tried = execute_due_approvals()

    waiting.refresh_from_db()
    assert (waiting.status, tried) == (status, 1 if status == "executed" else 0)


def test_ringing_twice_does_it_once(waiting: Approval, now: datetime) -> None:
    with clock.simulate(now + DELAY):
        assert [execute_due_approvals(), execute_due_approvals()] == [1, 0]

    assert AuditEvent.objects.filter(action="accounts.approval.executed").count() == 1


@pytest.mark.parametrize(
    ("who", "code"),
    [("initiator", "proposer_no_longer_entitled"), ("approver", "approver_no_longer_entitled")],
)
def test_an_act_whose_people_lost_their_role_meanwhile_fails(
    waiting: Approval, acme: Office, now: datetime, who: str, code: str
) -> None:
    acme[who].memberships.update(ended_at=now)

    with clock.simulate(now + DELAY):
        execute_due_approvals()

    waiting.refresh_from_db()
    assert (waiting.status, waiting.failure_code) == ("failed", code)
