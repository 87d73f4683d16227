"""The bodies that a CodeCarbon client sends while it measures: a run, an increment, and the totals of the webhook.

Numbers arrive as decimals with the digits that the client wrote, and leave as such. A body with faults is refused with
all of them, each by the name of its field. Descriptions that are too long are cut: the body itself is kept beside them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from uuid import UUID

from registry.importers.codecarbon import (
    HIGHEST_PUE,
    LONGEST_RUN_S,
    MOST_EMISSIONS_KG,
    MOST_ENERGY_KWH,
    MOST_POWER_W,
    NO_RUN,
)

KEPT = Decimal(1).scaleb(-30)
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)

MOST_DEVICES = 10**7
MOST_MEMORY_GB = Decimal(10**9)

_COUNTRY = re.compile(r"[A-Z]{3}", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


@dataclass(frozen=True)
class FieldError:
    """One fault of a body: its field, a stable code, and what to do about it."""

    field: str
    code: str
    sentence: str


@dataclass(frozen=True)
class Moment:
    """A client's time. Where it says no zone, `at` is its wall clock written as UTC."""

    at: datetime
    has_zone: bool


@dataclass(frozen=True)
class ClientRun:
    """What a client says of the machine and of itself."""

    moment: Moment
    experiment_id: UUID | None
    label: str
    country: str
    region: str
    provider: str
    os: str
    python_version: str
    client_version: str
    cpu_count: int | None
    cpu_model: str
    gpu_count: int | None
    gpu_model: str
    ram_gb: Decimal | None
    tracking_mode: str
    pue: Decimal | None


@dataclass(frozen=True)
class ClientReading:
    """What a client measured; `run_id` is None where it wrote none."""

    run_id: UUID | None
    moment: Moment
    duration_s: Decimal
    cpu_energy_kwh: Decimal
    gpu_energy_kwh: Decimal
    ram_energy_kwh: Decimal
    energy_kwh: Decimal
    cpu_power_w: Decimal
    gpu_power_w: Decimal
    ram_power_w: Decimal
    claimed_co2e_kg: Decimal


@dataclass(frozen=True)
class ClientExperiment:
    """What a client says of a new experiment; of a new project or token it says less of the same."""

    project_id: UUID | None
    organisation_id: UUID | None
    name: str
    description: str
    country: str
    country_name: str
    region: str
    on_cloud: bool
    cloud_provider: str
    cloud_region: str


Body = Mapping[str, object]


def read_run(body: Body) -> "ClientRun | tuple[FieldError, ...]":
    """Read the body of POST /runs."""
    fields = Fields(body)
    run = _run(fields, provider="provider")
    if run.experiment_id is None:
        fields.refuse("experiment_id", "required", "Set experiment_id to the id of one of your experiments.")
    return tuple(fields.errors) or run


def read_increment(body: Body) -> "ClientReading | tuple[FieldError, ...]":
    """Read the body of POST /emissions."""
    fields = Fields(body)
    reading = _reading(fields, claimed="emissions_sum")
    if reading.run_id is None:
        fields.refuse("run_id", "required", "Send the id with which we answered POST /runs.")
    if not reading.moment.has_zone:
        fields.refuse("timestamp", "zone_missing", "Write the time with its zone, as in 2030-03-01T12:00:00+00:00.")
    return tuple(fields.errors) or reading


def read_experiment(body: Body) -> "ClientExperiment | tuple[FieldError, ...]":
    """Read the body of POST /experiments, /projects and /projects/<id>/api-tokens."""
    fields = Fields(body)
    experiment = ClientExperiment(
        project_id=fields.identity("project_id"),
        organisation_id=fields.identity("organization_id"),
        name=fields.text("name", 120),
        description=fields.text("description", 500),
        country=fields.country(),
        country_name=fields.text("country_name", 120),
        region=fields.text("region", 120),
        on_cloud=fields.body.get("on_cloud") is True,
        cloud_provider=fields.text("cloud_provider", 120),
        cloud_region=fields.text("cloud_region", 120),
    )
    return tuple(fields.errors) or experiment


def read_totals(body: Body) -> "tuple[ClientRun, ClientReading] | tuple[FieldError, ...]":
    """Read the body that a client sends to its emissions_endpoint: the row of its CSV file."""
    fields = Fields(body)
    run, reading = _run(fields, provider="cloud_provider"), _reading(fields, claimed="emissions")
    return tuple(fields.errors) or (run, reading)


class Fields:
    """The fields of one body, read one by one; every fault is collected."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.errors: list[FieldError] = []

    def refuse(self, field: str, code: str, sentence: str) -> None:
        """Note a fault, the first of each field."""
        if all(error.field != field for error in self.errors):
            self.errors.append(FieldError(field, code, sentence))

    def text(self, field: str, longest: int) -> str:
        """Read a description, cut to what is kept; a number is written out."""
        value = self.body.get(field)
        if value is None:
            return ""
        if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
            self.refuse(field, "not_text", "Send text.")
            return ""
        return " ".join(str(value).replace("\x00", " ").split())[:longest]

    def number(
        self, field: str, highest: Decimal, *, above_zero: bool = False, required: bool = True
    ) -> Decimal | None:
        """Read a figure from 0 up to a bound, with every digit that is kept."""
        value = self.body.get(field)
        if value is None:
            if required:
                self.refuse(field, "required", "Send this figure.")
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.refuse(field, "not_a_number", "Send a number.")
            return None
        number = Decimal(value)
        if not number.is_finite() or not 0 <= number <= highest or (above_zero and number == 0):
            least = "more than 0" if above_zero else "0"
            self.refuse(field, "number_out_of_range", f"Send a number from {least} up to {highest:.0e}.")
            return None
        return number.quantize(KEPT, context=_EXACT)

    def whole(self, field: str, highest: int) -> int | None:
        """Read a count."""
        number = self.number(field, Decimal(highest), required=False)
        if number is not None and number != int(number):
            self.refuse(field, "not_whole", "Send a whole number.")
            return None
        return None if number is None else int(number)

    def identity(self, field: str) -> UUID | None:
        """Read a UUID; nothing, an empty text and the client's own "None" are none."""
        value = self.body.get(field)
        if value in (None, "", NO_RUN):
            return None
        if isinstance(value, str) and _UUID.fullmatch(value):
            return UUID(value)
        self.refuse(field, "not_an_id", "Send the id as a UUID with its hyphens.")
        return None

    def moment(self, field: str) -> Moment:
        """Read a time, with or without its zone."""
        value = self.body.get(field)
        if isinstance(value, str) and _MOMENT.fullmatch(value):
            try:
                read = datetime.fromisoformat(value)
                at = read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
            except (ValueError, OverflowError):
                pass
            else:
                if 2000 <= at.year < 2200:
                    return Moment(at, read.tzinfo is not None)
        self.refuse(field, "not_a_time", "Write the time as in 2030-03-01T12:00:00+00:00, in a year from 2000 on.")
        return Moment(datetime(2000, 1, 1, tzinfo=UTC), True)

    def country(self) -> str:
        """Read the country."""
        return self.choice(
            "country_iso_code", _COUNTRY.fullmatch, "Write the country in three capital letters, as in FRA."
        )

    def choice(self, field: str, accepts: Callable[[str], object], sentence: str) -> str:
        """Read a short word of which only some are known; nothing is allowed."""
        value = self.text(field, 100)
        if value and not accepts(value):
            self.refuse(field, "not_known", sentence)
        return value


def _run(fields: Fields, *, provider: str) -> ClientRun:
    return ClientRun(
        moment=fields.moment("timestamp"),
        experiment_id=fields.identity("experiment_id"),
        label=fields.text("project_name", 120),
        country=fields.country(),
        region=fields.text("region", 120),
        provider=fields.text(provider, 120),
        os=fields.text("os", 200),
        python_version=fields.text("python_version", 60),
        client_version=fields.text("codecarbon_version", 40),
        cpu_count=fields.whole("cpu_count", MOST_DEVICES),
        cpu_model=fields.text("cpu_model", 200),
        gpu_count=fields.whole("gpu_count", MOST_DEVICES),
        gpu_model=fields.text("gpu_model", 200),
        ram_gb=_places(fields.number("ram_total_size", MOST_MEMORY_GB, required=False), 15),
        tracking_mode=fields.choice(
            "tracking_mode", ("machine", "process").__contains__, "The tracking mode is machine or process."
        ),
        pue=_places(fields.number("pue", HIGHEST_PUE, required=False), 4),
    )


def _reading(fields: Fields, *, claimed: str) -> ClientReading:
    zero = Decimal(0)
    energies = {
        f"{name}_kwh": fields.number(name, MOST_ENERGY_KWH) or zero
        for name in ("cpu_energy", "gpu_energy", "ram_energy")
    }
    powers = {
        f"{name}_w": fields.number(name, MOST_POWER_W, required=False) or zero
        for name in ("cpu_power", "gpu_power", "ram_power")
    }
    return ClientReading(
        run_id=fields.identity("run_id"),
        moment=fields.moment("timestamp"),
        duration_s=fields.number("duration", LONGEST_RUN_S, above_zero=True) or zero,
        energy_kwh=fields.number("energy_consumed", MOST_ENERGY_KWH) or zero,
        claimed_co2e_kg=fields.number(claimed, MOST_EMISSIONS_KG) or zero,
        **energies,
        **powers,
    )


def _places(number: Decimal | None, places: int) -> Decimal | None:
    return None if number is None else number.quantize(Decimal(1).scaleb(-places), context=_EXACT)
