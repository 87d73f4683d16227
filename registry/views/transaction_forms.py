"""Forms of the pages about transactions."""

from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet

from common.forms import ActForm, WholeField
from registry.forms import FromAccountForm
from registry.ledger.models import Asset, LedgerAccount
from registry.services.transactions import TYPES, Request
from registry.services.transactions.terms import Terms
from registry.services.transactions.types import Finds


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


class DeskForm(ActForm):
    """Permits that the regulator moves by order, from and to accounts of its choice."""

    kind = forms.ChoiceField(
        label="Type", choices=[(name, row.title) for name, row in TYPES.items() if row.by_desk], widget=forms.Select
    )
    sender = forms.CharField(
        label="From account",
        max_length=40,
        help_text="Number of a central account; of the holder's account for a closure transfer.",
        widget=forms.TextInput(attrs={"list": "central-accounts"}),
    )
    to_number = forms.CharField(
        label="To account",
        max_length=40,
        required=False,
        help_text="Number of a central account. A closure transfer goes to the total quantity: leave this empty.",
        widget=forms.TextInput(attrs={"list": "central-accounts"}),
    )
    permits = forms.ModelChoiceField(
        label="Permits", queryset=Asset.objects.filter(kind="permit").order_by("code"), to_field_name="code"
    )
    quantity = WholeField(label="Quantity")
    reason = forms.CharField(
        label="Reason", max_length=500, help_text="The rule or order it follows. Those concerned will read it."
    )
    field_of: ClassVar = {
        "sender_kind_wrong": "sender",
        "sender_closed": "sender",
        "sender_frozen": "sender",
        "account_number_wrong": "to_number",
        "account_unknown": "to_number",
        "account_frozen": "to_number",
        "receiver_kind_wrong": "to_number",
        "receiver_of_another_scheme": "to_number",
        "same_account": "to_number",
        "quantity_out_of_range": "quantity",
        "insufficient_available": "quantity",
        "serials_frozen": "quantity",
        "reason_missing": "reason",
    }

    def clean_sender(self) -> LedgerAccount:
        """Find the account, of whomever it is."""
        account = LedgerAccount.objects.filter(number=self.cleaned_data["sender"].strip()).first()
        if account is None:
            raise forms.ValidationError(
                "There is no account of this number. Compare it with the list.", code="sender_unknown"
            )
        return account

    @property
    def asked(self) -> Request:
        """What was typed, as the service takes it."""
        typed = self.cleaned_data
        return Request(
            kind=typed["kind"],
            sender=typed["sender"],
            asset=typed["permits"],
            quantity=typed["quantity"],
            to_number=typed["to_number"].strip() if TYPES[typed["kind"]].finds is Finds.NAMED else "",
            reason=typed.get("reason", ""),
        )


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
