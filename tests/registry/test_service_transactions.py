"""Transactions: the table of types walked row by row, and every check met by its code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.services import organisations
from common.errors import Refused, SeveralRefusals
from registry.engine.policy import HoldingLimit, LimitRule, Policy, TransactionRule
from registry.ledger import services as ledger
from registry.ledger.models import Balance, LedgerAccount, Reconciliation, account_number
from registry.ledger.models.reconciliation import Difference
from registry.ledger.services import serials
from registry.models import (
    AccountTerms,
    DebtEntry,
    Freeze,
    Group,
    GroupMember,
    Operator,
    Period,
    SerialFreeze,
    Suspension,
    Transaction,
)
from registry.services import central, rules, transactions
from registry.services.transactions import CHECKS, TYPES, Request, moving
from registry.services.transactions.checks import failures
from registry.services.transactions.facts import Asked, Batch
from registry.services.transactions.types import HOLDER_KINDS, Finds, Second, Starter
from tests import cast
from tests.cast import ACME_PERMITS, BOREALIS_PERMITS, OPENING, Party, Regulator

Rules = Callable[..., None]
KINDS = tuple(LedgerAccount.Kind.values)
CENTRAL_KINDS = {"reserve": "total"}


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> Rules:
    """Let a scheme have other rules than those it was founded on."""

    def set_rules(transactions: TransactionRule | None = None, limits: LimitRule | None = None) -> None:
        def changed(scheme: Any, on: Any) -> Policy:
            policy = rules.policy_at(scheme, on)
            return replace(
                policy,
                transactions=transactions or policy.transactions,
                limits=limits or policy.limits,
            )

        for place in ("facts", "trust"):
            monkeypatch.setattr(f"registry.services.transactions.{place}.policy_at", changed)

    return set_rules


def account_of(party: Party, kind: str) -> LedgerAccount:
    """Open another account of a party."""
    with transaction.atomic():
        return ledger.open_account(
            kind=kind, owner=party.organisation, label=f"{party.organisation} {kind}", now=OPENING
        )


def grade(account: LedgerAccount, grade: str) -> None:
    """Give an account a grade."""
    AccountTerms.objects.update_or_create(account=account, defaults={"grade": grade})


def request(party: Party, period: Period, kind: str = "transfer", quantity: object = 10, **more: Any) -> Request:
    """Ask for a movement out of a party's account."""
    usual: dict[str, Any] = {"kind": kind, "sender": party.account, "asset": period.permit, "quantity": quantity}
    return Request(**(usual | more))


def propose(party: Party, asked: Request, **more: Any) -> Transaction:
    """Ask for it as the party's initiator."""
    usual: dict[str, Any] = {"actor": party.initiator, "organisation": party.organisation, "now": OPENING}
    return transactions.propose(request=asked, key=cast.key(), **(usual | more))


def codes(error: pytest.ExceptionInfo[Refused]) -> set[str]:
    """Return every code that a refusal lists."""
    refused = error.value
    return {one.code for one in refused.refusals} if isinstance(refused, SeveralRefusals) else {refused.code}


def permits(account: LedgerAccount) -> tuple[int, int]:
    """Return an account's permits and how many of them are held."""
    balance = Balance.objects.filter(account=account, asset__kind="permit").first()
    return (0, 0) if balance is None else (balance.balance, balance.held)


# The table ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Places:
    """One account of each kind for each side."""

    senders: dict[str, LedgerAccount]
    receivers: dict[str, LedgerAccount]


@pytest.fixture
def places(acme: Party, borealis: Party, period: Period) -> Places:
    """Accounts of every kind: those of participants are Acme's and Borealis', the others are central."""
    found: dict[str, tuple[LedgerAccount, LedgerAccount]] = {}
    with transaction.atomic():
        for kind in KINDS:
            if kind == "holding":
                found[kind] = (acme.account, borealis.account)
            elif kind in HOLDER_KINDS:
                found[kind] = (account_of(acme, kind), account_of(borealis, kind))
            else:
                purpose = CENTRAL_KINDS.get(kind, kind)
                reference = f"{purpose}:{period.code}"
                account = LedgerAccount.objects.filter(reference=reference).first() or ledger.open_account(
                    kind=kind, reference=reference, label=kind, now=OPENING
                )
                found[kind] = (account, account)
    return Places({k: one for k, (one, _) in found.items()}, {k: other for k, (_, other) in found.items()})


@pytest.mark.django_db
def test_each_type_takes_the_kinds_of_its_row_and_no_other(places: Places, period: Period) -> None:
    walked = list(product(TYPES, KINDS, KINDS))
    batch = Batch(
        [
            Asked(
                kind=kind,
                sender=places.senders[sender].pk,
                receiver=places.receivers[receiver].pk,
                asset=period.permit.pk,
                quantity=1,
                by_order=True,
            )
            for kind, sender, receiver in walked
        ],
        OPENING,
    )

    refused = {
        asked: {refusal.code for refusal in failures(facts)} & {"sender_kind_wrong", "receiver_kind_wrong"}
        for asked, facts in zip(walked, batch.facts(), strict=True)
    }

    expected = {
        (kind, sender, receiver): {
            code
            for code, allowed in (
                ("sender_kind_wrong", sender in TYPES[kind].senders),
                ("receiver_kind_wrong", receiver in TYPES[kind].receivers),
            )
            if not allowed
        }
        for kind, sender, receiver in walked
    }
    assert len(walked) == len(TYPES) * len(KINDS) ** 2
    assert refused == expected


POOLS = "set_aside new_entrants stability containment escrow"
WHO_MAY = {
    # name: kinds that may send, kinds that may receive, who begins it [UK-REG, its table of transactions; the one-way
    # compliance account is California's]
    "issue": ("issuance", "reserve", "system"),
    "allocate": (f"reserve {POOLS}", "holding compliance consignment", "system"),
    "reverse_allocation": ("holding compliance consignment", f"reserve {POOLS}", "desk"),
    "return_excess": ("holding compliance consignment delivery", "reserve", "initiator"),
    "transfer": ("holding trading delivery", "holding trading compliance", "initiator"),
    "surrender": ("holding compliance", "surrender", "trader system"),
    "reverse_surrender": ("surrender", "holding compliance", "desk"),
    "cancel": ("holding trading", "cancellation", "initiator"),
    "reverse_cancellation": ("cancellation", "holding trading", "desk"),
    "consign": ("holding consignment", "auction", "initiator system"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(WHO_MAY))
def test_the_table_says_who_may_send_what_to_whom(kind: str) -> None:
    senders, receivers, starters = WHO_MAY[kind]

    row = TYPES[kind]

    assert row.senders == set(senders.split())
    assert row.receivers == set(receivers.split())
    assert {starter.value for starter in row.starters} == set(starters.split())


def test_the_table_is_whole() -> None:
    assert set(TYPES) == set(WHO_MAY) | {"move_to_reserve", "release", "expire", "closure_transfer", "correct"}
    for row in TYPES.values():
        assert set(row.checks) <= set(CHECKS), row.name
        assert len(set(row.checks)) == len(row.checks), row.name
        assert row.senders <= set(KINDS) and row.receivers <= set(KINDS)
        assert (row.finds is Finds.CENTRAL) == bool(row.purpose)
        assert (row.finds is Finds.ORIGINAL) == bool(row.reverses)
        assert not row.reversed_by or row.name in TYPES[row.reversed_by].reverses
        assert all(row.name == TYPES[one].reversed_by for one in row.reverses)
        if Starter.DESK in row.starters:
            assert row.second is Second.ALWAYS, row.name
            assert row.needs_reason, row.name
    assert set(CHECKS) == {name for row in TYPES.values() for name in row.checks}


def test_what_lies_in_a_compliance_account_leaves_it_by_surrender_or_by_order() -> None:
    leaving = {row.name for row in TYPES.values() if "compliance" in row.senders}

    assert {name for name in leaving if TYPES[name].by_holder} == {"surrender", "return_excess"}


def test_the_guide_shows_the_table_as_it_is() -> None:
    assert transactions.as_markdown() in Path("docs/guides/transactions.md").read_text()


# Every check by its code ----------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """Who is there when a check is met, and the rules, which a case may change."""

    acme: Party
    borealis: Party
    regulator: Regulator
    period: Period
    original: Transaction
    rule: Rules
    overdue: list[Operator]
    """Operators of which a report is overdue."""

    def asked(self, kind: str = "transfer", **more: Any) -> Asked:
        """Return a movement that every check of its type lets pass, but for what is changed."""
        usual: dict[str, Any] = {
            "kind": kind,
            "sender": self.acme.account.pk,
            "asset": self.period.permit.pk,
            "quantity": 10,
        }
        if kind == "transfer":
            usual["to_number"] = self.borealis.account.number
        if kind == "cancel":
            usual["beneficiary"] = "Nobody in particular"
        if kind == "correct":
            usual |= {
                "sender": self.borealis.account.pk,
                "receiver": self.acme.account.pk,
                "original": self.original.pk,
                "by_order": True,
            }
        return Asked(**(usual | more))


def _frozen(account: LedgerAccount) -> None:
    with transaction.atomic():
        ledger.freeze_account(account_id=account.pk)


def _closed(account: LedgerAccount) -> LedgerAccount:
    with transaction.atomic():
        return ledger.close_account(account_id=account.pk)


def _terms(account: LedgerAccount, **terms: Any) -> None:
    AccountTerms.objects.update_or_create(account=account, defaults=terms)


def _suspended(party: Party) -> None:
    party.organisation.status = "suspended"
    party.organisation.save()


def _debt(scene: Scene, kind: str, quantity: int) -> None:
    assert scene.acme.operator is not None
    DebtEntry.objects.create(
        operator=scene.acme.operator, period=scene.period, kind=kind, quantity=quantity, reference=kind, at=OPENING
    )


def _difference(scene: Scene) -> None:
    tally = Reconciliation.objects.create(started_at=OPENING, up_to=9, balances=1, blocks=1, differences=1)
    Difference.objects.create(
        reconciliation=tally, account=scene.acme.account, asset=scene.period.permit, what="balance", booked=1, counted=2
    )


def _sender_unknown(scene: Scene) -> Asked:
    return scene.asked("cancel", sender=10**9)


def _sender_of_wrong_kind(scene: Scene) -> Asked:
    compliance = account_of(scene.acme, "compliance")
    with transaction.atomic():
        ledger.post(
            transfers=[
                ledger.Posting(cast.key(), scene.acme.account.pk, compliance.pk, scene.period.permit.pk, 20),
            ],
            kind="transfer", reference="into compliance", actor=None, now=OPENING,
        )  # fmt: skip
    return scene.asked(sender=compliance.pk)


def _sender_closed(scene: Scene) -> Asked:
    return scene.asked("return_excess", sender=_closed(account_of(scene.acme, "consignment")).pk, quantity=0)


def _sender_frozen(scene: Scene) -> Asked:
    _frozen(scene.acme.account)
    return scene.asked()


def _sender_restricted(scene: Scene) -> Asked:
    grade(scene.acme.account, "restricted")
    return scene.asked()


def _sender_suspended(scene: Scene) -> Asked:
    _suspended(scene.acme)
    return scene.asked()


def _number_wrong(scene: Scene) -> Asked:
    return scene.asked(to_number="HR-100-0000001-99")


def _account_unknown(scene: Scene) -> Asked:
    return scene.asked(to_number=account_number("holding", 9_999_999))


def _central_account_typed(scene: Scene) -> Asked:
    return scene.asked(to_number=central.account(scene.period, "surrender").number)


def _receiver_of_wrong_kind(scene: Scene) -> Asked:
    return scene.asked("consign", receiver=central.account(scene.period, "surrender").pk)


def _own_account(scene: Scene) -> Asked:
    return scene.asked(to_number=scene.acme.account.number)


def _receiver_frozen(scene: Scene) -> Asked:
    _frozen(scene.borealis.account)
    return scene.asked()


def _receiver_restricted(scene: Scene) -> Asked:
    grade(scene.borealis.account, "suspended")
    return scene.asked()


def _receiver_suspended(scene: Scene) -> Asked:
    _suspended(scene.borealis)
    return scene.asked()


def _compliance_of_another(scene: Scene) -> Asked:
    return scene.asked(to_number=account_of(scene.borealis, "compliance").number)


def _off_the_list(scene: Scene) -> Asked:
    _terms(scene.acme.account, outside_list=False)
    return scene.asked()


def _money(scene: Scene) -> Asked:
    return scene.asked(asset=scene.period.scheme.currency_id)


def _not_whole(scene: Scene) -> Asked:
    return scene.asked(quantity="1,000")


def _later_vintage(scene: Scene) -> Asked:
    earlier = cast.period_of(scene.regulator, scene.period.scheme, cast.YEAR - 1)
    return scene.asked("surrender", period=earlier)


def _too_much(scene: Scene) -> Asked:
    return scene.asked(quantity=ACME_PERMITS + 1)


def _stolen_numbers(scene: Scene) -> Asked:
    blocks = serials_of(scene.acme.account, scene.period)
    SerialFreeze.objects.create(
        asset=scene.period.permit, first=min(blocks), last=max(blocks), reason="Reported stolen.",
        frozen_by=scene.regulator.senior, frozen_at=OPENING,
    )  # fmt: skip
    return scene.asked()


def serials_of(account: LedgerAccount, period: Period) -> list[int]:
    """Return the first and last numbers of an account's permits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(s.first), max(s.last) FROM ledger_serial_block s JOIN ledger_balance b ON b.id = s.balance_id"
            " WHERE b.account_id = %s AND b.asset_id = %s AND s.until IS NULL",
            [account.pk, period.permit.pk],
        )
        return list(cursor.fetchone())


def _above_the_cap(scene: Scene) -> Asked:
    return scene.asked("issue", sender=central.account(scene.period, "issuance").pk, quantity=1, by_order=True)


def _more_than_excess(scene: Scene) -> Asked:
    _debt(scene, "true_up", 9)
    return scene.asked("return_excess")


def _above_own_limit(scene: Scene) -> Asked:
    _terms(scene.acme.account, transfer_limit=9)
    scene.rule(limits=LimitRule(transfer=10))
    return scene.asked()


def _above_the_schemes_limit(scene: Scene) -> Asked:
    _terms(scene.acme.account, transfer_limit=10)
    scene.rule(limits=LimitRule(transfer=9))
    return scene.asked()


def _above_the_holding_limit(scene: Scene) -> Asked:
    # a fifth of the cap of 10,000 is 2,000, which Borealis holds with 10 more from the original transfer
    scene.rule(limits=LimitRule(holding=HoldingLimit(p1=Decimal("0.2"), base=cast.CAP, p2=Decimal(0))))
    return scene.asked(quantity=1)


def _in_debt(scene: Scene) -> Asked:
    _debt(scene, "sanction", ACME_PERMITS - 19)  # 10 went away already, so that 9 are free
    return scene.asked()


def _report_overdue(scene: Scene) -> Asked:
    assert scene.acme.operator is not None
    scene.overdue.append(scene.acme.operator)
    return scene.asked()


def _for_nobody(scene: Scene) -> Asked:
    return scene.asked("cancel", beneficiary="  ")


def _all_frozen(scene: Scene) -> Asked:
    Freeze.objects.create(scheme=None, reason="Theft.", frozen_by=scene.regulator.senior, frozen_at=OPENING)
    return scene.asked()


def _scheme_frozen(scene: Scene) -> Asked:
    Freeze.objects.create(
        scheme=scene.period.scheme, reason="Theft.", frozen_by=scene.regulator.senior, frozen_at=OPENING
    )
    return scene.asked("cancel")


def _stopped_by_a_court(scene: Scene) -> Asked:
    Suspension.objects.create(
        scheme=scene.period.scheme, stopped_at=OPENING, trading=True, reason="Order 7.",
        stopped_by=scene.regulator.senior,
    )  # fmt: skip
    return scene.asked("surrender")


def _books_differ(scene: Scene) -> Asked:
    _difference(scene)
    return scene.asked()


def _nothing_to_undo(scene: Scene) -> Asked:
    return scene.asked("correct", original=cast.key())


def _undone_by_another_type(scene: Scene) -> Asked:
    return scene.asked("reverse_allocation", sender=scene.borealis.account.pk, receiver=central.account(
        scene.period, "total").pk, original=scene.original.pk, by_order=True)  # fmt: skip


def _undone_already(scene: Scene) -> Asked:
    Transaction.objects.filter(pk=scene.original.pk).update(status="reversed")
    return scene.asked("correct")


def _into_another_scheme(scene: Scene) -> Asked:
    other = cast.period_of(scene.regulator, cast.co2e_scheme(scene.regulator))
    return scene.asked(
        "release", sender=central.account(scene.period, "auction").pk, receiver=central.account(other, "auction").pk,
        quantity=1, by_order=True,
    )  # fmt: skip


def _undone_in_part(scene: Scene) -> Asked:
    return scene.asked("correct", quantity=9)


CASES: tuple[tuple[Callable[[Scene], Asked], set[str]], ...] = (
    (_sender_unknown, {"sender_unknown"}),
    (_sender_of_wrong_kind, {"sender_kind_wrong"}),
    (_sender_closed, {"sender_closed", "quantity_out_of_range"}),
    (_sender_frozen, {"sender_frozen"}),
    (_sender_restricted, {"sender_restricted"}),
    (_sender_suspended, {"sender_suspended"}),
    (_number_wrong, {"account_number_wrong"}),
    (_account_unknown, {"account_unknown"}),
    (_central_account_typed, {"account_unknown"}),
    (_receiver_of_wrong_kind, {"receiver_kind_wrong"}),
    (_own_account, {"same_account"}),
    (_receiver_frozen, {"account_frozen"}),
    (_receiver_restricted, {"receiver_restricted"}),
    (_receiver_suspended, {"receiver_suspended"}),
    (_compliance_of_another, {"compliance_account_of_another"}),
    (_off_the_list, {"receiver_not_trusted"}),
    (_money, {"cash_not_transferable"}),
    (_not_whole, {"quantity_not_whole"}),
    (_later_vintage, {"vintage_not_usable"}),
    (_too_much, {"insufficient_available"}),
    (_stolen_numbers, {"serials_frozen"}),
    (_above_the_cap, {"cap_exceeded"}),
    (_more_than_excess, {"more_than_excess"}),
    (_above_own_limit, {"transfer_limit_exceeded"}),
    (_above_the_schemes_limit, {"transfer_limit_exceeded"}),
    (_above_the_holding_limit, {"holding_limit_exceeded"}),
    (_in_debt, {"debt_outstanding"}),
    (_report_overdue, {"report_missing"}),
    (_for_nobody, {"beneficiary_missing"}),
    (_all_frozen, {"movements_frozen"}),
    (_scheme_frozen, {"movements_frozen"}),
    (_stopped_by_a_court, {"scheme_suspended"}),
    (_books_differ, {"reconciliation_difference"}),
    (_nothing_to_undo, {"original_unknown"}),
    (_undone_by_another_type, {"original_of_another_type", "reversal_not_full"}),
    (_undone_already, {"reversed_already"}),
    (_undone_in_part, {"reversal_not_full"}),
    (_into_another_scheme, {"receiver_of_another_scheme"}),
)


@pytest.fixture
def scene(
    acme: Party,
    borealis: Party,
    regulator: Regulator,
    period: Period,
    rule: Rules,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    """A transfer of 10 permits that was made, and serial numbers known."""
    original = propose(acme, request(acme, period, to_number=borealis.account.number))
    serials.derive_serial_blocks()
    overdue: list[Operator] = []
    monkeypatch.setattr(
        "registry.services.transactions.checks.blocked_by_missing_report", lambda operator, now: operator in overdue
    )
    return Scene(acme, borealis, regulator, period, original, rule, overdue)


@pytest.fixture
def undone() -> Iterator[Callable[[], None]]:
    """Undo what a case arranged, so that one database setting serves them all."""
    point: list[str] = []

    def start() -> None:
        if point:
            transaction.savepoint_rollback(point.pop())
        point.append(transaction.savepoint())

    yield start
    if point:
        transaction.savepoint_rollback(point.pop())


def test_each_check_says_its_own_code_and_nothing_else_does(scene: Scene, undone: Callable[[], None]) -> None:
    found = {}
    for arrange, _ in CASES:
        undone()
        scene.rule()
        scene.overdue.clear()
        scene.acme.organisation.refresh_from_db()
        scene.borealis.organisation.refresh_from_db()
        (facts,) = Batch([arrange(scene)], OPENING).facts()
        found[arrange.__name__] = {refusal.code for refusal in failures(facts)}

    assert found == {arrange.__name__: expected for arrange, expected in CASES}


def test_each_check_is_met_by_a_case(scene: Scene, undone: Callable[[], None]) -> None:
    met = set()
    for arrange, _ in CASES:
        undone()
        scene.rule()
        scene.overdue.clear()
        scene.acme.organisation.refresh_from_db()
        scene.borealis.organisation.refresh_from_db()
        (facts,) = Batch([arrange(scene)], OPENING).facts()
        met |= {name for name in facts.type.checks if CHECKS[name](facts) is not None}

    assert set(CHECKS) - met == set()


def test_what_passes_every_check_is_refused_by_none(scene: Scene) -> None:
    asked = [
        scene.asked(),
        scene.asked("cancel"),
        scene.asked("surrender"),
        scene.asked("consign"),
        scene.asked("correct"),
    ]

    assert [failures(facts) for facts in Batch(asked, OPENING).facts()] == [[], [], [], [], []]


def test_a_freeze_leaves_surrender_alone(scene: Scene) -> None:
    _all_frozen(scene)

    answers = {
        kind: {refusal.code for refusal in failures(Batch([scene.asked(kind)], OPENING).facts()[0])}
        for kind in ("surrender", "transfer", "cancel", "consign")
    }

    frozen = {"movements_frozen"}
    assert answers == {"surrender": set(), "transfer": frozen, "cancel": frozen, "consign": frozen}


GRADES = {
    # grade: what its holder may still do, whether it may receive, and what the regulator may do
    "open": ({"transfer", "surrender", "cancel"}, True, True),
    "restricted": ({"surrender"}, True, True),
    "receive_only": (set(), True, True),
    "suspended": (set(), False, True),
    "transfer_pending": (set(), False, True),
    "closure_pending": (set(), False, True),
    "frozen": (set(), False, False),
}


def test_a_grade_allows_what_its_row_says(scene: Scene, undone: Callable[[], None]) -> None:
    found = {}
    for name in GRADES:
        undone()
        grade(scene.acme.account, name)
        may = {
            k for k in ("transfer", "surrender", "cancel") if not failures(Batch([scene.asked(k)], OPENING).facts()[0])
        }
        incoming = scene.asked(sender=scene.borealis.account.pk, to_number=scene.acme.account.number)
        expiry = scene.asked("expire", by_order=True)
        found[name] = (
            may,
            not failures(Batch([incoming], OPENING).facts()[0]),
            not failures(Batch([expiry], OPENING).facts()[0]),
        )

    assert found == GRADES


def test_members_of_a_group_share_the_holding_limit_and_move_freely_inside(
    scene: Scene, cobalt: Party, undone: Callable[[], None]
) -> None:
    scene.rule(limits=LimitRule(holding=HoldingLimit(p1=Decimal("0.3"), base=cast.CAP, p2=Decimal(0))))
    to_cobalt = replace(scene.asked(quantity=991), to_number=cobalt.account.number)
    alone = failures(Batch([to_cobalt], OPENING).facts()[0])

    group = Group.objects.create(name="North", created_at=OPENING)
    for member in (scene.borealis, cobalt):
        GroupMember.objects.create(group=group, organisation=member.organisation, since=OPENING)
    together = failures(Batch([to_cobalt], OPENING).facts()[0])
    inside = replace(to_cobalt, sender=scene.borealis.account.pk)
    within = failures(Batch([inside], OPENING).facts()[0])

    assert [refusal.code for refusal in together] == ["holding_limit_exceeded"]  # 2,010 and 991 are 3,001
    assert "990" in together[0].sentence
    assert alone == within == []


def test_everything_that_is_wrong_is_said_at_once(acme: Party, borealis: Party, period: Period) -> None:
    grade(acme.account, "restricted")
    _suspended(borealis)

    with pytest.raises(SeveralRefusals) as refused:
        propose(acme, request(acme, period, quantity=ACME_PERMITS + 1, to_number=borealis.account.number))

    assert codes(refused) == {"sender_restricted", "receiver_suspended", "insufficient_available"}
    assert not Transaction.objects.filter(kind="transfer").exists()


# Movements inside other acts ------------------------------------------------------------------------------------------


def test_an_allocation_leaves_one_transaction_for_each_line(acme: Party, borealis: Party, period: Period) -> None:
    allocated = Transaction.objects.filter(kind="allocate")

    assert sorted(allocated.values_list("organisation__name", "quantity", "status")) == [
        ("Acme", ACME_PERMITS, "completed"),
        ("Borealis", BOREALIS_PERMITS, "completed"),
    ]
    assert allocated.values("journal").distinct().count() == 1
    assert Transaction.objects.get(kind="issue").quantity == cast.CAP


def test_a_thousand_movements_ask_no_more_than_two(regulator: Regulator, capped_period: Period) -> None:
    total = central.account(capped_period, "total")

    def allocate(count: int) -> int:
        owner = organisations.open_organisation(
            actor=regulator.senior, name=f"Holder of {count}", kind="firm", now=OPENING
        )
        with transaction.atomic():
            accounts = [
                ledger.open_account(kind="holding", owner=owner, label=str(number), now=OPENING)
                for number in range(count)
            ]
            moves = [
                transactions.Move("allocate", cast.key(), total.pk, account.pk, capped_period.permit_id, 1)
                for account in accounts
            ]
            with CaptureQueriesContext(connection) as queries:
                transactions.move(
                    moves=moves, organisation=regulator.organisation, journal="grant", reference=f"grant:{count}",
                    actor=None, now=OPENING,
                )  # fmt: skip
        return len(queries)

    few, many = allocate(2), allocate(60)

    assert few == many
    assert Transaction.objects.filter(kind="allocate").count() == 62


def test_movements_of_one_journal_may_use_what_those_before_them_brought(
    regulator: Regulator, capped_period: Period, acme: Party
) -> None:
    total, aside = central.account(capped_period, "total"), central.account(capped_period, "set_aside")
    permit = capped_period.permit_id

    def moves(second: int) -> list[moving.Move]:
        return [
            transactions.Move("move_to_reserve", cast.key(), total.pk, aside.pk, permit, 100),
            transactions.Move("allocate", cast.key(), aside.pk, acme.account.pk, permit, second),
        ]

    with pytest.raises(Refused) as refused, transaction.atomic():
        transactions.move(
            moves=moves(101),
            organisation=regulator.organisation,
            journal="grant",
            reference="a",
            actor=None,
            now=OPENING,
        )
    with transaction.atomic():
        transactions.move(
            moves=moves(100),
            organisation=regulator.organisation,
            journal="grant",
            reference="b",
            actor=None,
            now=OPENING,
        )

    assert refused.value.code == "insufficient_available"
    assert permits(acme.account) == (100, 0)
