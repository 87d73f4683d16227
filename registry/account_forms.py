"""The forms of accounts, groups, identity documents and freezes."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Organisation, User
from common.forms import ActForm, DayField, ReasonForm, WholeField
from registry.ledger.models import Asset
from registry.models import Operator, Scheme
from registry.services import identity
from registry.services.accounts import KINDS, SETTABLE
from registry.services.transactions.terms import Terms

GRADE_LABELS = {
    "open": "Open: does everything",
    "restricted": "Restricted: surrenders and returns only",
    "receive_only": "Receive only: sends nothing",
    "suspended": "Suspended: neither sends nor receives",
    "frozen": "Frozen: nobody moves anything, the ledger refuses",
}
KIND_LABELS = {
    "holding": "Holding: holds, trades and surrenders",
    "trading": "Trading: holds and trades",
    "compliance": "Compliance: one way, for surrender only",
    "consignment": "Consignment: gives permits to the auction",
    "delivery": "Auction delivery: receives what was won",
}


class GradeForm(ReasonForm):
    """Another grade for an account."""

    grade = forms.ChoiceField(label="Grade", choices=[(grade, GRADE_LABELS[grade]) for grade in SETTABLE])
    field_of: ClassVar = {"reason_missing": "reason", "grade_unknown": "grade"}
    field_order = ["key", "grade", "reason"]  # noqa: RUF012 - Django reads it and never changes it


class ReopeningForm(GradeForm):
    """The grade that a frozen account gets back."""

    grade = forms.ChoiceField(
        label="Grade", choices=[(grade, GRADE_LABELS[grade]) for grade in SETTABLE if grade != "frozen"]
    )


class OrganisationField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A firm or lab to choose."""

    def __init__(self, **options: Any) -> None:
        super().__init__(queryset=Organisation.objects.filter(kind__in=["firm", "lab"]).order_by("name"), **options)


class HolderForm(ActForm):
    """The new holder of an account."""

    holder = OrganisationField(label="New holder", empty_label="Choose one")
    agreement = forms.CharField(label="Contract or decision", max_length=200, help_text="Kept with the journal.")
    field_of: ClassVar = {
        "agreement_missing": "agreement",
        "same_holder": "holder",
        "holder_operates_already": "holder",
        "holder_cannot_hold": "holder",
        "holder_not_active": "holder",
    }


class TermsForm(ActForm):
    """The holder's own rules for sending from an account."""

    second_person_always = forms.BooleanField(
        label="Every transfer needs a second person, also to trusted accounts", required=False
    )
    outside_list = forms.BooleanField(label="Transfers to accounts off the trusted list are allowed", required=False)
    second_person_for_surrender = forms.BooleanField(label="Surrender needs a second person", required=False)
    confirms_incoming = forms.BooleanField(label="What arrives waits until we accept it", required=False)
    transfer_limit = WholeField(
        label="Largest single transfer", required=False, help_text="In permits. Empty for no limit of your own."
    )
    field_of: ClassVar = {"transfer_limit_out_of_range": "transfer_limit"}

    @property
    def terms(self) -> Terms:
        """The rules as the service takes them."""
        return Terms(**{name: value for name, value in self.cleaned_data.items() if name != "key"})


class OpeningForm(ActForm):
    """A further account for a holder."""

    holder = OrganisationField(label="Holder", empty_label="Choose one")
    kind = forms.ChoiceField(label="Kind", choices=[(kind, KIND_LABELS[kind]) for kind in KINDS])
    operator = forms.ModelChoiceField(
        label="Operator",
        queryset=Operator.objects.filter(closed_on=None).select_related("organisation", "scheme"),
        required=False,
        empty_label="None",
        help_text="For a compliance or consignment account: whose of which scheme.",
    )
    label = forms.CharField(label="Name of the account", max_length=200)
    field_of: ClassVar = {
        "account_kind_unknown": "kind",
        "too_many_accounts": "kind",
        "operator_missing": "operator",
        "operator_closed": "operator",
        "holder_cannot_hold": "holder",
        "holder_not_active": "holder",
        "identity_outstanding": "holder",
        "account_label_missing": "label",
    }


class ShutdownForm(ReasonForm):
    """The day on which an operator stopped."""

    closed_on = DayField(label="Stopped on")
    field_of: ClassVar = {
        "reason_missing": "reason",
        "shutdown_to_come": "closed_on",
        "shutdown_before_first_year": "closed_on",
    }
    field_order = ["key", "closed_on", "reason"]  # noqa: RUF012 - Django reads it and never changes it


class GroupForm(ActForm):
    """A new corporate group."""

    name = forms.CharField(label="Name of the group", max_length=200)
    field_of: ClassVar = {"group_exists": "name", "group_name_missing": "name"}


class MemberForm(ReasonForm):
    """An organisation that joins a group: a firm or lab, or a verifier, which may not verify the others then."""

    organisation = forms.ModelChoiceField(
        label="Organisation",
        queryset=Organisation.objects.filter(kind__in=["firm", "lab", "verifier"]).order_by("name"),
        empty_label="Choose one",
    )
    field_of: ClassVar = {
        "reason_missing": "reason",
        "member_of_a_group": "organisation",
        "holder_cannot_hold": "organisation",
    }
    field_order = ["key", "organisation", "reason"]  # noqa: RUF012 - Django reads it and never changes it


class DocumentRequestForm(ActForm):
    """A document that a holder or one of its people is asked for."""

    organisation = forms.ModelChoiceField(
        label="Organisation", queryset=Organisation.objects.exclude(kind="regulator").order_by("name"), empty_label=None
    )
    kind = forms.ChoiceField(label="Document", choices=list(identity.KINDS.items()))
    person = forms.EmailField(
        label="Person's e-mail address", required=False, help_text="Empty for a document of the organisation itself."
    )
    due_on = DayField(label="Due on")
    field_of: ClassVar = {
        "due_day_past": "due_on",
        "person_not_a_member": "person",
        "document_requested_already": "kind",
        "document_kind_unknown": "kind",
    }

    def clean_person(self) -> User | None:
        """Find the person by address."""
        address = self.cleaned_data["person"]
        if not address:
            return None
        person = User.objects.filter(email__iexact=address).first()
        if person is None:
            raise ValidationError("Nobody with this address has an account here.", code="person_unknown")
        return person


class UploadForm(ActForm):
    """A document to send in."""

    file = forms.FileField(
        label="File",
        help_text="PDF, PNG or JPEG, up to 5 MB. It is kept with its SHA-256 and never shown in a page.",
        widget=forms.FileInput(attrs={"accept": ".pdf,.png,.jpg,.jpeg"}),
    )
    field_of: ClassVar = {"file_empty": "file", "file_too_large": "file", "file_type_unknown": "file"}

    def clean_file(self) -> tuple[str, bytes]:
        """Look at the size before anything is read."""
        sent = self.cleaned_data["file"]
        if (sent.size or 0) > identity.MAX_BYTES:
            raise ValidationError("The file is larger than 5 MB. Scan it more coarsely.", code="file_too_large")
        return sent.name or "", sent.read()


class AcceptForm(ActForm):
    """Until when an accepted document is good."""

    expires_on = DayField(label="Good until")
    field_of: ClassVar = {"expired_already": "expires_on"}


class SchemeFreezeForm(ReasonForm):
    """A freeze of a scheme, or of every one."""

    scheme = forms.ModelChoiceField(
        label="Scheme", queryset=Scheme.objects.order_by("name"), required=False, empty_label="Every scheme"
    )
    field_of: ClassVar = {"reason_missing": "reason", "frozen_already": "scheme"}
    field_order = ["key", "scheme", "reason"]  # noqa: RUF012 - Django reads it and never changes it


class SerialFreezeForm(ReasonForm):
    """A freeze of permit numbers."""

    asset = forms.ModelChoiceField(
        label="Permits", queryset=Asset.objects.filter(kind=Asset.Kind.PERMIT).order_by("code"), empty_label=None
    )
    first = WholeField(label="First number")
    last = WholeField(label="Last number")
    field_of: ClassVar = {
        "reason_missing": "reason",
        "serials_out_of_order": "last",
        "serials_not_issued": "last",
        "serials_stopped_already": "first",
    }
    field_order = ["key", "asset", "first", "last", "reason"]  # noqa: RUF012 - Django reads it and never changes it


class SerialSearchForm(forms.Form):
    """One permit number to look for."""

    asset = forms.ModelChoiceField(
        label="Permits",
        queryset=Asset.objects.filter(kind=Asset.Kind.PERMIT).order_by("code"),
        to_field_name="code",
        empty_label=None,
    )
    number = WholeField(label="Number")


class AccountSearchForm(forms.Form):
    """What an account is looked for by."""

    number = forms.CharField(label="Number", required=False, max_length=30)
    holder = forms.CharField(label="Holder", required=False, max_length=200)
    kind = forms.ChoiceField(label="Kind", required=False)
    grade = forms.ChoiceField(label="Grade", required=False)

    def __init__(self, *args: Any, kinds: list[tuple[str, str]], grades: list[tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["kind"].choices = [("", "Any kind"), *kinds]  # type: ignore[attr-defined]
        self.fields["grade"].choices = [("", "Any grade"), *grades]  # type: ignore[attr-defined]
