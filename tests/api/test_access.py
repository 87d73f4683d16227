"""Who may ask what: every address by every method in every role. A new address without a line here fails."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.api.base import RegistryViewSet
from accounts.models import User
from tests.api.asking import is_problem
from tests.api.world import World

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
READ_TOKENS = {"acme viewer", "acme trader, read", "verifier's viewer", "auditor"}
OVERSIGHT = {"auditor", "desk officer", "senior officer", "market monitor"}
ACME = {"acme viewer", "acme viewer, write", "acme initiator", "acme approver", "acme trader", "acme trader, read"}
EVERYBODY_WITH_TOKEN = ACME | OVERSIGHT | {"borealis trader", "verifier", "verifier's viewer"}

PUBLIC = EVERYBODY_WITH_TOKEN | {"anyone"}
OWN = ACME | OVERSIGHT
"""Those who see a thing of Acme's; to others it is unknown."""

REPRESENTATIVES = {"acme initiator", "acme approver"}

READS: dict[str, tuple[set[str], int]] = {
    # address: who may read it, and what the others are told
    "me": (EVERYBODY_WITH_TOKEN, 401),
    "token-list": (EVERYBODY_WITH_TOKEN, 401),
    "scheme-list": (PUBLIC, 0),
    "scheme-detail": (PUBLIC, 0),
    "calendar-event-list": (PUBLIC, 0),
    "scheme-rules": (PUBLIC, 0),
    "scheme-rules-document": (PUBLIC, 0),
    "scheme-rules-schema": (PUBLIC, 0),
    "rule-change-list": (PUBLIC, 0),
    "period-list": (PUBLIC, 0),
    "period-detail": (PUBLIC, 0),
    "market-list": (PUBLIC, 0),
    "market-detail": (PUBLIC, 0),
    "market-book": (PUBLIC, 0),
    "trade-list": (PUBLIC, 0),
    "letter-list": (PUBLIC, 0),
    "allocation-list": (PUBLIC, 0),
    "allocation-detail": (PUBLIC, 0),
    "run-list": (PUBLIC, 0),
    "run-detail": (PUBLIC, 0),
    "run-document": (PUBLIC, 0),
    "account-list": (EVERYBODY_WITH_TOKEN, 401),
    "account-detail": (OWN, 404),
    "holding-list": (EVERYBODY_WITH_TOKEN, 401),
    "group-list": (EVERYBODY_WITH_TOKEN, 401),
    "freeze-list": (PUBLIC, 0),
    "serial-freeze-list": (PUBLIC, 0),
    "serial": (PUBLIC, 0),
    "transfer-list": (OWN, 404),
    "transaction-list": (EVERYBODY_WITH_TOKEN, 401),
    "transaction-detail": (OWN, 404),
    "trusted-account-list": (EVERYBODY_WITH_TOKEN, 401),
    "certificate-detail": (PUBLIC, 0),
    "statement": (OWN, 404),
    "approval-list": (EVERYBODY_WITH_TOKEN, 401),
    "approval-detail": (OWN, 404),
    "task-list": (EVERYBODY_WITH_TOKEN, 401),
    "task-detail": (OWN, 404),
    "report-list": (EVERYBODY_WITH_TOKEN, 401),
    "report-detail": (OWN | {"verifier"}, 404),
    "allocation-lines": (EVERYBODY_WITH_TOKEN, 401),
    "allocation-inputs": (OVERSIGHT, 403),
    "settlement-list": (EVERYBODY_WITH_TOKEN, 401),
    "draft-list": (EVERYBODY_WITH_TOKEN, 401),
    "draft-detail": (set(), 404),  # there is none; see test_drafts
    "upload-detail": (set(), 404),
    "report-evidence": (set(), 404),  # this report has none; see test_acting
    "report-lines": (OWN | {"verifier"}, 404),
    "report-findings": (OWN | {"verifier"}, 404),
    "report-statement": (OWN | {"verifier"}, 404),
    "report-checklist": (OVERSIGHT | {"verifier"}, 404),
    "appointment-list": (EVERYBODY_WITH_TOKEN, 401),
    "appointment-detail": (OWN | {"verifier", "verifier's viewer"}, 404),
    "signing-key-list": (EVERYBODY_WITH_TOKEN, 401),
    "tariff-list": (PUBLIC, 0),
    "published-claim-list": (PUBLIC, 0),
    **{f"{kind}-list": (PUBLIC, 0) for kind in ("published-measure", "efficiency-label")},
    **{f"access-{kind}-list": (PUBLIC, 0) for kind in ("programme", "award")},
    **{f"{kind}-list": (EVERYBODY_WITH_TOKEN, 401) for kind in ("measure", "access-application")},
    **{f"{kind}-list": (EVERYBODY_WITH_TOKEN, 401) for kind in ("forecast", "flex-event", "avoided-claim")},
    "obligation-list": (EVERYBODY_WITH_TOKEN, 401),
    "surrender-list": (EVERYBODY_WITH_TOKEN, 401),
    "sanction-list": (EVERYBODY_WITH_TOKEN, 401),
    "debt-list": (EVERYBODY_WITH_TOKEN, 401),
    "case-list": (EVERYBODY_WITH_TOKEN, 401),
    "case-detail": (OWN, 404),
    **{f"{kind}-list": (EVERYBODY_WITH_TOKEN, 401) for kind in ("site", "system", "model", "workload", "plan")},
    **{f"{kind}-detail": (OWN | {"verifier"}, 404) for kind in ("site", "system", "model", "workload", "plan")},
    "factor-set-list": (PUBLIC, 0),
    "intensity-series": (PUBLIC, 0),
    "serving-batch-list": (EVERYBODY_WITH_TOKEN, 401),
    "serving-record-list": (EVERYBODY_WITH_TOKEN, 401),
    "serving-figure-list": (EVERYBODY_WITH_TOKEN, 401),
    **{f"meter-{kind}-list": (EVERYBODY_WITH_TOKEN, 401) for kind in ("project", "experiment", "run")},
    # there is none; see test_codecarbon
    **{f"meter-{kind}-detail": (set(), 404) for kind in ("project", "experiment", "run")},
    "order-list": (EVERYBODY_WITH_TOKEN, 401),
    "order-detail": (OWN, 404),
    "audit-event-list": (OVERSIGHT, 403),
}

ACTS: dict[tuple[str, str], tuple[set[str], int, int]] = {
    # address and method: who may, what they are told, and what others with a write token are told
    ("order-list", "post"): ({"acme trader", "borealis trader"}, 201, 403),
    ("order-batch", "post"): ({"acme trader", "borealis trader"}, 201, 403),
    ("order-detail", "delete"): ({"acme trader"}, 202, 403),
    ("transfer-list", "post"): (REPRESENTATIVES, 201, 403),
    ("transaction-list", "post"): (REPRESENTATIVES, 201, 403),
    ("surrender-list", "post"): (REPRESENTATIVES | {"acme trader", "borealis trader"}, 201, 403),
    ("report-list", "post"): (REPRESENTATIVES, 201, 403),
    ("case-list", "post"): (REPRESENTATIVES, 201, 403),
    ("report-codecarbon", "post"): (set(), 0, 403),
    **{(f"{kind}-list", "post"): (REPRESENTATIVES, 201, 403) for kind in ("site", "system", "model", "workload")},
    ("rule-change-list", "post"): ({"desk officer", "senior officer"}, 202, 403),
}

NOT_AN_OPERATOR = {"verifier", "desk officer", "senior officer", "market monitor"}
"""Refused before their role is asked: their organisation is no operator."""

RULE = {"name": "sanction.rate_minor", "value": "12000", "valid_from": "2099-01-01", "source": "Order 7"}

OVERSIGHT_ONLY = {"audit-event-list", "allocation-inputs"}

APPOINTMENT_ACTS = ("list", "acceptance", "refusal", "cancellation", "termination")

ONCE = {
    "transfer-bulk": {"post"},
    "surrender-bulk": {"post"},
    "transaction-cancellation": {"post"},
    "transaction-confirmation": {"post"},
    "transaction-reversal": {"post"},
    "plan-list": {"post"},
    "plan-submission": {"post"},
    "plan-withdrawal": {"post"},
    "plan-decision": {"post"},
    "trusted-account-list": {"post"},
    "trusted-account-detail": {"delete"},
    "draft-list": {"post"},
    "draft-detail": {"delete"},
    "draft-uploads": {"post"},
    "draft-filing": {"post"},
    "upload-detail": {"delete"},
    **{f"report-{act}": {"post"} for act in ("begin", "checklist", "findings", "statement")},
    **{f"finding-{act}": {"post"} for act in ("answer", "close", "reopen")},
    **{f"appointment-{act}": {"post"} for act in APPOINTMENT_ACTS},
    **{f"signing-key-{act}": {"post"} for act in ("list", "revocation")},
    "report-unsigned": {"get", "head"},
    "serving-batch-list": {"post"},
    "serving-batch-csv": {"post"},
    "factor-hour-list": {"get", "head"},
    **{f"{kind}-list": {"post"} for kind in ("forecast", "flex-event", "avoided-claim")},
    **{f"{kind}-detail": {"get", "head"} for kind in ("tariff", "published-claim", "avoided-claim")},
    **{f"avoided-claim-{part}": {"get", "head"} for part in ("inputs", "unsigned")},
    **{f"avoided-claim-{act}": {"post"} for act in ("submission", "statement", "publication", "withdrawal")},
    **{name: {"get", "head"} for name in ("green-plan", "green-plan-sensitivity", "green-plan-places")},
    **{f"{kind}-list": {"post"} for kind in ("measure", "access-application")},
    **{f"{kind}-detail": {"get", "head"} for kind in ("measure", "published-measure", "efficiency-label", "league")},
    **{f"access-{kind}-detail": {"get", "head"} for kind in ("programme", "award", "application")},
    "league-list": {"get", "head"},
    "calculator-list": {"get", "head"},
    "calculator-result": {"get", "head", "post"},
}
"""Acts that one thing lets happen once, or that take a file: in tests of their own every role tries them."""

OWN_TOKENS = {"token-list": {"post"}, "token-detail": {"delete"}}
"""Making and revoking one's own tokens has its own tests and its own rules."""


def names() -> Iterator[str]:
    """Name every address under /api/v1/."""

    def walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, URLPattern]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            else:
                yield route, pattern

    for route, pattern in walk(get_resolver().url_patterns, ""):
        if route.startswith("api/v1/"):
            assert pattern.name, f"{route} has no name"
            yield pattern.name


def test_every_address_has_its_line() -> None:
    written = set(READS) | {name for name, _ in ACTS} | set(OWN_TOKENS) | set(ONCE)

    assert set(names()) == written


def address(world: World, name: str) -> str:
    if name == "certificate-detail":
        return reverse(name, args=[world.certificate.pk])
    url = reverse(name, kwargs=world.addresses().get(name))
    if name in {"transfer-list", "statement"}:
        url += "?" + urlencode({"account": world.acme.account.number, "asset": world.period.permit.code})
    if name == "intensity-series":
        url += "?" + urlencode({"zone": "FRA", "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"})
    if name == "serving-figure-list":
        url += "?year=2026"
    if name == "serial":
        url += "?" + urlencode({"asset": world.period.permit.code, "number": "7"})
    if name == "report-codecarbon":
        url += "?" + urlencode({"period": world.period.code, "boundary": "GPUs", "activity": "training"})
    return url


def body(world: World, name: str) -> Any:
    terms = {"side": "buy", "price": "490", "quantity": 1}
    return {
        "order-list": terms | {"market": world.market.code},
        "order-batch": {"market": world.market.code, "orders": [terms]},
        "transfer-list": {"to": world.borealis.account.number, "asset": world.period.permit.code, "quantity": "1"},
        "transaction-list": {
            "kind": "transfer",
            "to": world.borealis.account.number,
            "asset": world.period.permit.code,
            "quantity": "1",
        },
        "surrender-list": {"period": world.period.code, "quantity": "1"},
        "case-list": {"period": world.period.code, "subject": "report", "grounds": "Counted twice."},
        "report-list": {
            "period": world.period.code,
            "boundary": "full stack",
            "lines": [{"label": str(uuid4()), "activity": "training", "flop": "1"}],
        },
        "site-list": {"name": str(uuid4()), "country": "FRA", "opened_on": "2025-05-01"},
        "system-list": {
            "site": str(world.cluster.site_id),
            "name": str(uuid4()),
            "hardware": "L4",
            "devices": 8,
            "watts_per_device": "72",
            "opened_on": "2025-05-01",
        },
        "model-list": {"name": str(uuid4()), "architecture": "dense", "parameters": "70000000000"},
        "workload-list": {
            "system": str(world.cluster.pk),
            "name": str(uuid4()),
            "kind": "stream",
            "activity": "inference",
        },
        "rule-change-list": {"title": "Later", "rules": [RULE]},
    }.get(name, {})


def ask(client: APIClient, method: str, url: str, content: Any) -> Any:
    if method in {"get", "head", "options"}:
        return getattr(client, method)(url)
    return getattr(client, method)(url, content, headers={"Idempotency-Key": str(uuid4())})


def test_reading(world: World) -> None:
    answers = {(name, who): client.get(address(world, name)) for name in READS for who, client in world.callers.items()}

    expected = {
        (name, who): 200 if who in may_read else 401 if who == "anyone" else others
        for name, (may_read, others) in READS.items()
        for who in world.callers
    }
    assert {asked: answer.status_code for asked, answer in answers.items()} == expected
    for answer in answers.values():
        if answer.status_code != 200:
            is_problem(answer)


@pytest.mark.parametrize(("name", "method"), sorted(ACTS))
def test_acting(world: World, name: str, method: str) -> None:
    may, done, others = ACTS[name, method]

    statuses = {}
    for who, client in world.callers.items():
        answer = ask(client, method, address(world, name), body(world, name))
        statuses[who] = answer.status_code
        if answer.status_code >= 400:
            is_problem(answer)

    expected = {}
    for who in world.callers:
        if who == "anyone":
            expected[who] = 401
        elif who in READ_TOKENS:
            expected[who] = 403
        elif who in may:
            expected[who] = done
        else:
            expected[who] = others
        if name in {"surrender-list", "report-list", "case-list"} and who in NOT_AN_OPERATOR:
            expected[who] = 422
        if name == "order-detail" and who == "borealis trader":
            expected[who] = 404  # a trader, but of nobody who has such an order
        if name == "report-codecarbon" and who not in {"anyone"} | READ_TOKENS:
            expected[who] = 415  # the body of these requests is JSON
    assert statuses == expected


def test_methods_that_an_address_does_not_have(world: World) -> None:
    answers = {}
    for name in names():
        offered = {"get", "head"} if name in READS else set()
        offered |= {method for act, method in ACTS if act == name} | OWN_TOKENS.get(name, set()) | ONCE.get(name, set())
        for who in ("acme trader", "desk officer"):  # with write tokens
            for method in set(METHODS) - offered:
                answers[name, who, method] = ask(world.callers[who], method, address(world, name), {})

    expected = {asked: 403 if asked[0] in OVERSIGHT_ONLY and asked[1] == "acme trader" else 405 for asked in answers}
    assert {asked: answer.status_code for asked, answer in answers.items()} == expected
    for (_, _, method), answer in answers.items():
        if method != "head":
            is_problem(answer)


def test_view_that_names_nobody_refuses_everybody(world: World) -> None:
    class Bare(RegistryViewSet[User]):
        def list(self, request: Request) -> Response:
            return Response("secret")

    view = Bare.as_view({"get": "list"})

    def status(client: APIClient) -> int:
        request = RequestFactory().get("/")
        request.META.update(client.defaults)
        return int(view(request).status_code)

    statuses = {who: status(client) for who, client in world.callers.items()}

    assert statuses == {who: 401 if who == "anyone" else 403 for who in world.callers}


def test_log_in_of_a_browser_opens_nothing_here(world: World) -> None:
    browser = Client()
    browser.force_login(world.acme.trader)

    is_problem(browser.get(reverse("me")))
    assert browser.get(reverse("me")).status_code == 401
    assert browser.post(reverse("order-list"), {}, "application/json").status_code == 401


@pytest.mark.parametrize("name", ["order-list", "transfer-list", "surrender-list", "report-list", "order-batch"])
def test_read_token_acts_for_nobody_and_says_why(world: World, name: str) -> None:
    answer = ask(world.callers["acme trader, read"], "post", reverse(name), body(world, name))

    assert (answer.status_code, answer.json()["code"]) == (403, "token_read_only")
