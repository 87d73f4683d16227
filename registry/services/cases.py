"""Cases: what is contested or found wrong about an operator's year, decided by two officers with effects executed.

| kind | subject | while it is open | when it is upheld |
|---|---|---|---|
| correction | report | nothing changes | a determination takes its place, or a new report is let in |
| appeal | allocation | the contested part waits in escrow | what was granted of it is delivered |
| appeal | estimate | enforcement, publication wait | a new estimate takes its place |
| appeal | sanction | enforcement, publication wait | the sanction is waived |
| appeal | status | enforcement, publication wait | sanction and steps end, the letter leaves the public pages |
| invalidation | surrender | nothing changes | some months to replace the permits before excess applies |
| insolvency | operator | what would take from the estate waits | it goes on; claims are not decided here |

A report found too low is owed from then on, without a sanction on the difference; one found too high gives back permits
of the same vintages or leaves them as a credit, and never money [CJEU][DE][UK-DEF].
"""

import uuid
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Sum

from accounts.models import Approval, User
from accounts.services import approvals, audit, tasks
from common.database import assert_in_transaction
from common.errors import Forbidden, Refused, Unknown, refuse, require, require_permission
from common.idempotency import derive_key, fingerprint
from common.quantities import MAX_FLOP, parse_decimal, parse_whole
from registry.engine.deadlines import end_of_day
from registry.engine.rounding import exact, half_up
from registry.ledger import services as ledger
from registry.ledger.models import Balance
from registry.models import (
    CASE,
    AllocationLine,
    AllocationRun,
    Case,
    ComplianceRecord,
    EvidenceFile,
    LetterRemoval,
    Operator,
    Period,
    Report,
    Sanction,
    Scheme,
    Surrender,
)
from registry.permissions import may_report, may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import (
    central,
    compliance,
    debts,
    enforcement,
    obligations,
    operators,
    receipts,
    reports,
    returns,
    rules,
    sanctions,
    transactions,
    verification,
)
from registry.standing import records

DECIDE = "registry.decide_case"
OUTCOMES = ("upheld", "dismissed")
REMEDIES = ("credit", "return")
APPEAL_SUBJECTS = ("allocation", "estimate", "status", "sanction")
CONTESTED = frozenset({"estimate", "status", "sanction"})
"""Subjects of an appeal that hold enforcement and publication."""


@dataclass(frozen=True)
class Estate:
    """What the registry can say of an insolvent operator on one day. Which claim comes first is not its question.

    Surrendered permits are beyond reach of creditors; what is free is an asset of the estate; what is owed is a claim
    of the regulator.
    """

    operator: Operator
    surrendered: int
    free_permits: int
    held_permits: int
    owed_permits: int
    debts_permits: int
    sanctions_minor: int


# Opening --------------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def open_correction(
    *,
    actor: User,
    operator: Operator,
    period: Period,
    grounds: str,
    now: datetime,
    figure: str = "",
    evidence: EvidenceFile | None = None,
    key: uuid.UUID | None = None,
) -> Case:
    """Say that a verified report is wrong, with the right figure in the scheme's unit if it is known.

    The operator may, and so may the desk; a verified report itself is never edited.
    """
    _require_party(actor, operator)
    period, operator = _locked_pair(period, operator)
    repeated = _repeated(operator, period, "report", key)
    if repeated is not None:
        return repeated
    details = {"figure": str(parse_decimal(figure))} if figure else {}
    return _correction(actor, operator, period, grounds, details, evidence, now, key)


@transaction.atomic(durable=True)
def record_late_meters(
    *, actor: User, operator: Operator, period: Period, total: str, source: str, now: datetime
) -> Case | None:
    """Take in meter data that came after a report was verified: a difference opens a correction case, nothing else.

    The same total again, or while such a case is open, returns that case; a total that agrees opens none.
    """
    regulator_of(actor)
    require(bool(source.strip()), "source_missing", "Name the meters and the feed that the total comes from.")
    figure = parse_decimal(total)
    period, operator = _locked_pair(period, operator)
    report = _in_force(operator, period)
    if exact(figure) == exact(_total(operator.scheme, report)):
        return None
    known = Case.objects.filter(
        operator=operator, period=period, kind=Case.Kind.CORRECTION, details__metered=str(figure)
    ).first()
    if known is not None:
        return known
    details = {"figure": str(figure), "metered": str(figure), "source": source.strip()[:200]}
    grounds = f"Meter data received after verification differ from the report: {source.strip()}"
    return _correction(actor, operator, period, grounds, details, None, now)


@transaction.atomic(durable=True)
def open_appeal(
    *,
    actor: User,
    operator: Operator,
    period: Period,
    subject: str,
    grounds: str,
    now: datetime,
    quantity: int | None = None,
    sanction: Sanction | None = None,
    evidence: EvidenceFile | None = None,
    key: uuid.UUID | None = None,
) -> Case:
    """Contest an allocation, an estimate, a status or a sanction within the time that the rules give.

    For an allocation, `quantity` is all that the operator says it should have got.
    """
    require_permission(
        may_report(actor, operator.organisation), "Only an initiator or approver of the operator may appeal."
    )
    require(subject in APPEAL_SUBJECTS, "subject_unknown", f"Choose one of {', '.join(APPEAL_SUBJECTS)}.")
    period, operator = _locked_pair(period, operator)
    repeated = _repeated(operator, period, subject, key)
    if repeated is not None:
        return repeated
    _require_within_time(operator, period, subject, sanction, now)
    require(
        not Case.objects.filter(
            operator=operator, period=period, kind=Case.Kind.APPEAL, subject=subject, status="open"
        ).exists(),
        "appeal_open_already",
        "Your appeal about this is open already. Wait for its decision, or withdraw it.",
    )
    claimed = parse_whole(quantity) if subject == "allocation" else None
    case = _open(
        actor,
        Case.Kind.APPEAL,
        subject,
        operator,
        period,
        grounds,
        now,
        claimed,
        {},
        evidence,
        sanction=sanction,
        key=key,
    )
    if subject in CONTESTED:
        enforcement.hold(operator, period, now)
        sanctions.hold(operator, period, now)
        obligations.follow(period, now, "An appeal was opened.", operator=operator)
    else:
        _escrow(case, now)
    return case


@transaction.atomic(durable=True)
def open_invalidation(*, actor: User, surrender: Surrender, quantity: int, grounds: str, now: datetime) -> Case:
    """Say that permits were found invalid after they had been surrendered, as offsets are whose project reversed."""
    regulator_of(actor)
    quantity = parse_whole(quantity)
    period, operator = _locked_pair(surrender.period, surrender.operator)
    require(
        surrender.quantity > 0 and not Surrender.objects.filter(reverses=surrender).exists(),
        "surrender_not_standing",
        "This surrender was given back already. Choose one that counts.",
    )
    require(quantity <= surrender.quantity, "more_than_surrendered", f"It was {surrender.quantity:,} permits in all.")
    return _open(
        actor,
        Case.Kind.INVALIDATION,
        "surrender",
        operator,
        period,
        grounds,
        now,
        quantity,
        {"surrender": str(surrender.pk)},
        None,
    )


@transaction.atomic(durable=True)
def open_insolvency(*, actor: User, operator: Operator, period: Period, grounds: str, now: datetime) -> Case:
    """Record that an operator is insolvent: steps that would take from the estate wait until this case is decided."""
    regulator_of(actor)
    period, operator = _locked_pair(period, operator)
    for each in Period.objects.filter(enforcements__operator=operator, enforcements__status="planned").distinct():
        enforcement.hold(operator, each, now, actions=enforcement.AGAINST_THE_ESTATE)
    return _open(actor, Case.Kind.INSOLVENCY, "operator", operator, period, grounds, now, None, {}, None)


@transaction.atomic(durable=True)
def withdraw(*, actor: User, case: Case, now: datetime) -> Case:
    """Take a case back that is open. Whoever's side opened it may."""
    case = _locked(case.pk)
    if case.kind == Case.Kind.APPEAL:
        require_permission(
            may_report(actor, case.operator.organisation), "Only the operator may withdraw its own appeal."
        )
    else:
        require_permission(
            actor.pk == case.opened_by_id or _is_officer(actor), "Only who opened this case may withdraw it."
        )
    CASE.require(case.status, "withdrawn")
    _end(case, "withdrawn", "Withdrawn.", now)
    _without_effect(case, now)
    obligations.follow(case.period, now, "An appeal was withdrawn.", operator=case.operator)
    audit.record(actor, "registry.case.withdrawn", case, at=now, organisation=case.operator.organisation)
    obligations.follow_onwards(case.operator, case.period, now, "A case was withdrawn.")
    return case


def estate(operator: Operator) -> Estate:
    """Return what the registry records of an operator's permits, debts and sanctions, for an insolvency."""
    newest = Period.objects.filter(scheme_id=operator.scheme_id).exclude(status="draft").order_by("-year").first()
    standing = records(newest, operator=operator)[0] if newest else None
    balances = Balance.objects.filter(account=operator.account_id, asset__period__scheme=operator.scheme_id)
    sums = balances.aggregate(lies=Sum("balance"), held=Sum("held"))
    unpaid = Sanction.objects.filter(operator=operator, status__in=["due", "in_appeal"])
    return Estate(
        operator=operator,
        surrendered=standing.surrendered if standing else 0,
        free_permits=(sums["lies"] or 0) - (sums["held"] or 0),
        held_permits=sums["held"] or 0,
        owed_permits=standing.shortfall if standing else 0,
        debts_permits=debts.owed(operator),
        sanctions_minor=unpaid.aggregate(sum=Sum("amount_minor"))["sum"] or 0,
    )


# Deciding -------------------------------------------------------------------------------------------------------------


def propose_decision(
    *,
    actor: User,
    case: Case,
    outcome: str,
    decision: str,
    now: datetime,
    figure: str = "",
    quantity: int | None = None,
    remedy: str = "credit",
    gravity: str = "0",
    admit_report: bool = False,
) -> Approval:
    """Propose how a case ends; another officer approves exactly this, and its effects follow at once.

    `figure` is the right total in the scheme's unit (a correction, an appeal about an estimate); `quantity` the permits
    granted of a contested allocation; `remedy` what becomes of permits surrendered too many; `gravity`, between 0 and
    1, the share of the fine for a report found too low; `admit_report` lets the operator file a corrected report.
    """
    return approvals.propose(
        actor=actor,
        act=DECIDE,
        organisation=regulator_of(actor),
        summary=f"{outcome.capitalize()}: {case.get_kind_display()} of {case.operator.organisation}, {case.period}.",
        parameters={
            "case": str(case.pk),
            "outcome": outcome,
            "decision": decision.strip(),
            "figure": str(parse_decimal(figure)) if figure else "",
            "quantity": quantity,
            "remedy": remedy,
            "gravity": str(parse_decimal(gravity)),
            "admit_report": admit_report,
        },
        now=now,
    )


def run_due(*, now: datetime) -> int:
    """Take out invalid permits whose time for replacement is over, each in its own transaction; return how many."""
    due = Case.objects.filter(kind=Case.Kind.INVALIDATION, status="upheld", due_at__lte=now).exclude(
        details__has_key="settled"
    )
    return sum(_settle_invalidation(pk, now) for pk in list(due.order_by("due_at", "pk").values_list("pk", flat=True)))


def escrow_contested(period: Period, now: datetime) -> int:
    """Put what is contested of an allocation that was just delivered into escrow. Part of an allocation."""
    assert_in_transaction()
    appeals = Case.objects.filter(period=period, kind=Case.Kind.APPEAL, subject="allocation", status="open")
    return sum(
        _escrow(case, now) for case in appeals.select_related("operator", "period__scheme").order_by("opened_at", "pk")
    )


def _check(parameters: Mapping[str, Any]) -> None:
    case = Case.objects.select_related("operator__scheme", "period").filter(pk=parameters["case"]).first()
    if case is None:
        raise Unknown("case_unknown", "There is no such case. Check the address.")
    require(parameters["outcome"] in OUTCOMES, "outcome_unknown", f"Decide one of {', '.join(OUTCOMES)}.")
    CASE.require(case.status, parameters["outcome"])
    require(bool(parameters["decision"]), "reason_missing", "Give reasons, in sentences that the operator can read.")
    require(parameters["remedy"] in REMEDIES, "remedy_unknown", f"Choose one of {', '.join(REMEDIES)}.")
    require(0 <= Decimal(parameters["gravity"]) <= 1, "gravity_out_of_range", "The gravity lies between 0 and 1.")
    if parameters["outcome"] != "upheld":
        return
    if case.kind == Case.Kind.CORRECTION:
        require(
            bool(parameters["figure"]) != bool(parameters["admit_report"]),
            "correction_unclear",
            "Either determine the right figure, or let the operator file a corrected report.",
        )
    if case.subject == "estimate":
        require(bool(parameters["figure"]), "figure_missing", "Give the total that takes the estimate's place.")
    if case.subject == "allocation":
        quantity = parameters["quantity"]
        require(
            isinstance(quantity, int) and 0 < quantity <= int(case.details.get("escrowed", 0)),
            "grant_out_of_range",
            f"Grant from 1 to the {case.details.get('escrowed', 0):,} permits that wait in escrow, or dismiss.",
        )
    if parameters["figure"]:
        require(Decimal(parameters["figure"]) < MAX_FLOP, "quantity_out_of_range", "The figure is larger than can be.")


def _decide(approval: Approval, now: datetime) -> Mapping[str, Any]:
    asked = approval.parameters
    named = Case.objects.values_list("period_id", "operator_id").filter(pk=asked["case"]).first()
    if named is None:
        raise Unknown("case_unknown", "There is no such case. Check the address.")
    _locked_pair(Period(pk=named[0]), Operator(pk=named[1]))
    case = _locked(uuid.UUID(asked["case"]))
    _check(asked)
    case.approval = approval
    _end(case, asked["outcome"], asked["decision"], now)
    if asked["outcome"] == "upheld":
        result = _EFFECTS[case.kind, case.subject](case, approval, now)
        case.save(update_fields=["details", "due_at"])
    else:
        result = {}
        _without_effect(case, now)
    obligations.follow(case.period, now, "A case was decided.", operator=case.operator)
    audit.record(
        approval.decided_by,
        f"registry.case.{asked['outcome']}",
        case,
        at=now,
        organisation=case.operator.organisation,
        about=case.subject,
        result=result,
    )
    obligations.follow_onwards(case.operator, case.period, now, f"A case was {asked['outcome']}.")
    return {"case": str(case.pk), **result}


# What being right does ------------------------------------------------------------------------------------------------


def _correct(case: Case, approval: Approval, now: datetime) -> Mapping[str, Any]:
    """Let a determination take the place of the report, and settle the difference in permits."""
    asked = approval.parameters
    if asked["admit_report"]:
        case.details["admits_report"] = True
        return {"admits_report": True}
    operator, period = case.operator, case.period
    was = _in_force(operator, period)
    before, after = _determined(case, was, Report.Kind.DETERMINATION, Decimal(asked["figure"]), approval, now)
    result: dict[str, Any] = {"owed_before": before, "owed": after}
    if after > before:
        fine = sanctions.fine_misreport(case, after - before, Decimal(asked["gravity"]), now)
        result["fine_minor"] = fine.amount_minor if fine else 0
    elif after < before:
        surplus = min(before - after, surplus_of(operator, period))
        result["surplus"] = surplus
        if asked["remedy"] == "return" and surplus:
            result["returned"] = returns.give_back(
                operator,
                period,
                surplus,
                reason=f"The report was found too high: {case.decision}",
                actor=approval.decided_by,
                now=now,
            )
    compliance.record_later_status(operator, period, now)
    case.details |= result
    return result


def _estimate_again(case: Case, approval: Approval, now: datetime) -> Mapping[str, Any]:
    was = _in_force(case.operator, case.period)
    before, after = _determined(case, was, Report.Kind.ESTIMATE, Decimal(approval.parameters["figure"]), approval, now)
    compliance.record_later_status(case.operator, case.period, now)
    _resume(case, now)
    return {"owed_before": before, "owed": after}


def _grant(case: Case, approval: Approval, now: datetime) -> Mapping[str, Any]:
    granted = int(approval.parameters["quantity"])
    _leave_escrow(case, granted, now)
    return {"granted": granted}


def _lift_sanction(case: Case, approval: Approval, now: datetime) -> Mapping[str, Any]:
    """Waive what was contested; the missing permits stay owed, and so do the steps that ask for them."""
    waived = _waive_all(case, approval, now)
    _resume(case, now)
    return {"waived": waived}


def _clear_status(case: Case, approval: Approval, now: datetime) -> Mapping[str, Any]:
    """Waive the sanction, end enforcement, and take the letter off the public pages: the status was wrong."""
    waived = _waive_all(case, approval, now)
    ended = enforcement.cancel(case.operator, case.period, case.decision[:200], now)
    assert approval.decided_by is not None
    LetterRemoval.objects.get_or_create(
        operator=case.operator,
        period=case.period,
        defaults={"reason": case.decision[:500], "removed_by": approval.decided_by, "at": now},
    )
    return {"waived": waived, "steps_ended": ended}


def _invalidate(case: Case, approval: Approval, now: datetime) -> Mapping[str, Any]:
    """Start the months in which the operator may replace the permits; excess applies only after them."""
    rule = rules.policy_at(case.period.scheme, now.astimezone(case.period.scheme.tz).date()).compliance
    today = now.astimezone(case.period.scheme.tz).date()
    case.due_at = end_of_day(_months_later(today, rule.offset_replacement_months), case.period.scheme.tz)
    tasks.open_task(
        key=f"replace:{case.pk}",
        kind="replacement",
        organisation=case.operator.organisation,
        title=f"Replace {case.quantity:,} invalid permits of {case.period} by surrendering as many.",
        link=f"/compliance/{case.period.code}/",
        now=now,
        due_at=case.due_at,
    )
    return {"replace_by": case.due_at.isoformat()}


def _end_insolvency(case: Case, approval: Approval, now: datetime) -> Mapping[str, Any]:
    _resume_all(case.operator, now)
    return {}


_EFFECTS: Mapping[tuple[str, str], Callable[[Case, Approval, datetime], Mapping[str, Any]]] = {
    (Case.Kind.CORRECTION, "report"): _correct,
    (Case.Kind.APPEAL, "allocation"): _grant,
    (Case.Kind.APPEAL, "estimate"): _estimate_again,
    (Case.Kind.APPEAL, "status"): _clear_status,
    (Case.Kind.APPEAL, "sanction"): _lift_sanction,
    (Case.Kind.INVALIDATION, "surrender"): _invalidate,
    (Case.Kind.INSOLVENCY, "operator"): _end_insolvency,
}
"""What an upheld case does, by its kind and subject."""


def _without_effect(case: Case, now: datetime) -> None:
    """Let go on what waited for a case that was dismissed or withdrawn."""
    if case.kind == Case.Kind.INSOLVENCY:
        _resume_all(case.operator, now)
    elif case.kind == Case.Kind.APPEAL and case.subject == "allocation":
        _leave_escrow(case, 0, now)
    elif case.kind == Case.Kind.APPEAL:
        _resume(case, now)


def surplus_of(operator: Operator, period: Period) -> int:
    """Return how many permits surrendered for a period nobody needs: neither for it nor for any later year so far."""
    later = Period.objects.filter(scheme_id=period.scheme_id, year__gte=period.year).exclude(status="draft")
    standings = [records(each, operator=operator)[0] for each in later.order_by("year")]
    return max(0, min(standing.surrendered - standing.owed for standing in standings))


# Parts ----------------------------------------------------------------------------------------------------------------


def _correction(
    actor: User,
    operator: Operator,
    period: Period,
    grounds: str,
    details: dict[str, Any],
    evidence: EvidenceFile | None,
    now: datetime,
    key: uuid.UUID | None = None,
) -> Case:
    report = _in_force(operator, period)
    require(
        report.kind != Report.Kind.ESTIMATE,
        "nothing_verified",
        "Only an estimate is in force: file a report, or appeal against the estimate.",
    )
    details = {"report": str(report.pk), "owed": verification.quantity_owed(report, now), **details}
    quantity = None
    if "figure" in details:
        quantity = half_up(exact(Decimal(details["figure"])) / exact(operator.scheme.unit_size))
    return _open(
        actor, Case.Kind.CORRECTION, "report", operator, period, grounds, now, quantity, details, evidence, key=key
    )


def _open(
    actor: User,
    kind: str,
    subject: str,
    operator: Operator,
    period: Period,
    grounds: str,
    now: datetime,
    quantity: int | None,
    details: dict[str, Any],
    evidence: EvidenceFile | None,
    *,
    sanction: Sanction | None = None,
    key: uuid.UUID | None = None,
) -> Case:
    require(bool(grounds.strip()), "reason_missing", "Say why, in sentences that the other side can answer.")
    case = Case.objects.create(
        pk=uuid.uuid4() if key is None else derive_key("case", operator.pk, key),
        kind=kind,
        subject=subject,
        operator=operator,
        period=period,
        sanction=sanction,
        grounds=grounds.strip()[:4000],
        quantity=quantity,
        details=details,
        evidence=evidence,
        opened_by=actor,
        opened_at=now,
    )
    audit.record(
        actor,
        "registry.case.opened",
        case,
        at=now,
        organisation=operator.organisation,
        kind=kind,
        about=subject,
        period=period.code,
    )
    obligations.follow_onwards(operator, period, now, f"A case was opened: {case.get_kind_display().lower()}.")
    return case


def _repeated(operator: Operator, period: Period, subject: str, key: uuid.UUID | None) -> Case | None:
    """Return the case that the same key opened before; the same key for something else is refused."""
    if key is None:
        return None
    known = Case.objects.filter(pk=derive_key("case", operator.pk, key)).first()
    require(
        known is None or (known.period_id, known.subject) == (period.pk, subject),
        "key_reused",
        "This key was used before for another case. Use a new one.",
    )
    return known


def _end(case: Case, status: str, decision: str, now: datetime) -> None:
    CASE.require(case.status, status)
    case.status, case.decision, case.decided_at = status, decision[:4000], now
    case.save(update_fields=["status", "decision", "decided_at", "approval"])


def _determined(
    case: Case, was: Report, kind: str, figure: Decimal, approval: Approval, now: datetime
) -> tuple[int, int]:
    """Put the regulator's figure in the place of a report or estimate; return what was owed before and since."""
    operator, period = case.operator, case.period
    period, received_at = receipts.receive(period.pk)
    before = verification.quantity_in_force(operator, period)
    newest = Report.objects.filter(operator=operator, period=period).order_by("-version").values_list("version")[:1]
    reports.move(was, "superseded")
    is_flop = operator.scheme.metric == Scheme.Metric.FLOP
    report = Report.objects.create(
        operator=operator,
        period=period,
        version=newest.get()[0] + 1,
        kind=kind,
        status="determined",
        boundary=f"Decision: {case.decision}"[:200],
        flop=Decimal(half_up(exact(figure))) if is_flop else was.flop,
        co2e_g=was.co2e_g if is_flop else Decimal(half_up(exact(figure) * 10**6)).scaleb(-6),
        energy_kwh=was.energy_kwh,
        flags=[],
        content_sha256=fingerprint({"case": str(case.pk), "figure": str(figure)}),
        submitted_by=approval.proposed_by,
        received_at=received_at,
    )
    return before, verification.owe(report, operator, period, received_at).quantity


def _in_force(operator: Operator, period: Period) -> Report:
    report = (
        Report.objects.select_related("operator__scheme", "operator__organisation", "period")
        .filter(operator=operator, period=period, status__in=["verified", "determined"])
        .first()
    )
    if report is None:
        refuse("nothing_verified", "No figure is in force for this period yet: file a report instead.")
    return report


def _total(scheme: Scheme, report: Report) -> Decimal:
    return report.flop if scheme.metric == Scheme.Metric.FLOP else report.co2e_g


def _require_within_time(
    operator: Operator, period: Period, subject: str, sanction: Sanction | None, now: datetime
) -> None:
    """Refuse an appeal about what has not happened, and one that comes too late."""
    since = _since(operator, period, subject, sanction)
    if since is None:
        require(
            subject == "allocation",
            "nothing_to_appeal",
            f"There is no {subject} of yours for {period} that an appeal could be about.",
        )
        return  # a draft can be contested before it is executed
    days = rules.policy_at(period.scheme, since.astimezone(period.scheme.tz).date()).compliance.appeal_days
    until = end_of_day(since.astimezone(period.scheme.tz).date() + timedelta(days=days), period.scheme.tz)
    require(now < until, "appeal_too_late", f"Appeals about this could be made until {until:%Y-%m-%d %H:%M} UTC.")


def _since(operator: Operator, period: Period, subject: str, sanction: Sanction | None) -> datetime | None:
    if subject == "allocation":
        return (
            AllocationRun.objects.filter(period=period, status="executed").values_list("executed_at", flat=True).first()
        )
    if subject == "estimate":
        estimates = Report.objects.filter(operator=operator, period=period, kind="estimate", status="determined")
        return estimates.values_list("received_at", flat=True).first()
    if subject == "status":
        letters = ComplianceRecord.objects.filter(operator=operator, period=period, occasion="deadline")
        return letters.values_list("at", flat=True).first()
    found = Sanction.objects.filter(operator=operator, period=period, status__in=["due", "in_appeal"])
    if sanction is not None:
        found = found.filter(pk=sanction.pk)
    return found.order_by("-imposed_at").values_list("imposed_at", flat=True).first()


def _escrow(case: Case, now: datetime) -> int:
    """Move what is contested, as far as it is unsold, out of the auction account; what is agreed is delivered."""
    if "escrowed" in case.details or not AllocationRun.objects.filter(period=case.period, status="executed").exists():
        return 0
    lines = AllocationLine.objects.filter(run__period=case.period, run__status="executed", operator=case.operator)
    got = lines.aggregate(sum=Sum("quantity"))["sum"] or 0
    assert case.quantity is not None
    require(case.quantity > got, "nothing_contested", f"You were given {got:,} permits already: claim more than that.")
    source = central.account(case.period, central.AUCTION)
    ledger.lock_balances([(source.pk, case.period.permit_id)])
    balance = Balance.objects.filter(account=source, asset=case.period.permit_id).first()
    contested = min(case.quantity - got, balance.available if balance else 0)
    if contested:
        _between(case, "move_to_reserve", source.pk, central.held_back(case.period, now).pk, contested, "escrow", now)
    case.details |= {"allocated": got, "escrowed": contested}
    case.save(update_fields=["details"])
    return contested


def _leave_escrow(case: Case, granted: int, now: datetime) -> None:
    """Deliver what was granted, and put the rest back up for auction."""
    waiting = int(case.details.get("escrowed", 0))
    escrow = central.held_back(case.period, now).pk
    if granted:
        _between(case, "allocate", escrow, case.operator.account_id, granted, "granted", now)
    if waiting > granted:
        auction = central.account(case.period, central.AUCTION).pk
        _between(case, "release", escrow, auction, waiting - granted, "released", now)


def _between(case: Case, kind: str, debit: int, credit: int, quantity: int, what: str, now: datetime) -> None:
    transactions.move(
        moves=[
            transactions.Move(kind, derive_key("case", case.pk, what), debit, credit, case.period.permit_id, quantity)
        ],
        organisation=case.operator.organisation,
        journal="escrow",
        reference=f"case-{what}:{case.pk}",
        actor=None,
        now=now,
        details={"case": str(case.pk)},
    )


def _waive_all(case: Case, approval: Approval, now: datetime) -> int:
    """Waive the contested sanction, or all of the period that are not paid."""
    found = Sanction.objects.filter(operator=case.operator, period=case.period, status__in=["due", "in_appeal"])
    if case.sanction_id is not None:
        found = found.filter(pk=case.sanction_id)
    waived = 0
    for pk in list(found.order_by("pk").values_list("pk", flat=True)):
        sanctions.waive(sanctions.locked(pk), f"Appeal: {case.decision}", approval.decided_by, now)
        waived += 1
    return waived


def _resume(case: Case, now: datetime) -> None:
    """Let enforcement go on unless another appeal still holds it."""
    others = Case.objects.filter(
        operator=case.operator, period=case.period, kind=Case.Kind.APPEAL, status="open", subject__in=CONTESTED
    )
    if not others.exclude(pk=case.pk).exists():
        sanctions.resume(case.operator, case.period, now)
        enforcement.resume(case.operator, case.period, now)
        enforcement.cure(case.operator, now)


def _resume_all(operator: Operator, now: datetime) -> None:
    for period in Period.objects.filter(enforcements__operator=operator, enforcements__status="held").distinct():
        enforcement.resume(operator, period, now)


@transaction.atomic(durable=True)
def _settle_invalidation(case_id: uuid.UUID, now: datetime) -> bool:
    """Take invalid permits out of the surrender account; what was not replaced by then is sanctioned."""
    named = Case.objects.values_list("period_id", "operator_id").get(pk=case_id)
    period, operator = _locked_pair(Period(pk=named[0]), Operator(pk=named[1]))
    case = _locked(case_id)
    if "settled" in case.details:
        return False
    receipt = Surrender.objects.select_related("operator__organisation", "period__scheme").get(
        pk=case.details["surrender"]
    )
    assert case.quantity is not None
    reason = f"Invalid after use: {case.grounds}"
    out = returns.take_out(receipt, case.quantity, kind=Surrender.Kind.INVALIDATED, reason=reason, actor=None, now=now)
    _cancel(case, out, now)
    missing = min(case.quantity, records(period, operator=operator)[0].shortfall)
    if missing:
        sanctions.impose(operator, period, missing, now, kind=Sanction.Kind.INVALIDATION, case=case)
    case.details |= {"settled": True, "not_replaced": missing}
    case.save(update_fields=["details"])
    compliance.record_later_status(operator, period, now)
    tasks.end_task(key=f"replace:{case.pk}", actor=None, now=now)
    audit.record(None, "registry.case.settled", case, at=now, organisation=operator.organisation, not_replaced=missing)
    return True


def _cancel(case: Case, out: Mapping[int, int], now: datetime) -> None:
    """Put invalid permits where nobody can use them again."""
    vintages = {each.permit_id: each for each in Period.objects.select_related("scheme").filter(permit__in=out)}
    transactions.move(
        moves=[
            transactions.Move(
                "expire",
                derive_key("invalid", case.pk, asset),
                case.operator.account_id,
                central.account(vintages[asset], central.CANCELLATION).pk,
                asset,
                quantity,
            )
            for asset, quantity in out.items()
        ],
        organisation=case.operator.organisation,
        journal="expire",
        reference=f"invalid:{case.pk}",
        actor=None,
        now=now,
        details={"case": str(case.pk)},
    )


def _require_party(actor: User, operator: Operator) -> None:
    require_permission(
        may_report(actor, operator.organisation) or _is_officer(actor),
        "Only the operator's initiator or approver, or an officer of the regulator, may do this.",
    )


def _is_officer(actor: User) -> bool:
    try:
        regulator_of(actor)
    except Forbidden:
        return False
    return True


def _locked_pair(period: Period, operator: Operator) -> tuple[Period, Operator]:
    """Lock the period for a receipt and then the operator, as everywhere."""
    period, _ = receipts.receive(period.pk)
    operator = operators.locked(operator)
    if period.scheme_id != operator.scheme_id:
        raise Refused("period_of_another_scheme", "This period belongs to another scheme.")
    return period, operator


def _locked(case_id: uuid.UUID) -> Case:
    case = (
        Case.objects.select_for_update(of=("self",))
        .select_related("operator__organisation", "operator__scheme", "operator__account", "period__scheme")
        .filter(pk=case_id)
        .first()
    )
    if case is None:
        raise Unknown("case_unknown", "There is no such case. Check the address.")
    return case


def _months_later(day: date, months: int) -> date:
    """Return the same day some months later, or the last day of that month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


ACTS = (
    approvals.Act(
        name=DECIDE,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_decide,
    ),
)
