"""The end of a period in the registry: status letters, sanctions, banking and publication, one idempotent part each.

`exchange.services.closing` calls these parts inside the transactions of its steps. Doing a part twice is doing it once.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Sum

from accounts.models import AuditEvent, User
from accounts.services import audit
from common import clock
from common.database import assert_in_transaction
from common.errors import require
from registry.ledger.models import Balance
from registry.models import PERIOD, ComplianceRecord, Operator, Period, Sanction
from registry.services import banking, enforcement, obligations, publication, receipts, reminders, runs, sanctions
from registry.standing import Standing, records


def begin_closing(period: Period, now: datetime, actor: User | None = None) -> Period:
    """Move an open period into its closing; from here on a verified report cannot be corrected any more."""
    period = receipts.lock_for_closing(period.pk)
    if period.status == "open":
        _move(period, "closing", actor, now)
        obligations.follow(period, now, "The closing began.")
    require(period.status == "closing", "period_not_closing", f"{period} is {period.status} and cannot be closed.")
    return period


def record_deadline_status(period: Period, now: datetime) -> dict[str, int]:
    """Record every operator's official letter at the surrender deadline, from what was received before it."""
    period = receipts.lock_for_closing(period.pk)
    require(
        period.status in {"closing", "closed"}, "period_not_closing", f"{period} is {period.status}: begin its closing."
    )
    require(
        clock.receipt_instant() >= period.surrender_due,
        "deadline_not_passed",
        f"Permits may come until {period.surrender_due:%Y-%m-%d %H:%M} UTC. Continue the closing after that.",
    )
    recorded = set(
        ComplianceRecord.objects.filter(period=period, occasion="deadline").values_list("operator_id", flat=True)
    )
    standings = records(period, before=period.surrender_due)
    fresh = [
        _record(standing, period, ComplianceRecord.Occasion.DEADLINE, now)
        for standing in standings
        if standing.operator.pk not in recorded
    ]
    ComplianceRecord.objects.bulk_create(fresh)
    if fresh:
        audit.record(None, "registry.compliance.decided", period, at=now, operators=len(fresh))
        _publish_run(period, standings, now)
        _record_changes([(period, standing) for standing in records(period)], now)  # what came late counts since then
    obligations.follow(period, now, "Permits were due.")
    met = [standing.operator.organisation for standing in standings if not standing.shortfall]
    reminders.withdraw_notices(period.code, "surrender", met, now)
    return _counts(period)


def _publish_run(period: Period, standings: Sequence[Standing], now: datetime) -> None:
    """Keep the letters with the facts they follow from, as one document that anybody can work out again."""
    on = period.surrender_due.astimezone(period.scheme.tz).date()
    facts = [(standing.operator.account.number, standing.record) for standing in standings]
    inputs = {
        "operators": [
            {
                "operator": number,
                "year": record.year,
                "first_year": record.first_year,
                "last_year": record.last_year,
                "verified": {str(year): str(permits) for year, permits in sorted(record.verified.items())},
                "estimated": {str(year): str(permits) for year, permits in sorted(record.estimated.items())},
                "surrendered": str(record.surrendered),
                "excluded": sorted(record.excluded),
            }
            for number, record in sorted(facts, key=lambda fact: fact[0])
        ]
    }
    runs.publish(runs.work_out("status", period, on, inputs), period, actor=None, now=now)


def record_later_status(
    operator: Operator, period: Period, now: datetime, reason: str = "Permits or figures changed."
) -> None:
    """Record an operator's letters that have changed since they were recorded, as when a shortfall was cured.

    Letters are cumulative, so that what happens to one period may change the letters of the later ones.
    """
    assert_in_transaction()
    decided = Period.objects.filter(
        scheme_id=period.scheme_id, year__gte=period.year, compliance_records__operator=operator
    )
    standings = [(each, records(each, operator=operator)[0]) for each in decided.distinct().order_by("year")]
    _record_changes(standings, now)
    enforcement.cure(operator, now)
    obligations.follow_onwards(operator, period, now, reason)
    if not records(period, operator=operator)[0].shortfall:
        reminders.withdraw_notices(period.code, "surrender", [operator.organisation], now)


def _record_changes(standings: Sequence[tuple[Period, Standing]], now: datetime) -> None:
    """Keep a later letter wherever a standing is not the one that was recorded last."""
    periods = {period for period, _ in standings}
    letters = ComplianceRecord.objects.filter(period__in=periods).order_by("id")
    latest = {(letter.period_id, letter.operator_id): letter for letter in letters}
    for period, standing in standings:
        was = latest.get((period.pk, standing.operator.pk))
        if was is None or (was.status, was.owed, was.surrendered) == (
            standing.status,
            standing.owed,
            standing.surrendered,
        ):
            continue
        later = _record(standing, period, ComplianceRecord.Occasion.LATER, now)
        later.save(force_insert=True)
        audit.record(
            None,
            "registry.compliance.changed",
            later,
            at=now,
            organisation=standing.operator.organisation,
            period=period.code,
            was=was.status,
            status=later.status,
        )


def impose_sanctions(period: Period, now: datetime) -> dict[str, int]:
    """Impose what the rules at the deadline say for what was missing then, and plan the steps of enforcement."""
    period = receipts.lock_for_closing(period.pk)
    _require_letters(period)
    imposed = Sanction.objects.filter(period=period, kind=Sanction.Kind.SHORTFALL)
    sanctioned = set(imposed.values_list("operator_id", flat=True))
    short = [standing for standing in records(period, before=period.surrender_due) if standing.shortfall_of_the_year]
    due_at = enforcement.sanction_due_at(period)
    for standing in short:
        if standing.operator.pk not in sanctioned:
            sanctions.impose(standing.operator, period, standing.shortfall_of_the_year, now, due_at=due_at)
    enforcement.plan(period, short, now)
    totals = imposed.aggregate(permits=Sum("shortfall"), minor=Sum("amount_minor"))
    return {
        "sanctions": imposed.count(),
        "permits": totals["permits"] or 0,
        "amount_minor": totals["minor"] or 0,
    }


def bank_permits(period: Period, now: datetime) -> dict[str, int]:
    """Record what is banked, within the limit of the rules at the deadline; what is above it lapses or is owed.

    Without a limit, unused permits stay where they are and count in later years.
    """
    period = receipts.lock_for_closing(period.pk)
    told = _event(period, "registry.period.banked")
    if told is None:
        banking.apply_limit(period, now)
        held = Balance.objects.filter(asset_id=period.permit_id, account__kind="holding", balance__gt=0)
        accounts, permits = held.count(), held.aggregate(sum=Sum("balance"))["sum"] or 0
        audit.record(None, "registry.period.banked", period, at=now, accounts=accounts, permits=permits)
        return {"accounts": accounts, "permits": permits}
    return {"accounts": told.details["accounts"], "permits": told.details["permits"]}


def publish(period: Period, now: datetime) -> dict[str, int]:
    """Close the period for good: its letters, sanctions and figures are public from here on."""
    period = receipts.lock_for_closing(period.pk)
    if period.status != "closed":
        _require_letters(period)
        publication.plan(period, now)
        _move(period, "closed", None, now)
    return _counts(period)


def _require_letters(period: Period) -> None:
    require(
        ComplianceRecord.objects.filter(period=period, occasion="deadline").exists()
        or not Operator.objects.filter(scheme_id=period.scheme_id).exists(),
        "status_not_recorded",
        "Record the status at the deadline first.",
    )


def _record(standing: Standing, period: Period, occasion: str, now: datetime) -> ComplianceRecord:
    return ComplianceRecord(
        operator=standing.operator,
        period=period,
        occasion=occasion,
        status=standing.status,
        owed=standing.owed,
        surrendered=standing.surrendered,
        at=now,
    )


def _counts(period: Period) -> dict[str, int]:
    """Count the official letters."""
    letters = ComplianceRecord.objects.filter(period=period, occasion="deadline").order_by("status")
    counts: dict[str, int] = {}
    for letter in letters.values_list("status", flat=True):
        counts[letter] = counts.get(letter, 0) + 1
    return counts


def _move(period: Period, status: str, actor: User | None, now: datetime) -> None:
    PERIOD.require(period.status, status)
    was, period.status = period.status, status
    period.save(update_fields=["status"])
    audit.record(actor, f"registry.period.{status}", period, at=now, was=was)


def _event(period: Period, action: str) -> AuditEvent | None:
    return AuditEvent.objects.filter(
        subject_type=Period._meta.label_lower, subject_id=str(period.pk), action=action
    ).first()
