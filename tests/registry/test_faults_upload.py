"""A reader that is killed: the next one goes on from the last committed step, and no row is lost or counted twice."""

import io
import os
import subprocess
import sys
from decimal import Decimal

import pytest

from registry.models import DraftLine, Period, Upload
from registry.services import operators
from registry.services.drafting import drafts, filing, reading, uploads
from tests import cast
from tests.cast import Clock, Party, Regulator
from tests.registry.test_service_drafting import csv, run
from tests.worker import CHECKOUT, database_url

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 100


@pytest.fixture
def upload(regulator: Regulator, period: Period, acme: Party, clock: Clock) -> Upload:
    """An upload of some rows that nobody has read yet."""
    scheme = cast.co2e_scheme(regulator)
    operator = operators.enrol(
        actor=regulator.desk,
        scheme=scheme,
        organisation=acme.organisation,
        cohort="large",
        first_year=cast.YEAR,
        now=cast.OPENING,
    )
    open_period = cast.capped(regulator, cast.period_of(regulator, scheme))
    clock.move_to(cast.REPORTING)
    draft = drafts.open_draft(actor=acme.initiator, operator=operator, period=open_period, now=clock.now())
    return uploads.receive(
        actor=acme.initiator,
        draft=draft,
        name="emissions.csv",
        file=io.BytesIO(csv(*(run(number, f"{number}.125") for number in range(1, ROWS + 1)))),
        options={"activity": "inference"},
        now=clock.now(),
    )


def read(upload: Upload, place: str, step: int) -> int:
    """Let a process read the upload; return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "tests.registry.mortal_reader", place, str(upload.pk), str(step)],
        cwd=CHECKOUT,
        env=os.environ | {"DATABASE_URL": database_url()},
        timeout=120,
        check=False,
    ).returncode


def test_a_reader_killed_in_every_place_doubles_and_loses_no_row(upload: Upload) -> None:
    progress = [0]
    for place in ("before", "inside", "written"):
        assert read(upload, place, 2) == -9
        upload.refresh_from_db()
        progress.append(upload.rows_read)
        assert upload.status == "reading"
        assert filing.totals(upload.draft)["energy_kwh"] == 0, "nothing counts yet"
        assert DraftLine.objects.filter(upload=upload).count() == upload.rows_read, "steps are whole"
    assert sorted(set(progress)) == progress, "each one did a step before it died"
    assert uploads.sweep() == 1, "the sweep rings for what a dead reader left"

    assert reading.read_upload(upload.pk) is False

    upload.refresh_from_db()
    assert (upload.status, upload.rows) == ("read", ROWS)
    assert list(DraftLine.objects.order_by("source_line").values_list("source_line", flat=True)) == [
        *range(2, ROWS + 2)
    ]
    assert filing.totals(upload.draft)["energy_kwh"] == sum(number + Decimal("0.125") for number in range(1, ROWS + 1))
