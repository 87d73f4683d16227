"""The examples of the guides, sent as files into one draft: what their importers read becomes lines of a report."""

import io
from decimal import Decimal

import pytest

from registry.importers.formats import FORMATS
from registry.models import Draft, DraftLine, Upload
from registry.services import operators
from registry.services.drafting import drafts, reading, uploads
from tests import cast
from tests.cast import Clock, Party, Regulator
from tests.registry.reading import read
from tests.registry.test_format_guides import examples

IT_FORMATS = ("boamps", "impact_framework", "ai_energy_score", "nvml", "rapl")
UNPROVEN_PUE = Decimal("1.5")


@pytest.fixture
def draft(regulator: Regulator, period: object, acme: Party, clock: Clock) -> Draft:
    """The draft of Acme in a scheme that counts CO2e."""
    scheme = cast.co2e_scheme(regulator)
    operator = operators.enrol(
        actor=regulator.desk,
        scheme=scheme,
        organisation=acme.organisation,
        cohort="large",
        first_year=cast.YEAR,
        now=cast.OPENING,
    )
    of_carbon = cast.capped(regulator, cast.period_of(regulator, scheme))
    clock.move_to(cast.REPORTING)
    return drafts.open_draft(actor=acme.initiator, operator=operator, period=of_carbon, now=clock.now())


def send(draft: Draft, by: Party, clock: Clock, code: str, content: bytes, options: dict[str, str]) -> Upload:
    """Send a file as a person does, and read it as the worker does."""
    upload = uploads.receive(
        actor=by.initiator,
        draft=draft,
        name=f"{code}.txt",
        file=io.BytesIO(content),
        format=code,
        options={**options, "activity": "inference"},
        now=clock.now(),
    )
    reading.read_upload(upload.pk)
    upload.refresh_from_db()
    return upload


def test_every_example_becomes_lines_whose_energy_takes_the_pue_once(draft: Draft, acme: Party, clock: Clock) -> None:
    codes = [code for code in FORMATS if code not in ("epoch", "prometheus", "template")]
    for code in codes:
        content, options, _ = examples(code)[0]

        upload = send(draft, acme, clock, code, content.replace(b"2027-", b"2026-"), options)

        assert (upload.status, upload.errors) == ("read", []), code
        found = read(FORMATS[code].parse(content, options))
        lines = DraftLine.objects.filter(upload=upload)
        said = sum((line.energy.kwh for line in found.lines if line.energy is not None), Decimal(0))
        times = UNPROVEN_PUE if code in IT_FORMATS else 1
        assert sum(line.energy_kwh for line in lines) == said * times, code
        assert all(line.co2e_g > 0 for line in lines)
        assert ("pue_unproven" in {flag["code"] for flag in upload.flags}) == (code in IT_FORMATS)


def test_the_same_run_in_two_formats_counts_once(draft: Draft, acme: Party, clock: Clock) -> None:
    run = "8a3b2c1d-0000-4000-8000-000000000001"
    table, _, _ = examples("codecarbon")[0]
    report = b'{"header": {"reportId": "%s"}, "measures": [{"measurementMethod": "codecarbon", "powerConsumption": 1}]}'

    first = send(draft, acme, clock, "codecarbon", table, {})
    second = send(draft, acme, clock, "boamps", report % run.encode(), {})

    assert (first.status, second.status) == ("read", "refused")
    assert [error["code"] for error in second.errors] == ["duplicate_row"]
    assert DraftLine.objects.count() == 1


def test_a_refused_scrape_leaves_nothing_but_its_reasons(draft: Draft, acme: Party, clock: Clock) -> None:
    content, _, _ = examples("prometheus")[0]

    upload = send(draft, acme, clock, "prometheus", content, {})

    assert upload.status == "refused"
    assert [error["code"] for error in upload.errors] == ["gauge_last_value", "single_reading"]
    assert not DraftLine.objects.exists()
