"""The exchange in the admin: only to look at. Orders, trades and settlement move through services."""

from django.contrib import admin

from accounts.looking import LookOnlyAdmin, LookOnlyInline
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


@admin.register(Market)
class MarketAdmin(LookOnlyAdmin):
    """Markets, their phase and their place in the sequence."""

    list_display = ("code", "phase", "period", "tick_minor", "lot", "sequence", "last_price")
    list_filter = ("phase",)
    list_select_related = ("period__scheme",)


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
