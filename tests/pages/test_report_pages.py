"""Filing reports on the page, by file and by hand, and the verifier's work on them."""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from registry.models import Report
from tests.pages.world import World, codecarbon_file

AsPerson = Callable[[str], Client]


def upload(world: World, content: bytes, **typed: object) -> dict[str, object]:
    """Return what a browser sends for a CodeCarbon file."""
    return {
        "key": str(uuid4()),
        "period": str(world.pilot.pk),
        "boundary": "full stack",
        "activity": "inference",
        "file": SimpleUploadedFile("emissions.csv", content, "text/csv"),
    } | typed


def typed_lines(world: World, *rows: dict[str, str], **typed: str) -> dict[str, str]:
    """Return what a browser sends for typed lines."""
    sent = {
        "typed-key": str(uuid4()),
        "typed-period": str(world.period.pk),
        "typed-boundary": "full stack",
        "line-TOTAL_FORMS": str(len(rows)),
        "line-INITIAL_FORMS": "0",
        "line-MIN_NUM_FORMS": "1",
        "line-MAX_NUM_FORMS": "200",
    }
    for number, row in enumerate(rows):
        empty = {"label": "", "activity": "training", "flop": "", "energy_kwh": "", "country": ""}
        sent |= {f"line-{number}-{name}": value for name, value in (empty | row).items()}
    return sent | typed


def test_a_measured_file_is_filed_and_shown_with_its_hash_and_figures(world: World, as_person: AsPerson) -> None:
    content = codecarbon_file(("night run", "0.5", "FRA"))

    answer = as_person("acme initiator").post(reverse("report-file"), upload(world, content), follow=True)

    report = Report.objects.get(period=world.pilot, version=2)
    page = answer.content.decode()
    assert answer.redirect_chain == [(reverse("report", args=[report.pk]), 302)]
    assert hashlib.sha256(content).hexdigest() in page
    assert "night run" in page


def test_a_bad_file_comes_back_with_every_error_by_line_and_column_and_nothing_is_stored(
    world: World, as_person: AsPerson
) -> None:
    content = codecarbon_file(("one", "abc", "FRA"), ("two", "0.1", "France"))
    before = Report.objects.count()

    answer = as_person("acme initiator").post(reverse("report-file"), upload(world, content))

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "nothing was stored" in page
    assert ">2</th>" in page and ">3</th>" in page
    assert "cpu_energy" in page and "country_iso_code" in page
    assert 'value="full stack"' in page  # what was typed stays
    assert Report.objects.count() == before


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"a;b;c\n1;2;3\n", b"\x00\x01\x02", b"timestamp\n", "é".encode("latin-1"), b'"' * 1000],
    ids=["empty", "utf-16", "semicolons", "binary", "one column", "latin-1", "quotes"],
)
def test_a_file_that_is_no_codecarbon_file_is_refused_and_never_a_500(
    content: bytes, world: World, as_person: AsPerson
) -> None:
    answer = as_person("acme initiator").post(reverse("report-file"), upload(world, content))

    assert answer.status_code == 422


def published(world: World, content: bytes, **typed: str) -> dict[str, object]:
    """Return what a browser sends for published training compute."""
    sent: dict[str, object] = {
        "published-key": str(uuid4()),
        "published-period": str(world.period.pk),
        "published-boundary": "training",
        "published-file": SimpleUploadedFile("models.csv", content, "text/csv"),
        "published-organisation": "Acme Research",
        "published-year": "2026",
    }
    return sent | {f"published-{name}": value for name, value in typed.items()}


EPOCH = (
    b"Model,Organization,Publication date,Training compute (FLOP)\n"
    b"Anvil 1,Acme Research,2026-02-03,31000000000000000000\n"
)


def test_published_training_compute_is_filed_from_its_list(world: World, as_person: AsPerson) -> None:
    as_person("acme initiator").post(reverse("report-published"), published(world, EPOCH))

    report = Report.objects.get(operator=world.acme.operator, period=world.period, version=2)
    assert (report.lines.get().label, report.flop) == ("Anvil 1", Decimal(31 * 10**18))


@pytest.mark.parametrize(
    ("content", "typed", "sentence"),
    [
        (EPOCH, {"organisation": "Nobody"}, "no model of Nobody"),
        (EPOCH, {"year": "abc"}, "Enter a whole number"),
        (EPOCH.replace(b"2026-02-03", b"yesterday"), {}, "nothing was stored"),
        (b"no,list\n", {}, "nothing was stored"),
    ],
)
def test_a_list_that_does_not_say_it_is_refused(
    content: bytes, typed: dict[str, str], sentence: str, world: World, as_person: AsPerson
) -> None:
    answer = as_person("acme initiator").post(reverse("report-published"), published(world, content, **typed))

    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert Report.objects.count() == 3


def test_typed_lines_are_filed_and_empty_rows_do_not_count(world: World, as_person: AsPerson) -> None:
    lines = typed_lines(world, {"label": "new model", "flop": "31000000000000000000"}, {}, {})

    answer = as_person("acme initiator").post(reverse("report-typed"), lines, follow=True)

    report = Report.objects.get(operator=world.acme.operator, period=world.period, version=2)
    assert (report.lines.count(), report.flop, report.status) == (1, Decimal(31 * 10**18), "submitted")
    assert "Version 2 was received" in answer.content.decode()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"label": "x", "flop": "1e24"}, "Enter a whole number"),
        ({"label": "x", "flop": "-1"}, "Enter a whole number"),
        ({"label": "x", "flop": "9" * 40}, "Enter a whole number from 0"),
        ({"label": "x", "energy_kwh": "1,5"}, "Enter a number with digits"),
        ({"label": "x", "energy_kwh": "NaN"}, "Enter a number with digits"),
        ({"label": "x", "energy_kwh": "1", "country": "France"}, "three letters"),
        ({"label": "", "flop": "5"}, "This field is required"),
        ({}, "This field is required"),
    ],
)
def test_a_bad_line_comes_back_with_its_sentence_and_what_was_typed(
    row: dict[str, str], sentence: str, world: World, as_person: AsPerson
) -> None:
    before = Report.objects.count()

    answer = as_person("acme initiator").post(reverse("report-typed"), typed_lines(world, row))

    page = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in page
    assert all(f'value="{value}"' in page for value in row.values() if value)
    assert Report.objects.count() == before


def test_more_rows_are_given_without_losing_what_was_typed(world: World, as_person: AsPerson) -> None:
    lines = typed_lines(world, {"label": "kept", "flop": "not a number"}, more="yes")

    page = as_person("acme initiator").post(reverse("report-typed"), lines).content.decode()

    assert 'value="kept"' in page and 'value="not a number"' in page
    assert 'name="line-3-label"' in page


@pytest.mark.parametrize("person", ["acme viewer", "acme trader", "verifier", "senior officer", "auditor"])
def test_only_representatives_file(person: str, world: World, as_person: AsPerson) -> None:
    client = as_person(person)

    answer = client.post(reverse("report-typed"), typed_lines(world, {"label": "x", "flop": "5"}))

    assert answer.status_code in {403, 404, 422}
    assert Report.objects.count() == 3


def test_nobody_files_for_a_period_of_a_scheme_in_which_it_is_no_operator(world: World) -> None:
    client = Client()
    client.force_login(world.borealis.initiator)

    answer = client.post(reverse("report-file"), upload(world, codecarbon_file(("x", "0.1", "FRA"))))

    assert answer.status_code == 422
    assert Report.objects.filter(period=world.pilot).count() == 1


def test_evidence_is_saved_and_never_shown(world: World, as_person: AsPerson) -> None:
    answer = as_person("verifier").get(reverse("evidence", args=[world.measured.pk]))

    assert answer["Content-Disposition"] == 'attachment; filename="emissions.csv"'
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert world.measured.evidence is not None
    assert hashlib.sha256(answer.getvalue()).hexdigest() == world.measured.evidence.sha256


def test_recomputed_and_claimed_emissions_stand_side_by_side(world: World, as_person: AsPerson) -> None:
    page = as_person("verifier").get(reverse("report", args=[world.measured.pk])).content.decode()

    assert "Recomputed, g" in page and "Claimed, g" in page
    assert "%" in page  # the difference of a line


def test_a_report_is_returned_with_a_reason_that_the_operator_reads(world: World, as_person: AsPerson) -> None:
    address = reverse("report-return", args=[world.submitted.pk])

    empty = as_person("verifier").post(address, {"key": str(uuid4()), "reason": ""})
    as_person("verifier").post(address, {"key": str(uuid4()), "reason": "The serving energy is missing."})

    page = as_person("borealis viewer").get(reverse("report", args=[world.submitted.pk])).content.decode()
    assert empty.status_code == 422
    assert "The serving energy is missing." in page


@pytest.mark.parametrize("person", ["acme initiator", "auditor", "market monitor"])
def test_nobody_else_gives_an_opinion(person: str, world: World, as_person: AsPerson) -> None:
    opinion = {"opinion-key": str(uuid4()), "opinion-opinion": "positive", "opinion-findings": ""}

    answer = as_person(person).post(reverse("report-verify", args=[world.measured.pk]), opinion)

    world.measured.refresh_from_db()
    assert answer.status_code == 403
    assert world.measured.status == "submitted"
