"""Hostile values in every documented place: each is refused or finds nothing, and none is an error of ours."""

from typing import Any
from uuid import uuid4

import pytest
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from tests.api.asking import is_problem
from tests.api.test_access import address, body
from tests.api.world import World

TEXTS = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "ü",
    "\U0001f600",
    "\u202e",
    "%",
    "' OR 1=1 --",
    "../../etc/passwd",
    "{{7*7}}",
    "a" * 3000,
    "-1",
    "0",
    "1.5",
    "1e400",
    "9" * 40,
    "NaN",
    "true",
    "null",
    "[]",
    "1900-02-30",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-03-29T02:30:00",
    "24:00",
    "00000000-0000-0000-0000-000000000000",
]


def test_every_documented_parameter_survives_them(world: World) -> None:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    client = world.callers["auditor"]
    places = {"code": world.period.code, "number": world.acme.account.number}
    wrong, asked, seen = {}, 0, set()
    for path, operations in document["paths"].items():
        url = path
        for name in ("code", "number"):
            url = url.replace(f"{{{name}}}", places[name])
        if "get" not in operations or "{" in url:
            continue
        for parameter in operations["get"].get("parameters", []):
            kind = (parameter["name"], str(parameter["schema"]))
            # a parameter that many lists share is asked everything once, and every fifth thing wherever it comes again
            texts = TEXTS[asked % 5 :: 5] if kind in seen else TEXTS
            seen.add(kind)
            for text in texts if parameter["in"] == "query" else []:
                base = {"account": places["number"], "asset": places["code"]} if needs_account(operations) else {}
                answer = client.get(url, base | {parameter["name"]: text})
                asked += 1
                if answer.status_code not in {200, 400, 404}:
                    wrong[url, parameter["name"], text] = answer.status_code
                elif answer.status_code != 200:
                    is_problem(answer)

    assert wrong == {}
    assert asked > 800


def needs_account(operations: dict[str, Any]) -> bool:
    return any(one["name"] == "account" and one.get("required") for one in operations["get"]["parameters"])


def test_every_place_in_an_address_survives_them(world: World) -> None:
    client = world.callers["desk officer"]

    statuses = {
        client.get(f"/api/v1/{kind}/{text}/{rest}").status_code
        for kind, rest in [
            ("schemes", ""),
            ("periods", ""),
            ("markets", ""),
            ("markets", "book/"),
            ("accounts", ""),
            ("orders", ""),
            ("reports", ""),
            ("reports", "lines/"),
            ("allocations", "inputs/"),
            ("approvals", ""),
        ]
        for text in TEXTS
        if text.strip() and "%" not in text and "/" not in text
    }

    assert statuses == {404}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("order-list", "acme trader"),
        ("order-batch", "acme trader"),
        ("transfer-list", "acme initiator"),
        ("surrender-list", "acme initiator"),
        ("report-list", "acme initiator"),
    ],
)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_field_of_an_act_survives_any_json(world: World, name: str, who: str, data: st.DataObject) -> None:
    content = body(world, name)
    field = data.draw(st.sampled_from(sorted(content)))
    changed = content | {field: data.draw(JSON)}

    answer = post(world.callers[who], address(world, name), changed)

    assert answer.status_code in {201, 202, 404, 422}
    if answer.status_code >= 400:
        is_problem(answer)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(part=st.dictionaries(st.sampled_from(["label", "activity", "flop", "energy_kwh", "country"]), JSON))
def test_every_field_of_a_line_survives_any_json(world: World, part: dict[str, Any]) -> None:
    content = body(world, "report-list")
    content["lines"] = [content["lines"][0] | part]

    answer = post(world.callers["acme initiator"], address(world, "report-list"), content)

    assert answer.status_code in {201, 422}


@pytest.mark.usefixtures("db")
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.dictionaries(st.sampled_from(["email", "password", "name", "scope", "days", "organisation"]), JSON))
def test_every_field_of_a_log_in_survives_any_json(content: dict[str, Any]) -> None:
    answer = APIClient().post("/api/v1/tokens/", content)

    assert answer.status_code in {401, 422, 429}
    is_problem(answer)


def post(client: APIClient, url: str, content: Any) -> Any:
    return client.post(url, content, headers={"Idempotency-Key": str(uuid4())})
