"""The pools of a cap beside the free methods: set-asides, new entrants, reserves, and what is left for auction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from registry.engine.refusals import Refusal
from registry.engine.rounding import share_pool


class Leftover(StrEnum):
    """Where permits of a pool go that nobody got."""

    AUCTION = "auction"
    NEXT_YEAR = "next_year"
    CANCEL = "cancel"


@dataclass(frozen=True)
class SetAsideNeed:
    """The permits an eligible lab has proved it needs beyond what the free methods give it."""

    operator: str
    cohort: str
    permits: int


@dataclass(frozen=True)
class SetAsidePool:
    """Permits kept for one cohort, shared in proportion up to proven need."""

    cohort: str
    permits: int
    leftover: Leftover = Leftover.AUCTION


@dataclass(frozen=True)
class Application:
    """A new entrant's complete application: the instant of its last missing paper decides, not of its first."""

    operator: str
    complete_at: datetime
    permits: int


@dataclass(frozen=True)
class NewEntrantPool:
    """Permits for operators that begin. While it is open the rest waits for the next one; closed, it is left over."""

    permits: int
    applications: tuple[Application, ...] = ()
    leftover: Leftover = Leftover.AUCTION
    closed: bool = False


@dataclass(frozen=True)
class Reserve:
    """Permits of the cap that are kept back from the auction under a name, such as a stability reserve."""

    name: str
    permits: int


def auction_volume(cap: int, *, free: int, kept: Iterable[int] = (), transfers: int = 0) -> int | Refusal:
    """Return what is left of a cap for auction, in whole permits: cap - free - set-asides and reserves + transfers.

    The United Kingdom's formula AC - (AFA + IC + RFS + NER + BF) + T (SI 2021/484, regulations 8 and 9) has the same
    form. A volume below zero is refused: permits that do not exist cannot be given away.
    """
    volume = cap - free - sum(kept) + transfers
    if volume < 0:
        return Refusal(
            "auction_below_zero",
            f"Free permits, set-asides and reserves exceed the cap by {-volume:,}: lower them, raise the cap, or let "
            "the correction factor apply.",
        )
    return volume


def share_set_aside(pool: int, needs: Mapping[str, int]) -> dict[str, int]:
    """Give each lab its proven need, or where the pool runs short a share in proportion to it (R3)."""
    return share_pool(pool, needs) if sum(needs.values()) > pool else dict(needs)


def first_come_first_served(pool: int, applications: Sequence[Application]) -> dict[str, int]:
    """Serve complete applications in the order of their instants, ties to the lowest operator key.

    Whoever comes when less is left than it asks for gets what is left; everybody after it gets nothing.
    """
    assert pool >= 0
    awards: dict[str, int] = {}
    for application in sorted(applications, key=lambda found: (found.complete_at, found.operator)):
        awards[application.operator] = min(application.permits, pool)
        pool -= awards[application.operator]
    return awards
