"""What pages and the REST read: right figures, no owners, and the same few queries however much there is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from accounts.selectors import scope_of
from exchange import selectors
from exchange.models import Market
from exchange.selectors import Candle, Level
from exchange.services import markets, orders, settlement
from tests.cast import ACME_PERMITS, CASH_MINOR, OPENING, Party, Regulator
from tests.exchange.trading import Place, drain

Queries = Callable[[int], AbstractContextManager[object]]


@pytest.fixture
def traded(market: Market, place: Place, acme: Party, borealis: Party) -> Market:
    """Two prices on each side, and two trades at 500 and 505."""
    for lots, price in ((3, 500), (4, 505), (5, 510), (2, 510), (6, 520)):
        place(acme, "sell", lots, at=price)
    for lots, price in ((7, 505), (1, 490), (2, 480)):
        place(borealis, "buy", lots, at=price)
    drain(market)
    return market


def test_the_book_is_added_up_by_price_best_first(traded: Market, django_assert_num_queries: Queries) -> None:
    with django_assert_num_queries(1):
        book = selectors.book(traded)

    assert book.asks == (Level(510, 2_550, 7, 2), Level(520, 2_600, 6, 1))
    assert book.bids == (Level(490, 2_450, 1, 1), Level(480, 2_400, 2, 1))
    assert selectors.book(traded, levels=1).asks == book.asks[:1]


def test_an_empty_market_has_an_empty_book_and_no_prices(market: Market) -> None:
    assert selectors.book(market) == selectors.BookDepth((), ())
    assert selectors.price_series(market) == []
    assert selectors.daily_candles(market) == []


def test_prices_over_time(traded: Market, django_assert_num_queries: Queries) -> None:
    traded = Market.objects.select_related("period__scheme").get(pk=traded.pk)

    with django_assert_num_queries(2):
        series, candles = selectors.price_series(traded), selectors.daily_candles(traded)

    assert series == [(OPENING, 2_500, 30), (OPENING, 2_525, 40)]
    assert candles == [Candle(date(2026, 3, 2), 2_500, 2_525, 2_500, 2_525, permits=70, trades=2)]


def test_a_day_is_a_day_where_the_scheme_is(market: Market, acme: Party, borealis: Party) -> None:
    just_before_midnight_in_berlin = datetime(2026, 3, 2, 22, 59, tzinfo=UTC)
    midnight_in_berlin = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
    for instant in (just_before_midnight_in_berlin, midnight_in_berlin):
        for party, side in ((acme, "sell"), (borealis, "buy")):
            orders.place_order(
                actor=party.trader,
                organisation=party.organisation,
                market=market,
                side=side,
                price=500,
                quantity=1,
                time_in_force="gtc",
                key=uuid4(),
                now=instant,
            )
    drain(market)

    assert [candle.day for candle in selectors.daily_candles(market)] == [date(2026, 3, 2), date(2026, 3, 3)]


def test_a_market_at_a_glance(traded: Market, place: Place, acme: Party, django_assert_num_queries: Queries) -> None:
    place(acme, "sell", 1, at=600)

    with django_assert_num_queries(2):
        (glance,) = selectors.market_summaries()

    assert (glance.last_price_minor, glance.best_bid_minor, glance.best_ask_minor) == (2_525, 2_450, 2_550)
    assert (glance.trades, glance.permits, glance.low_minor, glance.high_minor) == (2, 70, 2_500, 2_525)
    assert glance.waiting == selectors.commands_waiting(traded) == 1


def test_what_a_party_has_open_and_unsettled(
    traded: Market, acme: Party, borealis: Party, cobalt: Party, regulator: Regulator
) -> None:
    value = (3 * 500 + 4 * 505) * 50
    seller = selectors.position(acme.organisation, traded)
    buyer = selectors.position(borealis.organisation, traded)

    assert seller is not None
    assert buyer is not None
    assert (seller.open_ask_permits, seller.sold_permits, seller.sold_minor) == (130, 70, value)
    assert (seller.permits.balance, seller.permits.held, seller.permits.available) == (
        ACME_PERMITS,
        200,
        ACME_PERMITS - 200,
    )
    assert seller.permits_after_settlement == ACME_PERMITS - 70
    assert buyer.cash_after_settlement == CASH_MINOR - value

    settlement.settle_market(actor=regulator.desk, market=traded, now=OPENING)

    settled = selectors.position(acme.organisation, traded)
    assert settled is not None
    assert settled.permits.balance == seller.permits_after_settlement
    assert (settled.sold_permits, settled.cash.balance) == (0, CASH_MINOR + value)


def test_a_party_that_never_traded_has_an_empty_position_and_a_stranger_none(
    market: Market, cobalt: Party, verity: Party
) -> None:
    empty = selectors.position(cobalt.organisation, market)

    assert empty is not None
    assert (empty.permits.balance, empty.cash.balance, empty.open_bid_minor) == (0, 0, 0)
    assert selectors.position(verity.organisation, market) is None


def test_orders_are_seen_by_their_owner_and_the_regulator_only(
    traded: Market, acme: Party, borealis: Party, regulator: Regulator, auditor: Party
) -> None:
    def seen_by(user: object) -> set[str]:
        return {order.organisation.name for order in selectors.orders_in_scope(scope_of(user))}  # type: ignore[arg-type]

    assert seen_by(acme.trader) == {"Acme"}
    assert seen_by(borealis.viewer) == {"Borealis"}
    assert seen_by(regulator.monitor) == seen_by(auditor.users["auditor"]) == {"Acme", "Borealis"}


def test_a_call_shows_what_it_would_give(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party, django_assert_num_queries: Queries
) -> None:
    markets.change_phase(actor=regulator.monitor, market=market, phase="call", reason="Weekly.", now=OPENING)
    place(acme, "sell", 4, at=480)
    place(borealis, "buy", 6, at=510)
    drain(market)

    with django_assert_num_queries(1):
        clearing = selectors.indicative_price(market)

    assert (clearing.price, clearing.volume, clearing.surplus) == (510, 4, 2)
