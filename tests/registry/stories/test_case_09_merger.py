"""Case 9: two firms merge: the holding limit counts the group from that day, with five business days to cure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from registry.engine.policy import HoldingLimit, LimitRule
from registry.models import LimitBreach
from registry.services import due, groups, rules
from tests import cast
from tests.cast import OPENING, Party
from tests.registry.staging import Stage, broken, holds

HALF_OF_THE_CAP = LimitRule(holding=HoldingLimit(p1=Decimal("0.5"), base=cast.CAP, p2=Decimal("0.1")))


def test_what_is_above_the_limit_after_five_days_is_put_up_for_auction(
    stage: Stage, acme: Party, borealis: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4,000 and 2,000 permits are 1,000 above half of the cap, on Monday 2 March; 200 are surrendered in time."""
    monkeypatch.setattr(
        "registry.services.groups.policy_at",
        lambda scheme, on: replace(rules.policy_at(scheme, on), limits=HALF_OF_THE_CAP),
    )
    group = groups.create_group(actor=stage.regulator.desk, name="Aurora", now=OPENING)
    for party in (acme, borealis):
        groups.add_member(
            actor=stage.regulator.desk, group=group, organisation=party.organisation, reason="Merger.", now=OPENING
        )
    breach = LimitBreach.objects.get()
    assert (breach.counted, breach.limit_quantity) == (6_000, 5_000)
    assert breach.cure_by == datetime(2026, 3, 9, 23, tzinfo=UTC)

    stage.give(acme, 200)
    due.run_due(now=stage.clock.move_to(breach.cure_by - timedelta(seconds=1)))
    assert holds(f"auction:{stage.period.code}", stage.period.permit) == 4_000
    due.run_due(now=stage.clock.move_to(breach.cure_by))

    breach.refresh_from_db()
    assert (breach.status, breach.consigned) == ("consigned", 800)
    assert holds(f"auction:{stage.period.code}", stage.period.permit) == 4_800
    assert broken() == []
