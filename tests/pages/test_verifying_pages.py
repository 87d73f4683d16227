"""Verifying on the pages: appointing, checking at the workbench, signing; the desk's supervision."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from common import signing
from registry.models import Accreditation, Appointment, ChecklistAnswer, Finding, Obligation, SigningKey
from registry.services.verifying import keys
from tests import cast
from tests.cast import PERMIT_FLOP, Clock
from tests.pages.conftest import OpenPage
from tests.pages.world import World

AsPerson = Callable[[str], Client]
PASSPHRASE = "seven quiet turbines"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""The live server goes by the real clock, and a key has to be valid by then."""


def sent(prefix: str = "", **typed: object) -> dict[str, object]:
    """Return what a browser sends for a form with this prefix."""
    lead = f"{prefix}-" if prefix else ""
    return {f"{lead}{name}": value for name, value in ({"key": str(uuid4())} | typed).items()}


def test_a_report_is_verified_at_the_workbench(world: World, as_person: AsPerson, clock: Clock) -> None:
    lead, report = as_person("verifier"), world.submitted.pk
    bench = reverse("workbench", args=[report])
    key = signing.key_id(signing.public_bytes(cast.verifiers_key(verity(world), clock.now())[1]))

    def post(name: str, content: dict[str, object], status: int = 302) -> str:
        answer = lead.post(reverse(name, args=[report]), content)
        assert answer.status_code == status, answer.content.decode()
        return answer.content.decode()

    assert "Begin the verification" in lead.get(bench).content.decode()
    post("workbench-begin", sent())
    quantity = {"quantity": f"-{2 * PERMIT_FLOP}", "line": "1", "due_on": ""}
    post("workbench-finding", sent("finding", kind="misstatement", text="A cluster is missing.", **quantity))
    page = lead.get(bench).content.decode()
    assert "8.00" in page and "bars a positive opinion" in page and 'status" data-tone="negative' in page
    opinion = {
        "opinion": "positive_with_comments",
        "findings": "",
        "signing_key": key,
        "passphrase": "",
        "signature": "",
    }
    assert "exceed 5 %" in post("report-verify", sent("opinion", **opinion), 422)
    assert "Say what you found" not in post("report-verify", sent("opinion", **opinion | {"opinion": "positive"}), 422)
    post("workbench-checklist", sent("checklist", item="site_visit", outcome="done", note=" "), 422)
    post("workbench-checklist", sent("checklist", item="site_visit", outcome="done", note="Went there."))
    assert ChecklistAnswer.objects.get(report=report).note == "Went there."

    negative = opinion | {"opinion": "negative"}
    unsigned = lead.post(reverse("report-verify", args=[report]), sent("opinion", **negative) | {"unsigned": "1"})
    assert json.loads(unsigned.content)["materiality"]["exceeds"] is True
    signature = signing.sign(cast.verifiers_key(verity(world), clock.now())[1], unsigned.content)
    post("report-verify", sent("opinion", **negative | {"signature": signature}))
    world.submitted.refresh_from_db()
    assert (world.submitted.status, world.submitted.return_reason) == ("returned", "1: A cluster is missing.")
    assert not Obligation.objects.filter(report=world.submitted).exists()

    finding = reverse("finding", args=[Finding.objects.get().pk])
    assert as_person("acme initiator").get(finding).status_code == 404
    borealis = Client()
    borealis.force_login(world.borealis.initiator)
    borealis.post(finding, sent(answer="It follows in a new version."))
    assert Finding.objects.get().status == "answered"
    assert "A cluster is missing." in borealis.get(reverse("verifying")).content.decode()


def test_a_key_that_is_kept_here_signs_with_its_passphrase(world: World, as_person: AsPerson, clock: Clock) -> None:
    lead, report = as_person("verifier"), world.submitted
    made = lead.post(reverse("signing-key-make"), sent("make", name="Office", passphrase=PASSPHRASE), follow=True)
    assert "Only its passphrase opens it" in made.content.decode()
    key = SigningKey.objects.get(name="Office")
    cast.check(verity(world), report, clock.now())
    opinion = {"opinion": "positive", "findings": "", "signing_key": key.key_id, "signature": ""}
    address = reverse("report-verify", args=[report.pk])

    wrong = lead.post(address, sent("opinion", **opinion, passphrase="another passphrase"))
    right = lead.post(address, sent("opinion", **opinion, passphrase=PASSPHRASE), follow=True)

    assert wrong.status_code == 422 and "does not open this key" in wrong.content.decode()
    assert "Your opinion was signed" in right.content.decode() and key.key_id in right.content.decode()
    assert Obligation.objects.get(report=report).quantity == 25
    file = as_person("auditor").get(reverse("statement-file", args=[report.pk])).content
    report.refresh_from_db()
    assert keys.holds(key, file, report.statement.signature)


def test_an_operator_appoints_and_the_verifier_declares(world: World, as_person: AsPerson) -> None:
    appointment = Appointment.objects.get(operator=world.borealis.operator)
    borealis = Client()
    borealis.force_login(world.borealis.initiator)
    page = reverse("appointment-end", args=[appointment.pk])
    borealis.post(page, sent("end", reason="Another one is nearer."))
    chosen = {"period": str(world.period.pk), "verifier": str(appointment.verifier_id)}
    borealis.post(reverse("appointment-propose"), sent(**chosen))
    again = Appointment.objects.get(operator=world.borealis.operator, status="proposed")
    accept = reverse("appointment-accept", args=[again.pk])
    no = dict.fromkeys(("consulted", "holds_stake", "staff_shared", "paid_by_result", "trades_permits"), "no")

    refused = as_person("verifier").post(accept, sent(**no | {"consulted": "yes"}, note=""))
    accepted = as_person("verifier").post(accept, sent(**no, note="A cousin works there."), follow=True)

    assert refused.status_code == 422 and "You declare a conflict" in refused.content.decode()
    assert "A cousin works there." in accepted.content.decode()


def test_the_desk_supervises_and_accredits(world: World, as_person: AsPerson) -> None:
    desk = as_person("desk officer")
    accreditation = Accreditation.objects.filter(scheme=world.period.scheme).get()

    assert desk.get(reverse("supervision"), follow=True).status_code == 200
    page = desk.get(reverse("supervision-period", args=[world.period.code])).content.decode()
    lost = sent(accreditation=str(accreditation.pk), status="suspended", reason="The audit is late.")
    listed = desk.post(reverse("accreditations"), lost, follow=True).content.decode()

    assert "0: typed figures" in page and "Borealis" in page
    assert "The audit is late." in listed
    accreditation.refresh_from_db()
    assert accreditation.status == "suspended"
    assert as_person("auditor").post(reverse("accreditations"), lost | {"status": "valid"}).status_code == 403


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_workbench_is_accessible(
    world: World, open_page: OpenPage, assert_accessible: Callable[..., None], clock: Clock, theme: str
) -> None:
    office = verity(world)
    cast.check(office, world.submitted, clock.now())
    keys.make_key(
        actor=office.verifier, organisation=office.organisation, name="Old", passphrase=PASSPHRASE, now=LONG_AGO
    )

    page = open_page(reverse("workbench", args=[world.submitted.pk]), theme=theme, user=world.people["verifier"])

    assert page.get_by_role("heading", name="Materiality").is_visible()
    assert page.get_by_role("button", name="Sign this opinion").is_visible()
    assert_accessible(page)


def verity(world: World) -> cast.Party:
    """Return the verifier of the world with its people."""
    organisation = Appointment.objects.filter(operator=world.borealis.operator).earliest("proposed_at").verifier
    lead = world.people["verifier"]
    reviewer = organisation.memberships.filter(role="verifier").exclude(user=lead).get().user
    return cast.Party(organisation, {"verifier": lead, "reviewer": reviewer})
