"""Verification and estimates: three parties, rule R6, and what is owed when nobody reported."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.models import AuditEvent
from accounts.services import organisations
from common.errors import Forbidden, Refused
from registry import selectors
from registry.models import Obligation, Period, Report, VerifierStatement
from registry.services import estimates, operators, reports
from registry.services.reports import LineInput
from tests import cast
from tests.cast import MICROSECOND, Clock, Party, Regulator


@pytest.fixture
def filed(acme: Party, period: Period, clock: Clock) -> Callable[..., Report]:
    """Let Acme file a number of FLOP after the year."""
    clock.move_to(cast.REPORTING)

    def file(flop: int = 100 * cast.PERMIT_FLOP) -> Report:
        assert acme.operator is not None
        return reports.submit_lines(
            actor=acme.initiator,
            operator=acme.operator,
            period=period,
            lines=[LineInput("Training", "training", flop=flop)],
            boundary="full stack",
            now=clock.now(),
        )

    return file


@pytest.fixture
def judge(verity: Party, clock: Clock) -> Callable[..., VerifierStatement]:
    """Let Verity state an opinion."""

    def judge(report: Report, opinion: str = "positive", **changes: object) -> VerifierStatement:
        arguments = {"findings": "" if opinion == "positive" else "One meter was read late.", "now": clock.now()}
        return cast.judge(verity, report, opinion, **(arguments | changes))  # type: ignore[arg-type]

    return judge


class TestOpinions:
    """A positive opinion makes a report count, a negative one returns it."""

    @pytest.mark.parametrize("opinion", ["positive", "positive_with_comments"])
    def test_a_positive_opinion_makes_it_owed(
        self,
        filed: Callable[..., Report],
        judge: Callable[..., VerifierStatement],
        verity: Party,
        clock: Clock,
        opinion: str,
    ) -> None:
        report = filed()

        statement = judge(report, opinion)

        report.refresh_from_db()
        obligation = Obligation.objects.get()
        assert (report.status, obligation.quantity, obligation.report) == ("verified", 100, report)
        assert (statement.verifier, statement.signed_by, statement.signed_at) == (
            verity.organisation,
            verity.verifier,
            clock.now(),
        )
        assert AuditEvent.objects.filter(action="registry.report.verified").count() == 1

    def test_a_negative_opinion_returns_it(
        self, filed: Callable[..., Report], judge: Callable[..., VerifierStatement]
    ) -> None:
        report = filed()

        judge(report, "negative")

        report.refresh_from_db()
        assert (report.status, report.return_reason) == ("returned", "One meter was read late.")
        assert not Obligation.objects.exists()
        assert AuditEvent.objects.filter(action="registry.report.returned").count() == 1

    @pytest.mark.parametrize("opinion", ["positive_with_comments", "negative"])
    def test_an_opinion_with_comments_has_findings(
        self, filed: Callable[..., Report], judge: Callable[..., VerifierStatement], opinion: str
    ) -> None:
        with pytest.raises(Refused) as refused:
            judge(filed(), opinion, findings=" ")

        assert refused.value.code == "findings_missing"

    def test_other_opinions_do_not_exist(
        self, filed: Callable[..., Report], judge: Callable[..., VerifierStatement]
    ) -> None:
        with pytest.raises(Refused) as refused:
            judge(filed(), "splendid")

        assert refused.value.code == "opinion_unknown"

    def test_a_report_is_judged_once(
        self, filed: Callable[..., Report], judge: Callable[..., VerifierStatement]
    ) -> None:
        report = filed()
        judge(report)

        with pytest.raises(Refused) as refused:
            judge(report)

        assert refused.value.code == "report_not_verified_to_verified"
        assert VerifierStatement.objects.count() == 1

    def test_the_newest_version_is_judged(
        self, filed: Callable[..., Report], judge: Callable[..., VerifierStatement]
    ) -> None:
        old = filed()
        filed(7 * cast.PERMIT_FLOP)

        with pytest.raises(Refused) as refused:
            judge(old)

        assert refused.value.code == "report_not_latest"
        assert [report.version for report in selectors.reports_to_verify()] == [2]

    def test_a_correction_replaces_what_was_owed(
        self, filed: Callable[..., Report], judge: Callable[..., VerifierStatement]
    ) -> None:
        first = filed()
        judge(first)

        second = filed(7 * cast.PERMIT_FLOP)
        judge(second)

        first.refresh_from_db()
        assert (first.status, list(Obligation.objects.order_by("version").values_list("version", "quantity"))) == (
            "superseded",
            [(1, 100), (2, 7)],
        )

    @pytest.mark.parametrize(("moved_by", "passes"), [(-MICROSECOND, False), (timedelta(0), True)])
    def test_a_year_is_judged_when_it_is_over(
        self,
        filed: Callable[..., Report],
        judge: Callable[..., VerifierStatement],
        clock: Clock,
        moved_by: timedelta,
        passes: bool,
    ) -> None:
        report = filed()
        clock.move_to(datetime(cast.YEAR, 12, 31, 23, 0, tzinfo=UTC) + moved_by)  # midnight in Berlin

        if passes:
            judge(report)
        else:
            with pytest.raises(Refused) as refused:
                judge(report)
            assert refused.value.code == "period_still_running"


class TestIndependence:
    """Reporter, verifier and approver are three parties."""

    def test_only_a_verifier_judges(
        self,
        filed: Callable[..., Report],
        judge: Callable[..., VerifierStatement],
        acme: Party,
        borealis: Party,
        regulator: Regulator,
        auditor: Party,
        verity: Party,
    ) -> None:
        report = filed()

        for stranger in (acme.approver, borealis.approver, regulator.senior, auditor.auditor, verity.viewer):
            with pytest.raises(Forbidden):
                judge(report, actor=stranger)

    def test_a_verifier_who_works_for_the_reporter_does_not(
        self,
        filed: Callable[..., Report],
        judge: Callable[..., VerifierStatement],
        regulator: Regulator,
        acme: Party,
        verity: Party,
    ) -> None:
        report = filed()
        cast.engage(verity, report.operator, report.period, cast.OPENING)
        organisations.grant_role(
            actor=regulator.senior,
            user=verity.verifier,
            organisation=acme.organisation,
            role="viewer",
            now=cast.OPENING,
        )

        with pytest.raises(Forbidden) as refused:
            judge(report)

        assert refused.value.code == "verifier_not_independent"

    def test_who_filed_it_does_not_judge_it_in_another_role(
        self,
        filed: Callable[..., Report],
        judge: Callable[..., VerifierStatement],
        regulator: Regulator,
        acme: Party,
        verity: Party,
    ) -> None:
        report = filed()
        cast.engage(verity, report.operator, report.period, cast.OPENING)
        organisations.grant_role(
            actor=regulator.senior,
            user=acme.initiator,
            organisation=verity.organisation,
            role="verifier",
            now=cast.OPENING,
        )
        organisations.end_role(
            actor=regulator.senior, membership=acme.initiator.memberships.get(role="initiator"), now=cast.OPENING
        )

        with pytest.raises(Forbidden) as refused:
            judge(report, actor=acme.initiator)

        assert refused.value.code == "verifier_not_independent"

    def test_a_suspended_verifier_does_not(
        self,
        filed: Callable[..., Report],
        judge: Callable[..., VerifierStatement],
        regulator: Regulator,
        verity: Party,
    ) -> None:
        report = filed()
        cast.engage(verity, report.operator, report.period, cast.OPENING)
        organisations.change_status(
            actor=regulator.senior,
            organisation=verity.organisation,
            status="suspended",
            reason="Accreditation lapsed.",
            now=cast.OPENING,
        )

        with pytest.raises(Forbidden):
            judge(report)


@pytest.mark.parametrize(
    ("flop", "permits"),
    [
        (0, 0),
        (cast.PERMIT_FLOP // 2 - 1, 0),
        (cast.PERMIT_FLOP // 2, 1),
        (cast.PERMIT_FLOP, 1),
        (3 * cast.PERMIT_FLOP // 2, 2),
        (10**15 * cast.PERMIT_FLOP, 10**15),
    ],
)
def test_the_years_total_is_rounded_once_half_up(
    filed: Callable[..., Report], judge: Callable[..., VerifierStatement], flop: int, permits: int
) -> None:
    judge(filed(flop))

    assert Obligation.objects.get().quantity == permits


class TestEstimates:
    """What the regulator sets when no report is in force."""

    @pytest.fixture
    def estimate(self, regulator: Regulator, acme: Party, period: Period, clock: Clock) -> Callable[..., Report]:
        """Let the desk estimate Acme's year once reports were due."""
        clock.move_to(cast.LATE_FOR_REPORTS)

        def estimate(**changes: object) -> Report:
            arguments = {
                "actor": regulator.desk,
                "operator": acme.operator,
                "period": period,
                "flop": 120 * cast.PERMIT_FLOP,
                "reason": "Last year's total and ten per cent.",
                "now": clock.now(),
            }
            return estimates.estimate_report(**(arguments | changes))  # type: ignore[arg-type]

        return estimate

    def test_it_is_owed(self, estimate: Callable[..., Report], regulator: Regulator) -> None:
        report = estimate()

        obligation = Obligation.objects.get()
        assert (report.kind, report.status, obligation.quantity) == ("estimate", "determined", 120)
        assert report.submitted_by == regulator.desk
        assert AuditEvent.objects.filter(action="registry.report.estimated").count() == 1

    @pytest.mark.parametrize(("moved_by", "passes"), [(-MICROSECOND, False), (timedelta(0), True)])
    def test_reports_have_to_be_due(
        self, estimate: Callable[..., Report], period: Period, clock: Clock, moved_by: timedelta, passes: bool
    ) -> None:
        clock.move_to(period.report_due + moved_by)

        if passes:
            assert estimate().status == "determined"
        else:
            with pytest.raises(Refused) as refused:
                estimate()
            assert refused.value.code == "reports_not_due"

    def test_nothing_is_estimated_twice_or_beside_a_verified_report(self, estimate: Callable[..., Report]) -> None:
        estimate()

        with pytest.raises(Refused) as refused:
            estimate(flop=1)

        assert refused.value.code == "report_in_force"

    def test_a_verified_report_takes_its_place(
        self,
        filed: Callable[..., Report],
        judge: Callable[..., VerifierStatement],
        estimate: Callable[..., Report],
        clock: Clock,
    ) -> None:
        clock.move_to(cast.LATE_FOR_REPORTS)
        estimated = estimate()

        judge(filed())

        estimated.refresh_from_db()
        assert estimated.status == "superseded"
        assert list(Obligation.objects.order_by("version").values_list("quantity", flat=True)) == [120, 100]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"reason": " "}, "reason_missing"),
            ({"flop": 0}, "quantity_out_of_range"),
            ({"flop": 0, "co2e_g": Decimal(5)}, "quantity_out_of_range"),
            ({"flop": 10**36}, "quantity_out_of_range"),
        ],
    )
    def test_odd_estimates_are_refused(
        self, estimate: Callable[..., Report], change: dict[str, object], code: str
    ) -> None:
        with pytest.raises(Refused) as refused:
            estimate(**change)

        assert refused.value.code == code

    def test_who_is_not_liable_is_not_estimated(
        self, estimate: Callable[..., Report], regulator: Regulator, acme: Party
    ) -> None:
        assert acme.operator is not None
        operators.exclude_year(
            actor=regulator.desk, operator=acme.operator, year=cast.YEAR, reason="Idle.", now=cast.LATE_FOR_REPORTS
        )

        with pytest.raises(Refused) as refused:
            estimate()

        assert refused.value.code == "operator_not_liable"

    def test_only_the_desk_estimates(self, estimate: Callable[..., Report], acme: Party) -> None:
        with pytest.raises(Forbidden):
            estimate(actor=acme.approver)
