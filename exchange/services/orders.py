"""Placing and cancelling orders: a row and its cover first, committed, and only then is the market woken.

The commands are the audit trail of orders: one append-only row for each, with who, when, and its place in the market's
sequence. An order that the rules of trading turn down is a row too, with its reason. Only what no order could be made
of (bad input, no permission, a key used for something else) is refused without a trace.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from accounts.models import Organisation, User
from common.errors import Refused, Unknown, refuse, require, require_permission
from common.idempotency import derive_key
from common.quantities import MAX_ENTRY, parse_whole
from exchange.engine import risk
from exchange.engine.words import Side
from exchange.models import ORDER, Command, Market, Order
from exchange.permissions import may_trade
from exchange.services import locks, positions, waking
from exchange.services.positions import Cover, Figures
from registry.ledger import services as ledger
from registry.services import debts

MAX_BATCH = 10_000
COLLAR_MINIMUM_TICKS = 10
"""The collar never gets narrower than this, or a market at a low price could not move."""


@dataclass(frozen=True, slots=True)
class OrderInput:
    """One order as a client asks for it: price in ticks, quantity in lots, and the client's own key for it."""

    side: str
    price: int
    quantity: int
    time_in_force: str
    key: UUID


@dataclass(frozen=True, slots=True)
class _Entrance:
    """What the rows say, under the phase lock, about this organisation's orders in this market."""

    phase: str
    last_price: int | None
    period_status: str
    organisation_status: str
    account_id: int | None
    position_id: int | None
    may_trade: bool
    account_grade: str
    scheme_frozen: bool
    debt: int


def place_order(
    *,
    actor: User,
    organisation: Organisation,
    market: Market,
    side: str,
    price: int,
    quantity: int,
    time_in_force: str,
    key: UUID,
    now: datetime,
) -> Order:
    """Place one order: price in ticks, quantity in lots. The same key again returns the same order."""
    order = OrderInput(side=side, price=price, quantity=quantity, time_in_force=time_in_force, key=key)
    return place_orders(actor=actor, organisation=organisation, market=market, orders=[order], now=now)[0]


def place_orders(
    *, actor: User, organisation: Organisation, market: Market, orders: Sequence[OrderInput], now: datetime
) -> list[Order]:
    """Place a batch of orders at once and return them in the order given; a rejected one does not undo the others.

    Keys are nearly always new, so nothing looks them up until the database says that one of them is not.
    """
    orders = _well_formed(orders)
    keys_are_new = len({order.key for order in orders}) == len(orders)
    try:
        return _place_with_position(actor, organisation, market, orders, now, keys_are_new)
    except IntegrityError as error:
        if "one_order_per_key" not in str(error):
            raise
    return _place_with_position(actor, organisation, market, orders, now, keys_are_new=False)


def _place_with_position(
    actor: User,
    organisation: Organisation,
    market: Market,
    orders: Sequence[OrderInput],
    now: datetime,
    keys_are_new: bool,
) -> list[Order]:
    placed = _place(actor, organisation, market, orders, now, keys_are_new)
    if isinstance(placed, _Entrance):  # the organisation's first order here
        assert placed.account_id is not None
        no_position = ""
        try:
            positions.open_position(
                market=market, organisation_id=organisation.pk, account_id=placed.account_id, now=now
            )
        except Refused as refusal:
            no_position = refusal.code
        placed = _place(actor, organisation, market, orders, now, keys_are_new, no_position)
        assert not isinstance(placed, _Entrance)
    return placed


@transaction.atomic(durable=True)
def _place(
    actor: User,
    organisation: Organisation,
    market: Market,
    orders: Sequence[OrderInput],
    now: datetime,
    keys_are_new: bool,
    no_position: str = "",
) -> list[Order] | _Entrance:
    """Place the orders, or return the entrance if the position that they need must be opened first."""
    entrance = _entrance(actor, organisation, market)
    require_permission(entrance.may_trade, "Only a trader of the organisation may place its orders.")
    stored = {} if keys_are_new else _stored(organisation, market, orders)
    fresh = list({order.key: order for order in orders if order.key not in stored}.values())
    closed = _closed_to_all(entrance) or no_position
    if not closed and entrance.position_id is None:
        return entrance
    reasons = [closed or _reason(market, entrance, order) or "" for order in fresh]
    if not closed:
        reasons = _within_debt(market, entrance, fresh, reasons)
        reasons = _cover(market, entrance, fresh, reasons)
    placed = _insert(actor, organisation, market, entrance, fresh, reasons, now)
    if not all(reasons):
        transaction.on_commit(lambda: waking.wake(market))
    by_key = {**stored, **{order.key: order for order in placed}}
    return [by_key[order.key] for order in orders]


@transaction.atomic(durable=True)
def cancel_order(*, actor: User, order_id: int | UUID, organisation: Organisation, key: UUID, now: datetime) -> Command:
    """Ask the market to cancel what is left of an order, in any phase. Named by its id or its public id.

    The command takes its turn: what trades before it stays traded, and then its outcome says that it came too late.
    """
    require_permission(may_trade(actor, organisation), "Only a trader of the organisation may cancel its orders.")
    named = {"public_id": order_id} if isinstance(order_id, UUID) else {"pk": order_id}
    order = Order.objects.select_related("market").filter(organisation=organisation, **named).first()
    if order is None:
        raise Unknown("order_unknown", "There is no such order of this organisation. Check its number.")
    market = order.market
    locks.share_phase(market)
    command_key = derive_key("cancel", organisation.pk, key)
    command = Command.objects.filter(key=command_key).first()
    if command is None:
        market.refresh_from_db(fields=["phase"])
        order.refresh_from_db(fields=["status"])
        require(
            order.status not in ORDER.final,
            "order_finished",
            f"This order is {order.status} already: nothing of it is left to cancel.",
        )
        command, _ = Command.objects.get_or_create(
            key=command_key,
            defaults={
                "market": market,
                "kind": Command.Kind.CANCEL,
                "order": order,
                "entered_at": now,
                "entered_by": actor,
                "phase": market.phase,
            },
        )
        transaction.on_commit(lambda: waking.wake(market))
    require(command.order_id == order.pk, "key_reused", "This key was used before for another order. Use a new one.")
    return command


# May they, and may this order ---------------------------------------------------------------------------------------


def _well_formed(orders: Iterable[OrderInput]) -> Sequence[OrderInput]:
    """Refuse what no order can be made of."""
    listed = tuple(orders)
    require(1 <= len(listed) <= MAX_BATCH, "batch_size", f"Place between 1 and {MAX_BATCH:,} orders in one batch.")
    seen: dict[UUID, OrderInput] = {}
    for order in listed:
        require(order.side in Order.Side.values, "side_unknown", "The side of an order is buy or sell.")
        require(
            order.time_in_force in Order.TimeInForce.values,
            "time_in_force_unknown",
            "The time in force of an order is gtc or ioc.",
        )
        parse_whole(order.price)
        parse_whole(order.quantity)
        if seen.setdefault(order.key, order) != order:
            _refuse_reused_key()
    return listed


def _entrance(actor: User, organisation: Organisation, market: Market) -> _Entrance:
    """Take the phase lock and read what decides, in one round trip (`sql/0003_entrance_debts.sql`)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT phase, last_price, period_status, organisation_status, account_id, position_id, is_trader,"
            " account_grade, scheme_frozen, debt FROM exchange_entrance(%s, %s, %s, %s)",
            [locks.PHASE, market.pk, organisation.pk, actor.pk],
        )
        return _Entrance(*cursor.fetchone())


def _closed_to_all(entrance: _Entrance) -> str:
    """Why no order of this organisation may enter this market now, or nothing."""
    if entrance.organisation_status != "active":
        return "standing_suspended"
    if entrance.account_id is None:
        return "not_admitted"
    if entrance.account_grade != "open":
        return "account_frozen" if entrance.account_grade == "frozen" else "account_restricted"
    if entrance.scheme_frozen:
        return "scheme_frozen"
    if entrance.phase in {"closed", "halted"}:
        return f"market_{entrance.phase}"
    return "" if entrance.period_status == "open" else "period_not_open"


def _reason(market: Market, entrance: _Entrance, order: OrderInput) -> str | None:
    """Why this order may not enter, before its cover is looked at."""
    if entrance.phase == "call" and order.time_in_force == Order.TimeInForce.IOC:
        return "time_in_force_not_in_call"
    return risk.check_order(
        _limits(market),
        standing="good",
        side=_side(order),
        price=market.price_minor(order.price),
        quantity=order.quantity * market.lot,
        reference=None if entrance.last_price is None else market.price_minor(entrance.last_price),
    )


def _within_debt(
    market: Market, entrance: _Entrance, orders: Sequence[OrderInput], reasons: Sequence[str]
) -> list[str]:
    """Return the reasons again, with those of sells for which a debt in permits leaves nothing free.

    The debt is read without a lock: a new one is written by an officer's act, and what was placed a moment earlier is
    cancelled like any other order of a blocked account.
    """
    if not entrance.debt:
        return list(reasons)
    assert entrance.account_id is not None
    free = debts.free_for_sale(entrance.account_id, market.period_id, entrance.debt)
    answers = []
    for order, reason in zip(orders, reasons, strict=True):
        permits = order.quantity * market.lot if order.side == Order.Side.SELL and not reason else 0
        answers.append("debt_outstanding" if permits > free else reason)
        free -= permits if permits <= free else 0
    return answers


def _limits(market: Market) -> risk.Limits:
    return risk.Limits(
        lot=market.lot,
        tick=market.tick_minor,
        maximum_quantity=market.max_order_lots * market.lot,
        maximum_price=MAX_ENTRY,
        maximum_value=MAX_ENTRY,
        collar_bps=market.collar_bps,
        collar_minimum=COLLAR_MINIMUM_TICKS * market.tick_minor,
    )


def _side(order: OrderInput) -> Side:
    return "buy" if order.side == Order.Side.BUY else "sell"


def _stored(organisation: Organisation, market: Market, orders: Sequence[OrderInput]) -> Mapping[UUID, Order]:
    """Return the orders that were placed under these keys before; the same key for something else is refused."""
    stored = {
        order.key: order
        for order in Order.objects.filter(organisation=organisation, key__in=[order.key for order in orders])
    }
    for order in orders:
        known = stored.get(order.key)
        if known is not None and (
            known.market_id != market.pk
            or OrderInput(known.side, known.price, known.quantity, known.time_in_force, known.key) != order
        ):
            _refuse_reused_key()
    return stored


def _refuse_reused_key() -> None:
    refuse("key_reused", "This key was used before for another order. Use a new key for a new order.")


# Cover --------------------------------------------------------------------------------------------------------------


def _cover(market: Market, entrance: _Entrance, orders: Sequence[OrderInput], reasons: Sequence[str]) -> list[str]:
    """Hold what the orders need and return the reasons again, with those that the account does not cover.

    The whole batch is nearly always covered, so it is asked for at once. Only if the ledger says no is each order
    looked at in turn, with the balances locked by then.
    """
    wanted = [Figures() if reason else _figures(market, order) for order, reason in zip(orders, reasons, strict=True)]
    total = _sum(wanted)
    if not any(total):
        return list(reasons)
    position, short_of = _move(market, entrance, total)
    if not short_of:
        return list(reasons)
    before = position.figures.minus(total)
    most = _most_that_can_be_held(position, raising=short_of == "insufficient_available")
    kept, answers = before, []
    for figures, reason in zip(wanted, reasons, strict=True):
        held, needed = positions.required(market.lot, kept), positions.required(market.lot, kept.plus(figures))
        is_covered = all(need <= now or need <= limit for need, now, limit in zip(needed, held, most, strict=True))
        answers.append(reason if reason or is_covered else short_of)
        kept = kept.plus(figures) if is_covered else kept
    # the first attempt moved the figures and not the holds, so take it back before the second moves both
    positions.change({position.id: Figures().minus(total)})
    _, refused = _move(market, entrance, kept.minus(before))
    assert not refused, "what was counted under the locks is there"
    return answers


def _move(market: Market, entrance: _Entrance, change: Figures) -> tuple[positions.Changed, str]:
    """Lock the position, add to what it has open and move its holds; the code if the ledger will not hold that."""
    assert entrance.position_id is not None
    (position,) = positions.change({entrance.position_id: change})
    try:
        ledger.set_holds(
            ledger.HoldChange(hold, after)
            for hold, before, after in positions.hold_moves(market.lot, position, change)
            if after != before
        )
    except Refused as refusal:
        return position, refusal.code
    return position, ""


def _figures(market: Market, order: OrderInput) -> Figures:
    if order.side == Order.Side.SELL:
        return Figures(open_ask_lots=order.quantity)
    return Figures(open_bid_value=order.price * order.quantity * market.lot_tick_minor)


def _sum(changes: Iterable[Figures]) -> Figures:
    return Figures(*map(sum, zip(*changes, strict=True)))


def _most_that_can_be_held(position: positions.Changed, *, raising: bool) -> Cover:
    """Return the largest quantities of the two holds: what is available on top, or nothing on top."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h.quantity + CASE WHEN %s AND b.status = 'open' THEN b.balance - b.held ELSE 0 END"
            "  FROM unnest(%s::bigint[]) WITH ORDINALITY w(id, place) JOIN ledger_hold h ON h.id = w.id"
            "  JOIN ledger_balance b ON b.id = h.balance_id ORDER BY w.place",
            [raising, [position.permit_hold, position.cash_hold]],
        )
        (permits,), (cash,) = cursor.fetchall()
    return Cover(permits=permits, cash=cash)


# Rows ---------------------------------------------------------------------------------------------------------------


def _insert(
    actor: User,
    organisation: Organisation,
    market: Market,
    entrance: _Entrance,
    orders: Sequence[OrderInput],
    reasons: Sequence[str],
    now: datetime,
) -> list[Order]:
    """Write the orders, and a command for each that the market shall see, in one statement whatever their number."""
    rows = [
        Order(
            public_id=uuid.uuid4(),
            key=order.key,
            market=market,
            position_id=entrance.position_id,
            organisation=organisation,
            entered_by=actor,
            entered_at=now,
            side=order.side,
            price=order.price,
            quantity=order.quantity,
            time_in_force=order.time_in_force,
            status="rejected" if reason else ORDER.initial,
            canceled=order.quantity if reason else 0,
            reason=reason,
        )
        for order, reason in zip(orders, reasons, strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH placed AS ("
            "  INSERT INTO exchange_order (public_id, key, market_id, position_id, organisation_id, entered_by_id,"
            "                              entered_at, side, price, quantity, time_in_force, status, filled, canceled,"
            "                              reason)"
            "  SELECT x.public_id, x.key, %(market)s, %(position)s, %(organisation)s, %(actor)s, %(now)s, x.side,"
            "         x.price, x.quantity, x.time_in_force, x.status, 0, x.canceled, x.reason"
            "    FROM unnest(%(public_ids)s::uuid[], %(keys)s::uuid[], %(sides)s::text[], %(prices)s::bigint[],"
            "                %(quantities)s::bigint[], %(times)s::text[], %(statuses)s::text[], %(canceled)s::bigint[],"
            "                %(reasons)s::text[])"
            "         WITH ORDINALITY"
            "         x(public_id, key, side, price, quantity, time_in_force, status, canceled, reason, n)"
            "   ORDER BY x.n RETURNING id, public_id, status"
            "), queued AS ("
            "  INSERT INTO exchange_command (market_id, kind, order_id, key, entered_at, entered_by_id, phase, outcome,"
            "                                parked)"
            "  SELECT %(market)s, 'new', id, public_id, %(now)s, %(actor)s, %(phase)s, '', ''"
            "    FROM placed WHERE status <> 'rejected' ORDER BY id"
            ") SELECT id FROM placed ORDER BY id",
            {
                "market": market.pk,
                "position": entrance.position_id,
                "organisation": organisation.pk,
                "actor": actor.pk,
                "now": now,
                "phase": entrance.phase,
                "public_ids": [row.public_id for row in rows],
                "keys": [row.key for row in rows],
                "sides": [row.side for row in rows],
                "prices": [row.price for row in rows],
                "quantities": [row.quantity for row in rows],
                "times": [row.time_in_force for row in rows],
                "statuses": [row.status for row in rows],
                "canceled": [row.canceled for row in rows],
                "reasons": [row.reason for row in rows],
            },
        )
        for row, (row_id,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = row_id
            row._state.adding = False
            row._state.db = connection.alias
    return rows
