"""Regimes: who is under all of a scheme, who under less, who chose it, and what the lighter ones are charged."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from common.errors import Refused
from registry.engine.policy import Regime, Scope, Tier
from registry.engine.scope import ACTIVITIES
from registry.models import Sanction
from registry.services import regimes, sanctions
from tests import cast
from tests.cast import OPENING, Party
from tests.registry.staging import Ruling, Stage, broken, operator

FULL = Tier(Regime.FULL, threshold_in=Decimal(1_000))
TARGET = Tier(Regime.TARGET_ONLY, threshold_in=Decimal(100), target=150)
NOTIFY = Tier(Regime.NOTIFY_ONLY, notify_by="03-31", avoided_cost_minor=5_000)
OPT_IN = Tier(Regime.OPT_IN, min_stay_years=2)


def priced(stage: Stage) -> None:
    """Let two officers record that a permit cost 20.00 on average."""
    stage.approve(
        sanctions.propose_reference_price(
            actor=stage.regulator.desk, period=stage.period, price="20.00", source="Gazette", now=stage.clock.now()
        )
    )


def run_year(stage: Stage, at: datetime | None = None) -> dict[str, int]:
    """Run the regimes of the period's year."""
    with transaction.atomic():
        return dict(regimes.run_year(stage.period, at or stage.clock.now()))


def test_a_target_replaces_surrender_and_its_excess_is_charged_once(
    stage: Stage, govern: Ruling, acme: Party, client: Client
) -> None:
    """200 used against a target of 150: 50 x 20.00, and no permit is owed."""
    govern(scope=Scope(ACTIVITIES, tiers=(FULL, TARGET)))
    stage.report(acme, 200)
    priced(stage)

    assert run_year(stage) == {"TARGET_ONLY": 1, "OUT": 1, "charged": 1}
    assert run_year(stage) == {"TARGET_ONLY": 1, "OUT": 1}

    (charge,) = Sanction.objects.all()
    assert (charge.kind, charge.shortfall, charge.amount_minor) == ("target", 50, 100_000)
    assert (stage.standing(acme).owed, stage.standing(acme).status) == (0, "A")
    assert [status.regime for status in regimes.public_list(stage.period)] == ["TARGET_ONLY", "OUT"]
    page = client.get(reverse("transparency-period", args=[stage.period.code])).content.decode()
    assert "Keeps a target and surrenders nothing" in page
    assert broken() == []


@pytest.mark.parametrize(("tells", "charged"), [(True, 0), (False, 1)])
def test_passing_the_bound_costs_whoever_tells_nobody(
    stage: Stage, govern: Ruling, acme: Party, tells: bool, charged: int
) -> None:
    """Below 100 one only notifies; 120 used in 2027 pass the bound: 50.00 avoided + 120 x 20.00, unless told."""
    govern(scope=Scope(ACTIVITIES, tiers=(Tier(Regime.FULL, threshold_in=Decimal(100)), NOTIFY)))
    stage.report(acme, 80)
    assert stage.standing(acme).owed == 0
    stage.period = stage.next_year()
    stage.report(acme, 120, at=cast.REPORTING.replace(year=2028))
    priced(stage)
    if tells:
        regimes.notify_exceeded(
            actor=acme.initiator, operator=operator(acme), period=stage.period, now=stage.clock.now()
        )

    run_year(stage, at=stage.clock.move_to(cast.LATE_FOR_REPORTS.replace(year=2028)))

    found = Sanction.objects.filter(kind="notice")
    assert found.count() == charged
    assert all(charge.amount_minor == 5_000 + 120 * 2_000 for charge in found)
    assert broken() == []


def test_who_opts_in_owes_like_the_others_and_stays_for_some_years(stage: Stage, govern: Ruling, acme: Party) -> None:
    """Acme chooses 2026 and may leave for 2028."""
    govern(scope=Scope(ACTIVITIES, tiers=(FULL, OPT_IN)))
    regimes.opt_in(actor=acme.initiator, operator=operator(acme), year=2026, now=OPENING)
    stage.report(acme, 80)
    assert stage.standing(acme).owed == 80

    with pytest.raises(Refused) as early:
        regimes.opt_out(actor=acme.initiator, operator=operator(acme), year=2027, now=stage.clock.now())
    regimes.opt_out(actor=acme.initiator, operator=operator(acme), year=2028, now=stage.clock.now())

    assert early.value.code == "opt_in_too_short"
    assert regimes.surrenders(operator(acme), 2026)
    assert not regimes.surrenders(operator(acme), 2028)


def test_who_only_reports_owes_nothing(stage: Stage, govern: Ruling, acme: Party) -> None:
    """A tier of reports stands beside the ladder."""
    govern(
        scope=Scope(
            ACTIVITIES, tiers=(FULL, Tier(Regime.REPORT_ONLY, measure="training_flop", threshold_in=Decimal(10**19)))
        )
    )

    stage.report(acme, 80)

    assert run_year(stage) == {"REPORT_ONLY": 1, "OUT": 1}
    assert stage.standing(acme).owed == 0


def test_a_scheme_without_tiers_has_no_regimes(stage: Stage, acme: Party) -> None:
    """Everybody is under all of it, as before there were rules."""
    stage.report(acme, 80)

    assert run_year(stage) == {}
    assert (stage.standing(acme).owed, regimes.public_list(stage.period)) == (80, [])


def test_a_cohort_is_checked_once_a_year_and_confirms_who_shares_a_set_aside(
    stage: Stage, acme: Party, borealis: Party
) -> None:
    """Borealis is still an academic lab in 2026; nothing is known of 2027."""
    asked: dict[str, Any] = {
        "actor": stage.regulator.desk,
        "operator": operator(borealis),
        "year": 2026,
        "now": OPENING,
    }

    regimes.check_cohort(holds=True, reason="Charter of the university.", **asked)

    both = [operator(acme), operator(borealis)]
    assert regimes.confirmed(both, 2026) == {operator(borealis).pk}
    assert regimes.confirmed(both, 2027) == set()
    with pytest.raises(Refused) as again:
        regimes.check_cohort(holds=False, reason="Changed my mind.", **asked)
    assert again.value.code == "cohort_checked_already"
