"""The holding limit as it meets one transfer: what the receiver's corporate group holds, and what it may still take."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping

from django.db.models import Sum

from registry.engine import limits
from registry.engine.policy import HoldingLimit
from registry.engine.refusals import Refusal
from registry.ledger.models import Balance
from registry.models import Cap, GroupMember, Operator, Period
from registry.services.transactions.facts import Batch, Facts
from registry.standing import records


def refusal(facts: Facts) -> Refusal | None:
    """Refuse what would take the receiver's group above its limit; inside a group, nothing is asked."""
    rule = None if facts.policy is None else facts.policy.limits.holding
    receiver = facts.receiver
    if rule is None or receiver is None or receiver.owner_id is None or facts.period is None or facts.quantity is None:
        return None
    group = facts.batch.groups[receiver.owner_id]
    if facts.sender is not None and facts.sender.owner_id in group:
        return None
    year = facts.now.astimezone(facts.period.scheme.tz).year
    members = [_counted_in(facts.batch, member, facts.period, year) for member in sorted(group, key=str)]
    use = _use(rule, facts.batch.caps_by_year[facts.period.scheme_id], members, facts.period.year, year)
    return None if use is None else limits.receipt_refusal(use, facts.quantity)


def group_of(organisation_id: uuid.UUID) -> frozenset[uuid.UUID]:
    """Return the organisations that share their limits with one: its corporate group, or itself alone."""
    group = GroupMember.objects.filter(organisation=organisation_id, until__isnull=True).values("group")
    members = GroupMember.objects.filter(group__in=group, until__isnull=True)
    return frozenset(members.values_list("organisation_id", flat=True)) | {organisation_id}


def holding_use(
    rule: HoldingLimit, group: Collection[uuid.UUID], period: Period, year: int
) -> limits.HoldingUse | None:
    """Return how far a group uses the limit that is on permits of a period; None where no cap is published.

    Permits of the year and earlier ones are under one limit, by the cap of the year; each later vintage is under its
    own.
    """
    caps = dict(
        Cap.objects.filter(period__scheme=period.scheme_id).order_by("version").values_list("period__year", "quantity")
    )
    members = [_holder(organisation, period, year) for organisation in sorted(group, key=str)]
    return _use(rule, caps, members, period.year, year)


def _use(
    rule: HoldingLimit, caps: Mapping[int, int], members: Collection[limits.Holder], vintage: int, year: int
) -> limits.HoldingUse | None:
    if vintage > year:
        return limits.future_holding_uses(rule, caps, members, year).get(vintage)
    current = max((each for each in caps if each <= year), default=None)
    return None if current is None else limits.holding_use(rule, caps[current], members, year)


def _counted_in(batch: Batch, organisation_id: uuid.UUID, period: Period, year: int) -> limits.Holder:
    """Return what one organisation holds once the movements counted so far are made; nothing is read for it alone."""
    by_vintage: defaultdict[int | None, int] = defaultdict(int)
    in_compliance = 0
    held = dict(batch.positions.get((organisation_id, period.scheme_id), {}))
    for (asset, kind), change in batch.changed[organisation_id].items():
        of = batch.periods.get(asset)
        if of is not None and of.scheme_id == period.scheme_id:
            held[of.year, kind] = held.get((of.year, kind), 0) + change
    for (vintage, kind), total in held.items():
        by_vintage[vintage] += total
        if kind == "compliance" and vintage <= year:
            in_compliance += total
    return limits.Holder(by_vintage, in_compliance, batch.shortfalls.get((organisation_id, period.scheme_id), 0))


def _holder(organisation_id: uuid.UUID, period: Period, year: int) -> limits.Holder:
    """Return what one organisation holds of a scheme's permits, by vintage, and its open verified obligation."""
    rows = (
        Balance.objects.filter(account__owner=organisation_id, asset__period__scheme=period.scheme_id)
        .order_by()
        .values_list("asset__period__year", "account__kind")
        .annotate(total=Sum("balance"))
    )
    by_vintage: defaultdict[int | None, int] = defaultdict(int)
    in_compliance = 0
    for vintage, kind, total in rows:
        by_vintage[vintage] += int(total)
        if kind == "compliance" and vintage <= year:
            in_compliance += int(total)
    return limits.Holder(by_vintage, in_compliance, _obligation(organisation_id, period, year))


def _obligation(organisation_id: uuid.UUID, period: Period, year: int) -> int:
    """Return the obligation that is not yet met, over all years so far."""
    operator = Operator.objects.filter(organisation=organisation_id, scheme=period.scheme_id).first()
    latest = Period.objects.filter(scheme=period.scheme_id, year__lte=year).exclude(status="draft")
    last = latest.order_by("-year").first()
    if operator is None or last is None:
        return 0
    return records(last, operator=operator)[0].shortfall
