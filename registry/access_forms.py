"""Forms of the access programme: a call, an application, an assessor's scores, and the report of use."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from common.errors import Refused
from common.forms import ActForm, DayField, ExactField, WholeField
from common.quantities import parse_whole
from registry.efficiency_forms import WholeExactField
from registry.engine.access import MOST_POINTS, MOST_WEIGHT, Criterion
from registry.models import Period
from registry.monitoring_forms import PROOF_HELP, ProofField
from registry.services.access.applications import Asked, Points
from registry.services.access.programmes import Call


class CountField(WholeField):
    """A whole number that may be zero."""

    def read(self, text: str) -> int:
        """Read it by the one parser."""
        return parse_whole(text, minimum=0)


class CallForm(ActForm):
    """A programme: its budget, its criteria and its days."""

    period = forms.ModelChoiceField(label="Period", queryset=Period.objects.none(), empty_label=None)
    name = forms.CharField(label="Name", max_length=120)
    description = forms.CharField(
        label="Whom it is for, and what it supports", max_length=4000, widget=forms.Textarea(attrs={"rows": 4})
    )
    permits = CountField(label="Permits", initial=0, help_text="From the set-aside account of the period; 0 for none.")
    flop = WholeExactField(label="Compute, FLOP", initial=0, help_text="Promised by whoever runs the machines.")
    criteria = forms.CharField(
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        initial="merit, Scientific merit, 3\nopenness, Openness of results, 2\nneed, Need for compute, 1",
        help_text=f"One a line: code, title, weight from 1 to {MOST_WEIGHT}. The first listed of equal weights goes "
        "first in a tie.",
    )
    least_score = ExactField(
        label="Least score", initial="5", help_text=f"Of {MOST_POINTS}; below it nothing is awarded."
    )
    deadline_on = DayField(label="Last day for applications")
    report_due_on = DayField(label="Last day for use reports")
    field_of: ClassVar = {
        "name_missing": "name",
        "name_taken": "name",
        "description_missing": "description",
        "budget_missing": "permits",
        "set_aside_too_small": "permits",
        "period_not_open": "period",
        "criteria_missing": "criteria",
        "criterion_twice": "criteria",
        "weight_out_of_range": "criteria",
        "least_score_out_of_range": "least_score",
        "deadline_past": "deadline_on",
        "report_day_implausible": "report_due_on",
    }

    def __init__(self, *args: Any, periods: "QuerySet[Period]", **options: Any) -> None:
        super().__init__(*args, **options)
        field = self.fields["period"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = periods

    def clean_criteria(self) -> list[Criterion]:
        """Read the criteria, or name every line that is none."""
        found, errors = [], []
        for place, line in enumerate(self.cleaned_data["criteria"].splitlines(), start=1):
            if not line.strip():
                continue
            try:
                code, title, weight = (part.strip() for part in line.split(","))
                if not code.isidentifier() or len(code) > 40 or not 0 < len(title) <= 120:
                    raise ValueError(line)
                found.append(Criterion(code, title, parse_whole(weight)))
            except (ValueError, Refused):
                sentence = "Line %(place)s: write a code without spaces, a title, and a whole weight."
                errors.append(ValidationError(sentence, "criterion_unreadable", {"place": place}))
        if errors:
            raise ValidationError(errors)
        return found

    @property
    def call(self) -> Call:
        """What the service takes."""
        said = {name: value for name, value in self.cleaned_data.items() if name != "key"}
        return Call(**{**said, "flop": int(said["flop"])})


class ApplicationForm(ActForm):
    """What a lab asks for, and for which project."""

    title = forms.CharField(label="Project", max_length=160, help_text="Published if it is awarded.")
    project = forms.CharField(
        label="What you want to find out, and how", max_length=8000, widget=forms.Textarea(attrs={"rows": 6})
    )
    team = forms.CharField(label="Team", max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))
    permits = CountField(label="Permits needed", initial=0)
    flop = WholeExactField(label="Compute needed, FLOP", initial=0, help_text="The plan in your file shows how.")
    accepts_part = forms.BooleanField(label="A part of this would help, if the rest is gone", required=False)
    open_results = forms.BooleanField(label="We pledge to publish the results openly", required=False)
    proof = ProofField(label="File with the plan", help_text=PROOF_HELP)
    field_of: ClassVar = {
        "name_missing": "title",
        "applied_already": "title",
        "project_missing": "project",
        "team_missing": "team",
        "need_missing": "permits",
        "need_beyond_budget": "permits",
        "not_an_operator": "permits",
        "pledge_missing": "open_results",
        "empty_file": "proof",
        "file_type_refused": "proof",
        "archive_refused": "proof",
        "file_too_large": "proof",
    }

    @property
    def asked(self) -> Asked:
        """What the service takes."""
        said = {name: value for name, value in self.cleaned_data.items() if name != "key"}
        return Asked(**{**said, "flop": int(said["flop"])})


class ScoreForm(ActForm):
    """Points and a reason for each criterion."""

    field_of: ClassVar = {}

    def __init__(self, *args: Any, criteria: Sequence[Criterion], **options: Any) -> None:
        super().__init__(*args, **options)
        self._codes = [criterion.code for criterion in criteria]
        for criterion in criteria:
            self.fields[f"points_{criterion.code}"] = forms.TypedChoiceField(
                label=f"{criterion.title}, weight {criterion.weight}",
                choices=[("", "Choose"), *((number, str(number)) for number in range(MOST_POINTS + 1))],
                coerce=int,
            )
            self.fields[f"reason_{criterion.code}"] = forms.CharField(
                label=f"Why, for {criterion.title}", max_length=1000, widget=forms.Textarea(attrs={"rows": 2})
            )

    @property
    def points(self) -> dict[str, Points]:
        """What the service takes."""
        said = self.cleaned_data
        return {code: Points(said[f"points_{code}"], said[f"reason_{code}"]) for code in self._codes}


class UseForm(ActForm):
    """What an award was used for."""

    permits_used = CountField(label="Permits used")
    flop_used = WholeExactField(label="Compute used, FLOP")
    results = forms.CharField(
        label="What came of it, and where it is published", max_length=4000, widget=forms.Textarea(attrs={"rows": 4})
    )
    proof = ProofField(label="File", required=False, help_text=PROOF_HELP)
    field_of: ClassVar = {
        "use_beyond_award": "permits_used",
        "results_missing": "results",
        "empty_file": "proof",
        "file_type_refused": "proof",
        "archive_refused": "proof",
    }
