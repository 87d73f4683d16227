"""Whatever is wrong with a request, the answer is a problem with a code and a sentence, and never an error of ours."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import DataError
from rest_framework.test import APIClient

from tests.api.asking import field_codes, is_problem, refused
from tests.api.world import World

ORDERS = "/api/v1/orders/"


@pytest.fixture
def trader(world: World) -> APIClient:
    """Acme's trader."""
    return world.callers["acme trader"]


def send(client: APIClient, text: Any, content_type: str = "application/json", url: str = ORDERS) -> Any:
    return client.generic("POST", url, text, content_type, headers={"Idempotency-Key": str(uuid4())})


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("address", ["", "v1/", "v1/orders", "v1/nothing/", "v2/orders/", "v1/../admin/", "%00"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_address_that_does_not_exist(anyone: APIClient, address: str, method: str) -> None:
    refused(getattr(anyone, method)(f"/api/{address}"), 404, "not_found")


UNKNOWN_THINGS = [
    "orders/not-a-uuid/",
    "orders/00000000-0000-0000-0000-000000000000/",
    "accounts/HR-100-0000001-00/",
    "accounts/%00/",
    "periods/ai-flop-9999/",
    "periods/%F0%9F%92%A9/",
    "markets/' OR 1=1/",
    "markets/" + "a" * 5000 + "/",
    "reports/00000000-0000-0000-0000-000000000000/lines/",
]


def test_thing_that_does_not_exist(trader: APIClient) -> None:
    for address in UNKNOWN_THINGS:
        refused(trader.get(f"/api/v1/{address}"), 404, "not_found")


NO_JSON = [
    b"{",
    b"[]",
    b'"market"',
    b"null",
    b'{"quantity": NaN}',
    b'{"quantity": -Infinity}',
    b'{"quantity": 1, "quantity": 2}',
    b'{"market": "\\ud800"}',
    b"\xff\xfe\x00",
    b'{"a":' * 100_000,
    b'{"quantity": ' + b"9" * 5_000 + b"}",
    b"<order/>",
]


def test_body_that_is_no_json(trader: APIClient) -> None:
    for text in NO_JSON:
        refused(send(trader, text), 400, "parse_error")


def test_body_that_is_not_there(trader: APIClient) -> None:
    refused(send(trader, b""), 422, "fields_refused")


def test_body_of_another_type(trader: APIClient) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"):
        refused(send(trader, b"market=ai", content_type), 415, "unsupported_media_type")


def test_body_that_is_too_long(trader: APIClient) -> None:
    refused(send(trader, b" " * (3 * 1024 * 1024 + 1)), 413, "body_too_large")
    refused(send(trader, b"a" * (3 * 1024 * 1024 + 1), "text/csv", CODECARBON), 413, "body_too_large")


CODECARBON = "/api/v1/reports/codecarbon/?period=ai-flop-2026&boundary=all&activity=training"


def test_answer_that_we_do_not_give(trader: APIClient) -> None:
    for wanted in ("text/html", "application/xml", "application/json; indent=4x/"):
        answer = trader.get("/api/v1/schemes/", headers={"Accept": wanted})
        assert answer.status_code in {200, 406}
        if wanted != "application/json; indent=4x/":
            refused(answer, 406, "not_acceptable")


UNREADABLE_PARAMETERS = [
    ("?acount=1", "parameter_unknown"),
    ("?format=json", "parameter_unknown"),
    ("?status__in=new", "parameter_unknown"),
    ("?side=buy&side=sell", "parameter_repeated"),
    ("?side=both", "parameter_invalid"),
    ("?organisation=acme", "parameter_invalid"),
    ("?entered_from=yesterday", "parameter_invalid"),
    ("?entered_from=2026-03-02T09:00:00 01:00", "parameter_invalid"),
    ("?market=%00", "parameter_invalid"),
    ("?page_size=0", "parameter_invalid"),
    ("?page_size=-1", "parameter_invalid"),
    ("?page_size=1e3", "parameter_invalid"),
    ("?page_size=²", "parameter_invalid"),
    ("?page_size=" + "9" * 5000, "parameter_invalid"),
    ("?cursor=rubbish", "cursor_invalid"),
    ("?cursor=cD1hYmM=", "cursor_invalid"),
    ("?cursor=%FF", "cursor_invalid"),
]


def test_parameter_that_cannot_be_read(trader: APIClient) -> None:
    for query, code in UNREADABLE_PARAMETERS:
        refused(trader.get(ORDERS + query), 400, code)


def test_address_of_one_thing_has_no_parameters(world: World, trader: APIClient) -> None:
    refused(trader.get(f"{ORDERS}{world.order.public_id}/?market=tulips"), 400, "parameter_unknown")


def test_key_of_an_act_is_needed_and_short(trader: APIClient) -> None:
    refused(trader.post(ORDERS, {}), 400, "idempotency_key_missing")
    for key in (" ", "a" * 201, "two words", "ü", "a\x00b"):
        refused(trader.post(ORDERS, {}, HTTP_IDEMPOTENCY_KEY=key), 400, "idempotency_key_invalid")


NOT_QUANTITIES: list[Any] = [
    1.5,
    1e3,
    "1.5",
    "1e3",
    "-1",
    -1,
    0,
    "0",
    10**15 + 1,
    str(10**15 + 1),
    10**30,
    "9" * 500,
    "NaN",
    "Infinity",
    "0x10",
    "1_000",
    "1,000",
    "٣",
    "²",
    "",
    " ",
    None,
    True,
    [],
    [1],
    {},
    {"a": 1},
    "1\x00",
]


def test_what_is_no_quantity_is_refused_alike_everywhere(world: World, trader: APIClient) -> None:
    initiator = world.callers["acme initiator"]
    bodies: list[tuple[APIClient, str, dict[str, Any]]] = [
        (trader, ORDERS, {"market": world.market.code, "side": "buy", "price": "500"}),
        (
            initiator,
            "/api/v1/transfers/",
            {"to": world.borealis.account.number, "asset": world.period.permit.code},
        ),
        (initiator, "/api/v1/surrenders/", {"period": world.period.code}),
    ]

    for quantity in NOT_QUANTITIES:
        answers = [
            field_codes(client.post(url, body | {"quantity": quantity}, headers={"Idempotency-Key": str(uuid4())}))
            for client, url, body in bodies
        ]

        assert answers[0] == answers[1] == answers[2]
        assert set(answers[0]) == {"/quantity"}
        assert answers[0]["/quantity"] in {"quantity_not_whole", "quantity_out_of_range", "null"}, quantity


def test_price_is_read_like_a_quantity(world: World, trader: APIClient) -> None:
    terms = {"market": world.market.code, "side": "buy", "quantity": "1"}

    for price in (25.5, "25.5", "-1", 10**16):
        answer = trader.post(ORDERS, terms | {"price": price}, headers={"Idempotency-Key": str(uuid4())})
        assert set(field_codes(answer)) == {"/price"}


def test_every_wrong_field_is_listed_with_its_place(world: World, trader: APIClient) -> None:
    good = {"side": "buy", "price": "500", "quantity": "1"}
    batch = {"market": world.market.code, "orders": [good, good | {"side": "both", "quantity": 0.5}, "no order"]}

    answer = trader.post(f"{ORDERS}batch/", batch, headers={"Idempotency-Key": str(uuid4())})

    assert field_codes(answer) == {
        "/orders/1/side": "invalid_choice",
        "/orders/1/quantity": "quantity_not_whole",
        "/orders/2": "invalid",
    }


def test_fields_that_nobody_asked_for_change_nothing(world: World, trader: APIClient) -> None:
    extra = {
        "id": str(uuid4()),
        "organisation": str(world.borealis.organisation.pk),
        "entered_by": str(world.borealis.trader.pk),
        "status": "filled",
        "filled": "10",
        "key": str(uuid4()),
        "position": 1,
    }
    body = {"market": world.market.code, "side": "buy", "price": "490", "quantity": "1"} | extra

    answer = trader.post(ORDERS, body, headers={"Idempotency-Key": str(uuid4())})

    stored = answer.json()
    assert answer.status_code == 201
    assert (stored["organisation"], stored["status"], stored["filled"]) == (
        str(world.acme.organisation.pk),
        "pending_new",
        "0",
    )
    assert stored["id"] != extra["id"]


def test_text_that_the_database_cannot_hold_is_a_wrong_request(
    trader: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise DataError("integer out of range: 99999999999")

    monkeypatch.setattr("exchange.api.orders.orders.place_order", broken)

    answer = trader.post(
        ORDERS,
        {"market": "ai-flop-2026", "side": "buy", "price": "490", "quantity": "1"},
        headers={"Idempotency-Key": str(uuid4())},
    )

    refused(answer, 400, "request_unreadable")
    assert b"99999999999" not in answer.content


def test_too_many_requests_say_when_to_come_back(anyone: APIClient, db: None) -> None:
    statuses = {anyone.get("/api/v1/schemes/").status_code for _ in range(120)}

    answer = anyone.get("/api/v1/schemes/")

    assert statuses == {200}
    refused(answer, 429, "throttled")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


@pytest.mark.usefixtures("db")
def test_problem_is_one_json_object(anyone: APIClient) -> None:
    answer = anyone.get("/api/v1/me/")

    is_problem(answer)
    assert json.loads(answer.content) == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "code": "not_authenticated",
        "detail": "Send a token: Authorization: Bearer hr_...",
    }
