"""The access programme: an exact ranking of applications by weighted scores, and who gets how much of the budget.

The ranking: the mean of the assessors' points of each criterion, weighted, out of ten. Ties fall to the higher mean on
the criterion that weighs most, then on the next one, then to the application that came first, and last to the lower id.
In this order each application gets what it asks for while the budget lasts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact, exact_text

SCHEMA = "headroom/access-ranking/1"
MOST_POINTS = 10
FEWEST_ASSESSORS = 2
MOST_CRITERIA = 12
MOST_WEIGHT = 100
TIE_RULE = (
    "Equal scores: the higher mean on the criterion that weighs most goes first, then on the next one by weight (the "
    "first listed of equal weights), then the application that came first, then the lower identifier."
)
SHARE_RULE = (
    "In the order of the ranking each application gets what it asks for. One that the rest of the budget cannot serve "
    "gets that rest if it accepts a part; otherwise it gets nothing and the next one is looked at."
)


@dataclass(frozen=True)
class Criterion:
    """What applications are judged by, and how much it weighs."""

    code: str
    title: str
    weight: int


@dataclass(frozen=True)
class Scored:
    """An application with the points of each assessor, by criterion."""

    application: str
    submitted_at: str
    permits: int
    flop: int
    accepts_part: bool
    points: Mapping[str, Mapping[str, int]]
    """By assessor and then by criterion."""


@dataclass(frozen=True)
class Ranked:
    """An application with its place, its score of ten, and the mean of each criterion."""

    application: Scored
    place: int
    score: Fraction
    means: Mapping[str, Fraction]


class Outcome(StrEnum):
    """What an application gets, and why not more."""

    FULL = "full"
    PART = "part"
    BELOW_LEAST_SCORE = "below_least_score"
    BUDGET_USED = "budget_used"


@dataclass(frozen=True)
class Awarded:
    """What one application gets."""

    ranked: Ranked
    outcome: Outcome
    permits: int
    flop: int


def criteria_faults(criteria: Sequence[Criterion]) -> Iterator[Refusal]:
    """Say what is wrong with the criteria of a programme."""
    if not 1 <= len(criteria) <= MOST_CRITERIA:
        yield Refusal("criteria_missing", f"Name from 1 to {MOST_CRITERIA} criteria.")
    if len({criterion.code for criterion in criteria}) < len(criteria):
        yield Refusal("criterion_twice", "Two criteria have the same code. Give each its own.")
    for criterion in criteria:
        if not 1 <= criterion.weight <= MOST_WEIGHT:
            yield Refusal(
                "weight_out_of_range", f"Give {criterion.title or criterion.code} a weight from 1 to {MOST_WEIGHT}."
            )


def scores_faults(criteria: Sequence[Criterion], applications: Sequence[Scored]) -> Iterator[Refusal]:
    """Say which applications cannot be ranked yet: each needs two assessors who gave points for every criterion."""
    codes = {criterion.code for criterion in criteria}
    for one in applications:
        complete = [assessor for assessor, points in one.points.items() if set(points) == codes]
        if len(complete) < FEWEST_ASSESSORS:
            yield Refusal(
                "scores_missing",
                f"{one.application} was scored by {len(complete)}: at least {FEWEST_ASSESSORS} assessors give points "
                "for every criterion.",
            )


def rank(criteria: Sequence[Criterion], applications: Sequence[Scored]) -> list[Ranked]:
    """Rank applications that each have their scores. Every place is held by one."""
    weight = sum(criterion.weight for criterion in criteria)
    heaviest_first = sorted(criteria, key=lambda criterion: -criterion.weight)  # equal weights keep their order
    rows = []
    for one in applications:
        means = {
            criterion.code: Fraction(sum(points[criterion.code] for points in one.points.values()), len(one.points))
            for criterion in criteria
        }
        score = sum((criterion.weight * means[criterion.code] for criterion in criteria), Fraction(0)) / weight
        rows.append((one, score, means))
    rows.sort(
        key=lambda row: (
            -row[1],
            *(-row[2][criterion.code] for criterion in heaviest_first),
            row[0].submitted_at,
            row[0].application,
        )
    )
    return [Ranked(one, place, score, means) for place, (one, score, means) in enumerate(rows, start=1)]


def share_out(ranked: Sequence[Ranked], *, permits: int, flop: int, least_score: Exact) -> list[Awarded]:
    """Give each application its share in the order of the ranking; never more than the budget, and never below it."""
    awarded = []
    for one in ranked:
        asked = one.application
        if one.score < exact(least_score):
            awarded.append(Awarded(one, Outcome.BELOW_LEAST_SCORE, 0, 0))
            continue
        got = min(asked.permits, permits), min(asked.flop, flop)
        if got == (asked.permits, asked.flop):
            outcome = Outcome.FULL
        elif asked.accepts_part and any(got):
            outcome = Outcome.PART
        else:
            outcome, got = Outcome.BUDGET_USED, (0, 0)
        permits, flop = permits - got[0], flop - got[1]
        awarded.append(Awarded(one, outcome, *got))
    return awarded


def document(
    criteria: Sequence[Criterion],
    applications: Sequence[Scored],
    *,
    permits: int,
    flop: int,
    least_score: Exact,
) -> dict[str, Any]:
    """Return the ranking with everything it follows from: budget, criteria, points, scores, and what each gets."""
    awarded = share_out(rank(criteria, applications), permits=permits, flop=flop, least_score=least_score)
    return {
        "schema": SCHEMA,
        "permits": str(permits),
        "flop": str(flop),
        "least_score": exact_text(least_score),
        "criteria": [
            {"code": criterion.code, "title": criterion.title, "weight": criterion.weight} for criterion in criteria
        ],
        "tie_rule": TIE_RULE,
        "share_rule": SHARE_RULE,
        "ranking": [
            {
                "place": one.ranked.place,
                "application": one.ranked.application.application,
                "submitted_at": one.ranked.application.submitted_at,
                "asked_permits": str(one.ranked.application.permits),
                "asked_flop": str(one.ranked.application.flop),
                "accepts_part": one.ranked.application.accepts_part,
                "points": {
                    assessor: dict(sorted(points.items()))
                    for assessor, points in sorted(one.ranked.application.points.items())
                },
                "score": exact_text(one.ranked.score),
                "outcome": one.outcome.value,
                "permits": str(one.permits),
                "flop": str(one.flop),
            }
            for one in awarded
        ],
    }
