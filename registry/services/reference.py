"""Published trainings: loading Epoch AI's file as a dated reference, and reading it for comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection, transaction

from accounts.models import User
from accounts.services import audit
from common.errors import require
from registry.engine.rounding import half_up
from registry.importers.epoch import parse_notable_models
from registry.importers.table import BadFile
from registry.models import ReferenceSet, ReferenceTraining
from registry.permissions import regulator_of
from registry.services.versions import RowsRefused

CREDIT = "Epoch AI, Data on AI Models, epoch.ai, CC BY 4.0"

_NUMBERING = 71_205
"""The advisory lock under which versions are numbered."""


@dataclass(frozen=True)
class Known:
    """One published training, as comparisons read it."""

    model: str
    organisations: Sequence[str]
    training_flop: int | None
    parameters: Decimal | None
    hardware: str
    confidence: str


@transaction.atomic(durable=True)
def load(*, actor: User, content: bytes, retrieved_on: date, now: datetime) -> ReferenceSet:
    """Load Epoch AI's file of models as the next version; all of it or nothing. The same file again is its version.

    Models without known training compute are left out: they tell nothing.
    """
    regulator = regulator_of(actor)
    require(
        date(2020, 1, 1) <= retrieved_on <= now.date(),
        "retrieved_on_implausible",
        "Say on which day the file was fetched from its source: a day that has come.",
    )
    read = parse_notable_models(content)
    if isinstance(read, BadFile):
        raise RowsRefused(read.errors)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NUMBERING])
    earlier = ReferenceSet.objects.filter(sha256=read.sha256).first()
    if earlier is not None:
        return earlier
    trained = [one for one in read.models if one.training_flop]
    require(bool(trained), "no_training_compute", "No model of this file has its training compute. Check the file.")
    last = ReferenceSet.objects.order_by("-version").first()
    made = ReferenceSet.objects.create(
        version=last.version + 1 if last else 1,
        retrieved_on=retrieved_on,
        rows=len(trained),
        sha256=read.sha256,
        loaded_by=actor,
        loaded_at=now,
    )
    ReferenceTraining.objects.bulk_create(
        (
            ReferenceTraining(
                reference_set=made,
                model=one.model,
                organisations=list(one.organisations),
                published_on=one.published_on,
                training_flop=Decimal(one.training_flop or 0),
                parameters=None if one.parameters is None else half_up(one.parameters),
                hardware=one.hardware,
                confidence=one.confidence,
            )
            for one in trained
        ),
        batch_size=1000,
    )
    audit.record(
        actor,
        "registry.reference.loaded",
        made,
        at=now,
        organisation=regulator,
        version=made.version,
        rows=made.rows,
        sha256=made.sha256,
    )
    return made


def latest() -> ReferenceSet | None:
    """Return the version that counts, where one is loaded."""
    return ReferenceSet.objects.order_by("-version").first()


def known_trainings() -> list[Known]:
    """Return the published trainings of the latest version."""
    found = latest()
    if found is None:
        return []
    rows = found.trainings.values_list(
        "model", "organisations", "training_flop", "parameters", "hardware", "confidence"
    )
    return [
        Known(model, organisations, int(flop), parameters, hardware, confidence)
        for model, organisations, flop, parameters, hardware, confidence in rows
    ]


def credit() -> str:
    """Return whom to name for these data, with the version and its day."""
    found = latest()
    return f"{CREDIT}; {found} of {found.retrieved_on.isoformat()}" if found else CREDIT
