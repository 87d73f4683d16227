"""What the checks of a transaction look at, read from the database for many transactions at once.

Each kind of fact is one query for the whole batch and is read only when a check asks for it, so that an allocation to a
thousand operators costs as many queries as a single transfer.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db.models import F, Q, Sum

from common.errors import Refused
from common.quantities import parse_whole
from registry.engine.policy import Policy
from registry.ledger.models import Balance, Hold, LedgerAccount, Reconciliation, SerialBlock
from registry.models import (
    AccountTerms,
    Cap,
    DebtEntry,
    Freeze,
    GroupMember,
    Operator,
    Period,
    SerialFreeze,
    Suspension,
    Transaction,
    TrustedAccount,
)
from registry.services.rules import policy_at
from registry.services.transactions.types import TYPES, Finds, TransactionType
from registry.standing import records

HOLD = "transaction"
"""The purpose of the holds that waiting transactions have in the ledger; their reference is the transaction's id."""


@dataclass(frozen=True)
class Asked:
    """One movement that somebody asks for. The receiver is an account's id, a typed number, or follows from the type.

    `period` is the period for which permits are surrendered, where it is not that of the permits. `transaction` is its
    row once there is one, so that what it holds itself counts as available to it. `by_order` is whether the regulator
    or the registry itself asks.
    """

    kind: str
    sender: int | None
    asset: int
    quantity: object
    receiver: int | None = None
    to_number: str | None = None
    period: Period | None = None
    original: uuid.UUID | None = None
    beneficiary: str = ""
    reason: str = ""
    by_order: bool = False
    transaction: uuid.UUID | None = None


@dataclass(frozen=True)
class Facts:
    """One movement with what is known about it. What is not there is None, and some check says so."""

    asked: Asked
    batch: "Batch"

    @property
    def now(self) -> datetime:
        """The instant at which the checks are made."""
        return self.batch.now

    @property
    def type(self) -> TransactionType:
        """Its type."""
        return TYPES[self.asked.kind]

    @property
    def sender(self) -> LedgerAccount | None:
        """The account that gives."""
        return None if self.asked.sender is None else self.batch.accounts.get(self.asked.sender)

    @property
    def receiver(self) -> LedgerAccount | None:
        """The account that gets: named, found by its purpose, or the sender of what is undone."""
        if self.asked.receiver is not None:
            return self.batch.accounts.get(self.asked.receiver)
        if self.asked.to_number is not None:
            return self.batch.accounts_by_name.get(self.asked.to_number)
        if self.type.finds is Finds.CENTRAL and self.target is not None:
            return self.batch.accounts_by_name.get(f"{self.type.purpose}:{self.target.code}")
        return None

    @property
    def period(self) -> Period | None:
        """The period whose permits these are; None for money."""
        return self.batch.periods.get(self.asked.asset)

    @property
    def target(self) -> Period | None:
        """The period on whose account they count: for a surrender, the one that is being met."""
        return self.asked.period or self.period

    @property
    def policy(self) -> Policy | None:
        """The rules of the scheme in force."""
        return None if self.period is None else self.batch.policies[self.period.scheme_id]

    @property
    def quantity(self) -> int | None:
        """How many permits, if that can be read at all."""
        try:
            return parse_whole(self.asked.quantity)
        except Refused:
            return None

    def terms(self, account: LedgerAccount | None) -> AccountTerms | None:
        """An account's terms; those who have none have the usual ones."""
        return None if account is None else getattr(account, "terms", None)

    def grade(self, account: LedgerAccount | None) -> str:
        """An account's grade; an account without terms is open."""
        terms = self.terms(account)
        return "open" if terms is None else terms.grade

    @property
    def own_hold(self) -> int:
        """What this transaction itself has reserved."""
        return self.batch.own_holds.get(str(self.asked.transaction), 0) if self.asked.transaction else 0

    @property
    def balance(self) -> Balance | None:
        """The sender's balance of these permits."""
        return None if self.asked.sender is None else self.batch.balances.get((self.asked.sender, self.asked.asset))

    @property
    def available(self) -> int:
        """What the sender may spend on this transaction."""
        moved = self.batch.moved[self.asked.sender, self.asked.asset]
        return moved + (0 if self.balance is None else self.balance.available + self.own_hold)

    @property
    def issued(self) -> int:
        """What the sender has issued in all, if it issues permits."""
        return (
            -(0 if self.balance is None else self.balance.balance)
            - self.batch.moved[self.asked.sender, self.asked.asset]
        )

    @property
    def stopped(self) -> int:
        """How many of the sender's permits have numbers that may not move."""
        return 0 if self.balance is None else self.batch.stopped.get(self.balance.pk, 0)

    @property
    def same_owner(self) -> bool:
        """Whether both accounts are one holder's."""
        return (
            self.sender is not None
            and self.receiver is not None
            and self.sender.owner_id is not None
            and self.sender.owner_id == self.receiver.owner_id
        )

    @property
    def trusted(self) -> bool:
        """Whether the receiver is on the sender's list in force, or another account of the same holder."""
        if self.sender is None or self.receiver is None:
            return False
        return self.same_owner or (self.sender.pk, self.receiver.pk) in self.batch.trusts

    @property
    def debt(self) -> int:
        """What the sender's owner owes in permits of the scheme, beside its obligations."""
        if self.sender is None or self.period is None:
            return 0
        return max(0, self.batch.debts.get((self.sender.owner_id, self.period.scheme_id), 0))

    @property
    def wealth(self) -> int:
        """What the sender's owner has available of all permits of the scheme, this transaction's own hold included."""
        if self.sender is None or self.period is None:
            return 0
        owner, scheme = self.sender.owner_id, self.period.scheme_id
        changed = sum(
            change
            for (asset, _), change in self.batch.changed[owner].items()
            if asset in self.batch.periods and self.batch.periods[asset].scheme_id == scheme
        )
        return self.batch.wealth.get((owner, scheme), 0) + self.own_hold + changed

    @property
    def excess(self) -> int:
        """How many free permits of the period the sender's owner has to give back."""
        if self.sender is None or self.period is None:
            return 0
        return self.batch.excess.get((self.sender.owner_id, self.period.pk), 0)

    @property
    def cap(self) -> int:
        """The published cap of the period."""
        return 0 if self.period is None else self.batch.caps.get(self.period.pk, 0)

    @property
    def original(self) -> Transaction | None:
        """What is to be undone."""
        return None if self.asked.original is None else self.batch.originals.get(self.asked.original)

    @property
    def reversal(self) -> Transaction | None:
        """Another transaction that undoes the same one."""
        found = self.batch.reversals.get(self.asked.original) if self.asked.original else None
        return None if found is None or found.pk == self.asked.transaction else found

    @property
    def differs(self) -> bool:
        """Whether the newest reconciliation found the books of either account wrong."""
        return not self.batch.differing.isdisjoint({each.pk for each in (self.sender, self.receiver) if each})

    @property
    def freezes(self) -> Sequence[Freeze]:
        """The freezes in force for the scheme, or for everything."""
        scheme = None if self.period is None else self.period.scheme_id
        return [freeze for freeze in self.batch.freezes if freeze.scheme_id in {None, scheme}]

    @property
    def suspension(self) -> Suspension | None:
        """The court's order that stops the scheme, if there is one."""
        scheme = None if self.target is None else self.target.scheme_id
        return next((each for each in self.batch.suspensions if each.scheme_id == scheme), None)


class Batch:
    """The facts of many movements at one instant, each kind read once when it is first asked for."""

    def __init__(self, asked: Sequence[Asked], now: datetime) -> None:
        self.asked = asked
        self.now = now
        self.moved: defaultdict[tuple[int | None, int], int] = defaultdict(int)
        self.changed: defaultdict[uuid.UUID | None, defaultdict[tuple[int, str], int]] = defaultdict(
            lambda: defaultdict(int)
        )
        """What the movements counted so far have changed for each owner, by asset and kind of account."""
        self.blocked: dict[uuid.UUID, bool] = {}
        """Which operators a check has found blocked or not, so that it asks once for each."""

    def count(self, facts: Facts) -> None:
        """Count a movement as made for those that are looked at after it."""
        if facts.quantity is None or facts.sender is None or facts.receiver is None:
            return
        for account, change in ((facts.sender, -facts.quantity), (facts.receiver, facts.quantity)):
            self.moved[account.pk, facts.asked.asset] += change
            self.changed[account.owner_id][facts.asked.asset, account.kind] += change

    def facts(self) -> list[Facts]:
        """Return the facts of each movement, in the order in which they were asked for."""
        return [Facts(asked, self) for asked in self.asked]

    @cached_property
    def assets(self) -> frozenset[int]:
        """Every asset in question."""
        return frozenset(asked.asset for asked in self.asked)

    @cached_property
    def _every_account(self) -> list[LedgerAccount]:
        ids = {each for asked in self.asked for each in (asked.sender, asked.receiver) if each is not None}
        numbers = {asked.to_number for asked in self.asked if asked.to_number is not None}
        references = {
            f"{facts.type.purpose}:{facts.target.code}"
            for facts in self.facts()
            if facts.type.finds is Finds.CENTRAL and facts.target is not None and facts.asked.receiver is None
        }
        wanted = Q(pk__in=ids)
        wanted |= Q(number__in=numbers) if numbers else Q()
        wanted |= Q(reference__in=references) if references else Q()
        return list(LedgerAccount.objects.filter(wanted).select_related("owner", "terms"))

    @cached_property
    def accounts(self) -> dict[int, LedgerAccount]:
        """The accounts by id."""
        return {account.pk: account for account in self._every_account}

    @cached_property
    def accounts_by_name(self) -> dict[str, LedgerAccount]:
        """The accounts by number, and central ones by their business name."""
        return {
            name: account for account in self._every_account for name in (account.number, account.reference) if name
        }

    @cached_property
    def periods(self) -> dict[int, Period]:
        """The period of each asset that is a permit."""
        periods = Period.objects.filter(permit__in=self.assets).select_related("scheme__currency", "permit")
        return {period.permit_id: period for period in periods}

    @cached_property
    def schemes_by_code(self) -> dict[str, uuid.UUID]:
        """The scheme of every period, by the code that the names of its central accounts end with."""
        return {period.code: period.scheme_id for period in Period.objects.select_related("scheme")}

    @cached_property
    def policies(self) -> dict[uuid.UUID, Policy]:
        """The rules of each scheme on this day."""
        schemes = {period.scheme_id: period.scheme for period in self.periods.values()}
        return {key: policy_at(scheme, self.now.astimezone(scheme.tz).date()) for key, scheme in schemes.items()}

    @cached_property
    def balances(self) -> dict[tuple[int, int], Balance]:
        """The senders' balances by account and asset."""
        senders = {asked.sender for asked in self.asked if asked.sender is not None}
        found = Balance.objects.filter(account__in=senders, asset__in=self.assets)
        return {(balance.account_id, balance.asset_id): balance for balance in found}

    @cached_property
    def own_holds(self) -> dict[str, int]:
        """What each of these transactions has reserved, by its id."""
        ids = [str(asked.transaction) for asked in self.asked if asked.transaction]
        found = Hold.objects.filter(purpose=HOLD, reference__in=ids, status="open") if ids else Hold.objects.none()
        return dict(found.values_list("reference", "quantity"))

    @cached_property
    def trusts(self) -> frozenset[tuple[int, int]]:
        """Who trusts whom now. The instant decides and not the worker that marks an addition as active."""
        return frozenset(
            TrustedAccount.objects.filter(
                account__in=self.accounts, trusted__in=self.accounts, status__in=["waiting", "active"]
            )
            .filter(active_from__lte=self.now)
            .values_list("account_id", "trusted_id")
        )

    @cached_property
    def freezes(self) -> list[Freeze]:
        """Every freeze in force, of any scheme."""
        return list(Freeze.objects.filter(lifted_at__isnull=True))

    @cached_property
    def suspensions(self) -> list[Suspension]:
        """Every scheme that a court has stopped."""
        return list(Suspension.objects.filter(resumed_at__isnull=True))

    @cached_property
    def stopped(self) -> dict[int, int]:
        """How many permits with frozen numbers lie in each balance, as far as the numbers are known."""
        found: defaultdict[int, int] = defaultdict(int)
        for freeze in SerialFreeze.objects.filter(asset__in=self.assets, lifted_at__isnull=True):
            blocks = SerialBlock.objects.filter(
                asset=freeze.asset_id,
                until__isnull=True,
                balance__in=[balance.pk for balance in self.balances.values()],
                first__lte=freeze.last,
                last__gte=freeze.first,
            )
            for block in blocks:
                found[block.balance_id] += min(block.last, freeze.last) - max(block.first, freeze.first) + 1
        return found

    @cached_property
    def differing(self) -> frozenset[int]:
        """The accounts whose books the newest reconciliation found wrong."""
        newest = Reconciliation.objects.order_by("-pk").first()
        return frozenset() if newest is None else frozenset(newest.found.values_list("account_id", flat=True))

    @cached_property
    def _owners(self) -> set[uuid.UUID]:
        return {account.owner_id for account in self.accounts.values() if account.owner_id is not None}

    @cached_property
    def _schemes(self) -> set[uuid.UUID]:
        return {period.scheme_id for period in self.periods.values()}

    @cached_property
    def debts(self) -> Mapping[tuple[uuid.UUID | None, uuid.UUID], int]:
        """What each owner owes in permits of each scheme."""
        rows = (
            DebtEntry.objects.filter(operator__organisation__in=self._owners, operator__scheme__in=self._schemes)
            .order_by()
            .values_list("operator__organisation", "operator__scheme")
            .annotate(owed=Sum("quantity"))
        )
        return {(owner, scheme): int(owed) for owner, scheme, owed in rows}

    @cached_property
    def wealth(self) -> Mapping[tuple[uuid.UUID | None, uuid.UUID], int]:
        """What each owner has available of each scheme's permits, in all its accounts."""
        rows = (
            Balance.objects.filter(account__owner__in=self._owners, asset__period__scheme__in=self._schemes)
            .order_by()
            .values_list("account__owner", "asset__period__scheme")
            .annotate(free=Sum(F("balance") - F("held")))
        )
        return {(owner, scheme): int(free) for owner, scheme, free in rows}

    @cached_property
    def excess(self) -> Mapping[tuple[uuid.UUID | None, uuid.UUID], int]:
        """What each owner was given too much for each period: negative true-ups and excess banking not yet paid."""
        rows = (
            DebtEntry.objects.filter(operator__organisation__in=self._owners, period__in=list(self.periods.values()))
            .order_by()
            .values_list("operator__organisation", "period")
            .annotate(left=Sum("quantity"), given=Sum("quantity", filter=Q(kind__in=["true_up", "excess"])))
        )
        return {(owner, period): max(0, min(int(left), int(given or 0))) for owner, period, left, given in rows}

    @cached_property
    def operators(self) -> Mapping[tuple[uuid.UUID | None, uuid.UUID], Operator]:
        """The operator that each owner is in each scheme."""
        found = Operator.objects.filter(organisation__in=self._owners, scheme__in=self._schemes)
        return {(operator.organisation_id, operator.scheme_id): operator for operator in found}

    @cached_property
    def caps(self) -> dict[uuid.UUID, int]:
        """The published cap of each period, by its latest version."""
        caps = Cap.objects.filter(period__in=list(self.periods.values())).order_by("version")
        return {cap.period_id: cap.quantity for cap in caps}

    @cached_property
    def caps_by_year(self) -> Mapping[uuid.UUID, Mapping[int, int]]:
        """The published caps of each scheme by year, each by its latest version."""
        caps: defaultdict[uuid.UUID, dict[int, int]] = defaultdict(dict)
        rows = Cap.objects.filter(period__scheme__in=self._schemes).order_by("version")
        for scheme, year, quantity in rows.values_list("period__scheme", "period__year", "quantity"):
            caps[scheme][year] = quantity
        return caps

    @cached_property
    def groups(self) -> Mapping[uuid.UUID, frozenset[uuid.UUID]]:
        """The organisations with which each owner shares its limits: its corporate group, or itself alone."""
        own = GroupMember.objects.filter(organisation__in=self._owners, until__isnull=True)
        members = GroupMember.objects.filter(group__in=own.values("group"), until__isnull=True)
        group_of: dict[uuid.UUID, uuid.UUID] = {}
        together: defaultdict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
        for group, organisation in members.values_list("group_id", "organisation_id"):
            group_of[organisation] = group
            together[group].add(organisation)
        return {
            owner: frozenset({owner} | (together[group_of[owner]] if owner in group_of else set()))
            for owner in self._owners
        }

    @cached_property
    def positions(self) -> Mapping[tuple[uuid.UUID, uuid.UUID], Mapping[tuple[int, str], int]]:
        """What each member of those groups has of each scheme's permits, by vintage and kind of account."""
        members = frozenset[uuid.UUID]().union(*self.groups.values())
        rows = (
            Balance.objects.filter(account__owner__in=members, asset__period__scheme__in=self._schemes)
            .order_by()
            .values_list("account__owner", "asset__period__scheme", "asset__period__year", "account__kind")
            .annotate(total=Sum("balance"))
        )
        found: defaultdict[tuple[uuid.UUID, uuid.UUID], dict[tuple[int, str], int]] = defaultdict(dict)
        for owner, scheme, vintage, kind, total in rows:
            found[owner, scheme][vintage, kind] = int(total)
        return found

    @cached_property
    def shortfalls(self) -> Mapping[tuple[uuid.UUID, uuid.UUID], int]:
        """The obligations that are not yet met, of every operator of each scheme, over all years so far."""
        schemes = {period.scheme_id: period.scheme for period in self.periods.values()}
        found = {}
        for key, scheme in schemes.items():
            year = self.now.astimezone(scheme.tz).year
            so_far = Period.objects.filter(scheme=key, year__lte=year).exclude(status="draft")
            last = so_far.order_by("-year").first()
            for standing in records(last) if last is not None else ():
                found[standing.operator.organisation_id, key] = standing.shortfall
        return found

    @cached_property
    def originals(self) -> dict[uuid.UUID, Transaction]:
        """What is to be undone, by id."""
        wanted = [asked.original for asked in self.asked if asked.original]
        return {one.pk: one for one in Transaction.objects.filter(pk__in=wanted)}

    @cached_property
    def reversals(self) -> dict[uuid.UUID | None, Transaction]:
        """The transactions that undo those, or wait to, by what they undo."""
        wanted = [asked.original for asked in self.asked if asked.original]
        live = Transaction.objects.filter(reverses__in=wanted).exclude(status__in=["rejected", "cancelled", "failed"])
        return {one.reverses_id: one for one in live}
