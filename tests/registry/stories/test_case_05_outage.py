"""Late case 5: the registry was out of order before a deadline, and the deadline moves by the time that was lost."""

from datetime import UTC, datetime, timedelta

import pytest

from common.errors import Forbidden, Refused
from registry.models import ComplianceRecord, DueWork, Extension, Outage, Period
from registry.services import outages
from tests.cast import MICROSECOND, Clock, Party, Regulator
from tests.registry.stories.told import close_registry, give, owe

DEADLINE = datetime(2027, 9, 30, 22, 0, tzinfo=UTC)
"""The end of 30 September 2027 in Berlin."""


def out(regulator: Regulator, began: str, ended: str, now: datetime | None = None) -> list[Extension]:
    """Record an outage of that day, told in UTC."""
    began_at, ended_at = (datetime.fromisoformat(f"2027-{text}+00:00") for text in (began, ended))
    _, moved = outages.record_outage(
        actor=regulator.desk, began_at=began_at, ended_at=ended_at, reason="A disk failed.", now=now or ended_at
    )
    return moved


@pytest.mark.parametrize(
    ("outages_of_the_day", "moved_hours"),
    [
        ([("09-30T12:00", "09-30T12:30")], 0),  # not longer than 30 minutes
        ([("09-30T12:00", "09-30T12:31")], 1),
        ([("09-30T12:00", "09-30T13:00")], 1),
        ([("09-30T12:00", "09-30T13:01")], 2),
        ([("09-29T21:00", "09-29T22:20")], 0),  # twenty minutes of it lie in the last 24 hours
        ([("09-29T21:00", "09-29T22:31")], 1),
        ([("09-30T08:00", "09-30T08:40"), ("09-30T18:00", "09-30T18:40")], 2),  # 80 minutes together
        ([("09-30T08:00", "09-30T08:40"), ("09-30T18:00", "09-30T18:20")], 1),  # the second is too short to count
        ([("09-30T12:00", "09-30T12:20"), ("09-30T12:20", "09-30T12:40")], 1),  # recorded in two parts, it is one
        ([("09-30T21:50", "09-30T23:10")], 2),  # it lasted over the deadline itself
    ],
)
def test_a_long_outage_moves_the_deadline_by_full_hours(
    regulator: Regulator, capped_period: Period, outages_of_the_day: list[tuple[str, str]], moved_hours: int
) -> None:
    for began, ended in outages_of_the_day:
        out(regulator, began, ended)

    capped_period.refresh_from_db()
    assert capped_period.surrender_due == DEADLINE + timedelta(hours=moved_hours)
    assert DueWork.objects.get(kind="surrender").due_at == capped_period.surrender_due
    assert [extension.outage_id is not None for extension in Extension.objects.all()] == [
        True
    ] * Extension.objects.count()
    assert Outage.objects.count() == len(outages_of_the_day)


def test_who_was_kept_out_surrenders_in_the_time_that_was_given_back(
    regulator: Regulator, period: Period, acme: Party, borealis: Party, verity: Party, clock: Clock
) -> None:
    """The registry is down from 20:40 to 21:50 UTC on the last evening: two hours are given back."""
    owe(acme, verity, period, 100, clock)
    owe(borealis, verity, period, 100, clock)
    clock.move_to(DEADLINE - timedelta(minutes=5))
    out(regulator, "09-30T20:40", "09-30T21:50", clock.now())

    clock.move_to(DEADLINE + timedelta(hours=2) - MICROSECOND)
    give(acme, period, 100, clock)
    clock.move_to(DEADLINE + timedelta(hours=2))
    give(borealis, period, 100, clock)

    period.refresh_from_db()
    close_registry(period, clock, DEADLINE + timedelta(hours=3))
    letters = dict(
        ComplianceRecord.objects.filter(occasion="deadline").values_list("operator__organisation__name", "status")
    )
    assert letters == {"Acme": "A", "Borealis": "B"}


def test_the_reports_deadline_moves_too_and_the_other_stays(regulator: Regulator, capped_period: Period) -> None:
    was = capped_period.report_due

    moved = out(regulator, "03-31T20:00", "03-31T21:30")

    capped_period.refresh_from_db()
    assert [extension.deadline for extension in moved] == ["report_due"]
    assert (capped_period.report_due, capped_period.surrender_due) == (was + timedelta(hours=2), DEADLINE)


def test_once_the_letters_are_out_no_outage_moves_their_deadline(
    regulator: Regulator, period: Period, clock: Clock
) -> None:
    close_registry(period, clock, DEADLINE)

    moved = out(regulator, "09-30T20:00", "09-30T21:30", DEADLINE + timedelta(hours=1))

    period.refresh_from_db()
    assert (moved, period.surrender_due) == ([], DEADLINE)


@pytest.mark.parametrize(
    ("began", "ended", "code"),
    [
        ("09-30T20:00", "09-30T20:00", "outage_out_of_order"),
        ("09-30T20:00", "10-01T20:00", "outage_in_future"),
        ("08-01T20:00", "09-30T20:00", "outage_too_long"),
    ],
)
def test_an_outage_that_cannot_have_been_is_refused(
    regulator: Regulator, capped_period: Period, began: str, ended: str, code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        out(regulator, began, ended, DEADLINE)

    assert refusal.value.code == code


def test_only_an_officer_records_an_outage(regulator: Regulator, acme: Party, capped_period: Period) -> None:
    with pytest.raises(Forbidden):
        outages.record_outage(
            actor=acme.initiator,
            began_at=DEADLINE - timedelta(hours=2),
            ended_at=DEADLINE,
            reason="We were late.",
            now=DEADLINE,
        )
