"""Estimates: what an operator owes when no verified report came, set conservatively by the regulator.

When reports are due, every operator without one is estimated from what is known: its last verified figure and a margin,
its own unverified figure or its meters, and half of its contracted capacity, whichever is highest (the weights are the
rules' own). What was measured counts for more the coarser the operator's tier of data is. Two officers approve the
whole list. A proper report that is verified later takes the estimate's place.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Min, QuerySet
from django.db.models.functions import Coalesce

from accounts.models import Approval, Organisation, User
from accounts.services import approvals, audit, tasks
from common.database import assert_in_transaction
from common.errors import Unknown, require
from common.idempotency import fingerprint
from common.quantities import MAX_FLOP, parse_decimal
from registry.engine.compliance import conservative_estimate, uplift_of_tier
from registry.engine.refusals import Refusal
from registry.engine.rounding import exact, exact_text, half_up, obligation_permits
from registry.models import AWAITS_OPINION, MonitoringPlan, Operator, Period, Report, ReportLine, Scheme
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import compliance, operators, receipts, reports, rules, suspensions, verification
from registry.services.overdue import IN_FORCE

SET_ESTIMATES = "registry.set_estimates"

BASES = {
    "last_verified": "the last verified figure and a margin",
    "metered": "the meters or the unverified report",
    "contracted_capacity": "a share of the contracted capacity",
}
"""What an estimate rests on, in words."""


@dataclass(frozen=True)
class Proposal:
    """What one operator without a report would owe: the total in the scheme's unit, in permits, and what it rests on.

    `basis` is empty where nothing is known to estimate from; an officer sets the figure then. `uplift` is what the tier
    of the operator's data adds to what was measured.
    """

    operator: Operator
    total: Decimal
    permits: int
    basis: str
    tier: int = 0
    uplift: Decimal = Decimal(0)


def missing(period: Period) -> list[Operator]:
    """Return the operators that are liable for a period and of which no figure is in force."""
    told = Report.objects.filter(period=period, status__in=IN_FORCE).values("operator_id")
    liable = (
        Operator.objects.filter(scheme_id=period.scheme_id, first_year__lte=period.year)
        .exclude(last_year__lt=period.year)
        .exclude(excluded_years__contains=[period.year])
        .exclude(pk__in=told)
    )
    return list(liable.select_related("organisation", "scheme", "account").order_by("organisation__name", "pk"))


def proposals(period: Period, metered: Mapping[uuid.UUID, Decimal] | None = None) -> list[Proposal]:
    """Work out an estimate for everybody of whom no figure is in force, in a fixed number of queries.

    `metered` are totals of meters that an officer adds, by operator; without one, an unverified report counts as such.
    """
    firms = missing(period)
    day = (period.report_due - timedelta(microseconds=1)).astimezone(period.scheme.tz).date()
    rule = rules.policy_at(period.scheme, day).compliance
    is_flop = period.scheme.metric == Scheme.Metric.FLOP
    found = Report.objects.filter(operator__in=firms, period__year__lte=period.year).exclude(kind="estimate")
    last: dict[uuid.UUID, Decimal] = {}
    own: dict[uuid.UUID, Decimal] = {}
    for report in found.select_related("period").order_by("period__year", "version"):
        total = report.flop if is_flop else report.co2e_g
        if report.period_id == period.pk and report.status in AWAITS_OPINION:
            own[report.operator_id] = total
        elif report.period.year < period.year and report.status in IN_FORCE:
            last[report.operator_id] = total
    tiers = _tiers(firms, found)
    listed = []
    for firm in firms:
        tier = tiers.get(firm.pk, 0)
        uplift = uplift_of_tier(rule, tier)
        estimate = conservative_estimate(
            last_verified=last.get(firm.pk),
            metered=(metered or {}).get(firm.pk, own.get(firm.pk)),
            contracted_capacity=firm.contracted_capacity,
            uplift=rule.estimate_uplift,
            capacity_share=rule.capacity_share,
            tier_uplift=uplift,
        )
        if isinstance(estimate, Refusal):
            listed.append(Proposal(firm, Decimal(0), 0, ""))
            continue
        total = Decimal(half_up(estimate.total)) if is_flop else Decimal(half_up(estimate.total * 10**6)).scaleb(-6)
        permits = obligation_permits(exact(total), exact(firm.scheme.unit_size))
        is_measured = estimate.basis != "contracted_capacity"
        listed.append(Proposal(firm, total, permits, estimate.basis, tier, uplift if is_measured else Decimal(0)))
    return listed


def _tiers(firms: Sequence[Operator], found: QuerySet[Report]) -> dict[uuid.UUID, int]:
    """Return the coarsest tier at which each operator measures: by its approved plan, else by its latest report.

    A line that does not say how it was measured was typed.
    """
    latest = {report.operator_id: report.pk for report in found.order_by("period__year", "version")}
    lines = ReportLine.objects.filter(report__in=latest.values()).values_list("report__operator")
    coarsest = lines.annotate(coarsest=Min(Coalesce("tier", 0))).values_list("report__operator", "coarsest")
    tiers: dict[uuid.UUID, int] = dict(coarsest.order_by())
    for plan in MonitoringPlan.objects.filter(operator__in=firms, status="approved"):
        systems = plan.document.get("systems", {})
        planned = [int(one.get("tier", 0)) for one in systems.values()] if isinstance(systems, dict) else []
        if planned:
            tiers[plan.operator_id] = min(planned)
    return tiers


def propose_estimates(
    *, actor: User, period: Period, now: datetime, metered: Mapping[uuid.UUID, Decimal] | None = None
) -> Approval:
    """Propose estimates for every operator without a report, as one list that another officer approves."""
    regulator = regulator_of(actor)
    period = Period.objects.select_related("scheme").get(pk=period.pk)
    listed = [one for one in proposals(period, metered) if one.total > 0]
    return approvals.propose(
        actor=actor,
        act=SET_ESTIMATES,
        organisation=regulator,
        summary=f"Estimate {len(listed)} operators without a report for {period}.",
        parameters={
            "period": str(period.pk),
            "estimates": [
                {
                    "operator": str(one.operator.pk),
                    "total": format(one.total, "f"),
                    "basis": one.basis,
                    "tier": one.tier,
                    "uplift": exact_text(one.uplift),
                }
                for one in listed
            ],
        },
        now=now,
    )


def remind_desk(period: Period, now: datetime) -> int:
    """Open a task for the desk when reports are due and some are missing; return how many are."""
    assert_in_transaction()
    count = len(missing(period))
    office = Organisation.objects.filter(kind="regulator", status="active").order_by("id").first()
    if count and office is not None:
        tasks.open_task(
            key=f"estimates:{period.code}",
            kind="estimates",
            organisation=office,
            title=f"Estimate {count} operators without a report for {period}.",
            link=f"/desk/periods/{period.code}/estimates/",
            now=now,
            due_at=period.surrender_due,
        )
    return count


@transaction.atomic(durable=True)
def estimate_report(
    *,
    actor: User,
    operator: Operator,
    period: Period,
    reason: str,
    now: datetime,
    flop: Decimal | int = 0,
    co2e_g: Decimal | int = 0,
) -> Report:
    """Set what an operator owes without a report of its own. Its letter stays C until a proper report is verified."""
    regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say what the estimate rests on.")
    period, received_at = receipts.receive(period.pk)
    operator = operators.locked(operator)
    return _set(actor, operator, period, received_at, reason.strip(), Decimal(flop), Decimal(co2e_g), now)


def _set(
    actor: User,
    operator: Operator,
    period: Period,
    received_at: datetime,
    reason: str,
    flop: Decimal,
    co2e_g: Decimal,
    now: datetime,
) -> Report:
    """Put an estimate in force for a locked operator."""
    reports.require_liable(operator, period)
    figure = flop if operator.scheme.metric == Scheme.Metric.FLOP else co2e_g
    require(0 < figure < MAX_FLOP, "quantity_out_of_range", f"Estimate above 0, in {operator.scheme.unit_name}.")
    suspensions.require_running(period.scheme_id)
    require(received_at >= period.report_due, "reports_not_due", f"{period} takes reports until {period.report_due}.")
    in_force = Report.objects.filter(operator=operator, period=period, status__in=IN_FORCE).first()
    require(in_force is None, "report_in_force", "There is a figure for this period already.")
    latest = Report.objects.filter(operator=operator, period=period).order_by("-version").first()
    report = Report.objects.create(
        operator=operator,
        period=period,
        version=latest.version + 1 if latest else 1,
        kind=Report.Kind.ESTIMATE,
        status="determined",
        boundary=f"Estimate: {reason}"[:200],
        flop=Decimal(half_up(exact(flop))),
        co2e_g=Decimal(half_up(exact(co2e_g) * 10**6)).scaleb(-6),
        flags=[],
        content_sha256=fingerprint({"flop": str(flop), "co2e_g": str(co2e_g), "reason": reason}),
        submitted_by=actor,
        received_at=received_at,
    )
    obligation = verification.owe(report, operator, period, received_at)
    compliance.record_later_status(operator, period, now, "The regulator estimated what is owed.")
    audit.record(
        actor,
        "registry.report.estimated",
        report,
        at=now,
        organisation=operator.organisation,
        reason=reason,
        owed=obligation.quantity,
    )
    return report


def _check(parameters: Mapping[str, Any]) -> None:
    period = Period.objects.filter(pk=parameters["period"]).first()
    if period is None:
        raise Unknown("period_unknown", "There is no such period. Check the address.")
    require(bool(parameters["estimates"]), "nothing_to_estimate", "Everybody has a figure, or nothing is known.")
    for one in parameters["estimates"]:
        require(0 < parse_decimal(one["total"]) < MAX_FLOP, "quantity_out_of_range", "An estimate is above 0.")


def _execute(approval: Approval, now: datetime) -> Mapping[str, Any]:
    """Set every estimate of the list but of those who reported since it was proposed."""
    period, received_at = receipts.receive(uuid.UUID(approval.parameters["period"]))
    is_flop = period.scheme.metric == Scheme.Metric.FLOP
    waiting = {str(operator.pk) for operator in missing(period)}
    listed: Sequence[Mapping[str, Any]] = approval.parameters["estimates"]
    count = 0
    for one in sorted(listed, key=lambda each: each["operator"]):
        if one["operator"] not in waiting:
            continue
        operator = operators.locked(Operator(pk=uuid.UUID(one["operator"])))
        total = parse_decimal(one["total"])
        raised = f", and {one['uplift']} of it for data of tier {one['tier']}" if one.get("uplift", "0") != "0" else ""
        reason = f"No report; by {BASES[one['basis']]}{raised}: {exact_text(total)} {period.scheme.unit_name}."
        flop, co2e_g = (total, Decimal(0)) if is_flop else (Decimal(0), total)
        _set(approval.proposed_by, operator, period, received_at, reason, flop, co2e_g, now)
        count += 1
    tasks.end_task(key=f"estimates:{period.code}", actor=approval.decided_by, now=now)
    return {"period": str(period.pk), "estimates": count}


ACTS = (
    approvals.Act(
        name=SET_ESTIMATES,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_execute,
    ),
)
