"""Creating schemes and opening periods: every contradiction at once, and days that end where the scheme is."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction

from accounts.models import AuditEvent
from common.errors import Forbidden, SeveralRefusals
from registry.engine.deadlines import end_of_day
from registry.ledger.models import Asset, LedgerAccount
from registry.models import Period, Scheme
from registry.services import schemes
from tests import cast
from tests.cast import Party, Regulator

TERMS: dict[str, object] = {
    "code": "ai-flop",
    "name": "AI compute",
    "metric": "flop",
    "unit_size": Decimal(10**18),
    "currency": "eur",
    "zone": "Europe/Berlin",
    "large_transfer": 1000,
    "sanction_minor": 10_000,
}
CALENDAR: dict[str, object] = {
    "year": 2026,
    "starts_on": date(2026, 1, 1),
    "ends_on": date(2026, 12, 31),
    "report_due_on": date(2027, 3, 31),
    "surrender_due_on": date(2027, 9, 30),
}


@pytest.fixture
def create(regulator: Regulator) -> Callable[..., Scheme]:
    """Let the desk create a scheme on the usual terms, with changes."""

    def create(**changes: object) -> Scheme:
        return schemes.create_scheme(**({"actor": regulator.desk, "now": cast.OPENING} | TERMS | changes))  # type: ignore[arg-type]

    return create


@pytest.fixture
def open_period(regulator: Regulator, scheme: Scheme) -> Callable[..., Period]:
    """Let the desk open a period with the usual calendar, with changes."""

    def open_period(**changes: object) -> Period:
        return schemes.open_period(
            **({"actor": regulator.desk, "scheme": scheme, "now": cast.OPENING} | CALENDAR | changes)  # type: ignore[arg-type]
        )

    return open_period


def codes(refused: "pytest.ExceptionInfo[SeveralRefusals]") -> list[str]:
    """Return every code of a refusal."""
    return [refusal.code for refusal in refused.value.refusals]


class TestSchemes:
    """A scheme says once and for all what its permits mean."""

    def test_a_scheme_brings_its_currency_and_the_banks_account(self, create: Callable[..., Scheme]) -> None:
        scheme = create()

        assert (scheme.currency.code, scheme.currency.kind) == ("eur", Asset.Kind.CURRENCY)
        bank = LedgerAccount.objects.get(reference="bank:eur")
        assert (bank.kind, bank.contra, bank.owner) == ("bank", True, None)

    def test_a_second_scheme_shares_the_currency(self, create: Callable[..., Scheme]) -> None:
        first, second = create(), create(code="ai-co2e", metric="co2e")

        assert first.currency == second.currency
        assert LedgerAccount.objects.filter(kind="bank").count() == 1

    def test_creating_one_leaves_one_event(self, create: Callable[..., Scheme], regulator: Regulator) -> None:
        scheme = create()

        event = AuditEvent.objects.get(action="registry.scheme.created")
        assert (event.subject_id, event.actor) == (str(scheme.pk), regulator.desk)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"code": "AI Flop"}, "scheme_code_malformed"),
            ({"code": "ai_flop"}, "scheme_code_malformed"),
            ({"code": "x"}, "scheme_code_malformed"),
            ({"name": "  "}, "scheme_name_missing"),
            ({"metric": "kwh"}, "metric_unknown"),
            ({"unit_size": Decimal(0)}, "unit_size_out_of_range"),
            ({"unit_size": Decimal("NaN")}, "unit_size_out_of_range"),
            ({"unit_size": Decimal("Infinity")}, "unit_size_out_of_range"),
            ({"unit_size": Decimal("0.0000001")}, "unit_size_out_of_range"),
            ({"unit_size": Decimal(10**30)}, "unit_size_out_of_range"),
            ({"currency": "Euro!"}, "currency_unknown"),
            ({"zone": "Mars/Olympus"}, "zone_unknown"),
            ({"large_transfer": 0}, "large_transfer_out_of_range"),
            ({"sanction_minor": -1}, "sanction_out_of_range"),
        ],
    )
    def test_terms_that_cannot_be_law_are_refused(
        self, create: Callable[..., Scheme], change: dict[str, object], code: str
    ) -> None:
        with pytest.raises(SeveralRefusals) as refused:
            create(**change)

        assert (refused.value.code, codes(refused)) == (code, [code])
        assert not Scheme.objects.exists()

    def test_every_fault_is_named_at_once(self, create: Callable[..., Scheme]) -> None:
        with pytest.raises(SeveralRefusals) as refused:
            create(metric="kwh", zone="Mars/Olympus", sanction_minor=-1)

        assert refused.value.code == "several_refusals"
        assert codes(refused) == ["metric_unknown", "zone_unknown", "sanction_out_of_range"]

    def test_a_code_is_used_once(self, create: Callable[..., Scheme]) -> None:
        create()

        with pytest.raises(SeveralRefusals) as refused:
            create()

        assert codes(refused) == ["scheme_exists"]

    def test_a_permit_is_no_currency(self, create: Callable[..., Scheme], regulator: Regulator) -> None:
        first = create(code="eu")
        cast.period_of(regulator, first)

        with pytest.raises(SeveralRefusals) as refused:
            create(currency="eu-2026")

        assert codes(refused) == ["currency_unknown"]

    def test_only_the_desk_creates_schemes(
        self, create: Callable[..., Scheme], regulator: Regulator, verity: Party
    ) -> None:
        for stranger in (regulator.monitor, verity.verifier):
            with pytest.raises(Forbidden):
                create(actor=stranger)

    @pytest.mark.parametrize("change", ["UPDATE registry_scheme SET unit_size = 1", "DELETE FROM registry_scheme"])
    def test_the_terms_never_change(self, create: Callable[..., Scheme], change: str) -> None:
        create()

        with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)

    @pytest.mark.parametrize("size", ["NaN", "Infinity", "0", "-1"])
    def test_the_database_too_refuses_a_size_that_is_none(self, create: Callable[..., Scheme], size: str) -> None:
        scheme = create()

        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                """INSERT INTO registry_scheme SELECT gen_random_uuid(), 'other', name, metric, %s::numeric, zone,
                    large_transfer, sanction_minor, created_at, currency_id FROM registry_scheme WHERE id = %s""",
                [size, scheme.pk],
            )


class TestPeriods:
    """A period is a draft with its permit, its calendar and its accounts until a cap opens it."""

    def test_a_period_begins_as_a_draft_with_its_permit_and_accounts(self, open_period: Callable[..., Period]) -> None:
        period = open_period()

        assert (period.status, period.permit.code, period.permit.kind) == ("draft", "ai-flop-2026", "permit")
        accounts = LedgerAccount.objects.filter(reference__endswith=":ai-flop-2026")
        assert {account.reference.partition(":")[0]: (account.kind, account.contra) for account in accounts} == {  # type: ignore[union-attr]
            "issuance": ("issuance", True),
            "total": ("reserve", False),
            "auction": ("auction", False),
            "set_aside": ("set_aside", False),
            "surrender": ("surrender", False),
            "cancellation": ("cancellation", False),
        }
        assert AuditEvent.objects.get(action="registry.period.opened").subject_id == str(period.pk)

    def test_dates_become_the_end_of_that_day_in_the_schemes_zone(self, open_period: Callable[..., Period]) -> None:
        period = open_period()

        assert period.report_due == datetime(2027, 3, 31, 22, 0, tzinfo=UTC)  # summer time began three days before
        assert period.surrender_due == datetime(2027, 9, 30, 22, 0, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"year": 1999}, "year_out_of_range"),
            ({"ends_on": date(2026, 1, 1)}, "period_ends_before_it_starts"),
            ({"starts_on": date(2020, 1, 1)}, "period_too_long"),
            ({"year": 2027}, "year_outside_period"),
            ({"report_due_on": date(2026, 12, 31)}, "report_due_too_early"),
            ({"surrender_due_on": date(2027, 3, 31)}, "surrender_due_too_early"),
        ],
    )
    def test_a_calendar_that_contradicts_itself_is_refused(
        self, open_period: Callable[..., Period], change: dict[str, object], code: str
    ) -> None:
        with pytest.raises(SeveralRefusals) as refused:
            open_period(**change)

        assert code in codes(refused)
        assert not Period.objects.exists()
        assert not Asset.objects.filter(kind="permit").exists()

    def test_every_contradiction_is_named_at_once(self, open_period: Callable[..., Period]) -> None:
        with pytest.raises(SeveralRefusals) as refused:
            open_period(ends_on=date(2025, 12, 31), report_due_on=date(2025, 1, 1), surrender_due_on=date(2024, 1, 1))

        assert codes(refused) == [
            "period_ends_before_it_starts",
            "year_outside_period",
            "report_due_too_early",
            "surrender_due_too_early",
        ]

    def test_a_year_has_one_period_and_days_belong_to_one(self, open_period: Callable[..., Period]) -> None:
        open_period()

        with pytest.raises(SeveralRefusals) as refused:
            open_period()

        assert codes(refused) == ["period_exists", "period_overlaps"]

    def test_years_come_in_order(self, open_period: Callable[..., Period]) -> None:
        open_period()

        with pytest.raises(SeveralRefusals) as refused:
            open_period(
                year=2027,
                starts_on=date(2025, 6, 1),
                ends_on=date(2027, 1, 31),
            )

        assert "period_out_of_order" in codes(refused)

    def test_only_the_desk_opens_periods(self, open_period: Callable[..., Period], regulator: Regulator) -> None:
        with pytest.raises(Forbidden):
            open_period(actor=regulator.monitor)

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE registry_period SET surrender_due = surrender_due - interval '1 hour'",
            "UPDATE registry_period SET year = 2030",
            "DELETE FROM registry_period",
        ],
    )
    def test_a_deadline_never_moves_earlier(self, open_period: Callable[..., Period], change: str) -> None:
        open_period()

        with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


@pytest.mark.parametrize(
    ("day", "zone", "ends_at"),
    [
        (date(2027, 9, 30), "UTC", datetime(2027, 10, 1, 0, 0, tzinfo=UTC)),
        (date(2027, 9, 30), "America/Los_Angeles", datetime(2027, 10, 1, 7, 0, tzinfo=UTC)),
        (date(2027, 9, 30), "Asia/Kolkata", datetime(2027, 9, 30, 18, 30, tzinfo=UTC)),
        (date(2026, 3, 28), "Europe/Berlin", datetime(2026, 3, 28, 23, 0, tzinfo=UTC)),  # before the change
        (date(2026, 3, 29), "Europe/Berlin", datetime(2026, 3, 29, 22, 0, tzinfo=UTC)),  # a day of 23 hours
        (date(2026, 10, 25), "Europe/Berlin", datetime(2026, 10, 25, 23, 0, tzinfo=UTC)),  # a day of 25 hours
        (date(2018, 11, 3), "America/Sao_Paulo", datetime(2018, 11, 4, 3, 0, tzinfo=UTC)),  # midnight is skipped
        (date(2018, 2, 17), "America/Sao_Paulo", datetime(2018, 2, 18, 3, 0, tzinfo=UTC)),  # 23:00 comes twice
        (date(2021, 10, 28), "Asia/Amman", datetime(2021, 10, 28, 21, 0, tzinfo=UTC)),  # 00:00 comes twice, next day
    ],
)
def test_a_day_ends_where_the_scheme_is(day: date, zone: str, ends_at: datetime) -> None:
    assert end_of_day(day, ZoneInfo(zone)) == ends_at
