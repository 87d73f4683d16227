"""The regulator's calendar on the page: what happens when, outages, later deadlines, a court's order, new periods."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Approval
from registry.models import DueWork, Extension, Outage, Period, Suspension
from registry.services import due
from tests import cast
from tests.cast import Clock
from tests.pages.world import World

AsPerson = Callable[[str], Client]

pytestmark = pytest.mark.usefixtures("clock")


def text(answer: object) -> str:
    return " ".join(answer.content.decode().split())  # type: ignore[attr-defined]


def sent(**fields: str) -> dict[str, str]:
    """Return what a browser sends."""
    return {"key": str(uuid4()), **fields}


def test_the_calendar_shows_what_is_done_what_failed_and_what_comes(
    world: World, as_person: AsPerson, clock: Clock
) -> None:
    DueWork.objects.create(
        key="x", kind="moon_phase", scheme=world.period.scheme, period=world.period, due_at=cast.OPENING
    )
    due.run_due(now=clock.now())
    client = as_person("auditor")

    overview = text(client.get(reverse("calendar")))
    page = text(client.get(reverse("scheme-calendar", args=[world.period.scheme.code])))

    assert world.period.scheme.name in overview
    assert "Permits are due" in page
    assert "Nobody knows how to do moon_phase" in page
    assert "Try again" not in page  # an auditor looks


def test_the_calendar_of_one_period(world: World, as_person: AsPerson) -> None:
    address = reverse("scheme-calendar", args=[world.period.scheme.code])

    all_years = as_person("desk officer").get(address)
    one_year = as_person("desk officer").get(address, {"period": world.period.code})

    assert {event.period_id for event, *_ in one_year.context["events"]} == {world.period.pk}
    assert len(all_years.context["events"]) > len(one_year.context["events"])


def test_an_officer_tries_failed_work_again_or_strikes_it_out(world: World, as_person: AsPerson, clock: Clock) -> None:
    work = DueWork.objects.create(
        key="x", kind="moon_phase", scheme=world.period.scheme, period=world.period, due_at=cast.OPENING
    )
    due.run_due(now=clock.now())
    client = as_person("desk officer")

    retried = client.post(reverse("work-retry", args=[work.pk]), follow=True)
    asked = client.get(reverse("work-cancel", args=[work.pk]))
    without = client.post(reverse("work-cancel", args=[work.pk]), sent(reason=" "))
    struck = client.post(reverse("work-cancel", args=[work.pk]), sent(reason="There is no moon."), follow=True)

    work.refresh_from_db()
    assert "tried again within a minute" in text(retried)
    assert (asked.status_code, without.status_code) == (200, 422)
    assert "There is no moon." in text(struck)
    assert (work.status, work.retry_at) == ("cancelled", clock.now())


def test_an_outage_before_the_deadline_is_recorded_and_moves_it(
    world: World, as_person: AsPerson, clock: Clock
) -> None:
    was = world.period.surrender_due
    clock.move_to(was - timedelta(minutes=1))
    fields = {"began_at": "2027-09-30T18:00", "ended_at": "2027-09-30T19:30", "reason": "A disk failed."}

    answer = as_person("desk officer").post(reverse("outage"), sent(**fields), follow=True)

    world.period.refresh_from_db()
    assert world.period.surrender_due == was + timedelta(hours=2)
    assert Outage.objects.get().reason == "A disk failed."
    assert "The deadline moved for" in text(answer)
    assert "A disk failed." in text(as_person("anyone").get(reverse("transparency-period", args=[world.period.code])))


@pytest.mark.parametrize(
    ("began_at", "ended_at", "said"),
    [
        ("", "2026-03-02T08:00", "This field is required"),
        ("yesterday", "2026-03-02T08:00", "Enter an instant such as"),
        ("2026-03-02T08:00", "2026-03-02T07:00", "has to end after it began"),
        ("2027-02-08T08:00", "2027-02-09T08:00", "Record what has happened so far"),
        ("0001-01-01T00:00", "2026-03-02T08:00", "years 1900 to 2200"),
    ],
)
def test_a_bad_outage_comes_back(began_at: str, ended_at: str, said: str, world: World, as_person: AsPerson) -> None:
    answer = as_person("desk officer").post(
        reverse("outage"), sent(began_at=began_at, ended_at=ended_at, reason="A disk failed.")
    )

    assert (answer.status_code, Outage.objects.count()) == (422, 0)
    assert said in text(answer)


def test_a_later_deadline_is_proposed_and_approved(world: World, as_person: AsPerson) -> None:
    fields = {
        "period": str(world.period.pk),
        "deadline": "surrender_due",
        "last_day": "2027-10-15",
        "reason": "The auction was repeated.",
    }
    address = reverse("deadline-extend", args=[world.period.scheme.code])

    as_person("desk officer").post(address, sent(**fields))
    too_early = as_person("desk officer").post(address, sent(**{**fields, "last_day": "2027-09-30"}))
    approval = Approval.objects.get(act="registry.extend_deadline")
    as_person("senior officer").post(reverse("approval-approve", args=[approval.pk]))

    assert too_early.status_code == 422
    assert "moves later only" in text(too_early)
    assert Extension.objects.get().reason == "The auction was repeated."


def test_a_senior_officer_stops_a_scheme_and_lets_it_go_on(world: World, as_person: AsPerson, clock: Clock) -> None:
    code = world.period.scheme.code
    client = as_person("senior officer")

    stopped = client.post(reverse("scheme-suspend", args=[code]), sent(reason="7 K 12/27"), follow=True)
    twice = client.post(reverse("scheme-suspend", args=[code]), sent(reason="Again."))
    world.market.refresh_from_db()
    public = text(as_person("anyone").get(reverse("transparency-period", args=[world.period.code])))
    clock.move_to(clock.now() + timedelta(days=3))
    resumed = client.post(reverse("scheme-resume", args=[code]), sent(reason="Lifted."), follow=True)

    assert "Every clock keeps the time that was left." in text(stopped)
    assert world.market.phase == "halted"  # the box for trading was not ticked
    assert (twice.status_code, "stands already" in text(twice)) == (422, True)
    assert "no deadline passes: 7 K 12/27" in public
    assert "goes on" in text(resumed)
    assert Suspension.objects.get().resumed_because == "Lifted."


@pytest.mark.parametrize("person", ["desk officer", "market monitor", "auditor", "acme approver"])
def test_nobody_else_stops_a_scheme(person: str, world: World, as_person: AsPerson) -> None:
    answer = as_person(person).post(
        reverse("scheme-suspend", args=[world.period.scheme.code]), sent(reason="We would like that.")
    )

    assert (answer.status_code, Suspension.objects.count()) == (403, 0)


def test_a_period_is_prepared_from_the_rules(world: World, as_person: AsPerson) -> None:
    address = reverse("period-new", args=[world.period.scheme.code])
    client = as_person("desk officer")

    form = client.get(address, {"year": "2028"}).context["form"]
    days = {name: str(form.initial[name]) for name in form.DATES}
    made = client.post(address, sent(**days))
    again = client.post(address, sent(**days))

    period = Period.objects.get(scheme=world.period.scheme, year=2028)
    assert days["report_due_on"] == "2029-04-02"  # 31 March 2029 is a Saturday
    assert made.status_code == 302
    assert period.due_work.filter(kind="surrender", due_at=period.surrender_due).exists()
    assert (again.status_code, "has a period 2028 already" in text(again)) == (422, True)


def test_the_public_reads_the_calendar_on_the_page_and_in_a_file(world: World, as_person: AsPerson) -> None:
    client = as_person("anyone")

    page = text(client.get(reverse("transparency-period", args=[world.period.code])))
    rows = client.get(reverse("transparency-json", args=[world.period.code, "calendar"])).json()

    assert "Verified reports are due" in page
    assert rows[-1]["event"] == "end_of_appeals"


def test_a_firm_sees_its_next_deadlines(world: World, as_person: AsPerson) -> None:
    page = text(as_person("acme viewer").get(reverse("home")))

    assert "Verified reports are due" in page
    assert "Permits are due" in page


def test_more_schemes_and_years_ask_no_more(world: World, as_person: AsPerson) -> None:
    client = as_person("desk officer")
    addresses = [reverse("calendar"), reverse("scheme-calendar", args=[world.period.scheme.code])]

    def asked() -> list[int]:
        counts = []
        for address in addresses:
            with CaptureQueriesContext(connection) as queries:
                assert client.get(address).status_code == 200
            counts.append(len(queries))
        return counts

    asked()
    few = asked()
    for number in range(3):
        cast.period_of(world.regulator, world.period.scheme, 2030 + number)
        cast.flop_scheme(world.regulator, f"scheme-{number}")

    assert asked() <= few
