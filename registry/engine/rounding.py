"""The rounding rules R1 to R8: the only places where a legal figure may lose a fraction.

Rounding is law. Two published series of real schemes reproduce only with the right rule, so every rule has a name,
one function, and its published evidence as a table in the tests. Nothing here accepts a binary float.

| rule | function | what it does |
|---|---|---|
| R1 | `exact`, `exact_sum`, `exact_decimal`, `exact_text` | exact rationals and decimals; to round is an error |
| R2 | `floor_permits` | an allocation to one firm: floor to whole permits, the remainder is reported |
| R3 | `share_pool` | a fixed pool among claims: floor each, then one more by largest remainder |
| R4 | `reserve_flow` | reserve flows: half-up to the whole permit |
| R5 | `price_path` | price paths: half-up to the cent every year, then compound from the rounded price |
| R6 | `obligation_permits` | an obligation: the verified total over the permit size, half-up once per firm-year |
| R7 | `floor_limit`, `floor_to_lot` | limits and auction quantities: floor |
| R8 | `cash_sanction_minor` | a cash sanction: whole shortfall times the rate, half-up to the cent |
| - | `coefficient` | benchmarks and factors that are published: half-up to three decimals |
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, Underflow
from fractions import Fraction
from math import lcm
from typing import TypeAlias

Exact: TypeAlias = int | Decimal | Fraction
"""A number that means exactly what it says (rule R1)."""

EXACT_DECIMALS = Context(
    prec=200,
    traps=[Clamped, DivisionByZero, Inexact, InvalidOperation, Overflow, Underflow],
)
"""Decimal arithmetic that either has every digit or raises: far wider than the 40 digits R1 asks for, never rounded."""


def exact(value: Exact | str) -> Fraction:
    """Return the value as an exact rational (R1). Binary floats, NaN and infinities are programming mistakes."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | Fraction | str):
        raise TypeError(f"{value!r} is no exact number: pass an int, a Decimal, a Fraction or text")
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"{value} is no number")
    return Fraction(value)


def exact_sum(values: Iterable[Exact]) -> Fraction:
    """Return the sum as an exact rational (R1), for thousands of values whose denominators have nothing in common."""
    parts, denominator = _over_one_denominator(values)
    return Fraction(sum(parts), denominator)


def exact_decimal(value: Exact) -> Decimal:
    """Return the value as a decimal with every digit (R1); raise decimal.Inexact where that takes endless digits."""
    fraction = exact(value)
    numerator, denominator = Decimal(fraction.numerator), Decimal(fraction.denominator)
    return EXACT_DECIMALS.divide(numerator, denominator)


def exact_text(value: Exact) -> str:
    """Write the value in its one canonical form: 1.1, 1000 or, where no decimal is exact, 7/3 (R1).

    Equal values always give equal text, so published inputs can be hashed.
    """
    fraction = exact(value)
    try:
        text = f"{exact_decimal(fraction):f}"
    except Inexact:
        numerator, denominator = Decimal(fraction.numerator), Decimal(fraction.denominator)
        return f"{numerator:f}/{denominator:f}"  # an int of more than 4,300 digits will not become text by itself
    return text.rstrip("0").rstrip(".") if "." in text else text


def _over_one_denominator(values: Iterable[Exact]) -> tuple[list[int], int]:
    """Write exact values as whole numbers over one denominator: their sums and orders are then those of integers."""
    fractions = [exact(value) for value in values]
    common = lcm(*(fraction.denominator for fraction in fractions))
    return [fraction.numerator * (common // fraction.denominator) for fraction in fractions], common


def half_up(value: Exact) -> int:
    """Round a quantity that cannot be negative to the nearest whole number, a half upwards."""
    fraction = exact(value)
    assert fraction >= 0, "legal flows, obligations and sanctions are never negative"
    return (2 * fraction.numerator + fraction.denominator) // (2 * fraction.denominator)


@dataclass(frozen=True)
class WholePermits:
    """A claim cut to whole permits, with what the cut left over."""

    permits: int
    remainder: Fraction


def floor_permits(claim: Exact) -> WholePermits:
    """Give one firm the whole permits in its claim and report the rest (R2)."""
    fraction = exact(claim)
    assert fraction >= 0, "a claim to permits is never negative"
    permits = fraction.numerator // fraction.denominator
    return WholePermits(permits, fraction - permits)


def share_pool(pool: int, claims: Mapping[str, Exact]) -> dict[str, int]:
    """Share a fixed pool in proportion to the claims, so that the shares sum to the pool exactly (R3).

    Each claimant gets the floor of its share; what is left goes out one by one by largest remainder, ties to the
    lowest key. A claimant without a claim gets nothing.
    """
    parts, _ = _over_one_denominator(claims.values())
    total = sum(parts)
    assert pool >= 0
    assert total > 0, "a pool needs somebody with a claim to it"
    assert all(part >= 0 for part in parts), "a claim is never negative"
    shares, remainders = {}, {}
    for key, part in zip(claims, parts, strict=True):
        shares[key], remainders[key] = divmod(part * pool, total)
    by_remainder = sorted(claims, key=lambda key: (-remainders[key], key))
    for key in by_remainder[: pool - sum(shares.values())]:
        shares[key] += 1
    return shares


def reserve_flow(quantity: Exact) -> int:
    """Round the flow into or out of a reserve, half-up to the whole permit (R4)."""
    return half_up(quantity)


def price_path(start: Decimal, yearly_rate: Decimal, years: int, places: int = 2) -> tuple[Decimal, ...]:
    """Return the price of the first year and of each of the following years (R5).

    Half-up to the cent every year, then compounded from the rounded price: compounding the unrounded price gives
    57.54 instead of the published 57.53 for the second tier of RGGI in 2037.
    """
    cents = 10**places
    prices = [half_up(exact(start) * cents)]
    for _ in range(years):
        prices.append(half_up(prices[-1] * (1 + exact(yearly_rate))))
    return tuple(EXACT_DECIMALS.scaleb(Decimal(price), -places) for price in prices)


def obligation_permits(verified_total: Exact, permit_size: Exact) -> int:
    """Return the permits owed for one firm-year (R6).

    Both figures are in the base unit of the scheme (FLOP, or t CO2e). Call it once with the total of the year, never
    per report line: half-up on every line would let a firm split its report until nothing is owed.
    """
    assert exact(permit_size) > 0
    return half_up(exact(verified_total) / exact(permit_size))


def floor_limit(limit: Exact) -> int:
    """Cut an offset, holding, purchase or banking limit, or a share of the cap, to whole permits (R7)."""
    return floor_permits(limit).permits


def floor_to_lot(quantity: Exact, lot: int) -> int:
    """Cut an auction quantity to whole lots (R7)."""
    assert lot > 0
    return floor_limit(exact(quantity) / lot) * lot


def cash_sanction_minor(shortfall_permits: int, rate_minor: Exact) -> int:
    """Return the cash sanction in minor units of money: shortfall times the rate per permit, half-up (R8).

    The rate is in minor units too and may carry a fraction, because indexed rates do.
    """
    return half_up(shortfall_permits * exact(rate_minor))


def coefficient(value: Exact, places: int = 3) -> Decimal:
    """Round a published benchmark or factor, half-up to three decimals unless the law says otherwise.

    The cap adjustment factors of 17 CCR 95891 have three decimals (320.8 / 392.7 = 0.817 for 2021), and so have the
    European benchmark values.
    """
    return EXACT_DECIMALS.scaleb(Decimal(half_up(exact(value) * 10**places)), -places)
