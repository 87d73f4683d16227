"""One parser for every quantity a person or program types, so that the same bad input gets the same refusal everywhere.

Forms, REST, CSV files, the admin and commands all call these functions. Only ASCII digits count: other digits, signs,
exponents, thousands separators and surrounding spaces inside the number are refused, never guessed at.
"""

import re
from decimal import Decimal

from common.errors import refuse, require

MAX_ENTRY = 10**15
"""The largest single permit or money entry: below 2**53, so that JavaScript and binary float readers stay exact."""

MAX_FLOP = 10**36
"""Reported FLOP stay below this bound, in forms and in the database's CHECK."""

_WHOLE = re.compile(r"[0-9]{1,40}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,40}(\.[0-9]{1,20})?", re.ASCII)


def parse_whole(text: object, *, minimum: int = 1, maximum: int = MAX_ENTRY) -> int:
    """Return a whole number between the bounds, both included; refuse anything else.

    Accepts an int (but not a bool) or a string of ASCII digits, with spaces around it forgiven.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        number = text
    elif isinstance(text, str) and _WHOLE.fullmatch(text.strip(" \t\r\n")):
        number = int(text)
    else:
        refuse("quantity_not_whole", "Enter a whole number with the digits 0 to 9 only, for example 2500.")
    require(
        minimum <= number <= maximum,
        "quantity_out_of_range",
        f"Enter a whole number from {minimum:,} to {maximum:,}, written without separators.",
    )
    return number


def parse_decimal(text: object, *, minimum: Decimal = Decimal(0), maximum: Decimal = Decimal(MAX_FLOP)) -> Decimal:
    """Return an exact decimal between the bounds, both included; refuse exponents, NaN, infinities and signs."""
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not (isinstance(text, str) and _DECIMAL.fullmatch(text.strip(" \t\r\n"))):
        refuse("quantity_not_decimal", "Enter a number with digits and at most one point, for example 12.5.")
    number = Decimal(text.strip(" \t\r\n"))
    require(
        minimum <= number <= maximum,
        "quantity_out_of_range",
        f"Enter a number from {minimum:f} to {maximum:f}.",
    )
    return number


def parse_money(text: object, *, minimum: int = 1, maximum: int = MAX_ENTRY) -> int:
    """Return an amount of money such as "25.40" in minor units (2540); at most two places, never rounded."""
    amount = parse_decimal(text)
    minor = amount * 100
    require(minor == int(minor), "money_too_precise", "Enter an amount with at most two places after the point.")
    return parse_whole(int(minor), minimum=minimum, maximum=maximum)


def format_money(minor: int) -> str:
    """Write minor units as a person reads them: 254000 becomes 2,540.00."""
    sign, minor = ("-", -minor) if minor < 0 else ("", minor)
    return f"{sign}{minor // 100:,}.{minor % 100:02d}"
