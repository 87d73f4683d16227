"""Allocation: what each method gives, how pools are shared exactly, and what an auditor can recompute."""

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.allocation import (
    AiAllowanceClaim,
    AllocationInputs,
    AllocationLine,
    Claim,
    GrandfatheringClaim,
    Method,
    Metric,
    ProductBenchmarkClaim,
    SetAsideNeed,
    allocate,
    inputs_document,
    inputs_from_document,
    inputs_hash,
    result_document,
)

EXA = 10**18

BIG_FIRM = AiAllowanceClaim(
    operator="boreal",
    product="inference",
    output_flop=10**27,
    benchmark_j_per_flop=Decimal("1.0E-12"),
    assistance_factor=1,
    own_j_per_flop=Decimal("1.117E-12"),
)
EFFICIENT_LAB = AiAllowanceClaim(
    operator="quill-lab",
    product="inference",
    output_flop=2 * 10**25,
    benchmark_j_per_flop=Decimal("1.0E-12"),
    assistance_factor=Decimal("1.1"),
    own_j_per_flop=Decimal("0.8E-12"),
)
ROOMY = AllocationInputs(
    scheme="compute",
    period="2027",
    metric=Metric.FLOP,
    permit_size=EXA,
    cap=1_200_000_000,
    free_pool=1_000_000_000,
    set_aside_pool=50_000_000,
    claims=(BIG_FIRM, EFFICIENT_LAB),
    set_aside_needs=(SetAsideNeed("quill-lab", "academic", 1_000_000),),
)
TONNES = replace(
    ROOMY, metric=Metric.CO2E, permit_size=1, cap=1000, free_pool=900, set_aside_pool=50, claims=(), set_aside_needs=()
)


def figures(line: AllocationLine) -> dict[str, Fraction]:
    return {step.name: step.value for step in line.steps}


def test_the_ai_allowance_follows_the_worked_example_of_the_paper_line_by_line() -> None:
    result = allocate(ROOMY)

    firm, lab = result.lines
    assert figures(firm)["A"] == 10**15  # joules
    assert round(figures(firm)["A"] / 3_600_000 / 10**6, 1) == Decimal("277.8")  # GWh
    assert figures(firm)["F"] == Fraction(10**27 * 1000, 1117)  # 8.95e26 FLOP: 1.05e26 short of its output
    assert figures(lab)["F"] == Fraction(275, 10) * 10**24  # 2.75e25 FLOP: 7.5e24 more than its output
    assert [award.free_permits for award in result.awards] == [895_255_147, 27_500_000]


def test_the_efficient_lab_can_sell_and_the_inefficient_firm_must_buy() -> None:
    result = allocate(ROOMY)

    output_permits = {"boreal": 10**9, "quill-lab": 2 * 10**7}
    position = {award.operator: award.free_permits - output_permits[award.operator] for award in result.awards}
    assert position == {"boreal": -104_744_853, "quill-lab": 7_500_000}


def test_claims_that_fit_are_floored_and_everything_else_goes_to_auction() -> None:
    result = allocate(ROOMY)

    assert result.correction_factor == 1
    assert (result.free_permits, result.set_aside_permits) == (922_755_147, 1_000_000)
    assert result.auction_permits == 1_200_000_000 - 922_755_147 - 1_000_000
    assert result.remainder == result.claimed_permits - 922_755_147
    assert 0 < result.remainder < 2


def test_in_a_carbon_scheme_the_allowance_is_tonnes_at_the_published_intensity() -> None:
    claim = replace(BIG_FIRM, output_flop=10**24, own_j_per_flop=None)
    result = allocate(replace(TONNES, claims=(claim,), intensity_g_per_kwh=Decimal(475)))

    assert figures(result.lines[0])["A in kWh"] == Fraction(10**12, 3_600_000)
    assert figures(result.lines[0])["M"] == Fraction(10**12 * 475, 3_600_000 * 10**6)
    assert result.awards[0].free_permits == 131  # 277.8 MWh at 475 g/kWh


def test_the_product_benchmark_is_output_times_benchmark_times_factor() -> None:
    claim = ProductBenchmarkClaim(
        "boreal", "million tokens", output=1234, benchmark=Decimal("0.25"), factor=Decimal("0.9")
    )

    result = allocate(replace(TONNES, claims=(claim,)))

    assert result.lines[0].claimed_permits == Decimal("277.65")
    assert (result.awards[0].free_permits, result.awards[0].remainder) == (277, Fraction(65, 100))


def test_a_permit_may_stand_for_a_fraction_of_the_base_unit() -> None:
    claim = ProductBenchmarkClaim("boreal", "tokens", output=7, benchmark=1, factor=1)

    halves = allocate(replace(TONNES, claims=(claim,), permit_size=Decimal("0.5")))

    assert halves.awards[0].free_permits == 14
    assert inputs_document(replace(TONNES, permit_size=Decimal("0.50")))["permit_size"] == "0.5"


def test_grandfathering_takes_the_mean_over_the_years_that_have_a_figure() -> None:
    claim = GrandfatheringClaim(
        "boreal", "site", use_by_year={2023: 100, 2024: None, 2025: 0, 2026: 260}, share=Decimal("0.5")
    )

    result = allocate(replace(TONNES, claims=(claim,)))

    assert figures(result.lines[0])["mean"] == 120  # zero is a figure, missing is not
    assert result.awards[0].free_permits == 60


def test_a_firm_with_two_products_is_rounded_once() -> None:
    halves = tuple(
        ProductBenchmarkClaim("boreal", product, output=1, benchmark=Decimal("0.5"), factor=1) for product in "ab"
    )

    result = allocate(replace(TONNES, claims=halves))

    assert len(result.lines) == 2
    assert [award.free_permits for award in result.awards] == [1]


def test_claims_above_the_pool_are_cut_by_one_factor_and_use_the_pool_up_exactly() -> None:
    claims = tuple(ProductBenchmarkClaim(name, "tokens", output=700, benchmark=1, factor=1) for name in ("b", "c", "a"))

    result = allocate(replace(TONNES, claims=claims, free_pool=901, set_aside_pool=0))

    assert result.correction_factor == Fraction(901, 2100)
    assert {award.operator: award.free_permits for award in result.awards} == {"a": 301, "b": 300, "c": 300}
    assert (result.free_permits, result.remainder, result.auction_permits) == (901, Fraction(0), 99)


@pytest.mark.parametrize(
    ("pool", "needs", "given"),
    [
        (50, {"alma": 10, "quill": 20}, {"alma": 10, "quill": 20}),
        (30, {"alma": 10, "quill": 20}, {"alma": 10, "quill": 20}),
        (20, {"alma": 10, "quill": 20}, {"alma": 7, "quill": 13}),
        (1, {"quill": 5, "alma": 5}, {"alma": 1, "quill": 0}),
        (0, {"alma": 10}, {"alma": 0}),
        (50, {}, {}),
    ],
)
def test_the_set_aside_goes_pro_rata_up_to_proven_need_and_the_rest_to_auction(
    pool: int, needs: dict[str, int], given: dict[str, int]
) -> None:
    asked = tuple(SetAsideNeed(lab, "academic", need) for lab, need in needs.items())

    result = allocate(replace(TONNES, set_aside_pool=pool, set_aside_needs=asked))

    assert {award.operator: award.set_aside_permits for award in result.awards} == given
    assert result.auction_permits == 1000 - sum(given.values())


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        (replace(ROOMY, permit_size=0), "permit_size_out_of_range"),
        (replace(ROOMY, free_pool=-1), "pool_out_of_range"),
        (replace(ROOMY, set_aside_pool=200_000_001), "pools_exceed_cap"),
        (replace(TONNES, claims=(BIG_FIRM,)), "intensity_missing"),
        (replace(ROOMY, claims=(BIG_FIRM, BIG_FIRM)), "claim_twice"),
        (replace(ROOMY, set_aside_needs=ROOMY.set_aside_needs * 2), "need_twice"),
        (replace(ROOMY, set_aside_needs=(SetAsideNeed("quill-lab", "academic", -1),)), "need_out_of_range"),
        (replace(ROOMY, claims=(replace(BIG_FIRM, own_j_per_flop=None),)), "figure_out_of_range"),
        (replace(ROOMY, claims=(replace(BIG_FIRM, own_j_per_flop=0),)), "figure_out_of_range"),
        (replace(ROOMY, claims=(replace(BIG_FIRM, output_flop=-1),)), "figure_out_of_range"),
        (replace(ROOMY, claims=(replace(BIG_FIRM, assistance_factor=Decimal("1.51")),)), "figure_out_of_range"),
        (replace(TONNES, claims=(GrandfatheringClaim("a", "", {2024: 1}, Decimal("1.01")),)), "figure_out_of_range"),
        (replace(TONNES, claims=(GrandfatheringClaim("a", "", {2024: -1}, 1),)), "figure_out_of_range"),
        (replace(TONNES, claims=(GrandfatheringClaim("a", "", {2024: None}, 1),)), "no_base_year"),
        (replace(TONNES, claims=(ProductBenchmarkClaim("a", "", 1, 0, 1),)), "figure_out_of_range"),
    ],
)
def test_contradictory_inputs_allocate_nothing(inputs: AllocationInputs, code: str) -> None:
    result = allocate(inputs)

    assert [refusal.code for refusal in result.refusals] == [code]
    assert (result.lines, result.awards, result.free_permits) == ((), (), 0)


def test_every_contradiction_is_listed_at_once() -> None:
    broken = replace(ROOMY, permit_size=0, set_aside_pool=10**10, claims=(replace(BIG_FIRM, output_flop=-1),))

    codes = [refusal.code for refusal in allocate(broken).refusals]

    assert codes == ["permit_size_out_of_range", "pools_exceed_cap", "figure_out_of_range"]


def test_inputs_that_mean_the_same_have_one_hash() -> None:
    same = replace(ROOMY, claims=(replace(EFFICIENT_LAB, assistance_factor=Decimal("1.100")), BIG_FIRM))
    other = replace(ROOMY, claims=(replace(EFFICIENT_LAB, assistance_factor=Decimal("1.101")), BIG_FIRM))

    assert inputs_hash(same) == inputs_hash(ROOMY)
    assert inputs_hash(other) != inputs_hash(ROOMY)


def test_the_published_document_alone_gives_the_same_result() -> None:
    claims = (
        BIG_FIRM,
        GrandfatheringClaim("alma", "site", {2024: Fraction(EXA, 3), 2025: None}, Decimal("0.3")),
        ProductBenchmarkClaim("quill-lab", "tokens", output=7, benchmark=EXA, factor=Decimal("0.9")),
    )
    inputs = replace(ROOMY, claims=claims)
    published = json.loads(json.dumps(inputs_document(inputs)))

    recomputed = inputs_from_document(published)

    assert inputs_hash(recomputed) == inputs_hash(inputs)
    assert result_document(allocate(recomputed)) == result_document(allocate(inputs))
    assert json.loads(json.dumps(result_document(allocate(inputs))))["lines"][0]["method"] == Method.GRANDFATHERING


def test_a_document_of_another_format_is_not_read() -> None:
    with pytest.raises(ValueError, match="allocation-inputs/1"):
        inputs_from_document(inputs_document(ROOMY) | {"format": "something else"})


amounts = st.fractions(min_value=0, max_value=10**9, max_denominator=1000)
operators = st.sampled_from(["alma", "boreal", "cirrus", "delta", "quill"])
claim_lists = st.lists(
    st.builds(ProductBenchmarkClaim, operators, st.sampled_from("xyz"), amounts, st.just(1), st.just(1)),
    unique_by=lambda claim: (claim.operator, claim.product),
    max_size=12,
).map(tuple)
need_lists = st.lists(
    st.builds(SetAsideNeed, operators, st.just("academic"), st.integers(0, 10**6)),
    unique_by=lambda need: need.operator,
    max_size=5,
).map(tuple)


@given(
    free_pool=st.integers(0, 10**9),
    set_aside_pool=st.integers(0, 10**6),
    spare=st.integers(0, 1000),
    claims=claim_lists,
    needs=need_lists,
)
def test_free_set_aside_and_auction_always_sum_to_the_cap(
    free_pool: int, set_aside_pool: int, spare: int, claims: tuple[Claim, ...], needs: tuple[SetAsideNeed, ...]
) -> None:
    cap = free_pool + set_aside_pool + spare
    inputs = replace(
        TONNES, cap=cap, free_pool=free_pool, set_aside_pool=set_aside_pool, claims=claims, set_aside_needs=needs
    )

    result = allocate(inputs)

    assert result.refusals == ()
    assert sum(award.permits for award in result.awards) + result.auction_permits == cap
    assert result.free_permits == sum(award.free_permits for award in result.awards)
    assert result.remainder == sum(award.corrected_permits for award in result.awards) - result.free_permits
    if result.claimed_permits > free_pool:
        assert result.free_permits == free_pool
    else:
        assert all(award.free_permits <= award.claimed_permits for award in result.awards)
    assert all(award.set_aside_permits <= award.set_aside_need for award in result.awards)
