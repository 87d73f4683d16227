"""Forms of a draft: files to read, files to keep, and filing it."""

from typing import Any, ClassVar

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet

from common.forms import ActForm
from registry.importers.formats import FORMATS, Option
from registry.models import ReportLine, Workload


class UploadForm(ActForm):
    """A file to read into the draft, and what it cannot say by itself."""

    file = forms.FileField(
        label="File",
        help_text="Drop it here or choose it. CSV of up to a million rows; XLSX, JSON and YAML up to 20 MB.",
        widget=forms.FileInput(
            attrs={"class": "form-control drop", "accept": ".csv,.xlsx,.json,.jsonl,.yaml,.yml,.log,.txt"}
        ),
    )
    format = forms.ChoiceField(label="Format", required=False)
    activity = forms.ChoiceField(
        label="Activity",
        required=False,
        choices=[("", "The file says it"), *ReportLine.Activity.choices],
        help_text="For files that do not say what was done.",
    )
    workload = forms.ModelChoiceField(
        label="Workload",
        required=False,
        queryset=Workload.objects.none(),
        empty_label="None of them",
        help_text="What was measured: it gives the activity, the grid zone, and the PUE for IT energy.",
    )
    field_of: ClassVar = {
        "empty_file": "file",
        "file_type_refused": "file",
        "archive_refused": "file",
        "file_too_large": "file",
        "inflates_too_far": "file",
        "bad_xlsx": "file",
        "encrypted": "file",
        "format_unknown": "format",
        "format_not_recognised": "format",
        "metric_not_measured": "format",
        "activity_missing": "activity",
        "activity_unknown": "activity",
        "workload_unknown": "workload",
    }

    def __init__(self, *args: Any, metric: str, workloads: "QuerySet[Workload]", **options: Any) -> None:
        super().__init__(*args, **options)
        taken = [one for one in FORMATS.values() if metric in one.metrics]
        self.fields["format"].choices = [  # type: ignore[attr-defined]
            ("", "Recognise it"),
            *((one.code, one.title) for one in taken),
        ]
        self.fields["workload"].queryset = workloads  # type: ignore[attr-defined]
        for option in {option.name: option for one in taken for option in one.options}.values():
            titles = ", ".join(one.title for one in taken if option.name in {each.name for each in one.options})
            self.fields[f"option_{option.name}"] = _field(option, f"For {titles}. {option.help_text}".strip())

    def options(self) -> dict[str, str]:
        """Return what was said beside the file."""
        said = {
            name.removeprefix("option_"): value
            for name, value in self.cleaned_data.items()
            if name.startswith("option_") and value
        }
        return said | {"activity": self.cleaned_data["activity"]}


def _field(option: Option, help_text: str) -> forms.Field:
    if option.choices:
        return forms.ChoiceField(
            label=option.label, required=False, choices=[("", "Not chosen"), *option.choices], help_text=help_text
        )
    return forms.CharField(label=option.label, required=False, max_length=200, help_text=help_text)


class AttachForm(ActForm):
    """A file that is kept beside the figures."""

    file = forms.FileField(
        label="File",
        help_text="PDF, PNG, JPEG, a table, JSON or a text log, up to 20 MB. It is kept with its SHA-256.",
        widget=forms.FileInput(attrs={"class": "form-control"}),
    )
    purpose = forms.CharField(label="What it proves", max_length=200)
    field_of: ClassVar = {
        "empty_file": "file",
        "file_type_refused": "file",
        "archive_refused": "file",
        "file_too_large": "file",
        "too_many_files": "file",
    }

    def clean_file(self) -> "UploadedFile[bytes]":
        """Return the file as it was sent."""
        sent: UploadedFile[bytes] = self.cleaned_data["file"]
        return sent


class FileDraftForm(ActForm):
    """Turn the draft into a version of the report."""

    boundary = forms.CharField(
        label="What was measured", max_length=200, help_text="For example: full stack, or inference only."
    )
    field_of: ClassVar = {"boundary_missing": "boundary"}
