"""What an allocation gives: lines that show every figure, an award for each operator, and the sums."""

from dataclasses import dataclass
from fractions import Fraction

from registry.engine.allocation.claims import Method
from registry.engine.allocation.notices import Notice
from registry.engine.refusals import Refusal

RESULT_FORMAT, RESULT_FORMAT_2 = "headroom.allocation-result/1", "headroom.allocation-result/2"
"""The second form has the figures that inputs of the second form lead to."""


@dataclass(frozen=True)
class Step:
    """One figure on the way from the inputs to a claim."""

    name: str
    formula: str
    value: Fraction
    unit: str


@dataclass(frozen=True)
class AllocationLine:
    """One claim, worked out step by step; `claimed_permits` is exact, before any correction or rounding."""

    operator: str
    method: Method
    product: str
    steps: tuple[Step, ...]
    claimed_permits: Fraction


@dataclass(frozen=True)
class Award:
    """What one operator gets: all its claims together, corrected, cut to whole permits, plus its set-aside.

    `remainder` is what the cut left of corrected_permits (R2), or, where the pool ran short, what the
    largest-remainder rule took (above zero) or gave (below zero). A true-up above zero is part of the claims; one below
    zero, a delivery before and a debt are netted in whole permits after the cut, and `debt` is what stays owed.
    """

    operator: str
    claimed_permits: Fraction
    corrected_permits: Fraction
    free_permits: int
    remainder: Fraction
    set_aside_need: int
    set_aside_permits: int
    entitled_permits: int = 0
    true_up: Fraction = Fraction(0)
    delivered_before: int = 0
    clawback: int = 0
    debt_before: int = 0
    debt: int = 0
    new_entrant_permits: int = 0
    consigned: bool = False

    @property
    def permits(self) -> int:
        """All permits this operator receives."""
        return self.free_permits + self.set_aside_permits + self.new_entrant_permits


@dataclass(frozen=True)
class AllocationResult:
    """The division of one cap. Where there are refusals nothing was allocated and every other figure is empty.

    cap + transfers + clawback = delivered before + free + set-aside + new entrants + kept + next year + cancelled +
    auction: where every permit of the cap goes. `kept` waits in reserves, in the open pool of new entrants and for a
    settlement.
    """

    inputs_hash: str
    cap: int
    lines: tuple[AllocationLine, ...] = ()
    awards: tuple[Award, ...] = ()
    claimed_permits: Fraction = Fraction(0)
    correction_factor: Fraction = Fraction(1)
    free_permits: int = 0
    set_aside_permits: int = 0
    auction_permits: int = 0
    remainder: Fraction = Fraction(0)
    refusals: tuple[Refusal, ...] = ()
    true_up_lines: tuple[AllocationLine, ...] = ()
    new_entrant_permits: int = 0
    kept_permits: int = 0
    next_year_permits: int = 0
    cancelled_permits: int = 0
    delivered_before: int = 0
    clawback_permits: int = 0
    transfers: int = 0
    warnings: tuple[Notice, ...] = ()
    format: str = RESULT_FORMAT
