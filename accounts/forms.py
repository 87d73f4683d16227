"""Forms of the accounts app: deciding on a proposal, and making an API token."""

from datetime import timedelta
from typing import ClassVar

from django import forms

from accounts.models import ApiToken, Organisation
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
