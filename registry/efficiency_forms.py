"""Forms of the efficiency register: a measure with what was measured before and after it, and its way to the public."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from accounts.models import Organisation
from common.forms import ActForm, DayField, ExactField, WholeField
from registry.engine.efficiency import Measurement
from registry.models import AiModel, Boundary, Counted, EfficiencyMeasure, LabelEdition, Scheme, TaskClass, Workload
from registry.monitoring_forms import PROOF_HELP, ProofField
from registry.services.efficiency.league import Field
from registry.services.efficiency.measures import Told

SIDES = ("before", "after")
_OF_A_SIDE = (
    "started_on",
    "ended_on",
    "quantity",
    "energy_kwh",
    "batch_size",
    "number_format",
    "hardware",
    "zone",
    "quality",
    "proof",
)


class WholeExactField(ExactField):
    """A whole number that may be larger than a quantity of permits, such as a count of tokens."""

    inputmode = "numeric"

    def read(self, text: str) -> Decimal:
        """Read it by the one parser of decimals, and ask for a whole number."""
        number = super().read(text)
        if number != int(number):
            raise ValidationError("Enter a whole number.", code="quantity_not_whole")
        return number


class MeasureForm(ActForm):
    """A measure: what was done, on what, and the same task measured before and after."""

    title = forms.CharField(
        label="Title", max_length=120, help_text="Published with the measure: name no secret. As in INT8 weights."
    )
    scheme = forms.ModelChoiceField(label="Scheme", queryset=Scheme.objects.none(), empty_label=None)
    subject = forms.ChoiceField(label="Taken on", help_text="One of your workloads, or a model wherever it is served.")
    kinds = forms.MultipleChoiceField(
        label="Kinds of measure",
        choices=EfficiencyMeasure.Kind.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="Name everything that changed between the two measurements.",
    )
    description = forms.CharField(
        label="What was done",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="For the verifier and the regulator. It is never published.",
    )
    task_class = forms.ChoiceField(label="Task class", choices=TaskClass.choices)
    counted = forms.ChoiceField(label="Intensity per", choices=Counted.choices)
    boundary = forms.ChoiceField(
        label="Energy of", choices=Boundary.choices, initial=Boundary.SITE, help_text="The same before and after."
    )
    quality_measure = forms.CharField(label="Quality measured by", max_length=60, help_text="As in MMLU accuracy.")
    quality_tolerance = ExactField(
        label="Quality that may be lost",
        initial="0.01",
        help_text="As a share: 0.01 for one percent. A larger loss is shown beside the saving.",
    )
    field_of: ClassVar = {
        "name_missing": "title",
        "not_an_operator": "scheme",
        "subject_unknown": "subject",
        "kind_unknown": "kinds",
        "change_not_named": "kinds",
        "description_missing": "description",
        "choice_unknown": "task_class",
        "quality_measure_missing": "quality_measure",
        "tolerance_out_of_range": "quality_tolerance",
        "after_not_after": "after_started_on",
    }

    def __init__(
        self,
        *args: Any,
        schemes: "QuerySet[Scheme]",
        workloads: Iterable[Workload],
        models: Iterable[AiModel],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._subjects = {
            **{f"workload:{one.pk}": one for one in workloads},
            **{f"model:{one.pk}": one for one in models},
        }
        scheme, subject = self.fields["scheme"], self.fields["subject"]
        assert isinstance(scheme, forms.ModelChoiceField) and isinstance(subject, forms.ChoiceField)
        scheme.queryset = schemes
        subject.choices = [
            (key, f"{'Workload' if isinstance(one, Workload) else 'Model'}: {one}")
            for key, one in self._subjects.items()
        ]
        for side in SIDES:
            self.fields |= _side_fields(side)

    @property
    def sides(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields of each side, for two columns."""
        return [(side, [self[f"{side}_{name}"] for name in _OF_A_SIDE]) for side in SIDES]

    @property
    def common(self) -> list[forms.BoundField]:
        """The visible fields that are of neither side."""
        return [field for field in self.visible_fields() if not field.name.startswith(("before_", "after_"))]

    @property
    def told(self) -> Told:
        """What the service takes."""
        said = self.cleaned_data
        subject = self._subjects[said["subject"]]
        return Told(
            scheme=said["scheme"],
            workload=subject if isinstance(subject, Workload) else None,
            ai_model=subject if isinstance(subject, AiModel) else None,
            title=said["title"],
            kinds=said["kinds"],
            description=said["description"],
            quality_tolerance=said["quality_tolerance"],
            before=self._measurement("before"),
            after=self._measurement("after"),
            proof_before=said["before_proof"],
            proof_after=said["after_proof"],
        )

    def _measurement(self, side: str) -> Measurement:
        said = self.cleaned_data
        own = {name: said[f"{side}_{name}"] for name in _OF_A_SIDE if name != "proof"}
        return Measurement(
            task_class=said["task_class"],
            counted=said["counted"],
            boundary=said["boundary"],
            quality_measure=said["quality_measure"],
            **{**own, "quantity": int(own["quantity"])},
        )


def _side_fields(side: str) -> dict[str, forms.Field]:
    return {
        f"{side}_{name}": field
        for name, field in {
            "started_on": DayField(label="First day"),
            "ended_on": DayField(label="Last day"),
            "quantity": WholeExactField(label="Requests or tokens", help_text="How many were counted in these days."),
            "energy_kwh": ExactField(label="Energy, kWh", help_text="What they took within the boundary."),
            "batch_size": WholeField(label="Batch size", help_text="1 where nothing was batched."),
            "number_format": forms.CharField(label="Number format", max_length=20, help_text="As in BF16 or INT8."),
            "hardware": forms.CharField(label="Hardware", max_length=120, help_text="As in H100 SXM."),
            "zone": forms.CharField(label="Grid zone", max_length=20, help_text="As in FRA or CISO."),
            "quality": ExactField(label="Quality", help_text="Higher is better, such as 0.80."),
            "proof": ProofField(label="File that proves it", help_text=PROOF_HELP),
        }.items()
    }


class HandOverForm(ActForm):
    """The verifier that a measure is handed to."""

    verifier = forms.ModelChoiceField(label="Verifier", queryset=Organisation.objects.none(), empty_label=None)
    field_of: ClassVar = {
        "not_a_verifier": "verifier",
        "verifier_not_accredited": "verifier",
        "verifier_not_independent": "verifier",
    }

    def __init__(self, *args: Any, verifiers: "QuerySet[Organisation]", **options: Any) -> None:
        super().__init__(*args, **options)
        field = self.fields["verifier"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = verifiers


class EditionForm(ActForm):
    """The next edition of labels: for which field, and by which rule."""

    field = forms.ChoiceField(label="Field")
    rule = forms.ChoiceField(label="Rule", choices=LabelEdition.Rule.choices, widget=forms.RadioSelect)
    field_of: ClassVar = {
        "edition_issued_already": "field",
        "field_too_small": "field",
        "field_unknown": "field",
        "rule_unknown": "rule",
    }

    def __init__(self, *args: Any, fields: Iterable[Field], **options: Any) -> None:
        super().__init__(*args, **options)
        choice = self.fields["field"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [(one.slug, f"{one.title} ({one.boundary_label.lower()})") for one in fields]
