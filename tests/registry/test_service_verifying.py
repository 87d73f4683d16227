"""Who may verify, and how a verification goes: accreditation, appointment, findings, materiality and the signature."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import product
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import Task
from accounts.services import organisations
from common import clock as one_clock
from common.errors import Forbidden, Refused
from common.lifecycle import Lifecycle
from registry import rulebook, supervision
from registry.engine.policy import ComplianceRule, Scope, VerificationRule
from registry.engine.scope import ACTIVITIES
from registry.engine.verification import CONFLICTS
from registry.models import (
    ACCREDITATION,
    APPOINTMENT,
    FINDING,
    REPORT,
    Appointment,
    Finding,
    MonitoringPlan,
    Obligation,
    Period,
    Report,
    VerifierStatement,
)
from registry.services import estimates, groups, reports, verification
from registry.services.reports import LineInput
from registry.services.verifying import accreditations, appointments, findings
from tests import cast
from tests.cast import Clock, Party, Regulator
from tests.registry.staging import Ruling, broken
from tests.registry.test_service_races import at_once

FREE = dict.fromkeys(CONFLICTS, False)
File = Callable[..., Report]


@pytest.fixture
def file(acme: Party, period: Period, clock: Clock) -> File:
    """Let Acme file lines after the year: a hundred permits' worth of inference unless told otherwise."""
    clock.move_to(cast.REPORTING)

    def file(*lines: LineInput) -> Report:
        assert acme.operator is not None
        return reports.submit_lines(
            actor=acme.initiator,
            operator=acme.operator,
            period=period,
            lines=lines or [LineInput("Serving", "inference", flop=100 * cast.PERMIT_FLOP)],
            boundary="full stack",
            now=clock.now(),
        )

    return file


@pytest.fixture
def propose(acme: Party, period: Period, verity: Party) -> Callable[..., Appointment]:
    """Let Acme ask Verity, or somebody else."""

    def propose(verifier: Party = verity, of: Period = period) -> Appointment:
        assert acme.operator is not None
        return appointments.propose(
            actor=acme.initiator, operator=acme.operator, period=of, verifier=verifier.organisation, now=cast.REPORTING
        )

    return propose


def refusal(act: Callable[[], object]) -> str:
    """Return the code with which an act is refused."""
    with pytest.raises(Refused) as refused:
        act()
    return refused.value.code


class TestAppointments:
    """The operator asks, the verifier declares; accreditation, independence and rotation are asked each time."""

    def test_asked_declared_and_ended(
        self, propose: Callable[..., Appointment], verity: Party, acme: Party, period: Period
    ) -> None:
        cast.accredit(verity, period.scheme)
        asked = propose()
        assert Task.objects.get(key=f"appointment:{asked.pk}").status == "unclaimed"
        assert refusal(propose) == "verifier_appointed_already"

        def accept(conflicts: dict[str, bool]) -> Appointment:
            return appointments.accept(
                actor=verity.verifier, appointment=asked, conflicts=conflicts, note="", now=cast.REPORTING
            )

        assert refusal(lambda: accept({})) == "conflicts_unanswered"
        assert refusal(lambda: accept(FREE | {"consulted": True})) == "conflict_declared"
        accepted = accept(FREE)
        assert [answer["answer"] for answer in accepted.declaration["answers"]] == ["no"] * len(CONFLICTS)
        assert Task.objects.get(key=f"appointment:{asked.pk}").status == "completed"
        with pytest.raises(DatabaseError), transaction.atomic():
            Appointment.objects.filter(pk=asked.pk).update(declaration={"answers": []})

        ended = appointments.end(actor=acme.initiator, appointment=asked, reason="Too dear.", now=cast.REPORTING)
        assert (ended.status, propose().status) == ("ended", "proposed")

    def test_accreditation_counts_for_its_days_and_activities(
        self, propose: Callable[..., Appointment], regulator: Regulator, verity: Party, period: Period
    ) -> None:
        assert refusal(propose) == "verifier_not_accredited"
        granted = cast.accredit(verity, period.scheme)
        for status in ("suspended", "valid"):
            accreditations.move(
                actor=regulator.desk, accreditation=granted, status=status, reason="Audit.", now=cast.REPORTING
            )
            if status == "suspended":
                assert refusal(propose) == "verifier_not_accredited"
        assert propose().status == "proposed"
        day = granted.valid_until
        assert accreditations.covered(verity.organisation, period.scheme, day) == set(ACTIVITIES)
        assert not accreditations.covered(verity.organisation, period.scheme, day + timedelta(days=1))
        with pytest.raises(Forbidden):
            accreditations.move(
                actor=verity.verifier, accreditation=granted, status="suspended", reason="x", now=cast.REPORTING
            )

    def test_who_is_accredited_for_less_does_not_judge_more(
        self, file: File, regulator: Regulator, verity: Party, period: Period, govern: Ruling, clock: Clock
    ) -> None:
        govern(scope=Scope(("inference",)))
        accreditations.grant(
            actor=regulator.desk,
            verifier=verity.organisation,
            scheme=period.scheme,
            reference="Body 7",
            activities=["inference"],
            valid_from=date(2026, 1, 1),
            valid_until=date(2027, 12, 31),
            now=cast.OPENING,
        )
        report = file(LineInput("Model", "training", flop=1), LineInput("Serving", "inference", flop=1))

        assert refusal(lambda: cast.check(verity, report, clock.now())) == "verifier_not_accredited"

    def test_shared_people_and_a_shared_group_are_no_independence(
        self, propose: Callable[..., Appointment], regulator: Regulator, acme: Party, verity: Party, period: Period
    ) -> None:
        cast.accredit(verity, period.scheme)
        group = groups.create_group(actor=regulator.desk, name="Holding", now=cast.OPENING)
        for one in (acme, verity):
            groups.add_member(
                actor=regulator.desk, group=group, organisation=one.organisation, reason="Owned.", now=cast.OPENING
            )
        assert refusal(propose) == "verifier_not_independent"
        groups.end_membership(
            actor=regulator.desk,
            member=group.members.get(organisation=verity.organisation),
            reason="Sold.",
            now=cast.OPENING,
        )
        propose()

        other = cast.party(regulator, "Probity", "verifier")
        cast.accredit(other, period.scheme)
        organisations.grant_role(
            actor=regulator.senior, user=other.viewer, organisation=acme.organisation, role="viewer", now=cast.OPENING
        )
        assert acme.operator is not None
        assert (
            refusal(lambda: appointments.require_fit(other.organisation, acme.operator, period, cast.OPENING))  # type: ignore[arg-type]
            == "verifier_not_independent"
        )

    def test_after_its_years_a_verifier_makes_room(
        self,
        propose: Callable[..., Appointment],
        regulator: Regulator,
        verity: Party,
        acme: Party,
        period: Period,
        govern: Ruling,
    ) -> None:
        govern(verification=VerificationRule(rotation_years=1, rotation_break_years=1))
        assert acme.operator is not None
        cast.engage(verity, acme.operator, period, cast.REPORTING)
        following = cast.capped(regulator, cast.period_of(regulator, period.scheme, cast.YEAR + 1))

        assert refusal(lambda: propose(of=following)) == "verifier_rotation"


class TestVerifying:
    """Begin, check, find, and sign what follows from it."""

    def find(self, verity: Party, report: Report, permits: str, now: datetime, **changes: object) -> Finding:
        values = {"kind": "misstatement", "text": "Counted twice."} | changes
        return findings.raise_finding(
            actor=verity.verifier,
            report=report,
            quantity=Decimal(permits) * cast.PERMIT_FLOP,
            now=now,
            **values,  # type: ignore[arg-type]
        )

    def test_nothing_is_judged_before_it_has_begun(self, file: File, verity: Party, clock: Clock) -> None:
        report = file()
        cast.engage(verity, report.operator, report.period, clock.now())

        assert refusal(lambda: self.find(verity, report, "1", clock.now())) == "report_not_under_verification"
        begun = verification.begin_verification(actor=verity.verifier, report=report, now=clock.now())
        assert begun.status == "under_verification"
        with pytest.raises(Forbidden):
            self.find(dataclasses.replace(verity, users={"verifier": verity.viewer}), report, "1", clock.now())

    @pytest.mark.parametrize(("permits", "code"), [("5", ""), ("5.000001", "misstatements_material")])
    def test_more_than_five_per_cent_bars_a_positive_opinion(
        self, file: File, verity: Party, clock: Clock, permits: str, code: str
    ) -> None:
        report = file()
        cast.check(verity, report, clock.now())
        self.find(verity, report, permits, clock.now())

        def judge(opinion: str = "positive_with_comments") -> VerifierStatement:
            return cast.judge(verity, report, opinion, now=clock.now())

        if code:
            assert refusal(judge) == code
            assert judge("negative").opinion == "negative"
        else:
            assert refusal(lambda: judge("positive")) == "opinion_too_good"
            assert judge().opinion == "positive_with_comments"
        assert Obligation.objects.exists() == (not code)

    def test_a_correction_puts_a_misstatement_right(self, file: File, acme: Party, verity: Party, clock: Clock) -> None:
        report = file()
        cast.check(verity, report, clock.now())
        finding = self.find(verity, report, "40", clock.now())
        same = self.find(verity, report, "40", clock.now(), key=finding.pk)
        assert same == finding

        def close() -> Finding:
            return findings.close_finding(
                actor=verity.verifier, finding=finding, closing="Version 2.", corrected=True, now=clock.now()
            )

        assert refusal(close) == "nothing_corrected"
        cast.judge(verity, report, "negative", now=clock.now())
        findings.answer_finding(actor=acme.initiator, finding=finding, answer="Corrected.", now=clock.now())
        findings.reopen_finding(actor=verity.verifier, finding=finding, reason="Where?", now=clock.now())
        assert Task.objects.filter(key__startswith=f"finding:{finding.pk}", status="unclaimed").count() == 1
        newer = file(LineInput("Serving", "inference", flop=60 * cast.PERMIT_FLOP))
        assert close().corrected
        assert not Task.objects.filter(key__startswith=f"finding:{finding.pk}", status="unclaimed").exists()

        statement = cast.judge(verity, newer, now=clock.now())
        assert '"corrected":true' in statement.document
        assert Obligation.objects.get().quantity == 60

    def test_the_reviewer_is_somebody_else(self, file: File, verity: Party, clock: Clock) -> None:
        report = file()
        cast.check(verity, report, clock.now())

        code = refusal(lambda: cast.judge(verity, report, now=clock.now(), actor=verity.reviewer))

        assert code == "review_not_independent"

    def test_a_statement_is_what_was_signed_and_shows_when_it_is_not(
        self, file: File, verity: Party, clock: Clock
    ) -> None:
        statement = cast.judge(verity, file(), now=clock.now())
        assert verification.holds(statement) == "" and broken() == []

        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("UPDATE registry_verifierstatement SET document = replace(document, 'Acme', 'Bcme')")
            cursor.execute("SET LOCAL session_replication_role = origin")
        assert broken() == ["Each verifier's statement is signed, and so is its receipt"]
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("UPDATE registry_verifierstatement SET document = replace(document, 'Bcme', 'Acme')")
            cursor.execute("UPDATE registry_checklistanswer SET answered_by_id = %s", [verity.verifier.pk])
            cursor.execute("SET LOCAL session_replication_role = origin")
        assert broken() == ["Reporter, verifier and reviewer are three, under an appointment of that period"]

    def test_no_statement_comes_in_unsigned(self, file: File, verity: Party, clock: Clock) -> None:
        report = file()
        with pytest.raises(DatabaseError, match="Cannot insert"), transaction.atomic():
            VerifierStatement.objects.create(
                report=report,
                verifier=verity.organisation,
                signed_by=verity.verifier,
                signed_at=clock.now(),
                opinion="positive",
            )


class TestWhatCounts:
    """The activities that the rules cover are owed for, and a coarse tier raises an estimate."""

    LINES = (
        LineInput("Model", "training", flop=70 * cast.PERMIT_FLOP),
        LineInput("Serving", "inference", flop=30 * cast.PERMIT_FLOP),
    )

    @pytest.mark.parametrize(("activities", "owed"), [(ACTIVITIES, 100), (("inference",), 30), (("evaluation",), 0)])
    def test_only_covered_activities_are_owed_for(
        self, file: File, verity: Party, clock: Clock, govern: Ruling, activities: tuple[str, ...], owed: int
    ) -> None:
        govern(scope=Scope(activities))

        cast.judge(verity, file(*self.LINES), now=clock.now())

        assert Obligation.objects.get().quantity == owed
        assert broken() == []

    def test_a_scheme_without_rules_of_its_own_covers_every_activity(self, period: Period) -> None:
        assert rulebook.policy_at(period.scheme, period.starts_on).scope.activities == ACTIVITIES

    @pytest.mark.parametrize(("tier", "permits"), [(None, 130), (2, 105), (3, 105)])
    def test_the_tier_of_the_plan_or_the_lines_raises_an_estimate(
        self, file: File, acme: Party, period: Period, clock: Clock, govern: Ruling, tier: int | None, permits: int
    ) -> None:
        govern(compliance=ComplianceRule(tier_uplift={0: Decimal("0.3"), 2: Decimal("0.05")}))
        file()
        assert acme.operator is not None
        if tier is not None:
            MonitoringPlan.objects.create(
                operator=acme.operator,
                version=1,
                status="approved",
                boundary="all",
                valid_from=date(2026, 1, 1),
                document={"systems": {"a": {"method": "counters", "tier": tier}, "b": {"method": "meter", "tier": 4}}},
                content_sha256="0" * 64,
                created_by=acme.initiator,
                created_at=clock.now(),
                changed_at=clock.now(),
                submitted_at=clock.now(),
                decided_by=acme.approver,
            )
        clock.move_to(cast.LATE_FOR_REPORTS)

        listed = {one.operator: one for one in estimates.proposals(period)}[acme.operator]

        assert (listed.permits, listed.tier, listed.basis) == (permits, tier or 0, "metered")


def test_supervision_says_who_is_late_and_what_stands_out(
    file: File, verity: Party, acme: Party, regulator: Regulator, period: Period, clock: Clock
) -> None:
    cast.judge(verity, file(), now=clock.now())
    following = cast.capped(regulator, cast.period_of(regulator, period.scheme, cast.YEAR + 1))
    clock.move_to(cast.REPORTING.replace(year=cast.REPORTING.year + 1))
    assert acme.operator is not None
    reports.submit_lines(
        actor=acme.initiator,
        operator=acme.operator,
        period=following,
        lines=[LineInput("Serving", "inference", flop=131 * cast.PERMIT_FLOP, energy_kwh=Decimal("0.001"))],
        boundary="full stack",
        now=clock.now(),
    )

    seen = supervision.overview(following, following.report_due)

    rows = {row.operator.organisation.name: row for row in seen.rows}
    assert [row.operator.organisation.name for row in seen.overdue] == ["Acme", "Borealis"]
    assert len(rows["Acme"].outliers) == 2 and rows["Acme"].outliers[0].startswith("+31 %")
    assert (rows["Borealis"].report, rows["Borealis"].outliers) == (None, ())
    assert (seen.tiers[0][1], seen.tiers[0][3]) == (1, 100)


@pytest.mark.parametrize("lifecycle", [ACCREDITATION, APPOINTMENT, FINDING], ids=lambda one: one.name)
def test_the_database_keeps_each_lifecycle(lifecycle: Lifecycle, file: File, verity: Party, clock: Clock) -> None:
    """Every pair of states, the forbidden ones too; the facts that a state wants are there from the beginning."""
    report = file()
    cast.check(verity, report, clock.now())
    findings.raise_finding(
        actor=verity.verifier, report=report, kind="recommendation", text="Add a meter.", now=clock.now()
    )
    table = f"registry_{lifecycle.name}"
    facts = "reason = 'x'"
    if lifecycle is FINDING:
        facts = "answer = 'x', closing = 'x', closed_at = raised_at, closed_by_id = raised_by_id"
    moved = {}
    for before, after in product(lifecycle.states, repeat=2):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(
                f"UPDATE {table} SET status = %s, {facts}",  # noqa: S608
                [before],
            )
            cursor.execute("SET LOCAL session_replication_role = origin")
            try:
                with transaction.atomic():
                    cursor.execute(f"UPDATE {table} SET status = %s", [after])  # noqa: S608
                moved[before, after] = True
            except DatabaseError:
                moved[before, after] = False
            transaction.set_rollback(True)

    assert {pair for pair, passed in moved.items() if passed} == {
        (before, after) for before, after in moved if before == after or lifecycle.allows(before, after)
    }


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "without the locks"])
@pytest.mark.django_db(transaction=True)
def test_two_opinions_at_once_are_one(
    locked: bool, acme: Party, period: Period, verity: Party, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the locks both opinions are let in: the test would see it if they were missing."""
    clock.move_to(cast.REPORTING)
    assert acme.operator is not None
    report = reports.submit_lines(
        actor=acme.initiator,
        operator=acme.operator,
        period=period,
        lines=[LineInput("Serving", "inference", flop=cast.PERMIT_FLOP)],
        boundary="full stack",
        now=clock.now(),
    )
    cast.check(verity, report, clock.now())
    cast.verifiers_key(verity, clock.now())

    def judge(opinion: str) -> VerifierStatement:
        with one_clock.simulate(cast.REPORTING):
            return cast.judge(verity, Report.objects.get(pk=report.pk), opinion, "A word.", now=cast.REPORTING)

    let_in: list[str] = []
    require = REPORT.require
    both_are_in = threading.Barrier(2)

    def let(before: str, after: str) -> None:
        require(before, after)
        let_in.append(after)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_are_in.wait(1 if locked else 10)

    monkeypatch.setattr("registry.services.verification.REPORT", SimpleNamespace(require=let))
    if not locked:
        monkeypatch.setattr("registry.services.verification.operators.locked", lambda operator: operator)
        monkeypatch.setattr("registry.services.verification.reports.locked", lambda one: one)
        monkeypatch.setattr(
            "registry.services.verification.receipts.receive", lambda pk: (Period.objects.get(pk=pk), cast.REPORTING)
        )

    stated = at_once(lambda: judge("positive"), lambda: judge("negative"))

    assert len(let_in) == (1 if locked else 2)
    if not locked:
        return
    assert len([one for one in stated if isinstance(one, VerifierStatement)]) == 1, stated
    assert next(one.code for one in stated if isinstance(one, Refused)).startswith("report_not_")
    assert VerifierStatement.objects.count() == 1
