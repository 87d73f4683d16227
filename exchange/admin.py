"""The exchange in the admin: to look at, to open a market, and to decide on a command that broke the engine.

Phases are changed on the desk's page of a market; orders, trades and settlement move through services alone.
"""

from datetime import datetime
from typing import ClassVar

from django import forms
from django.contrib import admin

from accounts.looking import AdminAct, Answers, LookOnlyAdmin, LookOnlyInline
from accounts.models import User
from common.forms import ActForm, MoneyField, ReasonForm, WholeField
from exchange.models import (
    ClosingStep,
    Command,
    Market,
    Order,
    PeriodClosing,
    Position,
    SettlementBatch,
    SettlementNet,
    Trade,
)
from exchange.services import markets, matching
from registry.models import Period


class MarketForm(ActForm):
    """The terms of a market, which never change afterwards."""

    period = forms.ModelChoiceField(Period.objects.filter(status="open", market__isnull=True).select_related("scheme"))
    tick = MoneyField(help_text="Smallest step of a price, such as 0.01.")
    lot = WholeField(help_text="Permits in one lot.")
    collar_bps = WholeField(label="Collar", help_text="How far from the last price a limit may lie, in 1/100 %.")
    max_order_lots = WholeField(label="Largest order", help_text="In lots.")
    field_of: ClassVar = {"market_exists": "period", "period_not_open": "period"}


def _open(actor: User, row: None, answers: Answers, now: datetime) -> Market:
    return markets.open_market(
        actor=actor,
        period=answers["period"],
        tick_minor=answers["tick"],
        lot=answers["lot"],
        collar_bps=answers["collar_bps"],
        max_order_lots=answers["max_order_lots"],
        now=now,
    )


def _unpark(actor: User, row: Command, answers: Answers, now: datetime) -> Command:
    return matching.unpark(actor=actor, command_id=row.pk, reason=answers["reason"], now=now)


def _discard(actor: User, row: Command, answers: Answers, now: datetime) -> Command:
    return matching.discard_parked(actor=actor, command_id=row.pk, reason=answers["reason"], now=now)


def _is_parked(command: Command) -> bool:
    return bool(command.parked) and not command.outcome


@admin.register(Market)
class MarketAdmin(LookOnlyAdmin):
    """Markets, their phase and their place in the sequence."""

    list_display = ("code", "phase", "period", "tick_minor", "lot", "sequence", "last_price")
    list_filter = ("phase",)
    list_select_related = ("period__scheme",)
    acts = (AdminAct("open", "Open a market", _open, MarketForm, on_list=True),)


@admin.register(Order)
class OrderAdmin(LookOnlyAdmin):
    """Orders with what became of them."""

    list_display = ("public_id", "market", "organisation", "side", "price", "quantity", "filled", "canceled", "status")
    list_filter = ("market", "side", "status")
    list_select_related = ("market", "organisation")
    search_fields = ("public_id", "organisation__name")


@admin.register(Trade)
class TradeAdmin(LookOnlyAdmin):
    """The market's print."""

    list_display = ("at", "market", "sequence", "price", "lots", "taker", "batch")
    list_filter = ("market",)
    list_select_related = ("market", "batch__market")


@admin.register(Command)
class CommandAdmin(LookOnlyAdmin):
    """What the markets were told to do, and what came of it; a parked one waits for a person."""

    list_display = ("id", "market", "kind", "entered_at", "sequence", "outcome", "parked")
    list_filter = ("market", "kind")
    list_select_related = ("market",)
    acts = (
        AdminAct("unpark", "Put back in line", _unpark, ReasonForm, offered=_is_parked),
        AdminAct("discard", "Give it up", _discard, ReasonForm, offered=_is_parked),
    )


@admin.register(Position)
class PositionAdmin(LookOnlyAdmin):
    """What each account has open and unsettled."""

    list_display = ("organisation", "market", "open_ask_lots", "open_bid_value", "bought_lots", "sold_lots")
    list_filter = ("market",)
    list_select_related = ("organisation", "market")


class SettlementNetInline(LookOnlyInline):
    """What each account received or delivered."""

    model = SettlementNet
    fields = ("account", "asset", "net")


@admin.register(SettlementBatch)
class SettlementBatchAdmin(LookOnlyAdmin):
    """Settlements with their nets."""

    list_display = ("market", "number", "trade_count", "lots", "value_minor", "at")
    list_select_related = ("market",)
    inlines = (SettlementNetInline,)


class ClosingStepInline(LookOnlyInline):
    """The steps that were done."""

    model = ClosingStep
    fields = ("ordinal", "name", "done_at", "result")


@admin.register(PeriodClosing)
class PeriodClosingAdmin(LookOnlyAdmin):
    """How far each closing has come."""

    list_display = ("period", "started_at", "finished_at")
    list_select_related = ("period__scheme",)
    inlines = (ClosingStepInline,)
