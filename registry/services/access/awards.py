"""Awards: proposed from the scores, approved by a second officer, delivered through the ledger, reported on by labs.

Permits move from the set-aside account of the period to the lab's account by the same type of transaction as any free
allocation. Compute is a promise on record: whoever runs the machines keeps it, and the use report shows it was kept.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.models import Approval, User
from accounts.services import approvals, audit, tasks
from common.database import assert_in_transaction
from common.errors import Refused, Unknown, require, require_none, require_permission
from common.idempotency import derive_key
from registry.engine import access as engine
from registry.engine import canonical
from registry.models import (
    AWARD,
    PROGRAMME,
    AccessApplication,
    AccessAward,
    AccessProgramme,
    AccessUse,
)
from registry.permissions import may_report, may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import central, transactions
from registry.services.access import applications, programmes
from registry.services.monitoring import parts

AWARD_ACCESS = "registry.access_award"


def ranking(programme: AccessProgramme) -> dict[str, Any]:
    """Return the ranking by the scores there are, or refuse it with every application that lacks some."""
    criteria, scored = programmes.criteria_of(programme), applications.scored(programme)
    titles = dict(AccessApplication.objects.filter(programme=programme).values_list("pk", "title"))
    require(bool(scored), "no_applications", "No application stands. Cancel the programme with a reason.")
    require_none(
        [Refused(fault.code, _with_titles(fault.sentence, titles)) for fault in engine.scores_faults(criteria, scored)]
    )
    return engine.document(
        criteria,
        scored,
        permits=programme.permits,
        flop=int(programme.flop),
        least_score=programme.least_score,
    )


def propose_awards(*, actor: User, programme: AccessProgramme, now: datetime) -> Approval:
    """Propose the awards that follow from the scores; another officer approves exactly this ranking."""
    regulator = regulator_of(actor)
    document = _document(programme.pk)
    given = [row for row in document["ranking"] if row["outcome"] in _GIVES]
    permits, flop = (sum(int(row[what]) for row in given) for what in ("permits", "flop"))
    return approvals.propose(
        actor=actor,
        act=AWARD_ACCESS,
        organisation=regulator,
        summary=f"“{programme}”: award {permits:,} permits and {Decimal(flop):.3g} FLOP to {len(given)} of "
        f"{len(document['ranking'])} applications.",
        parameters={
            "programme": str(programme.pk),
            "document": document,
            "sha256": canonical.sha256(document),
        },
        now=now,
    )


# Use ------------------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def report_use(
    *,
    actor: User,
    award: AccessAward,
    permits_used: int,
    flop_used: int,
    results: str,
    now: datetime,
    proof: tuple[str, bytes] | None = None,
) -> AccessUse:
    """Report what an award was used for, and where the results are published."""
    award = locked(award.pk)
    organisation = award.application.organisation
    require_permission(may_report(actor, organisation), "Only an initiator or approver of the lab may report this.")
    AWARD.require(award.status, "reported")
    require(
        0 <= permits_used <= award.permits and 0 <= flop_used <= int(award.flop),
        "use_beyond_award",
        f"The award is {award.permits:,} permits and {int(award.flop):,} FLOP. Report no more than that.",
    )
    require(
        0 < len(results.strip()) <= 4000,
        "results_missing",
        "Say in at most 4,000 characters what came of it and where it is published.",
    )
    tasks.end_task(key=_task(award), actor=actor, now=now)
    use = AccessUse.objects.create(
        award=award,
        permits_used=permits_used,
        flop_used=Decimal(flop_used),
        results=results.strip(),
        evidence=parts.keep_proof(actor, organisation, *proof, now) if proof else None,
        reported_by=actor,
        reported_at=now,
    )
    _move(award, "reported")
    assert award.application.programme.approval is not None, "awards come from an approval"
    tasks.open_task(
        key=f"access-used:{use.pk}",
        kind="access",
        organisation=award.application.programme.approval.organisation,
        title=f"Read the use report of {organisation}: {award.application.title}.",
        link=f"/access/awards/{award.pk}/",
        now=now,
    )
    _record(actor, "reported", award, now, permits_used=permits_used, flop_used=str(flop_used))
    return use


@transaction.atomic(durable=True)
def accept_use(*, actor: User, award: AccessAward, now: datetime) -> AccessAward:
    """Accept the use report of an award. The programme closes with the last one."""
    regulator_of(actor)
    award = locked(award.pk)
    AWARD.require(award.status, "accepted")
    _move(award, "accepted")
    _end_reading(award, actor, now)
    _record(actor, "accepted", award, now)
    _close_if_done(award.application.programme, actor, now)
    return award


@transaction.atomic(durable=True)
def return_use(*, actor: User, award: AccessAward, reason: str, now: datetime) -> AccessAward:
    """Ask for another use report, and say what is missing."""
    regulator_of(actor)
    award = locked(award.pk)
    reason = " ".join(reason.split())
    require(0 < len(reason) <= 300, "reason_missing", "Say in at most 300 characters what is missing.")
    AWARD.require(award.status, "granted")
    _move(award, "granted")
    _end_reading(award, actor, now)
    _ask_for_use(award, f"Report again on “{award.application.title}”: {reason}", now)
    _record(actor, "returned", award, now, reason=reason)
    return award


def locked(award_id: uuid.UUID) -> AccessAward:
    """Lock an award, after its programme."""
    assert_in_transaction()
    programme_id = AccessAward.objects.filter(pk=award_id).values_list("application__programme_id", flat=True).first()
    if programme_id is None:
        raise Unknown("award_unknown", "There is no such award in your scope. Check the address.")
    programme = programmes.locked(programme_id)
    award = (
        AccessAward.objects.select_for_update(of=("self",)).select_related("application__organisation").get(pk=award_id)
    )
    award.application.programme = programme
    return award


def is_overdue(award: AccessAward, now: datetime) -> bool:
    """Say whether the use report of an award is late where the scheme is."""
    programme = award.application.programme
    return award.status == "granted" and now.astimezone(programme.period.scheme.tz).date() > programme.report_due_on


# The act --------------------------------------------------------------------------------------------------------------

_GIVES = frozenset({engine.Outcome.FULL.value, engine.Outcome.PART.value})


def _document(programme_id: uuid.UUID | str) -> dict[str, Any]:
    programme = AccessProgramme.objects.select_related("period__scheme").filter(pk=programme_id).first()
    if programme is None:
        raise Unknown("programme_unknown", "There is no such programme. Check the address.")
    PROGRAMME.require(programme.status, "awarded")
    return ranking(programme)


def _check(parameters: Mapping[str, Any]) -> None:
    same = canonical.sha256(_document(parameters["programme"])) == parameters["sha256"]
    require(
        same,
        "ranking_changed",
        "Scores or applications have changed since this was proposed. Propose the awards again.",
    )


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    """Move every permit in one journal, keep the awards, and ask each lab for its use report."""
    programme = programmes.locked(approval.parameters["programme"])
    _check(approval.parameters)  # under the lock: two may have been approved at once
    document = approval.parameters["document"]
    given = [row for row in document["ranking"] if row["outcome"] in _GIVES]
    found = {
        str(application.pk): application
        for application in AccessApplication.objects.select_for_update(of=("self",))
        .filter(programme=programme, status="submitted")
        .select_related("organisation", "operator")
        .order_by("pk")
    }
    journal_id = _deliver(programme, given, found, approval, now)
    programme.status, programme.approval = "awarded", approval
    programme.document, programme.sha256 = document, approval.parameters["sha256"]
    programme.save(update_fields=["status", "approval", "document", "sha256"])
    won = [found[row["application"]].pk for row in given]
    AccessApplication.objects.filter(pk__in=won).update(status="awarded")
    AccessApplication.objects.filter(pk__in=[one.pk for one in found.values()], status="submitted").update(
        status="declined"
    )
    awards = AccessAward.objects.bulk_create(
        AccessAward(
            application=found[row["application"]],
            place=row["place"],
            permits=int(row["permits"]),
            flop=Decimal(row["flop"]),
            journal_id=journal_id if int(row["permits"]) else None,
            granted_at=now,
        )
        for row in given
    )
    for award in awards:
        award.application.programme = programme
        _ask_for_use(award, f"Report on the use of the award for “{award.application.title}”.", now)
    programmes.end_scoring(programme, approval.decided_by, now)
    audit.record(
        approval.decided_by,
        "registry.programme.awarded",
        programme,
        at=now,
        organisation=approval.organisation,
        sha256=programme.sha256,
        awards=len(awards),
        journal=journal_id,
    )
    if not awards:
        _close_if_done(programme, approval.decided_by, now)
    return {"programme": str(programme.pk), "journal": journal_id, "awards": len(awards)}


def _deliver(
    programme: AccessProgramme,
    given: list[dict[str, Any]],
    found: Mapping[str, AccessApplication],
    approval: Approval,
    now: datetime,
) -> int | None:
    """Move the permits of every award from the set-aside to the labs' accounts; return the journal, if any moved."""
    source = central.account(programme.period, central.SET_ASIDE).pk
    moves = []
    for row in given:
        operator = found[row["application"]].operator
        if int(row["permits"]):
            assert operator is not None, "permits_go_to_an_operator"
            key = derive_key("access", programme.pk, row["application"])
            moves.append(
                transactions.Move(
                    "allocate", key, source, operator.account_id, programme.period.permit_id, int(row["permits"])
                )
            )
    if not moves:
        return None
    posted = transactions.move(
        moves=moves,
        organisation=approval.organisation,
        journal="allocation",
        reference=f"access:{programme.pk}",
        actor=approval.decided_by,
        now=now,
        note=f"Ranking {approval.parameters['sha256']}",
        details={"programme": str(programme.pk)},
        proposed_by=approval.proposed_by,
    )
    return posted.journal_id


# Parts ----------------------------------------------------------------------------------------------------------------


def _ask_for_use(award: AccessAward, title: str, now: datetime) -> None:
    """Open the lab's task, which reminds it midway and two days before the last day."""
    programme = award.application.programme
    due = datetime.combine(programme.report_due_on + timedelta(days=1), time.min, tzinfo=programme.period.scheme.tz)
    tasks.open_task(
        key=_task(award),
        kind="access",
        organisation=award.application.organisation,
        title=title,
        link=f"/access/awards/{award.pk}/",
        due_at=due,
        now=now,
    )


def _end_reading(award: AccessAward, actor: User, now: datetime) -> None:
    latest = award.uses.order_by("-id").first()
    assert latest is not None, "a reported award has its report"
    tasks.end_task(key=f"access-used:{latest.pk}", actor=actor, now=now)


def _close_if_done(programme: AccessProgramme, actor: User | None, now: datetime) -> None:
    """Close a programme when nothing that was awarded waits for its report any more."""
    if AccessAward.objects.filter(application__programme=programme).exclude(status="accepted").exists():
        return
    PROGRAMME.require(programme.status, "closed")
    programme.status = "closed"
    programme.save(update_fields=["status"])
    audit.record(actor, "registry.programme.closed", programme, at=now)


def _move(award: AccessAward, status: str) -> None:
    award.status = status
    award.save(update_fields=["status"])


def _task(award: AccessAward) -> str:
    """Name the task of the next use report; each report that was sent back asks for another one."""
    return f"access-use:{award.pk}:{award.uses.count()}"


def _with_titles(sentence: str, titles: Mapping[uuid.UUID, str]) -> str:
    """Call an application by its title where the engine knows its identifier only."""
    for application, title in titles.items():
        sentence = sentence.replace(str(application), f"“{title}”")
    return sentence


def _record(actor: User, what: str, award: AccessAward, now: datetime, **details: object) -> None:
    audit.record(actor, f"registry.award.{what}", award, at=now, organisation=award.application.organisation, **details)


ACTS = (
    approvals.Act(
        name=AWARD_ACCESS,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_execute,
    ),
)
