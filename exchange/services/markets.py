"""Opening markets and steering their phases: continuous trading, call, halt, close."""

from datetime import datetime
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import Max

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import require, require_permission
from common.quantities import MAX_ENTRY
from exchange.models import PHASE, Command, Market, PeriodClosing
from exchange.permissions import may_open_markets, may_steer_markets
from exchange.services import locks, matching
from registry.ledger import services as ledger
from registry.models import Period
from registry.services import suspensions

_NUMBERING = 7103


@transaction.atomic(durable=True)
def open_market(
    *, actor: User, period: Period, tick_minor: int, lot: int, collar_bps: int, max_order_lots: int, now: datetime
) -> Market:
    """Make the market of a period's permits. It is closed until a market monitor lets trading begin."""
    require_permission(may_open_markets(actor), "Only an officer of the regulator may open a market.")
    period.refresh_from_db(fields=["status"])
    require(_is_tradable(period), "period_not_open", "A market needs an open compliance period that is not closing.")
    for unit in (tick_minor, lot, collar_bps, max_order_lots):
        require(1 <= unit <= 2**31 - 1, "market_unit_out_of_range", "Tick, lot, collar and size limit are at least 1.")
    require(
        tick_minor * lot <= MAX_ENTRY and lot * max_order_lots <= MAX_ENTRY,
        "market_unit_out_of_range",
        "One order of the largest size must stay within what the ledger can hold. Choose smaller units.",
    )
    _number_one_at_a_time()
    require(not Market.objects.filter(period=period).exists(), "market_exists", "This period has its market already.")
    market = Market.objects.create(
        number=(Market.objects.aggregate(last=Max("number"))["last"] or 0) + 1,
        code=period.code,
        period=period,
        tick_minor=tick_minor,
        lot=lot,
        collar_bps=collar_bps,
        max_order_lots=max_order_lots,
        clearing=ledger.open_account(
            kind="clearing", label=f"Settlement of {period.code}", reference=f"clearing:{period.code}", now=now
        ),
        opened_at=now,
    )
    audit.record(actor, "exchange.market.opened", market, at=now, tick=tick_minor, lot=lot, collar_bps=collar_bps)
    return market


@transaction.atomic(durable=True)
def change_phase(*, actor: User, market: Market, phase: str, reason: str, now: datetime) -> Market:
    """Halt, resume, call or close a market, with the reason that traders will read.

    Orders on their way in are waited for, so that each was entered in one phase or the other. What was entered before
    a halt is still done in its turn; nothing enters after it but cancels.
    """
    require_permission(may_steer_markets(actor), "Only a market monitor may change the phase of a market.")
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the traders can read.")
    locked = locks.change_phase(market)
    PHASE.require(locked.phase, phase)
    require(
        phase in {"halted", "closed"} or _is_tradable(locked.period),
        "period_not_open",
        "The compliance period is closing or closed, and its market stays shut.",
    )
    require(
        phase in {"halted", "closed"} or suspensions.may_trade(locked.period.scheme_id),
        "scheme_suspended",
        "A court has stopped this scheme and its trading. The market opens again when the scheme goes on.",
    )
    return move_phase(locked, phase, actor=actor, reason=reason, now=now)


def move_phase(market: Market, phase: str, *, actor: User | None, reason: str, now: datetime) -> Market:
    """Move a market, locked by `locks.change_phase`, to another phase. Part of other services.

    Continuous trading begins by uncrossing whatever a call has left crossed, at that place in the sequence.
    """
    assert_in_transaction()
    PHASE.require(market.phase, phase)
    if phase == "continuous" and Command.objects.filter(market=market).exists():
        matching.enter(market, Command.Kind.UNCROSS, key=uuid4(), actor=actor, now=now)
    before, market.phase = market.phase, phase
    market.save(update_fields=["phase"])
    audit.record(actor, f"exchange.market.{phase}", market, at=now, reason=reason, was=before)
    return market


def _is_tradable(period: Period) -> bool:
    return period.status == "open" and not PeriodClosing.objects.filter(period=period).exists()


def _number_one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NUMBERING])
