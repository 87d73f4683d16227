"""Settling trades: netted per account and asset, permits against payment, in one journal that cannot fail for cover.

Every net passes through the market's clearing account: what members deliver goes in first, what they receive comes
out, and the account is empty again when the journal ends. So each net is exactly one transfer, and an auditor compares
the two lists line by line; pairing deliverers with receivers directly would name partners who never traded.

Settlement is final: a trade that was struck before an officer froze one of its accounts is settled all the same, or
one thief's account could keep the whole market from settling. What comes into a frozen account stays there.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Max, Q

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import require, require_permission
from common.idempotency import derive_key
from exchange.engine import netting
from exchange.models import Market, Position, SettlementBatch, SettlementNet, Trade
from exchange.permissions import may_settle
from exchange.services import locks, positions
from exchange.services.positions import Figures
from registry.grades import is_frozen
from registry.ledger import services as ledger
from registry.ledger.models import LedgerAccount


@transaction.atomic(durable=True)
def settle_market(*, actor: User, market: Market, now: datetime) -> SettlementBatch | None:
    """Settle now what is unsettled, ahead of the closing. Nothing unsettled gives no batch."""
    require_permission(may_settle(actor), "Only an officer of the regulator may settle a market.")
    return settle(market=market, actor=actor, now=now)


def settle(*, market: Market, actor: User | None, now: datetime) -> SettlementBatch | None:
    """Settle every trade that has no batch yet, as the market's next batch. Part of other services.

    The market's row is locked, so no trade is added meanwhile; orders still come in.
    """
    assert_in_transaction()
    market = locks.lock_market(market)
    require(
        not is_frozen(market.period.scheme),
        "scheme_frozen",
        "All movements of this scheme but surrender are stopped. Settle when the freeze is lifted.",
    )
    accounts = _lock_unsettled(market)
    sums = _unsettled(market)
    if not sums:
        return None
    nets = netting.net(_in_units(market, accounts, sums))
    frozen = _thaw(accounts.values())
    _lock_balances(market, accounts.values())
    number = (SettlementBatch.objects.filter(market=market).aggregate(last=Max("number"))["last"] or 0) + 1
    deltas = _settled_figures(market, sums)
    changed = positions.change(deltas)
    ledger.set_holds(_holds(market, changed, deltas, lower=True))
    journal_id = _post(market, number, nets, actor, now) if nets else None
    ledger.set_holds(_holds(market, changed, deltas, lower=False))
    for account_id in frozen:
        ledger.freeze_account(account_id=account_id)
    batch = SettlementBatch.objects.create(
        market=market,
        number=number,
        trade_count=sum(trades for *_, trades in sums),
        lots=sum(lots for *_, lots, _ in sums),
        value_minor=sum(price * lots for *_, price, lots, _ in sums) * market.lot_tick_minor,
        journal_id=journal_id,
        at=now,
    )
    SettlementNet.objects.bulk_create(
        SettlementNet(batch=batch, account_id=net.account, asset_id=net.asset, net=net.amount) for net in nets
    )
    settled = Trade.objects.filter(market=market, batch__isnull=True).update(batch=batch)
    assert settled == batch.trade_count, "the market's lock keeps new trades out"
    audit.record(
        actor,
        "exchange.market.settled",
        batch,
        at=now,
        market=market.code,
        number=number,
        trades=settled,
        frozen_accounts=frozen,
    )
    return batch


def _lock_unsettled(market: Market) -> dict[int, int]:
    """Lock every position with unsettled trades and return the account of each."""
    unsettled = Position.objects.filter(market=market).filter(Q(bought_lots__gt=0) | Q(sold_lots__gt=0))
    accounts = dict(unsettled.values_list("pk", "account_id"))
    positions.lock(accounts)
    return accounts


def _thaw(accounts: Iterable[int]) -> list[int]:
    """Open accounts that an officer froze for the length of this transaction, before any balance is locked.

    One that the reconciliation froze stays so, as its books are in doubt: nothing is settled until that is cleared up.
    """
    frozen = (
        LedgerAccount.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk__in=list(accounts), status="frozen", terms__grade="frozen")
        .order_by("pk")
    )
    opened = [account.pk for account in frozen]
    for account_id in opened:
        ledger.unfreeze_account(account_id=account_id)
    return opened


def _unsettled(market: Market) -> list[tuple[int, int, int, int, int]]:
    """Return buyer, seller, price, lots and count of the trades to settle, added up where the first three agree."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT buyer_id, seller_id, price, sum(lots)::bigint, count(*) FROM exchange_trade"
            " WHERE market_id = %s AND batch_id IS NULL GROUP BY 1, 2, 3",
            [market.pk],
        )
        rows: list[tuple[int, int, int, int, int]] = cursor.fetchall()
    return rows


def _in_units(
    market: Market, accounts: dict[int, int], sums: Iterable[tuple[int, int, int, int, int]]
) -> Iterable[netting.Trade]:
    permit, money = market.period.permit_id, market.period.scheme.currency_id
    for buyer, seller, price, lots, _ in sums:
        yield netting.Trade(
            accounts[buyer], accounts[seller], permit, money, lots * market.lot, market.price_minor(price)
        )


def _lock_balances(market: Market, accounts: Iterable[int]) -> None:
    assets = (market.period.permit_id, market.period.scheme.currency_id)
    pairs = [(account, asset) for account in (*accounts, market.clearing_id) for asset in assets]
    ledger.open_balances(pairs)
    ledger.lock_balances(pairs)


def _settled_figures(market: Market, sums: Iterable[tuple[int, int, int, int, int]]) -> dict[int, Figures]:
    """Return by position what settling takes out of its unsettled figures."""
    deltas: dict[int, Figures] = defaultdict(Figures)
    for buyer, seller, price, lots, _ in sums:
        value = price * lots * market.lot_tick_minor
        deltas[buyer] = deltas[buyer].minus(Figures(bought_lots=lots, bought_value=value))
        deltas[seller] = deltas[seller].minus(Figures(sold_lots=lots, sold_value=value))
    return deltas


def _holds(
    market: Market, changed: Iterable[positions.Changed], deltas: dict[int, Figures], *, lower: bool
) -> list[ledger.HoldChange]:
    """Return the hold changes that free what will be delivered, or those that reserve what has been received.

    Delivering is covered by the old hold and receiving covers the new one, so the first come before the transfers and
    the others after them.
    """
    return [
        ledger.HoldChange(hold, after)
        for position in changed
        for hold, before, after in positions.hold_moves(market.lot, position, deltas[position.id])
        if (after < before) == lower and after != before
    ]


def _post(market: Market, number: int, nets: Iterable[netting.Net], actor: User | None, now: datetime) -> int:
    clearing = market.clearing_id
    transfers = [
        ledger.Posting(
            derive_key("settlement", market.pk, number, net.account, net.asset),
            net.account if net.amount < 0 else clearing,
            clearing if net.amount < 0 else net.account,
            net.asset,
            abs(net.amount),
        )
        for net in sorted(nets, key=lambda net: net.amount > 0)  # deliveries first
    ]
    posted = ledger.post(
        transfers=transfers,
        kind="settlement",
        reference=f"settlement:{market.code}:{number}",
        actor=actor,
        now=now,
        note=f"Batch {number} of {market.code}",
    )
    return posted.journal_id
