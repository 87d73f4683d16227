"""Rules over REST: anybody reads what holds and what changed; an officer proposes, once however often it is sent."""

from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import Approval
from registry.engine import parameters as engine
from registry.models import RuleChange, Scheme
from registry.services import rules
from tests.api.asking import field_codes, refused
from tests.api.world import Caller
from tests.cast import OPENING, Regulator

RULE: dict[str, Any] = {
    "name": "sanction.rate_minor",
    "value": "12000",
    "valid_from": "2027-01-01",
    "source": "Order 7",
}


@pytest.fixture
def desk(caller: Caller, regulator: Regulator) -> APIClient:
    """A desk officer, with a write token."""
    return caller(regulator.desk, regulator.organisation, "write")


@pytest.fixture
def change(regulator: Regulator, scheme: Scheme) -> RuleChange:
    """The first change of the cast's scheme."""
    approval = rules.propose_change(actor=regulator.desk, scheme=scheme, title="Phase one", entries=[RULE], now=OPENING)
    regulator.approve(approval)
    return RuleChange.objects.get(approval=approval)


def of(scheme: Scheme, name: str = "scheme-rules") -> str:
    """Return the address of something about a scheme's rules."""
    return reverse(name, args=[scheme.code])


def send(client: APIClient, scheme: Scheme, body: Any, key: str = "") -> Any:
    """Propose a change."""
    return client.post(of(scheme, "rule-change-list"), body, headers={"Idempotency-Key": key or str(uuid4())})


def test_rules_of_a_day_carry_unit_source_and_change(anyone: APIClient, scheme: Scheme, change: RuleChange) -> None:
    before, after = (anyone.get(of(scheme), {"on": day}).json() for day in ("2026-12-31", "2027-01-01"))

    assert (before["version"], after["version"]) == ("", change.book_sha256)
    (sanction,) = [one for one in after["rules"] if one["name"] == "sanction.rate_minor"]
    assert sanction == {
        "name": "sanction.rate_minor",
        "title": "Cash rate",
        "value": "12000",
        "unit": "minor units per permit",
        "rounding": "R8",
        "valid_from": "2027-01-01",
        "valid_to": None,
        "source": "Order 7",
        "change": 1,
    }
    (founding,) = [one for one in before["rules"] if one["name"] == "sanction.rate_minor"]
    assert (founding["value"], founding["change"]) == ("10000", None)


def test_without_a_day_it_is_today_in_the_scheme(anyone: APIClient, scheme: Scheme) -> None:
    assert anyone.get(of(scheme)).json()["on"] == "2026-03-02"


@pytest.mark.parametrize("on", ["soon", "2026-13-01", "0001-01-01", "9999-12-31"])
def test_a_day_that_is_none_is_refused(on: str, anyone: APIClient, scheme: Scheme) -> None:
    for name in ("scheme-rules", "scheme-rules-document"):
        refused(anyone.get(of(scheme, name), {"on": on}), 400, "parameter_invalid")


def test_the_document_fits_the_schema_and_its_hash_is_the_version(
    anyone: APIClient, scheme: Scheme, change: RuleChange
) -> None:
    document = anyone.get(of(scheme, "scheme-rules-document")).json()
    schema = anyone.get(of(scheme, "scheme-rules-schema")).json()

    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    assert engine.sha256(document) == change.book_sha256
    assert isinstance(engine.read_document(document), engine.RuleDocument)


def test_changes_are_listed_latest_first(
    anyone: APIClient, scheme: Scheme, change: RuleChange, regulator: Regulator
) -> None:
    again = rules.propose_change(
        actor=regulator.desk,
        scheme=scheme,
        title="Phase two",
        entries=[RULE | {"value": None, "valid_from": "2028-01-01"}],
        now=OPENING,
    )
    regulator.approve(again)

    listed = anyone.get(of(scheme, "rule-change-list")).json()["results"]

    assert [(one["number"], one["title"]) for one in listed] == [(2, "Phase two"), (1, "Phase one")]
    assert listed[1]["rules"] == [{**RULE, "unit": "minor units per permit", "valid_to": None, "rounding": "R8"}]
    assert listed[0]["rules"][0]["value"] is None


def test_an_officer_proposes_and_sees_what_it_would_change(desk: APIClient, scheme: Scheme) -> None:
    answer = send(desk, scheme, {"title": "Dearer", "rules": [RULE]})

    assert answer.status_code == 202
    assert answer.json()["preview"]["changes"] == [
        {"name": "sanction.rate_minor", "first": "2027-01-01", "end": None, "before": "10000", "after": "12000"}
    ]
    assert not RuleChange.objects.exists()


def test_a_proposal_sent_twice_is_one(desk: APIClient, scheme: Scheme) -> None:
    first = send(desk, scheme, {"title": "Dearer", "rules": [RULE]}, "change-1")
    again = send(desk, scheme, {"title": "Dearer", "rules": [RULE]}, "change-1")

    assert (again.status_code, again.json()) == (202, first.json())
    assert Approval.objects.filter(act=rules.CHANGE_RULES).count() == 1
    refused(send(desk, scheme, {"title": "Dearest", "rules": [RULE]}, "change-1"), 422, "key_reused")


def test_a_whole_document_is_proposed_by_what_differs(desk: APIClient, scheme: Scheme, change: RuleChange) -> None:
    document = rules.export(scheme)
    document["rules"][-1] |= {"value": "7000", "valid_from": "2026-03-02"}

    answer = send(desk, scheme, {"title": "Edited", "document": document})

    assert answer.status_code == 202
    assert [one["name"] for one in answer.json()["preview"]["changes"]] == ["transactions.large_transfer"]


def test_every_fault_and_every_contradiction_is_listed(desk: APIClient, scheme: Scheme) -> None:
    faults = send(
        desk, scheme, {"title": "x", "rules": [RULE | {"value": 1.5}, RULE | {"name": "cap.roof"}, {"name": 7}]}
    )
    contradictions = send(
        desk,
        scheme,
        {
            "title": "x",
            "rules": [
                RULE | {"name": "alloc.new_entrants.share", "value": "0.2"},
                RULE | {"name": "time.borrow_interest", "value": "0.05"},
            ],
        },
    )

    refused(faults, 422, "several_refusals")
    assert len(faults.json()["errors"]) == 3
    refused(contradictions, 422, "several_refusals")
    assert len(contradictions.json()["errors"]) == 2
    assert not Approval.objects.filter(act=rules.CHANGE_RULES).exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"title": "x"}, {"/rules": "rules_or_document"}),
        ({"title": "x", "rules": [], "document": {}}, {"/rules": "rules_or_document"}),
        ({"rules": [RULE]}, {"/title": "required"}),
        ({"title": "x", "rules": "all"}, {"/rules": "not_a_list"}),
        ({"title": "x", "rules": [RULE], "reason_code": "because"}, {"/reason_code": "invalid_choice"}),
    ],
)
def test_a_body_that_is_none_is_refused(desk: APIClient, scheme: Scheme, body: Any, code: dict[str, str]) -> None:
    assert field_codes(send(desk, scheme, body)) == code


def test_only_an_officer_with_a_write_token_proposes(
    caller: Caller, regulator: Regulator, anyone: APIClient, acme_trades: APIClient, scheme: Scheme
) -> None:
    body = {"title": "x", "rules": [RULE]}

    refused(send(anyone, scheme, body), 401, "not_authenticated")
    refused(send(caller(regulator.desk, regulator.organisation), scheme, body), 403, "token_read_only")
    refused(send(acme_trades, scheme, body), 403, "not_permitted")
    refused(send(caller(regulator.monitor, regulator.organisation, "write"), scheme, body), 403, "not_permitted")


def test_a_scheme_that_is_not_there_is_not_found(anyone: APIClient, desk: APIClient) -> None:
    for name in ("scheme-rules", "scheme-rules-document", "scheme-rules-schema", "rule-change-list"):
        assert anyone.get(reverse(name, args=["nothing"])).status_code == 404
    assert (
        desk.post(
            reverse("rule-change-list", args=["nothing"]),
            {"title": "x", "rules": [RULE]},
            headers={"Idempotency-Key": "k"},
        ).status_code
        == 404
    )
