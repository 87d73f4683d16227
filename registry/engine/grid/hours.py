"""Hours as whole numbers: how many of them lie between the beginning of 1970 and their own, in UTC."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hour_number(moment: datetime) -> int:
    """Return the number of the hour in which a moment lies."""
    assert moment.tzinfo is not None, "an hour needs to know its zone"
    return (moment - _EPOCH) // HOUR


def hour_at(number: int) -> datetime:
    """Return the beginning of an hour in UTC."""
    return _EPOCH + number * HOUR


def first_hour(moment: datetime) -> int:
    """Return the number of the first hour that begins at a moment or after it."""
    return -((_EPOCH - moment) // HOUR)


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return hours in a row as pairs: the first, and the first that is no longer among them."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found
