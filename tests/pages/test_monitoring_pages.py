"""Sites, systems, models and plans on pages: recorded by the firm, written in steps, decided at the desk."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from playwright.sync_api import Page

from registry.models import AiModel, MonitoringPlan, Site, SitePue, System, Workload
from registry.services import reports
from registry.services.monitoring import plans
from registry.services.reports import LineInput
from tests.cast import PERMIT_FLOP, REPORTING, YEAR
from tests.pages.conftest import NARROW, WIDE, OpenPage
from tests.pages.world import World
from tests.registry.monitored import BILL, open_cluster, open_paris, submitted

AsPerson = Callable[[str], Client]


def key() -> dict[str, str]:
    return {"key": str(uuid4())}


def bill() -> SimpleUploadedFile:
    return SimpleUploadedFile("bill.csv", BILL)


def test_a_reporter_records_a_site_a_system_a_model_and_a_workload(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")

    client.post(reverse("site-new"), key() | {"name": "Lyon", "country": "fra", "opened_on": "2025-05-01"})
    site = Site.objects.get()
    client.post(
        reverse("site-pue", args=[site.pk]),
        {f"pue-{name}": value for name, value in (key() | {"year": YEAR, "value": "1.2", "proof": bill()}).items()},
    )
    client.post(
        reverse("system-new", args=[site.pk]),
        key()
        | {
            "name": "Cluster",
            "hardware": "H100",
            "devices": "8",
            "watts_per_device": "700",
            "tier": "3",
            "proof": bill(),
            "opened_on": "2025-05-01",
        },
    )
    system = System.objects.get()
    client.post(reverse("models"), key() | {"name": "Base", "architecture": "dense", "parameters": "70000000000"})
    client.post(
        reverse("workload-new", args=[system.pk]),
        {
            f"workload-{name}": value
            for name, value in (
                key() | {"name": "Run 1", "kind": "run", "activity": "training", "ai_model": AiModel.objects.get().pk}
            ).items()
        },
    )

    assert (SitePue.objects.get().evidence is not None, system.tier) == (True, 3)
    assert Workload.objects.get().ai_model == AiModel.objects.get()
    shown = client.get(reverse("sites")).content.decode()
    assert "Lyon" in shown and "Proven" in shown
    proof = client.get(reverse("system-proof", args=[system.pk, system.proofs.get().pk]))
    assert b"".join(proof) == BILL
    assert proof["Content-Disposition"].startswith("attachment")


def test_what_was_recorded_is_put_right_and_ended(world: World, as_person: AsPerson) -> None:
    cluster, client = world.cluster, as_person("acme approver")

    def post(act: str, thing: object, prefix: str, **sent: object) -> int:
        before = f"{prefix}-" if prefix else ""
        typed = {f"{before}{field}": value for field, value in (key() | sent).items()}
        return client.post(reverse(act, args=[thing]), typed).status_code

    client.post(reverse("models"), key() | {"name": "Base", "architecture": "other"})
    model = AiModel.objects.get()
    assert post("model", model.pk, "", name="Base 2", architecture="dense", parameters="8000000000") == 302
    assert post("site-change", cluster.site_id, "change", name="Paris Nord", country="FRA", zone="RTE") == 302
    machines = {"hardware": "H100 SXM", "devices": "1024", "watts_per_device": "700"}
    assert post("system-change", cluster.pk, "change", **machines) == 302
    assert post("system-tier", cluster.pk, "lower", tier="3", reason="No.") == 422
    assert post("system-tier", cluster.pk, "lower", tier="1", reason="The certificate ran out.") == 302
    assert post("system-proof-new", cluster.pk, "proof", tier="2", proof=bill(), note="A new meter.") == 302
    assert post("workload-end", cluster.workloads.get().pk, "", ended_on="2026-02-01") == 302
    assert post("system-close", cluster.pk, "close", closed_on="2999-01-01") == 422
    assert post("system-close", cluster.pk, "close", closed_on="2026-02-02") == 302
    assert post("site-close", cluster.site_id, "close", closed_on="2026-02-03") == 302

    shown = client.get(reverse("system", args=[cluster.pk])).content.decode()
    assert "A new meter." in shown and "1,024" in shown and "2 February 2026" in shown
    assert "8,000,000,000" in client.get(reverse("model", args=[model.pk])).content.decode()
    assert "Closed" in client.get(reverse("sites")).content.decode()


@pytest.mark.parametrize(
    ("address", "sent", "sentence"),
    [
        ("site-new", {"name": "Lyon", "country": "F1", "opened_on": "2025-05-01"}, "three letters"),
        ("site-new", {"name": "Lyon", "country": "FRA", "opened_on": "2999-05-01"}, "Enter a day from"),
        ("site-new", {"name": "Lyon", "country": "FRA", "opened_on": "2028-05-01"}, "Give the day on which"),
        ("models", {"name": "M", "architecture": "moe", "parameters": "10"}, "Enter how many"),
        ("models", {"name": "M", "architecture": "dense", "parameters": "1e3"}, "Enter a number with digits"),
    ],
)
def test_bad_input_comes_back_with_what_is_wrong(
    world: World, as_person: AsPerson, address: str, sent: dict[str, str], sentence: str
) -> None:
    answer = as_person("acme initiator").post(reverse(address), key() | sent)

    assert (answer.status_code, sentence in answer.content.decode()) == (422, True)


def steps(client: Client, plan: MonitoringPlan, name: str, go: str, **typed: object) -> str:
    answer = client.post(reverse("plan-step", args=[plan.pk, name]), key() | {"go": go} | typed, follow=True)
    return answer.content.decode()


def test_a_plan_is_written_in_steps_and_keeps_what_was_typed(world: World, as_person: AsPerson) -> None:
    cluster, client = world.cluster, as_person("acme initiator")
    client.post(reverse("plan-new", args=[world.acme.operator.pk]))  # type: ignore[union-attr]
    plan = MonitoringPlan.objects.get()
    row = f"s{cluster.pk.hex}"

    check = steps(client, plan, "boundary", "check", boundary="it", boundary_words="Two halls; offices outside.")
    assert "Choose at least one activity" in check and "Two halls; offices outside." in check
    back = steps(client, plan, "activities", "back", activities=["training"])
    assert "Two halls; offices outside." in back
    refused = client.post(reverse("plan-step", args=[plan.pk, "check"]), key() | {"go": "submit", "valid_from": ""})
    assert (refused.status_code, "say how it is measured" in refused.content.decode()) == (422, True)
    too_high = steps(
        client, plan, "systems", "check", **{f"{row}-method": "meter", f"{row}-tier": "4", f"{row}-meter": "UMG 96"}
    )
    assert "there is proof of tier 3" in too_high
    steps(client, plan, "systems", "next", **{f"{row}-method": "meter", f"{row}-tier": "3", f"{row}-meter": "UMG 96"})
    steps(client, plan, "factors", "next", factors="annual", measures="Site", checks="Audit", gaps="Highest week.")
    done = steps(client, plan, "check", "submit", valid_from="2026-01-01")

    plan.refresh_from_db()
    assert (plan.status, "was submitted" in done) == ("submitted", True)
    assert plan.document["systems"][str(cluster.pk)]["meter"] == "UMG 96"


def test_the_desk_decides_and_the_firm_reads_the_reason(world: World, as_person: AsPerson) -> None:
    plan = world.plan
    waiting = as_person("desk officer").get(reverse("plans")).content.decode()
    assert "Waiting for a decision" in waiting and reverse("plan", args=[plan.pk]) in waiting

    answer = as_person("desk officer").post(
        reverse("plan-decide", args=[plan.pk]),
        key() | {"outcome": "returned", "reason": "Name the second meter."},
        follow=True,
    )

    assert "was sent back" in answer.content.decode()
    client = as_person("acme initiator")
    client.post(reverse("plan-new", args=[plan.operator_id]))
    draft = MonitoringPlan.objects.get(status="draft")
    steps(client, draft, "factors", "stop", factors="hourly", measures="Site", checks="Audit", gaps="Highest week.")
    compared = client.get(reverse("plan", args=[draft.pk]), {"with": plan.version}).content.decode()
    assert "Yearly average of the grid" in compared and "Hourly values of the grid" in compared
    assert "Name the second meter." in client.get(reverse("plan", args=[plan.pk])).content.decode()
    client.post(reverse("plan-discard", args=[draft.pk]))
    assert "Correct it" in client.get(reverse("plans")).content.decode()


def test_the_page_of_a_report_names_the_plan_that_it_cites(world: World, as_person: AsPerson) -> None:
    decided = plans.decide_plan(
        actor=world.regulator.desk, plan=world.plan, outcome="approved", reason="All is named.", now=REPORTING
    )
    report = reports.submit_lines(
        actor=world.acme.initiator,
        operator=decided.operator,
        period=world.period,
        lines=[LineInput("Another run", "training", flop=PERMIT_FLOP)],
        boundary="full stack",
        now=REPORTING,
    )

    page = as_person("auditor").get(reverse("report", args=[report.pk])).content.decode()

    assert reverse("plan", args=[decided.pk]) in page
    assert (
        reverse("report", args=[report.pk])
        in as_person("auditor").get(reverse("plan", args=[decided.pk])).content.decode()
    )


def test_those_concerned_see_a_plan_and_drafts_are_the_operators_own(world: World, as_person: AsPerson) -> None:
    plan = world.plan
    answers = {
        name: as_person(name).get(reverse("plan", args=[plan.pk])).status_code
        for name in ("acme viewer", "borealis viewer", "verifier", "auditor", "desk officer")
    }
    assert answers == {
        "acme viewer": 200,
        "borealis viewer": 404,
        "verifier": 200,
        "auditor": 200,
        "desk officer": 200,
    }
    as_person("acme initiator").post(reverse("plan-discard", args=[plan.pk]))
    as_person("acme initiator").post(reverse("plan-new", args=[plan.operator_id]))
    draft = MonitoringPlan.objects.get(status="draft")

    assert as_person("desk officer").get(reverse("plan", args=[draft.pk])).status_code == 404
    assert as_person("acme viewer").get(reverse("plan-step", args=[draft.pk, "boundary"])).status_code == 403


def test_a_longer_list_asks_no_more(world: World, as_person: AsPerson) -> None:
    assert world.plan.pk
    client = as_person("auditor")

    def asked() -> list[int]:
        counts = []
        for name in ("sites", "plans", "models"):
            client.get(reverse(name))
            with CaptureQueriesContext(connection) as queries:
                client.get(reverse(name))
            counts.append(len(queries))
        return counts

    few = asked()
    for party in (world.borealis, world.cobalt):
        submitted(party, open_cluster(party, open_paris(party)))

    assert asked() == few


def test_the_pages_are_accessible_and_the_steps_work_without_scripts(
    world: World, open_page: OpenPage, assert_accessible: Callable[[Page], None], as_person: AsPerson
) -> None:
    client = as_person("acme initiator")
    assert world.cluster.pk
    client.post(reverse("plan-new", args=[world.acme.operator.pk]))  # type: ignore[union-attr]
    plan = MonitoringPlan.objects.get()
    user = world.people["acme initiator"]

    assert_accessible(open_page(reverse("sites"), user=user, width=WIDE))
    assert_accessible(open_page(reverse("plan-step", args=[plan.pk, "systems"]), user=user, theme="dark", width=NARROW))
    page = open_page(reverse("plan-step", args=[plan.pk, "boundary"]), user=user, scripts=False)
    page.get_by_label("Full stack: the site with cooling and losses, PUE once").check()
    page.get_by_role("button", name="Factors and gaps").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Factors and gaps"
    plan.refresh_from_db()
    assert plan.document["boundary"] == "full_stack"
