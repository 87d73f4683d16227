"""The ranking of applications by hand and by an obvious twin, and that the budget is never passed."""

from fractions import Fraction
from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine import access
from registry.engine.access import Criterion, Outcome, Ranked, Scored

CRITERIA = (Criterion("merit", "Merit", 3), Criterion("open", "Openness", 2))


def scored(
    name: str, *assessors: tuple[int, int], permits: int = 10, flop: int = 0, at: str = "2026-03-02", part: bool = False
) -> Scored:
    points = {f"a{place}": {"merit": merit, "open": opened} for place, (merit, opened) in enumerate(assessors)}
    return Scored(name, at, permits, flop, part, points)


def order(*applications: Scored) -> list[str]:
    return [one.application.application for one in access.rank(CRITERIA, applications)]


def test_scores_are_weighted_exactly() -> None:
    (one,) = access.rank(CRITERIA, [scored("a", (8, 5), (7, 6), (9, 6))])

    assert one.means == {"merit": 8, "open": Fraction(17, 3)}
    assert one.score == (3 * 8 + 2 * Fraction(17, 3)) / 5


def test_ties_fall_by_the_heaviest_criterion_then_by_time_then_by_id() -> None:
    assert order(scored("a", (6, 8), (6, 8)), scored("b", (8, 5), (8, 5))) == ["b", "a"]
    assert order(scored("a", (8, 5), at="2026-03-03"), scored("b", (8, 5), at="2026-03-02")) == ["b", "a"]
    assert order(scored("b", (8, 5)), scored("a", (8, 5))) == ["a", "b"]


@pytest.mark.parametrize(
    ("permits", "flop", "part", "expected"),
    [
        (10, 5, False, [(Outcome.FULL, 10, 5), (Outcome.BUDGET_USED, 0, 0), (Outcome.BELOW_LEAST_SCORE, 0, 0)]),
        (14, 5, True, [(Outcome.FULL, 10, 5), (Outcome.PART, 4, 0), (Outcome.BELOW_LEAST_SCORE, 0, 0)]),
        (10, 5, True, [(Outcome.FULL, 10, 5), (Outcome.BUDGET_USED, 0, 0), (Outcome.BELOW_LEAST_SCORE, 0, 0)]),
        (20, 10, False, [(Outcome.FULL, 10, 5), (Outcome.FULL, 10, 5), (Outcome.BELOW_LEAST_SCORE, 0, 0)]),
    ],
)
def test_the_budget_goes_down_the_ranking(
    permits: int, flop: int, part: bool, expected: list[tuple[Outcome, int, int]]
) -> None:
    ranked = access.rank(
        CRITERIA,
        [scored("a", (9, 9), flop=5), scored("b", (8, 8), flop=5, part=part), scored("c", (2, 2), permits=1)],
    )

    awarded = access.share_out(ranked, permits=permits, flop=flop, least_score=5)

    assert [(one.outcome, one.permits, one.flop) for one in awarded] == expected


def test_an_application_without_two_complete_assessors_is_not_ranked() -> None:
    half = Scored("b", "2026-03-02", 1, 0, False, {"a0": {"merit": 5, "open": 5}, "a1": {"merit": 5}})

    found = list(access.scores_faults(CRITERIA, [scored("a", (5, 5), (6, 6)), half]))

    assert [fault.code for fault in found] == ["scores_missing"]
    assert "b was scored by 1" in found[0].sentence


@pytest.mark.parametrize(
    ("criteria", "code"),
    [
        ((), "criteria_missing"),
        ((CRITERIA[0], CRITERIA[0]), "criterion_twice"),
        ((Criterion("merit", "Merit", 0),), "weight_out_of_range"),
    ],
)
def test_criteria_that_say_nothing_are_refused(criteria: tuple[Criterion, ...], code: str) -> None:
    assert [fault.code for fault in access.criteria_faults(criteria)] == [code]


APPLICATIONS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=3),
        st.integers(0, 9),
        st.integers(0, 9),
        st.sampled_from(["2026-03-01", "2026-03-02"]),
        st.booleans(),
    ),
    max_size=7,
)


@given(APPLICATIONS, st.integers(0, 20), st.integers(0, 20))
def test_ranking_and_shares_are_those_of_the_obvious_twin(
    told: list[tuple[list[tuple[int, int]], int, int, str, bool]], permits: int, flop: int
) -> None:
    applications = [
        scored(f"n{place}", *points, permits=asked, flop=compute, at=at, part=part)
        for place, (points, asked, compute, at, part) in enumerate(told)
    ]

    ranked = access.rank(CRITERIA, applications)
    awarded = access.share_out(ranked, permits=permits, flop=flop, least_score=1)

    def before(one: Scored, other: Scored) -> int:
        """Compare two by whole numbers: the sums over assessors are put on one denominator."""
        n, m = len(one.points), len(other.points)

        def sums(of: Scored, criterion: str, times: int) -> int:
            return sum(points[criterion] for points in of.points.values()) * times

        pairs = [(sums(one, code, m), sums(other, code, n)) for code in ("merit", "open")]
        mine, theirs = 3 * pairs[0][0] + 2 * pairs[1][0], 3 * pairs[0][1] + 2 * pairs[1][1]
        for left, right in ((mine, theirs), *pairs):
            if left != right:
                return -1 if left > right else 1
        return -1 if (one.submitted_at, one.application) < (other.submitted_at, other.application) else 1

    assert [one.application for one in ranked] == sorted(applications, key=cmp_to_key(before))
    assert sum(one.permits for one in awarded) <= permits
    assert sum(one.flop for one in awarded) <= flop
    left = [permits, flop]
    for one in awarded:
        asked = (one.ranked.application.permits, one.ranked.application.flop)
        fits = asked[0] <= left[0] and asked[1] <= left[1]
        if one.outcome is Outcome.FULL:
            assert fits
        elif one.outcome is Outcome.PART:
            assert not fits
            assert (one.permits, one.flop) == (min(asked[0], left[0]), min(asked[1], left[1])) != (0, 0)
        elif one.outcome is Outcome.BUDGET_USED:
            assert not fits
        left = [left[0] - one.permits, left[1] - one.flop]


def test_the_document_says_everything_the_ranking_rests_on() -> None:
    ranked: Ranked = access.rank(CRITERIA, [scored("a", (8, 5), (7, 6))])[0]

    found = access.document(CRITERIA, [ranked.application], permits=10, flop=0, least_score=5)

    assert (found["ranking"][0]["score"], found["ranking"][0]["outcome"]) == ("6.7", "full")
    assert found["tie_rule"] == access.TIE_RULE
