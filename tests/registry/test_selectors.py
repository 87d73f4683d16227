"""What pages and auditors read: visible reports, reporting progress, codes, and permits that count."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from accounts.models import Organisation, User
from accounts.selectors import scope_of
from common.errors import Unknown
from registry import selectors
from registry.models import Period, Report
from registry.services import estimates, operators, reports
from registry.services.reports import LineInput
from tests import cast
from tests.cast import Clock, Party, Regulator


@pytest.fixture
def filed(acme: Party, period: Period, clock: Clock) -> Report:
    """A report of Acme's with a claim beside what we worked out."""
    clock.move_to(cast.REPORTING)
    assert acme.operator is not None
    return reports.submit_lines(
        actor=acme.initiator,
        operator=acme.operator,
        period=period,
        lines=[
            LineInput("Training", "training", flop=5 * cast.PERMIT_FLOP),
            LineInput("Serving", "inference", energy_kwh=Decimal(2), country="FRA", claimed_co2e_g=Decimal(90)),
        ],
        boundary="full stack",
        now=clock.now(),
    )


@pytest.fixture
def estimated(regulator: Regulator, borealis: Party, filed: Report, period: Period, clock: Clock) -> Report:
    """The regulator's estimate for Borealis, which did not report."""
    clock.move_to(cast.LATE_FOR_REPORTS)
    assert borealis.operator is not None
    return estimates.estimate_report(
        actor=regulator.desk,
        operator=borealis.operator,
        period=period,
        flop=7 * cast.PERMIT_FLOP,
        reason="No report.",
        now=clock.now(),
    )


def test_who_may_open_which_report(
    acme: Party,
    borealis: Party,
    cobalt: Party,
    verity: Party,
    auditor: Party,
    regulator: Regulator,
    filed: Report,
    estimated: Report,
) -> None:
    def sees(user: User, *, verifies: bool = False) -> set[Report]:
        return set(selectors.reports_visible(scope_of(user), to_a_verifier=verifies))

    assert sees(acme.viewer) == {filed}
    assert sees(borealis.viewer) == {estimated}
    assert sees(cobalt.viewer) == set()
    assert sees(verity.viewer) == sees(verity.verifier, verifies=True) == set()
    cast.engage(verity, filed.operator, filed.period, cast.REPORTING)
    assert sees(verity.viewer) == set()
    assert sees(verity.verifier, verifies=True) == {filed}
    assert sees(auditor.auditor) == sees(regulator.desk) == {filed, estimated}


def test_the_desk_sees_who_has_not_reported(
    regulator: Regulator, cobalt: Party, period: Period, filed: Report, estimated: Report, clock: Clock
) -> None:
    cast.operator(regulator, period.scheme, "Dunlin", "firm", "small", first_year=cast.YEAR + 1)

    rows = selectors.reporting_table(period, clock.now())

    assert [(row.operator.organisation.name, row.report, row.owed, row.is_overdue) for row in rows] == [
        ("Acme", filed, None, True),
        ("Borealis", estimated, 7, False),
        ("Cobalt", None, None, True),
    ]
    assert not any(row.is_overdue for row in selectors.reporting_table(period, cast.REPORTING))


def test_an_excluded_operator_is_not_overdue(regulator: Regulator, cobalt: Party, period: Period, clock: Clock) -> None:
    assert cobalt.operator is not None
    clock.move_to(cast.LATE_FOR_REPORTS)
    operators.exclude_year(
        actor=regulator.desk, operator=cobalt.operator, year=cast.YEAR, reason="Idle.", now=clock.now()
    )

    rows = selectors.reporting_table(period, clock.now())

    assert {row.operator.organisation.name for row in rows if row.is_overdue} == {"Acme", "Borealis"}


def test_claims_are_summed_over_the_lines_that_have_one(filed: Report) -> None:
    sums = selectors.claimed_sums(filed)

    assert sums == {"claimed": Decimal(90), "recomputed": filed.co2e_g}


def test_a_period_is_found_by_its_code(period: Period) -> None:
    assert selectors.period_coded("ai-flop-2026") == period


@pytest.mark.parametrize("code", ["ai-flop-2027", "other-2026", "ai-flop", "", "2026", "ai-flop-٢٠٢٦", "ai-flop-02026"])
def test_other_codes_are_unknown(period: Period, code: str) -> None:
    with pytest.raises(Unknown) as refused:
        selectors.period_coded(code)

    assert refused.value.code == "period_unknown"


def test_periods_to_report_for_are_open_and_ones_own(
    regulator: Regulator, acme: Party, verity: Party, period: Period
) -> None:
    cast.period_of(regulator, period.scheme, cast.YEAR + 1)
    newcomer = cast.operator(regulator, period.scheme, "Dunlin", "firm", "small", first_year=cast.YEAR + 1)

    def reportable(organisation: Organisation) -> list[Period]:
        return list(selectors.reportable_periods(organisation))

    assert reportable(acme.organisation) == [period]
    assert reportable(newcomer.organisation) == []
    assert reportable(verity.organisation) == []


def test_permits_that_count_are_ones_own_oldest_first(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    following = cast.capped(regulator, cast.period_of(regulator, period.scheme, cast.YEAR + 1))
    assert acme.operator is not None
    cast.allocate(regulator, following, {acme.operator: 50})

    def counting(of: Period) -> list[int]:
        assert acme.operator is not None
        return [balance.balance for balance in selectors.usable_permits(acme.operator, of)]

    assert counting(following) == [cast.ACME_PERMITS, 50]
    assert counting(period) == [cast.ACME_PERMITS]


def test_reports_to_verify_are_the_newest_that_wait(
    filed: Report, estimated: Report, django_assert_num_queries: Callable[..., object]
) -> None:
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        waiting = [(report, report.operator.organisation.name) for report in selectors.reports_to_verify()]

    assert waiting == [(filed, "Acme")]
