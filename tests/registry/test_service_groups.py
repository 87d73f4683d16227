"""Groups: members share their limits, and a merger above the limit has five working days before it is consigned."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from common.errors import Forbidden, Refused
from registry.engine.policy import HoldingLimit, LimitRule, Policy
from registry.ledger import services as ledger
from registry.models import DueWork, GroupMember, LimitBreach, Period, Scheme, Transaction
from registry.services import due, groups
from registry.services.rules import policy_at
from tests.cast import ACME_PERMITS, BOREALIS_PERMITS, CAP, OPENING, Party, Regulator
from tests.registry.holding import lies, send

LIMIT = 5_000
CURED_BY = datetime(2026, 3, 9, 23, tzinfo=UTC)
"""Monday 2 March and five working days: the end of Monday 9 March in Berlin."""


@pytest.fixture(autouse=True)
def _half_of_the_cap_may_be_held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    rule = LimitRule(holding=HoldingLimit(p1=Decimal("0.5"), base=CAP, p2=Decimal("0.1")))

    def limited(scheme: Scheme, on: date) -> Policy:
        return replace(policy_at(scheme, on), limits=rule)

    monkeypatch.setattr("registry.services.groups.policy_at", limited)
    return iter(())


def merged(regulator: Regulator, *parties: Party, now: datetime = OPENING) -> LimitBreach | None:
    group = groups.create_group(actor=regulator.desk, name="Aurora Holding", now=now)
    for party in parties:
        groups.add_member(actor=regulator.desk, group=group, organisation=party.organisation, reason="Merger.", now=now)
    return LimitBreach.objects.first()


def test_members_hold_together(regulator: Regulator, acme: Party, borealis: Party, period: Period) -> None:
    assert groups.group_holdings(period.permit, acme.organisation) == ACME_PERMITS

    merged(regulator, acme, borealis)

    assert groups.group_holdings(period.permit, acme.organisation) == ACME_PERMITS + BOREALIS_PERMITS
    use = groups.limit_use(borealis.organisation.pk, period, OPENING)
    assert use is not None
    assert (use.limit, use.counted, use.headroom, use.excess) == (LIMIT, 6_000, 0, 1_000)


def test_a_merger_above_the_limit_has_five_working_days(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    breach = merged(regulator, acme, borealis)

    assert breach is not None
    assert (breach.limit_quantity, breach.counted, breach.cure_by, breach.status) == (LIMIT, 6_000, CURED_BY, "open")
    assert DueWork.objects.get(kind=groups.CURE).due_at == CURED_BY


def test_a_breach_that_is_cured_in_time_costs_nothing(
    regulator: Regulator, acme: Party, borealis: Party, cobalt: Party, period: Period
) -> None:
    breach = merged(regulator, acme, borealis)
    assert breach is not None
    for _ in range(2):
        send(acme, cobalt.account, period.permit, 500)

    cured = groups.settle_breach(actor=regulator.desk, breach=breach, now=OPENING)

    assert (cured.status, cured.consigned, cured.ended_at) == ("cured", 0, OPENING)


def test_before_its_day_nothing_is_consigned(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    breach = merged(regulator, acme, borealis)
    assert breach is not None

    same = groups.settle_breach(actor=regulator.desk, breach=breach, now=CURED_BY - timedelta(microseconds=1))

    assert same.status == "open"
    assert lies(acme.account, period.permit) == (ACME_PERMITS, 0)


def test_after_its_day_the_excess_is_consigned_by_the_schedule(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    merged(regulator, acme, borealis)

    due.run_due(now=CURED_BY)
    due.run_due(now=CURED_BY)

    breach = LimitBreach.objects.get()
    assert (breach.status, breach.consigned) == ("consigned", 1_000)
    assert DueWork.objects.get(kind=groups.CURE).status == "done"
    assert lies(acme.account, period.permit) == (ACME_PERMITS - 1_000, 0)
    moved = Transaction.objects.get(kind="consign")
    assert (moved.quantity, moved.receiver.reference) == (1_000, f"auction:{period.code}")


def test_what_is_held_cannot_be_consigned_and_leaves_the_breach_overdue(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    breach = merged(regulator, acme, borealis)
    assert breach is not None
    with transaction.atomic():
        holds = [
            ledger.hold(
                account=party.account.pk,
                asset=period.permit_id,
                quantity=quantity,
                purpose="orders",
                reference="1",
                now=OPENING,
            )
            for party, quantity in ((acme, ACME_PERMITS - 300), (borealis, BOREALIS_PERMITS))
        ]

    overdue = groups.settle_breach(actor=regulator.desk, breach=breach, now=CURED_BY)
    assert (overdue.status, overdue.consigned) == ("overdue", 300)
    with transaction.atomic():
        ledger.release(hold_ids=holds, now=OPENING)
    ended = groups.settle_breach(actor=regulator.desk, breach=breach, now=CURED_BY)

    assert (ended.status, ended.consigned) == ("consigned", 1_000)


def test_the_turn_of_a_year_or_of_the_rules_is_looked_at_each_night(
    regulator: Regulator, acme: Party, borealis: Party, period: Period, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert groups.find_rollover_breaches(now=OPENING) == 0
    stricter = LimitRule(holding=HoldingLimit(p1=Decimal("0.3"), base=CAP, p2=Decimal("0.1")))
    monkeypatch.setattr(
        "registry.services.groups.policy_at", lambda scheme, on: replace(policy_at(scheme, on), limits=stricter)
    )

    found = [groups.find_rollover_breaches(now=OPENING) for _ in range(2)]

    breach = LimitBreach.objects.get()
    assert found == [1, 0]
    assert (breach.organisation, breach.group, breach.limit_quantity, breach.counted) == (
        acme.organisation,
        None,
        3_000,
        ACME_PERMITS,
    )


def test_a_limit_that_is_kept_is_no_breach(regulator: Regulator, acme: Party, cobalt: Party, period: Period) -> None:
    assert merged(regulator, acme, cobalt) is None


def test_membership_has_a_beginning_and_an_end(regulator: Regulator, acme: Party, borealis: Party) -> None:
    merged(regulator, acme, borealis)
    member = GroupMember.objects.get(organisation=acme.organisation)

    ended = groups.end_membership(actor=regulator.desk, member=member, reason="Sold.", now=OPENING)

    assert (ended.since, ended.until) == (OPENING, OPENING)
    other = groups.create_group(actor=regulator.desk, name="Other", now=OPENING)
    groups.add_member(actor=regulator.desk, group=other, organisation=acme.organisation, reason="Bought.", now=OPENING)
    assert GroupMember.objects.filter(organisation=acme.organisation).count() == 2


def test_odd_groups_are_refused(regulator: Regulator, acme: Party, auditor: Party) -> None:
    merged(regulator, acme)
    group = groups.create_group(actor=regulator.desk, name="Other", now=OPENING)
    refused = []
    for attempt in (
        {"organisation": acme.organisation},
        {"organisation": auditor.organisation},
        {"organisation": acme.organisation, "reason": ""},
    ):
        arguments = {"group": group, "reason": "Merger.", "now": OPENING}
        with pytest.raises(Refused) as found:
            groups.add_member(actor=regulator.desk, **(arguments | attempt))  # type: ignore[arg-type]
        refused.append(found.value.code)
    with pytest.raises(Refused) as twice:
        groups.create_group(actor=regulator.desk, name="aurora  holding", now=OPENING)

    assert refused == ["member_of_a_group", "holder_cannot_hold", "reason_missing"]
    assert twice.value.code == "group_exists"


def test_only_the_desk_keeps_groups(regulator: Regulator, acme: Party, auditor: Party) -> None:
    for person in (acme.approver, auditor.auditor, regulator.monitor):
        with pytest.raises(Forbidden):
            groups.create_group(actor=person, name="Ours", now=OPENING)
