"""Placing and cancelling: who may, what is held, what is refused with a trace and what without."""

from exchange.models import Command, Market
from tests.cast import Party
from tests.exchange.trading import Place, drain, held, state


def test_an_order_is_a_row_with_its_cover_held_before_anyone_matches_it(
    market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    ask = place(acme, "sell", 12, at=500)
    bid = place(borealis, "buy", 7, at=400)

    assert (ask.status, bid.status) == ("pending_new", "pending_new")
    assert held(market, acme) == (120, 0)
    assert held(market, borealis) == (0, 7 * 400 * 5 * 10)
    assert list(Command.objects.values_list("kind", "order", "phase", "sequence")) == [
        ("new", ask.pk, "continuous", None),
        ("new", bid.pk, "continuous", None),
    ]


def test_orders_trade_at_the_price_of_the_one_that_rested(
    market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    ask = place(acme, "sell", 12, at=500)
    bid = place(borealis, "buy", 7, at=505)

    result = drain(market)

    assert (result.commands, result.trades) == (2, 1)
    assert state(ask) == ("partially_filled", 7, 0)
    assert state(bid) == ("filled", 7, 0)
    assert (market.last_price, market.sequence) == (500, 2)
    assert held(market, acme) == (120, 0)
    assert held(market, borealis) == (0, 7 * 500 * 5 * 10)
