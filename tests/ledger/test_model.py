"""Random sequences of everything the ledger does, beside a plain-Python twin that does the same with dictionaries."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import hypothesis.strategies as st
import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from common.errors import Refused
from common.invariants import check_all
from registry.ledger import selectors
from registry.ledger import services as ledger
from registry.ledger.invariants import INVARIANTS
from registry.ledger.models import Balance, Transfer
from registry.ledger.services.serials import derive_serial_blocks
from tests.ledger.cast import NOON, assemble

LIMIT = 3_000
NAMES = ["mint", "acme", "birch", "lab", "surrendered"]
Leg = tuple[str, str, int]


Sent = tuple[list[Leg], list[UUID], str, int]
"""A posted journal: its legs, their keys, its reference and its id."""


class No(Exception):
    """The twin's refusal."""


@dataclass
class Twin:
    """The same rules in the obvious way: copy everything, try, keep the copy if nothing is wrong."""

    balances: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    holds: dict[int, tuple[str, int]] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)

    def held(self, account: str) -> int:
        return sum(quantity for owner, quantity in self.holds.values() if owner == account)

    def post(self, legs: list[Leg], *, is_reversal: bool = False) -> None:
        after = dict(self.balances)
        touched = set()
        for debit, credit, amount in legs:
            if {debit, credit} & self.frozen:
                raise No("account_frozen")
            if debit == "surrendered" and not is_reversal:
                raise No("account_final")
            after[debit] = after.get(debit, 0) - amount
            after[credit] = after.get(credit, 0) + amount
            touched |= {debit, credit}
            if debit != "mint" and after[debit] < 0:
                raise No("insufficient_available")
        if any(after[account] < self.held(account) for account in touched - {"mint"}):
            raise No("insufficient_available")
        if after.get("mint", 0) < -LIMIT:
            raise No("cap_exceeded")
        self.balances.update(after)

    def set_holds(self, changes: dict[int, int]) -> None:
        wanted = {**self.holds, **{hold: (self.holds[hold][0], quantity) for hold, quantity in changes.items()}}
        for account in {self.holds[hold][0] for hold in changes}:
            raises = [h for h in changes if self.holds[h][0] == account and changes[h] > self.holds[h][1]]
            if raises and account in self.frozen:
                raise No("account_frozen")
            total = sum(quantity for owner, quantity in wanted.values() if owner == account)
            if total > self.held(account) and total > self.balances[account]:
                raise No("insufficient_available")
        self.holds = wanted


class LedgerMachine(RuleBasedStateMachine):
    """Does the same to the ledger and to the twin, and compares what they answer and what they hold."""

    journals = Bundle("journals")
    reversible = Bundle("reversible")
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction._from_testcase = True  # type: ignore[attr-defined]  # as TestCase does: services are durable
        self.transaction.__enter__()
        self.cast = assemble()
        self.accounts = {name: getattr(self.cast, name) for name in NAMES}
        self.twin = Twin()
        self.minutes = 0
        self.result: Any = None
        self.past: list[tuple[int, dict[str, int]]] = []
        ledger.set_issue_limit(account_id=self.cast.mint.pk, asset_id=self.cast.permit.pk, limit=LIMIT)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def now(self) -> timedelta:
        return timedelta(minutes=self.minutes)

    def postings(self, legs: list[Leg], keys: list[UUID]) -> list[ledger.Posting]:
        return [
            self.cast.posting(self.accounts[debit], self.accounts[credit], amount, key=key)
            for key, (debit, credit, amount) in zip(keys, legs, strict=True)
        ]

    def both(self, ours: Callable[[], Any], twins: Callable[[], None]) -> bool:
        """Do it in both; the answers must agree. Return whether it was done."""
        try:
            twins()
            expected = "done"
        except No as no:
            expected = str(no)
        try:
            self.result = ours()
            answer = "done"
        except Refused as refusal:
            answer = refusal.code
        assert (answer == "done") == (expected == "done"), (answer, expected)
        assert answer == expected or {answer, expected} <= {
            "account_frozen",
            "account_final",
            "insufficient_available",
            "cap_exceeded",
        }, "with several things wrong either may be named first"
        if answer == "done":
            self.past.append((self.minutes, dict(self.twin.balances)))
        return answer == "done"

    def legs_of(self, draw: list[tuple[int, int, int]]) -> list[Leg]:
        return [(NAMES[d], NAMES[c if c != d else (c + 1) % 5], amount) for d, c, amount in draw]

    @rule(minutes=st.integers(0, 3))
    def time_passes(self, minutes: int) -> None:
        self.minutes += minutes

    @rule(target=journals, to=st.sampled_from(NAMES[1:4]), amount=st.integers(1, 1_500))
    def issue(self, to: str, amount: int) -> Sent | None:
        return self._post([("mint", to, amount)])

    @rule(
        target=journals,
        draw=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 400)), min_size=1, max_size=5),
    )
    def transfer(self, draw: list[tuple[int, int, int]]) -> Sent | None:
        return self._post(self.legs_of(draw))

    def _post(self, legs: list[Leg]) -> Sent | None:
        keys, reference = [uuid4() for _ in legs], str(uuid4())
        if self.both(lambda: self._send(legs, keys, reference), lambda: self.twin.post(legs)):
            return legs, keys, reference, self.result.journal_id
        return None

    def _send(self, legs: list[Leg], keys: list[UUID], reference: str) -> ledger.Posted:
        return ledger.post(
            transfers=self.postings(legs, keys),
            kind="transfer",
            reference=reference,
            actor=None,
            now=NOON + self.now(),
        )

    @rule(journal=journals)
    def replay(self, journal: Sent | None) -> None:
        if journal is not None:
            legs, keys, reference, journal_id = journal
            again = self._send(legs, keys, reference)
            assert (again.journal_id, again.repeated) == (journal_id, True)

    @rule(journal=journals)
    def reuse_the_key_for_something_else(self, journal: Sent | None) -> None:
        if journal is not None:
            legs, keys, reference, _ = journal
            with pytest.raises(Refused) as refusal:
                self._send([(d, c, amount + 1) for d, c, amount in legs], keys, reference)
            assert refusal.value.code == "key_reused"

    @rule(journal=consumes(journals))
    def reverse(self, journal: Sent | None) -> None:
        if journal is not None:
            legs, _, reference, journal_id = journal
            opposite = [(credit, debit, amount) for debit, credit, amount in reversed(legs)]
            self.both(
                lambda: ledger.reverse(
                    journal_id=journal_id,
                    kind="reversal",
                    reference=f"reversal of {reference}",
                    actor=None,
                    now=NOON + self.now(),
                ),
                lambda: self.twin.post(opposite, is_reversal=True),
            )

    @rule(target=holds, account=st.sampled_from(NAMES[1:4]), quantity=st.integers(0, 800))
    def hold(self, account: str, quantity: int) -> int | None:
        def ours() -> int:
            return ledger.hold(
                account=self.accounts[account].pk,
                asset=self.cast.permit.pk,
                quantity=quantity,
                purpose="orders",
                reference=str(uuid4()),
                now=NOON,
            )

        def twins() -> None:
            if account in self.twin.frozen:
                raise No("account_frozen")
            if self.twin.held(account) + quantity > self.twin.balances[account]:
                raise No("insufficient_available")

        if self.both(ours, twins):
            opened: int = self.result
            self.twin.holds[opened] = (account, quantity)
            return opened
        return None

    @rule(named=st.lists(st.tuples(holds, st.integers(0, 800)), min_size=1, max_size=4))
    def set_holds(self, named: list[tuple[int | None, int]]) -> None:
        changes = {hold: quantity for hold, quantity in named if hold in self.twin.holds}
        if changes:
            self.both(
                lambda: ledger.set_holds([ledger.HoldChange(*change) for change in changes.items()]),
                lambda: self.twin.set_holds(changes),
            )

    @rule(hold=consumes(holds))
    def release(self, hold: int | None) -> None:
        if hold is not None and hold in self.twin.holds:
            ledger.release(hold_ids=[hold], now=NOON)
            del self.twin.holds[hold]

    @rule(hold=consumes(holds), to=st.sampled_from(NAMES[1:]))
    def capture(self, hold: int | None, to: str) -> None:
        if hold is None or hold not in self.twin.holds:
            return
        owner, quantity = self.twin.holds[hold]
        if not quantity or owner == to or {owner, to} & self.twin.frozen:
            return
        ledger.capture(
            hold_ids=[hold],
            transfers=self.postings([(owner, to, quantity)], [uuid4()]),
            kind="transfer",
            reference=str(uuid4()),
            actor=None,
            now=NOON + self.now(),
        )
        del self.twin.holds[hold]
        self.twin.post([(owner, to, quantity)])
        self.past.append((self.minutes, dict(self.twin.balances)))

    @rule(account=st.sampled_from(NAMES[1:4]))
    def freeze_or_unfreeze(self, account: str) -> None:
        change = ledger.unfreeze_account if account in self.twin.frozen else ledger.freeze_account
        change(account_id=self.accounts[account].pk)
        self.twin.frozen ^= {account}

    @rule()
    def derive(self) -> None:
        derive_serial_blocks()

    @invariant()
    def balances_agree(self) -> None:
        stored = {b.account_id: (b.balance, b.held) for b in Balance.objects.filter(asset=self.cast.permit)}
        for name, account in self.accounts.items():
            assert stored.get(account.pk, (0, 0)) == (self.twin.balances[name], self.twin.held(name))

    @rule(data=st.data())
    def look_back(self, data: st.DataObject) -> None:
        if self.past:
            minutes = data.draw(st.integers(0, self.minutes))
            then = next((balances for at, balances in reversed(self.past) if at <= minutes), {})
            for name, account in self.accounts.items():
                instant = NOON + timedelta(minutes=minutes)
                assert selectors.balance_at(account.pk, self.cast.permit.pk, instant) == then.get(name, 0)

    @rule()
    def verify(self) -> None:
        assert [result for result in check_all(INVARIANTS) if result.broken] == []
        assert Transfer.objects.filter(debit_after__lt=0).exclude(debit__contra=True).count() == 0


@pytest.mark.django_db
def test_the_ledger_does_what_its_twin_does() -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
