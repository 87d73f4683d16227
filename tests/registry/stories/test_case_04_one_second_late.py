"""Late case 4: permits that come late, be it by a microsecond, make good and never count as in time."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from registry.models import ComplianceRecord, Period, Sanction
from registry.services import due, schemes
from tests import cast
from tests.cast import MICROSECOND, SANCTION_MINOR, Clock, Party, Regulator
from tests.registry.stories.told import close_registry, give, log, owe


@pytest.mark.parametrize(
    ("after_the_deadline", "letter", "states"),
    [
        (-MICROSECOND, "A", ["draft", "reported", "verified", "due", "met"]),
        (timedelta(0), "B", ["draft", "reported", "verified", "due", "short", "cured_late"]),
        (MICROSECOND, "B", ["draft", "reported", "verified", "due", "short", "cured_late"]),
        (timedelta(seconds=1), "B", ["draft", "reported", "verified", "due", "short", "cured_late"]),
    ],
    ids=["a microsecond early", "at the deadline", "a microsecond late", "a second late"],
)
def test_the_receipt_instant_decides_and_nothing_else(
    period: Period,
    acme: Party,
    verity: Party,
    clock: Clock,
    after_the_deadline: timedelta,
    letter: str,
    states: list[str],
) -> None:
    """Acme owes 100 permits for 2026 and surrenders them around the last instant of 30 September 2027."""
    owe(acme, verity, period, 100, clock)
    due.run_due(now=clock.move_to(period.report_due))
    clock.move_to(period.surrender_due + after_the_deadline)

    receipt = give(acme, period, 100, clock)

    # the registry decides an hour later, from the instants alone
    close_registry(period, clock, period.surrender_due + timedelta(hours=1))
    assert receipt.received_at == period.surrender_due + after_the_deadline
    official = ComplianceRecord.objects.get(operator=acme.operator, period=period, occasion="deadline")
    assert official.status == letter
    assert log(acme, period) == states
    sanctioned = Sanction.objects.filter(operator=acme.operator).values_list("shortfall", "amount_minor")
    assert list(sanctioned) == ([] if letter == "A" else [(100, 100 * SANCTION_MINOR)])

    # what came late cured the shortfall; the official letter stays what it was
    present = ComplianceRecord.objects.filter(operator=acme.operator, period=period).order_by("id").last()
    assert present is not None
    assert (present.status, present.surrendered) == ("A", 100)


def test_once_the_letters_are_out_a_clock_that_steps_back_makes_nothing_timely(
    period: Period, acme: Party, verity: Party, clock: Clock
) -> None:
    """The machine's clock is corrected by two seconds after the letters were recorded; Acme surrenders just then."""
    owe(acme, verity, period, 100, clock)
    close_registry(period, clock, period.surrender_due)
    clock.move_to(period.surrender_due - timedelta(seconds=2))

    receipt = give(acme, period, 100, clock)

    assert receipt.received_at == period.surrender_due
    assert log(acme, period)[-2:] == ["short", "cured_late"]


@pytest.mark.parametrize(
    ("zone", "last_day", "deadline"),
    [
        ("Europe/Berlin", date(2027, 3, 27), datetime(2027, 3, 27, 23, 0, tzinfo=UTC)),
        ("Europe/Berlin", date(2027, 3, 28), datetime(2027, 3, 28, 22, 0, tzinfo=UTC)),  # 23 hours long
        ("Europe/Berlin", date(2027, 10, 31), datetime(2027, 10, 31, 23, 0, tzinfo=UTC)),  # 25 hours long
        ("America/Los_Angeles", date(2027, 11, 7), datetime(2027, 11, 8, 8, 0, tzinfo=UTC)),  # 25 hours long
        ("America/Santiago", date(2027, 9, 4), datetime(2027, 9, 5, 4, 0, tzinfo=UTC)),  # midnight is skipped
        ("Pacific/Auckland", date(2027, 9, 30), datetime(2027, 9, 30, 11, 0, tzinfo=UTC)),
    ],
)
def test_a_deadline_ends_with_its_day_whatever_the_clocks_do_that_night(
    regulator: Regulator, zone: str, last_day: date, deadline: datetime
) -> None:
    """The last day ends where the scheme is, be it 23 or 25 hours long."""
    scheme = schemes.create_scheme(
        actor=regulator.desk,
        code="zoned",
        name="Zoned",
        metric="flop",
        unit_size=Decimal(cast.PERMIT_FLOP),
        currency="eur",
        zone=zone,
        large_transfer=cast.LARGE_TRANSFER,
        sanction_minor=SANCTION_MINOR,
        now=cast.OPENING,
    )

    period = schemes.open_period(
        actor=regulator.desk,
        scheme=scheme,
        year=2026,
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 12, 31),
        report_due_on=date(2027, 2, 1),
        surrender_due_on=last_day,
        now=cast.OPENING,
    )

    assert period.surrender_due == deadline
    local = (deadline - MICROSECOND).astimezone(scheme.tz)
    assert (local.date(), local.hour, local.minute, local.second) == (last_day, 23, 59, 59)
