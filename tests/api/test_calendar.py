"""The calendar of a scheme over REST: anybody reads every dated event of its periods, and of no draft."""

from django.urls import reverse
from rest_framework.test import APIClient

from registry.models import DueWork
from registry.services import due
from tests.api.world import World
from tests.cast import OPENING


def asked(world: World, **parameters: str) -> object:
    """Read the calendar without a token."""
    address = reverse("calendar-event-list", kwargs={"code": world.period.scheme.code})
    return APIClient().get(address, {"page_size": "100", **parameters})


def test_anybody_reads_every_event_in_order(world: World) -> None:
    events = asked(world, period=world.period.code).json()["results"]  # type: ignore[attr-defined]

    assert [event["due_at"] for event in events] == sorted(event["due_at"] for event in events)
    (surrender,) = (event for event in events if event["kind"] == "surrender")
    assert surrender == {
        "period": world.period.code,
        "kind": "surrender",
        "title": "Permits are due",
        "due_at": "2027-09-30T22:00:00Z",
        "state": "planned",
        "done_at": None,
    }


def test_states_are_told_in_words_of_the_public(world: World) -> None:
    due.run_due(now=OPENING)
    DueWork.objects.filter(period=world.period, kind="self_report").update(status="failed")
    DueWork.objects.filter(period=world.period, kind="surrender").update(status="paused")
    DueWork.objects.filter(period=world.period, kind="publication").update(status="cancelled")

    events = asked(world, period=world.period.code).json()["results"]  # type: ignore[attr-defined]

    states = {event["kind"]: event["state"] for event in events}
    assert (states["issue"], states["self_report"], states["surrender"]) == ("done", "late", "stopped")
    assert "publication" not in states


def test_drafts_and_unknown_schemes_are_not_shown(world: World) -> None:
    drafts = DueWork.objects.filter(period__status="draft").values_list("period__permit__code", flat=True)

    events = asked(world).json()["results"]  # type: ignore[attr-defined]

    assert not {event["period"] for event in events} & set(drafts)
    assert APIClient().get("/api/v1/schemes/nowhere/calendar/").status_code == 404


def test_the_calendar_is_narrowed_by_kind(world: World) -> None:
    events = asked(world, kind="verified_report").json()["results"]  # type: ignore[attr-defined]

    assert {event["kind"] for event in events} == {"verified_report"}
