"""Case 13: crossing up binds from 1 January of that year; crossing down keeps one bound for some reports [QC-COV]."""

from decimal import Decimal

from registry.engine.policy import Regime, Scope, Tier
from registry.engine.scope import ACTIVITIES
from registry.models import RegimeStatus
from tests import cast
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, broken

TIER = Tier(Regime.FULL, threshold_in=Decimal(100), exit_after=2)


def test_in_at_once_and_out_after_two_low_reports(stage: Stage, govern: Ruling, acme: Party) -> None:
    """150 in 2026 is owed for all of that year; 50 in 2027 and 2028 are still owed; 50 in 2029 are not."""
    govern(scope=Scope(ACTIVITIES, tiers=(TIER,)))

    for year, use in enumerate((150, 50, 50, 50)):
        period = stage.period if not year else stage.next_year(years=year)
        stage.report(acme, use, at=cast.REPORTING.replace(year=cast.YEAR + 1 + year), of=period)

    statuses = RegimeStatus.objects.filter(operator=acme.operator).order_by("year")
    assert list(statuses.values_list("year", "regime", "state", "reports_below")) == [
        (2026, "FULL", "IN", 0),
        (2027, "FULL", "LEAVING", 1),
        (2028, "FULL", "LEAVING", 2),
        (2029, "OUT", "OUT", 0),
    ]
    assert stage.standing(acme, period).owed == 250
    assert broken() == []


def test_below_the_threshold_nothing_is_owed_until_it_is_crossed(stage: Stage, govern: Ruling, acme: Party) -> None:
    """80 in 2026 owes nothing and is reported all the same; 101 in 2027 owes all 101."""
    govern(scope=Scope(ACTIVITIES, tiers=(TIER,)))

    stage.report(acme, 80)
    assert (stage.standing(acme).owed, stage.standing(acme).status) == (0, "A")

    following = stage.next_year()
    stage.report(acme, 101, at=cast.REPORTING.replace(year=cast.YEAR + 2), of=following)
    assert stage.standing(acme, following).owed == 101
    assert broken() == []
