"""Closing an account: everything that stands against it is named at once, and what closes is gone from every list."""

import uuid
from collections.abc import Callable
from datetime import date

import pytest
from django.db import transaction

from accounts.models import Approval, AuditEvent
from accounts.services import approvals
from common.errors import Forbidden, Refused, SeveralRefusals
from exchange.services import matching
from registry.grades import active_days, terms_of
from registry.ledger import services as ledger
from registry.ledger.models import LedgerAccount
from registry.models import (
    Case,
    DebtEntry,
    DueWork,
    Obligation,
    Operator,
    Period,
    Report,
    Sanction,
    Transaction,
    TrustedAccount,
)
from registry.services import accounts, closures, operators, shutdowns
from tests.cast import OPENING, REPORTING, Party, Regulator
from tests.pages import world
from tests.registry.holding import fresh, opened, set_grade


def codes(account: LedgerAccount) -> list[str]:
    return [refusal.code for refusal in closures.against_closing(account, REPORTING)]


def operator_of(party: Party) -> Operator:
    assert party.operator is not None
    return party.operator


def stop(regulator: Regulator, party: Party, on: date = date(2026, 6, 30)) -> Operator:
    assert party.operator is not None
    return shutdowns.shut_down(
        actor=regulator.desk, operator=party.operator, closed_on=on, reason="The site is sold.", now=REPORTING
    )


@pytest.fixture
def trading(regulator: Regulator, acme: Party) -> LedgerAccount:
    """A further account of Acme's, in which there is nothing."""
    return opened(regulator, acme.organisation, "trading")


@pytest.fixture
def clean(regulator: Regulator, cobalt: Party, draft_period: Period) -> Party:
    """An operator that stopped before it had anything to report."""
    stop(regulator, cobalt)
    return cobalt


def report(party: Party, period: Period) -> Report:
    return Report.objects.create(
        operator=operator_of(party),
        period=period,
        version=1,
        kind="estimate",
        status="determined",
        boundary="all",
        content_sha256="0" * 64,
        submitted_by=party.approver,
        received_at=REPORTING,
    )


class TestWhatStandsAgainstIt:
    """One row for each condition, each with its own code."""

    def test_an_operator_that_stopped_and_owes_nothing_may_go(self, clean: Party) -> None:
        assert codes(clean.account) == []

    def test_money_and_permits(self, regulator: Regulator, acme: Party, period: Period) -> None:
        with pytest.raises(SeveralRefusals) as refused:
            closures.propose_closure(actor=regulator.desk, account=acme.account, reason=" ", now=REPORTING)

        assert [refusal.code for refusal in refused.value.refusals] == [
            "reason_missing",
            "balance_left",
            "last_year_missing",
            "years_unreported",
        ]
        assert fresh(acme.account) == "open"

    def test_what_is_held_or_on_order(
        self, regulator: Regulator, acme: Party, period: Period, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("exchange.services.waking.wake", lambda market: None)
        market = world.open_market(regulator, period)
        world.place(acme, market, "sell", 1, 500)
        matching.drain(market.pk)

        assert {"something_held", "orders_open"} <= set(codes(acme.account))

    def test_trades_that_are_not_settled(
        self, regulator: Regulator, acme: Party, borealis: Party, period: Period, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("exchange.services.waking.wake", lambda market: None)
        market = world.open_market(regulator, period)
        world.place(acme, market, "sell", 1, 500)
        world.place(borealis, market, "buy", 1, 500)
        matching.drain(market.pk)

        assert "trades_unsettled" in codes(acme.account)
        assert "trades_unsettled" in codes(borealis.account)
        assert "orders_open" not in codes(acme.account)

    @pytest.mark.parametrize("status", ["proposed", "delayed", "awaiting_receiver"])
    def test_transactions_that_wait(self, trading: LedgerAccount, acme: Party, period: Period, status: str) -> None:
        for sender, receiver in ((trading, acme.account), (acme.account, trading)):
            Transaction.objects.create(
                kind="transfer",
                key=uuid.uuid4(),
                organisation=acme.organisation,
                sender=sender,
                receiver=receiver,
                asset=period.permit,
                quantity=1,
                status=status,
                proposed_at=OPENING,
                execute_after=OPENING,
            )

        assert codes(trading) == ["transactions_open"]

    def test_a_transaction_that_ended_is_nothing(self, trading: LedgerAccount, acme: Party, period: Period) -> None:
        Transaction.objects.create(
            kind="transfer",
            key=uuid.uuid4(),
            organisation=acme.organisation,
            sender=trading,
            receiver=acme.account,
            asset=period.permit,
            quantity=1,
            status="rejected",
            proposed_at=OPENING,
        )

        assert codes(trading) == []

    @pytest.mark.parametrize("status", ["proposed", "waiting"])
    def test_additions_to_trusted_lists(self, trading: LedgerAccount, acme: Party, status: str) -> None:
        TrustedAccount.objects.create(
            account=acme.account,
            trusted=trading,
            status=status,
            added_by=acme.initiator,
            added_at=OPENING,
            active_from=OPENING,
        )

        assert codes(trading) == ["trust_pending"]

    def test_an_operator_that_is_active(self, cobalt: Party, draft_period: Period) -> None:
        assert codes(cobalt.account) == ["last_year_missing"]

    def test_a_last_year_to_come(self, clean: Party) -> None:
        Operator.objects.filter(pk=operator_of(clean).pk).update(last_year=2040)

        assert codes(clean.account) == ["last_year_to_come"]

    def test_years_without_a_figure(self, regulator: Regulator, cobalt: Party, capped_period: Period) -> None:
        operator = stop(regulator, cobalt)
        assert codes(cobalt.account) == ["years_unreported"]

        operators.exclude_year(actor=regulator.desk, operator=operator, year=2026, reason="Never used.", now=REPORTING)

        assert codes(cobalt.account) == []

    def test_permits_that_are_owed(self, regulator: Regulator, cobalt: Party, capped_period: Period) -> None:
        stop(regulator, cobalt)
        Obligation.objects.create(
            operator=operator_of(cobalt),
            period=capped_period,
            version=1,
            report=report(cobalt, capped_period),
            quantity=3,
            at=REPORTING,
        )

        assert codes(cobalt.account) == ["permits_owed"]

    def test_cases(self, clean: Party, draft_period: Period) -> None:
        Case.objects.create(
            kind="appeal",
            subject="status",
            operator=operator_of(clean),
            period=draft_period,
            grounds="The figure is wrong.",
            opened_by=clean.approver,
            opened_at=OPENING,
        )

        assert codes(clean.account) == ["cases_open"]

    @pytest.mark.parametrize(
        ("status", "left"),
        [("due", ["sanctions_unpaid"]), ("in_appeal", ["sanctions_unpaid"]), ("paid", []), ("waived", [])],
    )
    def test_sanctions(self, clean: Party, draft_period: Period, status: str, left: list[str]) -> None:
        Sanction.objects.create(
            operator=operator_of(clean),
            period=draft_period,
            shortfall=1,
            amount_minor=100,
            status=status,
            imposed_at=OPENING,
            ended_at=OPENING,
        )

        assert codes(clean.account) == left

    def test_debts_in_permits(self, clean: Party, draft_period: Period) -> None:
        def line(kind: str, quantity: int) -> None:
            DebtEntry.objects.create(
                operator=operator_of(clean),
                period=draft_period,
                kind=kind,
                quantity=quantity,
                reference=f"{kind}:{quantity}",
                at=OPENING,
            )

        line("borrowed", 5)
        assert codes(clean.account) == ["debts_open"]

        line("paid", -5)
        assert codes(clean.account) == []

    def test_other_accounts_of_the_operator(self, regulator: Regulator, cobalt: Party, draft_period: Period) -> None:
        opened(regulator, cobalt.organisation, "compliance", cobalt.operator)
        stop(regulator, cobalt)

        assert codes(cobalt.account) == ["operator_accounts_open"]

    def test_a_central_account(self, period: Period) -> None:
        central = LedgerAccount.objects.get(reference=f"auction:{period.code}")

        assert codes(central) == ["account_is_central"]

    def test_a_frozen_account(self, regulator: Regulator, clean: Party) -> None:
        set_grade(regulator, clean.account, "frozen")

        assert codes(clean.account) == ["account_frozen"]

    def test_permits_with_frozen_numbers_are_held(self, trading: LedgerAccount, acme: Party, period: Period) -> None:
        with transaction.atomic():
            ledger.hold(
                account=acme.account.pk,
                asset=period.permit_id,
                quantity=1,
                purpose="serial_stop",
                reference="theft",
                now=OPENING,
            )

        assert "something_held" in codes(acme.account)


class TestClosing:
    """Two officers close; while it waits the account is pending, and it can come back."""

    @pytest.fixture
    def propose(self, regulator: Regulator, trading: LedgerAccount) -> Callable[[], Approval]:
        """Propose to close the trading account."""
        return lambda: closures.propose_closure(
            actor=regulator.desk, account=trading, reason="Not used.", now=REPORTING
        )

    def test_a_closed_account_is_closed_everywhere(
        self,
        regulator: Regulator,
        acme: Party,
        trading: LedgerAccount,
        propose: Callable[[], Approval],
    ) -> None:
        pairs = ((acme.account, trading), (trading, acme.account))
        for account, trusted in pairs:
            TrustedAccount.objects.create(
                account=account,
                trusted=trusted,
                status="active",
                added_by=acme.initiator,
                added_at=OPENING,
                active_from=OPENING,
            )

        proposal = propose()
        assert fresh(trading) == "closure_pending"
        regulator.approve(proposal, now=REPORTING)

        trading.refresh_from_db()
        assert (trading.status, terms_of(trading).grade) == ("closed", "closed")
        assert set(TrustedAccount.objects.values_list("status", "ended_at")) == {("removed", REPORTING)}
        assert AuditEvent.objects.get(action="registry.account.closed").details["trusts_ended"] == 2

    @pytest.mark.parametrize("was", ["open", "suspended"])
    def test_a_rejected_closure_gives_the_grade_back(
        self, regulator: Regulator, trading: LedgerAccount, propose: Callable[[], Approval], was: str
    ) -> None:
        if was != "open":
            set_grade(regulator, trading, was)
        proposal = propose()

        approvals.reject(actor=regulator.senior, approval_id=proposal.pk, reason="Wait.", now=REPORTING)

        assert fresh(trading) == was

    def test_what_came_up_since_stops_it_at_the_approval(
        self, regulator: Regulator, acme: Party, trading: LedgerAccount, propose: Callable[[], Approval]
    ) -> None:
        proposal = propose()
        TrustedAccount.objects.create(account=acme.account, trusted=trading, added_by=acme.initiator, added_at=OPENING)

        with pytest.raises(Refused) as refused:
            approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=REPORTING)

        assert refused.value.code == "trust_pending"
        assert fresh(trading) == "closure_pending"

    def test_an_account_is_proposed_once(self, propose: Callable[[], Approval]) -> None:
        propose()

        with pytest.raises(Refused) as refused:
            propose()

        assert refused.value.code == "account_grade_not_closure_pending_to_closure_pending"

    def test_holders_close_nothing_by_themselves(self, acme: Party, trading: LedgerAccount) -> None:
        with pytest.raises(Forbidden):
            closures.propose_closure(actor=acme.approver, account=trading, reason="Mine.", now=REPORTING)

    def test_a_closed_account_makes_room_for_another(
        self, regulator: Regulator, cobalt: Party, draft_period: Period
    ) -> None:
        assert cobalt.operator is not None
        first = opened(regulator, cobalt.organisation, "compliance", cobalt.operator)
        regulator.approve(
            closures.propose_closure(actor=regulator.desk, account=first, reason="Wrong.", now=REPORTING),
            now=REPORTING,
        )

        second = opened(regulator, cobalt.organisation, "compliance", cobalt.operator)

        assert (first.reference, second.reference) == (
            f"compliance:{cobalt.operator.pk}:1",
            f"compliance:{cobalt.operator.pk}:2",
        )
        with pytest.raises(Refused):
            accounts.change_grade(
                actor=regulator.senior,
                account=LedgerAccount.objects.get(pk=first.pk),
                grade="open",
                reason="Back.",
                now=REPORTING,
            )


class TestShutdown:
    """An operator that stops reports once more, and its free permits stop by day."""

    def test_the_last_year_and_the_last_report_follow_from_the_day(
        self, regulator: Regulator, cobalt: Party, draft_period: Period
    ) -> None:
        operator = stop(regulator, cobalt, date(2026, 3, 1))

        work = DueWork.objects.get(kind="shutdown_report")
        assert (operator.closed_on, operator.last_year) == (date(2026, 3, 1), 2026)
        assert (work.operator, work.period) == (operator, draft_period)
        assert work.due_at.isoformat() == "2026-04-30T22:00:00+00:00"  # the end of 30 April in Berlin, 60 days later

    @pytest.mark.parametrize(
        ("closed_on", "days"),
        [
            (None, (365, 365)),
            (date(2025, 12, 31), (0, 365)),
            (date(2026, 1, 1), (1, 365)),
            (date(2026, 7, 2), (183, 365)),
            (date(2026, 12, 31), (365, 365)),
            (date(2027, 5, 1), (365, 365)),
        ],
    )
    def test_days_of_the_year(self, cobalt: Party, closed_on: date | None, days: tuple[int, int]) -> None:
        assert cobalt.operator is not None
        cobalt.operator.closed_on = closed_on

        assert active_days(cobalt.operator, date(2026, 1, 1), date(2026, 12, 31)) == days

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"reason": ""}, "reason_missing"),
            ({"closed_on": date(2027, 2, 2)}, "shutdown_to_come"),
            ({"closed_on": date(2025, 12, 31)}, "shutdown_before_first_year"),
        ],
    )
    def test_odd_shutdowns_are_refused(
        self, regulator: Regulator, cobalt: Party, change: dict[str, object], code: str
    ) -> None:
        arguments = {"closed_on": date(2026, 5, 1), "reason": "Sold.", "now": REPORTING}

        with pytest.raises(Refused) as refused:
            shutdowns.shut_down(actor=regulator.desk, operator=cobalt.operator, **(arguments | change))  # type: ignore[arg-type]

        assert refused.value.code == code

    def test_it_stops_once_and_by_the_desk(self, regulator: Regulator, cobalt: Party) -> None:
        with pytest.raises(Forbidden):
            shutdowns.shut_down(
                actor=cobalt.approver,
                operator=cobalt.operator,  # type: ignore[arg-type]
                closed_on=date(2026, 5, 1),
                reason="Sold.",
                now=REPORTING,
            )
        stop(regulator, cobalt)

        with pytest.raises(Refused) as refused:
            stop(regulator, cobalt)

        assert refused.value.code == "operator_closed_already"
