"""Monitoring plans as values: what is read, what is refused, what a plan lacks, and how two versions differ."""

from dataclasses import replace

import pytest

from registry.engine.monitoring import (
    ACTIVITIES,
    BEST_TIER,
    METHODS,
    Content,
    Difference,
    Measured,
    SystemFacts,
    differences,
    lacks,
    read_content,
    write_content,
)
from registry.models import ReportLine

CLUSTER = SystemFacts("c1", "Cluster, Paris", 3, frozenset({"training"}))
EDGE = SystemFacts("e1", "Edge, Oslo", 0, frozenset({"inference"}))
COMPLETE = Content(
    boundary="full_stack",
    boundary_words="Servers, storage, network and cooling of both sites; offices are outside.",
    activities=("training", "inference"),
    systems={"c1": Measured("meter", 3, "Janitza UMG 96, no. 4711"), "e1": Measured("ratings")},
    factors="annual",
    measures="Site engineering",
    checks="Group controlling",
    gaps="The highest week of the last quarter stands in.",
)


def codes(content: Content, *systems: SystemFacts, follows: bool = False) -> list[str]:
    return [lack.code for lack in lacks(content, systems, follows=follows)]


def test_the_activities_are_those_of_report_lines() -> None:
    assert list(ACTIVITIES.items()) == [(value, label) for value, label in ReportLine.Activity.choices]


def test_every_method_has_a_best_tier() -> None:
    assert METHODS.keys() == BEST_TIER.keys()


def test_a_complete_plan_lacks_nothing() -> None:
    assert codes(COMPLETE, CLUSTER, EDGE) == []


def test_an_empty_plan_lacks_everything_in_the_order_of_its_steps() -> None:
    found = lacks(Content(), [CLUSTER], follows=True)

    assert [lack.step for lack in found] == [
        *["boundary"] * 2,
        "activities",
        "systems",
        *["factors"] * 4,
        "check",
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"boundary": ""}, "boundary_missing"),
        ({"boundary_words": ""}, "boundary_words_missing"),
        ({"activities": ()}, "activities_missing"),
        ({"activities": ("training",)}, "activity_not_covered"),
        ({"systems": {"c1": COMPLETE.systems["c1"]}}, "system_not_covered"),
        ({"systems": {**COMPLETE.systems, "e1": Measured()}}, "system_not_covered"),
        ({"systems": {**COMPLETE.systems, "c1": Measured("meter", 4, "UMG 96")}}, "tier_not_proven"),
        ({"systems": {**COMPLETE.systems, "c1": Measured("client", 3, "CodeCarbon")}}, "tier_beyond_method"),
        ({"systems": {**COMPLETE.systems, "c1": Measured("meter", 3)}}, "meter_missing"),
        ({"factors": ""}, "factors_missing"),
        ({"measures": ""}, "measures_missing"),
        ({"checks": ""}, "checks_missing"),
        ({"checks": "site ENGINEERING"}, "nobody_else_checks"),
        ({"gaps": ""}, "gaps_missing"),
    ],
)
def test_what_a_plan_lacks(change: dict[str, object], code: str) -> None:
    assert codes(replace(COMPLETE, **change), CLUSTER, EDGE) == [code]  # type: ignore[arg-type]


def test_what_is_left_out_is_said() -> None:
    content = replace(COMPLETE, activities=("training",), left_out="Serving is metered by the cloud, which reports it.")

    assert codes(content, CLUSTER, EDGE) == []


def test_a_later_version_says_what_changed() -> None:
    assert codes(COMPLETE, CLUSTER, EDGE, follows=True) == ["changes_missing"]
    assert codes(replace(COMPLETE, changes="A meter was exchanged."), CLUSTER, EDGE, follows=True) == []


def test_a_plan_without_systems_says_so() -> None:
    assert codes(COMPLETE) == ["systems_missing"]


def test_what_is_written_is_read_again() -> None:
    assert read_content(write_content(COMPLETE)) == COMPLETE


def test_a_frozen_document_is_read_with_its_descriptions() -> None:
    document = write_content(COMPLETE)
    document["systems"]["c1"]["site"] = "Paris"

    assert read_content({**document, "schema": "headroom.monitoring-plan/1", "version": 2}) == COMPLETE


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ([], "plan_unreadable"),
        ({"colour": "green"}, "plan_part_unknown"),
        ({"boundary": "everything"}, "plan_choice_unknown"),
        ({"boundary": ["it"]}, "plan_choice_unknown"),
        ({"factors": "marginal"}, "plan_choice_unknown"),
        ({"activities": ["sleeping"]}, "plan_choice_unknown"),
        ({"activities": [["training"]]}, "plan_choice_unknown"),
        ({"activities": "training"}, "plan_choice_unknown"),
        ({"measures": "x" * 161}, "plan_words_unreadable"),
        ({"gaps": 7}, "plan_words_unreadable"),
        ({"gaps": "a\x00b"}, "plan_words_unreadable"),
        ({"gaps": "\ud800"}, "plan_words_unreadable"),
        ({"systems": ["c1"]}, "plan_unreadable"),
        ({"systems": {"c1": "meter"}}, "plan_unreadable"),
        ({"systems": {"c1": {"method": "guess"}}}, "plan_choice_unknown"),
        ({"systems": {"c1": {"method": {"a": 1}}}}, "plan_choice_unknown"),
        ({"systems": {"c1": {"tier": 6}}}, "tier_unknown"),
        ({"systems": {"c1": {"tier": True}}}, "tier_unknown"),
        ({"systems": {"c1": {"tier": "3"}}}, "tier_unknown"),
        ({"systems": {"c1": {"meter": "x" * 161}}}, "plan_words_unreadable"),
    ],
)
def test_what_cannot_be_read_is_refused(document: object, code: str) -> None:
    faults = read_content(document)

    assert isinstance(faults, tuple)
    assert [fault.code for fault in faults] == [code]


def test_two_versions_differ_in_words_that_people_read() -> None:
    later = replace(
        COMPLETE,
        factors="hourly",
        activities=("training", "fine_tuning", "inference"),
        systems={"c1": Measured("counters", 2, "DCGM 3.3"), "n1": Measured("ratings")},
        changes="Not a difference of its own.",
    )

    assert differences(COMPLETE, later, {"c1": "Cluster", "e1": "Edge", "n1": "New"}) == (
        Difference("Activities", "Training, Inference", "Training, Fine-tuning, Inference"),
        Difference("Factors", "Yearly average of the grid", "Hourly values of the grid"),
        Difference(
            "Cluster", "Meter or bill, tier 3, Janitza UMG 96, no. 4711", "Counters of the devices, tier 2, DCGM 3.3"
        ),
        Difference("Edge", "Ratings and hours, tier 0", ""),
        Difference("New", "", "Ratings and hours, tier 0"),
    )
