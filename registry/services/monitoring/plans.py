"""Monitoring plans: written in a draft, submitted as a version that never changes, approved or sent back by the desk.

A plan counts from its day on until a later version that counts from then. Reports cite the version in force.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import Membership, Organisation, User
from accounts.services import audit, tasks
from common.database import assert_in_transaction
from common.errors import Refused, SeveralRefusals, Unknown, require, require_none
from registry import measuring, rulebook
from registry.engine import monitoring
from registry.engine.canonical import sha256
from registry.engine.monitoring import Content, Lack
from registry.models import PLAN, MonitoringPlan, Operator, Period, Scheme, System
from registry.permissions import regulator_of
from registry.services import operators
from registry.services.monitoring import parts

IN_WORK = ("draft", "submitted")
OUTCOMES = ("approved", "returned")
AHEAD = timedelta(days=366)
"""How long before it counts a plan may be submitted."""


class PlanIncomplete(SeveralRefusals):
    """A plan that lacks something: everything that it lacks, with the step in which each is put right."""

    def __init__(self, lacks: Sequence[Lack]) -> None:
        super().__init__([Refused(lack.code, lack.sentence) for lack in lacks])
        self.lacks = tuple(lacks)


# What holds -----------------------------------------------------------------------------------------------------------


def in_force(operator: Operator, day: date) -> MonitoringPlan | None:
    """Return the version that says how an operator measures on a day, if the regulator approved one."""
    return measuring.plan_in_force(operator, day)


def is_required(scheme: Scheme, day: date) -> bool:
    """Say whether the rules of a day want an approved plan before a report may be filed."""
    return rulebook.policy_at(scheme, day).monitoring.plan_required


def to_cite(operator: Operator, period: Period) -> MonitoringPlan | None:
    """Return the plan that a report for a period cites: the one in force on its last day. Refuse where one is needed
    and there is none."""
    plan = in_force(operator, period.ends_on)
    require(
        plan is not None or not is_required(period.scheme, period.starts_on),
        "plan_missing",
        f"A report for {period.year} needs an approved monitoring plan that counts by {period.ends_on}, and "
        f"{operator.organisation} has none. Submit a plan first; the regulator's desk decides on it.",
    )
    return plan


def content_of(plan: MonitoringPlan) -> Content:
    """Return what a plan says."""
    content = monitoring.read_content(plan.document)
    assert isinstance(content, Content), "a plan is kept only if it can be read"
    return content


@dataclass(frozen=True)
class Checked:
    """A draft against what there is: its content, the systems that run, and everything that it lacks."""

    content: Content
    systems: tuple[System, ...]
    lacks: tuple[Lack, ...]
    predecessor: MonitoringPlan | None


def check(plan: MonitoringPlan) -> Checked:
    """Return what a draft lacks, against the systems that run now."""
    content = content_of(plan)
    systems = measuring.open_systems(plan.operator.organisation)
    predecessor = MonitoringPlan.objects.filter(operator=plan.operator, status="approved").first()
    lacks = monitoring.lacks(content, measuring.system_facts(systems), follows=predecessor is not None)
    if plan.valid_from is None:
        lacks = (*lacks, Lack("check", "valid_from_missing", "Give the day from which the plan counts."))
    return Checked(content, tuple(systems), lacks, predecessor)


# The operator's acts --------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def open_plan(*, actor: User, operator: Operator, now: datetime) -> MonitoringPlan:
    """Begin the next version, or go on with the draft that is there.

    It begins as a copy of the newest version that was sent back or is in force, so that only changes need writing.
    """
    operator = operators.locked(operator)
    parts.require_reporter(actor, operator.organisation)
    in_work = MonitoringPlan.objects.filter(operator=operator, status__in=IN_WORK).first()
    if in_work is not None:
        require(
            in_work.status == "draft",
            "plan_waits_for_decision",
            f"Version {in_work.version} waits for the regulator. Wait for the decision, or take it back.",
        )
        return in_work
    versions = MonitoringPlan.objects.filter(operator=operator)
    newest = versions.order_by("-version").first()
    model = versions.filter(status__in=["approved", "returned"]).order_by("-version").first()
    content = content_of(model) if model is not None else Content()
    if model is not None and model.status == "approved":
        content = _without_changes(content)
    plan = MonitoringPlan.objects.create(
        operator=operator,
        version=newest.version + 1 if newest else 1,
        valid_from=model.valid_from if model is not None and model.status == "returned" else None,
        document=monitoring.write_content(content),
        created_by=actor,
        created_at=now,
        changed_at=now,
    )
    _record(actor, "opened", plan, now, version=plan.version)
    return plan


@transaction.atomic(durable=True)
def write_draft(
    *,
    actor: User,
    plan: MonitoringPlan,
    said: Mapping[str, Any],
    now: datetime,
    valid_from: date | None = None,
) -> MonitoringPlan:
    """Write parts of a draft; what is not said stays as it is. A draft may be incomplete, but not unreadable."""
    plan = _locked(plan)
    parts.require_reporter(actor, plan.operator.organisation)
    require(plan.status == "draft", "plan_not_a_draft", "Only a draft changes. Begin a new version.")
    content = monitoring.read_content({**plan.document, **said})
    if not isinstance(content, Content):
        require_none([Refused(fault.code, fault.sentence) for fault in content])
        raise AssertionError("a content that cannot be read has faults")
    _require_own_systems(plan.operator.organisation, said.get("systems") or {})
    if valid_from is not None:
        _require_plausible(plan.operator, valid_from, now)
        plan.valid_from = valid_from
    plan.document = monitoring.write_content(content)
    plan.changed_at = now
    plan.save(update_fields=["document", "valid_from", "changed_at"])
    _record(actor, "written", plan, now, parts=sorted(said))
    return plan


@transaction.atomic(durable=True)
def submit_plan(*, actor: User, plan: MonitoringPlan, now: datetime) -> MonitoringPlan:
    """Freeze a complete draft with its hash, and ask the desk to decide on it."""
    plan = _locked(plan)
    operator = plan.operator
    parts.require_reporter(actor, operator.organisation)
    PLAN.require(plan.status, "submitted")
    checked = check(plan)
    if checked.lacks:
        raise PlanIncomplete(checked.lacks)
    assert plan.valid_from is not None, "a plan without its day lacks something"
    _require_plausible(operator, plan.valid_from, now)
    plan.boundary = checked.content.boundary_text[:200]
    plan.document = _frozen(plan, checked)
    plan.content_sha256 = sha256(plan.document)
    plan.submitted_by, plan.submitted_at = actor, now
    plan.changed_at = now
    plan.status = "submitted"
    plan.save()
    for returned in MonitoringPlan.objects.select_for_update().filter(operator=operator, status="returned"):
        returned.status = "corrected"
        returned.save(update_fields=["status"])
        tasks.end_task(key=_correction_task(returned), actor=actor, now=now)
    _record(actor, "submitted", plan, now, version=plan.version, content_sha256=plan.content_sha256)
    regulator = Organisation.objects.filter(kind="regulator", status="active").order_by("pk").first()
    if regulator is not None:
        tasks.open_task(
            key=_decision_task(plan),
            kind="plan",
            organisation=regulator,
            title=f"Decide on the monitoring plan of {operator.organisation}, version {plan.version}",
            link=_link(plan),
            now=now,
        )
    return plan


@transaction.atomic(durable=True)
def discard_plan(*, actor: User, plan: MonitoringPlan, now: datetime) -> MonitoringPlan:
    """Throw a draft away, or take back what waits for the desk."""
    plan = _locked(plan)
    parts.require_reporter(actor, plan.operator.organisation)
    PLAN.require(plan.status, "discarded")
    tasks.end_task(key=_decision_task(plan), actor=actor, now=now, status="cancelled")
    plan.status = "discarded"
    plan.save(update_fields=["status"])
    _record(actor, "discarded", plan, now, version=plan.version)
    return plan


# The desk's act -------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def decide_plan(*, actor: User, plan: MonitoringPlan, outcome: str, reason: str, now: datetime) -> MonitoringPlan:
    """Approve a submitted plan, which then supersedes the one before, or send it back; the operator reads the reason.

    Who wrote or submitted a plan, or works for its operator, never decides on it.
    """
    regulator_of(actor)
    require(outcome in OUTCOMES, "outcome_unknown", "Approve the plan, or send it back.")
    reason = parts.words_of(reason, 500)
    require(bool(reason), "reason_missing", "Say why, in a sentence that the operator can act on.")
    plan = _locked(plan)
    _require_second_person(actor, plan)
    PLAN.require(plan.status, outcome)
    tasks.require_free(key=_decision_task(plan), actor=actor)
    if outcome == "approved":
        before = MonitoringPlan.objects.select_for_update().filter(operator=plan.operator, status="approved").first()
        if before is not None:
            before.status = "superseded"
            before.save(update_fields=["status"])
    plan.status, plan.decision = outcome, reason
    plan.decided_by, plan.decided_at = actor, now
    plan.save(update_fields=["status", "decision", "decided_by", "decided_at"])
    tasks.end_task(key=_decision_task(plan), actor=actor, now=now)
    _record(actor, outcome, plan, now, version=plan.version, content_sha256=plan.content_sha256, reason=reason)
    if outcome == "returned":
        tasks.open_task(
            key=_correction_task(plan),
            kind="plan",
            organisation=plan.operator.organisation,
            title=f"Correct the monitoring plan for {plan.operator.scheme.name}: version {plan.version} was sent back",
            link=_link(plan),
            now=now,
        )
    return plan


# Parts ----------------------------------------------------------------------------------------------------------------


def _locked(plan: MonitoringPlan) -> MonitoringPlan:
    """Lock a plan after its operator, so that two versions of one operator never move at once."""
    assert_in_transaction()
    found = MonitoringPlan.objects.filter(pk=plan.pk).select_related("operator").first()
    if found is None:
        raise Unknown("plan_unknown", "There is no such plan. Check the address.")
    operator = operators.locked(found.operator)
    plan = MonitoringPlan.objects.select_for_update(of=("self",)).get(pk=plan.pk)
    plan.operator = operator
    return plan


def _without_changes(content: Content) -> Content:
    return Content(**{**vars(content), "changes": ""})


def _frozen(plan: MonitoringPlan, checked: Checked) -> dict[str, Any]:
    """Return the document of a version: what it says, of whom and from when, with its systems described."""
    document = monitoring.write_content(checked.content)
    described = {
        str(system.pk): {
            "name": system.name,
            "site": system.site.name,
            "country": system.site.country,
            "zone": system.site.zone,
            "hardware": system.hardware,
            "devices": system.devices,
        }
        for system in checked.systems
    }
    document["systems"] = {key: {**facts, **document["systems"][key]} for key, facts in sorted(described.items())}
    assert plan.valid_from is not None
    return {
        **document,
        "schema": monitoring.SCHEMA,
        "scheme": plan.operator.scheme.code,
        "operator": plan.operator.organisation.name,
        "version": plan.version,
        "valid_from": plan.valid_from.isoformat(),
    }


def _require_own_systems(organisation: Organisation, said: Mapping[str, Any]) -> None:
    own = {str(key) for key in System.objects.filter(site__organisation=organisation).values_list("pk", flat=True)}
    strange = sorted(set(said) - own)
    require(
        not strange,
        "system_unknown",
        f"{', '.join(key[:60] for key in strange[:5])}: you have no such system. Check the list of your systems.",
    )


def _require_plausible(operator: Operator, valid_from: date, now: datetime) -> None:
    first, last = date(operator.first_year, 1, 1), now.date() + AHEAD
    require(
        first <= valid_from <= last,
        "valid_from_implausible",
        f"Give a day from {first}, when the operator's first year begins, to {last}.",
    )


def _require_second_person(actor: User, plan: MonitoringPlan) -> None:
    works_there = Membership.objects.filter(
        user=actor, organisation=plan.operator.organisation, ended_at__isnull=True
    ).exists()
    require(
        not works_there and actor.pk not in {plan.created_by_id, plan.submitted_by_id},
        "second_person_needed",
        "You had a hand in this plan, or work for its operator. Ask a colleague to decide.",
    )


def _link(plan: MonitoringPlan) -> str:
    return f"/plans/{plan.pk}/"


def _decision_task(plan: MonitoringPlan) -> str:
    return f"plan:{plan.pk}:decide"


def _correction_task(plan: MonitoringPlan) -> str:
    return f"plan:{plan.pk}:correct"


def _record(actor: User, what: str, plan: MonitoringPlan, now: datetime, **details: object) -> None:
    audit.record(actor, f"registry.plan.{what}", plan, at=now, organisation=plan.operator.organisation, **details)
