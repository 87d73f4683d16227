"""Corporate groups: organisations that share their holding limits, and what follows when a merger breaches one.

The limit looks at the group from the day of the merger. A breach that a merger brings is cured within the working days
that the rules give (five in California); what is above the limit then is consigned to auction by force, the newest
permits first, and what cannot be consigned because it is held leaves the breach overdue [CA-95920, late case 9].
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from accounts.models import Organisation, User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Refused, Unknown, require
from common.idempotency import derive_key
from registry.engine import limits
from registry.ledger.models import Asset, Balance, LedgerAccount
from registry.models import LIMIT_BREACH, DueWork, Group, GroupMember, LimitBreach, Period, Scheme
from registry.permissions import regulator_of
from registry.services import central, due, transactions
from registry.services.due import Handler, Result
from registry.services.rules import policy_at
from registry.services.transactions.holdings import group_of, holding_use
from registry.services.transactions.moving import Move

CURE = "holding_limit_cure"
LIVE = ("open", "overdue")
SELLING = ("holding", "trading", "delivery")
"""Kinds of accounts from which permits are consigned by force, as far as they are free."""


@transaction.atomic(durable=True)
def create_group(*, actor: User, name: str, now: datetime) -> Group:
    """Name a corporate group. It has no members yet."""
    regulator_of(actor)
    name = " ".join(name.split())
    require(0 < len(name) <= 200, "group_name_missing", "Give the name of the group.")
    require(not Group.objects.filter(name__iexact=name).exists(), "group_exists", "There is a group of this name.")
    group = Group.objects.create(name=name, created_at=now)
    audit.record(actor, "registry.group.created", group, at=now, name=name)
    return group


@transaction.atomic(durable=True)
def add_member(*, actor: User, group: Group, organisation: Organisation, reason: str, now: datetime) -> GroupMember:
    """Let an organisation belong to a group from now on, as after a merger, and look at its limits."""
    regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Name the merger or the ownership that joins them.")
    require(
        organisation.trades or organisation.kind == Organisation.Kind.VERIFIER,
        "holder_cannot_hold",
        "Only firms and labs share limits; a verifier may be a member, which bars it from verifying the others.",
    )
    group = Group.objects.select_for_update().get(pk=group.pk)
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    live = GroupMember.objects.filter(organisation=organisation, until__isnull=True).select_related("group").first()
    if live is not None:
        raise Refused("member_of_a_group", f"{organisation} belongs to {live.group} already. End that first.")
    member = GroupMember.objects.create(group=group, organisation=organisation, since=now)
    audit.record(
        actor,
        "registry.group.joined",
        member,
        at=now,
        organisation=organisation,
        group=group.name,
        reason=reason,
    )
    find_breaches(organisation_id=organisation.pk, reason=reason, now=now)
    return member


@transaction.atomic(durable=True)
def end_membership(*, actor: User, member: GroupMember, reason: str, now: datetime) -> GroupMember:
    """Let an organisation leave its group."""
    regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say why the organisation leaves the group.")
    live = (
        GroupMember.objects.select_for_update(of=("self",))
        .select_related("organisation", "group")
        .filter(pk=member.pk, until__isnull=True)
        .first()
    )
    if live is None:
        raise Unknown("member_unknown", "This membership has ended already.")
    live.until = now
    live.save(update_fields=["until"])
    audit.record(
        actor,
        "registry.group.left",
        live,
        at=now,
        organisation=live.organisation,
        group=live.group.name,
        reason=reason,
    )
    return live


# What a group holds, and may hold -------------------------------------------------------------------------------------


def group_holdings(asset: Asset, organisation: Organisation) -> int:
    """Return how many permits of an asset an organisation and its group hold together, in all of their accounts."""
    held = Balance.objects.filter(asset=asset, account__owner__in=group_of(organisation.pk))
    return int(held.aggregate(sum=Sum("balance"))["sum"] or 0)


def limit_use(organisation_id: UUID, period: Period, now: datetime) -> limits.HoldingUse | None:
    """Return how far an organisation and its group use the limit on a period's permits; None where there is none."""
    rule = policy_at(period.scheme, now.astimezone(period.scheme.tz).date()).limits.holding
    if rule is None:
        return None
    return holding_use(rule, group_of(organisation_id), period, now.astimezone(period.scheme.tz).year)


def limited_periods(now: datetime) -> list[Period]:
    """Return of every scheme with a holding limit the period whose limit counts for present permits, and later ones."""
    found: list[Period] = []
    for scheme in Scheme.objects.order_by("code"):
        here = now.astimezone(scheme.tz)
        if policy_at(scheme, here.date()).limits.holding is None:
            continue
        capped = list(
            Period.objects.filter(scheme=scheme, caps__isnull=False)
            .distinct()
            .select_related("scheme", "permit")
            .order_by("year")
        )
        past = [period for period in capped if period.year <= here.year]
        found += [*past[-1:], *(period for period in capped if period.year > here.year)]
    return found


# Breaches -------------------------------------------------------------------------------------------------------------


def find_breaches(*, organisation_id: UUID, reason: str, now: datetime) -> list[LimitBreach]:
    """Write down every limit that an organisation and its group exceed now, with the day of cure. Part of services."""
    assert_in_transaction()
    group = Group.objects.filter(members__organisation=organisation_id, members__until__isnull=True).first()
    found = []
    for period in limited_periods(now):
        use = limit_use(organisation_id, period, now)
        whose = {"group": group} if group is not None else {"organisation_id": organisation_id}
        known = LimitBreach.objects.filter(period=period, status__in=LIVE, **whose).exists()
        if use is None or not use.excess or known:
            continue
        here = now.astimezone(period.scheme.tz).date()
        policy = policy_at(period.scheme, here)
        breach = LimitBreach.objects.create(
            period=period,
            reason=reason.strip()[:500],
            limit_quantity=use.limit,
            counted=use.counted,
            found_at=now,
            cure_by=limits.cure_by(here, policy.limits, period.scheme.tz, policy.compliance.holidays),
            **whose,
        )
        DueWork.objects.create(
            key=f"{CURE}:{breach.pk}", kind=CURE, scheme=period.scheme, period=period, due_at=breach.cure_by
        )
        audit.record(
            None,
            "registry.limit.breached",
            breach,
            at=now,
            period=period.code,
            limit=use.limit,
            counted=use.counted,
            cure_by=breach.cure_by,
        )
        found.append(breach)
    return found


@transaction.atomic(durable=True)
def find_rollover_breaches(*, now: datetime) -> int:
    """Look at everybody's limits, as the turn of a year or new rules may breach them; return how many were found.

    One organisation of each group stands for all of it. A breach that is known stays the one it is.
    """
    if not limited_periods(now):
        return 0
    groups = dict(GroupMember.objects.filter(until__isnull=True).values_list("organisation_id", "group_id"))
    holders = (
        Organisation.objects.filter(ledger_accounts__balances__balance__gt=0, kind__in=["firm", "lab"])
        .distinct()
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    one_of_each = {groups.get(holder, holder): holder for holder in holders}
    return sum(
        len(find_breaches(organisation_id=holder, reason="The year or the rules changed.", now=now))
        for holder in one_of_each.values()
    )


@transaction.atomic(durable=True)
def settle_breach(*, actor: User, breach: LimitBreach, now: datetime) -> LimitBreach:
    """Look at a breach again: cured, or after its day consigned by force as far as possible."""
    regulator_of(actor)
    return settle(breach_id=breach.pk, actor=actor, now=now)


def settle(*, breach_id: UUID, actor: User | None, now: datetime) -> LimitBreach:
    """End a breach whose holdings are back within the limit; after its day, consign what is above. A part."""
    assert_in_transaction()
    breach = (
        LimitBreach.objects.select_for_update(of=("self",))
        .select_related("period__scheme", "period__permit", "group", "organisation")
        .get(pk=breach_id)
    )
    if breach.status not in LIVE:
        return breach
    members = _members(breach)
    excess = _excess(breach, members, now)
    if excess and now >= breach.cure_by:
        consigned = _consign(breach, members, excess, actor, now)
        breach.consigned += consigned
        excess -= consigned
    if not excess:
        _move(breach, "consigned" if breach.consigned else "cured", now)
    elif now >= breach.cure_by and breach.status != "overdue":
        _move(breach, "overdue", now)
    breach.save()
    return breach


def _members(breach: LimitBreach) -> frozenset[UUID]:
    if breach.organisation_id is not None:
        return group_of(breach.organisation_id)
    members = GroupMember.objects.filter(group=breach.group, until__isnull=True)
    return frozenset(members.values_list("organisation_id", flat=True))


def _excess(breach: LimitBreach, members: Collection[UUID], now: datetime) -> int:
    """Return how many permits are above the limit now; a rule that was dropped since limits nothing."""
    here = now.astimezone(breach.period.scheme.tz)
    rule = policy_at(breach.period.scheme, here.date()).limits.holding
    use = None if rule is None or not members else holding_use(rule, members, breach.period, here.year)
    return 0 if use is None else use.excess


def _consign(breach: LimitBreach, members: Iterable[UUID], excess: int, actor: User | None, now: datetime) -> int:
    """Put what is above the limit up for auction: the newest permits first, from the largest balance; return how many.

    What is held for orders, transfers or a freeze stays, and so does what lies for compliance.
    """
    year = now.astimezone(breach.period.scheme.tz).year
    of_scheme = Period.objects.filter(scheme=breach.period.scheme_id)
    future = breach.period.year > year
    vintages = of_scheme.filter(pk=breach.period_id) if future else of_scheme.filter(year__lte=year)
    periods = {period.permit_id: period for period in vintages.select_related("scheme", "permit")}
    balances = (
        Balance.objects.filter(
            account__owner__in=list(members), account__kind__in=SELLING, account__status="open", asset__in=periods
        )
        .order_by("pk")
        .select_related("account")
    )
    moves = []
    for balance in sorted(balances, key=lambda one: (-periods[one.asset_id].year, -one.available, one.pk)):
        quantity = min(excess, balance.available)
        if quantity > 0:
            excess -= quantity
            moves.append(
                Move(
                    kind="consign",
                    key=derive_key("limit-breach", breach.pk, balance.pk, breach.consigned),
                    sender=balance.account_id,
                    receiver=central.account(periods[balance.asset_id], central.AUCTION).pk,
                    asset=balance.asset_id,
                    quantity=quantity,
                )
            )
    if not moves:
        return 0
    owner = LedgerAccount.objects.select_related("owner").get(pk=moves[0].sender).owner
    assert owner is not None, "Members of a group own these accounts."
    transactions.move(
        moves=moves,
        organisation=owner,
        journal="consign",
        reference=f"limit-breach:{breach.pk}:{breach.consigned}",
        actor=actor,
        now=now,
        note="Above the holding limit",
    )
    return sum(move.quantity for move in moves)


def _move(breach: LimitBreach, status: str, now: datetime) -> None:
    LIMIT_BREACH.require(breach.status, status)
    breach.status = status
    if status != "overdue":
        breach.ended_at = now
    audit.record(
        None, f"registry.limit.{status}", breach, at=now, period=breach.period.code, consigned=breach.consigned
    )


def _cure(work: DueWork, now: datetime) -> Result:
    breach = settle(breach_id=UUID(work.key.partition(":")[2]), actor=None, now=now)
    return {"status": breach.status, "consigned": breach.consigned}


def register_work() -> None:
    """Make known what is done when the days of grace are over. Called once, at the start."""
    due.register(CURE, Handler("Holding limit: days of grace are over", _cure))
