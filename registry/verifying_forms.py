"""The forms of verifying: appointing, declaring, checking, finding, signing; keys and accreditations."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from accounts.models import Organisation
from common.errors import Refused
from common.forms import ActForm, DayField, ReasonForm
from common.quantities import parse_decimal
from registry.engine.verification import CHECKLIST, CONFLICTS
from registry.models import ChecklistAnswer, Finding, Period, ReportLine, Scheme, SigningKey, VerifierStatement

LONG = 2000


class SignedField(forms.CharField):
    """An exact number that may be below zero."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.TextInput(attrs={"inputmode": "text", "autocomplete": "off"}))
        super().__init__(**options)

    def clean(self, value: Any) -> Any:
        """Read it by the one parser, with a minus before it where there is one."""
        text = str(super().clean(value) or "").strip().replace("\N{MINUS SIGN}", "-")
        try:
            number = parse_decimal(text.removeprefix("-")) if text else Decimal(0)
        except Refused as refusal:
            raise ValidationError(refusal.sentence, code=refusal.code) from refusal
        return -number if text.startswith("-") else number


class AppointForm(ActForm):
    """Whom to ask, for which period."""

    period: "forms.ModelChoiceField[Period]" = forms.ModelChoiceField(
        label="Period", queryset=Period.objects.none(), empty_label=None
    )
    verifier: "forms.ModelChoiceField[Organisation]" = forms.ModelChoiceField(
        label="Verifier",
        queryset=Organisation.objects.none(),
        empty_label=None,
        help_text="Those that hold an accreditation today.",
    )
    field_of: ClassVar = {
        "verifier_not_accredited": "verifier",
        "verifier_not_independent": "verifier",
        "verifier_rotation": "verifier",
        "not_a_verifier": "verifier",
        "verifier_appointed_already": "period",
    }

    def __init__(
        self, *args: Any, periods: "QuerySet[Period]", verifiers: "QuerySet[Organisation]", **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.fields["period"].queryset = periods  # type: ignore[attr-defined]
        self.fields["verifier"].queryset = verifiers  # type: ignore[attr-defined]


class DeclarationForm(ActForm):
    """The declaration with which a verifier accepts."""

    note = forms.CharField(label="Remark", max_length=LONG, required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for code, question in reversed(CONFLICTS.items()):
            field = forms.ChoiceField(label=question, choices=[("no", "No"), ("yes", "Yes")], widget=forms.RadioSelect)
            self.fields = {code: field, **self.fields}

    def conflicts(self) -> dict[str, bool]:
        """Return the answer to each question."""
        return {code: self.cleaned_data[code] == "yes" for code in CONFLICTS}


class ChecklistForm(ActForm):
    """An answer to one item of the checklist."""

    item = forms.ChoiceField(label="Item", choices=[(code, title) for code, title in CHECKLIST.items()])
    outcome = forms.ChoiceField(label="Outcome", choices=ChecklistAnswer.Outcome.choices)
    note = forms.CharField(label="What you did and saw", max_length=LONG, widget=forms.Textarea(attrs={"rows": 3}))
    field_of: ClassVar = {"note_missing": "note", "review_missing": "outcome"}


class FindingForm(ActForm):
    """A finding to write down."""

    kind = forms.ChoiceField(label="Kind", choices=Finding.Kind.choices)
    text = forms.CharField(label="What you found", max_length=LONG, widget=forms.Textarea(attrs={"rows": 3}))
    quantity = SignedField(
        label="Effect on the quantity",
        required=False,
        max_length=60,
        help_text="Reported minus right, with - where too little was reported. Of a misstatement only.",
    )
    line = forms.IntegerField(label="Line", required=False, min_value=0, max_value=2**31 - 1)
    due_on = DayField(label="Answer by", required=False)
    field_of: ClassVar = {
        "text_missing": "text",
        "quantity_without_misstatement": "quantity",
        "quantity_out_of_range": "quantity",
        "line_unknown": "line",
        "due_day_past": "due_on",
    }


class AnswerForm(ActForm):
    """What the operator did about a finding."""

    answer = forms.CharField(label="What you did about it", max_length=LONG, widget=forms.Textarea(attrs={"rows": 2}))
    field_of: ClassVar = {"answer_missing": "answer"}


class ClosingForm(ActForm):
    """What settles a finding."""

    closing = forms.CharField(label="What settles it", max_length=LONG, widget=forms.Textarea(attrs={"rows": 2}))
    corrected = forms.BooleanField(label="A newer version of the report puts it right", required=False)
    field_of: ClassVar = {"reason_missing": "closing", "nothing_corrected": "corrected"}


class OpinionForm(ActForm):
    """The verifier's opinion, and how it is signed."""

    opinion = forms.ChoiceField(label="Opinion", choices=VerifierStatement.Opinion.choices, widget=forms.RadioSelect)
    findings = forms.CharField(
        label="Comments",
        required=False,
        max_length=5000,
        help_text="What the regulator should know. A negative opinion returns the report with them.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    signing_key = forms.ChoiceField(label="Sign with")
    passphrase = forms.CharField(
        label="Passphrase",
        required=False,
        strip=False,
        max_length=200,
        help_text="Of a key that is kept here.",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    signature = forms.CharField(
        label="Signature",
        required=False,
        max_length=200,
        help_text="Of a key that you keep: download the document, sign its bytes, paste the signature in base64.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    field_of: ClassVar = {
        "opinion_unknown": "opinion",
        "findings_missing": "findings",
        "opinion_too_good": "opinion",
        "misstatements_material": "opinion",
        "key_unknown": "signing_key",
        "key_not_valid": "signing_key",
        "key_not_kept": "signature",
        "passphrase_wrong": "passphrase",
        "signature_invalid": "signature",
        "signature_unreadable": "signature",
    }

    def __init__(self, *args: Any, signing_keys: Iterable[SigningKey] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["signing_key"].choices = [  # type: ignore[attr-defined]
            (key.key_id, f"{key.name} ({key.key_id[:8]}, {'kept here' if key.private_pem else 'kept by you'})")
            for key in signing_keys
        ]


class MakeKeyForm(ActForm):
    """A key that is made here and kept under a passphrase."""

    name = forms.CharField(label="Name", max_length=80, help_text="For your colleagues, such as Office.")
    passphrase = forms.CharField(
        label="Passphrase",
        strip=False,
        max_length=200,
        help_text="15 characters or more. It is not kept: who loses it revokes the key.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    field_of: ClassVar = {"name_missing": "name", "passphrase_too_short": "passphrase"}


class RegisterKeyForm(ActForm):
    """The public half of a key that the organisation keeps."""

    name = forms.CharField(label="Name", max_length=80)
    public_key = forms.CharField(
        label="Public key",
        max_length=400,
        help_text="PEM, or 32 bytes in base64.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    proof = forms.CharField(label="Proof", max_length=120, widget=forms.TextInput(attrs={"spellcheck": "false"}))
    field_of: ClassVar = {
        "name_missing": "name",
        "public_key_unreadable": "public_key",
        "public_key_weak": "public_key",
        "key_registered_already": "public_key",
        "proof_invalid": "proof",
    }


class RevokeForm(ReasonForm):
    """Why a key signs nothing any more."""


class AccreditationForm(ActForm):
    """What a verifier may verify, and from when to when."""

    verifier: "forms.ModelChoiceField[Organisation]" = forms.ModelChoiceField(
        label="Verifier", queryset=Organisation.objects.filter(kind="verifier").order_by("name"), empty_label=None
    )
    scheme: "forms.ModelChoiceField[Scheme]" = forms.ModelChoiceField(
        label="Scheme", queryset=Scheme.objects.order_by("code"), empty_label=None
    )
    reference = forms.CharField(label="Accreditation body and number", max_length=100)
    activities = forms.MultipleChoiceField(
        label="Activities", choices=ReportLine.Activity.choices, widget=forms.CheckboxSelectMultiple
    )
    valid_from = DayField(label="First day")
    valid_until = DayField(label="Last day")
    field_of: ClassVar = {
        "not_a_verifier": "verifier",
        "reference_missing": "reference",
        "activity_unknown": "activities",
        "dates_out_of_order": "valid_until",
    }


class AccreditationMoveForm(ReasonForm):
    """Suspend, restore or withdraw an accreditation."""

    status = forms.ChoiceField(
        label="Becomes", choices=[("suspended", "Suspended"), ("valid", "Valid again"), ("withdrawn", "Withdrawn")]
    )
    accreditation = forms.UUIDField(widget=forms.HiddenInput)
