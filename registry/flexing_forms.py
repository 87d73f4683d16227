"""Forms of two-tier inference: tariffs, forecasts, flex events, claims, and the assumptions of a plan."""

import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from common.errors import Refused
from common.forms import ActForm, DayField, ExactField, WholeField
from common.quantities import parse_decimal, parse_whole
from registry.models import SigningKey, Tariff, Workload
from registry.services.flexing.claims import Asked
from registry.services.flexing.events import EventTold
from registry.services.flexing.planning import BOUNDS, LATER, LOWER, Assumptions, Bounds
from registry.services.flexing.tariffs import Offered, PointOffered

_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}):00(?::00)?Z?", re.ASCII)


class HourField(forms.Field):
    """A full UTC hour, typed as 2026-03-03 04:00."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.TextInput(attrs={"placeholder": "2026-03-03 04:00", "autocomplete": "off"}))
        super().__init__(**options)

    def to_python(self, value: Any) -> datetime | None:
        """Read it, or say what an hour looks like."""
        return None if value in self.empty_values else read_hour(str(value))


def read_hour(text: str) -> datetime:
    """Read a full UTC hour such as 2026-03-03 04:00 or 2026-03-03T04:00:00Z."""
    match = _INSTANT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError(text)
        return datetime.fromisoformat(f"{match[1]}T{match[2]}:00").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValidationError("Write a full UTC hour such as 2026-03-03 04:00.", code="hour_not_full") from error


class NumberField(WholeField):
    """A whole number that may be zero."""

    def read(self, text: str) -> int:
        """Read it by the one parser."""
        return parse_whole(text, minimum=0)


class TariffForm(ActForm):
    """The terms of a tariff and its operating points."""

    name = forms.CharField(max_length=120, help_text="A name that is there already gets its next version.")
    tier = forms.ChoiceField(choices=Tariff.Tier.choices, initial="green")
    discount = ExactField(help_text="Share of the full price, such as 0.1 for ten per cent.")
    accuracy_floor = ExactField(label="Lowest accuracy", help_text="From 0 to 1, on the task you name in your terms.")
    latency_ceiling_ms = ExactField(label="Longest latency", help_text="In milliseconds, for a request not put off.")
    flex_cap = ExactField(
        label="Cap on flexing",
        required=False,
        help_text="Largest share of the green requests of an hour that may be flexed.",
    )
    hours_per_day = NumberField(
        label="High-carbon hours a day", required=False, help_text="The dirtiest hours by the forecast; or leave empty."
    )
    percentile = ExactField(
        label="Or above the percentile", required=False, help_text="Such as 75: the dirtiest quarter of the day."
    )
    shift_hours = NumberField(
        label="Put off by at most", required=False, help_text="In hours; 0 or empty where requests never wait."
    )
    notice_hours = NumberField(
        label="Notice",
        required=False,
        help_text="Hours before the day begins (UTC) by which its forecast is published.",
    )
    points = forms.CharField(
        label="Operating points",
        max_length=2000,
        help_text="One a line, full quality first: code, accuracy, latency in ms, kWh per request. "
        "Such as full, 0.9, 800, 0.00034.",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )
    valid_from = DayField(label="First day (UTC)")
    valid_until = DayField(label="Last day", required=False)
    field_of: ClassVar = {
        "name_missing": "name",
        "tier_differs": "name",
        "tier_unknown": "tier",
        "discount_out_of_range": "discount",
        "accuracy_floor_out_of_range": "accuracy_floor",
        "full_below_floor": "accuracy_floor",
        "latency_ceiling_out_of_range": "latency_ceiling_ms",
        "flex_cap_out_of_range": "flex_cap",
        "full_tier_never_flexes": "tier",
        "high_hours_missing": "hours_per_day",
        "hours_per_day_out_of_range": "hours_per_day",
        "percentile_out_of_range": "percentile",
        "shift_hours_out_of_range": "shift_hours",
        "notice_out_of_range": "notice_hours",
        "nothing_to_flex": "points",
        "points_missing": "points",
        "point_code_malformed": "points",
        "point_quality_out_of_range": "points",
        "point_energy_out_of_range": "points",
        "full_not_best": "points",
        "tariff_backdated": "valid_from",
        "tariff_version_too_early": "valid_from",
        "tariff_days_out_of_order": "valid_until",
    }

    def clean_points(self) -> list[PointOffered]:
        """Read the points, or name every line that is none."""
        found, errors = [], []
        for place, line in enumerate(self.cleaned_data["points"].splitlines(), start=1):
            if not line.strip():
                continue
            try:
                code, *figures = (part.strip() for part in line.split(","))
                accuracy, latency, energy = map(parse_decimal, figures)
                found.append(PointOffered(code, accuracy, latency, energy))
            except (ValueError, Refused):
                sentence = "Line %(place)s: write code, accuracy, latency, kWh per request."
                errors.append(ValidationError(sentence, "point_unreadable", {"place": place}))
        if errors:
            raise ValidationError(errors)
        return found

    @property
    def offered(self) -> Offered:
        """The terms as they were typed."""
        said = self.cleaned_data
        return Offered(
            tier=said["tier"],
            discount=said["discount"],
            accuracy_floor=said["accuracy_floor"],
            latency_ceiling_ms=said["latency_ceiling_ms"],
            points=said["points"],
            flex_cap=said["flex_cap"] or Decimal(0),
            hours_per_day=said["hours_per_day"],
            percentile=said["percentile"],
            shift_hours=said["shift_hours"] or 0,
            notice_hours=said["notice_hours"] or 0,
        )


class TariffEndForm(ActForm):
    """The last day of a tariff."""

    last_day = DayField(label="Last day (UTC)")
    field_of: ClassVar = {"tariff_backdated": "last_day", "tariff_ends_already": "last_day"}


class ForecastForm(ActForm):
    """What is expected of a day."""

    zone = forms.CharField(max_length=20, help_text="Grid zone as on your sites, such as CISO.")
    day = DayField(label="Day (UTC)", help_text="A day that has not begun.")
    values = forms.CharField(
        label="The 24 hours",
        max_length=2000,
        help_text="g CO2e/kWh of hours 0 to 23 UTC, with spaces, commas or lines between them.",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "inputmode": "decimal"}),
    )
    source = forms.CharField(max_length=200, help_text="Who made it and how.")
    field_of: ClassVar = {
        "zone_malformed": "zone",
        "forecast_in_hindsight": "day",
        "forecast_too_early": "day",
        "forecast_incomplete": "values",
        "forecast_out_of_range": "values",
        "source_missing": "source",
    }

    def clean_values(self) -> list[Decimal]:
        """Read the figures."""
        try:
            return [parse_decimal(part) for part in re.split(r"[\s,;]+", self.cleaned_data["values"].strip()) if part]
        except Refused as refusal:
            raise ValidationError(refusal.sentence, refusal.code) from refusal


class TariffChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Versions of tariffs to choose from."""

    def label_from_instance(self, obj: Tariff) -> str:
        """Say which version and since when."""
        return f"{obj.name} v{obj.version}, from {obj.valid_from}"


class StreamChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Serving streams to choose from."""

    def label_from_instance(self, obj: Workload) -> str:
        """Say where it serves."""
        return f"{obj.name} at {obj.system.site.name} ({obj.system.site.zone})"


class _OfStreamForm(ActForm):
    """Something about a green tariff and a stream of one's own."""

    tariff = TariffChoice(queryset=Tariff.objects.none(), empty_label=None)
    workload = StreamChoice(label="Serving stream", queryset=Workload.objects.none(), empty_label=None)

    def __init__(self, *args: Any, tariffs: "QuerySet[Tariff]", streams: "QuerySet[Workload]", **options: Any) -> None:
        super().__init__(*args, **options)
        for name, rows in (("tariff", tariffs), ("workload", streams)):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = rows


class EventsForm(_OfStreamForm):
    """Requests that were flexed, hour by hour."""

    told = forms.CharField(
        label="Flexed requests",
        max_length=500_000,
        help_text="One a line: hour, point, requests, and the hour of service where they waited. Such as "
        "2026-03-03 04:00, small, 20000.",
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )
    field_of: ClassVar = dict.fromkeys(
        (
            "hour_not_full",
            "hour_not_over",
            "tariff_not_valid",
            "point_unknown",
            "nothing_flexed",
            "served_before",
            "requests_out_of_range",
            "event_recorded_already",
            "forecast_missing",
            "events_out_of_range",
        ),
        "told",
    )

    def clean_told(self) -> list[EventTold]:
        """Read the lines, or name every one that cannot be read."""
        found, errors = [], []
        for place, line in enumerate(self.cleaned_data["told"].splitlines(), start=1):
            if not line.strip():
                continue
            try:
                hour, point, requests, *later = (part.strip() for part in line.split(","))
                if len(later) > 1:
                    raise ValueError(line)
                served_at = read_hour(later[0]) if later else None
                found.append(EventTold(read_hour(hour), point, parse_whole(requests), served_at))
            except (ValueError, Refused, ValidationError):
                sentence = "Line %(place)s: write hour, point, requests, and the hour of service where they waited."
                errors.append(ValidationError(sentence, "event_unreadable", {"place": place}))
        if errors:
            raise ValidationError(errors)
        return found


class ClaimForm(_OfStreamForm):
    """What a claim is to be about."""

    starts_at = HourField(label="From (UTC)")
    ends_at = HourField(label="To (UTC)", help_text="The first hour that is not claimed any more.")
    subscribers = WholeField(label="Subscribers of the stream", help_text="On average in these hours.")
    subscribers_before = WholeField(label="Subscribers a year earlier", required=False)
    field_of: ClassVar = {
        "hour_not_full": "starts_at",
        "hours_out_of_order": "ends_at",
        "hours_not_over": "ends_at",
        "hours_too_many": "ends_at",
        "subscribers_out_of_range": "subscribers",
    }

    @property
    def asked(self) -> Asked:
        """The claim as it was asked for."""
        said = self.cleaned_data
        return Asked(
            said["tariff"],
            said["workload"],
            said["starts_at"],
            said["ends_at"],
            said["subscribers"],
            said["subscribers_before"],
        )


class AttestForm(ActForm):
    """The verifier's statement: signed here with a passphrase, or outside and pasted."""

    findings = forms.CharField(
        max_length=4000,
        help_text="What you looked at and what you found. It is part of what you sign.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    key_id = forms.ChoiceField(label="Key")
    passphrase = forms.CharField(
        required=False,
        max_length=200,
        help_text="Of a key that is kept here.",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    signature = forms.CharField(
        required=False,
        max_length=200,
        help_text="Or the signature that your own program made over the document, in base64.",
    )
    field_of: ClassVar = {
        "findings_missing": "findings",
        "key_unknown": "key_id",
        "key_not_valid": "key_id",
        "key_not_kept": "signature",
        "passphrase_wrong": "passphrase",
        "signature_unreadable": "signature",
        "signature_invalid": "signature",
    }

    def __init__(self, *args: Any, keys: "QuerySet[SigningKey]", **options: Any) -> None:
        super().__init__(*args, **options)
        field = self.fields["key_id"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(key.key_id, f"{key.name} ({key.key_id[:8]})") for key in keys]


class BoundedField(forms.Field):
    """A figure of a plan; what it may be is said once, in the service."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(
            label=bounds.label,
            widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        )
        self.unit = bounds.unit

    def to_python(self, value: Any) -> Decimal | None:
        """Read it."""
        if value in self.empty_values:
            return None
        try:
            return parse_decimal(str(value))
        except (Refused, InvalidOperation) as error:
            raise ValidationError("Enter a number with digits and at most one point, for example 12.5.") from error


GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Who asks, and how it is flexed",
        ("mode", "requests_per_hour", "green_share", "flexed_share", "flex_cap", "hours_per_day", "shift_hours"),
    ),
    ("Full quality", ("full_wh", "full_accuracy", "full_latency_ms", "full_tflop")),
    ("The lower point", ("low_wh", "low_accuracy", "low_latency_ms", "low_tflop")),
    ("Floors", ("accuracy_floor", "latency_ceiling_ms")),
    ("Prices", ("electricity_per_kwh", "co2_per_tonne", "compute_per_exaflop", "request_price")),
    ("What subscribers want", ("accuracy_weight", "consciousness", "utility_value")),
)
"""The assumptions as the page groups them."""


class PlanForm(forms.Form):
    """A zone, a year, and the assumptions of a plan. It is read from the address, so that a plan can be shared."""

    place = forms.ChoiceField(label="Zone and year")
    mode = forms.ChoiceField(
        label="Flexed requests are",
        choices=[(LOWER, "served at once at the lower point"), (LATER, "served later at full quality")],
    )

    def __init__(self, *args: Any, places: list[tuple[str, int]], **options: Any) -> None:
        super().__init__(*args, **options)
        field = self.fields["place"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(f"{zone}:{year}", f"{zone} in {year}") for zone, year in places]
        for name, bounds in BOUNDS.items():
            self.fields[name] = BoundedField(bounds)

    @property
    def assumptions(self) -> Assumptions:
        """What was typed."""
        names = {each.name for each in fields(Assumptions)}
        return replace(Assumptions(), **{name: self.cleaned_data[name] for name in names})

    def refuse(self, refusals: tuple[Refused, ...]) -> None:
        """Show each refusal beside the figure that it is about."""
        for refusal in refusals:
            name = refusal.code.removesuffix("_out_of_range")
            self.add_error(name if name in self.fields else None, ValidationError(refusal.sentence, refusal.code))

    def groups(self) -> list[tuple[str, list[tuple[forms.BoundField, str]]]]:
        """Return the fields in their groups, each with its unit."""
        return [
            (title, [(self[name], getattr(self.fields[name], "unit", "")) for name in names]) for title, names in GROUPS
        ]
