"""Publishing a cap: the act that mints a period's permits, once, and opens the period."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.errors import require
from common.idempotency import derive_key
from common.quantities import parse_whole
from registry.ledger import services as ledger
from registry.models import PERIOD, Cap, Period
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import central, reminders, transactions

PUBLISH_CAP = "registry.publish_cap"


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
    period = Period.objects.get(pk=parameters["period"])
    parse_whole(parameters["quantity"])
    require(period.status == "draft", "cap_published_already", f"{period} is open: its cap was published already.")


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
