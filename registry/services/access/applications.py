"""Applications of academic labs, and the assessors' scores of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Membership, Organisation, User
from accounts.selectors import Scope
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Forbidden, Refused, Unknown, require, require_none, require_permission
from registry.engine import access as engine
from registry.models import APPLICATION, AccessApplication, AccessProgramme, AccessScore, Operator
from registry.permissions import may_report, regulator_of
from registry.services.access import programmes
from registry.services.monitoring import parts


@dataclass(frozen=True)
class Asked:
    """What a lab applies for, and for which project."""

    title: str
    project: str
    team: str
    permits: int
    flop: int
    accepts_part: bool
    open_results: bool
    proof: tuple[str, bytes]


@dataclass(frozen=True)
class Points:
    """What an assessor gives for one criterion, and why."""

    points: int
    reason: str


@transaction.atomic(durable=True)
def apply(
    *, actor: User, organisation: Organisation, programme: AccessProgramme, asked: Asked, now: datetime
) -> AccessApplication:
    """Apply to an open programme for an academic lab. A mistake is withdrawn and sent anew before the deadline."""
    require_permission(
        organisation.kind == Organisation.Kind.LAB and may_report(actor, organisation),
        "Only an initiator or approver of an academic lab may apply.",
    )
    programme = programmes.locked(programme.pk)
    operator = Operator.objects.filter(scheme=programme.period.scheme, organisation=organisation).first()
    title = parts.name_of(asked.title, 160)
    require_none(list(_faults(programme, organisation, operator, title, asked, now)))
    application = AccessApplication.objects.create(
        programme=programme,
        organisation=organisation,
        operator=operator,
        title=title,
        project=asked.project.strip(),
        team=asked.team.strip(),
        permits=asked.permits,
        flop=asked.flop,
        accepts_part=asked.accepts_part,
        open_results=asked.open_results,
        evidence=parts.keep_proof(actor, organisation, *asked.proof, now),
        submitted_by=actor,
        submitted_at=now,
    )
    _record(actor, "submitted", application, now, permits=asked.permits, flop=str(asked.flop))
    return application


@transaction.atomic(durable=True)
def withdraw(*, actor: User, application: AccessApplication, now: datetime) -> AccessApplication:
    """Take an application back before it is decided."""
    application = locked(application.pk)
    require_permission(
        may_report(actor, application.organisation), "Only an initiator or approver of the lab may withdraw this."
    )
    APPLICATION.require(application.status, "withdrawn")
    application.status = "withdrawn"
    application.save(update_fields=["status"])
    _record(actor, "withdrawn", application, now)
    return application


@transaction.atomic(durable=True)
def score(
    *, actor: User, application: AccessApplication, points: Mapping[str, Points], now: datetime
) -> AccessApplication:
    """Give an application points for every criterion, as one of its assessors. What was given stands."""
    regulator = regulator_of(actor)
    application = locked(application.pk)
    programme = application.programme
    require(
        programme.status == "scoring" and application.status == "submitted",
        "not_scored_now",
        "Applications are scored after the deadline and before the awards. This one cannot be scored now.",
    )
    if Membership.objects.filter(user=actor, organisation=application.organisation).exists():
        raise Forbidden(
            "assessor_not_independent", "You belong or belonged to the lab that applies. Let a colleague score it."
        )
    require(
        not application.scores.filter(assessor=actor).exists(),
        "scored_already",
        "You have scored this application. What was given stands.",
    )
    criteria = programmes.criteria_of(programme)
    codes = {criterion.code for criterion in criteria}
    require(set(points) == codes, "criteria_differ", "Give points and a reason for every criterion, and for no other.")
    given = {code: Points(one.points, " ".join(one.reason.split())) for code, one in points.items()}
    found = []
    for criterion in criteria:
        one = given[criterion.code]
        if not 0 <= one.points <= engine.MOST_POINTS:
            found.append(
                Refused("points_out_of_range", f"Give {criterion.title} from 0 to {engine.MOST_POINTS} whole points.")
            )
        if not 0 < len(one.reason) <= 1000:
            found.append(
                Refused("reason_missing", f"Say in at most 1,000 characters why {criterion.title} gets its points.")
            )
    require_none(found)
    AccessScore.objects.bulk_create(
        AccessScore(
            application=application,
            assessor=actor,
            criterion=criterion.code,
            points=given[criterion.code].points,
            reason=given[criterion.code].reason,
            scored_at=now,
        )
        for criterion in criteria
    )
    audit.record(
        actor,
        "registry.application.scored",
        application,
        at=now,
        organisation=regulator,
        points={code: one.points for code, one in given.items()},
    )
    return application


# Reading --------------------------------------------------------------------------------------------------------------


def visible(scope: Scope) -> QuerySet[AccessApplication]:
    """Applications of the organisations in scope, the latest first."""
    rows = AccessApplication.objects.select_related(
        "programme__period__scheme", "organisation", "operator__account", "evidence", "submitted_by", "award"
    ).order_by("-submitted_at", "id")
    return scope.filter(rows, "organisation")


def scored(programme: AccessProgramme) -> list[engine.Scored]:
    """Return the applications that stand, with the points of every assessor, as the engine takes them."""
    found = []
    rows = programme.applications.filter(status="submitted").order_by("submitted_at", "id")
    for application in rows.prefetch_related("scores"):
        points: dict[str, dict[str, int]] = {}
        for one in application.scores.all():
            points.setdefault(str(one.assessor_id), {})[one.criterion] = one.points
        found.append(
            engine.Scored(
                application=str(application.pk),
                submitted_at=application.submitted_at.isoformat(),
                permits=application.permits,
                flop=int(application.flop),
                accepts_part=application.accepts_part,
                points=points,
            )
        )
    return found


def locked(application_id: UUID) -> AccessApplication:
    """Lock an application, after its programme."""
    assert_in_transaction()
    programme_id = AccessApplication.objects.filter(pk=application_id).values_list("programme_id", flat=True).first()
    if programme_id is None:
        raise Unknown("application_unknown", "There is no such application in your scope. Check the address.")
    programme = programmes.locked(programme_id)
    found = (
        AccessApplication.objects.select_for_update(of=("self",)).select_related("organisation").get(pk=application_id)
    )
    found.programme = programme
    return found


# Parts ----------------------------------------------------------------------------------------------------------------


def _faults(
    programme: AccessProgramme,
    organisation: Organisation,
    operator: Operator | None,
    title: str,
    asked: Asked,
    now: datetime,
) -> list[Refused]:
    found: list[Refused] = []

    def expect(condition: bool, code: str, sentence: str) -> None:
        if not condition:
            found.append(Refused(code, sentence))

    expect(
        programme.status == "open" and now < programme.deadline_at,
        "programme_not_open",
        f"“{programme}” takes no applications: its deadline was {programme.deadline_at:%Y-%m-%d %H:%M} UTC, or it was "
        "cancelled.",
    )
    live = AccessApplication.objects.filter(programme=programme, organisation=organisation, title=title)
    expect(
        not live.exclude(status="withdrawn").exists(),
        "applied_already",
        "Your lab has applied for a project of this title. Withdraw that application first.",
    )
    for text, code, what, most in (
        (asked.project, "project_missing", "Describe the project", 8000),
        (asked.team, "team_missing", "Say who works on it", 2000),
    ):
        expect(0 < len(text.strip()) <= most, code, f"{what} in at most {most:,} characters.")
    expect(
        asked.permits >= 0 and asked.flop >= 0 and bool(asked.permits or asked.flop),
        "need_missing",
        "Ask for permits, for compute in FLOP, or for both.",
    )
    expect(
        asked.permits <= programme.permits and asked.flop <= int(programme.flop),
        "need_beyond_budget",
        f"The programme has {programme.permits:,} permits and {int(programme.flop):,} FLOP in all. Ask for no more.",
    )
    expect(
        not asked.permits or operator is not None,
        "not_an_operator",
        f"{organisation} has no account in {programme.period.scheme}. Ask for compute only, or be enrolled first.",
    )
    expect(asked.open_results, "pledge_missing", "Awards go to projects whose results are published openly. Pledge it.")
    return found


def _record(actor: User, what: str, application: AccessApplication, now: datetime, **details: object) -> None:
    audit.record(
        actor,
        f"registry.application.{what}",
        application,
        at=now,
        organisation=application.organisation,
        programme=str(application.programme_id),
        **details,
    )
