"""The pages of rules: everybody reads what holds and what changed; the desk gathers, previews and proposes."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import jsonschema
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import Approval
from registry.engine import parameters as engine
from registry.engine.parameters import PARAMETERS, Parameter
from registry.models import RuleChange, Scheme
from registry.rule_forms import fields_for, typed
from registry.services import rules
from tests.cast import OPENING, Clock, Regulator
from tests.pages.conftest import NARROW, OpenPage

NEXT_YEAR = "2027-01-01"


def rule(name: str, value: Any, first: str = NEXT_YEAR, end: str | None = None) -> dict[str, Any]:
    """Return one rule as a document carries it."""
    return {"name": name, "value": value, "valid_from": first, "valid_to": end, "source": "Order 7"}


RULES = [
    rule("cap.table", {"2027": "1000", "2028": "900"}),
    rule("sanction.rate_minor", "12000"),
    rule("sanction.ladder", [{"action": "AUTO_DEDUCT", "business_days": 5}, {"action": "CASH", "days": 30}]),
    rule("supply.floor.start_year", 2027),
    rule("supply.floor.start", "22"),
    rule("supply.ccr", [{"trigger": {"start_year": 2027, "start": "40"}, "quantity": "50"}]),
    rule("cap.lock_years", 1, end="2029-01-01"),
]


@pytest.fixture
def change(regulator: Regulator, scheme: Scheme) -> RuleChange:
    """The first change of the cast's scheme."""
    approval = rules.propose_change(
        actor=regulator.desk, scheme=scheme, title="Rules of phase one", entries=RULES, now=OPENING
    )
    regulator.approve(approval)
    return RuleChange.objects.get(approval=approval)


@pytest.fixture
def desk(regulator: Regulator, clock: Clock) -> Client:
    """A desk officer's browser."""
    client = Client()
    client.force_login(regulator.desk)
    return client


def uploaded(content: object) -> SimpleUploadedFile:
    """Return a document as a browser sends it."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return SimpleUploadedFile("rules.json", raw, "application/json")


def put(client: Client, scheme: Scheme, name: str, **typed: str) -> Any:
    """Type one rule into the change."""
    sent = {"valid_from": NEXT_YEAR, "source": "Order 8", **typed}
    return client.post(reverse("rules-edit", args=[scheme.code, name]), sent)


# For everybody --------------------------------------------------------------------------------------------------------


def test_anybody_reads_the_rules_of_any_day(change: RuleChange, scheme: Scheme, clock: Clock) -> None:
    address = reverse("rules-scheme", args=[scheme.code])

    before, after = (Client().get(address, {"on": day}).content.decode() for day in ("2026-12-31", "2027-01-01"))

    assert "Founding terms of the scheme" in before and "12,000" not in before
    assert "12,000" in after and "Order 7" in after and "R8" in after
    assert reverse("rules-change", args=[scheme.code, 1]) in after
    assert "proposed by a desk officer, approved by a senior officer" in after
    assert "AUTO_DEDUCT" in after and "Cost containment tiers" in after
    assert "Desmond" not in after and "Sena" not in after
    assert "30 September Y+1" in after  # the default of the surrender deadline


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "0001-01-01", "9" * 40])
def test_a_day_that_is_none_is_said(day: str, scheme: Scheme, clock: Clock) -> None:
    answer = Client().get(reverse("rules-scheme", args=[scheme.code]), {"on": day})

    assert answer.status_code == 422
    assert "Enter a day" in answer.content.decode()


def test_every_scheme_is_listed_with_its_latest_change(change: RuleChange, clock: Clock) -> None:
    page = Client().get(reverse("rules")).content.decode()

    assert "AI compute" in page and "Rules of phase one" in page


def test_a_change_shows_before_and_after_by_roles_and_to_the_regulator_by_name(
    change: RuleChange, scheme: Scheme, desk: Client
) -> None:
    address = reverse("rules-change", args=[scheme.code, 1])

    public, inside = (client.get(address).content.decode() for client in (Client(), desk))

    assert "10,000" in public and "12,000" in public and change.book_sha256 in public
    assert "Desk officer" in public and "Senior officer" in public
    assert "Desmond" not in public
    assert "Desmond Desk" in inside and "Sena Senior" in inside


def test_changes_are_listed(change: RuleChange, scheme: Scheme, clock: Clock) -> None:
    page = Client().get(reverse("rules-changes", args=[scheme.code])).content.decode()

    assert "Rules of phase one" in page and change.book_sha256[:12] in page


@pytest.mark.parametrize(
    "address",
    ["/rules/nothing/", "/rules/ai-flop/changes/7/", "/rules/nothing/rules.json", "/rules/nothing/changes/"],
)
def test_what_is_not_there_is_not_found(address: str, scheme: Scheme, clock: Clock) -> None:
    assert Client().get(address).status_code == 404


def test_the_files_are_the_document_and_its_schema(change: RuleChange, scheme: Scheme, clock: Clock) -> None:
    book = json.loads(Client().get(reverse("rules-file", args=[scheme.code])).content)
    of_a_day = json.loads(Client().get(reverse("rules-file", args=[scheme.code]), {"on": "2026-06-01"}).content)
    schema = json.loads(Client().get(reverse("rules-schema")).content)

    jsonschema.validate(book, schema, cls=jsonschema.Draft202012Validator)
    assert engine.sha256(book) == change.book_sha256
    founding = ["sanction.rate_minor", "scope.activities", "transactions.large_transfer"]
    assert sorted(one["name"] for one in of_a_day["rules"]) == founding


def test_the_pages_ask_the_same_however_many_changes_there_are(
    change: RuleChange, scheme: Scheme, regulator: Regulator, clock: Clock, django_assert_max_num_queries: Any
) -> None:
    for year in range(2030, 2036):
        approval = rules.propose_change(
            actor=regulator.desk,
            scheme=scheme,
            title=f"Year {year}",
            entries=[rule("sanction.rate_minor", str(year), f"{year}-01-01")],
            now=OPENING,
        )
        regulator.approve(approval)

    for address in (reverse("rules-scheme", args=[scheme.code]), reverse("rules-changes", args=[scheme.code])):
        with django_assert_max_num_queries(8):
            Client().get(address)


# The forms ------------------------------------------------------------------------------------------------------------

EXAMPLES = {one["name"]: one["value"] for one in RULES} | {
    "alloc.leakage": {"exposed": {"2027": "1", "2028": "0.9"}, "other": {"2027": "0.3"}},
    "alloc.set_asides": [{"cohort": "academic", "share": "0.05", "rule": "PRO_RATA", "leftover": "auction"}],
    "alloc.methods": [
        {
            "kind": "GRANDFATHERING",
            "product": "all",
            "lag": 2,
            "base_years": [2024, 2025],
            "share": "0.9",
            "pre_share": "1",
        }
    ],
    "compliance.holidays": ["2027-12-25", "2028-01-01"],
    "compliance.tier_uplift": {"2": "0.05", "3": "0.02"},
    "oversight.blackouts": [{"first": "2027-03-01", "last": "2027-03-31"}],
    "scope.tiers": [{"regime": "FULL", "measure": "use", "threshold_in": "25000", "exit_after": 3}],
    "sanction.ladder": [{"action": "SET_OFF", "on": "Y+2 01-31"}, {"action": "PROSECUTE", "days": 400}],
    "unit.precision_weights": {"fp16": "1", "fp8": "0.5"},
}


@pytest.mark.parametrize("parameter", PARAMETERS.values(), ids=lambda parameter: parameter.name)
def test_each_rule_can_be_typed_and_comes_out_as_it_went_in(parameter: Parameter) -> None:
    value = EXAMPLES.get(parameter.name)
    if value is None:
        value = None if parameter.default is None else parameter.kind.text(parameter.default)

    fields = dict(fields_for(parameter.kind, "value", "Value", value, top=True))
    sent = {name: field.initial for name, field in fields.items()}
    read = typed(parameter.kind, "value", sent)

    if value is not None:
        faults: list[Any] = []
        again = parameter.kind.read(read, parameter.name, faults)
        assert faults == []
        assert again == parameter.kind.read(value, parameter.name, faults)
    assert fields


def test_a_rule_is_typed_gathered_previewed_and_proposed(scheme: Scheme, desk: Client, regulator: Regulator) -> None:
    gathered = put(desk, scheme, "cap.table", value="2027 = 1000\n2028 = 900")
    page = desk.get(reverse("rules-desk", args=[scheme.code])).content.decode()
    proposed = desk.post(
        reverse("rules-propose", args=[scheme.code]), {"key": str(uuid4()), "title": "A cap"}, follow=True
    )
    approval = Approval.objects.get(act=rules.CHANGE_RULES)
    regulator.approve(approval)

    assert gathered.status_code == 302
    assert "What it comes to" in page and "900" in page
    assert "The change was proposed." in proposed.content.decode()
    assert approval.parameters["entries"][0]["value"] == {"2027": "1000", "2028": "900"}
    assert "Nothing yet" in desk.get(reverse("rules-desk", args=[scheme.code])).content.decode()
    assert "A cap" in Client().get(reverse("rules-changes", args=[scheme.code])).content.decode()


def test_several_rules_are_proposed_together_and_taken_out_again(scheme: Scheme, desk: Client) -> None:
    for name, value in (("sanction.rate_minor", "500"), ("cap.lock_years", "2"), ("sanction.rate_minor", "700")):
        assert put(desk, scheme, name, value=value).status_code == 302

    desk.post(reverse("rules-remove", args=[scheme.code]), {"place": "0"})
    page = desk.get(reverse("rules-desk", args=[scheme.code])).content.decode()
    desk.post(reverse("rules-remove", args=[scheme.code]))

    assert "700" in page and ">500<" not in page
    assert "cap.lock_years</span>" not in page
    assert "Nothing yet" in desk.get(reverse("rules-desk", args=[scheme.code])).content.decode()


@pytest.mark.parametrize(
    ("name", "sent", "said"),
    [
        ("cap.lock_years", {"value": "many"}, "without quotes"),
        ("cap.lock_years", {"value": ""}, "required"),
        ("unit.bridge", {"value-0-region": "EU"}, "joules_per_flop is missing"),
        ("cap.start", {"value": "1e6"}, "digits in quotes"),
        ("cap.start", {"value": "5", "valid_from": "soon"}, "Enter a day"),
        ("cap.start", {"value": "5", "valid_to": "2026-01-01"}, "valid_to"),
        ("cap.start", {"value": "5", "source": " "}, "required"),
        ("cap.reduction", {"value": "2027 0.043"}, "no year"),
        ("compliance.calendar.surrender", {"value-year": "1", "value-day": "31 March"}, "year of use"),
        ("sanction.ladder", {"value-0-action": "CASH", "value-0-days": "x"}, "item 1, days"),
    ],
)
def test_a_bad_value_comes_back_with_what_is_wrong(
    name: str, sent: dict[str, str], said: str, scheme: Scheme, desk: Client
) -> None:
    answer = put(desk, scheme, name, **sent)

    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_a_rule_is_taken_back(scheme: Scheme, desk: Client, change: RuleChange) -> None:
    put(desk, scheme, "cap.lock_years", take_back="on", valid_from="2028-01-01")

    page = desk.get(reverse("rules-desk", args=[scheme.code])).content.decode()

    assert "taken back" in page


def test_every_contradiction_is_shown_and_nothing_is_proposed(scheme: Scheme, desk: Client) -> None:
    put(desk, scheme, "alloc.new_entrants.share", value="0.2")
    put(desk, scheme, "time.borrow_interest", value="0.05", valid_from="2028-01-01")

    page = desk.get(reverse("rules-desk", args=[scheme.code])).content.decode()
    answer = desk.post(reverse("rules-propose", args=[scheme.code]), {"key": str(uuid4()), "title": "Too much"})

    assert page.count("<li>From ") == 2
    assert "More than the whole cap" in page and "From 1 January 2028" in page
    assert answer.status_code == 422
    assert not Approval.objects.filter(act=rules.CHANGE_RULES).exists()


def test_a_past_day_asks_for_a_reason(scheme: Scheme, desk: Client) -> None:
    put(desk, scheme, "sanction.rate_minor", value="500", valid_from="2026-01-01")
    address = reverse("rules-propose", args=[scheme.code])

    without = desk.post(address, {"key": str(uuid4()), "title": "Late"})
    given = desk.post(address, {"key": str(uuid4()), "title": "Late", "reason_code": "correction"})

    assert without.status_code == 422 and "Past or locked" in without.content.decode()
    assert given.status_code == 302


def test_an_edited_rule_book_is_uploaded_and_fills_the_change(scheme: Scheme, desk: Client, change: RuleChange) -> None:
    book = json.loads(desk.get(reverse("rules-file", args=[scheme.code])).content)
    for one in book["rules"]:
        if one["name"] == "sanction.rate_minor" and one["valid_from"] == NEXT_YEAR:
            one["value"] = "13000"

    answer = desk.post(
        reverse("rules-document", args=[scheme.code]), {"key": str(uuid4()), "document": uploaded(book)}, follow=True
    )

    page = answer.content.decode()
    assert "The document changes 1 rules." in page
    assert "13,000" in page and "cap.table</span>" not in page


@pytest.mark.parametrize(
    "content",
    [b"", b"not json", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"format": 1, "format": 2}', b"1" * 5000, b"NaN"],
    ids=["empty", "text", "list", "nothing", "bytes", "deep", "twice", "digits", "nan"],
)
def test_a_document_that_is_none_is_refused_and_never_a_500(content: bytes, scheme: Scheme, desk: Client) -> None:
    for address in (reverse("rules-document", args=[scheme.code]), reverse("rules-new")):
        answer = desk.post(address, {"key": str(uuid4()), "document": uploaded(content)})

        assert answer.status_code == 422


def test_a_scheme_is_founded_by_a_document(desk: Client, regulator: Regulator) -> None:
    founding = {
        "format": engine.FORMAT,
        "scheme": {
            "code": "power-flop",
            "name": "Power and compute",
            "metric": "flop",
            "unit_size": "1000000000000000000",
            "currency": "usd",
            "zone": "America/New_York",
        },
        "rules": RULES,
    }

    proposed = desk.post(reverse("rules-new"), {"key": str(uuid4()), "document": uploaded(founding)}, follow=True)
    approval = Approval.objects.get(act="registry.import_scheme")
    linked = desk.get(reverse("approval", args=[approval.pk])).content.decode()
    regulator.approve(approval)

    assert "The scheme was proposed." in proposed.content.decode()
    assert "Floor price" in proposed.content.decode()
    assert reverse("rules-proposal", args=[approval.pk]) in linked
    assert "Power and compute" in Client().get(reverse("rules-scheme", args=["power-flop"])).content.decode()


# Who may --------------------------------------------------------------------------------------------------------------


def test_only_officers_prepare_rules_and_the_regulator_reads_them(scheme: Scheme, regulator: Regulator) -> None:
    monitor = Client()
    monitor.force_login(regulator.monitor)

    assert monitor.get(reverse("rules-desk", args=[scheme.code])).status_code == 200
    assert put(monitor, scheme, "cap.lock_years", value="2").status_code == 403
    assert monitor.get(reverse("rules-new")).status_code == 403
    assert monitor.post(reverse("rules-propose", args=[scheme.code]), {"title": "x"}).status_code == 403
    assert Client().get(reverse("rules-desk", args=[scheme.code])).status_code == 302  # to the log-in


def test_an_unknown_rule_or_proposal_is_not_found(scheme: Scheme, desk: Client) -> None:
    assert desk.get(reverse("rules-edit", args=[scheme.code, quote("cap.roof")])).status_code == 404
    assert desk.get(reverse("rules-proposal", args=[uuid4()])).status_code == 404


# In the browser -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_pages_are_accessible(
    open_page: OpenPage,
    assert_accessible: Callable[[Any], None],
    change: RuleChange,
    scheme: Scheme,
    regulator: Regulator,
    clock: Clock,
) -> None:
    of_a_day = reverse("rules-scheme", args=[scheme.code]) + "?on=2027-06-01"

    assert_accessible(open_page(of_a_day, theme="dark", width=NARROW))
    assert_accessible(open_page(reverse("rules-change", args=[scheme.code, 1])))
    assert_accessible(
        open_page(reverse("rules-edit", args=[scheme.code, "sanction.ladder"]), width=NARROW, user=regulator.desk)
    )


@pytest.mark.django_db(transaction=True)
def test_a_change_is_gathered_with_keyboard_and_mouse(
    open_page: OpenPage,
    assert_accessible: Callable[[Any], None],
    change: RuleChange,
    scheme: Scheme,
    regulator: Regulator,
    clock: Clock,
) -> None:
    page = open_page(reverse("rules-desk", args=[scheme.code]), user=regulator.desk)

    page.get_by_label("Rule", exact=True).select_option("cap.table")
    page.get_by_role("button", name="Edit this rule").click()
    page.get_by_label("Value").fill("2027 = 1000\n2028 = 800")
    page.get_by_label("Source").fill("Order 9")
    page.get_by_role("button", name="Put it into the change").click()
    page.get_by_role("heading", name="What it comes to").wait_for()

    assert_accessible(page)
    page.get_by_label("What changes").fill("A smaller cap")
    page.get_by_label("Reason").select_option("special_circumstances")
    page.get_by_role("button", name="Propose this change").click()
    page.get_by_text("The change was proposed.").wait_for()
    assert_accessible(page)
    assert Approval.objects.filter(act=rules.CHANGE_RULES, status="proposed").count() == 1
