"""Grid factors and serving on pages: loaded by the desk, read by everybody; delivered, looked at, and taken along."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.models import Approval
from registry.models import DraftLine, FactorSet, ServingBatch, Workload
from tests.pages.world import World
from tests.registry.gridded import intensity_file, open_chat, records

AsPerson = Callable[[str], Client]
SAID = {
    "resolution": "hour",
    "code": "us-2026",
    "kind": "average",
    "basis": "life_cycle",
    "perspective": "production",
    "method": "AR5 medians",
    "source": "EIA-930",
    "licence": "public domain",
    "retrieved_on": "2026-01-20",
    "country": "usa",
    "for_obligations": "on",
}


def sent(content: bytes) -> SimpleUploadedFile:
    """Return a file as a browser sends it."""
    return SimpleUploadedFile("file.csv", content, content_type="text/csv")


@pytest.fixture
def chat(world: World) -> Workload:
    """Acme's stream in California."""
    return open_chat(world.acme)


def test_the_desk_loads_factors_and_everybody_reads_them(world: World, as_person: AsPerson, client: Client) -> None:
    desk, address = as_person("desk officer"), reverse("desk-factors")

    refused = desk.post(address, SAID | {"key": uuid4(), "file": sent(intensity_file("CISO", ["100", "x", "-1"]))})
    assert refused.status_code == 422
    assert "2 errors; nothing was stored" in refused.content.decode()
    assert not FactorSet.objects.exists()

    taken = desk.post(address, SAID | {"key": uuid4(), "file": sent(intensity_file("CISO", ["100", "", "310.5"]))})
    assert taken.status_code == 302
    made = FactorSet.objects.get()
    waits = client.get(taken["Location"]).content.decode()
    assert made.sha256 in waits and "not published" in waits
    approval = Approval.objects.get(act="registry.publish_factors")
    as_person("senior officer").post(reverse("approval-approve", args=[approval.pk]))
    published = client.get(taken["Location"]).content.decode()
    assert "not published" not in published
    assert "us-2026 v1" in client.get(reverse("factor-sets")).content.decode()
    page = client.get(reverse("factor-zone", args=["us-2026", 1, "CISO"])).content.decode()
    assert "highest in hour 2 with 310.50" in page
    file = client.get(reverse("factor-zone-csv", args=["us-2026", 1, "CISO"])).content.decode()
    assert file.splitlines()[1:] == [
        "CISO,2026-01-01T00:00:00Z,100.000000",
        "CISO,2026-01-01T01:00:00Z,",
        "CISO,2026-01-01T02:00:00Z,310.500000",
    ]
    assert client.get(reverse("factor-zone", args=["us-2026", 1, "PJM"])).status_code == 404
    corrected = SAID | {"key": uuid4(), "file": sent(intensity_file("CISO", ["90"]))}
    assert "Say what this version corrects" in desk.post(address, corrected).content.decode()
    assert as_person("acme initiator").get(address).status_code == 403


def test_a_firm_delivers_records_sees_its_gaps_and_takes_them_along(
    world: World, chat: Workload, as_person: AsPerson
) -> None:
    acme, address = as_person("acme initiator"), reverse("serving")

    refused = acme.post(address, {"key": uuid4(), "file": sent(records(["1"], zone="PJM"))})
    assert refused.status_code == 422
    assert "runs at Fresno in the zone CISO" in refused.content.decode()
    content = records(["1"] * 40) + b"\n" + records(["1"], first=44).split(b"\n", 1)[1]
    assert acme.post(address, {"key": uuid4(), "file": sent(content)}).status_code == 302

    page = acme.get(reverse("stream", args=[chat.pk]), {"year": 2026}).content.decode()
    assert "7 in all" in page
    assert "the zone has no hourly series" in page
    taken = acme.post(reverse("serving-take"), {"key": uuid4(), "period": world.period.pk})
    assert taken.status_code == 302
    assert DraftLine.objects.get().tokens == 82_000
    batch = ServingBatch.objects.get()
    assert acme.get(reverse("serving-batch-file", args=[batch.pk])).content == content
    verifier = as_person("verifier")
    assert verifier.get(reverse("stream", args=[chat.pk])).status_code == 200
    assert verifier.get(reverse("serving-batch-file", args=[batch.pk])).content == content
    assert verifier.get(address).content.decode().count("chat") == acme.get(address).content.decode().count("chat")
    stranger = as_person("borealis viewer")
    assert stranger.get(reverse("stream", args=[chat.pk])).status_code == 404
    assert stranger.get(reverse("serving-batch-file", args=[batch.pk])).status_code == 404
    assert "chat" not in stranger.get(address).content.decode()


def test_a_command_loads_a_file_as_the_desk_does(world: World, tmp_path: Path) -> None:
    file = tmp_path / "hours.csv"
    said = ["--by", world.regulator.desk.email, "--code", "us-2026", "--basis", "life_cycle", "--method", "AR5"]
    said += ["--perspective", "production", "--source", "EIA", "--licence", "public domain"]
    said += ["--retrieved-on", "2026-01-20"]
    file.write_bytes(intensity_file("CISO", ["-1"]))
    with pytest.raises(CommandError, match="One error; nothing was stored"):
        call_command("load_intensities", str(file), *said)
    file.write_bytes(intensity_file("CISO", ["1"]))
    call_command("load_intensities", str(file), *said)

    assert FactorSet.objects.get().rows == 1
