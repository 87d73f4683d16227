"""Forms of bulk work: the file, and what was read of it to be confirmed."""

import base64
import binascii
from typing import ClassVar

from django import forms
from django.core.exceptions import ValidationError

from common.forms import ActForm
from registry.importers.bulk import LIMITS


class TableForm(ActForm):
    """A table to look at."""

    file = forms.FileField(
        label="Table",
        allow_empty_file=True,  # the importer says what is wrong with it
        help_text="CSV or XLSX, up to 2,000 rows and 2 MB. Choose the file, or drop it on the field.",
        widget=forms.FileInput(
            attrs={
                "accept": ".csv,text/csv,.xlsx,application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "class": "drop",
            }
        ),
    )

    def clean_file(self) -> tuple[str, bytes]:
        """Look at the size before anything is read."""
        sent = self.cleaned_data["file"]
        if (sent.size or 0) > LIMITS.max_bytes:
            raise ValidationError("The file is larger than 2 MB. Send it in parts.", code="file_too_large")
        return sent.name or "", sent.read()


class ConfirmForm(ActForm):
    """The table that was looked at, byte for byte: nothing of it is kept here before it is confirmed."""

    name = forms.CharField(max_length=300, required=False, widget=forms.HiddenInput)
    content = forms.CharField(widget=forms.HiddenInput, max_length=LIMITS.max_bytes * 4 // 3 + 4, strip=True)
    field_of: ClassVar = {}

    def clean_content(self) -> bytes:
        """Give back the bytes of the file."""
        try:
            return base64.b64decode(self.cleaned_data["content"], validate=True)
        except binascii.Error as error:
            raise ValidationError("The table did not arrive whole. Choose the file again.", code="damaged") from error

    @staticmethod
    def of(name: str, content: bytes) -> "ConfirmForm":
        """Return the form for a file that was looked at."""
        return ConfirmForm(initial={"name": name[:300], "content": base64.b64encode(content).decode()})
