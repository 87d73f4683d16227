"""Efficiency and access on pages: recorded, attested, ranked, labelled; applied for, scored, awarded, reported."""

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page

from accounts.models import Approval, User
from accounts.services import approvals
from registry.models import AccessApplication, AccessAward, AccessProgramme, EfficiencyMeasure, LabelEdition
from registry.services.access import applications
from registry.services.efficiency import measures
from tests.cast import REPORTING, Clock, Party, accredit
from tests.pages.conftest import NARROW, WIDE, OpenPage
from tests.pages.world import World
from tests.registry.frugal import FIELD, attested, model_of, published
from tests.registry.granted import points, second_assessor, set_aside

AsPerson = Callable[[str], Client]


def key() -> dict[str, str]:
    return {"key": str(uuid4())}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def sent(world: World, **changes: object) -> dict[str, object]:
    """Return what a browser sends for a measure."""
    side = {
        "quantity": "3000000",
        "energy_kwh": "1020.5",
        "batch_size": "8",
        "number_format": "BF16",
        "hardware": "H100",
        "zone": "fra",
        "quality": "0.8",
    }
    after = {**side, "energy_kwh": "560.25", "number_format": "INT8", "quality": "0.796"}
    return {
        **key(),
        "title": "INT8 weights",
        "scheme": str(world.period.scheme_id),
        "subject": f"model:{model_of(world.acme).pk}",
        "kinds": ["quantisation"],
        "description": "Weights were quantised.",
        "task_class": "text_generation",
        "counted": "requests",
        "boundary": "site",
        "quality_measure": "MMLU accuracy",
        "quality_tolerance": "0.01",
        **{f"before_{name}": value for name, value in side.items()},
        **{f"after_{name}": value for name, value in after.items()},
        "before_started_on": "2026-11-02",
        "before_ended_on": "2026-11-08",
        "after_started_on": "2026-12-07",
        "after_ended_on": "2026-12-13",
        "before_proof": SimpleUploadedFile("before.csv", b"kWh\n1020.5\n"),
        "after_proof": SimpleUploadedFile("after.csv", b"kWh\n560.25\n"),
        **changes,
    }


def test_a_measure_goes_by_pages_from_the_firm_to_the_public(world: World, verity: Party, as_person: AsPerson) -> None:
    firm = as_person("acme initiator")

    refused = firm.post(reverse("measure-new"), sent(world, after_batch_size="16"))
    firm.post(reverse("measure-new"), sent(world))

    assert (refused.status_code, "Name batching among the measures" in refused.content.decode()) == (422, True)
    measure = EfficiencyMeasure.objects.get()
    here = [measure.pk]
    accredit(verity, world.period.scheme)
    firm.post(reverse("measure-submit", args=here), key() | {"verifier": str(verity.organisation.pk)})
    shown = as_person("verifier").get(reverse("measure", args=here)).content.decode()
    assert "Attest this measure" in shown and "1,020.5" in shown
    document = as_person("verifier").post(reverse("measure-document", args=here), {"findings": "Read."})
    assert json.loads(document.content)["findings"] == "Read."
    attested(verity, measure, REPORTING)
    firm.post(reverse("measure-publish", args=here), key())

    public = Client()
    table = public.get(reverse("league", args=[FIELD.slug])).content.decode()
    assert "INT8 weights" in table and "45.1" in table
    for address in (
        reverse("league", args=[FIELD.slug]),
        reverse("published-measure", args=here),
        reverse("league-csv", args=[FIELD.slug]),
        reverse("league-json", args=[FIELD.slug]),
    ):
        text = public.get(address).content.decode()
        assert not any(secret in text for secret in ("3000000", "3,000,000", "1020.5", "560.25", "H100"))
    (row,) = csv.DictReader(io.StringIO(public.get(reverse("league-csv", args=[FIELD.slug])).content.decode()))
    assert (row["wh_before"], row["wh_after"], row["quality_percent"]) == ("340", "187", "-0.5")
    assert b"".join(firm.get(reverse("measure-proof", args=[measure.pk, "after"]))) == b"kWh\n560.25\n"
    assert as_person("borealis viewer").get(reverse("measure", args=here)).status_code == 404
    as_person("desk officer").post(reverse("measure-withdraw", args=here), key() | {"reason": "The meter was wrong."})
    assert "The meter was wrong." in public.get(reverse("published-measure", args=here)).content.decode()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"before_quantity": "1.5"}, "Enter a whole number."),
        ({"after_energy_kwh": "1e3"}, "Enter a number with digits"),
        ({"after_started_on": "2026-11-08"}, "Measure after the measure was taken"),
        ({"after_proof": SimpleUploadedFile("x.exe", b"MZ\x00")}, "Files of this kind are not taken"),
        ({"kinds": []}, "This field is required"),
    ],
)
def test_bad_figures_come_back_with_what_is_wrong(
    world: World, as_person: AsPerson, change: dict[str, object], sentence: str
) -> None:
    answer = as_person("acme initiator").post(reverse("measure-new"), sent(world, **change))

    assert (answer.status_code, sentence in answer.content.decode()) == (422, True)
    assert not EfficiencyMeasure.objects.exists()


def test_a_call_goes_by_pages_from_the_desk_to_the_use_report(world: World, as_person: AsPerson, clock: Clock) -> None:
    set_aside(world.regulator, world.period)
    desk, lab = as_person("desk officer"), client_of(world.borealis.initiator)
    call = {
        "period": str(world.period.pk),
        "name": "Spring call",
        "description": "For labs.",
        "permits": "150",
        "flop": "0",
        "criteria": "merit, Scientific merit, 3\nopenness, Openness, 2",
        "least_score": "5",
        "deadline_on": "2027-02-28",
        "report_due_on": "2027-12-31",
    }
    wrong = desk.post(reverse("programme-new"), key() | call | {"criteria": "merit; 3"})
    assert (wrong.status_code, "Line 1: write a code" in wrong.content.decode()) == (422, True)
    desk.post(reverse("programme-new"), key() | call)
    programme = AccessProgramme.objects.get()
    asked = {
        "title": "Protein folding",
        "project": "We fold.",
        "team": "Two students.",
        "permits": "100",
        "flop": "0",
        "open_results": "on",
        "proof": SimpleUploadedFile("plan.csv", b"month;FLOP\n4;1\n"),
    }
    lab.post(reverse("access-apply", args=[programme.pk]), key() | asked)
    application = AccessApplication.objects.get()
    early = desk.post(reverse("programme-scoring", args=[programme.pk]), key())
    assert early.status_code == 422
    now = clock.move_to(programme.deadline_at + timedelta(hours=1))
    desk.post(reverse("programme-scoring", args=[programme.pk]), key())
    given = {"points_merit": "8", "reason_merit": "Sound.", "points_openness": "7", "reason_openness": "Pledged."}
    desk.post(reverse("application-score", args=[application.pk]), key() | given)
    waiting = desk.get(reverse("programme-desk", args=[programme.pk])).content.decode()
    assert "was scored by 1" in waiting
    applications.score(actor=second_assessor(world.regulator), application=application, points=points(9, 6), now=now)
    others = as_person("senior officer").get(reverse("application", args=[application.pk])).content.decode()
    assert "Your points" in others
    assert "Scored by" not in others
    assert "Scored by Dora Desk" in desk.get(reverse("application", args=[application.pk])).content.decode()
    assert "7.7" in desk.get(reverse("programme-desk", args=[programme.pk])).content.decode()
    desk.post(reverse("programme-propose", args=[programme.pk]), key())
    proposal = Approval.objects.get(act="registry.access_award")
    approvals.approve(actor=world.regulator.senior, approval_id=proposal.pk, now=now)
    award = AccessAward.objects.get()
    lab.post(
        reverse("award-use", args=[award.pk]), key() | {"permits_used": "90", "flop_used": "0", "results": "Papers."}
    )
    desk.post(reverse("award-return", args=[award.pk]), key() | {"reason": "Where?"})
    lab.post(
        reverse("award-use", args=[award.pk]), key() | {"permits_used": "90", "flop_used": "0", "results": "arXiv."}
    )
    desk.post(reverse("award-accept", args=[award.pk]), key())

    award.refresh_from_db()
    assert (award.status, award.permits) == ("accepted", 100)
    public = Client()
    (row,) = json.loads(public.get(reverse("access-json")).content)
    assert (row["organisation"], row["permits"], row["use_report"]) == ("Borealis", "100", "accepted")
    assert "Protein folding" in public.get(reverse("programme", args=[programme.pk])).content.decode()
    assert as_person("acme viewer").get(reverse("award", args=[award.pk])).status_code == 404
    assert "Papers." in lab.get(reverse("award", args=[award.pk])).content.decode()


def test_only_those_concerned_reach_the_desk_pages(world: World, as_person: AsPerson) -> None:
    for name, status in (("acme initiator", 403), ("verifier", 403), ("auditor", 200), ("desk officer", 200)):
        client = as_person(name)
        assert [client.get(reverse(page)).status_code for page in ("labels", "access-desk")] == [status, status]
        assert [client.get(reverse(page)).status_code for page in ("measures", "applications")] == [200, 200]
    assert as_person("auditor").get(reverse("programme-new")).status_code == 403
    assert as_person("verifier").get(reverse("measure-new")).status_code == 403
    nobody = uuid4()
    for address in (
        reverse("league", args=["juggling-requests-site"]),
        reverse("label", args=[nobody]),
        reverse("label-edition", args=[nobody]),
        reverse("published-measure", args=[nobody]),
        reverse("programme", args=[nobody]),
    ):
        assert Client().get(address).status_code == 404


def test_the_public_pages_are_accessible_and_the_desk_issues_labels(
    world: World,
    verity: Party,
    as_person: AsPerson,
    open_page: OpenPage,
    assert_accessible: Callable[[Page], None],
) -> None:
    for party, kwh in ((world.acme, 560), (world.borealis, 700), (world.cobalt, 1_400)):
        published(party, verity, world.period.scheme, kwh, REPORTING)
    desk = as_person("desk officer")
    issued = desk.post(reverse("labels"), key() | {"field": FIELD.slug, "rule": "quintile"}, follow=True)
    again = desk.post(reverse("labels"), key() | {"field": FIELD.slug, "rule": "quintile"})
    assert "all stars agree" in issued.content.decode()
    assert again.status_code == 422
    edition = LabelEdition.objects.get()
    label = edition.labels.order_by("-stars").first()
    assert label is not None

    assert_accessible(open_page(reverse("league", args=[FIELD.slug]), width=NARROW, theme="dark"))
    assert_accessible(open_page(reverse("label", args=[label.pk]), width=WIDE))
    assert_accessible(open_page(reverse("access"), width=NARROW))
    assert_accessible(
        open_page(reverse("measure", args=[label.measure_id]), user=world.people["acme initiator"], width=WIDE)
    )
    assert measures.rows().get(pk=label.measure_id).status == "published"
