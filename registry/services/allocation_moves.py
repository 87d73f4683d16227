"""What an allocation moves: every permit of a cap to where its result says, and what operators owe afterwards.

A first allocation divides what lies in the total quantity: pools into their own accounts, free permits to operators,
what nobody got to auction, to the cancellation or into the next year, the rest to auction. What is held back for the
settlement stays in the total quantity. A settlement takes back what was too much, gives what was too little, and sends
what is then left of what was held back to auction.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from common.database import assert_in_transaction
from common.idempotency import derive_key
from registry.engine import allocation as engine
from registry.engine.allocation import AllocationInputs, AllocationResult, Leftover
from registry.ledger import services as ledger
from registry.ledger.models import Balance, LedgerAccount
from registry.models import AllocationRun, DebtEntry, Operator
from registry.services import central, transactions
from registry.services.allocation_data import NEW_ENTRANTS, SET_ASIDE

RESERVES = {"containment": central.CONTAINMENT, "stability": central.STABILITY, "escrow": central.ESCROW}
"""Reserves that an allocation may fill, by the name that its inputs give them, and what their accounts are for."""

Step = tuple[str, object, int, int, int]
"""A type of transaction, what it is for, from where, to where, and how many permits."""


@dataclass(frozen=True)
class Taken:
    """What a settlement asks back from one operator, and how much of it there was."""

    operator: Operator
    owed: int
    taken: int


@dataclass(frozen=True)
class Plan:
    """The movements of a run in their order, and what was taken back."""

    moves: tuple[transactions.Move, ...]
    taken: tuple[Taken, ...]

    @property
    def outstanding(self) -> int:
        """Permits that were given too much and could not be taken back: debts, which the auction waits for."""
        return sum(one.owed - one.taken for one in self.taken)


def settle_debts(
    run: AllocationRun, result: AllocationResult, operators: Mapping[str, Operator], now: datetime
) -> None:
    """Write down what each operator owes more, or less, because of this run; before anything is moved."""
    assert_in_transaction()
    DebtEntry.objects.bulk_create(
        DebtEntry(
            operator=operators[award.operator],
            period=run.period,
            kind=DebtEntry.Kind.TRUE_UP if award.debt > award.debt_before else DebtEntry.Kind.PAID,
            quantity=award.debt - award.debt_before,
            reference=f"allocation:{run.pk}:{award.operator}",
            at=now,
        )
        for award in result.awards
        if award.debt != award.debt_before
    )


def record_taken(run: AllocationRun, plan: Plan, journal_id: int, now: datetime) -> None:
    """Write down what was taken back as paid; the rest stays owed."""
    DebtEntry.objects.bulk_create(
        DebtEntry(
            operator=one.operator,
            period=run.period,
            kind=DebtEntry.Kind.PAID,
            quantity=-one.taken,
            reference=f"clawback:{run.pk}:{one.operator.pk}",
            journal_id=journal_id,
            at=now,
        )
        for one in plan.taken
        if one.taken
    )


def plan(
    run: AllocationRun,
    inputs: AllocationInputs,
    result: AllocationResult,
    operators: Mapping[str, Operator],
    first: AllocationRun | None,
    now: datetime,
) -> Plan:
    """Return what a run moves. `first` is the executed first allocation where this is its settlement."""
    assert_in_transaction()
    accounts = _Accounts(run, inputs, operators, now)
    if first is None:
        taken: tuple[Taken, ...] = ()
        steps = list(_first_steps(inputs, result, accounts))
    else:
        taken = tuple(_taken(run, result, operators, accounts))
        steps = list(_settlement_steps(result, accounts, taken, first))
    moves = [
        transactions.Move(kind, derive_key("allocation", run.pk, what), debit, credit, run.period.permit_id, quantity)
        for kind, what, debit, credit, quantity in steps
        if quantity
    ]
    return Plan(tuple(moves), taken)


class _Accounts:
    """The accounts that a run touches: central ones by purpose, and those of operators."""

    def __init__(
        self, run: AllocationRun, inputs: AllocationInputs, operators: Mapping[str, Operator], now: datetime
    ) -> None:
        self.period, self.now, self.operators = run.period, now, operators
        self.total, self.auction = self._of(central.TOTAL), self._of(central.AUCTION)
        self.set_aside, self.cancellation = self._of(central.SET_ASIDE), self._of(central.CANCELLATION)
        self.new_entrants = self._on_use(central.NEW_ENTRANTS) if inputs.new_entrants else 0
        self.reserves = {
            reserve.name: self._on_use(RESERVES[reserve.name]) for reserve in inputs.reserves if reserve.permits
        }
        self._consignment = _consignment_accounts([operators[key] for key in inputs.consigned], now)

    def receiver(self, key: str, consigned: bool) -> int:
        """Return where an operator's free permits go: into its account, or where they may only go to auction from."""
        operator = self.operators[key]
        return self._consignment[operator.organisation_id] if consigned else operator.account_id

    def _of(self, purpose: str) -> int:
        return central.account(self.period, purpose).pk

    def _on_use(self, purpose: str) -> int:
        return central.account_on_use(self.period, purpose, self.now).pk


def _first_steps(inputs: AllocationInputs, result: AllocationResult, accounts: _Accounts) -> Iterator[Step]:
    """Fill the pools, give every operator its permits, and send on what is left."""
    pool = inputs.new_entrants
    yield "move_to_reserve", "set-aside", accounts.total, accounts.set_aside, inputs.set_aside_pool
    if pool is not None:
        yield "move_to_reserve", "new entrants", accounts.total, accounts.new_entrants, pool.permits
    for reserve in inputs.reserves:
        if reserve.permits:
            yield (
                "move_to_reserve",
                ("reserve", reserve.name),
                accounts.total,
                accounts.reserves[reserve.name],
                reserve.permits,
            )
    for award in result.awards:
        key, receiver = award.operator, accounts.receiver(award.operator, award.consigned)
        yield "allocate", (key, "free"), accounts.total, receiver, award.free_permits
        yield "allocate", (key, SET_ASIDE), accounts.set_aside, accounts.receiver(key, False), award.set_aside_permits
        yield (
            "allocate",
            (key, NEW_ENTRANTS),
            accounts.new_entrants,
            accounts.receiver(key, False),
            award.new_entrant_permits,
        )
    to_auction = 0
    for leftover, what, source, permits in _left_over(inputs, result, accounts):
        if leftover is Leftover.AUCTION:
            to_auction += permits
            yield "release", what, source, accounts.auction, permits
        elif leftover is Leftover.CANCEL:
            yield "expire", what, source, accounts.cancellation, permits
    yield "release", "auction", accounts.total, accounts.auction, result.auction_permits - to_auction


def _left_over(
    inputs: AllocationInputs, result: AllocationResult, accounts: _Accounts
) -> Iterator[tuple[Leftover, object, int, int]]:
    """Yield what nobody got of each pool, and where it goes; what is for the next year stays where it is."""
    cohorts = {need.operator: need.cohort for need in inputs.set_aside_needs} if inputs.set_asides else {}
    given: defaultdict[str, int] = defaultdict(int)
    for award in result.awards:
        given[cohorts.get(award.operator, "")] += award.set_aside_permits
    for part in inputs.set_asides or (engine.SetAsidePool("", inputs.set_aside_pool),):
        what = ("left over", part.cohort)
        yield part.leftover, what, accounts.set_aside, part.permits - given[part.cohort]
    pool = inputs.new_entrants
    if pool is not None and pool.closed:
        rest = pool.permits - result.new_entrant_permits
        yield pool.leftover, "left over of new entrants", accounts.new_entrants, rest


def _settlement_steps(
    result: AllocationResult, accounts: _Accounts, taken: tuple[Taken, ...], first: AllocationRun
) -> Iterator[Step]:
    """Take back, give, and send to auction what is then left of what was held back.

    cap + clawback = delivered before + free + pools + auction, and the first stage held back what it did not deliver.
    So the total quantity is empty afterwards; what could not be taken back is missing in the auction until it is paid.
    """
    for one in taken:
        key = one.operator.account.number
        consigned = any(award.consigned for award in result.awards if award.operator == key)
        yield "return_excess", (key, "clawback"), accounts.receiver(key, consigned), accounts.total, one.taken
    more = result.auction_permits - first.auction - sum(one.owed - one.taken for one in taken)
    yield "release", "back from auction", accounts.auction, accounts.total, max(0, -more)
    for award in result.awards:
        receiver = accounts.receiver(award.operator, award.consigned)
        yield "allocate", (award.operator, "free"), accounts.total, receiver, award.free_permits
    yield "release", "auction", accounts.total, accounts.auction, max(0, more)


def _taken(
    run: AllocationRun, result: AllocationResult, operators: Mapping[str, Operator], accounts: _Accounts
) -> Iterator[Taken]:
    """Yield what there is to take back, after locking the balances it is taken from."""
    owing = [award for award in result.awards if award.clawback]
    sources = {award.operator: accounts.receiver(award.operator, award.consigned) for award in result.awards}
    touched = {accounts.total, accounts.auction, *sources.values()}
    ledger.lock_balances({(account, run.period.permit_id) for account in touched})  # all that move, in one order
    available = {
        balance.account_id: balance.available
        for balance in Balance.objects.filter(account__in=sources.values(), asset=run.period.permit_id, status="open")
        .exclude(account__terms__grade__in=["frozen", "closed"])
        .order_by("pk")
    }
    for award in owing:
        back = engine.claw_back(award.clawback, max(0, available.get(sources[award.operator], 0)))
        yield Taken(operators[award.operator], award.clawback, back.taken)


def _consignment_accounts(operators: list[Operator], now: datetime) -> dict[object, int]:
    """Return the consignment account of each holder, opened where there is none yet."""
    owners = {operator.organisation_id: operator.organisation for operator in operators}
    found = LedgerAccount.objects.filter(owner__in=owners, kind="consignment", status="open").order_by("-pk")
    accounts: dict[object, int] = dict(found.values_list("owner_id", "pk"))
    for owner_id, owner in owners.items():
        if owner_id not in accounts:
            opened = ledger.open_account(kind="consignment", owner=owner, label=f"Consignment, {owner}", now=now)
            accounts[owner_id] = opened.pk
    return accounts
