"""A sale by sealed bids from a period's auction account: one price for all, delivered against payment, published.

Bids above the limit of their class are cut, the dearest standing. Permits of the containment tiers are added above
their triggers as far as earlier sales have left them. Below the trigger of the rules permits are withheld and
cancelled. What is not sold stays in the auction account. A winner who cannot pay when the sale is settled is left out:
what it won goes to the next best bids at the same price, or stays unsold, and the default is on record.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from accounts.models import Approval, User
from accounts.services import approvals, audit, tasks
from common.errors import Refused, SeveralRefusals, Unknown, require, require_none
from common.idempotency import derive_key
from common.quantities import format_money, parse_whole
from registry import rulebook
from registry.engine import limits, reserve
from registry.engine import runs as engine
from registry.engine.policy import Policy
from registry.engine.rounding import exact_text
from registry.ledger import services as ledger
from registry.ledger.models import Balance, LedgerAccount
from registry.models import Cap, Freeze, Operator, Period, PublishedRun
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import central, runs
from registry.services.transactions import CHECKS, Asked
from registry.services.transactions.facts import Batch

SALE = "registry.sale"
MINOR, HIGHEST_PRICE, MOST_BIDS = 100, Decimal(10**9), 10_000
BIDDER = "bidder"
"""The class of whoever is in no class of the rules."""

Bid = tuple[str, Decimal, int]
"""Account number, price of a permit, and how many."""


def propose_sale(*, actor: User, period: Period, offered: int, bids: Sequence[Bid], now: datetime) -> Approval:
    """Propose a sale with its bids; another officer approves exactly this result."""
    regulator = regulator_of(actor)
    period = Period.objects.select_related("scheme__currency").get(pk=period.pk)
    on = now.astimezone(period.scheme.tz).date()
    asked = [[number.strip(), exact_text(price), quantity] for number, price, quantity in bids]
    document, unpaid = sale_document(period, parse_whole(offered), asked, on)
    require_none(unpaid)
    result = document["result"]
    return approvals.propose(
        actor=actor,
        act=SALE,
        organisation=regulator,
        summary=f"Sell {int(result['sold']):,} of {int(offered):,} permits of {period} at "
        f"{result['price'] or 'no price'} {period.scheme.currency.code}.",
        parameters={
            "period": str(period.pk),
            "on": on.isoformat(),
            "offered": offered,
            "asked": asked,
            "rules": document["rules"]["version"],
            "inputs": document["inputs"],
            "result": result,
        },
        now=now,
    )


def sale_document(
    period: Period, offered: int, asked: Sequence[Sequence[Any]], on: date
) -> tuple[engine.Document, list[Refused]]:
    """Return the sale that these bids come to by the rules of a day, and which winners lack the money.

    Refused with every reason where it cannot be held at all.
    """
    bids = [(str(number), Decimal(price), int(quantity)) for number, price, quantity in asked]
    accounts = _accounts(bids)
    require_none([*_faults(period, offered, on), *_bid_faults(bids, accounts)])
    policy = rulebook.policy_at(period.scheme, on)
    cap = Cap.objects.filter(period=period).order_by("-version").values_list("quantity", flat=True).first()
    assert cap is not None, "an open period has a cap"
    inputs = {
        "cap": str(cap),
        "offered": str(offered),
        "bids": [
            {"bidder": number, "price": exact_text(price), "quantity": str(within), "asked": str(quantity)}
            for (number, price, quantity), within in zip(
                bids, _within_limits(policy, period, bids, accounts, offered), strict=True
            )
        ],
        "stock": [str(left) for left in _stock(policy, period, cap)],
        "withheld_before": str(_total(period, "withheld")),
    }
    document = runs.work_out("sale", period, on, inputs)
    return document, [refusal for _, refusal in _unpaid(period, document["result"], accounts)]


def _without_defaults(period: Period, document: engine.Document, on: date) -> engine.Document:
    """Leave out the winners who cannot pay, and those who then cannot pay for what falls to them."""
    defaulted: list[str] = []
    while unpaid := [number for number, _ in _unpaid(period, document["result"], _winners(document["result"]))]:
        defaulted += unpaid
        document = runs.work_out("sale", period, on, {**document["inputs"], "defaulted": sorted(defaulted)})
    return document


def _worked_out(parameters: Mapping[str, Any]) -> tuple[Period, engine.Document]:
    """Work the sale out anew; refuse where the books or rules have changed since it was proposed."""
    period = Period.objects.select_related("scheme__currency").filter(pk=parameters["period"]).first()
    if period is None:
        raise Unknown("period_unknown", "There is no such period. Check the address.")
    on = date.fromisoformat(parameters["on"])
    document, _ = sale_document(period, parameters["offered"], parameters["asked"], on)
    same = (document["rules"]["version"], document["inputs"], document["result"]) == (
        parameters["rules"],
        parameters["inputs"],
        parameters["result"],
    )
    require(same, "sale_changed", "The books or the rules have changed since this was proposed. Propose it again.")
    return period, document


def _check(parameters: Mapping[str, Any]) -> None:
    _worked_out(parameters)


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    """Deliver against payment in one journal, cancel what is withheld, and publish the sale."""
    Period.objects.select_for_update(no_key=True).get(pk=approval.parameters["period"])  # one sale at a time
    period, document = _worked_out(approval.parameters)
    document = _without_defaults(period, document, date.fromisoformat(approval.parameters["on"]))
    number = _sales(period).count() + 1
    postings = list(_postings(period, document["result"], approval, now))
    journal = None
    if postings:
        # Posted directly: permits and their payment change hands in one journal, and no type moves money.
        posted = ledger.post(
            transfers=postings,
            kind="sale",
            reference=f"sale:{period.code}:{number}",
            actor=approval.decided_by,
            now=now,
            note=f"{document['result']['sold']} permits at {document['result']['price']}",
        )
        journal = posted.journal_id
    published = runs.publish(document, period, actor=approval.decided_by, now=now, approval=approval)
    audit.record(
        approval.decided_by,
        "registry.sale.settled",
        published,
        at=now,
        organisation=approval.organisation,
        period=period.code,
        sold=document["result"]["sold"],
        price=document["result"]["price"],
        withheld=document["result"]["withheld"],
    )
    _record_defaults(approval, period, published, now)
    return {"published": str(published.pk), "journal": journal}


def _postings(period: Period, result: Mapping[str, Any], approval: Approval, now: datetime) -> Iterator[ledger.Posting]:
    """Yield permits to each winner, from the offer first and then from the containment, its money, and what lapses."""
    auction, currency = central.account(period, central.AUCTION).pk, period.scheme.currency
    sources = [(auction, int(result["offered"]) - int(result["withheld"]))]
    if int(result["released"]):
        sources.append((central.account_on_use(period, central.CONTAINMENT, now).pk, int(result["released"])))
    won = _won(result)
    proceeds = central.proceeds(currency, now).pk if won else 0
    accounts = {account.number: account.pk for account in LedgerAccount.objects.filter(number__in=won)}
    for number, permits in sorted(won.items()):
        left = permits
        for place, (source, stock) in enumerate(sources):
            part = min(left, stock)
            left, sources[place] = left - part, (source, stock - part)
            if part:
                key = derive_key("sale", approval.pk, number, place)
                yield ledger.Posting(key, source, accounts[number], period.permit_id, part)
        assert not left, "no more is awarded than there is"
        cost = _minor(result["price"]) * permits
        if cost:
            yield ledger.Posting(
                derive_key("sale", approval.pk, number, "cash"), accounts[number], proceeds, currency.pk, cost
            )
    if int(result["withheld"]):
        sink = central.account(period, central.CANCELLATION).pk
        yield ledger.Posting(
            derive_key("sale", approval.pk, "withheld"), auction, sink, period.permit_id, int(result["withheld"])
        )


def _record_defaults(approval: Approval, period: Period, run: PublishedRun, now: datetime) -> None:
    """Put every winner who did not pay on record, and give the desk the task of seeing to it."""
    defaults = run.document["result"].get("defaulted", [])
    accounts = _winners({"awards": defaults})
    for number, permits in sorted(_won({"awards": defaults}).items()):
        audit.record(
            approval.decided_by,
            "registry.sale.defaulted",
            accounts[number],
            at=now,
            organisation=accounts[number].owner,
            run=str(run.pk),
            permits=permits,
        )
        tasks.open_task(
            key=f"sale-default:{run.pk}:{number}",
            kind="sale_default",
            organisation=approval.organisation,
            title=f"{number} won {permits:,} permits of {period} and could not pay.",
            link=f"/runs/{run.pk}/",
            now=now,
        )


def _sales(period: Period) -> Any:
    return PublishedRun.objects.filter(period=period, kind=PublishedRun.Kind.RESERVE, document__kind="sale")


def _total(period: Period, name: str) -> int:
    """Add up a figure over the earlier sales of a period."""
    return sum(int(result[name]) for result in _sales(period).values_list("document__result", flat=True))


def _stock(policy: Policy, period: Period, cap: int) -> list[int]:
    """Return what each tier has left after earlier sales, as far as the containment account has it, in their order.

    The account is filled when the cap is divided; before that there is nothing to release.
    """
    released = [0] * len(policy.supply.ccr)
    for result in _sales(period).values_list("document__result", flat=True):
        for place, tier in enumerate(result["tiers"][: len(released)]):
            released[place] += int(tier["released"])
    account = LedgerAccount.objects.filter(reference=f"{central.CONTAINMENT}:{period.code}").first()
    balance = Balance.objects.filter(account=account, asset=period.permit_id).first() if account else None
    there = balance.available if balance else 0
    stock = []
    for tier, gone in zip(policy.supply.ccr, released, strict=True):
        left = min(max(0, reserve.tier_quantity(tier, cap) - gone), there)
        there -= left
        stock.append(left)
    return stock


def _within_limits(
    policy: Policy,
    period: Period,
    bids: Sequence[Bid],
    accounts: Mapping[str, LedgerAccount],
    offered: int,
) -> list[int]:
    """Cut the bids of each bidder to the limit of its class, the dearest first; each in the order in which it came."""
    owners = {account.owner_id for account in accounts.values()}
    cohorts = dict(
        Operator.objects.filter(scheme_id=period.scheme_id, organisation__in=owners).values_list(
            "organisation_id", "cohort"
        )
    )
    mine: defaultdict[object, list[int]] = defaultdict(list)
    for place, (number, _, _) in enumerate(bids):
        mine[accounts[number].owner_id].append(place)
    within = [0] * len(bids)
    for owner, places in mine.items():
        cohort = cohorts.get(owner)  # type: ignore[call-overload]
        group = cohort if cohort in policy.limits.purchase else BIDDER
        limit = limits.purchase_limit(policy.limits, group, offered)
        places.sort(key=lambda place: (-bids[place][1], place))
        cut = limits.bounded_award([bids[place][2] for place in places], limit, policy.limits.lot)
        for place, quantity in zip(places, cut, strict=True):
            within[place] = quantity
    return within


def _accounts(bids: Sequence[Bid]) -> dict[str, LedgerAccount]:
    found = LedgerAccount.objects.filter(number__in={number for number, _, _ in bids}, kind="holding")
    return {account.number: account for account in found.select_related("owner", "terms")}


def _faults(period: Period, offered: int, on: date) -> Iterator[Refused]:
    """List why nothing can be sold."""
    if period.status != "open":
        yield Refused("period_not_open", f"{period} is not open: permits are sold in an open period.")
        return
    if Freeze.objects.filter(lifted_at__isnull=True, scheme__in=[period.scheme_id]).exists() or (
        Freeze.objects.filter(lifted_at__isnull=True, scheme__isnull=True).exists()
    ):
        yield Refused("movements_frozen", "The scheme is frozen: nothing is sold until the freeze is lifted.")
    account = central.account(period, central.AUCTION)
    balance = Balance.objects.filter(account=account, asset=period.permit_id).first()
    there = balance.available if balance else 0
    if not 1 <= offered <= there:
        yield Refused("offer_out_of_range", f"Offer from 1 to {there:,} permits: so many lie in the auction account.")
    leaves = Asked("release", sender=account.pk, asset=period.permit_id, quantity=offered)
    (facts,) = Batch([leaves], datetime.combine(on, time(12), tzinfo=period.scheme.tz)).facts()
    for name in ("serials_free", "scheme_running", "books_agree"):
        refusal = CHECKS[name](facts)
        if refusal is not None:
            yield refusal


def _bid_faults(bids: Sequence[Bid], accounts: Mapping[str, LedgerAccount]) -> Iterator[Refused]:
    """List what is wrong with the bids, by the number of each."""
    if not 1 <= len(bids) <= MOST_BIDS:
        yield Refused("bids_missing", f"Enter from 1 to {MOST_BIDS:,} bids.")
    for place, (number, price, quantity) in enumerate(bids, start=1):
        account = accounts.get(number)
        if account is None:
            yield Refused("account_unknown", f"Bid {place}: {number} is not the holding account of a participant.")
        elif account.status != "open" or getattr(getattr(account, "terms", None), "grade", "open") != "open":
            yield Refused("account_not_open", f"Bid {place}: account {number} cannot buy at present.")
        elif account.owner is not None and account.owner.status != "active":
            yield Refused("bidder_suspended", f"Bid {place}: the owner of {number} is {account.owner.status}.")
        if not price.is_finite() or not 0 < price <= HIGHEST_PRICE or price * MINOR != int(price * MINOR):
            yield Refused("price_out_of_range", f"Bid {place}: enter a price above 0 with at most two decimals.")
        if not 1 <= quantity <= 10**15:
            yield Refused("quantity_out_of_range", f"Bid {place}: bid for at least one permit.")


def _winners(result: Mapping[str, Any]) -> dict[str, LedgerAccount]:
    return {
        account.number: account
        for account in LedgerAccount.objects.filter(number__in=_won(result)).select_related("owner")
    }


def _unpaid(
    period: Period, result: Mapping[str, Any], accounts: Mapping[str, LedgerAccount]
) -> Iterator[tuple[str, Refused]]:
    """List the winners who do not have the money, each with the sentence that says so."""
    won = _won(result)
    winners = [accounts[number].pk for number in won]
    cash = {
        balance.account_id: balance.available
        for balance in Balance.objects.filter(account__in=winners, asset=period.scheme.currency)
    }
    for number, permits in sorted(won.items()):
        cost, there = _minor(result["price"]) * permits, cash.get(accounts[number].pk, 0)
        if there < cost:
            sentence = (
                f"{number} won {permits:,} permits for {format_money(cost)} and has {format_money(there)} available."
            )
            yield number, Refused("cash_missing", sentence)


def _won(result: Mapping[str, Any]) -> dict[str, int]:
    """Add up what each bidder won."""
    won: defaultdict[str, int] = defaultdict(int)
    for award in result["awards"]:
        won[award["bidder"]] += int(award["permits"])
    return dict(won)


def _minor(price: str) -> int:
    """Return a price in minor units; prices have whole cents, by bid and by rule (R5)."""
    minor = Decimal(price) * MINOR
    if minor != int(minor):
        raise SeveralRefusals([Refused("price_not_whole", f"The price {price} has no whole cents.")])
    return int(minor)


ACTS = (
    approvals.Act(
        name=SALE,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_execute,
    ),
)
