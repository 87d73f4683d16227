"""What the tests of the access programme share: permits set aside, a call, applications, and scores."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from django.db import transaction

from accounts.models import User
from accounts.services import organisations
from registry.engine.access import Criterion
from registry.models import AccessApplication, AccessProgramme, Period
from registry.services import central, transactions
from registry.services.access import applications, programmes
from registry.services.access.applications import Asked, Points
from registry.services.access.programmes import Call
from tests.cast import OPENING, Party, Regulator, person

SET_ASIDE = 500
LAST_DAY = date(2026, 3, 31)
AFTER_DEADLINE = datetime(2026, 4, 1, 9, 0, tzinfo=OPENING.tzinfo)
REPORT_DUE = date(2026, 12, 31)
CRITERIA = (Criterion("merit", "Scientific merit", 3), Criterion("openness", "Openness of results", 2))
ASKED = Asked(
    title="Protein folding",
    project="We fold proteins with small models and compare them with large ones.",
    team="Two doctoral students and their advisor.",
    permits=100,
    flop=0,
    accepts_part=False,
    open_results=True,
    proof=("plan.csv", b"month;FLOP\n4;1e20\n"),
)


def set_aside(regulator: Regulator, period: Period, quantity: int = SET_ASIDE) -> None:
    """Move permits that were kept for auction into the set-aside of a period."""
    with transaction.atomic():
        transactions.move(
            moves=[
                transactions.Move(
                    "move_to_reserve",
                    uuid4(),
                    central.account(period, central.AUCTION).pk,
                    central.account(period, central.SET_ASIDE).pk,
                    period.permit_id,
                    quantity,
                )
            ],
            organisation=regulator.organisation,
            journal="move_to_reserve",
            reference=f"set aside for a test {uuid4()}",
            actor=regulator.senior,
            now=OPENING,
        )


def call(period: Period, permits: int = 150, flop: int = 10**21, name: str = "Spring call") -> Call:
    """Return a call that is complete."""
    return Call(
        period=period,
        name=name,
        description="For academic labs that publish what they find.",
        permits=permits,
        flop=flop,
        criteria=CRITERIA,
        least_score=Decimal(5),
        deadline_on=LAST_DAY,
        report_due_on=REPORT_DUE,
    )


def opened(regulator: Regulator, period: Period, permits: int = 150, flop: int = 10**21) -> AccessProgramme:
    """Open a programme whose permits are there."""
    set_aside(regulator, period)
    return programmes.open_programme(actor=regulator.desk, call=call(period, permits, flop), now=OPENING)


def applied(lab: Party, programme: AccessProgramme, **changes: object) -> AccessApplication:
    """Let a lab apply."""
    return applications.apply(
        actor=lab.initiator,
        organisation=lab.organisation,
        programme=programme,
        asked=replace(ASKED, **changes),  # type: ignore[arg-type]
        now=OPENING + timedelta(hours=AccessApplication.objects.count()),
    )


def second_assessor(regulator: Regulator) -> User:
    """Return a second officer of the desk, who is hired once."""
    found = User.objects.filter(email="dora.desk@example.org").first()
    if found is None:
        found = person("Dora Desk")
        organisations.grant_role(
            actor=regulator.senior, user=found, organisation=regulator.organisation, role="desk_officer", now=OPENING
        )
    return found


def points(merit: int, openness: int) -> dict[str, Points]:
    """Return points for both criteria, with reasons."""
    return {"merit": Points(merit, "The method is sound."), "openness": Points(openness, "Code will be published.")}


def scored(regulator: Regulator, application: AccessApplication, *given: tuple[int, int]) -> None:
    """Let assessors score an application, each with points for merit and openness."""
    for assessor, (merit, openness) in zip((regulator.desk, second_assessor(regulator)), given, strict=False):
        applications.score(actor=assessor, application=application, points=points(merit, openness), now=AFTER_DEADLINE)


def in_scoring(regulator: Regulator, programme: AccessProgramme) -> AccessProgramme:
    """Close the door for applications."""
    return programmes.begin_scoring(actor=regulator.desk, programme=programme, now=AFTER_DEADLINE)
