"""The end of a period: letters by receipts in time, sanctions once, banking, publication; the invariants over it."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction

from accounts.invariants import INVARIANTS as ACCOUNTS
from accounts.models import AuditEvent
from common.errors import Refused
from common.invariants import check_all
from registry import selectors
from registry.invariants import INVARIANTS as REGISTRY
from registry.models import ComplianceRecord, Operator, Period, Report, Sanction
from registry.services import compliance, estimates, operators, reports, surrenders
from registry.services.reports import LineInput
from registry.standing import records
from tests import cast
from tests.cast import MICROSECOND, Clock, Party, Regulator

Reporting = Callable[..., Report]


@pytest.fixture
def reported(verity: Party, period: Period, clock: Clock) -> Reporting:
    """Let an operator report a number of permits' worth of compute, verified by Verity."""

    def report(party: Party, permits: int, at: datetime = cast.REPORTING, of: Period = period) -> Report:
        clock.move_to(at)
        assert party.operator is not None
        filed = reports.submit_lines(
            actor=party.initiator,
            operator=party.operator,
            period=of,
            lines=[LineInput("Training", "training", flop=permits * cast.PERMIT_FLOP)],
            boundary="full stack",
            now=at,
        )
        cast.judge(verity, filed, now=at)
        filed.refresh_from_db()
        return filed

    return report


@pytest.fixture
def give(period: Period, clock: Clock) -> Callable[..., None]:
    """Let an operator surrender."""

    def surrender(party: Party, quantity: int, at: datetime | None = None, of: Period = period) -> None:
        if at:
            clock.move_to(at)
        assert party.operator is not None
        surrenders.surrender(
            actor=party.trader,
            operator=party.operator,
            period=of,
            quantity=quantity,
            key=cast.key(),
            now=clock.now(),
        )

    return surrender


def close(period: Period, clock: Clock, at: datetime | None = None) -> None:
    """Take the registry's parts of the closing, the first before the deadline and the rest after it."""
    with transaction.atomic():
        compliance.begin_closing(period, clock.now())
    clock.move_to(at or period.surrender_due)
    decide(period, clock)


def decide(period: Period, clock: Clock) -> None:
    """Take the parts that follow the deadline."""
    for part in (
        compliance.record_deadline_status,
        compliance.impose_sanctions,
        compliance.bank_permits,
        compliance.publish,
    ):
        with transaction.atomic():
            part(period, clock.now())


def letters(period: Period, occasion: str = "deadline") -> dict[str, str]:
    """Return the recorded letters by name."""
    found = ComplianceRecord.objects.filter(period=period, occasion=occasion).order_by("id")
    return {letter.operator.organisation.name: letter.status for letter in found}


def broken() -> list[str]:
    """Name the invariants that do not hold."""
    return [result.name for result in check_all([*ACCOUNTS, *REGISTRY]) if result.broken]


class TestLetters:
    """A, B and C as in registries of today, at the deadline and since."""

    def test_each_gets_the_letter_that_its_receipts_in_time_earn(
        self,
        reported: Reporting,
        give: Callable[..., None],
        acme: Party,
        borealis: Party,
        cobalt: Party,
        period: Period,
        clock: Clock,
    ) -> None:
        reported(acme, 100)
        reported(borealis, 100)
        give(acme, 100)
        give(borealis, 99)

        close(period, clock)

        assert letters(period) == {"Acme": "A", "Borealis": "B", "Cobalt": "C"}
        period.refresh_from_db()
        assert period.status == "closed"
        assert broken() == []

    def test_what_comes_at_the_deadline_is_late_and_cures(
        self, reported: Reporting, give: Callable[..., None], acme: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 100)
        give(acme, 99, at=period.surrender_due - MICROSECOND)
        give(acme, 1, at=period.surrender_due)

        close(period, clock, at=period.surrender_due + MICROSECOND)

        assert letters(period)["Acme"] == "B"
        assert letters(period, "later")["Acme"] == "A"
        assert broken() == []

    def test_a_shortfall_cured_after_publication_changes_the_later_letter_only(
        self, reported: Reporting, give: Callable[..., None], acme: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 100)
        close(period, clock)

        give(acme, 100, at=period.surrender_due + timedelta(days=5))

        assert letters(period)["Acme"] == "B"
        assert letters(period, "later")["Acme"] == "A"
        changed = AuditEvent.objects.get(action="registry.compliance.changed")
        assert (changed.details["was"], changed.details["status"]) == ("B", "A")
        assert broken() == []

    def test_an_estimate_is_owed_and_the_letter_stays_c_until_a_report_is_verified(
        self,
        reported: Reporting,
        give: Callable[..., None],
        regulator: Regulator,
        acme: Party,
        period: Period,
        clock: Clock,
    ) -> None:
        assert acme.operator is not None
        clock.move_to(cast.LATE_FOR_REPORTS)
        estimates.estimate_report(
            actor=regulator.desk,
            operator=acme.operator,
            period=period,
            flop=200 * cast.PERMIT_FLOP,
            reason="No report.",
            now=clock.now(),
        )
        give(acme, 200)
        close(period, clock)
        assert letters(period)["Acme"] == "C"

        reported(acme, 150, at=period.surrender_due + timedelta(days=1))

        assert letters(period, "later")["Acme"] == "A"
        assert records(period, operator=acme.operator)[0].owed == 150
        assert Report.objects.get(operator=acme.operator, kind="estimate").status == "superseded"
        assert broken() == []

    def test_a_verification_after_the_deadline_does_not_touch_the_official_letter(
        self, reported: Reporting, acme: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 0, at=period.surrender_due)

        close(period, clock, at=period.surrender_due + MICROSECOND)

        assert (letters(period)["Acme"], letters(period, "later")["Acme"]) == ("C", "A")
        assert broken() == []

    def test_a_clock_that_steps_back_makes_nothing_in_time_that_was_late(
        self, reported: Reporting, give: Callable[..., None], acme: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 100)
        close(period, clock)

        give(acme, 100, at=period.surrender_due - timedelta(hours=1))

        assert (letters(period)["Acme"], letters(period, "later")["Acme"]) == ("B", "A")
        assert broken() == []

    def test_an_operator_whose_first_year_is_still_to_come_has_no_letter_to_earn(
        self, regulator: Regulator, period: Period, clock: Clock
    ) -> None:
        cast.operator(regulator, period.scheme, "Dunlin", "firm", "small", first_year=cast.YEAR + 1)

        close(period, clock)

        assert letters(period)["Dunlin"] == "NOT_APPLICABLE"

    def test_an_excluded_year_earns_its_own_letter(
        self, regulator: Regulator, acme: Party, period: Period, clock: Clock
    ) -> None:
        assert acme.operator is not None
        operators.exclude_year(
            actor=regulator.desk, operator=acme.operator, year=cast.YEAR, reason="Mothballed.", now=cast.REPORTING
        )

        close(period, clock)

        assert letters(period)["Acme"] == "EXCLUDED"
        assert broken() == []


class TestSanctions:
    """Rule R8, on what was missing at the deadline, once for each permit."""

    def test_the_missing_part_is_sanctioned_and_stays_owed(
        self, reported: Reporting, give: Callable[..., None], acme: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 100)
        give(acme, 60)

        close(period, clock)

        sanction = Sanction.objects.get()
        assert (sanction.operator, sanction.shortfall) == (acme.operator, 40)
        assert sanction.amount_minor == 40 * cast.SANCTION_MINOR
        assert records(period, operator=acme.operator)[0].shortfall == 40

    def test_a_permit_missing_for_two_years_is_sanctioned_in_the_first(
        self,
        reported: Reporting,
        give: Callable[..., None],
        regulator: Regulator,
        acme: Party,
        period: Period,
        clock: Clock,
    ) -> None:
        following = cast.capped(regulator, cast.period_of(regulator, period.scheme, cast.YEAR + 1))
        reported(acme, 100)
        give(acme, 60)
        close(period, clock)
        reported(acme, 10, at=cast.REPORTING.replace(year=cast.YEAR + 2), of=following)

        close(following, clock)

        assert list(Sanction.objects.order_by("period__year").values_list("shortfall", flat=True)) == [40, 10]
        assert broken() == []

    def test_nobody_without_a_shortfall_is_sanctioned(
        self, reported: Reporting, give: Callable[..., None], acme: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 100)
        give(acme, 100)

        close(period, clock)

        assert not Sanction.objects.exists()

    def test_sanctions_wait_for_the_letters(self, acme: Party, period: Period, clock: Clock) -> None:
        for part in (compliance.impose_sanctions, compliance.publish):
            with pytest.raises(Refused) as refused, transaction.atomic():
                part(period, clock.now())
            assert refused.value.code == "status_not_recorded"


class TestEachPartOnce:
    """Doing a part twice is doing it once."""

    def test_closing_twice_is_closing_once(
        self, reported: Reporting, acme: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 100)
        close(period, clock)
        before = (ComplianceRecord.objects.count(), Sanction.objects.count(), AuditEvent.objects.count())

        clock.move_to(clock.now() + timedelta(days=1))
        decide(period, clock)

        assert (ComplianceRecord.objects.count(), Sanction.objects.count(), AuditEvent.objects.count()) == before

    def test_parts_answer_with_the_same_figures_again(
        self, reported: Reporting, acme: Party, borealis: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 100)
        close(period, clock)

        with transaction.atomic():
            answers = (
                compliance.record_deadline_status(period, clock.now()),
                compliance.impose_sanctions(period, clock.now()),
                compliance.bank_permits(period, clock.now()),
                compliance.publish(period, clock.now()),
            )

        assert answers == (
            {"B": 1, "C": 1},
            {"sanctions": 1, "permits": 100, "amount_minor": 100 * cast.SANCTION_MINOR},
            {"accounts": 2, "permits": cast.ACME_PERMITS + cast.BOREALIS_PERMITS},
            {"B": 1, "C": 1},
        )

    @pytest.mark.parametrize(("moved_by", "passes"), [(-MICROSECOND, False), (0 * MICROSECOND, True)])
    def test_letters_wait_for_the_deadline(
        self, period: Period, clock: Clock, moved_by: timedelta, passes: bool
    ) -> None:
        with transaction.atomic():
            compliance.begin_closing(period, clock.now())
        clock.move_to(period.surrender_due + moved_by)

        if passes:
            with transaction.atomic():
                compliance.record_deadline_status(period, clock.now())
        else:
            with pytest.raises(Refused) as refused, transaction.atomic():
                compliance.record_deadline_status(period, clock.now())
            assert refused.value.code == "deadline_not_passed"

    def test_letters_wait_for_the_closing_to_begin(self, period: Period, clock: Clock) -> None:
        clock.move_to(period.surrender_due)

        with pytest.raises(Refused) as refused, transaction.atomic():
            compliance.record_deadline_status(period, clock.now())

        assert refused.value.code == "period_not_closing"

    def test_neither_a_draft_nor_a_closed_period_begins_to_close(
        self, regulator: Regulator, period: Period, clock: Clock
    ) -> None:
        draft = cast.period_of(regulator, period.scheme, cast.YEAR + 1)
        close(period, clock)

        for wrong in (draft, period):
            with pytest.raises(Refused) as refused, transaction.atomic():
                compliance.begin_closing(wrong, clock.now())
            assert refused.value.code == "period_not_closing"

    @pytest.mark.django_db(transaction=True)
    def test_a_part_needs_the_callers_transaction(self, period: Period) -> None:
        with pytest.raises(AssertionError):
            compliance.bank_permits(period, cast.OPENING)


class TestSelectors:
    """The same figures as pages and auditors see them."""

    def test_every_permit_is_somewhere(
        self, reported: Reporting, give: Callable[..., None], acme: Party, period: Period
    ) -> None:
        reported(acme, 100)
        give(acme, 100)

        where = selectors.where_every_permit_is(period)

        assert {place.kind: place.quantity for place in where.places if place.quantity} == {
            "holding": cast.ACME_PERMITS + cast.BOREALIS_PERMITS - 100,
            "auction": cast.CAP - cast.ACME_PERMITS - cast.BOREALIS_PERMITS,
            "surrender": 100,
        }
        assert (where.cap, where.issued, where.total, where.adds_up) == (cast.CAP, cast.CAP, cast.CAP, True)

    def test_an_operator_sees_what_it_owes_and_what_it_has(
        self, reported: Reporting, give: Callable[..., None], acme: Party, period: Period
    ) -> None:
        report = reported(acme, 4_100)
        give(acme, 1_000)
        assert acme.operator is not None

        position = selectors.position_against_obligation(acme.operator, period)

        assert (position.owed, position.surrendered, position.shortfall) == (4_100, 1_000, 3_100)
        assert (position.available, position.net) == (3_000, -100)
        assert position.sanction_minor == 3_100 * cast.SANCTION_MINOR
        assert (position.deadline_status, position.present_status, position.report) == ("", "B", report)

    def test_the_table_has_the_official_letter_beside_the_present_one(
        self, reported: Reporting, give: Callable[..., None], acme: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 100)
        close(period, clock)
        give(acme, 100)

        row = next(row for row in selectors.compliance_table(period) if row.operator == acme.operator)

        assert (row.deadline_status, row.present_status, row.shortfall) == ("B", "A", 0)
        assert row.sanction_minor == 100 * cast.SANCTION_MINOR

    def test_the_public_sees_letters_only_when_the_period_is_closed(
        self, reported: Reporting, acme: Party, period: Period, clock: Clock
    ) -> None:
        reported(acme, 100)
        (before,) = selectors.public_overview()

        close(period, clock)
        (after,) = selectors.public_overview()

        assert (before.letters, after.letters) == ({}, {"B": 1, "C": 1})
        assert (after.verified_reports, int(after.flop)) == (1, 100 * cast.PERMIT_FLOP)
        assert after.operators == {"large": 1, "academic": 1}

    def test_queries_do_not_grow_with_the_number_of_operators(
        self, regulator: Regulator, period: Period, django_assert_num_queries: Callable[..., object]
    ) -> None:
        for name in ("Dunlin", "Egret", "Finch"):
            cast.operator(regulator, period.scheme, name, "firm", "small")

        with django_assert_num_queries(5):  # type: ignore[attr-defined]
            selectors.compliance_table(period)
        with django_assert_num_queries(6):  # type: ignore[attr-defined]
            selectors.public_overview()


MORE_TO_ONE = """UPDATE registry_allocationline SET quantity = quantity + 1
    WHERE id = (SELECT min(id) FROM registry_allocationline)"""
SABOTAGE = [
    (
        "UPDATE registry_obligation SET quantity = quantity - 1",
        "Each obligation follows from its report",
    ),
    (
        "UPDATE registry_surrender SET quantity = quantity + 1",
        "Each surrender moved its quantity, once, from its operator to its period, of permits that count",
    ),
    (
        "UPDATE registry_surrender SET received_at = received_at + interval '2 years'",
        "Each letter at a deadline depends on receipts in time only",
    ),
    (
        "UPDATE registry_compliancerecord SET status = 'A'",
        "Each operator's last letter is the present one",
    ),
    (
        "UPDATE registry_sanction SET amount_minor = 0",
        "Each sanction follows from what was missing at the deadline",
    ),
    ("DELETE FROM registry_surrender", "What lies in a surrender account was surrendered"),
    ("UPDATE registry_report SET flop = flop + 1", "Each report's totals are the sums of its lines"),
    (
        "UPDATE registry_reportline SET co2e_g = 1",
        "Each line's emissions follow from its energy and its factor, or name the hours that they were computed by",
    ),
    (
        "UPDATE registry_verifierstatement SET opinion = 'negative'",
        "Each verified report was judged by an independent verifier, and by nobody who filed it",
    ),
    (
        "UPDATE registry_cap SET quantity = quantity - 1",
        "What was issued is within the cap as published then, by two officers",
    ),
    (
        MORE_TO_ONE,
        "Each allocation's lines add up to its pools, and the pools to the cap",
    ),
    (
        MORE_TO_ONE,
        "Each executed allocation moved its lines and nothing else",
    ),
    (
        "UPDATE registry_allocationrun SET inputs_sha256 = repeat('0', 64)",
        "Each allocation can be worked out again from its published inputs",
    ),
    (
        "UPDATE accounts_approval SET parameters_sha256 = repeat('0', 64)",
        "Each proposal's parameters are those that were proposed",
    ),
    (
        "DELETE FROM accounts_auditevent WHERE action = 'accounts.approval.executed'",
        "Each step of a proposal left one event",
    ),
    (
        "UPDATE accounts_membership SET role = 'verifier' WHERE role = 'trader'",
        "Each role is one that its kind of organisation has",
    ),
]


@pytest.mark.parametrize(("sabotage", "invariant"), SABOTAGE, ids=[name for _, name in SABOTAGE])
def test_every_invariant_finds_what_a_superuser_did(
    reported: Reporting,
    give: Callable[..., None],
    acme: Party,
    period: Period,
    clock: Clock,
    sabotage: str,
    invariant: str,
) -> None:
    reported(acme, 100)
    give(acme, 60)
    close(period, clock)
    assert broken() == []

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sabotage)
        cursor.execute("SET LOCAL session_replication_role = origin")

    assert invariant in broken()


def test_nobody_is_excluded_from_a_year_whose_letter_is_published(
    regulator: Regulator, acme: Party, period: Period, clock: Clock
) -> None:
    close(period, clock)
    assert isinstance(acme.operator, Operator)

    with pytest.raises(Refused) as refused:
        operators.exclude_year(
            actor=regulator.desk, operator=acme.operator, year=cast.YEAR, reason="Idle.", now=clock.now()
        )

    assert refused.value.code == "status_published"
