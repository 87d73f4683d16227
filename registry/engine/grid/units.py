"""Between decimals and the whole numbers that hourly figures are computed in. A digit that has no place is an error."""

from decimal import Decimal

from registry.engine.rounding import EXACT_DECIMALS, Exact, exact, half_up

GRAM_PLACES = 6
KWH_PLACES = 12


def micro_grams(g_per_kwh: Decimal) -> int:
    """Return an intensity in millionths of a gram per kWh."""
    return _whole(g_per_kwh, GRAM_PLACES)


def micro_grams_text(micro: int) -> Decimal:
    """Return an intensity in g per kWh again."""
    return EXACT_DECIMALS.scaleb(Decimal(micro), -GRAM_PLACES)


def pico_kwh(kwh: Decimal) -> int:
    """Return an energy in 10^-12 kWh."""
    return _whole(kwh, KWH_PLACES)


def rounded(value: Exact, places: int) -> Decimal:
    """Round a result half-up to the digits that are kept: once, at the end."""
    return EXACT_DECIMALS.scaleb(Decimal(half_up(exact(value) * 10**places)), -places)


def _whole(number: Decimal, places: int) -> int:
    scaled = EXACT_DECIMALS.scaleb(number, places)
    whole = int(scaled)
    assert whole == scaled, f"{number} has more than {places} places"
    return whole
