"""A page that shows every part a page is made of, for whoever builds pages and for the accessibility tests.

Not served in production.
"""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from common.charts import Chart, Series
from config.templatetags.look import TONE_OF

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class SampleForm(forms.Form):
    """One field of every kind."""

    price = forms.CharField(
        label="Limit price", help_text="At most two decimals.", widget=forms.TextInput(attrs={"inputmode": "decimal"})
    )
    quantity = forms.IntegerField(label="Quantity", help_text="Whole permits.", min_value=1)
    force = forms.ChoiceField(
        label="Time in force", choices=[("gtc", "Good till cancelled"), ("ioc", "Immediate or cancel")]
    )
    side = forms.ChoiceField(
        label="Side",
        help_text="What you want to do.",
        choices=[("buy", "Buy"), ("sell", "Sell")],
        widget=forms.RadioSelect,
    )
    note = forms.CharField(label="Note", required=False, widget=forms.Textarea(attrs={"rows": 3}))
    evidence = forms.FileField(label="Evidence", required=False, help_text="A CSV file of up to 2 MB.")
    understood = forms.BooleanField(label="I have checked the figures", help_text="They are final once submitted.")


def sample_charts() -> list[Chart]:
    """Return a price chart, a depth chart and one with nothing in it."""
    prices = [
        (
            NOON + timedelta(minutes=15 * step),
            [2500 + round(180 * math.sin(step / 9) + 3 * step), 40 + (step * 37) % 90],
        )
        for step in range(96)
    ]
    depth: list[tuple[int, list[int | None]]] = [(2300 + 10 * step, [1800 - 90 * step, None]) for step in range(20)]
    depth += [(2520 + 10 * step, [None, 90 + 85 * step]) for step in range(20)]
    return [
        Chart(
            key="sample-price",
            title="Price, EUR per permit",
            summary="Trade prices over one day rose from 25.00 to 27.50 EUR, with two swings.",
            x_label="Time (UTC)",
            series=[Series("Price", draw="stepped", kind="money")],
            rows=[(at, [price]) for at, (price, _) in prices],
        ),
        Chart(
            key="sample-depth",
            title="Depth, permits",
            summary="Bids reach 1,800 permits down to 23.00 EUR, asks 1,705 permits up to 27.10 EUR.",
            x_label="Price, EUR",
            series=[Series("Bids", line="bid", draw="stepped"), Series("Asks", line="ask", draw="stepped")],
            rows=depth,
            x_kind="money",
            from_zero=True,
        ),
        Chart(
            key="sample-volume",
            title="Traded, permits per quarter of an hour",
            summary="Between 40 and 129 permits changed hands in each quarter of an hour.",
            x_label="Time (UTC)",
            series=[Series("Traded", line="3", draw="bars")],
            rows=[(at, [volume]) for at, (_, volume) in prices],
            from_zero=True,
        ),
        Chart(
            key="sample-empty",
            title="Clearing price",
            summary="No auction has been held in this period.",
            x_label="Auction",
            series=[Series("Price", kind="money")],
            rows=[],
        ),
    ]


@login_not_required
def styleguide(request: HttpRequest) -> HttpResponse:
    """Show every part once, the form both empty and with errors."""
    messages.success(request, "Order 10482 was accepted.")
    messages.info(request, "The market is in its call phase until 14:30 UTC.")
    messages.warning(request, "Your obligation is due in 9 days and not yet covered.")
    messages.error(request, "The report was not stored: 3 rows have errors.")
    context = {
        "empty_form": SampleForm(auto_id="empty_%s"),
        "wrong_form": SampleForm({"price": "25.123", "quantity": "-4"}, auto_id="wrong_%s"),
        "charts": sample_charts(),
        "page_obj": Paginator(range(1284), 25).page(3),
        "statuses": sorted(TONE_OF),
        "now": NOON,
        "nav": [
            ("Overview", "#overview", False),
            ("Market", "#market", True),
            ("Holdings", "#holdings", False),
            ("Reports", "#reports", False),
            ("Compliance", "#compliance", False),
        ],
        "organisation": "Northwind Compute",
        "organisation_choices": [("Northwind Compute", "n", True), ("Lakeside AI Lab", "l", False)],
        "organisation_switch_url": "#",
        "rows": [
            ("Issued under cap", 48_250_000, Decimal("2.15e24")),
            ("Free allocation", 31_004_120, Decimal("1.38e24")),
            ("Auctioned", 12_245_880, Decimal("5.46e23")),
            ("Surrendered", -4_999_998, Decimal("812000")),
        ],
        "trades": [("10:42:17", "Buy", 2614, 1200), ("10:41:55", "Sell", 2612, 40), ("10:40:02", "Buy", 2615, 15_000)],
    }
    return render(request, "styleguide.html", context)
