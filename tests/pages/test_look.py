"""How values are written on pages: numbers, money, FLOP, statuses and form controls."""

from decimal import Decimal

import pytest
from django import forms

from common.charts import Chart, Series
from config.templatetags import look
from config.templatetags.look import DASH, MINUS


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0"), (1204880, "1,204,880"), (-1500, f"{MINUS}1,500"), (Decimal("1234.50"), "1,234.50"), (None, DASH)],
)
def test_numbers_are_grouped_by_thousands(value: int | Decimal | None, written: str) -> None:
    assert look.grouped(value) == written


@pytest.mark.parametrize(("value", "written"), [(12, "+12"), (0, "0"), (-12, f"{MINUS}12"), (None, DASH)])
def test_changes_carry_their_sign(value: int | None, written: str) -> None:
    assert look.signed(value) == written


@pytest.mark.parametrize(
    ("minor", "currency", "written"),
    [
        (0, "", "0.00"),
        (1234567, "", "12,345.67"),
        (-5, "", f"{MINUS}0.05"),
        (120050, "EUR", "EUR\xa01,200.50"),
        (None, "EUR", DASH),
    ],
)
def test_money_is_written_with_two_places(minor: int | None, currency: str, written: str) -> None:
    assert look.money(minor, currency) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("2.1493e24"), "2.15\xa0\N{MULTIPLICATION SIGN}\xa010<sup>24</sup>"),
        (10**18, "1.00\xa0\N{MULTIPLICATION SIGN}\xa010<sup>18</sup>"),
        (999_999, "999,999"),
        (None, DASH),
    ],
)
def test_flop_are_written_as_in_papers(value: int | Decimal | None, written: str) -> None:
    assert look.flop(value) == written


@pytest.mark.parametrize(
    ("status", "tone", "words"),
    [
        ("partially_filled", "caution", "Partially filled"),
        ("filled", "positive", "Filled"),
        ("rejected", "negative", "Rejected"),
        ("A", "positive", "A"),
        ("B", "negative", "B"),
        ("canceled", "neutral", "Canceled"),
        ("NOT_APPLICABLE", "neutral", "Not applicable"),
    ],
)
def test_statuses_have_words_and_a_tone(status: str, tone: str, words: str) -> None:
    assert (look.tone(status), look.worded(status)) == (tone, words)


def test_no_status_has_two_tones() -> None:
    words = [word for group in look.TONES.values() for word in group.split()]

    assert len(words) == len(set(words))


class SurrenderForm(forms.Form):
    """A form with a hint, for the controls below."""

    quantity = forms.IntegerField(
        min_value=1, help_text="Whole permits.", widget=forms.NumberInput(attrs={"placeholder": "5"})
    )
    scheme = forms.ChoiceField(choices=[("flop", "FLOP")])


def test_controls_are_dressed_and_described() -> None:
    form = SurrenderForm({"quantity": "0", "scheme": "flop"})

    quantity, scheme = look.control(form["quantity"]), look.control(form["scheme"])

    assert 'class="form-control"' in quantity
    assert 'aria-describedby="id_quantity_helptext id_quantity_error"' in quantity
    assert "placeholder" not in quantity
    assert 'class="form-select"' in scheme


def test_chart_gives_money_to_the_script_in_whole_units_and_to_people_in_words() -> None:
    chart = Chart(
        key="depth",
        title="Depth",
        summary="One bid.",
        x_label="Price",
        x_kind="money",
        series=[Series("Bids", line="bid"), Series("Value", kind="money")],
        rows=[(2614, [1200, None])],
    )

    [(head, [bids, value])] = chart.lines()

    assert (head.plain, head.worded) == ("26.14", "26.14")
    assert (bids.plain, bids.worded) == ("1200", "1,200")
    assert (value.plain, value.worded) == ("", DASH)
