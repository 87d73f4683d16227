"""Publication: totals at once, names when the time to appeal is over, and removals that stay visible themselves.

A period's `names_public_at` says from when its letters are public by name; without one, from its closing on. A letter
under appeal, and one that was removed, is not shown; that it was removed, when and why, is.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Max

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.database import assert_in_transaction
from common.errors import Unknown, require
from registry.models import ComplianceRecord, LetterRemoval, Operator, Period
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import rules
from registry.services.sanctions import deadline_day, policy_at_deadline

REMOVE_LETTER = "registry.remove_letter"
NEVER = datetime(9999, 12, 31, tzinfo=UTC)


def plan(period: Period, now: datetime) -> None:
    """Say from when a period's letters are public by name: at once by founding terms, else after the time to appeal.

    The time runs from the letters. A scheme whose rules publish no names never does. Part of the closing.
    """
    assert_in_transaction()
    if not rules.rules_version(period.scheme, deadline_day(period)):
        return
    policy = policy_at_deadline(period)
    written = ComplianceRecord.objects.filter(period=period, occasion="deadline").aggregate(at=Max("at"))["at"] or now
    until = written + timedelta(days=policy.compliance.appeal_days)
    period.names_public_at = until if policy.sanction.publish else NEVER
    period.save(update_fields=["names_public_at"])


def propose_removal(*, actor: User, operator: Operator, period: Period, reason: str, now: datetime) -> Approval:
    """Propose to take an operator's letter of a period off the public pages, for a reason that the public reads."""
    return approvals.propose(
        actor=actor,
        act=REMOVE_LETTER,
        organisation=regulator_of(actor),
        summary=f"Remove the letter of {operator.organisation} for {period}: {reason.strip()}",
        parameters={"operator": str(operator.pk), "period": str(period.pk), "reason": reason.strip()},
        now=now,
    )


def _check(parameters: Mapping[str, Any]) -> None:
    require(bool(parameters["reason"]), "reason_missing", "Say why, in a sentence that the public can read.")
    letters = ComplianceRecord.objects.filter(operator=parameters["operator"], period=parameters["period"])
    if not letters.exists():
        raise Unknown("letter_unknown", "There is no letter of this operator for this period.")
    removed = LetterRemoval.objects.filter(operator=parameters["operator"], period=parameters["period"])
    require(not removed.exists(), "letter_removed_already", "This letter was removed before.")


def _remove(approval: Approval, now: datetime) -> Mapping[str, Any]:
    assert approval.decided_by is not None
    operator = Operator.objects.select_related("organisation").get(pk=approval.parameters["operator"])
    removal = LetterRemoval.objects.create(
        operator=operator,
        period_id=approval.parameters["period"],
        reason=approval.parameters["reason"][:500],
        removed_by=approval.decided_by,
        at=now,
    )
    audit.record(
        approval.decided_by,
        "registry.letter.removed",
        removal,
        at=now,
        organisation=operator.organisation,
        reason=removal.reason,
    )
    return {"removal": removal.pk}


ACTS = (
    approvals.Act(
        name=REMOVE_LETTER,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_remove,
    ),
)
