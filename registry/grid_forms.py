"""Forms of grid factors and serving records: a file with what it cannot say by itself."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from common.forms import ActForm, DayField
from registry.importers import hourly, serving
from registry.models import FactorSet, Period
from registry.services.grid.intensities import Qualifiers


class _FileForm(ActForm):
    """A form with a CSV file, whose size is looked at before anything is read."""

    largest: ClassVar[int]

    def clean_file(self) -> tuple[str, bytes]:
        """Return the file's name and bytes, as long as it may be."""
        sent = self.cleaned_data["file"]
        if sent.size > self.largest:
            raise ValidationError("The file is too large: send it in parts.", code="file_too_large")
        return sent.name, sent.read()


class FactorSetForm(_FileForm):
    """A table of intensities and its qualifiers."""

    largest = hourly.LIMITS.max_bytes
    resolution = forms.ChoiceField(
        label="Figures",
        choices=FactorSet.Resolution.choices,
        help_text="By hour: zone, datetime_utc, gco2e_per_kwh. By year: iso3, country, year, gco2e_per_kwh.",
    )
    file = forms.FileField(
        label="File",
        help_text="CSV, up to 32 MB. All rows are taken, or none; every error is named.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    code = forms.CharField(
        max_length=40, help_text="Small letters, digits and hyphens, as in us-hourly-2022. A code again: a new version."
    )
    kind = forms.ChoiceField(choices=FactorSet.Kind.choices)
    basis = forms.ChoiceField(choices=FactorSet.Basis.choices, initial=FactorSet.Basis.LIFE_CYCLE)
    perspective = forms.ChoiceField(choices=FactorSet.Perspective.choices)
    method = forms.CharField(max_length=120, help_text="The version of the method, as in IPCC AR5 medians.")
    source = forms.CharField(max_length=300)
    licence = forms.CharField(max_length=120)
    retrieved_on = DayField(label="Fetched on")
    country = forms.CharField(
        max_length=3, required=False, help_text="Whose yearly figure stands in for missing hours, in three letters."
    )
    for_obligations = forms.BooleanField(
        label="Reports are computed with it", required=False, initial=True, help_text="Otherwise it is information."
    )
    note = forms.CharField(
        label="What it corrects", max_length=300, required=False, help_text="For a later version of a code."
    )
    field_of: ClassVar = {
        "code_malformed": "code",
        "factor_set_of_another_kind": "code",
        "zone_told_already": "code",
        "note_missing": "note",
        "marginal_is_information": "for_obligations",
        "not_a_country": "country",
        "retrieved_on_implausible": "retrieved_on",
        "method_missing": "method",
        "source_missing": "source",
        "licence_missing": "licence",
    }

    def qualifiers(self) -> Qualifiers:
        """Return what was said about the table."""
        names = (
            "kind",
            "basis",
            "perspective",
            "method",
            "source",
            "licence",
            "retrieved_on",
            "for_obligations",
            "note",
        )
        said = {name: self.cleaned_data[name] for name in names}
        return Qualifiers(country=self.cleaned_data["country"].strip().upper(), **said)


class RecordsForm(_FileForm):
    """Serving records, and a signature where the organisation signs its files."""

    largest = serving.LIMITS.max_bytes
    file = forms.FileField(
        label="Hourly records",
        help_text="CSV, up to 100,000 rows. All rows are taken, or none. It is kept as evidence with its SHA-256.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    key_id = forms.CharField(label="Signing key", max_length=64, required=False, help_text="The key's id, if signed.")
    signature = forms.CharField(
        max_length=128, required=False, help_text="Ed25519 in base64, over the document that names the file's SHA-256."
    )
    field_of: ClassVar = {
        "key_unknown": "key_id",
        "key_not_valid": "key_id",
        "signature_unreadable": "signature",
        "signature_invalid": "signature",
    }


class TakeForm(ActForm):
    """The period whose draft takes the figures."""

    period = forms.ModelChoiceField(Period.objects.none(), empty_label=None)

    def __init__(self, *arguments: Any, periods: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fields["period"].queryset = periods  # type: ignore[attr-defined]
