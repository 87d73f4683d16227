"""The forms of meters: projects, experiments, tokens, and taking runs into a draft."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet

from common.forms import ActForm
from registry.models import Operator, Period, ProjectToken, ReportLine, Site, Workload
from registry.services.metering import tokens

ACTIVITIES = [("", "Not said yet"), *ReportLine.Activity.choices]


class ProjectForm(ActForm):
    """Clients of one operator, mostly of one site."""

    name = forms.CharField(label="Name", max_length=120)
    operator = forms.ModelChoiceField(queryset=Operator.objects.none(), label="Reports for", empty_label=None)
    site = forms.ModelChoiceField(
        queryset=Site.objects.none(),
        label="Site",
        required=False,
        empty_label="Not said",
        help_text="Its country counts.",
    )
    field_of: ClassVar = {
        "name_missing": "name",
        "name_taken": "name",
        "metric_not_measured": "operator",
        "site_of_another": "site",
    }

    def __init__(self, *args: Any, operators: "QuerySet[Operator]", sites: "QuerySet[Site]", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose(self, "operator", operators).label_from_instance = lambda operator: operator.scheme.name
        _choose(self, "site", sites)


class SiteOfProjectForm(ActForm):
    """Where the clients of a project are."""

    site = forms.ModelChoiceField(
        queryset=Site.objects.none(),
        label="Site",
        required=False,
        empty_label="Not said",
        help_text="Its country counts.",
    )
    field_of: ClassVar = {"site_of_another": "site"}

    def __init__(self, *args: Any, sites: "QuerySet[Site]", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose(self, "site", sites)


class MappingForm(ActForm):
    """What the runs of an experiment are."""

    workload = forms.ModelChoiceField(
        queryset=Workload.objects.none(),
        label="Workload",
        required=False,
        empty_label="None",
        help_text="It brings its activity, its site and the tier of its meter.",
    )
    activity = forms.ChoiceField(
        label="Activity", choices=ACTIVITIES, required=False, help_text="Where no workload says it."
    )
    country = forms.CharField(
        label="Country",
        max_length=3,
        required=False,
        help_text="Three letters, such as FRA; a site's own goes before it.",
    )
    field_of: ClassVar = {
        "activity_unknown": "activity",
        "not_a_country": "country",
        "workload_of_another": "workload",
        "workload_elsewhere": "workload",
    }

    def __init__(self, *args: Any, workloads: "QuerySet[Workload]", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose(self, "workload", workloads)


class ExperimentForm(MappingForm):
    """A new experiment."""

    name = forms.CharField(label="Name", max_length=120)
    field_order = ["key", "name", "workload", "activity", "country"]  # noqa: RUF012 - Django never changes it
    field_of: ClassVar = {**MappingForm.field_of, "name_missing": "name", "name_taken": "name"}


class ProjectTokenForm(ActForm):
    """A token for the clients of a project."""

    name = forms.CharField(label="Where it is used", max_length=100)
    level = forms.ChoiceField(label="It may", choices=ProjectToken.Level.choices, initial="write")
    days = forms.IntegerField(label="It ends after", min_value=1, max_value=tokens.MAX_LIFE.days, initial=365)
    field_of: ClassVar = {
        "token_name_missing": "name",
        "token_level_unknown": "level",
        "token_life_out_of_range": "days",
    }

    @property
    def life(self) -> timedelta:
        """How long the token lives."""
        return timedelta(days=self.cleaned_data["days"])


class TakeForm(ActForm):
    """The period whose runs go into its draft."""

    period = forms.ModelChoiceField(queryset=Period.objects.none(), label="Period", empty_label=None)
    field_of: ClassVar = {"no_runs": "period", "period_not_open": "period", "operator_not_liable": "period"}

    def __init__(self, *args: Any, periods: "QuerySet[Period]", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose(self, "period", periods)


def _choose(form: forms.Form, name: str, rows: "QuerySet[Any]") -> Any:
    """Give a field its choices."""
    field = form.fields[name]
    assert isinstance(field, forms.ModelChoiceField)
    field.queryset = rows
    return field
