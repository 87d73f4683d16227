"""Acting: orders, transfers, surrenders and reports, each with one effect however often it is sent."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import Approval, AuditEvent
from accounts.services import approvals, organisations
from common.clock import simulate
from exchange.models import Command, Market, Order
from exchange.services import matching
from registry.ledger.models import Balance, Journal
from registry.models import AccountTerms, EvidenceFile, Period, Report, Surrender, Transaction
from registry.services.drafting import evidence
from tests.api.asking import field_codes, refused
from tests.api.world import Caller, place
from tests.cast import (
    LARGE_TRANSFER,
    OPENING,
    Clock,
    Party,
    Regulator,
    capped,
    co2e_scheme,
    operator,
    period_of,
)

Send = Callable[..., Any]


def post(client: APIClient, url: str, body: Any, key: str = "") -> Any:
    return client.post(url, body, headers={"Idempotency-Key": key or str(uuid4())})


@pytest.fixture
def buy(market: Market) -> dict[str, Any]:
    """The terms of a small order."""
    return {"market": market.code, "side": "buy", "price": "500", "quantity": "2"}


# Orders -------------------------------------------------------------------------------------------------------------


def test_order_is_stored_and_covered_before_the_market_sees_it(
    acme_trades: APIClient, acme: Party, buy: dict[str, Any]
) -> None:
    answer = post(acme_trades, reverse("order-list"), buy)

    order = answer.json()
    assert answer.status_code == 201
    assert (order["status"], order["open"], order["price_minor"], order["sequence"]) == (
        "pending_new",
        "2",
        "2500",
        None,
    )
    assert answer.headers["Location"].endswith(f"/api/v1/orders/{order['id']}/")
    assert acme_trades.get(answer.headers["Location"]).json() == order
    assert Balance.objects.get(account=acme.account, asset__code="eur").held == 2 * 10 * 2500


def test_order_sent_twice_is_one_order(acme_trades: APIClient, buy: dict[str, Any]) -> None:
    first = post(acme_trades, reverse("order-list"), buy, "order-1")
    again = post(acme_trades, reverse("order-list"), buy, "order-1")

    assert (again.status_code, again.json()) == (201, first.json())
    assert Order.objects.count() == 1


def test_key_of_an_order_is_not_good_for_another(acme_trades: APIClient, buy: dict[str, Any]) -> None:
    post(acme_trades, reverse("order-list"), buy, "order-1")

    refused(post(acme_trades, reverse("order-list"), buy | {"quantity": "3"}, "order-1"), 422, "key_reused")
    assert Order.objects.count() == 1


def test_same_key_of_two_firms_is_two_keys(
    acme_trades: APIClient, caller: Caller, borealis: Party, buy: dict[str, Any]
) -> None:
    borealis_trades = caller(borealis.trader, borealis.organisation, "write")

    first = post(acme_trades, reverse("order-list"), buy, "order-1")
    second = post(borealis_trades, reverse("order-list"), buy, "order-1")

    assert first.json()["id"] != second.json()["id"]


def test_key_survives_a_new_token(caller: Caller, acme: Party, buy: dict[str, Any]) -> None:
    answers = [
        post(caller(acme.trader, acme.organisation, "write"), reverse("order-list"), buy, "order-1") for _ in range(2)
    ]

    assert answers[0].json() == answers[1].json()


def test_order_that_the_rules_turn_down_is_kept_with_its_reason(acme_trades: APIClient, buy: dict[str, Any]) -> None:
    dear = post(acme_trades, reverse("order-list"), buy | {"price": "1000000", "quantity": "1000"})
    large = post(acme_trades, reverse("order-list"), buy | {"quantity": "1001"})

    assert [(answer.status_code, answer.json()["status"]) for answer in (dear, large)] == [(201, "rejected")] * 2
    assert (dear.json()["reason"], large.json()["reason"]) == ("insufficient_available", "quantity_too_large")


def test_order_for_no_market_and_of_no_kind(acme_trades: APIClient, buy: dict[str, Any]) -> None:
    url = reverse("order-list")

    assert field_codes(post(acme_trades, url, buy | {"market": "tulips"})) == {"/market": "market_unknown"}
    assert field_codes(post(acme_trades, url, buy | {"side": "both"})) == {"/side": "invalid_choice"}
    assert field_codes(post(acme_trades, url, buy | {"time_in_force": "fok"})) == {"/time_in_force": "invalid_choice"}
    assert set(field_codes(post(acme_trades, url, {}))) == {"/market", "/side", "/price", "/quantity"}


def test_trader_of_a_suspended_firm_gets_a_rejected_order(
    acme_trades: APIClient, regulator: Regulator, acme: Party, buy: dict[str, Any], clock: Clock
) -> None:
    organisations.change_status(
        actor=regulator.senior, organisation=acme.organisation, status="suspended", reason="Late.", now=clock.now()
    )

    answer = post(acme_trades, reverse("order-list"), buy)

    assert (answer.status_code, answer.json()["reason"]) == (201, "standing_suspended")


def test_cancellation_is_accepted_and_done_in_its_turn(acme_trades: APIClient, acme: Party, market: Market) -> None:
    order = place(acme, market, "sell", 5, at=500)
    matching.drain(market.pk)
    url = reverse("order-detail", args=[order.public_id])

    answer = acme_trades.delete(url, headers={"Idempotency-Key": "cancel-1"})
    again = acme_trades.delete(url, headers={"Idempotency-Key": "cancel-1"})
    matching.drain(market.pk)

    assert (answer.status_code, answer.json()["order"]) == (202, str(order.public_id))
    assert again.json() == answer.json()
    assert Command.objects.filter(kind="cancel").count() == 1
    assert acme_trades.get(url).json()["status"] == "canceled"


def test_cancellation_needs_a_key_and_its_own(acme_trades: APIClient, acme: Party, market: Market) -> None:
    first, second = (place(acme, market, "sell", 5, at=price) for price in (500, 501))
    acme_trades.delete(reverse("order-detail", args=[first.public_id]), headers={"Idempotency-Key": "cancel-1"})
    other = reverse("order-detail", args=[second.public_id])

    refused(acme_trades.delete(other), 400, "idempotency_key_missing")
    refused(acme_trades.delete(other, headers={"Idempotency-Key": "cancel-1"}), 422, "key_reused")


def test_finished_order_cannot_be_cancelled(
    acme_trades: APIClient, acme: Party, borealis: Party, market: Market
) -> None:
    order = place(acme, market, "sell", 5, at=500)
    place(borealis, market, "buy", 5, at=500)
    matching.drain(market.pk)

    answer = acme_trades.delete(
        reverse("order-detail", args=[order.public_id]), headers={"Idempotency-Key": "cancel-1"}
    )

    refused(answer, 422, "order_finished")


def test_batch_places_each_order_and_rejects_some(acme_trades: APIClient, market: Market) -> None:
    terms = [{"side": "sell", "price": str(price), "quantity": "1"} for price in (500, 501, 502)]
    terms.append({"side": "sell", "price": "500", "quantity": "1001"})
    body = {"market": market.code, "orders": terms}

    answer = post(acme_trades, reverse("order-batch"), body, "batch-1")
    again = post(acme_trades, reverse("order-batch"), body, "batch-1")

    placed = answer.json()["orders"]
    assert answer.status_code == 201
    assert [order["price"] for order in placed] == ["500", "501", "502", "500"]
    assert [order["status"] for order in placed] == ["pending_new"] * 3 + ["rejected"]
    assert again.json() == answer.json()
    assert Order.objects.count() == 4


@pytest.mark.parametrize("change", ["shorter", "longer", "other"])
def test_key_of_a_batch_is_not_good_for_another(acme_trades: APIClient, market: Market, change: str) -> None:
    terms = [{"side": "sell", "price": str(price), "quantity": "1"} for price in (500, 501)]
    post(acme_trades, reverse("order-batch"), {"market": market.code, "orders": terms}, "batch-1")
    changed = {
        "shorter": terms[:1],
        "longer": [*terms, terms[0]],
        "other": [terms[0], terms[1] | {"quantity": "2"}],
    }[change]

    answer = post(acme_trades, reverse("order-batch"), {"market": market.code, "orders": changed}, "batch-1")

    refused(answer, 422, "key_reused")
    assert Order.objects.count() == 2


def test_batch_has_from_one_to_ten_thousand_orders(acme_trades: APIClient, market: Market) -> None:
    term = {"side": "sell", "price": "500", "quantity": "1"}

    for orders in ([], [term] * 10_001):
        answer = post(acme_trades, reverse("order-batch"), {"market": market.code, "orders": orders})
        assert set(field_codes(answer)) == {"/orders"}


# Transfers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def send(acme_initiates: APIClient, borealis: Party, period: Period) -> Send:
    """Send permits from Acme to Borealis."""

    def send(quantity: Any, key: str = "", **change: Any) -> Any:
        body = {"to": borealis.account.number, "asset": period.permit.code, "quantity": quantity} | change
        return post(acme_initiates, reverse("transfer-list"), body, key)

    return send


def test_small_transfer_is_made_at_once_and_once(send: Send, borealis: Party, period: Period) -> None:
    first, again = send("20", "t-1"), send("20", "t-1")

    assert (first.status_code, first.json()["status"], first.json()["approval"]) == (201, "executed", None)
    assert again.json() == first.json()
    assert Journal.objects.get(pk=first.json()["journal"]).kind == "transfer"
    assert Balance.objects.get(account=borealis.account, asset=period.permit).balance == 2_020


def test_large_transfer_waits_for_a_second_person(
    send: Send, acme: Party, acme_initiates: APIClient, clock: Clock
) -> None:
    first, again = send(LARGE_TRANSFER, "t-1"), send(LARGE_TRANSFER, "t-1")
    approval_id = first.json()["approval"]

    assert (first.status_code, first.json()["status"], first.json()["journal"]) == (202, "proposed", None)
    assert again.json() == first.json()
    shown = acme_initiates.get(reverse("approval-detail", args=[approval_id])).json()
    assert (shown["status"], shown["parameters"]["quantity"]) == ("proposed", LARGE_TRANSFER)

    approvals.approve(actor=acme.approver, approval_id=approval_id, now=clock.now())
    done = send(LARGE_TRANSFER, "t-1")

    assert (done.status_code, done.json()["status"], done.json()["approval"]) == (201, "executed", approval_id)
    assert Journal.objects.filter(kind="transfer").count() == 1


def test_key_of_a_transfer_is_not_good_for_another(send: Send) -> None:
    send("20", "t-1")
    send(LARGE_TRANSFER, "t-2")

    refused(send("21", "t-1"), 422, "key_reused")
    refused(send(LARGE_TRANSFER + 1, "t-2"), 422, "key_reused")
    assert Approval.objects.filter(act="registry.large_transfer").count() == 1


def test_transfer_that_the_ledger_refuses_changes_nothing(send: Send, acme: Party, period: Period) -> None:
    before = Balance.objects.get(account=acme.account, asset=period.permit).balance

    wrong_digits = send("1", to="HR-100-0000001-00")
    nobody = send("1", to="HR-100-9999999-95")
    money = send("1", asset="eur")

    refused(wrong_digits, 422, "account_number_wrong")
    assert nobody.status_code in {404, 422}
    assert field_codes(money) == {"/asset": "asset_unknown"}
    assert Balance.objects.get(account=acme.account, asset=period.permit).balance == before


# Surrenders ---------------------------------------------------------------------------------------------------------


def test_surrender_gets_its_receipt_once(acme_initiates: APIClient, period: Period, clock: Clock) -> None:
    body = {"period": period.code, "quantity": 12}

    first = post(acme_initiates, reverse("surrender-list"), body, "s-1")
    again = post(acme_initiates, reverse("surrender-list"), body, "s-1")

    assert first.status_code == 201
    assert (first.json()["quantity"], first.json()["period"]) == ("12", period.code)
    assert again.json() == first.json()
    assert Surrender.objects.get().received_at == clock.now()
    refused(post(acme_initiates, reverse("surrender-list"), body | {"quantity": 13}, "s-1"), 422, "key_reused")


def test_surrender_waits_for_a_colleague_where_the_holder_says_so(
    acme: Party, acme_initiates: APIClient, period: Period, clock: Clock
) -> None:
    AccountTerms.objects.update_or_create(account=acme.account, defaults={"second_person_for_surrender": True})
    body = {"period": period.code, "quantity": 12}

    first = post(acme_initiates, reverse("surrender-list"), body, "s-1")
    none_yet = Surrender.objects.count()
    row = Transaction.objects.get(pk=first.json()["id"])
    assert row.approval is not None
    approvals.approve(actor=acme.approver, approval_id=row.approval.pk, now=clock.now())
    again = post(acme_initiates, reverse("surrender-list"), body, "s-1")

    assert (first.status_code, first.json()["kind"], first.json()["status"]) == (202, "surrender", "proposed")
    assert (again.status_code, again.json()["status"]) == (202, "completed")
    assert (none_yet, Surrender.objects.get().quantity) == (0, 12)
    refused(post(acme_initiates, reverse("surrender-list"), body | {"quantity": 13}, "s-1"), 422, "key_reused")


def test_surrender_of_more_than_there_is(acme_initiates: APIClient, period: Period) -> None:
    answer = post(acme_initiates, reverse("surrender-list"), {"period": period.code, "quantity": 10**6})

    refused(answer, 422, "insufficient_available")
    assert Surrender.objects.count() == 0


def test_surrender_for_no_period_and_of_no_permits(acme_initiates: APIClient, period: Period) -> None:
    url = reverse("surrender-list")

    no_period = post(acme_initiates, url, {"period": "ai-flop-1999", "quantity": 1})
    no_permits = post(acme_initiates, url, {"period": period.code, "quantity": 1, "permit": "eur"})

    assert field_codes(no_period) == {"/period": "period_unknown"}
    assert field_codes(no_permits) == {"/permit": "asset_unknown"}


# Reports ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def lines(period: Period) -> dict[str, Any]:
    """A report of two runs."""
    return {
        "period": period.code,
        "boundary": "full stack",
        "lines": [
            {"label": "base model", "activity": "training", "flop": "2150000000000000000000000"},
            {"label": "serving", "activity": "inference", "flop": 10**21, "energy_kwh": "1250.5", "country": "FRA"},
        ],
    }


def test_report_is_added_up_by_the_registry(acme_initiates: APIClient, lines: dict[str, Any]) -> None:
    answer = acme_initiates.post(reverse("report-list"), lines)

    report = answer.json()
    assert answer.status_code == 201
    assert (report["flop"], report["energy_kwh"]) == ("2151000000000000000000000", "1250.5")
    assert (report["version"], report["status"], report["evidence"]) == (1, "submitted", None)
    shown = acme_initiates.get(reverse("report-lines", args=[report["id"]])).json()["results"]
    assert [line["number"] for line in shown] == [1, 2]


def test_same_report_is_the_same_version_and_another_is_the_next(
    acme_initiates: APIClient, lines: dict[str, Any]
) -> None:
    first, again, other = (
        acme_initiates.post(reverse("report-list"), lines | {"boundary": boundary}).json()
        for boundary in ("full stack", "full stack", "GPUs only")
    )

    assert (first["id"], first["version"]) == (again["id"], again["version"])
    assert (other["version"], Report.objects.count()) == (2, 2)


def test_wrong_lines_are_all_named_and_nothing_is_stored(acme_initiates: APIClient, lines: dict[str, Any]) -> None:
    lines["lines"] += [
        {"label": "half", "activity": "training", "flop": "0.5"},
        {"label": "where", "activity": "inference", "energy_kwh": "1", "country": "fr"},
    ]

    answer = acme_initiates.post(reverse("report-list"), lines)

    refused(answer, 422, "rows_refused")
    assert {error["pointer"]: error["code"] for error in answer.json()["errors"]} == {
        "/lines/2/flop": "not_whole",
        "/lines/3/country": "not_a_country",
    }
    assert Report.objects.count() == 0


@pytest.mark.parametrize("figure", [1.5, "1e30", "-1", "NaN", True, "9" * 41, None])
def test_what_is_no_figure_is_refused(acme_initiates: APIClient, lines: dict[str, Any], figure: Any) -> None:
    lines["lines"][1]["energy_kwh"] = figure

    assert set(field_codes(acme_initiates.post(reverse("report-list"), lines))) == {"/lines/1/energy_kwh"}


def test_figure_beyond_every_bound_is_refused(acme_initiates: APIClient, lines: dict[str, Any]) -> None:
    lines["lines"][0]["flop"] = "1" + "0" * 36

    answer = acme_initiates.post(reverse("report-list"), lines)

    refused(answer, 422, "rows_refused")


HEADER = (
    "timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,"
    "cpu_energy,gpu_energy,ram_energy,energy_consumed,country_name,country_iso_code,region,cloud_provider,cloud_region,"
    "os,python_version,codecarbon_version,cpu_count,cpu_model,gpu_count,gpu_model,longitude,latitude,ram_total_size,"
    "tracking_mode,on_cloud,pue"
)


def codecarbon_row(energy: str = "0.004") -> str:
    return (
        f"2026-06-01T10:00:00,tune,5f6e0d3c-0000-4000-8000-000000000001,e,3600,0.000224,6.2e-8,4,0,0,{energy},0,0,"
        f"{energy},France,FRA,,,,Linux,3.11,2.8.4,8,cpu,0,,2.3,48.8,16,machine,N,1.0"
    )


@pytest.fixture
def emitter(regulator: Regulator, caller: Caller) -> tuple[APIClient, str]:
    """A firm in a scheme that counts emissions, and where it sends CodeCarbon's files."""
    scheme = co2e_scheme(regulator)
    ember = operator(regulator, scheme, "Ember", "firm", "small")
    period = capped(regulator, period_of(regulator, scheme))
    url = (
        reverse("report-codecarbon") + f"?period={period.code}&boundary=one+cluster&activity=fine_tuning&name=june.csv"
    )
    return caller(ember.initiator, ember.organisation, "write"), url


def send_file(client: APIClient, url: str, content: str, content_type: str = "text/csv") -> Any:
    return client.generic("POST", url, content, content_type)


def test_codecarbon_file_becomes_a_report_with_its_evidence(emitter: tuple[APIClient, str]) -> None:
    client, url = emitter
    content = f"{HEADER}\n{codecarbon_row()}\n"

    answer = send_file(client, url, content)
    again = send_file(client, url, content)

    report = answer.json()
    assert answer.status_code == 201, report
    assert (report["energy_kwh"], report["evidence"]["name"], report["evidence"]["size"]) == (
        "0.004",
        "june.csv",
        len(content),
    )
    assert float(report["co2e_g"]) > 0
    assert again.json()["id"] == report["id"]
    assert evidence.read_all(EvidenceFile.objects.get()) == content.encode()


def test_evidence_is_given_back_as_it_came_to_those_who_may_see_the_report(
    emitter: tuple[APIClient, str], acme_reads: APIClient, auditor_reads: APIClient
) -> None:
    client, url = emitter
    content = f"{HEADER}\n{codecarbon_row()}\n"
    address = reverse("report-evidence", args=[send_file(client, url, content).json()["id"]])

    for reader in (client, auditor_reads):
        answer = reader.get(address)
        assert answer.getvalue() == content.encode()
        assert answer.headers["Content-Disposition"] == 'attachment; filename="june.csv"'
        assert answer.headers["Content-Type"] == "application/octet-stream"
    refused(acme_reads.get(address), 404, "not_found")


def test_codecarbon_file_with_errors_is_refused_with_all_of_them(emitter: tuple[APIClient, str]) -> None:
    client, url = emitter

    answer = send_file(client, url, f"{HEADER}\n{codecarbon_row('NaN')}\n{codecarbon_row('-1')}\n")

    refused(answer, 422, "rows_refused")
    assert {error["line"] for error in answer.json()["errors"]} == {"2", "3"}
    assert Report.objects.count() == 0


def test_codecarbon_file_that_is_none(emitter: tuple[APIClient, str]) -> None:
    client, url = emitter

    refused(send_file(client, url, ""), 400, "body_missing")
    refused(send_file(client, url, "{}", "application/json"), 415, "unsupported_media_type")
    refused(send_file(client, url, "PK\x03\x04 not a table"), 422, "rows_refused")
    refused(send_file(client, url.replace("activity=fine_tuning", "activity=magic"), "a,b\n"), 400, "parameter_invalid")


def test_codecarbon_file_for_a_scheme_of_flop(acme_initiates: APIClient, period: Period) -> None:
    url = reverse("report-codecarbon") + f"?period={period.code}&boundary=all&activity=training"

    refused(send_file(acme_initiates, url, f"{HEADER}\n{codecarbon_row()}\n"), 422, "metric_not_measured")


# All of them --------------------------------------------------------------------------------------------------------


def test_refused_act_leaves_no_event(send: Send, acme_initiates: APIClient, period: Period) -> None:
    before = AuditEvent.objects.count()

    send("999")
    made = AuditEvent.objects.count()
    send("10", to="HR-100-0000001-00")
    post(acme_initiates, reverse("surrender-list"), {"period": period.code, "quantity": 10**6})

    # what was made leaves one event of the transfer and one of the transaction that carried it out
    assert (made - before, AuditEvent.objects.count() - made) == (2, 0)


@pytest.mark.django_db(transaction=True)
def test_order_sent_from_ten_places_at_once_is_one_order(
    regulator: Regulator, market: Market, acme: Party, caller: Caller, buy: dict[str, Any]
) -> None:
    clients = [caller(acme.trader, acme.organisation, "write") for _ in range(10)]
    barrier = Barrier(len(clients))

    def order(client: APIClient) -> tuple[int, str]:
        barrier.wait()
        try:
            with simulate(OPENING):  # each thread has a clock of its own
                answer = post(client, reverse("order-list"), buy, "order-1")
            return answer.status_code, answer.json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(order, clients))

    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    assert Order.objects.count() == 1
