"""Form fields and the base of every form that asks for one act: typed quantities, the act's key, refusals as errors."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from common.errors import Forbidden, Refused, SeveralRefusals, Unknown
from common.quantities import parse_decimal, parse_money, parse_whole

FIRST_YEAR, LAST_YEAR = 1900, 2200
"""Days outside these years are typing mistakes, and the calendar ends near the last year it can count."""


class _Typed(forms.Field):
    """A figure that a person types, read by common.quantities like everywhere else."""

    inputmode: ClassVar[str]

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.TextInput(attrs={"inputmode": self.inputmode, "autocomplete": "off"}))
        super().__init__(**options)

    def to_python(self, value: Any) -> int | Decimal | None:
        """Read the figure, or show the parser's sentence beside the field."""
        if value in self.empty_values:
            return None
        try:
            return self.read(str(value))
        except Refused as refusal:
            raise ValidationError(refusal.sentence, code=refusal.code) from refusal

    def read(self, text: str) -> int | Decimal:
        """Read what was typed; refuse what is no such figure."""
        raise NotImplementedError


class WholeField(_Typed):
    """A whole number above zero."""

    inputmode = "numeric"

    def read(self, text: str) -> int:
        """Read it by the one parser."""
        return parse_whole(text)


class MoneyField(_Typed):
    """An amount of money with at most two places, kept in minor units."""

    inputmode = "decimal"

    def read(self, text: str) -> int:
        """Read it by the one parser."""
        return parse_money(text)


class ExactField(_Typed):
    """An exact number that is not negative."""

    inputmode = "decimal"

    def read(self, text: str) -> Decimal:
        """Read it by the one parser."""
        return parse_decimal(text)


class DayField(forms.DateField):
    """A day, picked or typed as 2027-01-31."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))
        super().__init__(input_formats=["%Y-%m-%d"], **options)

    def to_python(self, value: Any) -> date | None:
        """Say what a day looks like when something else was typed."""
        try:
            day = super().to_python(value)
        except ValidationError as error:
            raise ValidationError("Enter a day such as 2027-01-31.", code="not_a_day") from error
        if day is not None and not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise ValidationError(f"Enter a day from {FIRST_YEAR} to {LAST_YEAR}.", code="day_out_of_range")
        return day


class ActForm(forms.Form):
    """A form that asks for one act. Its key, made when the form is shown, lets a second click have no second effect.

    `field_of` says beside which field the refusal of a code is shown; the others stand at the head of the form.
    """

    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    field_of: ClassVar[Mapping[str, str]] = {}

    def refuse(self, refusal: Refused) -> None:
        """Show a refusal, and give the next attempt a key of its own: it may ask for something else."""
        for each in refusal.refusals if isinstance(refusal, SeveralRefusals) else (refusal,):
            self.add_error(self.field_of.get(each.code), ValidationError(each.sentence, code=each.code))
        self._renew_key()

    def clean(self) -> dict[str, Any] | None:
        """Replace a key that is missing or damaged, so that sending the form again works."""
        if "key" in self.errors:
            self._renew_key()
        return super().clean()

    def _renew_key(self) -> None:
        assert isinstance(self.data, QueryDict), "Only what a browser sent is refused."
        renewed = self.data.copy()
        renewed[self.add_prefix("key")] = str(uuid.uuid4())
        self.data = renewed


class ReasonForm(ActForm):
    """Why: one sentence for whoever is concerned."""

    reason = forms.CharField(
        max_length=500,
        help_text="One sentence that those concerned will read.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    field_of: ClassVar[Mapping[str, str]] = {"reason_missing": "reason"}


@contextmanager
def refusals_shown_in(form: ActForm) -> Iterator[None]:
    """Turn a refusal inside the block into an error of the form.

    What the person may not do, or may not know of, stays a page of its own, unless a field asked for it.
    """
    try:
        yield
    except Refused as refusal:
        if isinstance(refusal, Forbidden | Unknown) and refusal.code not in form.field_of:
            raise
        form.refuse(refusal)
