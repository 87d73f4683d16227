"""Draining a market: its commands, in order, through the book, and everything they change written in bulk.

One process at a time writes a market's sequence. A pass takes the commands that are not done yet, runs them through
the session kept in this process (rebuilt from rows whenever the market's version says that somebody else has been
here), writes orders, trades, positions, holds, commands and the market itself, and commits. A worker that dies takes
nothing with it but its time: what it had not committed never happened, and the commands are still to do.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.db import DataError, IntegrityError, InternalError, connection, transaction
from django.db.models import QuerySet

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Unknown, require, require_permission
from exchange.engine import session as engine
from exchange.engine.session import Changes, OrderState, Session
from exchange.engine.words import Side
from exchange.models import Command, Market
from exchange.permissions import may_steer_markets
from exchange.services import locks, positions, waking
from exchange.services.positions import Figures
from registry.ledger import services as ledger

log = logging.getLogger(__name__)

BATCH = 2_000
PASSES = 50

_sessions: dict[UUID, tuple[int, Session]] = {}
"""The sessions this process keeps, each with the version of the market that it stands for."""


@dataclass(frozen=True, slots=True)
class DrainResult:
    """What one drain did. `is_busy` if another process was at it; `is_unfinished` if it stopped to let others work."""

    commands: int = 0
    trades: int = 0
    parked: int = 0
    is_busy: bool = False
    is_unfinished: bool = False


@dataclass(frozen=True, slots=True)
class _Pass:
    commands: int = 0
    trades: int = 0
    parked: int = 0


_NOTHING = _Pass()


class _Poisoned(Exception):
    """The engine broke on one command."""

    def __init__(self, command_id: int, why: str) -> None:
        super().__init__(command_id, why)
        self.command_id = command_id
        self.why = why


def drain(market_id: UUID, *, wait: bool = False, batch: int = BATCH, passes: int = PASSES) -> DrainResult:
    """Do every command of the market that waits, unless another process is at it already (or wait for that one).

    Stops after so many passes, so that one market cannot keep a worker for ever: `is_unfinished` then says that the
    market should be woken again.
    """
    market = Market.objects.get(pk=market_id)
    commands = trades = parked = 0
    left = passes
    # Asked before the first turn, because every order rings and one drain answers many rings: the others must cost next
    # to nothing. Asked after each turn, because whoever rang while we held the lock was told that we are busy.
    while left and _waiting(market).exists():
        with locks.writer(market, wait=wait) as is_writer:
            if not is_writer:
                return DrainResult(commands, trades, parked, is_busy=True)
            while left:
                left -= 1
                done = _pass_or_park(market, batch)
                commands, trades, parked = commands + done.commands, trades + done.trades, parked + done.parked
                if done == _NOTHING:
                    break
    return DrainResult(commands, trades, parked, is_unfinished=not left and _waiting(market).exists())


def sweep() -> int:
    """Wake every market with commands to do, and return how many. Waking one that is awake already does no harm."""
    waiting = Market.objects.filter(pk__in=Command.objects.waiting().values("market_id")).order_by("number")
    for market in waiting:
        waking.wake(market)
    return len(waiting)


@transaction.atomic(durable=True)
def uncross(*, actor: User, market: Market, now: datetime) -> Command:
    """Ask the market to run its call auction. Commands entered before take part; the market stays in its phase."""
    require_permission(may_steer_markets(actor), "Only a market monitor may uncross a call.")
    locks.share_phase(market)
    market.refresh_from_db(fields=["phase"])
    require(market.phase == "call", "market_not_in_call", "Only a market in its call phase can be uncrossed.")
    command = enter(market, Command.Kind.UNCROSS, key=uuid4(), actor=actor, now=now)
    audit.record(actor, "exchange.market.uncrossed", market, at=now, command=command.pk)
    return command


def enter(market: Market, kind: str, *, key: UUID, actor: User | None, now: datetime) -> Command:
    """Enter a command about the whole market, once for its key, and wake the market. Part of other services."""
    assert_in_transaction()
    command, _ = Command.objects.get_or_create(
        key=key,
        defaults={"market": market, "kind": kind, "entered_at": now, "entered_by": actor, "phase": market.phase},
    )
    transaction.on_commit(lambda: waking.wake(market))
    return command


@transaction.atomic(durable=True)
def unpark(*, actor: User, command_id: int, reason: str, now: datetime) -> Command:
    """Put a parked command back in line, at its old place, once what broke has been mended.

    Refused once the market has left the phase it was entered in: its rules would no longer fit the book.
    """
    command = _parked(actor, command_id, reason)
    market = command.market
    locks.share_phase(market)
    market.refresh_from_db(fields=["phase"])
    require(
        market.phase == command.phase and not _waiting(market).filter(kind=Command.Kind.UNCROSS).exists(),
        "phase_passed",
        "The market has left the phase in which this was entered. Discard it, and let its trader enter it again.",
    )
    command.parked = ""
    command.save(update_fields=["parked"])
    audit.record(actor, "exchange.command.unparked", command, at=now, reason=reason)
    transaction.on_commit(lambda: waking.wake(market))
    return command


@transaction.atomic(durable=True)
def discard_parked(*, actor: User, command_id: int, reason: str, now: datetime) -> Command:
    """Give a parked command up: its order is cancelled and what was held for it is free again.

    It keeps its parked note and never gets a place in the sequence: it did nothing.
    """
    command = _parked(actor, command_id, reason)
    order = command.order
    if command.kind == Command.Kind.NEW and order is not None and order.status == "pending_new":
        assert order.position_id is not None
        changes = Changes()
        state = OrderState(order.pk, order.position_id, _side(order.side), order.price, order.quantity)
        position = changes.position(state.owner)
        if state.side == "buy":
            position.open_bids -= state.price * state.quantity
        else:
            position.open_asks -= state.quantity
        state.canceled, state.ended, state.reason = state.quantity, "canceled", "parked"
        changes.orders[order.pk] = state
        _write_positions(locks.lock_market(command.market), changes)
        _write_orders(changes)
    command.outcome = "discarded"
    command.save(update_fields=["outcome"])
    audit.record(actor, "exchange.command.discarded", command, at=now, reason=reason)
    return command


def _parked(actor: User, command_id: int, reason: str) -> Command:
    require_permission(may_steer_markets(actor), "Only a market monitor may decide on a parked command.")
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the traders can read.")
    command = (
        Command.objects.select_for_update(of=("self",)).select_related("market", "order").filter(pk=command_id).first()
    )
    if command is None or not command.parked:
        raise Unknown("command_not_parked", "There is no such parked command. Reload the page.")
    require(not command.outcome, "command_discarded", "This command was discarded already.")
    return command


# One pass -----------------------------------------------------------------------------------------------------------


def _pass_or_park(market: Market, batch: int) -> _Pass:
    """Do one pass. If it breaks on the content of a command, find that command and park it."""
    while True:
        kept = _sessions.pop(market.pk, None)  # put back only once what it stands for has been committed
        try:
            done, version, session = _pass(market, batch, kept)
        except _Poisoned as poison:
            _park(market, poison.command_id, poison.why)
            return _Pass(parked=1)
        except (DataError, IntegrityError, InternalError) as error:
            if batch == 1:
                _park_first(market, error)
                return _Pass(parked=1)
            batch = max(1, batch // 8)  # the database does not say which command it cannot store: close in on it
            continue
        _sessions[market.pk] = version, session
        return done


@transaction.atomic(durable=True)
def _pass(market: Market, batch: int, kept: tuple[int, Session] | None) -> tuple[_Pass, int, Session]:
    market = locks.lock_market(market)
    commands, entered_at = _to_do(market, batch)
    if kept is not None and kept[0] == market.version:
        session = kept[1]
    else:
        session = Session(market.sequence, market.last_price, _resting(market))
    if not commands:
        return _NOTHING, market.version, session
    changes = Changes()
    for command in commands:
        try:
            session.run(command, changes)
        except Exception as error:
            log.exception("Command %s of %s broke the engine", command.command_id, market)
            raise _Poisoned(command.command_id, f"{type(error).__name__}: {error}") from error
    _write_positions(market, changes)
    _write_orders(changes)
    _write_trades(market, changes, entered_at)
    _write_commands(changes)
    Market.objects.filter(pk=market.pk).update(
        sequence=session.sequence, version=market.version + 1, last_price=session.last_price
    )
    return _Pass(len(commands), len(changes.trades)), market.version + 1, session


def _waiting(market: Market) -> QuerySet[Command]:
    return Command.objects.waiting().filter(market=market).order_by("pk")


def _to_do(market: Market, batch: int) -> tuple[list[engine.Command], list[datetime]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id, c.kind, c.phase, o.id, o.position_id, o.side, o.price, o.quantity, o.time_in_force,"
            "       c.entered_at"
            "  FROM exchange_command c LEFT JOIN exchange_order o ON o.id = c.order_id"
            " WHERE c.market_id = %s AND c.sequence IS NULL AND c.parked = '' ORDER BY c.id LIMIT %s",
            [market.pk, batch],
        )
        rows = cursor.fetchall()
    return [engine.Command(*row[:-1]) for row in rows], [row[-1] for row in rows]


def _resting(market: Market) -> Iterable[OrderState]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, position_id, side, price, quantity, filled, canceled, '', '', sequence FROM exchange_order"
            " WHERE market_id = %s AND status IN ('new', 'partially_filled')",
            [market.pk],
        )
        return [OrderState(*row) for row in cursor.fetchall()]


def _side(side: str) -> Side:
    return "buy" if side == "buy" else "sell"


@transaction.atomic(durable=True)
def _park(market: Market, command_id: int, why: str) -> None:
    Command.objects.filter(pk=command_id).update(parked=why[:500])
    audit.record(None, "exchange.command.parked", market, at=_entered_at(command_id), command=command_id, why=why[:500])


def _park_first(market: Market, error: Exception) -> None:
    (command_id,) = _waiting(market).values_list("pk", flat=True)[:1]
    log.error("Command %s of %s cannot be stored: %s", command_id, market, error)
    _park(market, command_id, f"{type(error).__name__}: {error}")


def _entered_at(command_id: int) -> datetime:
    return Command.objects.values_list("entered_at", flat=True).get(pk=command_id)


# Writing ------------------------------------------------------------------------------------------------------------


def _write_positions(market: Market, changes: Changes) -> None:
    """Lock the positions in id order, add the changes, and move the holds with them. Holds can only shrink here."""
    if not changes.positions:
        return
    unit = market.lot_tick_minor
    deltas = {
        owner: Figures(
            open_ask_lots=c.open_asks,
            open_bid_value=c.open_bids * unit,
            bought_lots=c.bought,
            bought_value=c.bought_value * unit,
            sold_lots=c.sold,
            sold_value=c.sold_value * unit,
        )
        for owner, c in changes.positions.items()
    }
    positions.lock(deltas)
    ledger.set_holds(
        ledger.HoldChange(hold, after)
        for position in positions.change(deltas)
        for hold, before, after in positions.hold_moves(market.lot, position, deltas[position.id])
        if after != before
    )


def _write_orders(changes: Changes) -> None:
    if not changes.orders:
        return
    rows = [(o.order_id, o.status, o.filled, o.canceled, o.reason, o.sequence or None) for o in changes.orders.values()]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE exchange_order o SET status = x.status, filled = x.filled, canceled = x.canceled,"
            " reason = x.reason, sequence = x.sequence"
            " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[])"
            " x(id, status, filled, canceled, reason, sequence) WHERE o.id = x.id",
            _columns(rows),
        )


def _write_trades(market: Market, changes: Changes, entered_at: Sequence[datetime]) -> None:
    """Write the trades, each at the instant when the command that made it was entered."""
    if not changes.trades:
        return
    first = changes.outcomes[0][1]
    instants = [entered_at[trade.sequence - first] for trade in changes.trades]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO exchange_trade (market_id, sequence, ordinal, price, lots, buy_order_id, sell_order_id,"
            "                            buyer_id, seller_id, taker, at)"
            " SELECT %s, x.* FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[],"
            " %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[]) x",
            [market.pk, *_columns(changes.trades), instants],
        )


def _write_commands(changes: Changes) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE exchange_command c SET sequence = x.sequence, outcome = x.outcome"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) x(id, sequence, outcome) WHERE c.id = x.id",
            _columns(changes.outcomes),
        )


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
