"""Monitoring plans: written, checked, frozen and hashed, decided by the desk, superseded, and cited by reports."""

import itertools
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import Task
from accounts.selectors import scope_of
from accounts.services import organisations, tasks
from common.errors import Forbidden, Refused
from registry import measuring
from registry.engine.canonical import sha256
from registry.engine.policy import MonitoringRule
from registry.measuring import Reader
from registry.models import PLAN, Appointment, MonitoringPlan, Period, Report, System
from registry.services import reports
from registry.services.monitoring import plans, systems
from registry.services.reports import LineInput
from tests.cast import OPENING, REPORTING, YEAR, Clock, Party, Regulator
from tests.registry.monitored import FIRST_OF_YEAR, approved, draft, operator_of, submitted
from tests.registry.staging import Ruling


def decide(regulator: Regulator, plan: MonitoringPlan, outcome: str) -> MonitoringPlan:
    return plans.decide_plan(
        actor=regulator.desk, plan=plan, outcome=outcome, reason="The meters are not named.", now=OPENING
    )


def states(party: Party) -> list[str]:
    rows = MonitoringPlan.objects.filter(operator=operator_of(party)).order_by("version")
    return list(rows.values_list("status", flat=True))


# Life -----------------------------------------------------------------------------------------------------------------


def test_a_plan_is_written_submitted_and_approved(regulator: Regulator, acme: Party, cluster: System) -> None:
    written = draft(acme, cluster)
    plan = plans.submit_plan(actor=acme.approver, plan=written, now=OPENING)
    waiting = Task.objects.get(kind="plan")
    plan = decide(regulator, plan, "approved")
    waiting.refresh_from_db()

    assert (plan.version, plan.status, plan.boundary.partition(":")[0]) == (1, "approved", "Full stack")
    assert (waiting.organisation, waiting.status) == (regulator.organisation, "completed")
    stored = MonitoringPlan.objects.get()
    assert stored.content_sha256 == sha256(stored.document)
    assert stored.document["systems"][str(cluster.pk)]["site"] == "Paris"


def test_every_pair_of_states(acme: Party, cluster: System) -> None:
    """The service's question and the database's trigger give the same answer."""
    plan = submitted(acme, cluster)
    move = "UPDATE registry_monitoringplan SET status = %s, decided_by_id = %s WHERE id = %s"

    for before, after in itertools.permutations(PLAN.states, 2):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(move, [before, acme.viewer.pk, plan.pk])
            cursor.execute("SET LOCAL session_replication_role = origin")
            if PLAN.allows(before, after):
                PLAN.require(before, after)
                with transaction.atomic():
                    cursor.execute(move, [after, acme.viewer.pk, plan.pk])
            else:
                with pytest.raises(Refused) as refused:
                    PLAN.require(before, after)
                assert refused.value.code == f"plan_not_{before}_to_{after}"
                with pytest.raises(DatabaseError, match="Invalid transition"), transaction.atomic():
                    cursor.execute(move, [after, acme.viewer.pk, plan.pk])


def test_a_plan_that_was_sent_back_is_corrected_by_the_next_version(
    regulator: Regulator, acme: Party, cluster: System
) -> None:
    returned = decide(regulator, submitted(acme, cluster), "returned")
    correction = Task.objects.get(organisation=acme.organisation, kind="plan")
    second = plans.open_plan(actor=acme.initiator, operator=operator_of(acme), now=OPENING)
    assert (second.version, second.valid_from) == (2, FIRST_OF_YEAR)
    assert plans.content_of(second).measures == "Site engineering"

    second = plans.submit_plan(actor=acme.initiator, plan=second, now=OPENING)
    correction.refresh_from_db()

    assert (returned.decision, correction.status) == ("The meters are not named.", "completed")
    assert states(acme) == ["corrected", "submitted"]
    assert Task.objects.get(status="unclaimed", kind="plan").organisation == regulator.organisation


def test_the_next_version_begins_as_the_one_in_force_and_supersedes_it(
    regulator: Regulator, acme: Party, cluster: System
) -> None:
    first = approved(regulator, acme, cluster)
    second = plans.open_plan(actor=acme.initiator, operator=operator_of(acme), now=OPENING)
    again = plans.open_plan(actor=acme.approver, operator=operator_of(acme), now=OPENING)
    assert (second, second.version, second.valid_from) == (again, 2, None)
    assert [lack.code for lack in plans.check(second).lacks] == ["changes_missing", "valid_from_missing"]

    july = date(YEAR, 7, 1)
    second = plans.write_draft(
        actor=acme.initiator, plan=second, said={"changes": "A better meter."}, valid_from=july, now=OPENING
    )
    plans.submit_plan(actor=acme.initiator, plan=second, now=OPENING)
    assert plans.in_force(operator_of(acme), july) == first
    decide(regulator, second, "approved")

    assert states(acme) == ["superseded", "approved"]
    days = (FIRST_OF_YEAR - timedelta(days=1), FIRST_OF_YEAR, july - timedelta(days=1), july)
    assert [plans.in_force(operator_of(acme), day) for day in days] == [None, first, first, second]


def test_what_was_sent_back_or_taken_back_never_was_in_force(
    regulator: Regulator, acme: Party, cluster: System
) -> None:
    decide(regulator, submitted(acme, cluster), "returned")
    plans.discard_plan(actor=acme.initiator, plan=submitted(acme, cluster), now=OPENING)

    assert states(acme) == ["corrected", "discarded"]
    assert plans.in_force(operator_of(acme), OPENING.date()) is None
    assert not Task.objects.filter(kind="plan", status="unclaimed").exists()
    assert plans.open_plan(actor=acme.initiator, operator=operator_of(acme), now=OPENING).version == 3


def test_one_version_is_in_work_at_a_time(acme: Party, cluster: System) -> None:
    submitted(acme, cluster)

    with pytest.raises(Refused, match="Version 1 waits"):
        plans.open_plan(actor=acme.initiator, operator=operator_of(acme), now=OPENING)
    with pytest.raises(DatabaseError, match="one_plan_in_work"), transaction.atomic():
        MonitoringPlan.objects.create(
            operator=operator_of(acme), version=2, created_by=acme.initiator, created_at=OPENING, changed_at=OPENING
        )


def test_a_version_never_changes(acme: Party, cluster: System) -> None:
    plan = submitted(acme, cluster)

    with pytest.raises(Refused, match="Only a draft changes"):
        plans.write_draft(actor=acme.initiator, plan=plan, said={"gaps": "None."}, now=OPENING)
    for change in ("document = '{}'", "boundary = 'x'", "valid_from = NULL", "content_sha256 = 'x'", "version = 9"):
        with (
            pytest.raises(DatabaseError, match="Cannot"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"UPDATE registry_monitoringplan SET {change}")  # noqa: S608


# Refusals -------------------------------------------------------------------------------------------------------------


def test_an_incomplete_plan_is_refused_with_all_that_it_lacks(acme: Party, cluster: System) -> None:
    plan = draft(acme, systems={}, gaps="", boundary="")

    with pytest.raises(plans.PlanIncomplete) as refused:
        plans.submit_plan(actor=acme.initiator, plan=plan, now=OPENING)

    assert [lack.code for lack in refused.value.lacks] == ["boundary_missing", "system_not_covered", "gaps_missing"]
    assert states(acme) == ["draft"]


def test_a_tier_needs_proof_on_the_day_of_submission(acme: Party, cluster: System) -> None:
    plan = draft(acme, cluster)
    systems.lower_tier(actor=acme.initiator, system=cluster, tier=2, reason="The certificate ran out.", now=OPENING)

    with pytest.raises(plans.PlanIncomplete, match="there is proof of tier 2"):
        plans.submit_plan(actor=acme.initiator, plan=plan, now=OPENING)


def test_systems_that_run_no_more_are_left_out(acme: Party, cluster: System) -> None:
    plan = draft(acme, cluster)
    systems.close_system(actor=acme.initiator, system=cluster, closed_on=OPENING.date(), now=OPENING)

    with pytest.raises(plans.PlanIncomplete, match="no open system"):
        plans.submit_plan(actor=acme.initiator, plan=plan, now=OPENING)


UNREADABLE: list[tuple[dict[str, Any], str]] = [
    ({"boundary": "everything"}, "plan_choice_unknown"),
    ({"systems": {"00000000-0000-0000-0000-000000000000": {"method": "meter"}}}, "system_unknown"),
    ({"systems": {"x' OR 1=1": {}}}, "system_unknown"),
    ({"gaps": "x" * 2001}, "plan_words_unreadable"),
]


def test_drafts_that_cannot_be_read_are_refused(acme: Party, cluster: System) -> None:
    plan = draft(acme, cluster)

    for words, code in UNREADABLE:
        with pytest.raises(Refused) as refused:
            plans.write_draft(actor=acme.initiator, plan=plan, said=words, now=OPENING)
        assert refused.value.code == code

    assert MonitoringPlan.objects.get().document == plan.document


def test_the_day_from_which_a_plan_counts_is_plausible(acme: Party, cluster: System) -> None:
    for day in (date(YEAR - 1, 12, 31), OPENING.date() + timedelta(days=367)):
        with pytest.raises(Refused) as refused:
            draft(acme, cluster, valid_from=day)
        assert refused.value.code == "valid_from_implausible"


def test_reporters_write_and_the_desk_decides(
    regulator: Regulator, acme: Party, borealis: Party, verity: Party, cluster: System
) -> None:
    plan = draft(acme, cluster)
    for stranger in (acme.viewer, acme.trader, borealis.initiator, verity.verifier, regulator.desk):
        with pytest.raises(Forbidden):
            plans.write_draft(actor=stranger, plan=plan, said={}, now=OPENING)
        with pytest.raises(Forbidden):
            plans.submit_plan(actor=stranger, plan=plan, now=OPENING)
        with pytest.raises(Forbidden):
            plans.discard_plan(actor=stranger, plan=plan, now=OPENING)
        with pytest.raises(Forbidden):
            plans.open_plan(actor=stranger, operator=operator_of(acme), now=OPENING)
    plans.submit_plan(actor=acme.initiator, plan=plan, now=OPENING)
    for stranger in (acme.initiator, verity.verifier, regulator.monitor):
        with pytest.raises(Forbidden):
            plans.decide_plan(actor=stranger, plan=plan, outcome="approved", reason="Fine.", now=OPENING)


def test_a_decision_needs_a_reason_an_outcome_and_a_second_person(
    regulator: Regulator, acme: Party, cluster: System
) -> None:
    plan = submitted(acme, cluster)
    organisations.grant_role(
        actor=regulator.senior,
        user=acme.initiator,
        organisation=regulator.organisation,
        role="desk_officer",
        now=OPENING,
    )

    for actor, outcome, reason, code in (
        (regulator.desk, "approved", " ", "reason_missing"),
        (regulator.desk, "discarded", "No.", "outcome_unknown"),
        (acme.initiator, "approved", "Mine.", "second_person_needed"),
    ):
        with pytest.raises(Refused) as refused:
            plans.decide_plan(actor=actor, plan=plan, outcome=outcome, reason=reason, now=OPENING)
        assert refused.value.code == code
    assert states(acme) == ["submitted"]


def test_what_a_colleague_took_on_is_decided_by_the_colleague(
    regulator: Regulator, acme: Party, cluster: System
) -> None:
    plan = submitted(acme, cluster)
    task = Task.objects.get(kind="plan")
    tasks.claim(actor=regulator.senior, task_ids=[task.pk], now=OPENING)

    with pytest.raises(Refused) as refused:
        decide(regulator, plan, "approved")

    assert refused.value.code == "task_claimed_by_another"
    assert (
        plans.decide_plan(
            actor=regulator.senior, plan=plan, outcome="approved", reason="All is named.", now=OPENING
        ).status
        == "approved"
    )


def test_a_plan_is_decided_once(regulator: Regulator, acme: Party, cluster: System) -> None:
    plan = submitted(acme, cluster)
    decide(regulator, plan, "returned")

    with pytest.raises(Refused) as refused:
        decide(regulator, plan, "approved")

    assert refused.value.code == "plan_not_returned_to_approved"


def test_a_verifier_reads_the_plans_of_those_that_appointed_it(
    acme: Party, verity: Party, cluster: System, capped_period: Period
) -> None:
    submitted(acme, cluster)
    reader = Reader(scope_of(verity.verifier), verity.organisation)
    appointment = Appointment.objects.create(
        operator=operator_of(acme),
        period=capped_period,
        verifier=verity.organisation,
        proposed_by=acme.initiator,
        proposed_at=OPENING,
    )

    def seen() -> tuple[int, int, int]:
        return (
            measuring.plans_visible(reader).count(),
            measuring.sites_visible(reader).count(),
            measuring.workloads_visible(reader).count(),
        )

    assert seen() == (0, 0, 0)
    Appointment.objects.filter(pk=appointment.pk).update(
        status="accepted", declaration={"conflicts": "none"}, decided_by=verity.verifier, decided_at=OPENING
    )
    assert seen() == (1, 1, 1)


# Reports --------------------------------------------------------------------------------------------------------------


def file(acme: Party, period: Period, label: str = "Base model") -> Report:
    return reports.submit_lines(
        actor=acme.initiator,
        operator=operator_of(acme),
        period=period,
        lines=[LineInput(label, "training", flop=10**20)],
        boundary="full stack",
        now=REPORTING,
    )


def test_a_report_cites_the_version_in_force_and_a_new_version_makes_a_new_report(
    regulator: Regulator, acme: Party, cluster: System, capped_period: Period, clock: Clock
) -> None:
    clock.move_to(REPORTING)
    without = file(acme, capped_period)
    first = approved(regulator, acme, cluster)
    under_first = file(acme, capped_period)
    again = file(acme, capped_period)
    approved(regulator, acme, cluster, valid_from=date(YEAR + 1, 1, 1), changes="Hourly factors from next year on.")
    later = file(acme, capped_period)

    assert (without.plan, under_first.plan, later) == (None, first, under_first)
    assert (without.version, under_first.version, again) == (1, 2, under_first)


def test_where_the_rules_want_a_plan_no_report_comes_without_one(
    regulator: Regulator, acme: Party, cluster: System, capped_period: Period, clock: Clock, govern: Ruling
) -> None:
    clock.move_to(REPORTING)
    govern(monitoring=MonitoringRule(plan_required=True))

    submitted(acme, cluster)
    with pytest.raises(Refused) as refused:
        file(acme, capped_period)
    assert refused.value.code == "plan_missing"
    assert not Report.objects.exists()

    plan = decide(regulator, MonitoringPlan.objects.get(), "approved")
    assert file(acme, capped_period).plan == plan
