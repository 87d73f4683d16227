"""Settling: nets, one journal, cover, and running it twice."""

import pytest

from common.errors import Forbidden, Refused
from exchange.models import Market, Position, SettlementBatch, Trade
from exchange.services import settlement
from registry.ledger.models import Asset, Balance, LedgerAccount, Transfer
from registry.ledger.services import freeze_account
from tests.cast import ACME_PERMITS, BOREALIS_PERMITS, CASH_MINOR, OPENING, Party, Regulator
from tests.exchange.trading import Place, drain, held

EUR_PER_LOT_AND_TICK = 5 * 10


def settle(regulator: Regulator, market: Market) -> SettlementBatch | None:
    return settlement.settle_market(actor=regulator.desk, market=market, now=OPENING)


def holdings(party: Party, market: Market) -> tuple[int, int]:
    """Permits and cash of a party."""
    balances = dict(Balance.objects.filter(account=party.account).values_list("asset_id", "balance"))
    return balances[market.period.permit_id], balances[market.period.scheme.currency_id]


def test_permits_and_payment_change_hands_in_one_journal(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    place(acme, "sell", 12, at=500)
    place(borealis, "buy", 7, at=505)
    drain(market)

    batch = settle(regulator, market)

    value = 7 * 500 * EUR_PER_LOT_AND_TICK
    assert batch is not None
    assert (batch.number, batch.trade_count, batch.lots, batch.value_minor) == (1, 1, 7, value)
    assert holdings(acme, market) == (ACME_PERMITS - 70, CASH_MINOR + value)
    assert holdings(borealis, market) == (BOREALIS_PERMITS + 70, CASH_MINOR - value)
    assert Transfer.objects.filter(journal=batch.journal).count() == batch.nets.count() == 4
    assert held(market, acme) == (50, 0)
    assert held(market, borealis) == (0, 0)


def test_what_was_bought_and_sold_again_is_netted_away(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party, cobalt: Party
) -> None:
    place(acme, "sell", 10, at=500)
    place(borealis, "buy", 10, at=500)
    drain(market)
    before = holdings(acme, market), holdings(borealis, market)
    place(borealis, "sell", 10, at=500)
    place(acme, "buy", 10, at=500)
    drain(market)

    batch = settle(regulator, market)

    assert batch is not None
    assert (batch.trade_count, batch.journal, batch.nets.count()) == (2, None, 0)
    assert (holdings(acme, market), holdings(borealis, market)) == before
    assert (held(market, acme), held(market, borealis)) == ((0, 0), (0, 0))


def test_settling_twice_is_settling_once(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    place(acme, "sell", 1, at=500)
    place(borealis, "buy", 1, at=500)
    drain(market)
    settle(regulator, market)
    after_once = holdings(acme, market), holdings(borealis, market)

    again = settle(regulator, market)

    assert again is None
    assert (holdings(acme, market), holdings(borealis, market)) == after_once
    assert Trade.objects.get().batch == SettlementBatch.objects.get()


def test_the_next_trades_are_the_next_batch(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    for _ in range(2):
        place(acme, "sell", 1, at=500)
        place(borealis, "buy", 1, at=500)
        drain(market)
        settle(regulator, market)

    assert list(Trade.objects.order_by("pk").values_list("sequence", "batch__number")) == [(2, 1), (4, 2)]


def test_the_clearing_account_is_empty_again_after_each_batch(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    place(acme, "sell", 3, at=500)
    place(borealis, "buy", 3, at=500)
    drain(market)

    settle(regulator, market)

    assert list(Balance.objects.filter(account=market.clearing).values_list("balance", "held")) == [(0, 0), (0, 0)]


def test_unsettled_purchases_can_be_sold_on_and_still_settle(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    everything = ACME_PERMITS // 10
    place(acme, "sell", everything, at=500)
    place(borealis, "buy", everything, at=500)
    drain(market)

    onward = place(borealis, "sell", everything + BOREALIS_PERMITS // 10, at=600)
    batch = settle(regulator, market)

    assert onward.status == "pending_new"
    assert batch is not None
    assert held(market, borealis) == (ACME_PERMITS + BOREALIS_PERMITS, 0)


def test_a_frozen_account_stops_the_whole_batch_and_nothing_moves(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    place(acme, "sell", 1, at=500)
    place(borealis, "buy", 1, at=500)
    drain(market)
    before = holdings(acme, market), held(market, acme), held(market, borealis)
    freeze_account(account_id=borealis.account.pk)

    with pytest.raises(Refused, match=borealis.account.number) as refusal:
        settle(regulator, market)

    assert refusal.value.code == "account_frozen"
    assert (holdings(acme, market), held(market, acme), held(market, borealis)) == before
    assert not SettlementBatch.objects.exists()
    assert Position.objects.filter(bought_lots=1).count() == 1


def test_only_the_regulator_settles(market: Market, acme: Party) -> None:
    with pytest.raises(Forbidden):
        settlement.settle_market(actor=acme.trader, market=market, now=OPENING)


def test_the_clearing_account_is_the_markets_own(market: Market) -> None:
    assert market.clearing == LedgerAccount.objects.get(reference=f"clearing:{market.code}")
    assert Asset.objects.filter(pk=market.period.permit_id, kind="permit").exists()
