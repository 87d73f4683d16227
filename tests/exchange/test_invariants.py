"""The exchange's invariants: quiet about an honest market, and each loud about one forged row."""

import pytest
from django.db import connection

from common.invariants import check_all
from exchange.invariants import INVARIANTS
from exchange.models import Market
from exchange.services import settlement
from tests.cast import OPENING, Party, Regulator
from tests.exchange.trading import Place, cancel, drain


@pytest.fixture
def busy_market(regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party) -> Market:
    """A market in which orders rest, traded, were cancelled and settled, and some trades are still unsettled."""
    place(acme, "sell", 12, at=500)
    place(borealis, "buy", 7, at=505)
    drain(market)
    settlement.settle_market(actor=regulator.desk, market=market, now=OPENING)
    cancel(acme, place(acme, "sell", 3, at=520))
    place(borealis, "buy", 2, at=500)
    place(borealis, "buy", 4, at=490)
    place(borealis, "buy", 4, at=450, time_in_force="ioc")
    drain(market)
    return market


def broken() -> list[str]:
    return [result.name for result in check_all(INVARIANTS) if result.broken]


def forge(sql: str) -> None:
    """Change rows as only somebody with the database's own rights could."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql)
        assert cursor.rowcount >= 1
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_an_honest_market_breaks_nothing_and_everything_was_looked_at(busy_market: Market) -> None:
    results = check_all(INVARIANTS)

    assert [result.name for result in results if result.broken] == []
    assert all(result.checked for result in results if "closing" not in result.name)


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (
            "UPDATE exchange_order SET filled = filled + 1 WHERE status = 'partially_filled'",
            "Each order was filled by exactly the lots of its trades",
        ),
        (
            "UPDATE exchange_order SET status = 'partially_filled' WHERE status = 'new'",
            "The status of each order fits its filled, open and cancelled lots",
        ),
        (
            "UPDATE exchange_trade SET price = price + 9 WHERE batch_id IS NULL",
            "No trade lies outside the limit of either order, or joins what does not belong together",
        ),
        (
            "UPDATE exchange_trade SET at = at + interval '1 second' WHERE batch_id IS NULL",
            "Each trade stands at the instant of the command that made it",
        ),
        (
            "UPDATE exchange_command SET sequence = sequence + 5 WHERE kind = 'cancel'",
            "Each command has its own place, and each market's sequence has no gap",
        ),
        (
            "UPDATE exchange_position SET sold_lots = sold_lots + 1 WHERE sold_lots > 0",
            "Each position is the sum of its open orders and unsettled trades",
        ),
        (
            "UPDATE ledger_hold SET quantity = quantity - 1 WHERE purpose = 'orders' AND quantity > 0",
            "What is held for orders is exactly the worst case of what is open and unsettled",
        ),
        (
            "UPDATE exchange_order SET price = 501 WHERE side = 'buy' AND status = 'new'",
            "No book in continuous trading is crossed",
        ),
        (
            "UPDATE exchange_trade SET batch_id = (SELECT id FROM exchange_settlementbatch) WHERE batch_id IS NULL",
            "Each batch counts the trades that it settled",
        ),
        (
            "UPDATE exchange_settlementnet SET net = net + 1 WHERE net > 0",
            "The nets of each batch follow from its trades",
        ),
        (
            "UPDATE ledger_transfer SET amount = amount + 1"
            " WHERE journal_id = (SELECT journal_id FROM exchange_settlementbatch)",
            "The nets of each batch are the transfers of its journal, through the clearing account",
        ),
        (
            "UPDATE exchange_trade SET lots = lots - 1 WHERE lots > 1 AND batch_id IS NULL",
            "Replaying the commands gives the same trades and orders",
        ),
        (
            "INSERT INTO exchange_periodclosing (period_id, started_at, finished_at)"
            " SELECT period_id, now(), now() FROM exchange_market",
            "Each closing took its steps in order, each once",
        ),
    ],
)
def test_one_forged_row_is_found(sql: str, name: str, busy_market: Market) -> None:
    forge(sql)

    assert name in broken()


def test_each_invariant_has_its_forgery() -> None:
    (cases,) = (mark for mark in test_one_forged_row_is_found.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]

    assert {name for _, name in cases.args[1]} == {invariant.name for invariant in INVARIANTS}
