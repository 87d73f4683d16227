"""Published runs: a stranger gets the same result from the document alone, and sees every figure that was touched."""

import copy
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine import parameters
from registry.engine.allocation import AllocationInputs, GrandfatheringClaim, Metric, inputs_document
from registry.engine.canonical import sha256
from registry.engine.runs import Unusable, differences, recompute, run_document

RULES: dict[str, Any] = {
    "format": "headroom.scheme-rules/1",
    "scheme": {
        "code": "eu-like",
        "name": "A scheme",
        "metric": "co2e",
        "unit_size": "1000000",
        "currency": "eur",
        "zone": "Europe/Brussels",
    },
    "rules": [
        {"name": name, "value": value, "valid_from": "2023-01-01", "source": "Decision (EU) 2015/1814"}
        for name, value in {
            "supply.msr.upper": "833000000",
            "supply.msr.mid": "1096000000",
            "supply.msr.lower": "400000000",
            "supply.msr.intake": "0.24",
            "supply.msr.release": "100000000",
            "supply.floor.start_year": 2025,
            "supply.floor.start": "9",
            "supply.floor.real": "0.07",
            "supply.ccr": [
                {"trigger": {"start_year": 2025, "start": "19.50", "real": "0.07"}, "quantity": "30"},
                {"trigger": {"start_year": 2025, "start": "29.25", "real": "0.07"}, "quantity": "20"},
            ],
        }.items()
    ],
}
ON = date(2025, 6, 1)
STABILITY = {
    "minted": "1500000000",
    "imported": "0",
    "verified_use": "476505798",
    "cancelled": "0",
    "reserve": "0",
    "auction_volume": "600000000",
}
BIDS = [
    {"bidder": bidder, "price": price, "quantity": quantity}
    for bidder, price, quantity in (("a", "35", "60"), ("b", "25", "50"), ("c", "15", "40"), ("d", "8", "90"))
]


def run(kind: str, inputs: dict[str, Any], rules: dict[str, Any] | None = RULES) -> dict[str, Any]:
    if rules is not None:
        book = parameters.read_document(rules)
        assert not isinstance(book, tuple), book
        rules = parameters.write_document(book.terms, book.entries)
    document = run_document(
        kind=kind, scheme="eu-like", period="eu-like-2025", year=2025, on=ON, rules=rules, inputs=inputs
    )
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]  # as it is published


def allocation_run() -> dict[str, Any]:
    inputs = AllocationInputs(
        scheme="eu-like",
        period="eu-like-2025",
        metric=Metric.CO2E,
        permit_size=1,
        cap=1_000,
        free_pool=700,
        set_aside_pool=0,
        claims=tuple(
            GrandfatheringClaim(operator, "compute", {2023: use}, Decimal(1))
            for operator, use in (("HR-1", 500), ("HR-2", 400), ("HR-3", 100))
        ),
    )
    return run("allocation", inputs_document(inputs), rules=None)


def operator(name: str, surrendered: int, verified: dict[int, int]) -> dict[str, Any]:
    return {
        "operator": name,
        "year": 2026,
        "first_year": 2024,
        "last_year": None,
        "verified": {str(year): str(permits) for year, permits in verified.items()},
        "estimated": {},
        "surrendered": str(surrendered),
        "excluded": [],
    }


EVERY_KIND: dict[str, Callable[[], dict[str, Any]]] = {
    "allocation": allocation_run,
    "stability": lambda: run("stability", STABILITY),
    "sale": lambda: run("sale", {"cap": "1000", "offered": "100", "bids": BIDS}),
    "status": lambda: run(
        "status", {"operators": [operator("HR-1", 10, {2024: 4, 2025: 6}), operator("HR-2", 3, {2024: 4, 2025: 6})]}
    ),
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_stranger_gets_the_same_result_from_the_document_alone(kind: str) -> None:
    document = EVERY_KIND[kind]()

    assert differences(document) == []
    assert recompute(document) == document["result"]


def test_the_flow_of_2026_is_the_published_one() -> None:
    result = run("stability", STABILITY)["result"]

    assert (result["circulation"], result["intake"]) == ("1023494202", "190494202")
    assert [month["month"] for month in result["months"]][::11] == ["2025-09", "2026-08"]
    assert sum(int(month["permits"]) for month in result["months"]) == 190_494_202


def test_a_sale_releases_the_tiers_that_its_price_reached_and_everybody_pays_one_price() -> None:
    result = run("sale", {"cap": "1000", "offered": "100", "bids": BIDS})["result"]

    # 100 offered: a and b take 110, so the price is 25, above the first trigger: ten more are wanted there.
    assert (result["price_without_reserves"], result["price"], result["released"]) == ("25", "19.5", "10")
    assert [(award["bidder"], award["permits"]) for award in result["awards"]] == [("a", "60"), ("b", "50")]
    assert (result["sold"], result["unsold"]) == ("110", "0")


def test_letters_follow_from_the_figures_of_the_years() -> None:
    lines = EVERY_KIND["status"]()["result"]["lines"]

    assert [(line["operator"], line["status"], line["shortfall"]) for line in lines] == [
        ("HR-1", "A", "0"),
        ("HR-2", "B", "7"),
    ]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("allocation", ("result", "awards", 0, "permits")),
        ("stability", ("result", "months", 3, "permits")),
        ("stability", ("inputs", "verified_use")),
        ("sale", ("inputs", "bids", 1, "quantity")),
        ("status", ("inputs", "operators", 0, "surrendered")),
        ("status", ("result", "lines", 1, "status")),
    ],
)
def test_every_touched_figure_is_found(kind: str, path: tuple[str | int, ...]) -> None:
    document = EVERY_KIND[kind]()
    before = sha256(document)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "1"

    assert differences(document)
    assert sha256(document) != before


def test_other_rules_than_the_version_says_are_found() -> None:
    document = run("stability", STABILITY)
    document["rules"]["document"]["rules"][0]["source"] = "somewhere else"

    assert differences(document) == ["rules: the version is another"]


def test_a_rule_that_is_not_there_is_said_as_the_result() -> None:
    without = copy.deepcopy(RULES)
    without["rules"] = []

    result = run("stability", STABILITY, rules=without)["result"]

    assert [refusal["code"] for refusal in result["refusals"]] == ["no_stability_reserve"]


@given(st.recursive(st.none() | st.text(max_size=5) | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_what_is_no_run_is_refused_and_never_a_fault_of_ours(junk: Any) -> None:
    for document in (
        {"format": "headroom.run/1", "kind": "stability", "rules": junk, "inputs": junk, "year": junk},
        {"format": "headroom.run/1", "kind": "status", "inputs": {"operators": junk}},
        {"format": junk, "kind": "allocation"},
        {"format": "headroom.run/1", "kind": "allocation", "inputs": junk},
    ):
        if document.get("inputs") == {"operators": []} or document.get("inputs") == {"operators": ""}:
            continue
        with pytest.raises(Unusable):
            recompute(document)
