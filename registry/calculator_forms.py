"""The form of a calculator, made from its table; and the form by which the desk loads published trainings."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.safestring import SafeString

from common.errors import Refused
from common.forms import ActForm, DayField
from registry.importers import epoch
from registry.services.calculators.parts import Calculator, Input, InputsRefused, Kind, Outcome

SHOWN_OFFERS = 12


class _TypedField(forms.Field):
    """A field that its calculator reads."""

    def __init__(self, of: Input, **options: Any) -> None:
        super().__init__(required=of.required, **options)
        self.of = of

    def clean(self, value: Any) -> Any:
        """Read it, or show the sentence beside the field."""
        try:
            self.of.read(value or "")
        except Refused as refusal:
            raise ValidationError(refusal.sentence, code=refusal.code) from refusal
        return value


class CalculatorForm(forms.Form):
    """The inputs of one calculator. It is sent by GET, so that the address of the page holds every figure."""

    def __init__(self, calculator: Calculator, typed: Mapping[str, str], now: datetime) -> None:
        super().__init__({one.name: typed.get(one.name, one.default) for one in calculator.inputs})
        self.calculator, self.now = calculator, now
        for one in calculator.inputs:
            self.fields[one.name] = _field(one, now)

    def outcome(self) -> Outcome | None:
        """Work it out; where a figure makes no sense, its field says so and there is nothing."""
        if not self.is_valid():
            return None
        try:
            return self.calculator.run(self.data, self.now)
        except InputsRefused as refused:
            for one in refused.refusals:
                self.add_error(one.name, ValidationError(one.sentence, code=one.code))
        except Refused as refusal:
            self.add_error(None, ValidationError(refusal.sentence, code=refusal.code))
        return None

    @property
    def with_units(self) -> list[tuple[forms.BoundField, str | SafeString]]:
        """The fields in order, each with its unit."""
        return [(self[one.name], one.unit if one.kind is not Kind.ROWS else "") for one in self.calculator.inputs]


def _field(one: Input, now: datetime) -> forms.Field:
    said = one.help
    if one.offers is not None:
        offered = one.offers(now)
        names = ", ".join(offered[:SHOWN_OFFERS]) + (" ..." if len(offered) > SHOWN_OFFERS else "")
        said = f"{said} Loaded: {names or 'none yet'}."
    words: dict[str, Any] = {"label": one.label, "help_text": said}
    widget: forms.Widget
    if one.kind is Kind.TICK:
        return forms.BooleanField(required=False, **words)
    if one.kind is Kind.CHOICE:
        widget = forms.Select(choices=one.choices)
    elif one.kind is Kind.ROWS:
        widget = forms.Textarea(attrs={"rows": 6, "spellcheck": "false"})
    elif one.kind is Kind.DAY:
        widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
    elif one.kind in (Kind.WHOLE, Kind.DECIMAL):
        widget = forms.TextInput(attrs={"inputmode": "text", "autocomplete": "off", "spellcheck": "false"})
    else:
        widget = forms.TextInput(attrs={"autocomplete": "off"})
    return _TypedField(one, widget=widget, **words)


class ReferenceForm(ActForm):
    """Epoch AI's file of models, and the day on which it was fetched."""

    file = forms.FileField(
        help_text="notable_ai_models.csv of epoch.ai, CC BY 4.0. All rows are taken, or none; every error is named.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    retrieved_on = DayField(label="Fetched on")
    field_of: ClassVar = {"retrieved_on_implausible": "retrieved_on", "no_training_compute": "file"}

    def clean_file(self) -> bytes:
        """Return the file's bytes, as many as there may be."""
        sent = self.cleaned_data["file"]
        if sent.size > epoch.LIMITS.max_bytes:
            raise ValidationError("The file is too large.", code="file_too_large")
        content: bytes = sent.read()
        return content
