"""Forms of the registry: transfers, statements, reports, verification, surrender, and the regulator's desk."""

import json
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet

from common.forms import ActForm, DayField, ExactField, MoneyField, WholeField
from common.quantities import MAX_FLOP, parse_whole
from registry.engine.allocation import AllocationInputs, inputs_from_document
from registry.importers import codecarbon, epoch
from registry.ledger.models import Asset, Balance, LedgerAccount
from registry.models import Period, ReportLine
from registry.services.reports import LineInput


class WholeFlopField(WholeField):
    """A number of floating-point operations, which may be zero and may be long."""

    def read(self, text: str) -> int:
        """Read it with the bounds of reported FLOP."""
        return parse_whole(text, minimum=0, maximum=MAX_FLOP - 1)


class StatementForm(forms.Form):
    """The days of a statement, both included; an empty end means until today."""

    first = DayField(label="From", required=False)
    last = DayField(label="To", required=False)

    def bounds(self, opened_at: datetime, now: datetime) -> tuple[datetime, datetime]:
        """Return the first instant and the first instant after the statement; what cannot be read counts as empty."""
        chosen = self.cleaned_data if self.is_valid() else {}
        first = chosen.get("first") or opened_at.astimezone(UTC).date()
        last = chosen.get("last") or max(now, opened_at).astimezone(UTC).date()
        return (
            datetime.combine(first, time.min, tzinfo=UTC),
            datetime.combine(max(first, last), time.min, tzinfo=UTC) + timedelta(days=1),
        )


class PermitChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Permits to choose from, each with what is available."""

    def label_from_instance(self, obj: Balance) -> str:
        """Say what it is and how much of it is there."""
        place = "" if obj.account.kind == "holding" else f", {obj.account.get_kind_display().lower()} account"
        return f"{obj.asset.name} ({obj.available:,} available{place})"


class FromAccountForm(ActForm):
    """Permits of one's own that shall go somewhere."""

    permits = PermitChoice(label="Permits", queryset=Balance.objects.none(), empty_label=None)

    @property
    def asset(self) -> Asset:
        """The permit type that was chosen."""
        balance: Balance = self.cleaned_data["permits"]
        return balance.asset

    @property
    def sender(self) -> LedgerAccount:
        """The account in which they lie."""
        balance: Balance = self.cleaned_data["permits"]
        return balance.account


class TransferForm(FromAccountForm):
    """Permits to send to another account."""

    to_number = forms.CharField(
        label="Receiver's account", max_length=30, help_text="Such as HR-100-0000042-17. Ask the receiver for it."
    )
    quantity = WholeField(label="Quantity")
    price = MoneyField(
        label="Price of a permit", required=False, help_text="As agreed. The regulator reads it, the public does not."
    )
    agreement = forms.CharField(
        label="Agreement", max_length=200, required=False, help_text="The contract behind it, such as its number."
    )
    note = forms.CharField(
        label="Note", max_length=200, required=False, help_text="Shown in the statements of both accounts."
    )
    field_of: ClassVar = {
        "account_number_wrong": "to_number",
        "account_unknown": "to_number",
        "same_account": "to_number",
        "account_frozen": "to_number",
        "receiver_suspended": "to_number",
        "receiver_restricted": "to_number",
        "receiver_not_trusted": "to_number",
        "compliance_account_of_another": "to_number",
        "quantity_out_of_range": "quantity",
        "insufficient_available": "quantity",
        "serials_frozen": "quantity",
        "transfer_limit_exceeded": "quantity",
        "holding_limit_exceeded": "quantity",
        "debt_outstanding": "quantity",
    }


class CapForm(ActForm):
    """The cap of a draft period."""

    quantity = WholeField(label="Cap", help_text="Whole permits. A second officer approves; then they are issued once.")
    field_of: ClassVar = {"quantity_out_of_range": "quantity", "quantity_not_whole": "quantity"}


class InputsForm(ActForm):
    """The frozen inputs of an allocation, as their published document."""

    document = forms.FileField(
        label="Inputs document",
        help_text="JSON of the form headroom.allocation-inputs/1, up to 2 MB. The run follows from it alone.",
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
    )
    max_bytes = 2 * 1024 * 1024

    def clean_document(self) -> AllocationInputs:
        """Read the document into the engine's inputs, or say what is wrong with it."""
        sent = self.cleaned_data["document"]
        if sent.size > self.max_bytes:
            raise ValidationError(
                "The document is larger than 2 MB. Check that it is the right file.", code="file_too_large"
            )
        try:
            return inputs_from_document(json.loads(sent.read().decode("utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ValidationError(
                "This is no inputs document that we understand (%(why)s). Take that of an earlier run.",
                code="document_unreadable",
                params={"why": str(error)[:120] or type(error).__name__},
            ) from error


class EstimateForm(ActForm):
    """The regulator's conservative figure for an operator that did not report."""

    quantity = ExactField(label="Estimated use")
    reason = forms.CharField(
        label="How it was estimated",
        max_length=500,
        help_text="The operator reads it, and it is published with the figure.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    field_of: ClassVar = {"reason_missing": "reason"}


# Reports --------------------------------------------------------------------------------------------------------------


class ReportForm(ActForm):
    """For which period, and what was measured."""

    period = forms.ModelChoiceField(label="Period", queryset=Period.objects.none(), empty_label=None)
    boundary = forms.CharField(
        label="What was measured", max_length=200, help_text="For example: full stack, or inference only."
    )
    field_of: ClassVar = {
        "boundary_missing": "boundary",
        "metric_not_measured": "period",
        "period_not_open": "period",
        "period_closed": "period",
        "operator_not_liable": "period",
    }

    def __init__(self, *args: Any, periods: "QuerySet[Period]", **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["period"].queryset = periods  # type: ignore[attr-defined]


class FileReportForm(ReportForm):
    """A file that CodeCarbon wrote."""

    activity = forms.ChoiceField(label="Activity", choices=ReportLine.Activity.choices)
    file = forms.FileField(
        label="CodeCarbon file",
        help_text="The emissions.csv of any version, up to 20 MB. It is kept as evidence with its SHA-256.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )

    def clean_file(self) -> tuple[str, bytes]:
        """Look at the size before anything is read."""
        return _read(self.cleaned_data["file"], codecarbon.LIMITS.max_bytes)


class PublishedReportForm(ReportForm):
    """Published training compute, as Epoch AI lists it by model, organisation and year."""

    file = forms.FileField(
        label="Epoch AI file",
        help_text="The CSV of notable AI models, up to 20 MB. It is kept as evidence with its SHA-256.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    organisation = forms.CharField(
        label="Organisation in the file", max_length=200, help_text="As the file spells the name."
    )
    year = forms.IntegerField(
        label="Year in the file",
        min_value=1950,
        max_value=2200,
        localize=False,
        help_text="The year in which the models were published.",
    )
    field_of: ClassVar = {**ReportForm.field_of, "no_lines": "organisation"}

    def clean_file(self) -> tuple[str, bytes]:
        """Look at the size before anything is read."""
        return _read(self.cleaned_data["file"], epoch.LIMITS.max_bytes)


def _read(sent: "UploadedFile[bytes]", max_bytes: int) -> tuple[str, bytes]:
    """Return the name and content of a file that is not too large."""
    if (sent.size or 0) > max_bytes:
        raise ValidationError(
            f"The file is larger than {max_bytes // 10**6} MB. Send it in parts.", code="file_too_large"
        )
    return sent.name or "", sent.read()


class LineForm(forms.Form):
    """One activity as a person types it."""

    label = forms.CharField(label="Run or service", max_length=200)
    activity = forms.ChoiceField(label="Activity", choices=ReportLine.Activity.choices, initial="training")
    flop = WholeFlopField(label="FLOP", required=False)
    energy_kwh = ExactField(label="Energy, kWh", required=False)
    country = forms.RegexField(
        label="Country",
        regex=r"\A[A-Za-z]{3}\Z",
        required=False,
        error_messages={"invalid": "Write the country in three letters, such as FRA."},
    )

    def line(self) -> LineInput:
        """Return the line for the service."""
        typed = self.cleaned_data
        return LineInput(
            label=typed["label"],
            activity=typed["activity"],
            flop=typed["flop"] or 0,
            energy_kwh=typed["energy_kwh"] or Decimal(0),
            country=typed["country"].upper(),
        )


LineForms: "type[forms.BaseFormSet[LineForm]]" = forms.formset_factory(
    LineForm, extra=3, min_num=1, validate_min=True, max_num=200, validate_max=True
)
"""The lines of a typed report; rows left empty do not count."""


class ReturnForm(ActForm):
    """Why a report is sent back."""

    reason = forms.CharField(
        label="Reason",
        max_length=500,
        help_text="What the operator should correct, in a sentence it can act on.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    field_of: ClassVar = {"reason_missing": "reason"}


# Compliance -----------------------------------------------------------------------------------------------------------


class SurrenderForm(ActForm):
    """How many permits to give up for a period, and of which year."""

    permits = PermitChoice(label="Permits", queryset=Balance.objects.none(), empty_label=None)
    quantity = WholeField(label="Permits to surrender")
    field_of: ClassVar = {
        "quantity_out_of_range": "quantity",
        "insufficient_available": "quantity",
        "vintage_not_usable": "permits",
    }


# Cases ----------------------------------------------------------------------------------------------------------------


class CaseForm(ActForm):
    """What an operator contests, or what it found wrong in its own verified report."""

    about = forms.ChoiceField(
        label="About",
        choices=[
            ("report", "My verified report is wrong"),
            ("allocation", "My free allocation is too small"),
            ("estimate", "The estimate of my use is too high"),
            ("status", "My status letter is wrong"),
            ("sanction", "The sanction is wrong"),
        ],
    )
    grounds = forms.CharField(
        label="Grounds", max_length=4000, widget=forms.Textarea(attrs={"rows": 5}), help_text="What happened, and why."
    )
    quantity = WholeField(
        label="Free permits I should have got",
        required=False,
        help_text="For an allocation only: all of them, not the difference.",
    )
    figure = ExactField(label="Right total", required=False, help_text="For a report only, if you know it.")
    field_of: ClassVar = {
        "reason_missing": "grounds",
        "nothing_verified": "about",
        "nothing_to_appeal": "about",
        "appeal_too_late": "about",
        "appeal_open_already": "about",
        "nothing_contested": "quantity",
        "quantity_not_whole": "quantity",
        "quantity_not_decimal": "figure",
    }

    def clean(self) -> dict[str, Any] | None:
        """Ask for the claimed permits where an allocation is contested."""
        cleaned = super().clean()
        if self.cleaned_data.get("about") == "allocation" and not self.cleaned_data.get("quantity"):
            self.add_error("quantity", ValidationError("Say how many free permits you should have got.", "missing"))
        return cleaned


class DecisionForm(ActForm):
    """How a case ends. What does not concern its kind is left empty."""

    outcome = forms.ChoiceField(
        label="Outcome", choices=[("upheld", "Upheld: whoever opened it was right"), ("dismissed", "Dismissed")]
    )
    decision = forms.CharField(
        label="Reasons", max_length=4000, widget=forms.Textarea(attrs={"rows": 5}), help_text="The operator reads them."
    )
    figure = ExactField(label="Right total", required=False, help_text="For a report or an estimate.")
    admit_report = forms.BooleanField(
        label="Let the operator file a corrected report instead", required=False, help_text="For a report."
    )
    remedy = forms.ChoiceField(
        label="Permits surrendered too many",
        choices=[("credit", "Stay surrendered and count later"), ("return", "Go back to the operator")],
        help_text="For a report found too high.",
    )
    gravity = ExactField(
        label="Share of the fine", required=False, help_text="From 0 to 1, for a report found too low."
    )
    quantity = WholeField(label="Permits granted", required=False, help_text="For an allocation, out of the escrow.")
    field_of: ClassVar = {
        "reason_missing": "decision",
        "correction_unclear": "figure",
        "figure_missing": "figure",
        "grant_out_of_range": "quantity",
        "gravity_out_of_range": "gravity",
    }


class BankPaymentForm(ActForm):
    """The line of the bank's statement by which a sanction was paid."""

    reference = forms.CharField(label="Line of the bank statement", max_length=80)
    field_of: ClassVar = {
        "reference_missing": "reference",
        "reference_too_long": "reference",
        "cash_recorded_already": "reference",
    }


class DebtForm(ActForm):
    """Permits to pay a debt with."""

    permits = PermitChoice(label="Permits", queryset=Balance.objects.none(), empty_label=None)
    quantity = WholeField(label="Quantity")
    field_of: ClassVar = {
        "no_debt": "quantity",
        "more_than_debt": "quantity",
        "quantity_out_of_range": "quantity",
        "insufficient_available": "quantity",
    }
