"""Forms of the exchange: the order ticket and the market monitor's acts."""

from collections.abc import Callable
from typing import ClassVar

from django import forms
from django.core.exceptions import ValidationError

from common.errors import Refused
from common.forms import ActForm, MoneyField, WholeField
from common.quantities import format_money
from exchange.models import PHASE, Market, Order
from exchange.services.orders import COLLAR_MINIMUM_TICKS


class TicketForm(ActForm):
    """An order as a trader writes it: a price in money per permit and a quantity in permits."""

    side = forms.ChoiceField(label="Side", choices=Order.Side.choices, initial="buy", widget=forms.RadioSelect)
    quantity = WholeField(label="Quantity")
    price = MoneyField(label="Limit price")
    time_in_force = forms.ChoiceField(
        label="Time in force",
        choices=[("gtc", "Good till cancelled"), ("ioc", "Immediate or cancel")],
        help_text="What cannot trade at once waits in the book, or is cancelled.",
    )
    field_of: ClassVar = {
        "quantity_not_positive": "quantity",
        "quantity_off_lot": "quantity",
        "quantity_too_large": "quantity",
        "quantity_out_of_range": "quantity",
        "insufficient_available": "quantity",
        "price_not_positive": "price",
        "price_off_tick": "price",
        "price_too_high": "price",
        "price_outside_collar": "price",
        "time_in_force_not_in_call": "time_in_force",
    }

    def __init__(self, *args: object, market: Market, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.market = market
        self.fields["price"].help_text = f"Per permit, in steps of {format_money(market.tick_minor)}{_collar(market)}."
        self.fields["quantity"].help_text = f"In lots of {market.lot:,}." if market.lot > 1 else "Whole permits."

    def clean_price(self) -> int:
        """Return the price in ticks."""
        return _on_grid(self.cleaned_data["price"], self.market.ticks)

    def clean_quantity(self) -> int:
        """Return the quantity in lots."""
        return _on_grid(self.cleaned_data["quantity"], self.market.lots)


def _collar(market: Market) -> str:
    """Say between which prices an order may lie now, once there is a last price to measure from."""
    if market.last_price is None:
        return ""
    width = max(COLLAR_MINIMUM_TICKS, market.last_price * market.collar_bps // 10_000)
    low, high = max(1, market.last_price - width), market.last_price + width
    return f", now from {format_money(market.price_minor(low))} to {format_money(market.price_minor(high))}"


def _on_grid(typed: int, in_units: Callable[[int], int]) -> int:
    """Return a typed figure in the market's own units, or show why it does not lie on its grid."""
    try:
        return in_units(typed)
    except Refused as refusal:
        raise ValidationError(refusal.sentence, code=refusal.code) from refusal


class PhaseForm(ActForm):
    """The phase a market shall move to, and why."""

    phase = forms.ChoiceField(label="Move to")
    reason = forms.CharField(
        label="Reason", max_length=300, help_text="Traders read it.", widget=forms.Textarea(attrs={"rows": 2})
    )
    field_of: ClassVar = {"reason_missing": "reason", "period_not_open": "phase"}

    def __init__(self, *args: object, market: Market, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.fields["phase"].choices = [  # type: ignore[attr-defined]
            ("", "Choose a phase"),  # none is chosen by itself: one click too many must not close a market
            *((phase, PHASE_ACTS[phase]) for phase in PHASE.states if PHASE.allows(market.phase, phase)),
        ]


PHASE_ACTS = {
    "continuous": "Continuous trading",
    "call": "Call: collect orders for an auction",
    "halted": "Halt",
    "closed": "Close",
}
"""What each phase means to the person who chooses it."""
