"""Every page, asked for by every role: who reads it, who is turned away, and for whom it does not exist."""

from collections import defaultdict
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from registry.models import DueWork, Transaction
from tests.pages.world import World

AsPerson = Callable[[str], Client]

EVERYBODY = (
    "acme viewer", "acme initiator", "acme approver", "acme trader", "borealis viewer", "verifier", "desk officer",
    "senior officer", "market monitor", "auditor",
)  # fmt: skip
OVERSEERS = {"desk officer", "senior officer", "market monitor", "auditor"}
ACME = {"acme viewer", "acme initiator", "acme approver", "acme trader"}
FIRMS = ACME | {"borealis viewer"}


def addresses(world: World) -> dict[str, tuple[str, dict[int, set[str]]]]:
    """Every page that is read, with the roles that get each answer but 200."""
    everybody = set(EVERYBODY)
    code, pilot = world.period.code, world.pilot.code
    return {
        "home": (reverse("home"), {}),
        "markets": (reverse("markets"), {}),
        "market": (reverse("market", args=[world.market.code]), {}),
        "market live": (reverse("market-live", args=[world.market.code]), {}),
        "market own": (reverse("market-own", args=[world.market.code]), {}),
        "market prices": (reverse("market-prices", args=[world.market.code]), {}),
        "holdings": (reverse("holdings"), {}),
        "statement": (
            reverse("account-statement", args=[world.account.number, world.period.permit.code]),
            {404: everybody - ACME - OVERSEERS},
        ),
        "statement csv": (
            reverse("statement-csv", args=[world.account.number, world.period.permit.code]),
            {404: everybody - ACME - OVERSEERS},
        ),
        "transfer": (reverse("transfer"), {}),
        "new cancellation": (reverse("cancellation-new"), {}),
        "transactions": (reverse("transactions"), {}),
        "transaction": (
            reverse("transaction", args=[Transaction.objects.get(approval=world.approval).pk]),
            {404: everybody - ACME - OVERSEERS},
        ),
        "trusted accounts": (reverse("trusted-accounts"), {}),
        "no certificate": (reverse("certificate", args=[world.approval.pk]), {404: everybody}),
        "reports": (reverse("reports"), {}),
        "new report": (reverse("report-new"), {}),
        "report": (reverse("report", args=[world.verified.pk]), {404: {"borealis viewer"}}),
        "measured report": (reverse("report", args=[world.measured.pk]), {404: {"borealis viewer"}}),
        "evidence": (reverse("evidence", args=[world.measured.pk]), {404: {"borealis viewer"}}),
        "typed evidence": (reverse("evidence", args=[world.verified.pk]), {404: everybody}),
        "meters": (reverse("meters"), {}),
        "sites": (reverse("sites"), {}),
        "new site": (reverse("site-new"), {}),
        "site": (reverse("site", args=[world.cluster.site_id]), {404: {"borealis viewer"}}),
        "new system": (reverse("system-new", args=[world.cluster.site_id]), {404: {"borealis viewer"}}),
        "system": (reverse("system", args=[world.cluster.pk]), {404: {"borealis viewer"}}),
        "proof": (
            reverse("system-proof", args=[world.cluster.pk, world.cluster.proofs.get().pk]),
            {404: {"borealis viewer"}},
        ),
        "end of a workload": (
            reverse("workload-end", args=[world.cluster.workloads.get().pk]),
            {404: {"borealis viewer"}},
        ),
        "serving": (reverse("serving"), {}),
        "factor sets": (reverse("factor-sets"), {}),
        "desk factors": (reverse("desk-factors"), {403: everybody - OVERSEERS}),
        "models": (reverse("models"), {}),
        "plans": (reverse("plans"), {}),
        "plan": (reverse("plan", args=[world.plan.pk]), {404: {"borealis viewer"}}),
        "workbench": (
            reverse("workbench", args=[world.submitted.pk]),
            {403: FIRMS},
        ),
        "statement file": (reverse("statement-file", args=[world.verified.pk]), {404: {"borealis viewer"}}),
        "receipt file": (reverse("receipt-file", args=[world.verified.pk]), {404: {"borealis viewer"}}),
        "verifying": (reverse("verifying"), {}),
        "appointment": (
            reverse("appointment", args=[world.verified.statement.appointment_id]),
            {404: {"borealis viewer"}},
        ),
        "signing keys": (reverse("signing-keys"), {403: OVERSEERS}),
        "supervision": (reverse("supervision-period", args=[code]), {403: everybody - OVERSEERS}),
        "accreditations": (reverse("accreditations"), {403: everybody - OVERSEERS}),
        "green inference": (reverse("green"), {}),
        "forecasts": (reverse("flex-forecasts"), {}),
        "flex events": (reverse("flex-events"), {}),
        "claims": (reverse("flex-claims"), {}),
        "new claim": (reverse("flex-claim-new"), {}),
        "new tariff": (reverse("tariff-new"), {403: everybody - {"acme initiator", "acme approver"}}),
        "tariffs": (reverse("tariffs"), {}),
        "published claims": (reverse("avoided-claims"), {}),
        "planning": (reverse("planning"), {}),
        "efficiency": (reverse("efficiency"), {}),
        "league": (reverse("league", args=["text_generation-requests-site"]), {}),
        "measures": (reverse("measures"), {}),
        "new measure": (reverse("measure-new"), {403: everybody - {"acme initiator", "acme approver"}}),
        "labels": (reverse("labels"), {403: everybody - OVERSEERS}),
        "access": (reverse("access"), {}),
        "awards file": (reverse("access-csv"), {}),
        "applications": (reverse("applications"), {}),
        "access desk": (reverse("access-desk"), {403: everybody - OVERSEERS}),
        "new programme": (reverse("programme-new"), {403: everybody - {"desk officer", "senior officer"}}),
        "sensitivity": (reverse("planning-sensitivity"), {}),
        "compliance": (reverse("compliance"), {403: {"verifier"}}),
        "compliance of a period": (reverse("compliance-period", args=[code]), {403: {"verifier"}}),
        "compliance of the pilot": (
            reverse("compliance-period", args=[pilot]),
            {403: {"verifier"}, 404: {"borealis viewer"}},
        ),
        "cases": (reverse("cases"), {403: {"verifier"}}),
        "new case": (reverse("case-new", args=[code]), {403: {"verifier"} | OVERSEERS}),
        "case": (reverse("case", args=[world.case.pk]), {403: {"verifier"}, 404: {"borealis viewer"}}),
        "sanctions": (reverse("sanctions"), {403: {"verifier"}}),
        "debt": (reverse("debt", args=[code]), {403: {"verifier"} | OVERSEERS}),
        "missing reports": (reverse("estimates", args=[code]), {403: everybody - OVERSEERS}),
        "enforcement": (
            reverse("operator-enforcement", args=[world.cobalt.operator.pk]),  # type: ignore[union-attr]
            {403: everybody - OVERSEERS},
        ),
        "approvals": (reverse("approvals"), {}),
        "approval": (reverse("approval", args=[world.approval.pk]), {404: everybody - ACME - OVERSEERS}),
        "tokens": (reverse("tokens"), {}),
        "desk": (reverse("desk"), {403: everybody - OVERSEERS}),
        "desk period": (reverse("desk-period", args=[code]), {403: everybody - OVERSEERS}),
        "desk draft": (reverse("desk-period", args=[world.draft.code]), {403: everybody - OVERSEERS}),
        "new allocation": (reverse("allocation-new", args=[code]), {403: everybody - OVERSEERS}),
        "allocation run": (reverse("allocation-run", args=[world.run.pk]), {403: everybody - OVERSEERS}),
        "figures": (reverse("allocation-figures", args=[code]), {403: everybody - OVERSEERS}),
        "figures template": (reverse("figures-template", args=[code]), {403: everybody - OVERSEERS}),
        "stability": (reverse("stability", args=[code]), {403: everybody - OVERSEERS}),
        "sale": (reverse("sale", args=[code]), {403: everybody - OVERSEERS}),
        "runs": (reverse("runs"), {}),
        "run": (reverse("run", args=[world.run.published.pk]), {}),
        "run document": (reverse("run-file", args=[world.run.published.pk]), {}),
        "allocation inputs": (reverse("run-inputs", args=[world.run.pk]), {403: everybody - OVERSEERS}),
        "estimate": (
            reverse("estimate", args=[code, world.cobalt.operator.pk]),  # type: ignore[union-attr]
            {403: everybody - OVERSEERS},
        ),
        "desk market": (reverse("desk-market", args=[world.market.code]), {403: everybody - OVERSEERS}),
        "closing": (reverse("closing", args=[code]), {403: everybody - OVERSEERS}),
        "calendar": (reverse("calendar"), {403: everybody - OVERSEERS}),
        "calendar of a scheme": (
            reverse("scheme-calendar", args=[world.period.scheme.code]),
            {403: everybody - OVERSEERS},
        ),
        "striking out": (
            reverse("work-cancel", args=[DueWork.objects.get(period=world.period, kind="surrender").pk]),
            {403: everybody - OVERSEERS},
        ),
        "new period": (reverse("period-new", args=[world.period.scheme.code]), {403: everybody - OVERSEERS}),
        "transparency": (reverse("transparency"), {}),
        "transparency of a period": (reverse("transparency-period", args=[code]), {}),
        "transparency of the pilot": (reverse("transparency-period", args=[pilot]), {}),
        "transparency of a draft": (reverse("transparency-period", args=[world.draft.code]), {404: everybody}),
        "open file": (reverse("transparency-csv", args=[code, "permits"]), {}),
        "open file before its time": (reverse("transparency-json", args=[code, "compliance"]), {404: everybody}),
    }


PUBLIC = {
    "transparency", "transparency of a period", "transparency of the pilot", "open file", "runs", "run", "run document",
    "factor sets",
    "tariffs", "published claims", "planning", "sensitivity", "efficiency", "league", "access", "awards file",
}  # fmt: skip
NOWHERE = {"transparency of a draft", "open file before its time", "no certificate"}


@pytest.mark.parametrize("person", EVERYBODY)
def test_each_role_reads_what_is_its_own_and_nothing_else(person: str, world: World, as_person: AsPerson) -> None:
    client = as_person(person)

    answers = {name: client.get(address).status_code for name, (address, _) in addresses(world).items()}

    assert answers == {
        name: next((status for status, roles in others.items() if person in roles), 200)
        for name, (_, others) in addresses(world).items()
    }


def test_whoever_is_not_logged_in_is_sent_to_the_log_in_from_all_but_public_pages(
    world: World, as_person: AsPerson
) -> None:
    client = as_person("anyone")

    answers = {name: client.get(address) for name, (address, _) in addresses(world).items()}

    assert {name for name, answer in answers.items() if answer.status_code == 200} == PUBLIC
    assert {name for name, answer in answers.items() if answer.status_code == 404} == NOWHERE
    assert all(
        answer.status_code == 302 and answer["Location"].startswith(reverse("account_login"))
        for name, answer in answers.items()
        if name not in PUBLIC | NOWHERE
    )


def test_addresses_of_things_that_do_not_exist_are_404_and_not_500(world: World, as_person: AsPerson) -> None:
    client = as_person("senior officer")
    nobody = "00000000-0000-4000-8000-000000000000"

    answers = {
        address: client.get(address).status_code
        for address in (
            "/markets/nowhere/", "/markets/nowhere/live/", f"/sites/{nobody}/", f"/systems/{nobody}/",
            f"/meters/{nobody}/", f"/meters/experiments/{nobody}/",
            f"/models/{nobody}/", f"/plans/{nobody}/", f"/plans/{nobody}/steps/boundary/", f"/workloads/{nobody}/end/",
            "/holdings/HR-1/nothing/", "/holdings/HR-1/nothing/statement.csv",
            f"/reports/{nobody}/", f"/reports/{nobody}/evidence/", f"/approvals/{nobody}/", "/compliance/nowhere-2026/",
            f"/runs/{nobody}/", f"/verifying/{nobody}/", f"/findings/{nobody}/", f"/reports/{nobody}/workbench/",
            f"/reports/{nobody}/statement.json", "/supervision/nowhere-2026/",
            f"/runs/{nobody}/document/", "/desk/periods/nowhere-2026/figures/",
            "/desk/periods/nowhere-2026/", f"/desk/allocations/{nobody}/",
            "/public/nowhere/", "/public/nowhere/permits.csv",
            f"/public/{world.period.code}/nothing.csv", f"/public/{world.period.code}/nothing.json",
            f"/desk/periods/{world.period.code}/estimates/{nobody}/",
            f"/serving/{nobody}/", "/serving/batches/1/file/",
            f"/tariffs/{nobody}/", f"/green/claims/{nobody}/", f"/green/tariffs/{nobody}/end/",
            "/avoided-emissions/AVE-CISO-2026-000001/",
            "/efficiency/leagues/juggling-requests-site/", f"/efficiency/published/{nobody}/",
            f"/efficiency/labels/{nobody}/", f"/efficiency/editions/{nobody}/", f"/efficiency/measures/{nobody}/",
            f"/access/{nobody}/", f"/access/applications/{nobody}/", f"/access/awards/{nobody}/",
            f"/access/desk/{nobody}/",
            "/factors/nothing/", "/factors/nothing/v1/CISO/hours.csv",
            "/desk/calendar/nowhere/", "/desk/calendar/nowhere/period/", "/desk/calendar/work/999999999/cancel/",
        )
    }  # fmt: skip

    assert set(answers.values()) == {404}, answers


def test_no_two_addresses_share_a_name() -> None:
    found: defaultdict[str, set[str]] = defaultdict(set)

    def gather(patterns: list[URLPattern | URLResolver], before: str) -> None:
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                found[pattern.name or before].add(before + str(pattern.pattern))
            elif pattern.namespace is None:
                gather(pattern.url_patterns, before + str(pattern.pattern))

    gather(get_resolver().url_patterns, "")

    assert {name: places for name, places in found.items() if len(places) > 1 and not name.endswith("/")} == {}
