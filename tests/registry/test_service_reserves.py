"""Reserves at work: the yearly flow from the books, and sales by sealed bids, each delivered, published, recomputed."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from accounts.models import Task
from accounts.services import approvals
from common.errors import Forbidden, Refused, SeveralRefusals
from registry.engine import runs as engine
from registry.ledger import services as ledger
from registry.ledger.models import Balance, SerialBlock
from registry.ledger.services.serials import derive_serial_blocks
from registry.models import DueWork, Period, PublishedRun, Scheme, Suspension
from registry.services import central, due, estimates, freezes, reserves, rules, sales
from tests import cast
from tests.cast import Clock, Party, Regulator

MSR: dict[str, Any] = {
    "supply.msr.upper": "5000",
    "supply.msr.lower": "1000",
    "supply.msr.intake": "0.24",
    "supply.msr.release": "500",
    "supply.msr.invalidate_above": "1200",
}
SALE: dict[str, Any] = {
    "supply.floor.start_year": cast.YEAR,
    "supply.floor.start": "10",
    "limits.purchase": {"bidder": "0.5", "academic": "0.8"},
    "limits.lot": "10",
    "supply.ccr": [
        {
            "trigger": {"start_year": cast.YEAR, "start": "30", "real": "0", "index": {}},
            "quantity": "100",
            "share": None,
            "rolls_over": False,
        }
    ],
}


@pytest.fixture
def enact(regulator: Regulator, scheme: Scheme) -> Callable[..., None]:
    """Put rules in force from the beginning of the year of use."""

    def enact(values: dict[str, Any]) -> None:
        entries = [
            {"name": name, "value": value, "valid_from": f"{cast.YEAR}-01-01", "valid_to": None, "source": "Order 1"}
            for name, value in values.items()
        ]
        regulator.approve(
            rules.propose_change(
                actor=regulator.desk,
                scheme=scheme,
                title="Rules of supply",
                entries=entries,
                reason_code="correction",
                now=cast.OPENING,
            )
        )

    return enact


def lies_in(period: Period, kind: str) -> int:
    """Return the permits of a period in the accounts of one kind."""
    return sum(Balance.objects.filter(asset=period.permit_id, account__kind=kind).values_list("balance", flat=True))


def test_the_flow_follows_from_the_books_at_the_end_of_the_year(
    regulator: Regulator, scheme: Scheme, period: Period, acme: Party, borealis: Party, enact: Any, clock: Clock
) -> None:
    enact(MSR)
    now = clock.move_to(cast.LATE_FOR_REPORTS)
    with pytest.raises(SeveralRefusals) as refused:
        reserves.propose_stability(actor=regulator.desk, period=period, now=now)
    assert [refusal.code for refusal in refused.value.refusals] == ["next_period_not_open", "use_not_verified"]
    coming = cast.capped(regulator, cast.period_of(regulator, scheme, cast.YEAR + 1))
    _to_auction(regulator, coming)
    for party, permits in ((acme, 3_000), (borealis, 400)):
        assert party.operator is not None
        estimates.estimate_report(
            actor=regulator.desk,
            operator=party.operator,
            period=period,
            reason="No report came.",
            now=now,
            flop=permits * cast.PERMIT_FLOP,
        )

    work = _indicator(period, now)
    assert due.run_due(now=now).done > 0
    due.run_due(now=now)
    work.refresh_from_db()
    (task,) = Task.objects.filter(kind="year_indicator")
    assert (task.link, task.status) == (f"/desk/periods/{period.code}/stability/", "unclaimed")

    proposal = reserves.propose_stability(actor=regulator.desk, period=period, now=now)
    regulator.approve(proposal, now)

    task.refresh_from_db()
    assert task.status == "completed"
    # 10,000 - 3,400 in circulation lie above the upper line: 24 % of them go in, and what is above 1,200 is cancelled
    run = PublishedRun.objects.get(kind="reserve", period=period)
    result = run.document["result"]
    assert (result["circulation"], result["intake"], result["invalidated"]) == ("6600", "1584", "384")
    assert work.result == {  # the calendar's event had worked out exactly what was published
        "circulation": "6600",
        "intake": "1584",
        "release": "0",
        "invalidated": "384",
        "sha256": run.sha256,
        "reminded": True,
    }
    assert sum(int(month["permits"]) for month in result["months"]) == 1_584
    assert lies_in(coming, "stability") == 1_200
    assert lies_in(coming, "cancellation") == 384
    assert lies_in(coming, "auction") == cast.CAP - 1_584
    assert engine.differences(run.document) == []
    with pytest.raises(Refused, match="published already"):
        reserves.propose_stability(actor=regulator.desk, period=period, now=now)


def test_books_that_changed_stop_a_flow_and_only_officers_propose(
    regulator: Regulator, scheme: Scheme, enact: Any, clock: Clock, verity: Party
) -> None:
    period = cast.capped(regulator, cast.period_of(regulator, scheme))
    enact(MSR)
    now = clock.move_to(cast.LATE_FOR_REPORTS)
    coming = cast.capped(regulator, cast.period_of(regulator, scheme, cast.YEAR + 1))
    proposal = reserves.propose_stability(actor=regulator.desk, period=period, now=now)
    _to_auction(regulator, coming)

    with pytest.raises(Refused) as refused:
        approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=now)
    assert refused.value.code == "stability_changed"
    with pytest.raises(Forbidden):
        reserves.propose_stability(actor=verity.users["verifier"], period=period, now=now)


def test_a_sale_delivers_against_payment_and_the_containment_counts_over_the_year(
    regulator: Regulator, period: Period, acme: Party, borealis: Party, cobalt: Party, enact: Any
) -> None:
    """Acme may win half of what is offered; the price above 30 brings in the tier, of which 40 are left for later."""
    enact(SALE)
    with transaction.atomic():  # as an allocation by these rules sets the tier apart
        auction, tier = (
            central.account(period, central.AUCTION),
            central.account_on_use(period, central.CONTAINMENT, cast.OPENING),
        )
        ledger.post(
            transfers=[ledger.Posting(cast.key(), auction.pk, tier.pk, period.permit_id, 100)],
            kind="move",
            reference="tier",
            actor=None,
            now=cast.OPENING,
        )
    before = lies_in(period, "auction")
    a, b, c = (each.account.number for each in (acme, borealis, cobalt))

    def sell(*bids: sales.Bid, offered: int = 200) -> dict[str, Any]:
        number = PublishedRun.objects.filter(kind="reserve", period=period).count() + 1
        proposal = sales.propose_sale(actor=regulator.desk, period=period, offered=offered, bids=bids, now=cast.OPENING)
        regulator.approve(proposal)
        run = PublishedRun.objects.get(kind="reserve", period=period, number=number)
        assert engine.differences(run.document) == []
        return dict(run.document["result"])

    first = sell((a, Decimal("45.50"), 300), (b, Decimal(40), 160))
    # 100 of Acme's 300 stand, all of Borealis's 160: at 40 the tier adds 60
    assert (first["price"], first["sold"], first["released"], first["unsold"]) == ("30", "260", "60", "0")
    assert {award["bidder"]: award["permits"] for award in first["awards"]} == {a: "100", b: "160"}
    assert _held(acme, period) == cast.ACME_PERMITS + 100
    assert _cash(acme, period) == cast.CASH_MINOR - 100 * 30_00
    assert lies_in(period, "containment") == 40

    second = sell((b, Decimal(50), 160), (a, Decimal(45), 100))
    assert (second["released"], second["tiers"][0]["available"]) == ("40", "40")
    third = sell((b, Decimal(12), 20))
    assert (third["price"], third["sold"], third["unsold"]) == ("10", "20", "180")
    assert lies_in(period, "auction") == before - 200 - 200 - 20
    proceeds = Balance.objects.get(account__reference=f"proceeds:{period.scheme.currency.code}").balance
    assert proceeds == 2 * cast.CASH_MINOR - _cash(acme, period) - _cash(borealis, period)

    with pytest.raises(SeveralRefusals) as refused:
        sell((c, Decimal(40), 50), ("HR-1", Decimal(40), 50), (a, Decimal("40.001"), 0), offered=10**9)
    assert [refusal.code for refusal in refused.value.refusals] == [
        "offer_out_of_range",
        "account_unknown",
        "price_out_of_range",
        "quantity_out_of_range",
    ]
    with pytest.raises(SeveralRefusals, match=r"has 0\.00 available"):
        sell((c, Decimal(40), 50))
    with pytest.raises(Forbidden):
        sales.propose_sale(actor=acme.trader, period=period, offered=1, bids=[], now=cast.OPENING)


def test_nothing_is_sold_while_a_court_stops_trading_or_of_permits_whose_numbers_are_frozen(
    regulator: Regulator, scheme: Scheme, period: Period, acme: Party
) -> None:
    derive_serial_blocks()
    auction = central.account(period, central.AUCTION)
    block = SerialBlock.objects.filter(balance__account=auction, until=None).earliest("first")
    offered = Balance.objects.get(account=auction, asset=period.permit_id).available
    freezes.freeze_serials(
        actor=regulator.desk,
        asset=period.permit,
        first=block.first,
        last=block.first,
        reason="Under inquiry.",
        now=cast.OPENING,
    )
    Suspension.objects.create(
        scheme=scheme, reason="7 K 12/27", trading=False, stopped_at=cast.OPENING, stopped_by=regulator.senior
    )

    with pytest.raises(SeveralRefusals) as refused:
        sales.propose_sale(
            actor=regulator.desk,
            period=period,
            offered=offered,
            bids=[(acme.account.number, Decimal(1), 1)],
            now=cast.OPENING,
        )

    codes = {refusal.code for refusal in refused.value.refusals}
    assert codes == {"offer_out_of_range", "serials_frozen", "scheme_suspended"}  # a frozen number is held too


def _indicator(period: Period, now: datetime) -> DueWork:
    """Return the calendar's event of the indicator, due now."""
    work, _ = DueWork.objects.update_or_create(
        key=f"{period.code}:indicator",
        defaults={"kind": "indicator", "scheme": period.scheme, "period": period, "due_at": now},
    )
    return work


def _to_auction(regulator: Regulator, period: Period) -> None:
    """Divide a cap so that all of it is for auction."""
    cast.allocate(regulator, period, {})


def _held(party: Party, period: Period) -> int:
    return Balance.objects.get(account=party.account, asset=period.permit_id).balance


def _cash(party: Party, period: Period) -> int:
    return Balance.objects.get(account=party.account, asset=period.scheme.currency_id).balance
