"""Verification: how long a verifier may serve, how much error is too much, and which lines to look at.

Everything is exact: quantities are in the scheme's unit, shares are fractions, and "exceeds" is strict.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from registry.engine.policy import VerificationRule
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact

CHECKLIST = {
    "risk_analysis": "Risk analysis: where an error is likely, and where it would matter",
    "sampling_plan": "Sampling plan over runs and hours",
    "recalculation": "Recalculation from the raw files",
    "meter_reconciliation": "Meters: what tenants used is no more than the site's meter over its PUE",
    "cut_off": "Cut-off: nothing of another period, nothing left out at its edges",
    "analytical_checks": "Analytical checks: joule per FLOP, Wh per request, utilisation, kWh per device hour",
    "site_visit": "Site visit",
    "independent_review": "Independent review by somebody who did not do the work",
}
"""What a verifier does before it gives a positive opinion; each item is answered as done or as not applying."""

INDEPENDENT_REVIEW = "independent_review"

CONFLICTS = {
    "consulted": "We advised the operator on its monitoring, its reports or its permits in the last three years.",
    "holds_stake": "We, or people who will work on this, own or owe something that depends on the operator.",
    "staff_shared": "People who will work on this worked for the operator in the last three years.",
    "paid_by_result": "What we are paid depends on the opinion or on what the operator will owe.",
    "trades_permits": "We trade permits, or broker them for the operator.",
}
"""What a verifier declares before it accepts: a yes to any of these is a conflict."""


@dataclass(frozen=True)
class Materiality:
    """What uncorrected misstatements add up to, the level that they are held against, and whether they exceed it."""

    reported: Fraction
    misstated: Fraction
    level: Fraction
    exceeds: bool

    @property
    def share(self) -> Fraction | None:
        """Return the misstatements as a share of the reported total; None where nothing was reported."""
        return self.misstated / self.reported if self.reported else None


def materiality(rule: VerificationRule, *, reported: Exact, unit_size: Exact, effects: Iterable[Exact]) -> Materiality:
    """Weigh uncorrected misstatements against a reported total in the scheme's unit.

    Effects are added up without their signs, so that too much here does not hide too little there. Whether a report
    is large is measured in permits.
    """
    total = exact(reported)
    misstated = sum((abs(exact(effect)) for effect in effects), Fraction(0))
    is_large = total / exact(unit_size) > exact(rule.large_from)
    level = exact(rule.materiality_large if is_large else rule.materiality)
    return Materiality(total, misstated, level, misstated > level * total)


def rotation(rule: VerificationRule, served: Collection[int], year: int) -> Refusal | None:
    """Say why a verifier may not serve an operator for one more year, if it may not.

    The years it served are one turn as long as no break between two of them is as long as the rule asks; a turn has at
    most so many years.
    """
    turn = {year}
    years = sorted(served)
    for step in (reversed([one for one in years if one < year]), [one for one in years if one > year]):
        edge = year
        for one in step:
            if abs(one - edge) - 1 >= rule.rotation_break_years:
                break
            turn.add(one)
            edge = one
    if len(turn) <= rule.rotation_years:
        return None
    return Refusal(
        "verifier_rotation",
        f"This verifier would serve the operator for {len(turn)} years; {rule.rotation_years} are allowed before a "
        f"break of {rule.rotation_break_years}. Choose another one.",
    )


def sample(
    lines: Sequence[tuple[int, Exact]], seed: str, *, largest: int = 5, others: int = 5
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Choose lines to look at, by number: the largest, and some of the others by lot.

    The lot is drawn from the hash of the report, so that anybody draws the same lines and nobody chose them.
    """
    by_size = sorted(lines, key=lambda line: (-exact(line[1]), line[0]))
    top = tuple(sorted(number for number, _ in by_size[:largest]))
    drawn = sorted(
        (number for number, _ in by_size[largest:]),
        key=lambda number: hashlib.sha256(f"{seed}:{number}".encode()).digest(),
    )
    return top, tuple(sorted(drawn[:others]))


def contradictions(rule: VerificationRule) -> list[Refusal]:
    """List everything in the rules of verification that cannot be meant."""
    if rule.materiality_large > rule.materiality:
        return [Refusal("materiality_rises", "A large report is held to the smaller error or the same: lower it.")]
    return []
