"""Forms of the accounts app: taking tasks on, and making an API token."""

import uuid
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.http import QueryDict

from accounts.models import ApiToken, Organisation, User
from accounts.services.tasks import colleagues
from accounts.services.tokens import MAX_LIFE
from common.forms import ActForm, WholeField


class TokenForm(ActForm):
    """What a new token is for, and how much it may do."""

    name = forms.CharField(
        label="What is it for?", max_length=100, help_text="For example: nightly export to our books."
    )
    scope = forms.ChoiceField(label="It may", choices=ApiToken.Scope.choices, initial="read", widget=forms.RadioSelect)
    days = WholeField(label="Valid for", initial="30", help_text=f"1 to {MAX_LIFE.days} days.")
    field_of: ClassVar = {
        "token_name_missing": "name",
        "token_scope_unknown": "scope",
        "auditors_only_read": "scope",
        "token_life_out_of_range": "days",
    }

    @property
    def life(self) -> timedelta:
        """How long the token will live."""
        return timedelta(days=min(self.cleaned_data["days"], 36_500))


class ActForForm(forms.Form):
    """The organisation to act for."""

    organisation = forms.ModelChoiceField(Organisation.objects.all())


class ClaimForm(ActForm):
    """The tasks that were ticked, and the colleague who gets them if it is not oneself."""

    tasks = forms.TypedMultipleChoiceField(coerce=uuid.UUID)
    to = forms.ModelChoiceField(User.objects.filter(is_active=True), required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        ticked = self.data.getlist("tasks") if isinstance(self.data, QueryDict) else []
        self.fields["tasks"].choices = [(one, one) for one in ticked if _is_uuid(one)]  # type: ignore[attr-defined]
        self.fields["tasks"].error_messages["required"] = "Tick at least one task."


class NoteForm(ActForm):
    """A word on a task, for whoever looks at it next."""

    note = forms.CharField(max_length=500, required=False, widget=forms.Textarea(attrs={"rows": 2}))


class AssignForm(NoteForm):
    """Which colleague gets a task."""

    to = forms.ModelChoiceField(User.objects.none(), label="Colleague")
    field_order = ("to", "note")

    def __init__(self, *args: Any, organisation: Organisation, **options: Any) -> None:
        super().__init__(*args, **options)
        people = [person.pk for person in colleagues(organisation)]
        self.fields["to"].queryset = User.objects.filter(pk__in=people).order_by("name")  # type: ignore[attr-defined]


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
