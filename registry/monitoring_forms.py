"""The forms of monitoring: sites, systems, models, workloads, and the steps in which a plan is written."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet

from common.forms import ActForm, DayField, ExactField, ReasonForm, WholeField
from registry.engine import monitoring
from registry.engine.monitoring import Content, Measured
from registry.models import AiModel, ReportLine, System, Workload
from registry.services.monitoring.ai_models import ARCHITECTURES
from registry.services.monitoring.parts import MAX_PROOF_BYTES

PROOF_HELP = "PDF, image, CSV or JSON, up to 5 MB. It is kept with its SHA-256 and never changed."


class ProofField(forms.FileField):
    """A file that proves something; its size is looked at before anything is read."""

    def clean(self, data: Any, initial: Any = None) -> tuple[str, bytes] | None:
        """Return its name and content."""
        sent: UploadedFile[bytes] | None = super().clean(data, initial)
        if sent is None:
            return None
        if (sent.size or 0) > MAX_PROOF_BYTES:
            raise ValidationError("The file is larger than 5 MB. Send the part that proves it.", code="file_too_large")
        return sent.name or "", sent.read()


class SiteForm(ActForm):
    """A place where an organisation computes."""

    name = forms.CharField(label="Name", max_length=120)
    country = forms.CharField(label="Country", max_length=3, help_text="Three letters, such as FRA.")
    zone = forms.CharField(
        label="Grid zone",
        max_length=20,
        required=False,
        help_text="As in CISO, for hourly intensities. Empty where the country is one zone.",
    )
    field_of: ClassVar = {
        "name_missing": "name",
        "name_taken": "name",
        "not_a_country": "country",
        "not_a_zone": "zone",
        "site_in_reports": "country",
    }


class NewSiteForm(SiteForm):
    """A new site, with its first day."""

    opened_on = DayField(label="Runs since")
    field_of: ClassVar = {**SiteForm.field_of, "opening_day_implausible": "opened_on"}


class ClosingForm(ActForm):
    """The last day on which something ran."""

    closed_on = DayField(label="Last day")
    field_of: ClassVar = {
        "closing_day_implausible": "closed_on",
        "system_opened_later": "closed_on",
    }


class PueForm(ActForm):
    """The power usage effectiveness of a site in a year."""

    year = forms.IntegerField(label="Year", min_value=2000, max_value=2200, localize=False)
    value = ExactField(label="PUE", help_text="Energy of the whole site over that of its IT equipment, such as 1.2.")
    proof = ProofField(
        label="Proof",
        required=False,
        help_text=f"Without one, {monitoring.DEFAULT_PUE} counts, or your figure where it is higher. {PROOF_HELP}",
    )
    field_of: ClassVar = {
        "year_without_site": "year",
        "pue_implausible": "value",
        "pue_too_precise": "value",
        "quantity_out_of_range": "value",
        "empty_file": "proof",
        "file_type_refused": "proof",
        "archive_refused": "proof",
        "file_too_large": "proof",
    }


class SystemForm(ActForm):
    """What a system is made of."""

    hardware = forms.CharField(label="Hardware", max_length=120, help_text="The accelerator, such as H100 SXM.")
    devices = WholeField(label="Devices", help_text="How many of them.")
    watts_per_device = ExactField(label="Rated power of one, W")
    peak_flop_per_second = ExactField(
        label="Peak of one, FLOP/s", required=False, help_text="Dense, at the number format used: 989400000000000."
    )
    number_format = forms.CharField(label="Number format", max_length=20, required=False, help_text="As in BF16.")
    meter = forms.CharField(
        label="Meter", max_length=200, required=False, help_text="What measures it, with its serial number."
    )
    field_of: ClassVar = {
        "devices_out_of_range": "devices",
        "watts_out_of_range": "watts_per_device",
        "peak_out_of_range": "peak_flop_per_second",
    }


class NewSystemForm(SystemForm):
    """A new system, with its name, its first day and how well it is measured."""

    name = forms.CharField(label="Name", max_length=120)
    tier = forms.TypedChoiceField(label="Tier", choices=System.Tier.choices, coerce=int)
    proof = ProofField(label="Proof of the tier", required=False, help_text=f"Tier 0 needs none. {PROOF_HELP}")
    opened_on = DayField(label="Runs since")
    field_order = (
        "key",
        "name",
        "hardware",
        "devices",
        "watts_per_device",
        "peak_flop_per_second",
        "number_format",
        "meter",
        "tier",
        "proof",
        "opened_on",
    )
    field_of: ClassVar = {
        **SystemForm.field_of,
        "name_missing": "name",
        "name_taken": "name",
        "tier_not_proven": "proof",
        "empty_file": "proof",
        "file_type_refused": "proof",
        "archive_refused": "proof",
        "opening_day_implausible": "opened_on",
    }


class ProofForm(ActForm):
    """A file that shows at which tier a system is measured."""

    tier = forms.TypedChoiceField(label="Tier", choices=System.Tier.choices[1:], coerce=int)
    proof = ProofField(label="File", help_text=PROOF_HELP)
    note = forms.CharField(label="What it shows", max_length=200, required=False)
    field_of: ClassVar = {
        "empty_file": "proof",
        "file_type_refused": "proof",
        "archive_refused": "proof",
        "file_too_large": "proof",
        "words_unreadable": "note",
    }


class LowerTierForm(ReasonForm):
    """A lower tier, and why."""

    tier = forms.TypedChoiceField(label="Tier", choices=System.Tier.choices[:-1], coerce=int)
    field_of: ClassVar = {"reason_missing": "reason", "words_unreadable": "reason", "tier_not_lower": "tier"}
    field_order = ("key", "tier", "reason")


class ModelForm(ActForm):
    """A model and its sizes."""

    name = forms.CharField(label="Name", max_length=120)
    architecture = forms.ChoiceField(label="Architecture", choices=list(ARCHITECTURES.items()))
    parameters = ExactField(label="Parameters", required=False, help_text="All of them: 70000000000.")
    active_parameters = ExactField(
        label="Active parameters", required=False, help_text="For a mixture of experts: those that one token uses."
    )
    task_class = forms.CharField(label="Task class", max_length=40, required=False, help_text="As in text_generation.")
    upstream = forms.ModelChoiceField(
        label="Made from",
        queryset=AiModel.objects.none(),
        required=False,
        empty_label="No other model",
        help_text="The model that was fine-tuned or taught this one.",
    )
    field_of: ClassVar = {
        "name_missing": "name",
        "name_taken": "name",
        "parameters_out_of_range": "parameters",
        "active_parameters_missing": "active_parameters",
        "active_parameters_differ": "active_parameters",
        "active_parameters_beyond_all": "active_parameters",
        "words_unreadable": "task_class",
        "upstream_circle": "upstream",
        "upstream_unknown": "upstream",
    }

    def __init__(self, *args: Any, models: "QuerySet[AiModel]", **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["upstream"].queryset = models  # type: ignore[attr-defined]

    @property
    def facts(self) -> dict[str, Any]:
        """What the service takes."""
        return {name: value for name, value in self.cleaned_data.items() if name != "key"}


class WorkloadForm(ActForm):
    """A run or a serving stream."""

    name = forms.CharField(label="Name", max_length=160)
    kind = forms.ChoiceField(label="Kind", choices=Workload.Kind.choices)
    activity = forms.ChoiceField(label="Activity", choices=ReportLine.Activity.choices)
    ai_model = forms.ModelChoiceField(
        label="Model", queryset=AiModel.objects.none(), required=False, empty_label="None"
    )
    field_of: ClassVar = {
        "name_missing": "name",
        "name_taken": "name",
        "stream_serves": "activity",
        "model_unknown": "ai_model",
    }

    def __init__(self, *args: Any, models: "QuerySet[AiModel]", **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["ai_model"].queryset = models  # type: ignore[attr-defined]


class EndForm(ActForm):
    """The day on which a workload ended."""

    ended_on = DayField(label="Last day")
    field_of: ClassVar = {"closing_day_implausible": "ended_on", "workload_ended": "ended_on"}


# The steps of a plan --------------------------------------------------------------------------------------------------


class StepForm(ActForm):
    """One step of a plan. It is saved unfinished, so no field is marked as optional and none has to be filled."""

    is_saved_unfinished = True
    field_of: ClassVar = {"valid_from_implausible": "valid_from"}

    @classmethod
    def of(cls, content: Content) -> "StepForm":
        """Return the form with what the draft says already."""
        return cls(initial={name: getattr(content, name) for name in cls.base_fields if hasattr(content, name)})

    def said(self) -> dict[str, Any]:
        """Return the parts of the plan that this step writes."""
        return {name: value for name, value in self.cleaned_data.items() if name in Content.__dataclass_fields__}


class BoundaryStep(StepForm):
    """What is measured."""

    boundary = forms.ChoiceField(
        label="What is measured",
        required=False,
        widget=forms.RadioSelect,
        choices=[
            ("accelerator", "Accelerators only: the chips that compute"),
            ("it", "IT equipment: servers, storage and network"),
            ("full_stack", "Full stack: the site with cooling and losses, PUE once"),
        ],
    )
    boundary_words = forms.CharField(
        label="In words",
        required=False,
        max_length=monitoring.LINE,
        help_text="What lies inside, and what outside. Reports and verifiers refer to it.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class ActivitiesStep(StepForm):
    """Which activities the plan covers."""

    activities = forms.MultipleChoiceField(
        label="Activities that the plan covers",
        required=False,
        choices=list(monitoring.ACTIVITIES.items()),
        widget=forms.CheckboxSelectMultiple,
    )
    left_out = forms.CharField(
        label="What is left out, and why",
        required=False,
        max_length=monitoring.WORDS,
        help_text="Needed only where you have workloads of an activity that is not ticked.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class FactorsStep(StepForm):
    """Factors, roles, and what happens when figures are missing."""

    factors = forms.ChoiceField(
        label="Factors",
        required=False,
        widget=forms.RadioSelect,
        choices=[
            ("annual", "Yearly average of the grid"),
            ("hourly", "Hourly values of the grid zone, where energy is measured by the hour"),
        ],
    )
    measures = forms.CharField(
        label="Who measures", required=False, max_length=monitoring.LINE, help_text="A role or department, not a name."
    )
    checks = forms.CharField(
        label="Who checks", required=False, max_length=monitoring.LINE, help_text="Somebody else than who measures."
    )
    gaps = forms.CharField(
        label="When figures are missing",
        required=False,
        max_length=monitoring.WORDS,
        help_text="What stands in, so that the figure is never too low.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class CheckStep(StepForm):
    """From when the plan counts, and what changed."""

    valid_from = DayField(label="Counts from", required=False)
    changes = forms.CharField(
        label="What changed since the version in force",
        required=False,
        max_length=monitoring.WORDS,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    @classmethod
    def for_draft(cls, content: Content, valid_from: date | None, data: Any = None, *, follows: bool) -> "CheckStep":
        """Return the form; only a plan that follows another one says what changed."""
        form = cls(data, initial={"valid_from": valid_from, "changes": content.changes})
        if not follows:
            del form.fields["changes"]
        return form


class SystemRow(forms.Form):
    """How one system is measured."""

    is_saved_unfinished = True
    method = forms.ChoiceField(
        label="Method", required=False, choices=[("", "Choose one"), *monitoring.METHODS.items()]
    )
    tier = forms.TypedChoiceField(label="Tier", choices=System.Tier.choices, coerce=int, required=False)
    meter = forms.CharField(label="Meter or software", max_length=monitoring.LINE, required=False)

    def measured(self) -> dict[str, Any]:
        """Return the row as a plan says it."""
        return {
            "method": self.cleaned_data["method"],
            "tier": self.cleaned_data["tier"] or 0,
            "meter": self.cleaned_data["meter"],
        }


class SystemsStep(StepForm):
    """Each open system with its method, its tier and its meter."""

    rows: list[tuple[System, SystemRow]]

    @classmethod
    def for_systems(cls, content: Content, systems: Sequence[System], data: Any = None) -> "SystemsStep":
        """Return the form with a row for each system; a new one begins with what the system says of itself."""
        form = cls(data)
        form.rows = []
        for system in systems:
            known = content.systems.get(str(system.pk)) or Measured("", system.tier, system.meter[: monitoring.LINE])
            initial = {"method": known.method, "tier": known.tier, "meter": known.meter}
            form.rows.append((system, SystemRow(data, prefix=f"s{system.pk.hex}", initial=initial)))
        return form

    def is_valid(self) -> bool:
        """Say whether the form and every row can be read."""
        return all([super().is_valid(), *(row.is_valid() for _, row in self.rows)])

    def said(self) -> dict[str, Any]:
        """Return the systems as a plan says them."""
        return {"systems": {str(system.pk): row.measured() for system, row in self.rows}}


class PlanDecisionForm(ActForm):
    """The desk's decision on a plan."""

    outcome = forms.ChoiceField(
        label="Decision",
        choices=[
            ("approved", "Approve: it counts from its day on"),
            ("returned", "Send back: the operator corrects it"),
        ],
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        help_text="The operator reads it.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    field_of: ClassVar = {"reason_missing": "reason", "words_unreadable": "reason", "outcome_unknown": "outcome"}


def whole(value: Decimal | None) -> Decimal | None:
    """Return a figure for a field that shows no idle zeros."""
    return None if value is None else Decimal(f"{value.normalize():f}")
