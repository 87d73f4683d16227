"""Lists ask the database equally often however long they are."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from exchange.services import matching
from registry.services import reports, transfers
from registry.services.metering import projects
from registry.services.monitoring import workloads
from registry.services.reports import LineInput
from tests.cast import LARGE_TRANSFER, PERMIT_FLOP, Clock, operator
from tests.pages.world import World, place
from tests.registry.gridded import deliver, intensity_file, load, open_chat, records

AsPerson = Callable[[str], Client]


def asked(client: Client, address: str) -> int:
    """Return how many queries a page asks."""
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def make_more_of_everything(world: World, clock: Clock) -> None:
    """Add firms, orders, trades, versions of reports and proposals."""
    for number in range(5):
        more = operator(world.regulator, world.period.scheme, f"Firm {number}", "firm", "small")
        assert more.operator is not None
        reports.submit_lines(
            actor=more.initiator,
            operator=more.operator,
            period=world.period,
            lines=[LineInput(label="run", activity="training", flop=number * PERMIT_FLOP)],
            boundary="full stack",
            now=clock.now(),
        )
        transfers.transfer(
            actor=world.acme.initiator,
            organisation=world.acme.organisation,
            to_number=more.account.number,
            asset=world.period.permit,
            quantity=3,
            key=uuid4(),
            now=clock.now(),
        )
        place(world.acme, world.market, "sell", 1, 500 + number)
        place(world.borealis, world.market, "buy", 2, 500 + number)
    transfers.transfer(
        actor=world.acme.initiator,
        organisation=world.acme.organisation,
        to_number=world.borealis.account.number,
        asset=world.period.permit,
        quantity=LARGE_TRANSFER,
        key=uuid4(),
        now=clock.now(),
    )
    matching.drain(world.market.pk)


@pytest.mark.parametrize(
    ("person", "name", "args"),
    [
        ("acme viewer", "home", "none"),
        ("senior officer", "home", "none"),
        ("verifier", "home", "none"),
        ("auditor", "home", "none"),
        ("acme viewer", "markets", "none"),
        ("acme trader", "market", "market"),
        ("auditor", "holdings", "none"),
        ("auditor", "reports", "none"),
        ("verifier", "reports", "none"),
        ("auditor", "compliance", "none"),
        ("auditor", "compliance-period", "period"),
        ("acme approver", "approvals", "none"),
        ("auditor", "approvals", "none"),
        ("desk officer", "desk", "none"),
        ("desk officer", "desk-period", "period"),
        ("desk officer", "desk-market", "market"),
        ("acme viewer", "account-statement", "statement"),
        ("acme viewer", "transparency", "none"),
        ("acme viewer", "transparency-period", "period"),
        ("acme viewer", "transparency-csv", "compliance"),
    ],
)
def test_a_longer_list_asks_no_more(
    person: str, name: str, args: str, world: World, as_person: AsPerson, clock: Clock
) -> None:
    places = {
        "none": [],
        "market": [world.market.code],
        "period": [world.period.code],
        "statement": [world.account.number, world.period.permit.code],
        "compliance": [world.period.code, "permits"],
    }
    client, address = as_person(person), reverse(name, args=places[args])
    client.get(address)
    few = asked(client, address)

    make_more_of_everything(world, clock)

    assert asked(client, address) <= few


@pytest.mark.parametrize("person", ["acme viewer", "verifier", "auditor"])
@pytest.mark.parametrize("name", ["meters", "serving", "green", "flex-claims", "verifying", "factor-sets"])
def test_a_longer_list_of_what_is_measured_asks_no_more(
    person: str, name: str, world: World, as_person: AsPerson, clock: Clock
) -> None:
    def project(number: int) -> None:
        projects.create_project(
            actor=world.acme.initiator,
            operator=world.acme.organisation.operators.get(scheme=world.pilot.scheme),
            name=f"Cluster {number}",
            description="",
            site=None,
            now=clock.now(),
        )

    chat = open_chat(world.acme)
    client, address = as_person(person), reverse(name)
    project(0)
    deliver(world.acme, records(["1"]))
    load(world.regulator, intensity_file("CISO", ["100"]), "one")
    client.get(address)
    few = asked(client, address)

    for number in range(1, 6):
        project(number)
        deliver(world.acme, records([str(number + 1)]))
        load(world.regulator, intensity_file(f"ZONE-{number}", ["100"]), f"more-{number}")
    for number in range(3):
        workloads.open_workload(
            actor=world.acme.initiator,
            system=chat.system,
            name=f"chat {number}",
            kind="stream",
            activity="inference",
            ai_model=chat.ai_model,
            now=clock.now(),
        )

    assert asked(client, address) <= few
