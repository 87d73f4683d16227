"""Sites, systems, models, workloads and plans over REST: what is shown and refused; a plan on its way to the desk."""

from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from registry.models import MonitoringPlan, Site
from registry.services.monitoring import plans
from tests.api.asking import field_codes, refused
from tests.api.world import World
from tests.cast import OPENING
from tests.registry.monitored import said

ACME = ("acme initiator", "acme approver")
DESK = ("desk officer", "senior officer")


def test_what_was_recorded_is_shown_with_exact_figures(world: World) -> None:
    cluster, auditor = world.cluster, world.callers["auditor"]

    system = auditor.get(reverse("system-detail", args=[cluster.pk])).json()
    site = auditor.get(reverse("site-detail", args=[cluster.site_id])).json()

    assert (system["watts_per_device"], system["peak_flop_per_second"], system["tier"]) == ("700", "989400000000000", 3)
    assert (site["name"], site["zone"], site["pues"]) == ("Paris", "FRA", [])
    running = auditor.get(reverse("workload-list"), {"activity": "training", "is_running": "true"}).json()
    assert [row["name"] for row in running["results"]] == ["Base model"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": "Paris"}, 422, "name_taken"),
        ({"country": "F1A"}, 422, "not_a_country"),
        ({"opened_on": "2999-01-01"}, 422, "opening_day_implausible"),
        ({"name": "a\u0000b"}, 422, ""),
        ({"opened_on": "yesterday"}, 422, ""),
    ],
)
def test_bad_bodies_are_refused(world: World, change: dict[str, Any], status: int, code: str) -> None:
    assert world.cluster.pk
    body = {"name": "Lyon", "country": "FRA", "opened_on": "2025-05-01"} | change

    answer = world.callers["acme initiator"].post(reverse("site-list"), body)

    if code:
        refused(answer, status, code)
    else:
        assert list(field_codes(answer)) == [f"/{next(iter(change))}"]
    assert Site.objects.count() == 1


def test_others_things_are_unknown_in_bodies(world: World) -> None:
    system = {
        "site": str(world.cluster.site_id),
        "name": "Edge",
        "hardware": "L4",
        "devices": 8,
        "watts_per_device": "72",
        "opened_on": "2025-05-01",
    }
    model = {"name": "Student", "architecture": "dense", "upstream": str(world.plan.pk)}
    reporter = world.callers["acme initiator"]

    assert field_codes(reporter.post(reverse("system-list"), system | {"site": str(world.plan.pk)})) == {
        "/site": "site_unknown"
    }
    assert field_codes(reporter.post(reverse("model-list"), model)) == {"/upstream": "model_unknown"}


def test_a_plan_is_written_submitted_and_decided_by_those_who_may(world: World) -> None:
    body = {"scheme": world.period.scheme.code, "valid_from": "2026-01-01", **said(world.cluster)}

    def ask(act: str, content: Any, *args: Any) -> dict[int, set[str]]:
        answers: dict[int, set[str]] = {}
        for who, client in world.callers.items():
            answers.setdefault(client.post(reverse(act, args=args), content).status_code, set()).add(who)
        return answers

    assert ask("plan-list", body)[201] == set(ACME)
    draft = MonitoringPlan.objects.get()
    seen = {
        who
        for who, caller in world.callers.items()
        if caller.get(reverse("plan-detail", args=[draft.pk])).json().get("id")
    }
    assert seen == {who for who in world.callers if who.startswith("acme")}  # a draft is the operator's own
    sent = ask("plan-submission", {}, draft.pk)
    assert sent[200] | sent[422] == set(ACME)  # the second one comes too late
    assert (sent[404], "desk officer" in sent[403]) == ({"borealis trader"}, True)
    decided = ask("plan-decision", {"outcome": "approved", "reason": "All is named."}, draft.pk)
    assert decided[200] | decided[422] == set(DESK)
    assert decided[403] >= {"acme initiator", "verifier", "market monitor"}
    shown = world.callers["verifier"].get(reverse("plan-detail", args=[draft.pk])).json()
    assert (shown["status"], shown["decision"], len(shown["content_sha256"])) == ("approved", "All is named.", 64)


def test_an_incomplete_plan_is_refused_with_everything_that_it_lacks(world: World) -> None:
    reporter: APIClient = world.callers["acme initiator"]
    draft = reporter.post(reverse("plan-list"), {"scheme": world.period.scheme.code, "boundary": "it"}).json()

    answer = reporter.post(reverse("plan-submission", args=[draft["id"]]))

    refused(answer, 422, "several_refusals")
    assert {"activities_missing", "gaps_missing"} <= {error["code"] for error in answer.json()["errors"]}


def test_a_plan_is_taken_back_by_its_operator_only(world: World) -> None:
    address = reverse("plan-withdrawal", args=[world.plan.pk])

    statuses = {who: world.callers[who].post(address).status_code for who in ("desk officer", "borealis trader")}
    assert statuses == {"desk officer": 403, "borealis trader": 404}
    assert world.callers["acme approver"].post(address).json()["status"] == "discarded"
    assert plans.in_force(world.plan.operator, OPENING.date()) is None


@pytest.mark.parametrize(
    "systems",
    [
        {"nobody": {"method": "meter", "tier": 3}},
        {"00000000-0000-4000-8000-000000000000": {"method": "meter", "tier": 3}},
    ],
)
def test_unknown_systems_are_refused_and_nothing_is_written(world: World, systems: Any) -> None:
    answer = world.callers["acme initiator"].post(
        reverse("plan-list"), {"scheme": world.period.scheme.code, "systems": systems}
    )

    refused(answer, 422, "system_unknown")
    assert MonitoringPlan.objects.get().document["systems"] == {}
