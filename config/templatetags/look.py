"""How values look on a page: whole numbers, money, FLOP, statuses, icons, and Django's form controls in our clothes."""

from decimal import Decimal

from django import template
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, NumberInput, RadioSelect, Select, Widget
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common.quantities import format_money

register = template.Library()

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"

# The tone of every status word of the product. A word that is missing here is shown in the neutral tone.
TONES = {
    "positive": "active open executed approved verified accepted filled settled met surrendered completed published a",
    "caution": "proposed waiting pending submitted returned partially_filled halted suspended estimated late b c",
    "negative": "rejected failed refused frozen closed_short shortfall breached overdue excluded",
    "notice": "new draft running continuous call",
}
TONE_OF = {word: tone for tone, words in TONES.items() for word in words.split()}


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
def tone(status: object) -> str:
    """Return the tone of a status word: positive, caution, negative, notice or neutral."""
    return TONE_OF.get(str(status).lower(), "neutral")


@register.filter
def worded(status: object) -> str:
    """Write a status code for people: partially_filled becomes Partially filled."""
    text = str(status).replace("_", " ")
    return text[:1].upper() + text[1:]


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
def is_choice_list(field: BoundField) -> bool:
    """Say whether a field is drawn as several radio buttons or check boxes, which need a legend instead of a label."""
    return isinstance(field.field.widget, RadioSelect | CheckboxSelectMultiple)


@register.filter
def is_tick(field: BoundField) -> bool:
    """Say whether a field is one check box, whose label stands after it."""
    return isinstance(field.field.widget, CheckboxInput)
