"""A small world to ask about: one of everything that the REST interface shows, and a caller in every role."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import uuid4

from rest_framework.test import APIClient

from accounts.models import Approval
from accounts.services import approvals
from exchange.models import Market, Order, Trade
from exchange.services import matching, orders, settlement
from registry.models import (
    AiModel,
    AllocationRun,
    Case,
    ComplianceRecord,
    MonitoringPlan,
    Period,
    Report,
    Sanction,
    Surrender,
    System,
    Transaction,
)
from registry.services import cases, reports, surrenders, transactions, transfers
from registry.services.monitoring import ai_models
from registry.services.reports import LineInput
from tests.cast import LARGE_TRANSFER, OPENING, PERMIT_FLOP, REPORTING, Clock, Party, Regulator, judge
from tests.registry.monitored import open_cluster, open_paris, submitted

Caller = Callable[..., APIClient]


@dataclass
class World:
    """Acme's things by name, and the callers by name."""

    callers: dict[str, APIClient]
    acme: Party
    borealis: Party
    period: Period
    market: Market
    order: Order
    trade: Trade
    allocation: AllocationRun
    report: Report
    surrender: Surrender
    approval: Approval

    @cached_property
    def case(self) -> Case:
        """A case that Acme opened about its verified report."""
        return cases.open_correction(
            actor=self.acme.initiator,
            operator=self.acme.operator,  # type: ignore[arg-type]
            period=self.period,
            grounds="Counted twice.",
            now=REPORTING,
        )

    def addresses(self) -> dict[str, Any]:
        """Return what fills the places in the addresses of single things: each of them Acme's, or public."""
        return {
            "scheme-detail": {"code": self.period.scheme.code},
            "calendar-event-list": {"code": self.period.scheme.code},
            "scheme-rules": {"code": self.period.scheme.code},
            "scheme-rules-document": {"code": self.period.scheme.code},
            "scheme-rules-schema": {"code": self.period.scheme.code},
            "rule-change-list": {"code": self.period.scheme.code},
            "period-detail": {"code": self.period.code},
            "factor-hour-list": {"code": "nothing", "version": 1},
            "calculator-result": {"name": "device-energy"},
            "account-detail": {"number": self.acme.account.number},
            "approval-detail": {"pk": self.approval.pk},
            "task-detail": {"pk": self.approval.task.pk},
            "report-detail": {"pk": self.report.pk},
            "case-detail": {"pk": self.case.pk},
            "allocation-detail": {"pk": self.allocation.pk},
            "allocation-lines": {"pk": self.allocation.pk},
            "run-detail": {"pk": self.allocation.published.pk},
            "run-document": {"pk": self.allocation.published.pk},
            "allocation-inputs": {"pk": self.allocation.pk},
            "report-evidence": {"pk": self.report.pk},
            **{name: {"pk": uuid4()} for name in ("draft-detail", "draft-uploads", "draft-filing", "upload-detail")},
            "report-lines": {"pk": self.report.pk},
            **{f"meter-{kind}-detail": {"pk": uuid4()} for kind in ("project", "experiment", "run")},
            **{
                f"report-{part}": {"pk": self.report.pk}
                for part in ("begin", "checklist", "findings", "statement", "unsigned")
            },
            **{f"finding-{act}": {"pk": uuid4()} for act in ("answer", "close", "reopen")},
            **{
                f"appointment-{act}": {"pk": self.report.statement.appointment_id}
                for act in ("detail", "acceptance", "refusal", "cancellation", "termination")
            },
            "signing-key-revocation": {"pk": uuid4()},
            "tariff-detail": {"pk": uuid4()},
            **{f"{kind}-detail": {"pk": uuid4()} for kind in ("measure", "published-measure", "efficiency-label")},
            **{f"access-{kind}-detail": {"pk": uuid4()} for kind in ("programme", "award", "application")},
            "league-detail": {"slug": "text_generation-requests-site"},
            "published-claim-detail": {"serial": "AVE-CISO-2026-000001"},
            **{
                f"avoided-claim-{part}": {"pk": uuid4()}
                for part in (
                    "detail",
                    "inputs",
                    "unsigned",
                    "submission",
                    "statement",
                    "publication",
                    "withdrawal",
                )
            },
            "market-detail": {"code": self.market.code},
            "market-book": {"code": self.market.code},
            "order-detail": {"public_id": self.order.public_id},
            "token-detail": {"token_key": "hr_000000000000"},
            "transaction-detail": {"pk": self.transaction.pk},
            "transaction-cancellation": {"pk": self.transaction.pk},
            "transaction-confirmation": {"pk": self.transaction.pk},
            "transaction-reversal": {"pk": self.transaction.pk},
            "trusted-account-detail": {"pk": uuid4()},
            "site-detail": {"pk": self.cluster.site_id},
            "system-detail": {"pk": self.cluster.pk},
            "model-detail": {"pk": self.ai_model.pk},
            "workload-detail": {"pk": self.cluster.workloads.get(name="Base model").pk},
            **{f"plan-{act}": {"pk": self.plan.pk} for act in ("detail", "submission", "withdrawal", "decision")},
        }

    @cached_property
    def cluster(self) -> System:
        """Acme's cluster, at its site in Paris."""
        return open_cluster(self.acme, open_paris(self.acme))

    @cached_property
    def ai_model(self) -> AiModel:
        """A model of Acme's."""
        return ai_models.register_model(
            actor=self.acme.initiator,
            organisation=self.acme.organisation,
            name="Base",
            architecture="dense",
            now=OPENING,
        )

    @cached_property
    def plan(self) -> MonitoringPlan:
        """Acme's monitoring plan, which waits for the desk."""
        return submitted(self.acme, self.cluster)

    @cached_property
    def transaction(self) -> Transaction:
        """The large transfer that waits for Acme's second person."""
        return Transaction.objects.get(approval=self.approval)

    @cached_property
    def certificate(self) -> Transaction:
        """A cancellation that Acme made for somebody."""
        row = transactions.propose(
            actor=self.acme.initiator,
            organisation=self.acme.organisation,
            request=transactions.Request(
                kind="cancel", sender=self.acme.account, asset=self.period.permit, quantity=3, beneficiary="Everybody"
            ),
            key=uuid4(),
            now=OPENING,
        )
        assert row.approval is not None
        approvals.approve(actor=self.acme.approver, approval_id=row.approval.pk, now=OPENING)
        return row


def place(party: Party, market: Market, side: str, quantity: int, at: int) -> Order:
    """Place an order of a party."""
    return orders.place_order(
        actor=party.trader,
        organisation=party.organisation,
        market=market,
        side=side,
        price=at,
        quantity=quantity,
        time_in_force="gtc",
        key=uuid4(),
        now=OPENING,
    )


def build_world(
    caller: Caller,
    regulator: Regulator,
    acme: Party,
    borealis: Party,
    verity: Party,
    auditor: Party,
    market: Market,
    clock: Clock,
) -> World:
    """Trade, propose a large transfer, report, verify, surrender; then give everybody a token."""
    period = market.period
    assert acme.operator is not None
    order = place(acme, market, "sell", 10, at=500)
    place(borealis, market, "buy", 4, at=500)
    matching.drain(market.pk)
    settlement.settle_market(actor=regulator.desk, market=market, now=OPENING)
    outcome = transfers.transfer(
        actor=acme.initiator,
        organisation=acme.organisation,
        to_number=borealis.account.number,
        asset=period.permit,
        quantity=LARGE_TRANSFER,
        key=uuid4(),
        now=OPENING,
        note="sale of a unit",
    )
    assert outcome.approval is not None
    now = clock.move_to(REPORTING)
    report = reports.submit_lines(
        actor=acme.initiator,
        operator=acme.operator,
        period=period,
        lines=[LineInput(label="base model", activity="training", flop=25 * PERMIT_FLOP)],
        boundary="full stack",
        now=now,
    )
    judge(verity, report, now=now)
    surrender = surrenders.surrender(
        actor=acme.initiator, operator=acme.operator, period=period, quantity=20, key=uuid4(), now=now
    )
    ComplianceRecord.objects.create(
        operator=acme.operator, period=period, occasion="deadline", status="B", owed=25, surrendered=20, at=now
    )
    Sanction.objects.create(operator=acme.operator, period=period, shortfall=5, amount_minor=50_000, imposed_at=now)
    return World(
        callers={
            "anyone": APIClient(),
            "acme viewer": caller(acme.viewer, acme.organisation),
            "acme viewer, write": caller(acme.viewer, acme.organisation, "write"),
            "acme initiator": caller(acme.initiator, acme.organisation, "write"),
            "acme approver": caller(acme.approver, acme.organisation, "write"),
            "acme trader": caller(acme.trader, acme.organisation, "write"),
            "acme trader, read": caller(acme.trader, acme.organisation),
            "borealis trader": caller(borealis.trader, borealis.organisation, "write"),
            "verifier": caller(verity.verifier, verity.organisation, "write"),
            "verifier's viewer": caller(verity.viewer, verity.organisation),
            "auditor": caller(auditor.auditor, auditor.organisation),
            "desk officer": caller(regulator.desk, regulator.organisation, "write"),
            "senior officer": caller(regulator.senior, regulator.organisation, "write"),
            "market monitor": caller(regulator.monitor, regulator.organisation, "write"),
        },
        acme=acme,
        borealis=borealis,
        period=period,
        market=market,
        order=order,
        trade=Trade.objects.get(),
        allocation=AllocationRun.objects.get(),
        report=report,
        surrender=surrender,
        approval=outcome.approval,
    )
