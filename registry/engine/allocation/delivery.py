"""Delivery: how an entitlement becomes permits in an account, after true-ups, earlier deliveries, debts and appeals.

A debt is in permits and comes before any new free delivery; a balance is never driven below zero.
"""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, WholePermits, exact, floor_permits


@dataclass(frozen=True)
class Delivery:
    """What is delivered now, what of this year's earlier delivery was too much, and what stays owed, in permits.

    `debt` holds everything owed afterwards, the clawback included.
    """

    delivered: int
    clawback: int
    debt: int


@dataclass(frozen=True)
class ClawBack:
    """What can be taken back from a balance now, and what becomes or stays a debt."""

    taken: int
    debt: int


@dataclass(frozen=True)
class Settlement:
    """A pre-allocation settled on verified output. `remainder` is what the cut to whole permits left."""

    entitled: int
    delivered: int
    clawback: int
    remainder: Fraction


@dataclass(frozen=True)
class ContestedSplit:
    """An award under appeal: the uncontested part goes out, the rest waits in escrow."""

    delivered: int
    escrowed: int


def whole_true_up(true_up: Exact) -> WholePermits:
    """Cut a true-up to whole permits towards zero, so that neither side gets a part of a permit it is not owed.

    Rule R2 for whoever is owed: the firm where it is above zero, the registry where it is below. The remainder has the
    sign of the true-up.
    """
    value = exact(true_up)
    cut = floor_permits(abs(value))
    return cut if value >= 0 else WholePermits(-cut.permits, -cut.remainder)


def deliver(entitled: int, *, delivered_before: int = 0, true_up: int = 0, debt: int = 0) -> Delivery:
    """Net an entitlement with what was delivered for the same year, a true-up of an earlier one, and a debt.

    All in whole permits. delivered - (debt after - debt before) = entitled - delivered_before + true_up, always.
    17 CCR 95891: A_t = initial_t + true-up_t; a negative result is netted against the next delivery as a debt.
    """
    assert min(entitled, delivered_before, debt) >= 0
    net = entitled - delivered_before + true_up - debt
    return Delivery(max(0, net), max(0, delivered_before - entitled), max(0, -net))


def pre_allocated(claim: Exact, share: Exact) -> WholePermits:
    """Give a share of a claim ahead of the verified output, in whole permits (R2).

    China 2019-20: 70 % of the output of 2018 times the benchmark first, the rest on verified output.
    """
    assert 0 <= exact(share) <= 1
    return floor_permits(exact(claim) * exact(share))


def settle(final_claim: Exact, delivered_before: int) -> Settlement:
    """Settle a pre-allocation on the verified claim: deliver the rest, or claw back what was too much (R2)."""
    final = floor_permits(final_claim)
    delivery = deliver(final.permits, delivered_before=delivered_before)
    return Settlement(final.permits, delivery.delivered, delivery.clawback, final.remainder)


def claw_back(owed: int, balance: int) -> ClawBack:
    """Take back what is owed as far as the balance goes; the rest is a debt. The balance never falls below zero."""
    assert min(owed, balance) >= 0
    taken = min(owed, balance)
    return ClawBack(taken, owed - taken)


def active_share(year: int, first_day: date | None, last_day: date | None) -> Fraction:
    """Return the share of a year in which an operator was active: days active over the days of that year, exactly.

    First and last day both count. Free permits of a firm that closes stop by the day, 29 February included.
    """
    start, end = date(year, 1, 1), date(year, 12, 31)
    first, last = max(start, first_day or start), min(end, last_day or end)
    return Fraction(max(0, (last - first).days + 1), (end - start).days + 1)


def split_contested(award: int, contested: int) -> ContestedSplit | Refusal:
    """Split an award under appeal: the uncontested part is delivered, the contested part is held in escrow."""
    if not 0 <= contested <= award:
        return Refusal(
            "contested_out_of_range",
            f"The contested part must lie between 0 and the {award:,} permits of the award.",
        )
    return ContestedSplit(award - contested, contested)
