"""Two real connections at once: versions get their own numbers, and an organisation gets one account."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from registry.ledger.models import LedgerAccount
from registry.models import AllocationRun, Operator, Period, Report, Scheme
from registry.services import allocation, operators, reports
from registry.services.reports import LineInput
from tests import cast
from tests.cast import Party, Regulator

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Do every act on a connection of its own, all at the same moment; return what they gave or raised."""
    gate, outcomes = threading.Barrier(len(acts)), []

    def run(act: Callable[[], object]) -> None:
        gate.wait(10)
        try:
            outcomes.append(act())
        except Exception as error:  # the test looks at it
            outcomes.append(error)
        connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


def test_two_reports_at_once_are_two_versions(acme: Party, period: Period) -> None:
    def file(flop: int) -> Report:
        assert acme.operator is not None
        return reports.submit_lines(
            actor=acme.initiator,
            operator=acme.operator,
            period=period,
            lines=[LineInput("Training", "training", flop=flop)],
            boundary="full stack",
            now=cast.REPORTING,
        )

    filed = at_once(lambda: file(1), lambda: file(2), lambda: file(3))

    assert sorted(report.version for report in filed if isinstance(report, Report)) == [1, 2, 3]


def test_the_same_report_twice_at_once_is_one(acme: Party, period: Period) -> None:
    def file() -> Report:
        assert acme.operator is not None
        return reports.submit_lines(
            actor=acme.initiator,
            operator=acme.operator,
            period=period,
            lines=[LineInput("Training", "training", flop=7)],
            boundary="full stack",
            now=cast.REPORTING,
        )

    first, second = at_once(file, file)

    assert first == second
    assert Report.objects.count() == 1


def test_without_the_lock_two_reports_would_want_one_number(acme: Party, period: Period) -> None:
    """The race exists: two who read the latest version before either writes come to the same number."""
    both_read = threading.Barrier(2)

    def next_version() -> int:
        with transaction.atomic():
            version = Report.objects.filter(operator=acme.operator, period=period).count() + 1
            both_read.wait(10)
            return version

    assert at_once(next_version, next_version) == [1, 1]


def test_enrolling_in_two_schemes_at_once_opens_one_account(regulator: Regulator, scheme: Scheme) -> None:
    dunlin, other = cast.party(regulator, "Dunlin", "firm"), cast.co2e_scheme(regulator)

    def enrol(into: Scheme) -> Operator:
        return operators.enrol(
            actor=regulator.desk,
            scheme=into,
            organisation=dunlin.organisation,
            cohort="small",
            first_year=cast.YEAR,
            now=cast.OPENING,
        )

    at_once(lambda: enrol(scheme), lambda: enrol(other))

    account = LedgerAccount.objects.get(owner=dunlin.organisation)
    assert set(Operator.objects.values_list("account", flat=True)) == {account.pk}
    assert Operator.objects.count() == 2


def test_two_runs_approved_at_once_allocate_once(regulator: Regulator, acme: Party, capped_period: Period) -> None:
    assert acme.operator is not None
    proposals = []
    for permits in (100, 200):
        run = allocation.draft_run(
            actor=regulator.desk,
            period=capped_period,
            inputs=cast.allocation_inputs(capped_period, {acme.operator: permits}),
            now=cast.OPENING,
        )
        proposals.append(allocation.propose_run(actor=regulator.desk, run=run, now=cast.OPENING))

    at_once(*(lambda proposal=proposal: regulator.approve(proposal) for proposal in proposals))

    assert AllocationRun.objects.filter(status="executed").count() == 1
    for proposal in proposals:
        proposal.refresh_from_db()
    assert sorted(proposal.status for proposal in proposals)[0] == "executed"
