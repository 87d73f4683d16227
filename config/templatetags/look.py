"""How values look on a page: whole numbers, money, FLOP, statuses, icons, and Django's form controls in our clothes."""

from datetime import datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction

from django import template
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, NumberInput, RadioSelect, Select, Widget
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common.quantities import format_money

register = template.Library()

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"

# The tone of status words, of orders, reports, approvals, accounts, markets and compliance alike.
# What has simply ended (canceled, expired, closed, superseded ...) stays neutral.
TONES = {
    "positive": "active open continuous executed approved verified filled captured paid completed met positive "
    "accepted cured upheld done published attested green a",
    "caution": "proposed waiting submitted partially_filled pending_new halted suspended closing determined due "
    "pending overdue late positive_with_comments restricted receive_only transfer_pending closure_pending requested "
    "received delayed awaiting_receiver in_appeal unclaimed held c",
    "negative": "rejected refused failed frozen returned breached reversed negative b",
    "notice": "new draft call running claimed planned",
}
TONE_OF = {word: tone for tone, words in TONES.items() for word in words.split()}

METHODS = {
    "AI_ALLOWANCE": "AI allowance",
    "PRODUCT_BENCHMARK": "Product benchmark",
    "GRANDFATHERING": "Grandfathering",
    "SET_ASIDE": "Academic set-aside",
    "COMBINED": "Several methods",
}
"""What the methods of an allocation line are called."""


@register.filter
def finding_tone(status: str) -> str:
    """Return the tone of a verifier's finding: an open one is no good news, unlike an open market."""
    return {"open": "caution", "answered": "notice", "closed": "positive"}[status]


@register.filter
def grouped(value: int | Decimal | None) -> str:
    """Write a number with a comma between thousands, a true minus sign, and a dash for nothing."""
    if value is None:
        return DASH
    return f"{value:,}".replace("-", MINUS)


@register.filter
def signed(value: int | Decimal | None) -> str:
    """Write a number like `grouped`, with its sign even when it is positive."""
    return f"+{grouped(value)}" if value is not None and value > 0 else grouped(value)


@register.filter
def money(minor: int | None, currency: str = "") -> str:
    """Write minor units as an amount with two decimals, after its currency if one is given: 12,345.67."""
    if minor is None:
        return DASH
    amount = format_money(minor).replace("-", MINUS)
    return f"{currency}\N{NO-BREAK SPACE}{amount}" if currency else amount


@register.filter
def flop(value: int | Decimal | None) -> str:
    """Write FLOP the way papers do, with three figures and a raised exponent; below a million, in full."""
    if value is None:
        return DASH
    number = Decimal(value)
    if abs(number) < 1_000_000:
        return grouped(int(number))
    mantissa, exponent = f"{number:.2e}".split("e")
    return format_html(
        "{}\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}10<sup>{}</sup>",
        mantissa.replace("-", MINUS),
        int(exponent),
    )


@register.filter
def exact(value: int | Decimal | None) -> str:
    """Write every digit of a measurement, grouped, without the zeros that only fill up its places."""
    if value is None:
        return DASH
    whole, _, places = f"{value:,f}".partition(".")
    places = places.rstrip("0")
    return (f"{whole}.{places}" if places else whole).replace("-", MINUS)


@register.filter
def difference(claimed: Decimal | None, recomputed: Decimal | None) -> str:
    """Write by how much a claimed figure differs from ours, in per cent of ours."""
    if claimed is None or recomputed is None:
        return DASH
    if claimed == recomputed:
        return "none"
    if not recomputed:
        return "not in ours"
    percent = (claimed - recomputed) * 100 / recomputed
    return f"{percent:+,.1f}\N{NO-BREAK SPACE}%".replace("-", MINUS)


@register.filter
def percent(share: float) -> str:
    """Write a share of one as per cent with one decimal."""
    return f"{share * 100:.1f}\N{NO-BREAK SPACE}%"


@register.filter
def percent_fine(share: float) -> str:
    """Write a share of one as per cent with two decimals and a true minus sign."""
    return f"{float(share) * 100:,.2f}\N{NO-BREAK SPACE}%".replace("-", MINUS)


@register.filter
def part_of(value: Decimal, whole: Decimal) -> str:
    """Write one figure as a part of another, in per cent with two decimals."""
    return percent_fine(float(value / whole)) if whole else DASH


@register.filter
def kilograms(grams: Decimal | None) -> str:
    """Write grams as kilograms, to the gram."""
    return DASH if grams is None else f"{grams / 1000:,.3f}".replace("-", MINUS)


@register.filter
def watt_hours(kwh: Decimal) -> str:
    """Write an energy in kWh as Wh, with every digit."""
    return exact(kwh * 1000)


@register.filter
def figure(value: float) -> str:
    """Write an estimated figure with four digits that count, without an exponent."""
    digits = Decimal(f"{value:.4g}")
    return f"{digits.normalize():,f}".replace("-", MINUS)


@register.filter
def sized(value: int | float | Decimal | Fraction | str) -> str:
    """Write a figure of any size: in full up to fifteen digits, else six digits that count; words as they are."""
    if isinstance(value, str):
        return value
    fraction = Fraction(value)
    number = _SHOWN.divide(Decimal(fraction.numerator), Decimal(fraction.denominator))
    if number and not Decimal("0.0001") <= abs(number) < 10**15:
        mantissa, _, exponent = f"{_ROUGHLY.plus(number):e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return format_html(
            "{}\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}10<sup>{}</sup>",
            mantissa.replace("-", MINUS),
            int(exponent),
        )
    if len(number.normalize().as_tuple().digits) > 15:
        number = _ROUGHLY.plus(number) if abs(number) < 1000 else round(number, 2)
    return exact(number)


_SHOWN, _ROUGHLY = Context(prec=40), Context(prec=6)


@register.filter
def hundredths(share: float) -> str:
    """Write a share of one as a plain number from 0 to 100, for the length of a bar."""
    return f"{share * 100:.2f}"


@register.filter
def method_name(method: str) -> str:
    """Write an allocation method for people."""
    return METHODS.get(method, worded(method.lower()))


@register.filter
def countdown(at: datetime, present: datetime) -> str:
    """Write how far away a moment is: in 9 days, in 3 hours, 2 days ago."""
    distance = abs(at - present)
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        count = distance // length
        if count >= (2 if unit != "minute" else 1):
            words = f"{count:,} {unit}{'' if count == 1 else 's'}"
            break
    else:
        words = "a minute"
    return f"in {words}" if at > present else f"{words} ago"


@register.filter
def letter(status: str) -> str:
    """Write a compliance status for people: a letter stays one, the others become words."""
    return status if len(status) == 1 else worded(status.lower())


@register.filter
def tone(status: object) -> str:
    """Return the tone of a status word: positive, caution, negative, notice or neutral."""
    return TONE_OF.get(str(status).lower(), "neutral")


@register.filter
def worded(status: object) -> str:
    """Write a status code for people: partially_filled becomes Partially filled. A single letter stays as it is."""
    text = str(status).replace("_", " ")
    return text.lower().capitalize() if text.isupper() and len(text) > 1 else text[:1].upper() + text[1:]


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw one symbol of static/vendor/icons/sprite.svg beside a text that says the same."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("vendor/icons/sprite.svg"),
        name,
    )


def control_class(widget: Widget) -> str:
    """Return the Bootstrap class of a form control that is one box."""
    if isinstance(widget, CheckboxInput):
        return ""  # the browser's own box follows the theme and is known to everybody
    return "form-select" if isinstance(widget, Select) else "form-control"


@register.simple_tag
def control(field: BoundField) -> SafeString:
    """Draw a field's widget; Django itself adds aria-describedby and aria-invalid."""
    widget = field.field.widget
    attributes: dict[str, str | bool] = {"class": f"{control_class(widget)} {widget.attrs.get('class', '')}".strip()}
    attributes["placeholder"] = False  # a label says it, and stays when one types
    if isinstance(widget, NumberInput) or widget.attrs.get("inputmode") in {"numeric", "decimal"}:
        attributes["data-figures"] = ""
    return field.as_widget(attrs=attributes)


@register.filter
def is_whole(value: object) -> bool:
    """Say whether a cell is a whole number, which stands to the right under its head."""
    return isinstance(value, int) and not isinstance(value, bool)


@register.filter
def is_whole_at(row: list[object], place: int) -> bool:
    """Say the same of one cell of a row, for the head above it."""
    return is_whole(row[place])


@register.filter
def is_choice_list(field: BoundField) -> bool:
    """Say whether a field is drawn as several radio buttons or check boxes, which need a legend instead of a label."""
    return isinstance(field.field.widget, RadioSelect | CheckboxSelectMultiple)


@register.filter
def is_tick(field: BoundField) -> bool:
    """Say whether a field is one check box, whose label stands after it."""
    return isinstance(field.field.widget, CheckboxInput)
