"""Rules of allocation: every contradiction is listed, and inputs follow from the rules and verified data alone."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.allocation import (
    AiAllowanceClaim,
    AllocationInputs,
    AllocationResult,
    GrandfatheringClaim,
    Leftover,
    Metric,
    OperatorData,
    Reserve,
    SetAsideNeed,
    SetAsidePool,
    Stage,
    allocate,
    contradictions,
    inputs_document,
    inputs_from_document,
    inputs_from_rules,
    inputs_hash,
    outputs_used,
    rule_warnings,
)
from registry.engine.benchmarks import Observation
from registry.engine.policy import (
    AllocationRule,
    BenchmarkRule,
    Bridge,
    CapRule,
    CapType,
    Conditionality,
    MethodRule,
    NewEntrants,
    Policy,
    SetAside,
    Unit,
)
from registry.engine.refusals import Refusal
from registry.engine.rounding import exact

D = Decimal
TONNE = Unit("co2e", D(1_000_000))
EXAFLOP = Unit("flop", D(10**18))
TOKENS = MethodRule("PRODUCT_BENCHMARK", "tokens")
FIXED = BenchmarkRule("tokens", value=D("0.5"))
SIMPLE = AllocationRule(methods=(TOKENS,), benchmarks=(FIXED,))
NOON = datetime(2029, 1, 15, 12, tzinfo=UTC)


def policy(rule: AllocationRule, unit: Unit = TONNE, cap_type: CapType = CapType.ABSOLUTE) -> Policy:
    return Policy(
        scheme="test", on=date(2029, 2, 28), zone="UTC", currency="EUR", unit=unit, cap=CapRule(cap_type), alloc=rule
    )


def firm(name: str = "acme", output: Mapping[int, int] | None = None, **more: Any) -> OperatorData:
    return OperatorData(name, output_by_product_and_year={"tokens": output or {2027: 1_000}}, **more)


def inputs_of(rule: AllocationRule, *operators: OperatorData, **more: Any) -> AllocationInputs:
    unit, cap_type = more.pop("unit", TONNE), more.pop("cap_type", CapType.ABSOLUTE)
    given: dict[str, Any] = {"period": "2029", "year": 2029, "cap": 10_000} | more
    inputs = inputs_from_rules(policy(rule, unit, cap_type), operators=operators, **given)
    assert isinstance(inputs, AllocationInputs), inputs
    return inputs


def allocated(rule: AllocationRule, *operators: OperatorData, **more: Any) -> AllocationResult:
    result = allocate(inputs_of(rule, *operators, **more))
    assert result.refusals == ()
    return result


def refused(rule: AllocationRule, *operators: OperatorData, **more: Any) -> list[str]:
    unit, cap_type = more.pop("unit", TONNE), more.pop("cap_type", CapType.ABSOLUTE)
    given: dict[str, Any] = {"period": "2029", "year": 2029, "cap": 10_000} | more
    refusals = inputs_from_rules(policy(rule, unit, cap_type), operators=operators, **given)
    assert isinstance(refusals, tuple)
    return [refusal.code for refusal in refusals]


def free(result: AllocationResult) -> dict[str, int]:
    return {award.operator: award.free_permits for award in result.awards}


class TestContradictions:
    @pytest.mark.parametrize(
        ("change", "codes"),
        [
            ({}, []),
            ({"free_share": D("0.90"), "set_asides": (SetAside("academic", D("0.10")),)}, []),
            ({"free_share": D("0.90"), "set_asides": (SetAside("academic", D("0.11")),)}, ["shares_exceed_cap"]),
            ({"free_share": D("0.96"), "new_entrants": NewEntrants(D("0.05"))}, ["shares_exceed_cap"]),
            ({"free_share": D("1.01")}, ["share_out_of_range", "shares_exceed_cap"]),
            ({"free_share": D("NaN")}, ["share_out_of_range"]),
            ({"free_share": D("-0.01")}, ["share_out_of_range"]),
            ({"free_share": D(0)}, ["methods_without_pool"]),
            ({"methods": (TOKENS, replace(TOKENS, lag=1))}, ["product_twice"]),
            ({"methods": (replace(TOKENS, kind="LOTTERY"),)}, ["method_unknown", "benchmark_product_unknown"]),
            ({"methods": (replace(TOKENS, lag=-1),)}, ["lag_out_of_range"]),
            ({"methods": (replace(TOKENS, share=D("1.2")),)}, ["share_out_of_range"]),
            ({"methods": (replace(TOKENS, pre_share=D("-0.2")),)}, ["share_out_of_range"]),
            ({"methods": (TOKENS, MethodRule("GRANDFATHERING", "site"))}, ["base_years_missing"]),
            (
                {"methods": (TOKENS, MethodRule("GRANDFATHERING_MEDIAN", "site", base_years=(2021, 2021)))},
                ["base_year_twice"],
            ),
            ({"benchmarks": ()}, ["benchmark_missing"]),
            ({"benchmarks": (FIXED, BenchmarkRule("steam", value=D(1)))}, ["benchmark_product_unknown"]),
            ({"benchmarks": (FIXED, FIXED)}, ["benchmark_twice"]),
            ({"benchmarks": (replace(FIXED, method="GUESS"),)}, ["benchmark_method_unknown"]),
            ({"benchmarks": (replace(FIXED, value=None),)}, ["benchmark_value_missing"]),
            ({"benchmarks": (replace(FIXED, value=D(0)),)}, ["benchmark_out_of_range"]),
            ({"benchmarks": (replace(FIXED, pct=D(0)),)}, ["benchmark_share_out_of_range"]),
            ({"benchmarks": (replace(FIXED, min_population=0),)}, ["population_out_of_range"]),
            ({"benchmarks": (replace(FIXED, rate_lo=D("0.016"), rate_hi=D("0.002")),)}, ["rates_out_of_order"]),
            ({"benchmarks": (replace(FIXED, rate_lo=D("-0.01")),)}, ["rates_out_of_order"]),
            ({"benchmarks": (replace(FIXED, years=-1),)}, ["years_out_of_range"]),
            ({"benchmarks": (replace(FIXED, rate_hi=D("0.05"), years=20),)}, ["benchmark_vanishes"]),
            ({"activity_threshold": D("1.5")}, ["share_out_of_range"]),
            ({"assistance": {"B": D("1.51")}}, ["share_out_of_range"]),
            ({"assistance": {"B": D("1.5")}}, []),
            ({"cap_factor": {2029: D("-1")}}, ["share_out_of_range"]),
            ({"leakage": {"B": {2029: D("1.1")}}}, ["share_out_of_range"]),
            ({"leakage": {"B": {}}}, ["leakage_empty"]),
            ({"conditionality": (Conditionality("audit", D("1.2")),)}, ["share_out_of_range"]),
            ({"conditionality": (Conditionality("audit", D("0.2")),) * 2}, ["condition_twice"]),
            (
                {"free_share": D("0.5"), "set_asides": (SetAside("a", D("0.1")), SetAside("a", D("0.2")))},
                ["cohort_twice"],
            ),
            (
                {"free_share": D("0.5"), "set_asides": (SetAside("a", D("0.1"), "LOTTERY", "nowhere"),)},
                ["leftover_unknown", "set_aside_rule_unknown"],
            ),
            ({"free_share": D("0.5"), "new_entrants": NewEntrants(D("0.1"), "nowhere")}, ["leftover_unknown"]),
            ({"consign": ("utility", "utility")}, ["consigned_twice"]),
            ({"true_up": True}, []),
            ({"true_up": True, "methods": (replace(TOKENS, pre_share=D("0.7")),)}, ["corrected_twice"]),
            ({"true_up": True, "methods": (replace(TOKENS, lag=0),)}, ["nothing_to_true_up"]),
            (
                {
                    "true_up": True,
                    "methods": (MethodRule("GRANDFATHERING", "site", base_years=(2021,)),),
                    "benchmarks": (),
                },
                ["true_up_without_output"],
            ),
        ],
    )
    def test_rules_that_cannot_be_law_are_named(self, change: dict[str, Any], codes: list[str]) -> None:
        assert [refusal.code for refusal in contradictions(replace(SIMPLE, **change))] == codes

    def test_all_of_them_are_listed_at_once_and_nothing_is_worked_out(self) -> None:
        broken = replace(
            SIMPLE,
            free_share=D("0.9"),
            set_asides=(SetAside("academic", D("0.2")),),
            benchmarks=(replace(FIXED, rate_lo=D(1)), BenchmarkRule("steam", value=D(1))),
            assistance={"B": D(2)},
        )

        codes = ["shares_exceed_cap", "rates_out_of_order", "benchmark_product_unknown", "share_out_of_range"]
        assert [refusal.code for refusal in contradictions(broken)] == codes
        assert refused(broken, firm()) == codes

    def test_the_shares_that_exceed_the_cap_are_named_with_their_size(self) -> None:
        broken = replace(SIMPLE, free_share=D("0.95"), new_entrants=NewEntrants(D("0.08")))

        (refusal,) = contradictions(broken)

        assert "free share 95.00 %" in refusal.sentence
        assert "share of new entrants 8.00 %" in refusal.sentence

    def test_default_rules_contradict_nothing_and_give_nothing(self) -> None:
        assert contradictions(AllocationRule()) == ()
        assert allocated(AllocationRule(), firm()).auction_permits == 10_000

    def test_an_allowance_on_own_compute_is_lawful_and_pointed_out(self) -> None:
        allowance = AllocationRule(
            methods=(MethodRule("AI_ALLOWANCE", "chat"),), benchmarks=(BenchmarkRule("chat", value=D("1E-12")),)
        )

        assert contradictions(allowance) == ()
        assert [notice.code for notice in rule_warnings(allowance)] == ["output_is_own_compute"]
        assert rule_warnings(SIMPLE) == ()


class TestClaims:
    def test_output_of_two_years_before_times_the_benchmark(self) -> None:
        result = allocated(SIMPLE, firm("acme", {2026: 1, 2027: 1_001, 2028: 9}), firm("boreal", {2027: 40}))

        assert free(result) == {"acme": 500, "boreal": 20}
        assert result.auction_permits == 9_480

    def test_a_product_nobody_makes_gives_no_claim(self) -> None:
        assert inputs_of(SIMPLE, OperatorData("idle")).claims == ()

    @pytest.mark.parametrize(
        ("outputs", "counted"),
        [
            ({2026: 115, 2027: 115}, 100),  # exactly 15 % keeps history
            ({2026: 116, 2027: 116}, 116),
            ({2026: 84, 2027: 84}, 84),
        ],
    )
    def test_known_history_moves_beyond_the_threshold_alone(self, outputs: dict[int, int], counted: int) -> None:
        inputs = inputs_of(SIMPLE, firm(output=outputs, historical_activity={"tokens": 100}))

        assert outputs_used(inputs) == {"acme": {"tokens": counted}}

    def test_the_threshold_is_a_rule(self) -> None:
        strict = replace(SIMPLE, activity_threshold=D("0.05"))

        inputs = inputs_of(strict, firm(output={2026: 110, 2027: 110}, historical_activity={"tokens": 100}))

        assert outputs_used(inputs) == {"acme": {"tokens": 110}}

    @pytest.mark.parametrize(
        ("operator", "codes"),
        [
            (firm(output={2026: 5}), ["output_missing"]),
            (firm(output={2027: 5}, historical_activity={"tokens": 4}), ["output_missing"]),
            (firm(output={2028: 5}, first_day=date(2028, 3, 1)), []),  # there was nothing to report
            (firm(output={2028: 5}, first_day=date(2027, 12, 31)), ["output_missing"]),
        ],
    )
    def test_a_missing_output_is_asked_for(self, operator: OperatorData, codes: list[str]) -> None:
        assert ([] if not codes else refused(SIMPLE, operator)) == codes
        if not codes:
            assert inputs_of(SIMPLE, operator).claims == ()

    def test_past_use_counts_for_the_base_years(self) -> None:
        base = (2021, 2022, 2023)
        rule = AllocationRule(methods=(MethodRule("GRANDFATHERING", "site", base_years=base, share=D("0.9")),))
        median = replace(rule, methods=(replace(rule.methods[0], kind="GRANDFATHERING_MEDIAN"),))
        use = {2020: 5_000, 2021: 100, 2023: 400, 2024: 5_000}
        acme = OperatorData("acme", use_by_year=use)

        assert free(allocated(rule, acme)) == {"acme": 225}
        assert free(allocated(median, replace(acme, use_by_year=use | {2022: 110}))) == {"acme": 99}
        assert inputs_of(rule, acme).claims == (
            GrandfatheringClaim("acme", "site", {2021: 100, 2022: None, 2023: 400}, D("0.9")),
        )

    def test_an_operator_without_a_base_year_is_refused_unless_it_came_later(self) -> None:
        rule = AllocationRule(methods=(MethodRule("GRANDFATHERING", "site", base_years=(2021,)),))

        assert refused(rule, OperatorData("acme")) == ["no_base_year"]
        assert inputs_of(rule, OperatorData("acme", first_day=date(2022, 1, 1))).claims == ()

    def test_the_year_of_closure_is_allocated_by_the_day_and_none_after(self) -> None:
        closing = firm(last_day=date(2029, 3, 14))  # 73 of 365 days

        assert free(allocated(SIMPLE, closing)) == {"acme": 100}
        assert inputs_of(SIMPLE, firm(last_day=date(2028, 12, 31))).claims == ()

    @pytest.mark.parametrize(
        ("change", "operator", "permits"),
        [
            ({}, {}, 500),
            ({"assistance": {"B": D("1.5")}}, {"leakage_class": "B"}, 750),
            ({"assistance": {"academic": D("0.8")}}, {"cohort": "academic"}, 400),
            ({"assistance": {"acme": D("0.2"), "B": D("1.5")}}, {"leakage_class": "B"}, 100),
            ({"assistance": {"A": D("1.5")}}, {"leakage_class": "B"}, 500),
            ({"cap_factor": {2029: D("0.817"), 2027: D("0.9")}}, {}, 408),
            ({"leakage": {"B": {2026: D("0.3"), 2030: D(0)}}}, {"leakage_class": "B"}, 150),
            ({"leakage": {"A": {2021: D(1)}}}, {"leakage_class": "A"}, 500),
            ({"leakage": {"B": {2030: D(0)}}}, {"leakage_class": "B"}, 500),  # the series has not begun
            ({"conditionality": (Conditionality("audit", D("0.2")),)}, {}, 400),
            ({"conditionality": (Conditionality("audit", D("0.2")),)}, {"conditions_met": frozenset({"audit"})}, 500),
            ({"conditionality": (Conditionality("audit", D("0.2")), Conditionality("plan", D("0.2")))}, {}, 320),
            ({"methods": (replace(TOKENS, share=D("0.6")),)}, {}, 300),
            ({"methods": (replace(TOKENS, pre_share=D("0.7")),)}, {}, 350),
        ],
    )
    def test_each_factor_of_the_rules_multiplies_the_claim(
        self, change: dict[str, Any], operator: dict[str, Any], permits: int
    ) -> None:
        assert free(allocated(replace(SIMPLE, **change), firm(**operator))) == {"acme": permits}

    @pytest.mark.parametrize(
        ("change", "operator", "code"),
        [
            ({"cap_factor": {2028: D("0.9")}}, {}, "cap_factor_missing"),
            ({"leakage": {"B": {2021: D(1)}}}, {"leakage_class": "C"}, "leakage_class_unknown"),
            ({"leakage": {"B": {2021: D(1)}}}, {}, "leakage_class_unknown"),
            ({}, {"proven_need": 5, "cohort": "academic"}, "no_set_aside"),
            ({}, {"applied_at": NOON, "applied_permits": 5}, "no_new_entrants_share"),
            ({}, {"applied_permits": 5}, "application_incomplete"),
            ({}, {"first_day": date(2029, 2, 1), "last_day": date(2029, 1, 1)}, "days_out_of_order"),
            ({}, {"debt": -1}, "standing_out_of_range"),
            ({}, {"output": {2027: -1}}, "figure_out_of_range"),
        ],
    )
    def test_what_the_rules_do_not_answer_is_refused(
        self, change: dict[str, Any], operator: dict[str, Any], code: str
    ) -> None:
        assert refused(replace(SIMPLE, **change), firm(**operator)) == [code]

    def test_one_operator_has_one_set_of_data(self) -> None:
        assert refused(SIMPLE, firm(), firm()) == ["operator_twice"]

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ({"cap": None}, "cap_missing"),
            ({"cap": -1}, "cap_out_of_range"),
            ({"unit": Unit("kwh", D(1))}, "metric_unknown"),
            ({"reserves": (Reserve("stability", 1),)}, "pools_exceed_cap"),
        ],
    )
    def test_a_cap_that_cannot_be_divided_is_refused(self, given: dict[str, Any], code: str) -> None:
        assert refused(SIMPLE, firm(), **given) == [code]


class TestBenchmarks:
    POPULATION = tuple(
        OperatorData(
            f"firm-{n:02}",
            output_by_product_and_year={"tokens": {2027: 100}},
            use_by_product_and_year={"tokens": {2027: n * 10}},
        )
        for n in range(1, 21)
    )

    @pytest.mark.parametrize(
        ("bench", "value"),
        [
            (BenchmarkRule("tokens", "TOP_PCT"), Fraction(15, 100)),
            (BenchmarkRule("tokens", "PCT_OF_MEAN", pct=D("0.9")), Fraction(9, 10) * Fraction(105, 100)),
            # the old value 0.16 moved by the measured rate: (1 - 0.15/0.16)/15 = 0.42 % a year, inside the corridor
            (
                BenchmarkRule("tokens", "TOP_PCT", D("0.16"), rate_lo=D("0.002"), rate_hi=D("0.016"), years=15),
                Fraction(15, 100),
            ),
            # 0.30 would fall by half: the corridor stops it at 1.6 % x 15 = 24 %
            (
                BenchmarkRule("tokens", "TOP_PCT", D("0.30"), rate_lo=D("0.002"), rate_hi=D("0.016"), years=15),
                Fraction(228, 1000),
            ),
            # 0.10 would rise: it falls by 0.2 % x 15 = 3 % all the same
            (
                BenchmarkRule("tokens", "TOP_PCT", D("0.10"), rate_lo=D("0.002"), rate_hi=D("0.016"), years=15),
                Fraction(97, 1000),
            ),
            # 2026-30: 2.5 % x 20 = 50 %
            (
                BenchmarkRule("tokens", "TOP_PCT", D("0.40"), rate_lo=D("0.003"), rate_hi=D("0.025"), years=20),
                Fraction(200, 1000),
            ),
        ],
    )
    def test_the_population_gives_the_benchmark_within_its_corridor(
        self, bench: BenchmarkRule, value: Fraction
    ) -> None:
        inputs = inputs_of(replace(SIMPLE, benchmarks=(bench,)), *self.POPULATION)

        assert {claim.benchmark for claim in inputs.claims} == {value}  # type: ignore[union-attr]

    def test_a_benchmark_of_a_thousand_intensities_can_be_printed(self) -> None:
        rule = replace(SIMPLE, benchmarks=(BenchmarkRule("tokens", "TOP_PCT", pct=D(1)),))
        population = {"tokens": [Observation(f"firm-{n}", n, n + 1) for n in range(1, 1_001)]}

        inputs = inputs_of(rule, firm(), populations=population)

        assert inputs_document(inputs)["claims"][0]["benchmark"] == "0.993513530138450654"  # 1 - (H(1001) - 1) / 1000

    def test_a_population_may_be_wider_than_the_scheme(self) -> None:
        rule = replace(SIMPLE, benchmarks=(BenchmarkRule("tokens", "TOP_PCT"),))

        inputs = inputs_of(rule, firm(), populations={"tokens": (Observation("abroad", 30, 100),)})

        assert inputs.claims[0].benchmark == Fraction(3, 10)  # type: ignore[union-attr]

    def test_a_population_too_small_is_refused_by_product(self) -> None:
        rule = replace(SIMPLE, benchmarks=(BenchmarkRule("tokens", "TOP_PCT", min_population=21),))

        refusals = inputs_from_rules(policy(rule), period="2029", year=2029, cap=9, operators=self.POPULATION)

        assert isinstance(refusals, tuple)
        assert [(refusal.code, refusal.sentence[:7]) for refusal in refusals] == [("population_too_small", "tokens:")]

    def test_joules_per_flop_come_from_verified_energy(self) -> None:
        rule = AllocationRule(
            methods=(MethodRule("AI_ALLOWANCE", "chat"),), benchmarks=(BenchmarkRule("chat", "PCT_OF_MEAN", pct=D(1)),)
        )
        able, poor = (
            OperatorData(name, output_by_product_and_year={"chat": {2027: 10**21}}, own_j_per_flop=D(own))
            for name, own in (("able", "0.8E-12"), ("poor", "1.2E-12"))
        )

        result = allocated(rule, able, poor, unit=EXAFLOP)

        # B = 1.0 pJ/FLOP: F = 1e21 x 1.0 / 0.8 and / 1.2
        assert free(result) == {"able": 1_250, "poor": 833}
        assert [notice.code for notice in result.warnings] == ["output_is_own_compute", "use_is_paid_for"]


class TestPoolsOfTheYear:
    RULE = replace(
        SIMPLE,
        free_share=D("0.333"),
        set_asides=(SetAside("academic", D("0.05")), SetAside("small", D("0.0105"), leftover="next_year")),
        new_entrants=NewEntrants(D("0.02"), "cancel"),
        consign=("utility",),
    )

    def test_pools_are_shares_of_the_cap_in_whole_permits(self) -> None:
        inputs = inputs_of(
            self.RULE,
            firm(leakage_class="utility"),
            OperatorData("alma", cohort="academic", proven_need=30),
            OperatorData("young", applied_at=NOON, applied_permits=150),
            OperatorData("younger", applied_at=NOON + timedelta(days=1), applied_permits=150),
            cap=9_999,
            reserves=(Reserve("stability", 100),),
            transfers=7,
        )

        assert (inputs.free_pool, inputs.set_aside_pool) == (3_329, 499 + 104)
        assert inputs.set_asides == (SetAsidePool("academic", 499), SetAsidePool("small", 104, Leftover.NEXT_YEAR))
        assert inputs.set_aside_needs == (SetAsideNeed("alma", "academic", 30),)
        assert inputs.consigned == ("acme",)
        result = allocate(inputs)
        assert {a.operator: a.permits for a in result.awards} == {"acme": 500, "alma": 30, "young": 150, "younger": 49}
        assert (result.kept_permits, result.next_year_permits) == (100, 104)
        assert result.auction_permits == 9_999 + 7 - 500 - 30 - 199 - 100 - 104

    def test_the_new_entrants_pool_waits_until_it_is_closed(self) -> None:
        waiting = allocated(self.RULE)
        closed = allocated(self.RULE, entrants_closed=True)

        assert (waiting.kept_permits, waiting.cancelled_permits) == (200, 0)
        assert (closed.kept_permits, closed.cancelled_permits) == (0, 200)

    def test_the_inputs_are_published_and_read_again(self) -> None:
        inputs = inputs_of(self.RULE, firm(debt=3), OperatorData("young", applied_at=NOON, applied_permits=150))

        again = inputs_from_document(inputs_document(inputs))

        assert inputs_hash(again) == inputs_hash(inputs)
        assert allocate(again) == allocate(inputs)

    def test_without_the_correction_factor_the_auction_pays_for_claims(self) -> None:
        rule = replace(SIMPLE, free_share=D("0.01"))

        assert free(allocated(rule, firm())) == {"acme": 100}
        assert free(allocated(replace(rule, correction_factor=False), firm())) == {"acme": 500}


class TestTrueUp:
    CALIFORNIA = replace(
        SIMPLE, true_up=True, cap_factor={2025: D("0.713"), 2027: D("0.612"), 2029: D("0.545")}, assistance={"B": D(1)}
    )

    def test_the_initial_and_the_true_up_are_one_delivery(self) -> None:
        # initial 12,000 x 0.5 x 1 x 0.545 = 3,270; true-up (12,000 - 10,000) x 0.5 x 1 x 0.612 = 612
        acme = firm(output={2027: 12_000}, output_used={"tokens": {2027: 10_000}}, leakage_class="B")

        result = allocated(self.CALIFORNIA, acme)

        assert free(result) == {"acme": 3_882}
        assert result.awards[0].true_up == 612

    def test_less_output_than_was_used_becomes_a_debt(self) -> None:
        # initial 1,000 x 0.5 x 0.545 = 272.5; true-up (1,000 - 3,000) x 0.5 x 0.612 = -612
        acme = firm(output={2027: 1_000}, output_used={"tokens": {2027: 3_000}}, debt=10)

        (award,) = allocated(self.CALIFORNIA, acme).awards

        assert (award.entitled_permits, award.free_permits, award.debt) == (272, 0, 612 + 10 - 272)

    def test_a_firm_that_has_closed_is_still_trued_up(self) -> None:
        gone = firm(output={2027: 900}, output_used={"tokens": {2027: 1_000}}, last_day=date(2028, 6, 30))

        (award,) = allocated(self.CALIFORNIA, gone).awards

        assert (award.claimed_permits, award.true_up, award.debt) == (Fraction(0), exact("-30.6"), 30)

    def test_nothing_is_trued_up_that_no_run_used(self) -> None:
        assert inputs_of(self.CALIFORNIA, firm(output={2025: 10, 2027: 12_000})).true_ups == ()
        assert (
            inputs_of(replace(self.CALIFORNIA, true_up=False), firm(output_used={"tokens": {2027: 1}})).true_ups == ()
        )

    @pytest.mark.parametrize(
        ("operator", "factors", "code"),
        [
            (firm(output={2028: 1}, first_day=date(2028, 1, 1)), {}, "output_missing"),
            (firm(), {2029: D("0.5")}, "cap_factor_missing"),
        ],
    )
    def test_a_true_up_that_cannot_be_worked_out_is_refused(
        self, operator: OperatorData, factors: dict[int, Decimal], code: str
    ) -> None:
        used = replace(operator, output_used={"tokens": {2027: 5}})

        assert refused(replace(self.CALIFORNIA, cap_factor=factors), used) == [code]

    def test_what_one_year_uses_the_next_but_one_trues_up(self) -> None:
        outputs = {2025: 8_000, 2027: 12_000, 2029: 6_000}
        first = inputs_of(self.CALIFORNIA, firm(output=outputs), year=2027)

        used = {product: {2027: figure} for product, figure in outputs_used(first)["acme"].items()}
        second = allocated(self.CALIFORNIA, firm(output=outputs, output_used=used), year=2029)

        # 2027 was given 8,000 and made 12,000
        assert second.awards[0].true_up == 4_000 * D("0.5") * D("0.612")


class TestPreAllocation:
    RULE = AllocationRule(
        methods=(
            MethodRule("PRODUCT_BENCHMARK", "MWh", pre_share=D("0.7")),
            MethodRule("PRODUCT_BENCHMARK", "GJ", pre_share=D("0.7")),
        ),
        benchmarks=(BenchmarkRule("MWh", value=D("0.877")), BenchmarkRule("GJ", value=D("0.126"))),
    )
    PLANT = OperatorData(
        "plant",
        output_by_product_and_year={
            "MWh": {2027: 1_000_000, 2029: 900_000},
            "GJ": {2027: 200_000, 2029: 250_000},
        },
    )

    def test_china_gives_seventy_per_cent_first_and_settles_on_verified_output(self) -> None:
        first = allocated(self.RULE, self.PLANT, cap=2_000_000)
        final = allocated(self.RULE, replace(self.PLANT, delivered=631_540), cap=2_000_000, stage=Stage.SETTLEMENT)

        # 0.7 x (877,000 + 25,200), then 789,300 + 31,500
        assert (free(first), first.kept_permits) == ({"plant": 631_540}, 2_000_000 - 631_540)
        assert (free(final), final.kept_permits) == ({"plant": 820_800 - 631_540}, 0)

    def test_output_that_fell_is_clawed_back(self) -> None:
        stopped = replace(
            self.PLANT,
            output_by_product_and_year={"MWh": {2027: 1_000_000, 2029: 500_000}, "GJ": {2027: 200_000, 2029: 0}},
            delivered=631_540,
            last_day=date(2029, 7, 1),
        )

        (award,) = allocated(self.RULE, stopped, cap=2_000_000, stage=Stage.SETTLEMENT).awards

        # the output of the year itself ends with the last day, so no share of days is taken beside it
        assert (award.entitled_permits, award.clawback, award.debt) == (438_500, 193_040, 193_040)

    def test_a_product_that_is_given_at_once_is_settled_as_it_was_given(self) -> None:
        mixed = AllocationRule(
            methods=(replace(self.RULE.methods[0], pre_share=D("0.5")), TOKENS),
            benchmarks=(self.RULE.benchmarks[0], FIXED),
        )
        data = OperatorData(
            "plant",
            output_by_product_and_year={"MWh": {2027: 1_000, 2029: 2_000}, "tokens": {2027: 2_000, 2029: 9_000}},
            last_day=date(2029, 3, 14),  # 73 of 365 days
        )

        first = allocated(mixed, data)
        final = allocated(mixed, replace(data, delivered=287), stage=Stage.SETTLEMENT)

        assert free(first) == {"plant": 287}  # (877 x 0.5 + 1,000) / 5 = 287.7
        assert final.awards[0].entitled_permits == 2_000 * D("0.877") + 200

    def test_the_cap_of_an_intensity_scheme_is_the_sum_of_its_claims(self) -> None:
        inputs = inputs_of(self.RULE, self.PLANT, cap=None, cap_type=CapType.INTENSITY, stage=Stage.SETTLEMENT)
        result = allocate(inputs)

        assert (inputs.cap, inputs.free_pool) == (820_800, 820_800)
        assert (result.free_permits, result.auction_permits) == (820_800, 0)
        assert result.correction_factor == 1

    def test_nothing_can_be_set_aside_of_a_cap_that_follows_from_claims(self) -> None:
        rule = replace(self.RULE, free_share=D("0.9"), set_asides=(SetAside("academic", D("0.1")),))

        assert refused(rule, self.PLANT, cap=None, cap_type=CapType.INTENSITY) == ["no_cap_to_share"]
        assert refused(
            self.RULE, self.PLANT, cap=None, cap_type=CapType.INTENSITY, reserves=(Reserve("stability", 1),)
        ) == ["no_cap_to_share"]


class TestTheAiAllowance:
    RULE = AllocationRule(
        methods=(MethodRule("AI_ALLOWANCE", "inference"),),
        benchmarks=(BenchmarkRule("inference", value=D("1.0E-12")),),
        assistance={"lab": D("1.1")},
    )
    LAB = OperatorData(
        "quill",
        cohort="lab",
        output_by_product_and_year={"inference": {2027: 2 * 10**25}},
        own_j_per_flop=D("0.8E-12"),
    )

    def test_in_flop_it_is_usable_compute(self) -> None:
        inputs = inputs_of(self.RULE, self.LAB, unit=EXAFLOP, cap=10**9)

        assert (inputs.metric, inputs.permit_size) == (Metric.FLOP, 10**18)
        assert free(allocate(inputs)) == {"quill": 27_500_000}

    def test_the_firms_own_energy_has_to_be_verified(self) -> None:
        assert refused(self.RULE, replace(self.LAB, own_j_per_flop=None), unit=EXAFLOP) == ["figure_out_of_range"]

    def test_in_tonnes_the_newest_bridge_in_force_gives_the_intensity(self) -> None:
        bridges = tuple(
            Bridge(day, "EU", D("1.117E-12"), D(grams), "test")
            for day, grams in ((date(2027, 1, 1), 500), (date(2029, 1, 1), 360), (date(2029, 3, 1), 100))
        )

        inputs = inputs_of(self.RULE, self.LAB, unit=replace(TONNE, bridge=bridges), cap=10**6)

        # 2e25 x 1e-12 x 1.1 = 2.2e13 J = 6,111,111.1 kWh at 360 g
        assert inputs.intensity_g_per_kwh == 360
        assert free(allocate(inputs)) == {"quill": 2_200}
        given = inputs_of(self.RULE, self.LAB, unit=TONNE, cap=10**6, intensity_g_per_kwh=180)
        assert free(allocate(given)) == {"quill": 1_100}

    def test_without_one_intensity_nothing_follows(self) -> None:
        two = tuple(Bridge(date(2029, 1, 1), region, D(1), D(grams), "") for region, grams in (("EU", 1), ("US", 2)))

        assert refused(self.RULE, self.LAB) == ["intensity_missing"]
        assert refused(self.RULE, self.LAB, unit=replace(TONNE, bridge=two)) == ["intensity_missing"]

    def test_a_true_up_of_usable_compute_uses_the_actual_output(self) -> None:
        lab = replace(self.LAB, output_used={"inference": {2027: 10**25}})

        inputs = inputs_of(replace(self.RULE, true_up=True), lab, unit=EXAFLOP, cap=10**9)

        (true_up,) = inputs.true_ups
        assert isinstance(true_up.claim, AiAllowanceClaim)
        assert free(allocate(inputs)) == {"quill": 27_500_000 + 13_750_000}


@given(
    outputs=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10_000), min_size=1),
    used=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10_000)),
    reverse=st.booleans(),
)
def test_the_order_of_operators_changes_neither_hash_nor_awards(
    outputs: dict[str, int], used: dict[str, int], reverse: bool
) -> None:
    rule = replace(SIMPLE, free_share=D("0.7"), true_up=True)
    operators = [
        firm(name, {2027: output}, output_used={"tokens": {2027: used[name]}} if name in used else {})
        for name, output in outputs.items()
    ]
    ordered = sorted(operators, key=lambda operator: operator.operator, reverse=reverse)

    there, back = inputs_of(rule, *operators), inputs_of(rule, *ordered)

    assert inputs_hash(there) == inputs_hash(back)
    assert allocate(there) == allocate(back)


def test_refusals_are_values() -> None:
    refusals = inputs_from_rules(policy(SIMPLE), period="2029", year=2029, cap=1, operators=[firm(), firm()])

    assert all(isinstance(refusal, Refusal) and refusal.sentence for refusal in refusals)  # type: ignore[union-attr]
