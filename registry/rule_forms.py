"""Forms for rules: one typed form for each kind of value, made from the catalogue, and the forms of a change.

The fields collect what a person typed; the catalogue's own reader says what is wrong with it, as everywhere else.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from django import forms
from django.core.files.uploadedfile import UploadedFile

from common.forms import ActForm, DayField
from registry.engine.parameters import PARAMETERS, Parameter
from registry.engine.parameters.kinds import (
    Amount,
    ByName,
    ByYear,
    Choice,
    Count,
    Day,
    Json,
    Kind,
    ListOf,
    MonthDay,
    Record,
    Span,
    Text,
    TimeOfDay,
    Whole,
    YearDay,
    YesNo,
)
from registry.services.rules import LARGEST_FILE, REASONS

EMPTY_ROWS = 2
"""How many empty entries stand below those of a list, for more."""

YEARS = (("-1", "the year before use"), ("0", "the year of use"), ("1", "the year after use"), ("2", "two years after"))


def fields_for(
    kind: Kind, name: str, label: str, value: Json, *, top: bool = False
) -> Iterator[tuple[str, forms.Field]]:
    """Make the fields in which a value of a kind is typed, filled with a value that there is already."""
    match kind:
        case YesNo():
            choices = [("", "not set"), ("true", "Yes"), ("false", "No")]
            yield name, forms.ChoiceField(label=label, choices=choices, required=top, initial=_spelt(value))
        case Choice(options):
            choices = [("", "not set"), *((option, option) for option in options)]
            yield name, forms.ChoiceField(label=label, choices=choices, required=top, initial=value)
        case Day():
            yield name, DayField(label=label, required=top, initial=value)
        case TimeOfDay():
            widget = forms.TextInput(attrs={"type": "time"})
            yield name, forms.CharField(label=label, required=top, initial=value, widget=widget)
        case YearDay():
            years, day = _year_day(value)
            choices = [("", "not set"), *YEARS] if not top else list(YEARS)
            yield (
                f"{name}-year",
                forms.ChoiceField(label=f"{label}: year", choices=choices, required=top, initial=years),
            )
            yield (
                f"{name}-day",
                _line(f"{label}: month and day", day, top, help_text="Month and day, such as 09-30."),
            )
        case Whole() | Count():
            yield name, _line(label, value, top, inputmode="numeric")
        case Amount():
            yield name, _line(label, value, top, inputmode="decimal", help_text=_bounds(kind))
        case MonthDay():
            yield name, _line(label, value, top, help_text="Month and day, such as 03-31.")
        case Text():
            yield name, _line(label, value, top)
        case Record(_, parts):
            given = value if isinstance(value, Mapping) else {}
            for part, inner in parts.items():
                yield from fields_for(inner, f"{name}-{part}", _named(label, part), given.get(part))
        case Span():
            days = value if isinstance(value, Mapping) else {}
            for part in ("first", "last"):
                yield (
                    f"{name}-{part}",
                    DayField(label=_named(label, f"{part}_day"), required=False, initial=days.get(part)),
                )
        case ListOf(Record() | Span() as item):
            rows = list(value or [])
            for place, row in enumerate([*rows, *[None] * EMPTY_ROWS]):
                yield from fields_for(item, f"{name}-{place}", "", row)
        case ListOf(item):
            offered = f" Choose from {', '.join(item.options)}." if isinstance(item, Choice) else ""
            lines = "\n".join(str(each) for each in value or [])
            yield name, _lines(label, lines, f"One on each line, in order.{offered}")
        case ByYear(item) | ByName(item):
            what = "year" if isinstance(kind, ByYear) else "name"
            shape = f"{what} / year = value" if isinstance(item, ByYear) else f"{what} = value"
            yield name, _lines(label, "\n".join(_pairs(value or {})), f"One on each line, as {shape}.")
        case _:
            raise AssertionError(kind)


def typed(kind: Kind, name: str, given: Mapping[str, Any]) -> Json:
    """Return the JSON that the fields of a kind stand for; None where nothing was typed."""
    match kind:
        case YesNo():
            return {"true": True, "false": False}.get(given.get(name) or "")
        case Day():
            return _said(given.get(name)) or None
        case YearDay():
            years, day = given.get(f"{name}-year") or "", _said(given.get(f"{name}-day"))
            return None if not day else f"Y{int(years or 0):+d} {day}".replace("Y+0", "Y")
        case Count():
            text = _said(given.get(name))
            return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else text or None
        case Record(_, parts):
            record = {part: typed(inner, f"{name}-{part}", given) for part, inner in parts.items()}
            return {part: value for part, value in record.items() if value not in (None, {}, [])} or None
        case Span():
            days = {part: given.get(f"{name}-{part}") for part in ("first", "last")}
            return {part: str(day) for part, day in days.items() if day} or None
        case ListOf(Record() | Span() as item):
            rows, place = [], 0
            while any(key.startswith(f"{name}-{place}-") for key in given):
                rows.append(typed(item, f"{name}-{place}", given))
                place += 1
            return [row for row in rows if row is not None]
        case ListOf(item):
            return [_typed_line(item, line) for line in _lines_of(given.get(name))]
        case ByYear(item) | ByName(item):
            return _typed_pairs(item, _lines_of(given.get(name)))
        case _:
            return _said(given.get(name)) or None


def _named(label: str, part: str) -> str:
    """Name a part of an entry: Trigger, start year."""
    words = part.replace("_", " ")
    return f"{label}, {words}" if label else words[0].upper() + words[1:]


def _said(value: object) -> str:
    return "" if value is None else str(value).strip()


def _typed_line(item: Kind, line: str) -> Json:
    return int(line) if isinstance(item, Count) and line.isascii() and line.isdigit() and len(line) <= 9 else line


def _typed_pairs(item: Kind, lines: list[str]) -> Json:
    """Read lines such as 2027 = 0.043, or exposed / 2027 = 1 where each name has values by year."""
    read: dict[str, Any] = {}
    for line in lines:
        key, _, text = (part.strip() for part in line.rpartition("="))
        if isinstance(item, ByYear):
            outer, _, year = (part.strip() for part in key.rpartition("/"))
            read.setdefault(outer, {})[year] = _typed_line(item.item, text)
        else:
            read[key] = _typed_line(item, text)
    return read


def _pairs(value: Mapping[str, Json]) -> Iterator[str]:
    for key, each in value.items():
        if isinstance(each, Mapping):
            yield from (f"{key} / {line}" for line in _pairs(each))
        else:
            yield f"{key} = {each}"


def _lines_of(text: object) -> list[str]:
    return [line.strip() for line in str(text or "").splitlines() if line.strip()]


def _line(label: str, value: Json, required: bool, inputmode: str = "text", help_text: str = "") -> forms.CharField:
    widget = forms.TextInput(attrs={"inputmode": inputmode, "autocomplete": "off"})
    return forms.CharField(
        label=label, required=required, initial=value, widget=widget, max_length=320, help_text=help_text
    )


def _lines(label: str, value: str, help_text: str) -> forms.CharField:
    rows = min(12, max(3, value.count("\n") + 2))
    return forms.CharField(
        label=label,
        required=False,
        initial=value,
        help_text=help_text,
        widget=forms.Textarea(attrs={"rows": rows, "autocomplete": "off", "class": "code"}),
    )


def _bounds(kind: Amount) -> str:
    return f"{kind.word[0].upper()}{kind.word[1:]}, written exactly, from {kind.least:f} to {kind.most:,f}."


def _spelt(value: Json) -> str:
    return "" if value is None else str(value).lower()


def _year_day(value: Json) -> tuple[str, str]:
    if not isinstance(value, str):
        return "", ""
    year, _, day = value.partition(" ")
    return str(int(year[1:] or 0)), day


class RuleForm(forms.Form):
    """One rule as a person types it: its value by kind, the days on which it holds, and where it comes from."""

    take_back = forms.BooleanField(
        label="Take the rule back",
        required=False,
        help_text="From the first day on its default holds; the value above does not count.",
    )
    valid_from = DayField(label="Holds from", help_text="The first day, in the scheme's zone.")
    valid_to = DayField(
        label="Until", required=False, help_text="The first day on which it does not hold any more. Empty: no end."
    )
    source = forms.CharField(
        label="Source",
        max_length=500,
        help_text="The law, order or decision it comes from.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    use_required_attribute = False  # who takes a rule back types no value

    def __init__(self, parameter: Parameter, value: Json, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.parameter = parameter
        values = dict(fields_for(parameter.kind, "value", "Value", value, top=True))
        self.value_names = tuple(values)
        self.fields = values | self.fields
        if self.data.get("take_back"):
            for name in values:
                self.fields[name].required = False

    @property
    def unit(self) -> str:
        """What stands after the one figure that the value is; nothing after a value of another kind."""
        return self.parameter.unit if isinstance(self.parameter.kind, Whole | Count | Amount) else ""

    @property
    def value_groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields of the value, those of one entry of a list together under its legend."""
        groups: dict[str, list[forms.BoundField]] = {}
        for name in self.value_names:
            place = name.removeprefix("value-").partition("-")[0]
            legend = f"Entry {int(place) + 1}" if place.isdigit() else ""
            groups.setdefault(legend, []).append(self[name])
        return list(groups.items())

    @property
    def other_fields(self) -> list[forms.BoundField]:
        """Every field that is not part of the value."""
        return [field for field in self.visible_fields() if field.name not in self.value_names]

    def entry(self) -> dict[str, Json]:
        """Return the rule as a document carries it."""
        given = self.cleaned_data
        value = None if given["take_back"] else typed(self.parameter.kind, "value", given)
        entry = {
            "name": self.parameter.name,
            "valid_from": given["valid_from"].isoformat(),
            "valid_to": given["valid_to"].isoformat() if given["valid_to"] else None,
            "source": " ".join(given["source"].split()),
        }
        if value is None and not given["take_back"]:
            return entry  # the reader says that the value is missing
        return entry | {"value": value}


class PickRuleForm(forms.Form):
    """Which rule to edit."""

    name = forms.ChoiceField(
        label="Rule",
        choices=[(parameter.name, f"{parameter.name}: {parameter.title}") for parameter in PARAMETERS.values()],
    )


class DocumentForm(ActForm):
    """A rule document as a file."""

    document = forms.FileField(
        label="Rule document",
        help_text="JSON of the form headroom.scheme-rules/1, up to 2 MB.",
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
    )
    field_of: ClassVar[Mapping[str, str]] = {"document_unreadable": "document", "file_too_large": "document"}

    def content(self) -> bytes:
        """Return the file; of one that is too large, only enough to be refused."""
        sent: UploadedFile[bytes] = self.cleaned_data["document"]
        content: bytes = sent.read(LARGEST_FILE + 1)
        return content


class ProposeRulesForm(ActForm):
    """What a change is called, and why it may touch what is past or locked."""

    title = forms.CharField(label="What changes", max_length=200, help_text="A line for those who read the history.")
    reason_code = forms.ChoiceField(
        label="Reason",
        required=False,
        choices=[("", "None needed"), *REASONS.items()],
        help_text="Needed only where a rule begins in the past or in a locked year.",
    )
    field_of: ClassVar[Mapping[str, str]] = {
        "title_missing": "title",
        "reason_needed": "reason_code",
        "reason_unknown": "reason_code",
    }
