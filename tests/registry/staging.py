"""A stage for stories of the year: report, surrender and close in a line each, under rules that a test states."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pytest
from django.db import transaction

from accounts.models import Approval
from accounts.services import approvals
from common.invariants import check_all
from registry import rulebook
from registry.engine.policy import Policy
from registry.invariants import INVARIANTS
from registry.ledger.models import Asset, Balance, LedgerAccount
from registry.models import Case, ComplianceRecord, Period, Report, Scheme, Surrender, Transaction
from registry.services import cases, compliance, reports, surrenders
from registry.services.reports import LineInput
from registry.standing import Standing, records
from tests import cast
from tests.cast import Clock, Party, Regulator


@dataclass
class Stage:
    """Where a story of a period is played."""

    regulator: Regulator
    verity: Party
    period: Period
    clock: Clock

    def file(self, party: Party, permits: int, at: datetime | None = None, of: Period | None = None) -> Report:
        """Let an operator report this many permits' worth of compute; nobody has verified it."""
        self.clock.move_to(at or cast.REPORTING)
        return reports.submit_lines(
            actor=party.initiator,
            operator=operator(party),
            period=of or self.period,
            lines=[LineInput("Training", "training", flop=permits * cast.PERMIT_FLOP)],
            boundary="full stack",
            now=self.clock.now(),
        )

    def report(self, party: Party, permits: int, at: datetime | None = None, of: Period | None = None) -> Report:
        """Let an operator report, and Verity verify it."""
        filed = self.file(party, permits, at, of)
        cast.judge(self.verity, filed, now=self.clock.now())
        filed.refresh_from_db()
        return filed

    def give(self, party: Party, quantity: int, at: datetime | None = None, of: Period | None = None) -> Surrender:
        """Let an operator surrender permits of the period."""
        if at:
            self.clock.move_to(at)
        return surrenders.surrender(
            actor=party.trader,
            operator=operator(party),
            period=of or self.period,
            quantity=quantity,
            key=cast.key(),
            now=self.clock.now(),
        )

    def close(self, of: Period | None = None) -> None:
        """Take the registry's parts of the closing, up to the publication."""
        period = of or self.period
        with transaction.atomic():
            compliance.begin_closing(period, self.clock.now())
        self.clock.move_to(max(self.clock.now(), period.surrender_due))
        for part in (
            compliance.record_deadline_status,
            compliance.impose_sanctions,
            compliance.bank_permits,
            compliance.publish,
        ):
            with transaction.atomic():
                part(period, self.clock.now())
        period.refresh_from_db()

    def approve(self, approval: Approval) -> Approval:
        """Let the senior officer approve; it has to work."""
        return self.regulator.approve(approval, self.clock.now())

    def decide(self, case: Case, outcome: str = "upheld", **effects: Any) -> Case:
        """Let two officers decide a case."""
        self.approve(
            cases.propose_decision(
                actor=self.regulator.desk,
                case=case,
                outcome=outcome,
                decision="The evidence was heard.",
                now=self.clock.now(),
                **effects,
            )
        )
        case.refresh_from_db()
        return case

    def next_year(self, *free: tuple[Party, int], years: int = 1) -> Period:
        """Open a later period and allocate its free permits."""
        following = cast.period_of(self.regulator, self.period.scheme, self.period.year + years)
        cast.capped(self.regulator, following)
        if free:
            cast.allocate(self.regulator, following, {operator(party): permits for party, permits in free})
        return following

    def standing(self, party: Party, of: Period | None = None) -> Standing:
        """Return where an operator stands now."""
        return records(of or self.period, operator=operator(party))[0]

    def letters(self, party: Party) -> list[str]:
        """Return every letter of an operator for the period, in order: the first is the official one."""
        found = ComplianceRecord.objects.filter(operator=party.operator, period=self.period).order_by("id")
        return list(found.values_list("status", flat=True))


def operator(party: Party) -> Any:
    """Return a party's operator, which it has to be."""
    assert party.operator is not None, f"{party.organisation} is no operator"
    return party.operator


def holds(account: LedgerAccount | str, asset: Asset) -> int:
    """Return how much of an asset lies in an account, named by its row or by its reference."""
    where = {"account": account} if isinstance(account, LedgerAccount) else {"account__reference": account}
    return Balance.objects.filter(asset=asset, **where).values_list("balance", flat=True).first() or 0


def broken() -> list[str]:
    """Name the invariants of the registry that do not hold."""
    return [result.name for result in check_all(INVARIANTS) if result.broken]


def refused(approval: Approval, regulator: Regulator, now: datetime) -> str:
    """Let the senior officer approve what must fail, and return why it did."""
    decided = approvals.approve(actor=regulator.senior, approval_id=approval.pk, now=now)
    return decided.failure_code


Ruling = Callable[..., None]


@pytest.fixture
def govern(monkeypatch: pytest.MonkeyPatch) -> Ruling:
    """Put every scheme under rules: its founding terms, with the parts that a test names replaced."""
    founded = rulebook.policy_at

    def put(**parts: Any) -> None:
        def policy_at(scheme: Scheme, on: date, known_at: datetime | None = None) -> Policy:
            return dataclasses.replace(founded(scheme, on, known_at), **parts)

        monkeypatch.setattr(rulebook, "policy_at", policy_at)
        monkeypatch.setattr(rulebook, "rules_version", lambda scheme, on, known_at=None: "0" * 64)

    return put


@pytest.fixture
def stage(regulator: Regulator, verity: Party, period: Period, clock: Clock) -> Stage:
    """The period of the cast, with Acme and Borealis holding permits."""
    return Stage(regulator, verity, period, clock)


def left_behind(kind: str) -> list[tuple[int, str]]:
    """Return the quantity and state of every transaction of a type, in the order in which they were made."""
    return list(Transaction.objects.filter(kind=kind).order_by("journal_id", "pk").values_list("quantity", "status"))
