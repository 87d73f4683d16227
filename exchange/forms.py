"""Forms of the exchange: the order ticket, the market monitor's acts, and the regulator's calendar."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from common.errors import Refused
from common.forms import ActForm, DayField, MoneyField, ReasonForm, WholeField
from common.quantities import format_money
from exchange.models import PHASE, Market, Order
from exchange.services.orders import COLLAR_MINIMUM_TICKS
from registry.models import Period
from registry.services.outages import DEADLINES


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


# The calendar ---------------------------------------------------------------------------------------------------------


class InstantField(forms.Field):
    """An instant in UTC, picked or typed as 2027-09-30T20:40."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}))
        super().__init__(**options)

    def to_python(self, value: Any) -> datetime | None:
        """Read it as UTC, or say what an instant looks like."""
        if value in self.empty_values:
            return None
        try:
            instant = datetime.fromisoformat(str(value).strip())
        except ValueError as error:
            raise ValidationError("Enter an instant such as 2027-09-30T20:40.", code="not_an_instant") from error
        if not 1900 <= instant.year <= 2200:
            raise ValidationError("Enter an instant of the years 1900 to 2200.", code="instant_out_of_range")
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


class OutageForm(ReasonForm):
    """A time in which the registry took no receipts."""

    began_at = InstantField(label="Began (UTC)")
    ended_at = InstantField(label="Ended (UTC)", help_text="While it still goes on, enter the present time.")
    field_order = ("began_at", "ended_at", "reason")
    field_of: ClassVar = {
        "reason_missing": "reason",
        "outage_out_of_order": "ended_at",
        "outage_in_future": "ended_at",
        "outage_too_long": "began_at",
    }


class SuspensionForm(ReasonForm):
    """The order of a court that stops a scheme."""

    reason = forms.CharField(
        label="Court and order",
        max_length=500,
        help_text="The public reads it.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    trading = forms.BooleanField(label="Trading goes on", required=False, initial=True)


class ExtensionForm(ReasonForm):
    """A deadline that moves later."""

    period = forms.ModelChoiceField(label="Period", queryset=Period.objects.none(), empty_label=None)
    deadline = forms.ChoiceField(label="Deadline for", choices=list(DEADLINES.items()))
    last_day = DayField(label="New last day")
    field_order = ("period", "deadline", "last_day", "reason")
    field_of: ClassVar = {
        "reason_missing": "reason",
        "deadline_not_later": "last_day",
        "report_due_too_late": "last_day",
        "letters_recorded": "period",
    }

    def __init__(self, *args: object, periods: QuerySet[Period], **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.fields["period"].queryset = periods  # type: ignore[attr-defined]


class PeriodForm(ActForm):
    """A new period and its days, filled in from the rules."""

    DATES: ClassVar = ("year", "starts_on", "ends_on", "report_due_on", "surrender_due_on")
    year = WholeField(label="Year of use", help_text="Also the vintage of its permits.")
    starts_on = DayField(label="First day of use")
    ends_on = DayField(label="Last day of use")
    report_due_on = DayField(label="Verified reports: last day in time")
    surrender_due_on = DayField(label="Permits: last day in time")
    field_of: ClassVar = {
        "year_out_of_range": "year",
        "period_exists": "year",
        "year_outside_period": "year",
        "period_out_of_order": "year",
        "period_ends_before_it_starts": "ends_on",
        "period_too_long": "ends_on",
        "period_overlaps": "starts_on",
        "report_due_too_early": "report_due_on",
        "surrender_due_too_early": "surrender_due_on",
    }
