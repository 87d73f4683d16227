"""Reading the ledger: balances at an instant, statements, and where everything is."""

import random
from datetime import timedelta

from django.db import connection

from registry.ledger import selectors
from tests.ledger.cast import NOON, Cast


def test_the_balance_at_any_instant_is_that_of_a_plain_list(cast: Cast) -> None:
    rng = random.Random(5)
    booked = [(NOON, 1_000)]
    for step in range(60):
        at = NOON + timedelta(minutes=step // 3)  # several entries share an instant
        amount = rng.randint(1, 20)
        debit, credit = (cast.mint, cast.acme) if rng.random() < 0.5 else (cast.acme, cast.birch)
        cast.move(debit, credit, amount, now=at)
        booked.append((at, amount if credit is cast.acme else -amount))

    for seconds in range(-30, 21 * 60, 15):
        instant = NOON + timedelta(seconds=seconds)
        expected = sum(amount for at, amount in booked if at <= instant)
        assert selectors.balance_at(cast.acme.pk, cast.permit.pk, instant) == expected


def test_a_statement_opens_where_the_one_before_closed_and_lists_what_lies_between(cast: Cast) -> None:
    hour = timedelta(hours=1)
    cast.move(cast.acme, cast.birch, 100, now=NOON + hour)
    cast.move(cast.acme, cast.lab, 50, now=NOON + 2 * hour)
    cast.move(cast.birch, cast.acme, 25, now=NOON + 2 * hour)
    cast.move(cast.acme, cast.lab, 5, now=NOON + 3 * hour)

    statement = selectors.statement(cast.acme.pk, cast.permit.pk, NOON + 2 * hour, NOON + 3 * hour)
    before = selectors.statement(cast.acme.pk, cast.permit.pk, NOON, NOON + 2 * hour)

    assert (before.opening, before.closing) == (0, 900)
    assert (statement.opening, statement.closing) == (900, 875)
    assert [(entry.seq, entry.amount, entry.balance_after, entry.other_account) for entry in statement.entries] == [
        (3, -50, 850, cast.lab.number),
        (4, 25, 875, cast.birch.number),
    ]


def test_an_account_without_movements_has_empty_answers(cast: Cast) -> None:
    assert selectors.balance_at(cast.lab.pk, cast.permit.pk, NOON) == 0
    assert selectors.balance_of(cast.lab.pk, cast.permit.pk) == 0
    statement = selectors.statement(cast.lab.pk, cast.permit.pk, NOON, NOON)
    assert (statement.opening, statement.entries, statement.closing) == (0, [], 0)


def test_holdings_and_totals_tell_where_everything_is(cast: Cast) -> None:
    cast.move(cast.acme, cast.birch, 300)
    cast.move(cast.acme, cast.surrendered, 200)
    cast.hold(cast.birch, 30)

    holdings = selectors.holdings([cast.acme.pk, cast.birch.pk])
    totals = selectors.totals_by_kind([cast.permit.pk])

    assert [(one.account_id, one.balance, one.available) for one in holdings] == [
        (cast.acme.pk, 500, 500),
        (cast.birch.pk, 300, 270),
    ]
    assert {total.kind: (total.accounts, total.balance, total.held) for total in totals} == {
        "issuance": (1, -1_000, 0),
        "holding": (2, 800, 30),
        "surrender": (1, 200, 0),
    }
    assert sum(total.balance for total in totals) == 0
    assert selectors.available(cast.birch.pk, cast.permit.pk) == 270
    assert selectors.central_account("mint") == cast.mint


def test_a_point_in_time_is_found_with_few_index_reads_among_many_entries(cast: Cast) -> None:
    for minute in range(10):
        count = 20 if minute == 4 else 1_000  # the minute of the statement is short: for a tenth of a table PostgreSQL
        at = NOON + timedelta(minutes=minute)  # may rightly prefer to read it whole
        cast.post(*[cast.posting(cast.mint, cast.birch, 1) for _ in range(count)], now=at)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ledger_transfer")
        cursor.execute("SELECT pg_stat_force_next_flush()")
        reads = "SELECT sum(idx_scan), sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname = 'ledger_transfer'"
        cursor.execute(reads)
        index_before, full_before = cursor.fetchone()

        balance = selectors.balance_at(cast.birch.pk, cast.permit.pk, NOON + timedelta(minutes=4))
        statement = selectors.statement(
            cast.birch.pk, cast.permit.pk, NOON + timedelta(minutes=4), NOON + timedelta(minutes=5)
        )

        cursor.execute(reads)
        index_after, full_after = cursor.fetchone()
    assert (balance, statement.opening, statement.closing, len(statement.entries)) == (4_020, 4_000, 4_020, 20)
    assert full_after == full_before
    # Three bisections of 9,020 entries and one range take under a hundred. The planner may look up the ends of an index
    # besides, as the sample of ANALYZE has it. Reading entry by entry would take thousands.
    assert index_after - index_before < 200
