"""Reading: what each row shows and to whom, page by page, at a cost that does not grow with the list."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from common.idempotency import fingerprint
from exchange.services import matching
from registry.ledger import services as ledger
from registry.models import ComplianceRecord, Obligation, Period
from registry.services import transfers
from tests.api.asking import refused
from tests.api.test_access import OVERSIGHT, READS, address
from tests.api.world import World, place
from tests.cast import OPENING, Party, Regulator

ORGANISATION = {"id", "name", "kind"}
PERSON = {"id", "name"}

KEYS: dict[str, set[str]] = {
    "me": {"user", "organisation", "organisation_status", "roles", "token"},
    "token-list": {"id", "name", "scope", "organisation", "created_at", "expires_at"},
    "scheme-list": {
        "code", "name", "metric", "unit", "unit_size", "currency", "zone", "large_transfer", "sanction_minor",
    },
    "period-list": {
        "code", "scheme", "year", "starts_on", "ends_on", "report_due", "surrender_due", "status", "permit", "cap",
    },
    "market-list": {
        "code", "period", "permit", "currency", "phase", "tick_minor", "lot", "max_order_lots", "collar_bps",
        "last_price", "version", "opened_at",
    },
    "market-book": {"market", "phase", "sequence", "version", "last_price", "bids", "asks"},
    "trade-list": {
        "id", "market", "sequence", "ordinal", "price", "price_minor", "currency", "quantity", "taker", "buy_order",
        "sell_order", "settled", "at",
    },
    "tariff-list": {
        "id", "organisation", "name", "version", "tier", "discount", "accuracy_floor", "latency_ceiling_ms", "flex_cap",
        "hours_per_day", "percentile", "shift_hours", "notice_hours", "valid_from", "valid_until", "published_at",
        "points",
    },
    "forecast-list": {"id", "organisation", "zone", "day", "values", "source", "sha256", "published_at"},
    "flex-event-list": {
        "id", "tariff", "workload", "hour", "kind", "point", "served_at", "requests", "forecast", "forecast_g_per_kwh",
        "actual_g_per_kwh", "recorded_at",
    },
    **{
        name: {
            "id", "serial", "organisation", "workload", "tariff", "zone", "starts_at", "ends_at", "status",
            "baseline_rule", "baseline_g", "actual_g", "avoided_g", "energy_effect_g", "timing_effect_g",
            "not_credited_g", "marginal_g", "requests", "flexed", "subscribers", "subscribers_before",
            "requests_before", "checks", "inputs_sha256", "drafted_at", "submitted_at", "published_at", "withdrawn_at",
            "withdrawal_reason", "statement",
        }
        for name in ("published-claim-list", "avoided-claim-list")
    },
    **{
        name: {
            "id", "organisation", "title", "kinds", "status", "verifier", "field", "figures", "statement_sha256",
            "published_at", "withdrawn_at", "withdrawal_reason",
        }
        for name in ("published-measure-list", "measure-list")
    },
    "factor-set-list": {
        "id", "code", "version", "resolution", "kind", "basis", "perspective", "method", "source", "licence",
        "retrieved_on", "country", "for_obligations", "note", "zones", "rows", "sha256", "loaded_at", "published_at",
    },
    "intensity-series": {"zone", "factor_sets", "hours"},
    "serving-batch-list": {"id", "organisation", "sha256", "rows", "restated", "key_id", "received_at"},
    "serving-record-list": {
        "workload", "hour", "zone", "tier", "operating_point", "requests", "tokens", "energy_kwh", "batch",
    },
    "meter-project-list": {"id", "organisation", "scheme", "site", "name", "description", "created_at"},
    "meter-experiment-list": {
        "id", "project", "workload", "activity", "name", "description", "country", "region", "on_cloud",
        "cloud_provider", "cloud_region", "created_at",
    },
    "meter-run-list": {
        "id", "experiment", "source", "client_run", "label", "country", "cpu_model", "gpu_count", "gpu_model",
        "client_version", "tracking_mode", "pue", "started_at", "received_at", "content_sha256", "readings",
        "last_reading_at", "energy_kwh", "claimed_co2e_kg",
    },
    "efficiency-label-list": {
        "id", "edition", "issued_on", "rule", "sha256", "measure", "organisation", "stars", "wh",
    },
    "access-programme-list": {
        "id", "period", "name", "description", "permits", "flop", "criteria", "least_score", "deadline_at",
        "report_due_on", "status", "reason", "received", "sha256",
    },
    "access-award-list": {
        "id", "programme", "organisation", "title", "place", "permits", "flop", "status", "granted_at",
        "report_due_on", "is_overdue",
    },
    "access-application-list": {
        "id", "programme", "organisation", "title", "project", "team", "permits", "flop", "accepts_part",
        "open_results", "status", "submitted_at",
    },
    "letter-list": {"id", "organisation", "period", "occasion", "status", "owed", "surrendered", "at"},
    "account-list": {
        "number", "kind", "label", "status", "grade", "grade_reason", "terms", "owner", "opened_at",
    },
    "group-list": {"id", "name", "created_at", "members"},
    "freeze-list": {"id", "scheme", "reason", "frozen_at", "lifted_at"},
    "serial-freeze-list": {"id", "asset", "first", "last", "reason", "frozen_at", "lifted_at"},
    "serial": {"asset", "number", "frozen", "path"},
    "holding-list": {"account", "asset", "asset_kind", "balance", "held", "available", "entries", "last_at"},
    "transfer-list": {"number", "at", "amount", "balance_after", "other_account", "kind", "reference", "key"},
    "statement": {"account", "asset", "at_from", "at_to", "opening", "closing", "movements", "first", "last"},
    "approval-list": {
        "id", "act", "organisation", "summary", "parameters", "parameters_sha256", "status", "proposed_by",
        "proposed_at", "decided_by", "decided_at", "reason", "execute_after", "executed_at", "failure_code", "failure",
        "result",
    },
    "report-list": {
        "id", "organisation", "period", "version", "kind", "status", "boundary", "flop", "energy_kwh", "co2e_g",
        "flags", "plan", "evidence", "received_at", "return_reason", "statement",
    },
    "report-lines": {
        "number", "label", "activity", "method", "flop", "energy_kwh", "co2e_g", "claimed_co2e_g", "factor_g_per_kwh",
        "factor_source",
    },
    "obligation-list": {"id", "organisation", "period", "version", "quantity", "report", "at"},
    "surrender-list": {"id", "organisation", "period", "quantity", "journal", "received_at"},
    "sanction-list": {
        "id", "organisation", "period", "kind", "mode", "shortfall", "amount_minor", "permits", "steps", "currency",
        "status", "imposed_at", "due_at",
    },
    "calendar-event-list": {"period", "kind", "title", "due_at", "state", "done_at"},
    "case-list": {
        "id", "organisation", "period", "kind", "subject", "grounds", "quantity", "status", "opened_at", "due_at",
        "decision", "decided_at",
    },
    "debt-list": {"id", "organisation", "period", "kind", "quantity", "at"},
    "certificate-detail": {
        "id", "scheme", "permit", "vintage", "quantity", "beneficiary", "cancelled_by", "cancelled_at", "serials",
        "reversed",
    },
    "rule-change-list": {"number", "title", "reason_code", "book_sha256", "published_at", "rules"},
    "task-list": {
        "id", "kind", "organisation", "title", "status", "claimed_by", "note", "part_of", "approval", "created_at",
        "due_at", "reminders", "ended_at",
    },
    "transaction-list": {
        "id", "kind", "status", "organisation", "sender", "receiver", "asset", "quantity", "price_minor", "agreement",
        "beneficiary", "note", "proposed_by", "proposed_at", "approval", "execute_after", "ended_at", "journal",
        "reverses", "reason_code", "reason",
    },
    "appointment-list": {
        "id", "organisation", "period", "verifier", "status", "proposed_at", "declaration", "decided_at", "ended_at",
        "reason",
    },
    "signing-key-list": {
        "id", "organisation", "name", "key_id", "public_key", "kept_here", "valid_from", "revoked_at",
        "revocation_reason",
    },
    "site-list": {"id", "organisation", "name", "country", "zone", "opened_on", "closed_on", "pues"},
    "system-list": {
        "id", "organisation", "site", "name", "hardware", "devices", "watts_per_device", "peak_flop_per_second",
        "number_format", "tier", "meter", "opened_on", "closed_on",
    },
    "model-list": {
        "id", "organisation", "name", "architecture", "parameters", "active_parameters", "task_class", "upstream",
    },
    "workload-list": {"id", "organisation", "system", "model", "name", "kind", "activity", "ended_on"},
    "draft-list": {"id", "period", "status", "report", "created_at", "changed_at"},
    "plan-list": {
        "id", "organisation", "scheme", "version", "status", "boundary", "valid_from", "document", "content_sha256",
        "submitted_at", "decided_at", "decision",
    },
    "trusted-account-list": {
        "id", "account", "trusted", "note", "status", "added_by", "added_at", "active_from", "ended_at",
    },
    "order-list": {
        "id", "organisation", "market", "side", "price", "price_minor", "currency", "quantity", "time_in_force",
        "status", "filled", "canceled", "open", "reason", "sequence", "entered_at",
    },
    "allocation-list": {
        "id", "period", "rules_version", "inputs_sha256", "cap", "free", "set_aside", "auction", "journal",
        "executed_at",
    },
    "allocation-lines": {"id", "organisation", "method", "figures", "claim", "quantity"},
    "run-list": {"id", "kind", "period", "number", "sha256", "rules_sha256", "published_at"},
    "settlement-list": {"id", "market", "batch", "trades", "account", "asset", "net", "journal", "at"},
    "audit-event-list": {
        "id", "at", "actor", "action", "subject_type", "subject_id", "organisation", "details",
    },
}  # fmt: skip
KEYS |= {f"{name}-detail": KEYS[f"{name}-list"] for name in ("scheme", "period", "market", "account", "allocation")}
KEYS |= {f"{name}-detail": KEYS[f"{name}-list"] for name in ("approval", "report", "order", "run")}
KEYS |= {f"{name}-detail": KEYS[f"{name}-list"] for name in ("case", "task", "transaction", "appointment")}
KEYS |= {f"{name}-detail": KEYS[f"{name}-list"] for name in ("site", "system", "model", "workload", "plan")}
DOCUMENTS = {
    "allocation-inputs",
    "report-checklist",
    "report-evidence",
    "draft-detail",
    "upload-detail",
    "report-findings",
    "report-statement",
    "run-document",
    "serving-figure-list",
    *(f"meter-{kind}-detail" for kind in ("project", "experiment", "run")),
    "scheme-rules",
    "scheme-rules-document",
    "scheme-rules-schema",
}
"""Addresses whose answer is a document with a form of its own, which its own tests know."""

INSIDE: dict[str, set[str]] = {
    "organisation": ORGANISATION,
    "owner": ORGANISATION,
    "verifier": ORGANISATION,
    "declaration": {"answers", "note"},
    "answers": {"code", "question", "answer"},
    "actor": PERSON,
    "proposed_by": PERSON,
    "claimed_by": PERSON,
    "added_by": PERSON,
    "decided_by": PERSON,
    "user": {"id", "name", "email"},
    "token": KEYS["token-list"],
    "cap": {"version", "quantity", "published_at"},
    "pues": {"year", "value", "counts", "is_proven"},
    "hours": {"hour", "g_per_kwh", "fill"},
    "bids": {"price", "price_minor", "quantity", "orders"},
    "asks": {"price", "price_minor", "quantity", "orders"},
    "evidence": {"id", "name", "sha256", "size", "received_at"},
    "statement": {"verifier", "opinion", "findings", "signed_at"},
    "terms": {
        "second_person_always", "outside_list", "second_person_for_surrender", "confirms_incoming", "transfer_limit",
    },
    "members": {"organisation", "since", "until"},
    "path": {"account", "since", "until"},
}  # fmt: skip
FREE = {"figures", "parameters", "result", "details", "flags", "rules", "steps", "document"}
"""Fields whose content the act itself decides."""


@pytest.fixture
def closed(world: World) -> World:
    """The world when its period is closed and its letters are published."""
    Period.objects.filter(pk=world.period.pk).update(status="closing")
    Period.objects.filter(pk=world.period.pk).update(status="closed")
    return world


def rows_of(answer: Any) -> list[dict[str, Any]]:
    content = answer.json()
    return list(content["results"]) if "results" in content else [content]


def keys_inside(row: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    for name, value in row.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict) and name not in FREE:
                yield name, set(part)
                yield from keys_inside(part)


def test_every_row_shows_these_fields_and_no_other_to_anybody(closed: World) -> None:
    wrong: dict[tuple[str, ...], set[str]] = {}
    for name in KEYS:
        for who in READS[name][0]:
            for row in rows_of(closed.callers[who].get(address(closed, name))):
                if set(row) != KEYS[name]:
                    wrong[name, who] = set(row) ^ KEYS[name]
                wrong |= {(name, who, at): keys for at, keys in keys_inside(row) if keys != INSIDE[at]}

    assert set(KEYS) == set(READS) - DOCUMENTS
    assert wrong == {}


def test_lists_show_ones_own_rows_and_nobody_elses(closed: World, borealis: Party) -> None:
    scoped = [name for name, (_, others) in READS.items() if name.endswith("-list") and others == 401]
    shown = {name: closed.callers["borealis trader"].get(address(closed, name)).content.decode() for name in scoped}

    acme = closed.acme
    assert acme.operator is not None
    things = [acme.organisation.pk, acme.account.number, closed.order.public_id, closed.report.pk, closed.surrender.pk]
    leaks = {
        (name, thing) for name, text in shown.items() for thing in things if str(thing) in text and name != "token-list"
    }
    assert leaks == set()


def test_those_who_see_everything_see_every_party(closed: World) -> None:
    for who in OVERSIGHT:
        numbers = {row["number"] for row in rows_of(closed.callers[who].get(reverse("account-list")))}
        assert {closed.acme.account.number, closed.borealis.account.number} < numbers


def test_central_accounts_are_nobodys_but_shown_to_those_who_see_everything(world: World) -> None:
    acme = rows_of(world.callers["acme viewer"].get(reverse("account-list")))
    auditor = rows_of(world.callers["auditor"].get(reverse("account-list")))

    assert [row["number"] for row in acme] == [world.acme.account.number]
    assert {"issuance", "surrender", "clearing"} < {row["kind"] for row in auditor if row["owner"] is None}


def test_another_tenants_thing_looks_exactly_like_no_thing(world: World) -> None:
    borealis = world.callers["borealis trader"]
    pairs = [
        (reverse("order-detail", args=[world.order.public_id]), reverse("order-detail", args=[uuid4()])),
        (reverse("report-detail", args=[world.report.pk]), reverse("report-detail", args=[uuid4()])),
        (reverse("report-lines", args=[world.report.pk]), reverse("report-lines", args=[uuid4()])),
        (reverse("approval-detail", args=[world.approval.pk]), reverse("approval-detail", args=[uuid4()])),
        (reverse("account-detail", args=[world.acme.account.number]), reverse("account-detail", args=["HR-100-9-9"])),
    ]

    for foreign, missing in pairs:
        assert borealis.get(foreign).content == borealis.get(missing).content


def test_filters_do_not_widen_the_scope(world: World) -> None:
    borealis = world.callers["borealis trader"]
    acme = world.acme.organisation.pk

    narrowings: dict[str, dict[str, Any]] = {
        "order-list": {"organisation": acme},
        "approval-list": {"organisation": acme},
        "report-list": {"organisation": acme},
        "obligation-list": {"organisation": acme},
        "surrender-list": {"organisation": acme},
        "account-list": {"owner": acme},
        "holding-list": {"account": world.acme.account.number},
    }
    for name, narrowed in narrowings.items():
        assert rows_of(borealis.get(reverse(name), narrowed)) == [], name
        assert rows_of(world.callers["auditor"].get(reverse(name), narrowed)) != [], name


def test_filters_narrow(closed: World) -> None:
    auditor = closed.callers["auditor"]
    code, later = closed.period.code, (OPENING + timedelta(days=1000)).isoformat()
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        # list, what finds something, what finds nothing
        ("period-list", {"scheme": "ai-flop", "year": 2026, "status": "closed"}, {"year": 2030}),
        ("market-list", {"scheme": "ai-flop", "phase": "continuous"}, {"phase": "halted"}),
        ("trade-list", {"market": code, "at_to": later}, {"at_from": later}),
        ("letter-list", {"period": code, "status": "B", "occasion": "deadline"}, {"status": "A"}),
        ("account-list", {"kind": "holding", "status": "open"}, {"status": "frozen"}),
        ("holding-list", {"asset": code, "asset_kind": "permit"}, {"asset": "none"}),
        ("approval-list", {"act": "registry.large_transfer", "status": "proposed"}, {"proposed_from": later}),
        ("report-list", {"period": code, "status": "verified", "kind": "operator"}, {"status": "returned"}),
        ("obligation-list", {"period": code}, {"period": "ai-flop-2030"}),
        ("surrender-list", {"period": code}, {"organisation": str(uuid4())}),
        ("allocation-list", {"period": code}, {"period": "ai-flop-2030"}),
        ("run-list", {"period": code, "kind": "allocation"}, {"period": "ai-flop-2030"}),
        ("settlement-list", {"market": code, "batch": 1, "asset": "eur"}, {"batch": 2}),
        ("sanction-list", {"status": "due"}, {"status": "paid"}),
        ("order-list", {"market": code, "side": "sell", "status": "partially_filled"}, {"entered_from": later}),
        ("audit-event-list", {"action": "exchange.market.opened"}, {"subject_id": "nobody"}),
    ]

    for name, some, none in cases:
        assert rows_of(auditor.get(reverse(name), some)) != [], (name, some)
        assert rows_of(auditor.get(reverse(name), none)) == [], (name, none)


def test_letters_are_public_when_the_period_is_closed_and_their_figures_never(closed: World) -> None:
    url = reverse("letter-list")

    shown = {
        who: rows_of(closed.callers[who].get(url)) for who in ("anyone", "borealis trader", "acme viewer", "auditor")
    }

    assert {who: (row["status"], row["owed"], row["surrendered"]) for who, (row,) in shown.items()} == {
        "anyone": ("B", None, None),
        "borealis trader": ("B", None, None),
        "acme viewer": ("B", "25", "20"),
        "auditor": ("B", "25", "20"),
    }


def test_letters_are_not_shown_before_the_period_is_closed(world: World) -> None:
    assert ComplianceRecord.objects.count() == 1
    assert rows_of(world.callers["auditor"].get(reverse("letter-list"))) == []


def test_print_names_each_its_own_order_only(world: World) -> None:
    url = reverse("trade-list")

    (anyone,) = rows_of(world.callers["anyone"].get(url))
    (seller,) = rows_of(world.callers["acme viewer"].get(url))
    (buyer,) = rows_of(world.callers["borealis trader"].get(url))
    (auditor,) = rows_of(world.callers["auditor"].get(url))

    assert (anyone["buy_order"], anyone["sell_order"]) == (None, None)
    assert (seller["buy_order"], seller["sell_order"]) == (None, str(world.order.public_id))
    assert (buyer["buy_order"] is None, buyer["sell_order"]) == (False, None)
    assert (auditor["buy_order"], auditor["sell_order"]) == (buyer["buy_order"], seller["sell_order"])
    assert (anyone["price"], anyone["price_minor"], anyone["quantity"], anyone["taker"]) == ("500", "2500", "4", "buy")


def test_own_trades_are_those_of_ones_own_orders(world: World) -> None:
    url = reverse("trade-list")

    counts = {
        who: len(rows_of(client.get(url, {"own": "true"})))
        for who, client in world.callers.items()
        if who in {"anyone", "acme viewer", "borealis trader", "verifier", "auditor"}
    }

    assert counts == {"anyone": 0, "acme viewer": 1, "borealis trader": 1, "verifier": 0, "auditor": 1}


def test_book_adds_up_orders_by_price_best_first_and_names_nobody(world: World) -> None:
    place(world.acme, world.market, "sell", 3, at=510)
    place(world.acme, world.market, "sell", 2, at=500)
    place(world.borealis, world.market, "buy", 5, at=480)
    matching.drain(world.market.pk)

    answer = world.callers["anyone"].get(reverse("market-book", args=[world.market.code]))

    book = answer.json()
    assert book["asks"] == [
        {"price": "500", "price_minor": "2500", "quantity": "8", "orders": 2},
        {"price": "510", "price_minor": "2550", "quantity": "3", "orders": 1},
    ]
    assert book["bids"] == [{"price": "480", "price_minor": "2400", "quantity": "5", "orders": 1}]
    assert (book["last_price"], book["phase"]) == ("500", "continuous")
    assert str(world.acme.organisation.pk) not in answer.content.decode()


def test_book_is_as_deep_as_asked(world: World) -> None:
    url = reverse("market-book", args=[world.market.code])
    place(world.acme, world.market, "sell", 1, at=510)
    matching.drain(world.market.pk)

    assert len(world.callers["anyone"].get(url, {"depth": 1}).json()["asks"]) == 1
    refused(world.callers["anyone"].get(url, {"depth": 0}), 400, "parameter_invalid")
    refused(world.callers["anyone"].get(url, {"depth": 201}), 400, "parameter_invalid")


def test_numbers_are_strings_and_exact(world: World) -> None:
    acme = world.callers["acme viewer"]

    (report,) = rows_of(acme.get(reverse("report-list")))
    (line,) = rows_of(acme.get(reverse("report-lines", args=[world.report.pk])))
    (obligation,) = rows_of(acme.get(reverse("obligation-list")))
    (permits,) = rows_of(acme.get(reverse("holding-list"), {"asset_kind": "permit"}))
    scheme = acme.get(reverse("scheme-detail", args=["ai-flop"])).json()
    period = acme.get(reverse("period-detail", args=["ai-flop-2026"])).json()

    assert (report["flop"], report["energy_kwh"], report["statement"]["opinion"]) == ("25" + "0" * 18, "0", "positive")
    assert (line["flop"], line["claimed_co2e_g"]) == ("25" + "0" * 18, None)
    assert obligation["quantity"] == "25"
    assert int(permits["balance"]) - int(permits["held"]) == int(permits["available"])
    assert (permits["balance"], permits["held"]) == ("3940", "1060")  # 6 lots offered, 1,000 permits on their way
    assert (scheme["unit_size"], scheme["unit"], scheme["sanction_minor"]) == ("1" + "0" * 18, "FLOP", "10000")
    assert (period["cap"]["quantity"], period["permit"]) == ("10000", "ai-flop-2026")


def test_nets_of_a_batch_sum_to_zero(world: World) -> None:
    rows = rows_of(world.callers["auditor"].get(reverse("settlement-list")))

    for asset in ("ai-flop-2026", "eur"):
        assert sum(int(row["net"]) for row in rows if row["asset"] == asset) == 0
    own = rows_of(world.callers["acme viewer"].get(reverse("settlement-list")))
    assert {(row["asset"], row["net"]) for row in own} == {("ai-flop-2026", "-40"), ("eur", "100000")}


def test_allocation_shows_each_its_own_line_and_the_auditor_all_with_the_inputs(world: World) -> None:
    lines = reverse("allocation-lines", args=[world.allocation.pk])
    inputs = reverse("allocation-inputs", args=[world.allocation.pk])

    quantities = {
        who: [row["quantity"] for row in rows_of(world.callers[who].get(lines))]
        for who in ("acme viewer", "borealis trader", "verifier", "auditor")
    }

    assert quantities == {
        "acme viewer": ["4000"],
        "borealis trader": ["2000"],
        "verifier": [],
        "auditor": ["4000", "2000"],
    }
    assert fingerprint(world.callers["auditor"].get(inputs).json()) == world.allocation.inputs_sha256


def test_draft_periods_are_not_shown(world: World, regulator: Regulator) -> None:
    Period.objects.create(
        scheme=world.period.scheme,
        year=2027,
        starts_on=world.period.starts_on,
        ends_on=world.period.ends_on,
        report_due=world.period.report_due,
        surrender_due=world.period.surrender_due,
        permit=world.period.scheme.currency,
    )

    assert [row["year"] for row in rows_of(world.callers["senior officer"].get(reverse("period-list")))] == [2026]


@pytest.fixture
def history(world: World) -> World:
    """Acme's account after 25 small transfers to Borealis, an hour apart."""
    for number in range(25):
        transfers.transfer(
            actor=world.acme.initiator,
            organisation=world.acme.organisation,
            to_number=world.borealis.account.number,
            asset=world.period.permit,
            quantity=number + 1,
            key=uuid4(),
            now=world.surrender.received_at + timedelta(hours=number + 1),
            note=f"number {number}",
        )
    return world


def movements(world: World, **parameters: Any) -> str:
    asked = {"account": world.acme.account.number, "asset": world.period.permit.code} | parameters
    return reverse("transfer-list") + "?" + urlencode(asked)


def pages(client: APIClient, url: str, follow: str = "next") -> Iterator[list[dict[str, Any]]]:
    following: str | None = url
    while following:
        answer = client.get(following).json()
        yield answer["results"]
        following = answer[follow]


def test_movements_carry_the_running_balance_and_join_without_a_gap(history: World) -> None:
    client = history.callers["acme viewer"]

    found = [row for page in pages(client, movements(history, page_size=10)) for row in page]

    assert [row["number"] for row in found] == list(range(len(found), 0, -1))
    for later, earlier in itertools.pairwise(found):
        assert int(later["balance_after"]) == int(earlier["balance_after"]) + int(later["amount"])
    assert found[0]["amount"] == "-25"
    assert found[0]["other_account"] == history.borealis.account.number
    assert found[-1]["balance_after"] == found[-1]["amount"]


def test_movements_page_back_to_where_one_came_from(history: World) -> None:
    client = history.callers["acme viewer"]
    first = client.get(movements(history, page_size=10)).json()
    second = client.get(first["next"]).json()

    back = client.get(second["previous"]).json()

    assert back["results"] == first["results"]
    assert first["previous"] is None


def test_statement_and_movements_of_a_time_agree(history: World) -> None:
    client = history.callers["acme viewer"]
    start = history.surrender.received_at
    window = {"at_from": (start + timedelta(hours=5)).isoformat(), "at_to": (start + timedelta(hours=9)).isoformat()}

    rows = client.get(movements(history, **window)).json()["results"]
    asked = {"account": history.acme.account.number, "asset": history.period.permit.code} | window
    statement = client.get(reverse("statement"), asked).json()

    assert [row["amount"] for row in rows] == ["-8", "-7", "-6", "-5"]
    assert statement["movements"] == 4
    assert (statement["first"], statement["last"]) == (rows[-1]["number"], rows[0]["number"])
    assert int(statement["opening"]) - 26 == int(statement["closing"]) == int(rows[0]["balance_after"])


def test_statement_of_an_instant_is_the_balance_then(history: World) -> None:
    asked = {"account": history.acme.account.number, "asset": history.period.permit.code}

    def balance(at: Any) -> str:
        both = asked | {"at_from": at.isoformat(), "at_to": at.isoformat()}
        return str(history.callers["acme viewer"].get(reverse("statement"), both).json()["closing"])

    assert balance(OPENING - timedelta(days=1)) == "0"
    assert balance(history.surrender.received_at + timedelta(minutes=1)) == "3940"
    assert balance(history.surrender.received_at + timedelta(days=10)) == str(3940 - 325)


def test_statement_needs_an_account_and_an_asset_in_order(history: World) -> None:
    client, url = history.callers["acme viewer"], reverse("statement")
    asked = {"account": history.acme.account.number, "asset": history.period.permit.code}
    turned = {"at_from": "2027-01-02T00:00:00Z", "at_to": "2027-01-01T00:00:00Z"}

    refused(client.get(url, {"asset": "eur"}), 400, "parameter_invalid")
    refused(client.get(url, asked | turned), 400, "parameter_invalid")
    refused(client.get(url, asked | {"asset": "nothing"}), 404, "not_found")


def test_pages_of_a_list_follow_each_other_without_gap_or_repeat(world: World) -> None:
    for price in range(490, 500):
        place(world.acme, world.market, "sell", 1, at=price)
    client = world.callers["acme viewer"]

    forward = [row["id"] for page in pages(client, reverse("order-list") + "?page_size=4") for row in page]
    whole = [row["id"] for row in rows_of(client.get(reverse("order-list")))]

    assert forward == whole
    assert len(set(whole)) == 11


def test_page_is_at_most_two_hundred_rows(world: World) -> None:
    AuditEvent.objects.bulk_create(
        AuditEvent(at=OPENING, action="test.happened", subject_type="x", subject_id=str(n)) for n in range(230)
    )

    answer = world.callers["auditor"].get(reverse("audit-event-list"), {"page_size": 1000})

    assert len(answer.json()["results"]) == 200


def queries(client: APIClient, url: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def grow(world: World, regulator: Regulator) -> None:
    """Make more of everything that a list shows."""
    period, acme, borealis = world.period, world.acme, world.borealis
    assert acme.operator is not None
    assert borealis.operator is not None
    for price in range(480, 490):
        place(acme, world.market, "sell", 1, at=price)
        place(borealis, world.market, "buy", 1, at=price)
    matching.drain(world.market.pk)
    for number in range(5):
        transfers.transfer(
            actor=acme.initiator,
            organisation=acme.organisation,
            to_number=borealis.account.number,
            asset=period.permit,
            quantity=1,
            key=uuid4(),
            now=world.surrender.received_at,
        )
        ledger.open_account(kind="reserve", label="more", reference=f"more:{number}", now=OPENING)
        ComplianceRecord.objects.create(
            operator=borealis.operator, period=period, occasion="later", status="A", owed=0, surrendered=0, at=OPENING
        )


def test_cost_of_a_list_does_not_grow_with_it(closed: World, regulator: Regulator) -> None:
    auditor = closed.callers["auditor"]
    lists = [name for name in READS if name.endswith("-list") or name in {"market-book", "statement"}]
    before = {name: queries(auditor, address(closed, name)) for name in lists}
    assert Obligation.objects.count() == 1

    grow(closed, regulator)

    assert {name: queries(auditor, address(closed, name)) for name in lists} == before
    assert max(before.values()) <= 8


def test_answer_that_has_not_changed_is_not_sent_again(world: World) -> None:
    client, url = world.callers["acme viewer"], reverse("order-list")
    first = client.get(url)

    again = client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    place(world.acme, world.market, "sell", 1, at=505)
    changed = client.get(url, headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_answers_stay_out_of_shared_caches(world: World) -> None:
    for who in ("anyone", "acme viewer"):
        headers = world.callers[who].get(reverse("trade-list")).headers
        assert set(headers["Cache-Control"].split(", ")) == {"private", "no-cache"}
        assert "Authorization" in headers["Vary"]


def test_reading_changes_nothing(closed: World) -> None:
    addresses = {name: address(closed, name) for name in READS}  # what they are about is made now

    with CaptureQueriesContext(connection) as captured:
        for name, (may_read, _) in READS.items():
            for who in sorted(may_read)[:3]:
                closed.callers[who].get(addresses[name])

    assert len(captured) > len(READS)
    assert [one["sql"] for one in captured if not one["sql"].startswith(("SELECT", "(SELECT", "WITH"))] == []
