"""Deciding on proposals, choosing for whom one acts, and API tokens."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, Membership, Task
from accounts.services import organisations
from registry.ledger.models import Journal
from tests.cast import OPENING, Clock
from tests.pages.world import World

AsPerson = Callable[[str], Client]


def test_a_proposal_waits_for_the_second_person_and_for_nobody_else(world: World, as_person: AsPerson) -> None:
    pages = {
        person: as_person(person).get(reverse("approvals")).content.decode()
        for person in ("acme approver", "acme initiator", "acme viewer")
    }
    waiting = {person: page.split("Waiting for somebody else")[0] for person, page in pages.items()}

    assert world.approval.summary in waiting["acme approver"]
    assert "Nothing waits for you" in waiting["acme initiator"] and world.approval.summary in pages["acme initiator"]
    assert "Nothing waits for you" in waiting["acme viewer"]


def test_the_second_person_reads_the_frozen_parameters_and_approves(world: World, as_person: AsPerson) -> None:
    client, address = as_person("acme approver"), reverse("approval", args=[world.approval.pk])

    page = client.get(address).content.decode()
    done = client.post(reverse("approval-approve", args=[world.approval.pk]), follow=True)

    assert "1,000" in page and "sale of a unit" in page and world.approval.parameters_sha256 in page
    assert "Approved and done." in done.content.decode()
    assert Journal.objects.filter(kind="transfer").count() == 1


def test_the_first_person_cannot_approve_but_may_take_it_back(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")

    page = client.get(reverse("approval", args=[world.approval.pk])).content.decode()
    approving = client.post(reverse("approval-approve", args=[world.approval.pk]))
    client.post(
        reverse("approval-cancel", args=[world.approval.pk]), {"key": str(uuid4()), "reason": "Wrong receiver."}
    )

    world.approval.refresh_from_db()
    assert ">Approve<" not in page
    assert approving.status_code == 422
    assert (world.approval.status, world.approval.reason) == ("cancelled", "Wrong receiver.")


def test_a_rejection_needs_a_reason(world: World, as_person: AsPerson) -> None:
    client, address = as_person("acme approver"), reverse("approval-reject", args=[world.approval.pk])

    empty = client.post(address, {"key": str(uuid4()), "reason": "  "})
    client.post(address, {"key": str(uuid4()), "reason": "Too many."})

    world.approval.refresh_from_db()
    assert empty.status_code == 422
    assert world.approval.status == "rejected"


@pytest.mark.parametrize("act", ["approval-approve", "approval-reject", "approval-cancel"])
def test_nobody_decides_for_another_organisation(act: str, world: World, as_person: AsPerson) -> None:
    answer = as_person("borealis viewer").post(reverse(act, args=[world.approval.pk]), {"reason": "x"})

    world.approval.refresh_from_db()
    assert (answer.status_code, world.approval.status) == (404, "proposed")


@pytest.mark.parametrize("act", ["approval-approve", "approval-reject", "approval-cancel"])
def test_reading_never_decides(act: str, world: World, as_person: AsPerson) -> None:
    assert as_person("acme approver").get(reverse(act, args=[world.approval.pk])).status_code == 405


def test_a_person_with_two_organisations_chooses_for_which_it_acts(world: World, as_person: AsPerson) -> None:
    user = world.people["acme viewer"]
    organisations.grant_role(
        actor=world.regulator.senior,
        user=user,
        organisation=world.borealis.organisation,
        role=Membership.Role.VIEWER,
        now=OPENING,
    )
    client = as_person("acme viewer")

    before = client.get(reverse("holdings")).content.decode()
    client.post(reverse("act-for"), {"organisation": str(world.borealis.organisation.pk)})
    after = client.get(reverse("holdings")).content.decode()

    assert world.acme.account.number in before and world.borealis.account.number not in before
    assert world.borealis.account.number in after and world.acme.account.number not in after


@pytest.mark.parametrize("chosen", ["borealis", "nonsense", ""])
def test_nobody_acts_for_an_organisation_in_which_it_has_no_role(
    chosen: str, world: World, as_person: AsPerson
) -> None:
    client = as_person("acme viewer")
    sent = str(world.borealis.organisation.pk) if chosen == "borealis" else chosen

    answer = client.post(reverse("act-for"), {"organisation": sent})

    assert answer.status_code == 404
    assert world.borealis.account.number not in client.get(reverse("holdings")).content.decode()


def test_somebody_without_a_role_gets_a_page_that_says_so(world: World) -> None:
    client = Client()
    client.force_login(type(world.acme.viewer).objects.create_user("new@example.org", name="New"))

    answer = client.get(reverse("home"))

    assert answer.status_code == 200
    assert "You have no role yet" in answer.content.decode()
    assert client.get(reverse("holdings")).status_code == 200
    assert client.get(reverse("transfer")).status_code == 403


def test_the_overview_counts_what_waits_and_leads_to_it(world: World, as_person: AsPerson, clock: Clock) -> None:
    before = Task.objects.filter(organisation=world.acme.organisation, status="unclaimed").count()
    for number, due_at in enumerate((clock.now() - timedelta(days=1), clock.now() + timedelta(days=1))):
        Task.objects.create(
            key=f"waits:{number}",
            kind="test",
            organisation=world.acme.organisation,
            title="Something to do",
            created_at=clock.now() - timedelta(days=2),
            due_at=due_at,
        )

    of_firm = " ".join(as_person("acme viewer").get(reverse("home")).content.decode().split())

    assert f'<a href="{reverse("tasks")}">Open tasks</a> </span> <span class="stat-value">{before + 2}' in of_firm
    assert "1 overdue" in of_firm
    for page in ("sanctions", "cases"):
        assert f'<a href="{reverse(page)}">' in of_firm
        assert f'<a href="{reverse(page)}">' in as_person("senior officer").get(reverse("home")).content.decode()


def test_a_page_below_another_shows_where_it_belongs(world: World, as_person: AsPerson) -> None:
    page = " ".join(as_person("acme initiator").get(reverse("transfer")).content.decode().split())

    assert f'<a href="{reverse("transactions")}" aria-current="page">Transactions</a>' in page


def test_a_token_is_shown_once_and_revoked(world: World, as_person: AsPerson) -> None:
    client = as_person("acme viewer")
    made = client.post(reverse("tokens"), {"key": str(uuid4()), "name": "books", "scope": "read", "days": "7"})
    token = ApiToken.objects.get(user=world.people["acme viewer"])

    again = client.get(reverse("tokens")).content.decode()
    client.post(reverse("token-revoke", args=[token.token_key]))

    assert "shown this once" in made.content.decode() and "no-store" in made["Cache-Control"]
    assert "shown this once" not in again and token.token_key in again
    assert not ApiToken.objects.filter(user=world.people["acme viewer"]).exists()


@pytest.mark.parametrize("typed", [{"days": "0"}, {"days": "91"}, {"days": "x"}, {"name": " "}, {"scope": "all"}])
def test_a_token_that_may_not_be_is_refused_beside_its_field(
    typed: dict[str, str], world: World, as_person: AsPerson
) -> None:
    sent = {"key": str(uuid4()), "name": "books", "scope": "read", "days": "7"} | typed

    answer = as_person("acme viewer").post(reverse("tokens"), sent)

    assert answer.status_code == 422
    assert not ApiToken.objects.exists()


def test_nobody_revokes_the_token_of_somebody_else(world: World, as_person: AsPerson) -> None:
    as_person("acme viewer").post(
        reverse("tokens"), {"key": str(uuid4()), "name": "books", "scope": "read", "days": "7"}
    )
    token = ApiToken.objects.get()

    answer = as_person("acme trader").post(reverse("token-revoke", args=[token.token_key]))

    assert (answer.status_code, ApiToken.objects.count()) == (404, 1)


def test_a_part_of_a_page_whose_session_ended_leads_the_whole_page_to_the_log_in(world: World) -> None:
    address = reverse("market", args=[world.market.code])

    answer = Client().get(
        reverse("market-own", args=[world.market.code]),
        headers={"HX-Request": "true", "HX-Current-URL": f"http://testserver{address}"},
    )

    assert answer.status_code == 200
    assert answer["HX-Redirect"] == f"{reverse('account_login')}?next={address.replace('/', '%2F')}"
    assert answer.content == b""
