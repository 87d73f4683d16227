"""Invariants: statements about all the rows there are, which each app lists and `manage.py verify` checks.

An app's list is called INVARIANTS and stands in its `invariants` module.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

Finding = tuple[int, Mapping[str, object] | None]
"""How many rows were checked, and the first that breaks the invariant, if any."""


@dataclass(frozen=True)
class Invariant:
    """A sentence that is true of the whole database, and how to find the first row of which it is not.

    `check` is told an instant and looks at nothing booked after it, or is told None and looks at everything. One that
    can only speak about the present says so, and is left out when an instant is asked for.
    """

    name: str
    check: Callable[[datetime | None], Finding]
    present_only: bool = False


@dataclass(frozen=True)
class Result:
    """What checking one invariant found."""

    name: str
    checked: int
    offender: Mapping[str, object] | None

    @property
    def broken(self) -> bool:
        """Whether a row was found that breaks the invariant."""
        return self.offender is not None


def sql_invariant(name: str, *, counted: str, breaches: str, present_only: bool = False) -> Invariant:
    """Return an invariant told in SQL: a query that counts what is checked, and one that lists what breaks it.

    Both may name `%(as_of)s`, which is 'infinity' when no instant is asked for.
    """

    def check(as_of: datetime | None) -> Finding:
        instant = {"as_of": "infinity" if as_of is None else as_of.isoformat()}
        with connection.cursor() as cursor:
            cursor.execute(counted, instant)
            checked: int = cursor.fetchone()[0]
            cursor.execute(f"{breaches} LIMIT 1", instant)
            row = cursor.fetchone()
            columns = [column.name for column in cursor.description or ()]
        return checked, None if row is None else dict(zip(columns, row, strict=True))

    return Invariant(name, check, present_only)


def check_all(invariants: Iterable[Invariant], as_of: datetime | None = None) -> list[Result]:
    """Check the invariants in their order. Call it in one snapshot, so that they all speak of the same rows."""
    return [
        Result(invariant.name, *invariant.check(as_of))
        for invariant in invariants
        if as_of is None or not invariant.present_only
    ]
