"""Netting: what a settlement batch moves, and how an auditor checks it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.engine.netting import Difference, Net, Trade, differences, net, totals

ACME, BOREAL, CIRRUS = 1, 2, 3
PERMIT_2030, PERMIT_2031, EURO = 10, 11, 20


def test_permits_and_money_are_netted_per_account() -> None:
    trades = [
        Trade(buyer=ACME, seller=BOREAL, permit=PERMIT_2030, money=EURO, quantity=100, price=25),
        Trade(buyer=CIRRUS, seller=ACME, permit=PERMIT_2030, money=EURO, quantity=60, price=30),
    ]

    assert net(trades) == (
        Net(ACME, PERMIT_2030, 40),
        Net(ACME, EURO, 60 * 30 - 100 * 25),
        Net(BOREAL, PERMIT_2030, -100),
        Net(BOREAL, EURO, 2500),
        Net(CIRRUS, PERMIT_2030, 60),
        Net(CIRRUS, EURO, -1800),
    )


def test_money_is_netted_over_markets_and_permits_are_not() -> None:
    trades = [
        Trade(buyer=ACME, seller=BOREAL, permit=PERMIT_2030, money=EURO, quantity=2, price=30),
        Trade(buyer=BOREAL, seller=ACME, permit=PERMIT_2031, money=EURO, quantity=3, price=20),
    ]

    assert net(trades) == (
        Net(ACME, PERMIT_2030, 2),
        Net(ACME, PERMIT_2031, -3),
        Net(BOREAL, PERMIT_2030, -2),
        Net(BOREAL, PERMIT_2031, 3),
    )


def test_no_trades_give_no_nets() -> None:
    assert net([]) == ()


@pytest.mark.parametrize(
    ("quantity", "price", "money"), [(0, 5, EURO), (5, 0, EURO), (-5, 5, EURO), (5, 5, PERMIT_2030)]
)
def test_an_impossible_trade_is_our_own_mistake(quantity: int, price: int, money: int) -> None:
    with pytest.raises(AssertionError):
        net([Trade(ACME, BOREAL, PERMIT_2030, money, quantity, price)])


accounts = st.integers(1, 5)
trade_lists = st.lists(
    st.builds(
        Trade,
        buyer=accounts,
        seller=accounts,
        permit=st.sampled_from([PERMIT_2030, PERMIT_2031]),
        money=st.just(EURO),
        quantity=st.integers(1, 10**9),
        price=st.integers(1, 10**6),
    ),
    max_size=30,
)


@given(trade_lists)
def test_nets_are_gross_movements_added_up_one_by_one(trades: list[Trade]) -> None:
    balances = Counter[tuple[int, int]]()
    for trade in trades:
        balances[trade.seller, trade.permit] -= trade.quantity
        balances[trade.buyer, trade.permit] += trade.quantity
        balances[trade.buyer, trade.money] -= trade.quantity * trade.price
        balances[trade.seller, trade.money] += trade.quantity * trade.price

    assert {(n.account, n.asset): n.amount for n in net(trades)} == {k: v for k, v in balances.items() if v}


@given(trade_lists, st.data())
def test_nets_sum_to_zero_and_do_not_depend_on_the_order_of_trades(trades: list[Trade], data: st.DataObject) -> None:
    assert net(data.draw(st.permutations(trades))) == net(trades)
    assert set(totals(net(trades)).values()) <= {0}


@given(trade_lists)
def test_an_auditor_finds_no_difference_in_what_was_netted(trades: list[Trade]) -> None:
    assert differences(trades, net(trades)) == ()


@given(trade_lists.filter(lambda trades: bool(net(trades))), st.data())
def test_an_auditor_finds_every_altered_missing_doubled_or_added_net(trades: list[Trade], data: st.DataObject) -> None:
    posted = list(net(trades))
    victim = data.draw(st.sampled_from(posted))
    others = [n for n in posted if n != victim]
    altered = victim._replace(amount=victim.amount + 1)
    stranger = Net(account=99, asset=EURO, amount=7)

    assert differences(trades, [*others, altered]) == (Difference(*victim[:2], victim.amount + 1, victim.amount),)
    assert differences(trades, others) == (Difference(*victim[:2], 0, victim.amount),)
    assert differences(trades, [*posted, victim]) == (Difference(*victim[:2], 2 * victim.amount, victim.amount),)
    assert differences(trades, [*posted, stranger]) == (Difference(99, EURO, 7, 0),)


def test_totals_show_a_batch_that_does_not_balance() -> None:
    assert totals([Net(ACME, EURO, 5), Net(BOREAL, EURO, -4), Net(ACME, PERMIT_2030, 1)]) == {EURO: 1, PERMIT_2030: 1}
