"""Efficiency and access over REST: measures are recorded and ranked without volumes, and labs apply."""

import base64
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from registry.models import AccessApplication, EfficiencyMeasure, Period, Scheme
from registry.services.efficiency import labels
from tests.api.asking import field_codes, refused
from tests.api.world import Caller
from tests.cast import OPENING, Clock, Party, Regulator
from tests.registry.frugal import FIELD, attested, model_of, published, submitted
from tests.registry.granted import opened


@pytest.fixture(autouse=True)
def _the_clock_stands(clock: Clock) -> Iterator[None]:
    yield


def proof(content: bytes = b"kWh\n1020\n") -> dict[str, str]:
    return {"name": "log.csv", "content_base64": base64.b64encode(content).decode()}


def body(acme: Party, scheme: Scheme, **after: object) -> dict[str, object]:
    side = {
        "task_class": "text_generation",
        "counted": "requests",
        "boundary": "site",
        "started_on": "2026-01-05",
        "ended_on": "2026-01-11",
        "quantity": "3000000",
        "energy_kwh": "1020",
        "batch_size": 8,
        "number_format": "BF16",
        "hardware": "H100",
        "zone": "FRA",
        "quality_measure": "MMLU accuracy",
        "quality": "0.8",
        "proof": proof(),
    }
    later = {"started_on": "2026-02-02", "ended_on": "2026-02-08", "energy_kwh": "600", "number_format": "INT8"}
    return {
        "scheme": scheme.code,
        "model": str(model_of(acme).pk),
        "title": "INT8 weights",
        "kinds": ["quantisation"],
        "description": "Weights were quantised.",
        "quality_tolerance": "0.01",
        "before": side,
        "after": {**side, **later, **after},
    }


def test_a_measure_is_recorded_and_ranked_over_rest(
    acme: Party, borealis: Party, cobalt: Party, verity: Party, scheme: Scheme, regulator: Regulator,
    acme_initiates: APIClient, borealis_reads: APIClient, anyone: APIClient,
) -> None:  # fmt: skip
    told = body(acme, scheme)
    wrong = acme_initiates.post(reverse("measure-list"), body(acme, scheme, boundary="servers", hardware="B200"))
    assert {error["code"] for error in wrong.json()["errors"]} == {"boundary_differs", "change_not_named"}
    bad = acme_initiates.post(
        reverse("measure-list"), body(acme, scheme, quantity="1.5", proof={"name": "x", "content_base64": "%"})
    )
    assert field_codes(bad) == {"/after/quantity": "quantity_not_whole", "/after/proof/content_base64": "not_base64"}
    unknown = acme_initiates.post(reverse("measure-list"), told | {"model": str(uuid4())})
    assert field_codes(unknown) == {"/model": "model_unknown"}
    refused(borealis_reads.post(reverse("measure-list"), told), 403, "token_read_only")
    assert not EfficiencyMeasure.objects.exists()

    made = acme_initiates.post(reverse("measure-list"), told)
    assert (made.status_code, made.json()["figures"]["saving_percent"]) == (201, "41.2")
    measure = EfficiencyMeasure.objects.get()
    assert borealis_reads.get(reverse("measure-detail", args=[measure.pk])).status_code == 404
    assert anyone.get(reverse("published-measure-list")).json()["results"] == []
    attested(verity, submitted(acme, verity, measure))
    EfficiencyMeasure.objects.filter(pk=measure.pk).update(
        status="published", published_by=acme.initiator, published_at=OPENING
    )
    for party, kwh in ((borealis, 700), (cobalt, 1_400)):
        published(party, verity, scheme, kwh)
    labels.issue_edition(actor=regulator.desk, field=FIELD, rule="quintile", now=OPENING)

    table = anyone.get(reverse("league-detail", args=[FIELD.slug]))
    assert [(row["place"], row["stars"]) for row in table.json()["rows"]] == [(1, 5), (2, 4), (3, 2)]
    assert not any(secret in table.content.decode() for secret in ("3000000", "1020", "H100", "kwh"))
    (field,) = anyone.get(reverse("league-list")).json()
    assert field["slug"] == FIELD.slug
    assert {row["stars"] for row in anyone.get(reverse("efficiency-label-list")).json()["results"]} == {5, 4, 2}
    refused(anyone.get(reverse("league-detail", args=["juggling"])), 404, "field_unknown")


def test_a_lab_applies_over_rest(
    regulator: Regulator, borealis: Party, acme_initiates: APIClient, caller: Caller, anyone: APIClient, period: Period
) -> None:
    programme = opened(regulator, period)
    lab = caller(borealis.initiator, borealis.organisation, "write")
    (shown,) = anyone.get(reverse("access-programme-list")).json()["results"]
    assert (shown["permits"], shown["criteria"][0]["weight"]) == ("150", 3)
    asked = {
        "programme": str(programme.pk),
        "title": "Protein folding",
        "project": "We fold.",
        "team": "Two students.",
        "permits": "100",
        "flop": "0",
        "accepts_part": False,
        "open_results": True,
        "proof": proof(),
    }

    refused(acme_initiates.post(reverse("access-application-list"), asked), 403, "not_permitted")
    refused(lab.post(reverse("access-application-list"), asked | {"open_results": False}), 422, "pledge_missing")
    unknown = lab.post(reverse("access-application-list"), asked | {"programme": str(uuid4())})
    assert field_codes(unknown) == {"/programme": "programme_unknown"}
    assert lab.post(reverse("access-application-list"), asked).status_code == 201

    application = AccessApplication.objects.get()
    assert (application.permits, application.submitted_at) == (100, OPENING)
    mine = reverse("access-application-detail", args=[application.pk])
    assert [client.get(mine).status_code for client in (lab, acme_initiates)] == [200, 404]
    assert anyone.get(reverse("access-award-list")).json()["results"] == []
