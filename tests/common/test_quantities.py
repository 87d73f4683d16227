"""The one parser of quantities: what it takes, and that everything else is refused with its code."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Refused
from common.quantities import MAX_ENTRY, format_money, parse_decimal, parse_money, parse_whole


@pytest.mark.parametrize(
    ("typed", "number"),
    [("1", 1), (" 2500 ", 2500), ("007", 7), (42, 42), (str(MAX_ENTRY), MAX_ENTRY)],
)
def test_whole_quantities_are_taken(typed: object, number: int) -> None:
    assert parse_whole(typed) == number


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "quantity_not_whole"),
        ("-1", "quantity_not_whole"),
        ("+1", "quantity_not_whole"),
        ("1.0", "quantity_not_whole"),
        ("1e3", "quantity_not_whole"),
        ("1,000", "quantity_not_whole"),
        ("1 000", "quantity_not_whole"),
        ("1_000", "quantity_not_whole"),
        ("٣", "quantity_not_whole"),
        ("²", "quantity_not_whole"),
        ("\uff11\uff12", "quantity_not_whole"),
        ("NaN", "quantity_not_whole"),
        ("0x10", "quantity_not_whole"),
        ("9" * 41, "quantity_not_whole"),
        (None, "quantity_not_whole"),
        (True, "quantity_not_whole"),
        (1.0, "quantity_not_whole"),
        (Decimal(1), "quantity_not_whole"),
        ("0", "quantity_out_of_range"),
        (-5, "quantity_out_of_range"),
        (MAX_ENTRY + 1, "quantity_out_of_range"),
    ],
)
def test_everything_else_is_refused_by_code(typed: object, code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_whole(typed)

    assert refused.value.code == code


@given(st.text(max_size=50))
def test_any_text_gives_its_number_or_a_refusal(text: str) -> None:
    try:
        number = parse_whole(text)
    except Refused:
        return

    assert text.strip(" \t\r\n").lstrip("0") == str(number)


@pytest.mark.parametrize(
    ("typed", "code"),
    [("1e5", "quantity_not_decimal"), (".5", "quantity_not_decimal"), ("5.", "quantity_not_decimal"),
     ("inf", "quantity_not_decimal"), ("-0.1", "quantity_not_decimal"), (0.1, "quantity_not_decimal"),
     ("1" + "0" * 37, "quantity_out_of_range")],
)  # fmt: skip
def test_decimals_are_exact_or_refused(typed: object, code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_decimal(typed)

    assert refused.value.code == code


def test_a_decimal_keeps_every_digit() -> None:
    digits = "1234567890123456789012345678901.12345678901234567890"

    assert str(parse_decimal(digits)) == digits


@pytest.mark.parametrize(("typed", "minor"), [("25.40", 2540), ("25.4", 2540), ("25", 2500), ("0.01", 1)])
def test_money_becomes_minor_units(typed: str, minor: int) -> None:
    assert parse_money(typed) == minor


@pytest.mark.parametrize(("typed", "code"), [("0.001", "money_too_precise"), ("0", "quantity_out_of_range")])
def test_money_is_never_rounded(typed: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_money(typed)

    assert refused.value.code == code


@pytest.mark.parametrize(("minor", "text"), [(254000, "2,540.00"), (5, "0.05"), (-123456, "-1,234.56"), (0, "0.00")])
def test_money_as_people_read_it(minor: int, text: str) -> None:
    assert format_money(minor) == text
