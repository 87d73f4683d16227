"""Publishing a cap: the act that mints a period's permits, once, and opens the period.

Where the rules at the period's start give its year a cap, that is the cap: no other quantity is taken.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.errors import Refused, refuse, require, require_none
from common.idempotency import derive_key
from common.quantities import parse_whole
from registry import rulebook
from registry.engine import cap as engine
from registry.engine.cap import CapYear
from registry.ledger import services as ledger
from registry.models import PERIOD, Cap, Period
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import central, reminders, transactions

PUBLISH_CAP = "registry.publish_cap"
GIVES_NONE = frozenset({"no_cap", "year_without_cap", "cap_follows_from_allocations"})
"""Why rules give a year no cap of their own, so that officers enter it."""


def cap_by_rules(period: Period) -> CapYear | None:
    """Return the cap that the rules at the period's start give its year, with its steps; nothing where they give none.

    An intensity scheme gives none: its total follows from what is allocated.
    """
    rule = rulebook.policy_at(period.scheme, period.starts_on).cap
    path = engine.cap_path(rule, period.year, period.year)
    if engine.is_refused(path):
        wrong = [each for each in path if each.code not in GIVES_NONE]
        require_none([Refused(each.code, each.sentence) for each in wrong])
        return None
    (found,) = path
    assert isinstance(found, CapYear)
    return found


def propose_cap_by_rules(*, actor: User, period: Period, now: datetime) -> Approval:
    """Propose the cap that the rules give the period's year; another officer approves it."""
    regulator_of(actor)
    found = cap_by_rules(period)
    if found is None:
        refuse("no_cap_by_rules", f"The rules give {period.year} no cap. Enter it, or add it to the rules.")
    return propose_cap(actor=actor, period=period, quantity=found.permits, now=now)


def propose_cap(*, actor: User, period: Period, quantity: int, now: datetime) -> Approval:
    """Propose the cap of a draft period; another officer approves it."""
    regulator = regulator_of(actor)
    return approvals.propose(
        actor=actor,
        act=PUBLISH_CAP,
        organisation=regulator,
        summary=f"Publish a cap of {parse_whole(quantity):,} permits for {period}.",
        parameters={"period": str(period.pk), "quantity": quantity},
        now=now,
    )


def _check(parameters: Mapping[str, Any]) -> None:
    period = Period.objects.select_related("scheme__currency").get(pk=parameters["period"])
    quantity = parse_whole(parameters["quantity"])
    require(period.status == "draft", "cap_published_already", f"{period} is open: its cap was published already.")
    found = cap_by_rules(period)
    require(
        found is None or found.permits == quantity,
        "cap_differs_from_rules",
        f"The rules give {period.year} {found.permits if found else 0:,} permits. Change the rules, not the cap.",
    )


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    """Write the cap, limit issuance to it, mint it into the total-quantity account and open the period."""
    period = Period.objects.select_for_update().select_related("scheme").get(pk=approval.parameters["period"])
    _check(approval.parameters)  # under the lock: two proposals may have been approved at once
    quantity = int(approval.parameters["quantity"])
    cap = Cap.objects.create(period=period, version=1, quantity=quantity, published_at=now, approval=approval)
    issuance, total = central.account(period, central.ISSUANCE), central.account(period, central.TOTAL)
    ledger.set_issue_limit(account_id=issuance.pk, asset_id=period.permit_id, limit=quantity)
    posted = transactions.move(
        moves=[
            transactions.Move(
                "issue", derive_key("issuance", period.pk), issuance.pk, total.pk, period.permit_id, quantity
            ),
        ],
        organisation=approval.organisation,
        journal="issuance",
        reference=f"issuance:{period.code}",
        actor=approval.decided_by,
        now=now,
    )
    PERIOD.require(period.status, "open")
    Period.objects.filter(pk=period.pk).update(status="open")
    reminders.withdraw(period.code, "issue", now)
    audit.record(
        approval.decided_by,
        "registry.cap.published",
        cap,
        at=now,
        organisation=approval.organisation,
        period=period.code,
        quantity=quantity,
    )
    return {"cap": cap.pk, "journal": posted.journal_id}


ACTS = (
    approvals.Act(
        name=PUBLISH_CAP,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_execute,
    ),
)
