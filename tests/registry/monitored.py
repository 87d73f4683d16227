"""What the tests of monitoring share: Acme's site in Paris with one metered cluster, and a plan that says so."""

from datetime import date
from decimal import Decimal

import pytest

from registry.models import MonitoringPlan, Operator, Site, System
from registry.services.monitoring import plans, sites, systems, workloads
from tests.cast import OPENING, YEAR, Party, Regulator

BILL = b"meter;kWh\nUMG 96;120500\n"
"""A file that proves: what the meter of the cluster read."""
FIRST_OF_YEAR = date(YEAR, 1, 1)


@pytest.fixture
def paris(acme: Party) -> Site:
    """A site of Acme's that has run since last year."""
    return open_paris(acme)


@pytest.fixture
def cluster(acme: Party, paris: Site) -> System:
    """512 accelerators behind a meter, that train."""
    return open_cluster(acme, paris)


def open_paris(party: Party) -> Site:
    """Record a site in Paris that has run since last year."""
    return sites.open_site(
        actor=party.initiator,
        organisation=party.organisation,
        name="Paris",
        country="FRA",
        opened_on=date(YEAR - 1, 5, 1),
        now=OPENING,
    )


def open_cluster(party: Party, site: Site) -> System:
    """Record 512 accelerators behind a meter, with its bill as proof, and a run that trains on them."""
    cluster = systems.open_system(
        actor=party.initiator,
        site=site,
        name="Cluster",
        hardware="H100 SXM",
        devices=512,
        watts_per_device=Decimal(700),
        peak_flop_per_second=Decimal("989400000000000"),
        number_format="BF16",
        meter="Janitza UMG 96, no. 4711",
        tier=3,
        proof=("bill.csv", BILL),
        opened_on=date(YEAR - 1, 5, 1),
        now=OPENING,
    )
    workloads.open_workload(
        actor=party.initiator, system=cluster, name="Base model", kind="run", activity="training", now=OPENING
    )
    return cluster


def said(*measured: System, **changes: object) -> dict[str, object]:
    """Return what a complete plan says of systems behind meters, with changes."""
    return {
        "boundary": "full_stack",
        "boundary_words": "Servers, network and cooling; offices are outside.",
        "activities": ["training"],
        "systems": {
            str(system.pk): {
                "method": "meter" if system.tier else "ratings",
                "tier": system.tier,
                "meter": system.meter,
            }
            for system in measured
        },
        "factors": "annual",
        "measures": "Site engineering",
        "checks": "Group controlling",
        "gaps": "The highest week of the last quarter stands in.",
        **changes,
    }


def draft(party: Party, *measured: System, valid_from: date = FIRST_OF_YEAR, **changes: object) -> MonitoringPlan:
    """Write the next version of a party's plan; what it says is complete unless changes leave something open."""
    plan = plans.open_plan(actor=party.initiator, operator=operator_of(party), now=OPENING)
    return plans.write_draft(
        actor=party.initiator, plan=plan, said=said(*measured, **changes), valid_from=valid_from, now=OPENING
    )


def submitted(party: Party, *measured: System, valid_from: date = FIRST_OF_YEAR, **changes: object) -> MonitoringPlan:
    """Write the next version of a party's plan and submit it."""
    plan = draft(party, *measured, valid_from=valid_from, **changes)
    return plans.submit_plan(actor=party.initiator, plan=plan, now=OPENING)


def approved(
    regulator: Regulator, party: Party, *measured: System, valid_from: date = FIRST_OF_YEAR, **changes: object
) -> MonitoringPlan:
    """Bring the next version of a party's plan into force."""
    plan = submitted(party, *measured, valid_from=valid_from, **changes)
    return plans.decide_plan(
        actor=regulator.desk, plan=plan, outcome="approved", reason="Meters and roles are clear.", now=OPENING
    )


def operator_of(party: Party) -> Operator:
    """Return the operator that a party is."""
    assert party.operator is not None
    return party.operator
