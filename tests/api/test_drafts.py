"""Drafts over REST: a file is sent, read, asked about, and filed; errors come by line and column."""

from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from registry.models import Period, Upload
from registry.services.drafting import reading
from tests import cast
from tests.api.asking import refused
from tests.api.test_acting import HEADER, codecarbon_row
from tests.api.world import Caller
from tests.cast import Regulator


@pytest.fixture
def client(regulator: Regulator, caller: Caller) -> APIClient:
    """A firm in a scheme that counts emissions."""
    scheme = cast.co2e_scheme(regulator)
    ember = cast.operator(regulator, scheme, "Ember", "firm", "small")
    cast.capped(regulator, cast.period_of(regulator, scheme))
    return caller(ember.initiator, ember.organisation, "write")


def send(client: APIClient, draft: str, content: str) -> dict[str, object]:
    """Send a file, and let the worker read it."""
    address = reverse("draft-uploads", args=[draft])
    answer = client.generic("POST", f"{address}?name=june.csv&activity=training", content, content_type="text/csv")
    assert answer.status_code == 202, answer.content
    reading.read_upload(Upload.objects.get(pk=answer.json()["id"]).pk)
    upload: dict[str, object] = client.get(reverse("upload-detail", args=[answer.json()["id"]])).json()
    return upload


def test_a_file_is_sent_read_and_filed(client: APIClient, acme_reads: APIClient) -> None:
    period = Period.objects.get(scheme__metric="co2e").code
    draft = client.post(reverse("draft-list"), {"period": period}, format="json").json()

    upload = send(client, draft["id"], f"{HEADER}\n{codecarbon_row()}\n")
    read = client.get(reverse("draft-detail", args=[draft["id"]])).json()
    filing = reverse("draft-filing", args=[draft["id"]])
    report = client.post(filing, {"boundary": "cluster"}, format="json")
    again = client.post(filing, {"boundary": "cluster"}, format="json")

    assert (upload["status"], upload["rows_read"], upload["errors"]) == ("read", 1, [])
    assert read["uploads"] == [upload["id"]] and float(read["co2e_g"]) > 0 and int(read["permits"]) > 0
    assert (report.status_code, report.json()["evidence"]["name"]) == (201, "june.csv")
    assert again.json()["id"] == report.json()["id"]
    refused(acme_reads.get(reverse("draft-detail", args=[draft["id"]])), 404, "not_found")


def test_errors_come_by_line_and_column_and_the_file_can_be_taken_out(client: APIClient) -> None:
    period = Period.objects.get(scheme__metric="co2e").code
    draft = client.post(reverse("draft-list"), {"period": period}, format="json").json()["id"]

    upload = send(client, draft, f"{HEADER}\n{codecarbon_row().replace('FRA', 'France')}\n")

    assert upload["status"] == "refused"
    assert [(error["line"], error["column"]) for error in upload["errors"]] == [(2, "country_iso_code")]  # type: ignore[attr-defined]
    refused(client.post(reverse("draft-filing", args=[draft]), {"boundary": "x"}, format="json"), 422, "upload_refused")
    assert client.delete(reverse("upload-detail", args=[upload["id"]])).status_code == 204
    refused(client.post(reverse("draft-filing", args=[draft]), {"boundary": "x"}, format="json"), 422, "no_lines")
    assert client.delete(reverse("draft-detail", args=[draft])).status_code == 204


def test_what_is_no_file_of_ours_is_refused_at_once(client: APIClient) -> None:
    period = Period.objects.get(scheme__metric="co2e").code
    draft = client.post(reverse("draft-list"), {"period": period}, format="json").json()["id"]
    address = reverse("draft-uploads", args=[draft]) + "?name=x&activity=training"

    def sent(content: bytes, more: str = "") -> Any:
        return client.generic("POST", address + more, content, "application/octet-stream")  # type: ignore[arg-type]

    refused(sent(b"MZ\x00"), 422, "file_type_refused")
    refused(sent(b"PK\x03\x04"), 422, "archive_refused")
    refused(sent(b"a,b\n"), 422, "format_not_recognised")
    assert sent(b"a\n", "&workload=00000000-0000-4000-8000-000000000000").status_code == 422
    refused(sent(b"a\n", "&file_format=nothing"), 422, "format_unknown")
