"""Forms of the pages about transactions."""

from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet

from common.forms import ActForm, WholeField
from registry.forms import FromAccountForm
from registry.ledger.models import LedgerAccount
from registry.services.transactions.terms import Terms


class CancellationForm(FromAccountForm):
    """Permits to take out of use, and for whom."""

    quantity = WholeField(label="Quantity")
    beneficiary = forms.CharField(
        label="Beneficiary",
        max_length=200,
        help_text="The certificate names them. Everybody who has its number reads it.",
    )
    agreement = forms.CharField(
        label="Occasion",
        max_length=200,
        required=False,
        help_text="Such as: for the compute of our 2026 summer school.",
    )
    field_of: ClassVar = {
        "quantity_out_of_range": "quantity",
        "insufficient_available": "quantity",
        "serials_frozen": "quantity",
        "debt_outstanding": "quantity",
        "beneficiary_missing": "beneficiary",
    }


class AccountChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """One of one's own accounts."""

    def label_from_instance(self, obj: LedgerAccount) -> str:
        """Say its number and what it is for."""
        return f"{obj.number} ({obj.get_kind_display().lower()})"


class TrustForm(ActForm):
    """An account to which transfers shall go without delay."""

    account = AccountChoice(label="Your account", queryset=LedgerAccount.objects.none(), empty_label=None)
    number = forms.CharField(
        label="Account to trust", max_length=40, help_text="Such as HR-100-0000042-17. Ask its holder for it."
    )
    note = forms.CharField(label="Note", max_length=200, required=False)
    field_of: ClassVar = {
        "account_number_wrong": "number",
        "account_unknown": "number",
        "own_account_trusted": "number",
        "trusted_already": "number",
    }

    def __init__(self, *args: Any, accounts: "QuerySet[LedgerAccount]", **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["account"].queryset = accounts  # type: ignore[attr-defined]


class TermsForm(ActForm):
    """The holder's own rules for sending from its account."""

    second_person_always = forms.BooleanField(
        label="Every transfer needs a second person", required=False, help_text="Those to trusted accounts too."
    )
    outside_list = forms.BooleanField(label="Transfers to accounts off the trusted list are allowed", required=False)
    second_person_for_surrender = forms.BooleanField(
        label="Surrenders and returns need a second person", required=False
    )
    confirms_incoming = forms.BooleanField(
        label="What arrives waits until we accept it",
        required=False,
        help_text="Until then the sender may take it back.",
    )
    transfer_limit = WholeField(
        label="Largest single transfer", required=False, help_text="Empty for no limit of your own."
    )
    field_of: ClassVar = {"transfer_limit_out_of_range": "transfer_limit"}

    @property
    def terms(self) -> Terms:
        """The rules as they were typed."""
        return Terms(**{name: value for name, value in self.cleaned_data.items() if name != "key"})
