"""Forms of the desk for allocations by the rules, the reserve and sales."""

from decimal import Decimal, InvalidOperation
from typing import ClassVar

from django import forms
from django.core.exceptions import ValidationError

from common.errors import Refused
from common.forms import ActForm, WholeField
from common.quantities import parse_whole
from registry.importers.allocation_table import LIMITS
from registry.services.sales import Bid


class TableForm(ActForm):
    """A table of verified figures."""

    table = forms.FileField(
        label="Table of figures",
        help_text="CSV or XLSX after the template. All rows are taken, or none; every error is named.",
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx,text/csv"}),
    )

    def clean_table(self) -> tuple[str, bytes]:
        """Return the file's name and bytes, as long as it may be."""
        sent = self.cleaned_data["table"]
        if sent.size > LIMITS.max_bytes:
            raise ValidationError("The file is too large: send it in parts.", code="file_too_large")
        return sent.name, sent.read()


class SaleForm(ActForm):
    """A sale by sealed bids."""

    offered = WholeField(label="Permits offered")
    bids = forms.CharField(
        label="Sealed bids",
        help_text="One bid a line: account, price of a permit, quantity. Such as HR-100-0000042-17, 25.50, 1000.",
        max_length=500_000,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
    )
    field_of: ClassVar = {"offer_out_of_range": "offered"}

    def clean_bids(self) -> list[Bid]:
        """Read the bids, or name every line that is none."""
        found: list[Bid] = []
        errors = []
        for place, line in enumerate(self.cleaned_data["bids"].splitlines(), start=1):
            if not line.strip():
                continue
            try:
                number, price, quantity = (part.strip() for part in line.split(","))
                found.append((number, Decimal(price), parse_whole(quantity)))
            except (ValueError, InvalidOperation, Refused):
                errors.append(
                    ValidationError("Line %(place)s: write account, price, number.", "bid_unreadable", {"place": place})
                )
        if errors:
            raise ValidationError(errors)
        return found
