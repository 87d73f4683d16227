"""What an allocation gives: lines that show every figure, an award for each operator, and the sums."""

from dataclasses import dataclass
from fractions import Fraction

from registry.engine.allocation.claims import Method
from registry.engine.refusals import Refusal


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

    `remainder` is corrected_permits - free_permits: what the cut left (R2), or, where the pool ran short, what the
    largest-remainder rule took (above zero) or gave (below zero).
    """

    operator: str
    claimed_permits: Fraction
    corrected_permits: Fraction
    free_permits: int
    remainder: Fraction
    set_aside_need: int
    set_aside_permits: int

    @property
    def permits(self) -> int:
        """All permits this operator receives."""
        return self.free_permits + self.set_aside_permits


@dataclass(frozen=True)
class AllocationResult:
    """The division of one cap. Where there are refusals nothing was allocated and every other figure is empty."""

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
