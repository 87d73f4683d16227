"""Two people at once on one plan, on real connections: one draft, one submission, one decision."""

from collections.abc import Iterator

import pytest

from accounts.models import Task
from common.errors import Refused
from registry.models import MonitoringPlan, System
from registry.services.monitoring import plans
from tests.cast import OPENING, Party, Regulator
from tests.registry.monitored import draft, operator_of, submitted
from tests.registry.test_service_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def codes(outcomes: list[object]) -> Iterator[str]:
    for outcome in sorted(outcomes, key=lambda one: isinstance(one, Refused)):
        yield outcome.code if isinstance(outcome, Refused) else outcome.status  # type: ignore[attr-defined]


def test_two_who_write_submit_and_decide_at_once(regulator: Regulator, acme: Party, cluster: System) -> None:
    opened = at_once(
        lambda: plans.open_plan(actor=acme.initiator, operator=operator_of(acme), now=OPENING),
        lambda: plans.open_plan(actor=acme.approver, operator=operator_of(acme), now=OPENING),
    )
    assert opened[0] == opened[1] == MonitoringPlan.objects.get()

    plan = draft(acme, cluster)
    sent = at_once(
        lambda: plans.submit_plan(actor=acme.initiator, plan=plan, now=OPENING),
        lambda: plans.submit_plan(actor=acme.approver, plan=plan, now=OPENING),
    )
    assert list(codes(sent)) == ["submitted", "plan_not_submitted_to_submitted"]
    assert Task.objects.filter(kind="plan").count() == 1

    decided = at_once(
        lambda: plans.decide_plan(
            actor=regulator.desk, plan=plan, outcome="approved", reason="All is named.", now=OPENING
        ),
        lambda: plans.decide_plan(
            actor=regulator.senior, plan=plan, outcome="approved", reason="All is named.", now=OPENING
        ),
    )
    assert list(codes(decided)) == ["approved", "plan_not_approved_to_approved"]


def test_a_decision_and_a_withdrawal_at_once_leave_one_of_them(
    regulator: Regulator, acme: Party, cluster: System
) -> None:
    plan = submitted(acme, cluster)

    outcomes = at_once(
        lambda: plans.decide_plan(
            actor=regulator.desk, plan=plan, outcome="approved", reason="All is named.", now=OPENING
        ),
        lambda: plans.discard_plan(actor=acme.initiator, plan=plan, now=OPENING),
    )

    kept = [one for one in outcomes if isinstance(one, MonitoringPlan)]
    assert [one.status for one in kept] == [MonitoringPlan.objects.get().status]
    assert {one.code for one in outcomes if isinstance(one, Refused)} <= {
        "plan_not_discarded_to_approved",
        "plan_not_approved_to_discarded",
    }
