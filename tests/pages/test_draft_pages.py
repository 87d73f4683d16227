"""The page of a draft: a file is read, its errors are listed, the obligation is previewed, and the draft is filed."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from registry.models import Draft, Report, Upload
from registry.services.drafting import reading
from tests.pages.world import World, codecarbon_file

AsPerson = Callable[[str], Client]


def send(client: Client, world: World, content: bytes, name: str = "june.csv", **typed: object) -> Any:
    """Send a file as a browser does, and let the worker read it."""
    answer = client.post(
        reverse("draft-upload", args=[world.pilot.code]),
        {"key": str(uuid4()), "activity": "inference", "file": SimpleUploadedFile(name, content, "text/csv")} | typed,
    )
    for upload in Upload.objects.filter(status="received"):
        reading.read_upload(upload.pk)
    return answer


def test_a_file_is_read_previewed_and_filed(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")
    address = reverse("draft", args=[world.pilot.code])

    answer = send(client, world, codecarbon_file(("night run", "0.5", "FRA")))

    assert answer.status_code == 302 and answer["Location"] == address
    page = client.get(address).content.decode()
    draft = Draft.objects.get(status="open")
    assert "june.csv" in page and "Obligation" in page and "What this costs" in page
    assert 'hx-trigger="every 1s"' not in page, "nothing is being read any more"
    assert "Missing data" in page and "1 line without dates" in page
    assert "Nobody has traded permits" in client.get(address, {"cost": "1"}).content.decode()
    filed = client.post(
        reverse("draft-file-report", args=[world.pilot.code]),
        {"filing-key": str(uuid4()), "filing-boundary": "one cluster"},
        follow=True,
    )
    report = Report.objects.get(draft=draft)
    assert "was received at" in filed.content.decode()
    kept = report.files.get()
    answer = client.get(reverse("report-kept-file", args=[report.pk, kept.pk]))
    assert answer["Content-Disposition"] == 'attachment; filename="june.csv"'
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_page_that_waits_for_the_reader_asks_again_and_again(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")
    client.post(
        reverse("draft-upload", args=[world.pilot.code]),
        {
            "key": str(uuid4()),
            "activity": "inference",
            "file": SimpleUploadedFile("a.csv", codecarbon_file(("run", "1", "FRA"))),
        },
    )

    waiting = client.get(reverse("draft-progress", args=[world.pilot.code])).content.decode()
    reading.read_upload(Upload.objects.get().pk)
    done = client.get(reverse("draft-progress", args=[world.pilot.code])).content.decode()

    assert 'hx-trigger="every 1s"' in waiting and "Files are being read" in waiting
    assert 'hx-trigger="every 1s"' not in done


def test_errors_of_a_refused_file_are_listed_by_line_and_column(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")

    send(client, world, codecarbon_file(("run", "1", "France")), name="bad.csv")

    upload = Upload.objects.get()
    page = client.get(reverse("upload", args=[upload.pk])).content.decode()
    assert "country_iso_code" in page and "three capital letters" in page
    errors = client.get(reverse("upload-errors", args=[upload.pk])).content.decode()
    assert "2,country_iso_code,not_a_country" in errors
    assert client.post(reverse("upload-remove", args=[upload.pk])).status_code == 302


def test_a_file_that_is_refused_at_the_door_says_so_beside_the_field(world: World, as_person: AsPerson) -> None:
    answer = send(as_person("acme initiator"), world, b"MZ\x90\x00")

    assert answer.status_code == 422
    assert "Files of this kind are not taken" in answer.content.decode()
    assert not Upload.objects.exists()


def test_typed_lines_and_further_files_come_into_the_draft(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")
    code = world.pilot.code
    row = {"label": "chat", "activity": "inference", "flop": "", "energy_kwh": "12.5", "country": "FRA"}
    sent = {f"line-0-{name}": value for name, value in row.items()} | {
        "line-TOTAL_FORMS": "1",
        "line-INITIAL_FORMS": "0",
    }

    typed = client.post(reverse("draft-lines", args=[code]), sent, follow=True).content.decode()
    bill = {
        "further-key": str(uuid4()),
        "further-purpose": "Electricity bill",
        "further-file": SimpleUploadedFile("bill.pdf", b"%PDF-1.7"),
    }
    attached = client.post(reverse("draft-attach", args=[code]), bill, follow=True).content.decode()

    assert "1 typed line is in the draft" in typed and 'value="12.5"' in typed
    assert "bill.pdf" in attached and "Electricity bill" in attached


def test_nobody_else_sees_a_draft_or_its_files(world: World, as_person: AsPerson) -> None:
    send(as_person("acme initiator"), world, codecarbon_file(("run", "1", "FRA")))
    upload = Upload.objects.get()

    for stranger in ("borealis viewer", "verifier", "senior officer"):
        assert as_person(stranger).get(reverse("upload", args=[upload.pk])).status_code == 404
    assert as_person("acme viewer").get(reverse("upload", args=[upload.pk])).status_code == 200
    assert as_person("acme viewer").get(reverse("draft", args=[world.pilot.code])).status_code == 200
    refused = as_person("acme viewer").post(reverse("upload-remove", args=[upload.pk]))
    assert refused.status_code == 403
