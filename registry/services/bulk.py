"""Bulk work: many transfers or surrenders from one table, all of them or none, with every error by line and column.

The checks are those of single transactions, row after row, each with what the rows above it bring and take. A row with
an error counts for nothing, so that a table without the rows that were named would pass. What reads the rows is in
`registry.importers.bulk`; the rows that two people decide on are frozen in the parameters of their proposal.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q

from accounts.models import Approval, AuditEvent, Organisation, User
from accounts.services import approvals, audit
from common.database import assert_in_transaction
from common.errors import Refused, require, require_permission
from common.idempotency import derive_key
from common.quantities import parse_money
from registry.importers import bulk as tables
from registry.importers.bulk import SurrenderRow, TransferRow
from registry.importers.table import BadFile, RowError, sha256_hex
from registry.ledger import services as ledger
from registry.ledger.models import Asset, LedgerAccount
from registry.models import EvidenceFile, Operator, Period, Surrender
from registry.permissions import may_approve_transfers, may_initiate, may_surrender
from registry.selectors import holding_account
from registry.services import compliance, operators, receipts, reservations, surrenders, transactions
from registry.services.drafting import evidence
from registry.services.reports import RowsRefused
from registry.services.transactions import course as courses
from registry.services.transactions.checks import failures
from registry.services.transactions.facts import Asked, Batch, Facts

TRANSFERS, SURRENDERS = "registry.bulk_transfer", "registry.bulk_surrender"
RECEIVED = "registry.surrender.bulk_received"

TRANSFER_HEAD = ("line", "from", "to", "permit", "quantity", "price", "agreement")
SURRENDER_HEAD = ("line", "account", "scheme", "year", "permit", "quantity")


@dataclass(frozen=True)
class Line:
    """One row with what it names: whole permits of one kind out of an own account.

    A transfer goes `to` a number; a surrender is received for an operator and a period.
    """

    number: int
    sender: LedgerAccount
    permit: Asset
    quantity: int
    to: str = ""
    price_minor: int | None = None
    agreement: str = ""
    operator: Operator | None = None
    period: Period | None = None

    def asked(self) -> Asked:
        """Return it as the checks look at it."""
        return Asked(
            kind="surrender" if self.period else "transfer",
            sender=self.sender.pk,
            asset=self.permit.pk,
            quantity=self.quantity,
            to_number=None if self.period else self.to,
            period=self.period,
        )

    def cells(self) -> list[object]:
        """Return it as it is shown and frozen, under the head of its table."""
        if self.period is None:
            price = "" if self.price_minor is None else f"{self.price_minor // 100}.{self.price_minor % 100:02d}"
            return [
                self.number,
                self.sender.number,
                self.to,
                self.permit.code,
                self.quantity,
                price,
                self.agreement,
            ]
        scheme, year = self.period.scheme.code, str(self.period.year)
        return [self.number, self.sender.number, scheme, year, self.permit.code, self.quantity]


@dataclass(frozen=True)
class Checked:
    """What a table comes to before anything is done with it."""

    sha256: str
    head: tuple[str, ...]
    lines: tuple[Line, ...]
    errors: tuple[RowError, ...]
    second_person: str
    """Why a second person decides; empty where nobody has to, or where there are errors."""

    @property
    def totals(self) -> dict[str, int]:
        """The permits of all rows together, by their code."""
        return _totals(self.lines)

    @property
    def cells(self) -> list[list[object]]:
        """The rows as they are shown."""
        return [line.cells() for line in self.lines]


@dataclass(frozen=True)
class BulkSurrender:
    """The receipts of a table, or the proposal that waits for the second person."""

    receipts: tuple[Surrender, ...] = ()
    approval: Approval | None = None


# Looking --------------------------------------------------------------------------------------------------------------


def check_transfers(*, organisation: Organisation, content: bytes, now: datetime) -> Checked:
    """Say what a table of transfers comes to, or everything that is wrong with it. Changes nothing."""
    return _checked(_read_transfers(organisation, content), TRANSFER_HEAD, content, now)


def check_surrenders(*, organisation: Organisation, content: bytes, now: datetime) -> Checked:
    """Say what a table of surrenders comes to, or everything that is wrong with it. Changes nothing."""
    return _checked(_read_surrenders(organisation, content), SURRENDER_HEAD, content, now)


def _checked(read: tuple[list[Line], list[RowError]], head: tuple[str, ...], content: bytes, now: datetime) -> Checked:
    lines, errors = read
    looked = _look(lines, now)
    errors = _in_order([*errors, *looked.errors])
    return Checked(sha256_hex(content), head, tuple(lines), tuple(errors), "" if errors else looked.second_person)


# Transfers ------------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def propose_transfers(
    *, actor: User, organisation: Organisation, name: str, content: bytes, key: uuid.UUID, now: datetime
) -> Approval:
    """Propose every transfer of a table; a second person decides on all of them together. Their permits are held.

    A table with any error is refused with all of them, and nothing is stored. The same key or the same bytes again
    are the same proposal, unless that was stopped or failed.
    """
    require_permission(
        may_initiate(actor, organisation), "Only an initiator or approver of this organisation may transfer."
    )
    key = derive_key(TRANSFERS, organisation.pk, key)
    organisation = _one_at_a_time(organisation)
    earlier = _earlier_proposal(TRANSFERS, organisation, key, content)
    if earlier is not None:
        return earlier
    lines, errors = _read_transfers(organisation, content)
    _lock_balances(lines)
    _refuse([*errors, *_look(lines, now).errors])
    return _propose(TRANSFERS, TRANSFER_HEAD, lines, actor, organisation, name, content, key, now)


def _execute_transfers(approval: Approval, now: datetime) -> dict[str, object]:
    """Check every row once more and post all of them as one journal."""
    lines = _frozen_transfers(approval)
    _lock_balances(lines)
    reservations.give_back(approval, now)
    _refuse(_look(lines, now, is_now=True).errors)
    receivers = dict(LedgerAccount.objects.filter(number__in={line.to for line in lines}).values_list("number", "pk"))
    posted = transactions.move(
        moves=[
            transactions.Move(
                "transfer",
                derive_key(TRANSFERS, approval.pk, line.number),
                line.sender.pk,
                receivers[line.to],
                line.permit.pk,
                line.quantity,
                line.price_minor,
                line.agreement,
            )
            for line in lines
        ],
        organisation=approval.organisation,
        journal="transfer",
        reference=f"bulk-transfer:{approval.pk}",
        actor=approval.decided_by,
        now=now,
        details={"table": approval.parameters["sha256"], "approval": str(approval.pk)},
        by_order=False,
        proposed_by=approval.proposed_by,
    )
    audit.record(
        approval.decided_by,
        "registry.transfer.bulk_made",
        approval,
        at=now,
        organisation=approval.organisation,
        journal=posted.journal_id,
        transfers=len(lines),
        totals=_totals(lines),
    )
    return {"journal": posted.journal_id, "transfers": len(lines)}


# Surrenders -----------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def bulk_surrender(
    *, actor: User, organisation: Organisation, name: str, content: bytes, key: uuid.UUID, now: datetime
) -> BulkSurrender:
    """Surrender every row of a table, each with a receipt of its own; or propose to, where the terms say so.

    All rows are received in one transaction, or none. The same key or the same bytes again are the same receipts,
    unless all of them were given back since.
    """
    require_permission(
        may_surrender(actor, organisation), "Only a representative of the operator may surrender its permits."
    )
    key = derive_key(SURRENDERS, organisation.pk, key)
    organisation = _one_at_a_time(organisation)
    earlier = _earlier_surrender(organisation, key, content)
    if earlier is not None:
        return earlier
    lines, errors = _read_surrenders(organisation, content)
    instants = _lock_periods_and_operators(lines)
    _lock_balances(lines)
    looked = _look(lines, now)
    _refuse([*errors, *looked.errors])
    if looked.second_person:
        approval = _propose(SURRENDERS, SURRENDER_HEAD, lines, actor, organisation, name, content, key, now)
        return BulkSurrender(approval=approval)
    file = _kept(actor, organisation, name, content, now)
    return BulkSurrender(receipts=_receive(lines, instants, actor, organisation, file, key, now))


def _execute_surrenders(approval: Approval, now: datetime) -> dict[str, object]:
    """Check every row once more and receive all of them now."""
    lines = _frozen_surrenders(approval)
    instants = _lock_periods_and_operators(lines)
    _lock_balances(lines)
    reservations.give_back(approval, now)
    _refuse(_look(lines, now, is_now=True).errors)
    file = EvidenceFile.objects.get(organisation=approval.organisation, sha256=approval.parameters["sha256"])
    assert approval.key is not None
    received = _receive(lines, instants, approval.proposed_by, approval.organisation, file, approval.key, now)
    return {"receipts": [str(receipt.pk) for receipt in received]}


def _receive(
    lines: Sequence[Line],
    instants: Mapping[uuid.UUID, datetime],
    actor: User,
    organisation: Organisation,
    file: EvidenceFile,
    key: uuid.UUID,
    now: datetime,
) -> tuple[Surrender, ...]:
    """Keep a receipt for each row, then work out the letters of every operator and period once.

    Each receipt has a journal of its own, because each may be undone alone.
    """
    received = []
    met: dict[tuple[int, uuid.UUID], tuple[Operator, Period]] = {}
    for place, line in enumerate(lines, start=1):
        assert line.operator is not None and line.period is not None
        met[line.period.year, line.operator.pk] = line.operator, line.period
        received.append(
            surrenders.receive_row(
                operator=line.operator,
                period=line.period,
                account=line.sender.pk,
                asset=line.permit.pk,
                quantity=line.quantity,
                key=_row_key(key, place),
                received_at=instants[line.period.pk],
                actor=actor,
                now=now,
            )
        )
    for _, (operator, period) in sorted(met.items()):
        compliance.record_later_status(operator, period, now)
    audit.record(
        actor,
        RECEIVED,
        file,
        at=now,
        organisation=organisation,
        key=str(key),
        receipts=len(received),
        totals=_totals(lines),
    )
    return tuple(received)


def receipts_of(approval: Approval) -> tuple[Surrender, ...]:
    """Return the receipts that an approved table of surrenders led to; none while it waits."""
    assert approval.act == SURRENDERS and approval.key is not None
    return _receipts(approval.key, len(approval.parameters["content"]["rows"]))


# Parts ----------------------------------------------------------------------------------------------------------------


def _one_at_a_time(organisation: Organisation) -> Organisation:
    """Lock an organisation, so that the same table sent twice at once is found by the second."""
    return Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)


def _earlier_proposal(act: str, organisation: Organisation, key: uuid.UUID, content: bytes) -> Approval | None:
    """Return the proposal of a key, or the one of the same bytes that waits or was done."""
    sha256 = sha256_hex(content)
    of_key = Approval.objects.filter(key=key).first()
    if of_key is not None:
        require(
            (of_key.act, of_key.parameters.get("sha256")) == (act, sha256),
            "key_reused",
            "This key was used before for another table. Use a new one.",
        )
        return of_key
    live = Approval.objects.filter(act=act, organisation=organisation, status__in=["proposed", "executed"])
    return live.filter(parameters__sha256=sha256).order_by("-proposed_at", "pk").first()


def _earlier_surrender(organisation: Organisation, key: uuid.UUID, content: bytes) -> BulkSurrender | None:
    """Return what became of a key or of the same bytes before."""
    approval = _earlier_proposal(SURRENDERS, organisation, key, content)
    if approval is not None:
        return BulkSurrender(receipts=receipts_of(approval), approval=approval)
    file = EvidenceFile.objects.filter(organisation=organisation, sha256=sha256_hex(content)).only("pk").first()
    for event in _receptions(file):
        received = _receipts(uuid.UUID(event.details["key"]), event.details["receipts"])
        is_live = Surrender.objects.filter(pk__in=[one.pk for one in received], reversal__isnull=True).exists()
        if is_live or event.details["key"] == str(key):
            return BulkSurrender(receipts=received)
    require(
        not Surrender.objects.filter(key=_row_key(key, 1)).exists(),
        "key_reused",
        "This key was used before for another table. Use a new one.",
    )
    return None


def _receptions(file: EvidenceFile | None) -> Iterable[AuditEvent]:
    if file is None:
        return ()
    label = EvidenceFile._meta.label_lower
    return AuditEvent.objects.filter(subject_type=label, subject_id=str(file.pk), action=RECEIVED).order_by("-id")


def _receipts(key: uuid.UUID, count: int) -> tuple[Surrender, ...]:
    """Return the receipts of a table by its key, in the order of its rows."""
    keys = {_row_key(key, place): place for place in range(1, count + 1)}
    found = Surrender.objects.select_related("operator__organisation", "period__scheme").filter(key__in=keys)
    return tuple(sorted(found, key=lambda receipt: keys[receipt.key]))


def _row_key(key: uuid.UUID, place: int) -> uuid.UUID:
    """Return the key of a row by its place in the table, counted from one."""
    return derive_key("bulk-surrender-row", key, place)


def _propose(
    act: str,
    head: tuple[str, ...],
    lines: Sequence[Line],
    actor: User,
    organisation: Organisation,
    name: str,
    content: bytes,
    key: uuid.UUID,
    now: datetime,
) -> Approval:
    """Keep the file and propose its rows, frozen as they were read."""
    file = _kept(actor, organisation, name, content, now)
    what = "Transfer" if act == TRANSFERS else "Surrender"
    permits = sum(line.quantity for line in lines)
    return approvals.propose_beside(
        actor=actor,
        act=act,
        organisation=organisation,
        summary=f"{what} of {permits:,} permits in {len(lines):,} rows of {file.name}.",
        parameters={
            "file": file.name,
            "sha256": file.sha256,
            "rows": len(lines),
            "totals": {"columns": ["permit", "quantity"], "rows": [list(each) for each in _totals(lines).items()]},
            "content": {"columns": list(head), "rows": [line.cells() for line in lines]},
        },
        key=key,
        now=now,
    )


def _kept(actor: User, organisation: Organisation, name: str, content: bytes, now: datetime) -> EvidenceFile:
    """Keep the file as it was received; the same bytes of one organisation are kept once."""
    return evidence.keep_bytes(organisation=organisation, actor=actor, name=name or "table", content=content, at=now)


def _totals(lines: Iterable[Line]) -> dict[str, int]:
    totals: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        totals[line.permit.code] += line.quantity
    return dict(sorted(totals.items()))


# Rows into lines ------------------------------------------------------------------------------------------------------


def _read_transfers(organisation: Organisation, content: bytes) -> tuple[list[Line], list[RowError]]:
    read = tables.read_transfers(content)
    if isinstance(read, BadFile):
        return [], list(read.errors)
    return _transfer_lines(organisation, read)


def _transfer_lines(organisation: Organisation, rows: Sequence[TransferRow]) -> tuple[list[Line], list[RowError]]:
    """Find what the rows name, in three queries for all of them."""
    own = _own_accounts(organisation)
    usual = holding_account(organisation).number
    permits = _permits({row.permit for row in rows})
    lines, errors = [], []
    for row in rows:
        sender, permit = own.get(row.sender or usual), permits.get(row.permit)
        if sender is None:
            errors.append(RowError(row.line, "from", *_NOT_YOURS))
        if permit is None:
            errors.append(RowError(row.line, "permit", *_NO_PERMITS))
        if sender is not None and permit is not None:
            lines.append(Line(row.line, sender, permit, row.quantity, row.to, row.price_minor, row.agreement))
    return lines, errors


def _read_surrenders(organisation: Organisation, content: bytes) -> tuple[list[Line], list[RowError]]:
    read = tables.read_surrenders(content)
    if isinstance(read, BadFile):
        return [], list(read.errors)
    return _surrender_lines(organisation, read)


def _surrender_lines(organisation: Organisation, rows: Sequence[SurrenderRow]) -> tuple[list[Line], list[RowError]]:
    """Find what the rows name, in four queries for all of them."""
    own = _own_accounts(organisation)
    enrolled = Operator.objects.filter(organisation=organisation).select_related("organisation", "scheme", "account")
    by_scheme = {operator.scheme.code: operator for operator in enrolled}
    known = Period.objects.filter(scheme__code__in=by_scheme).select_related("scheme", "permit")
    periods = {(period.scheme.code, period.year): period for period in known}
    permits = _permits({row.permit for row in rows if row.permit})
    lines, errors = [], []
    first: dict[tuple[int, uuid.UUID, int], int] = {}
    for row in rows:
        operator, period = by_scheme.get(row.scheme), periods.get((row.scheme, row.year))
        found: list[RowError] = []
        if operator is None:
            found.append(RowError(row.line, "scheme", *_NO_OPERATOR))
        elif period is None or period.status == "draft":
            found.append(RowError(row.line, "year", *_NO_PERIOD))
        sender = own.get(row.account) if row.account else (None if operator is None else operator.account)
        if row.account and sender is None:
            found.append(RowError(row.line, "account", *_NOT_YOURS))
        if row.permit and row.permit not in permits:
            found.append(RowError(row.line, "permit", *_NO_PERMITS))
        if not found:
            assert operator is not None and period is not None and sender is not None
            permit = permits[row.permit] if row.permit else period.permit
            twice = first.setdefault((sender.pk, period.pk, permit.pk), row.line)
            if twice != row.line:  # one row may have left empty what the other says
                sentence = f"Line {twice} surrenders the same permits: merge the two."
                found.append(RowError(row.line, "quantity", "row_twice", sentence))
            else:
                lines.append(Line(row.line, sender, permit, row.quantity, operator=operator, period=period))
        errors += found
    return lines, errors


def _frozen_transfers(approval: Approval) -> list[Line]:
    """Return the lines of a proposal, found again as the database has them now."""
    rows = [
        TransferRow(line, sender, to, permit, quantity, parse_money(price, minimum=0) if price else None, agreement)
        for line, sender, to, permit, quantity, price, agreement in approval.parameters["content"]["rows"]
    ]
    lines, errors = _transfer_lines(approval.organisation, rows)
    _refuse(errors)
    return lines


def _frozen_surrenders(approval: Approval) -> list[Line]:
    rows = [
        SurrenderRow(line, account, scheme, int(year), permit, quantity)
        for line, account, scheme, year, permit, quantity in approval.parameters["content"]["rows"]
    ]
    lines, errors = _surrender_lines(approval.organisation, rows)
    _refuse(errors)
    return lines


def _own_accounts(organisation: Organisation) -> dict[str, LedgerAccount]:
    return {account.number: account for account in LedgerAccount.objects.filter(owner=organisation)}


def _permits(codes: Iterable[str]) -> dict[str, Asset]:
    found = Asset.objects.filter(code__in=set(codes), kind=Asset.Kind.PERMIT)
    return {asset.code: asset for asset in found}


_NOT_YOURS = ("sender_unknown", "There is no such account of yours. Choose one of your own, or leave the cell empty.")
_NO_PERMITS = ("asset_unknown", "There are no permits of this code. Compare it with your holdings.")
_NO_OPERATOR = ("operator_unknown", "Your organisation is no operator of a scheme of this code. Compare it.")
_NO_PERIOD = ("period_unknown", "The scheme has no open period of this year. Nothing is owed for it.")


# The checks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Look:
    errors: list[RowError]
    second_person: str


def _look(lines: Sequence[Line], now: datetime, *, is_now: bool = False) -> _Look:
    """Check row after row, each with what the good rows above it bring and take.

    The number of queries does not depend on the number of rows. `is_now` is whether the rows are carried out now.
    """
    batch = Batch([line.asked() for line in lines], now)
    errors: list[RowError] = []
    second_person = ""
    for line, facts in zip(lines, batch.facts(), strict=True):
        found = failures(facts) or _would_wait(facts, is_now=is_now)
        errors += [RowError(line.number, _column(line, one.code), one.code, one.sentence) for one in found]
        if not found:
            batch.count(facts)
            second_person = second_person or courses.second_person(facts)
    return _Look(errors, second_person)


def _would_wait(facts: Facts, *, is_now: bool) -> list[Refused]:
    """Refuse what could not be carried out together with the other rows, because the rules let it wait by itself."""
    if facts.policy is None:
        return []
    found = []
    if facts.type.delay and facts.policy.transactions.delay_days and not facts.trusted:
        found.append(
            Refused(
                "bulk_row_would_wait",
                "The receiver is not on your trusted list, so that this transfer would wait: trust the account first, "
                "or send it singly.",
            )
        )
    elif is_now and courses.carried_out_at(facts) is not None:
        rule = facts.policy.transactions
        found.append(
            Refused(
                "bulk_outside_hours",
                f"This scheme carries transfers out on working days from {rule.opens:%H:%M} to {rule.closes:%H:%M}: "
                "approve the table then.",
            )
        )
    if courses.needs_confirmation(facts):
        found.append(
            Refused(
                "bulk_row_would_wait",
                "The receiver has to accept what arrives, so that this transfer would wait: send it singly.",
            )
        )
    return found


_TO = frozenset(
    {
        "account_number_wrong",
        "account_unknown",
        "account_frozen",
        "receiver_kind_wrong",
        "receiver_restricted",
        "receiver_suspended",
        "receiver_not_trusted",
        "same_account",
        "compliance_account_of_another",
        "holding_limit_exceeded",
        "bulk_row_would_wait",
    }
)
_FROM = frozenset(
    {
        "sender_unknown",
        "sender_kind_wrong",
        "sender_closed",
        "sender_frozen",
        "sender_restricted",
        "sender_suspended",
        "reconciliation_difference",
        "report_missing",
    }
)
_PERMIT = frozenset(
    {"cash_not_transferable", "vintage_not_usable", "movements_frozen", "scheme_suspended", "bulk_outside_hours"}
)


def _column(line: Line, code: str) -> str:
    """Say in which column of its table an error stands."""
    if code in _TO:
        return "year" if line.period else "to"
    if code in _FROM:
        return "account" if line.period else "from"
    return "permit" if code in _PERMIT else "quantity"


def _in_order(errors: Iterable[RowError]) -> list[RowError]:
    return sorted(errors, key=lambda error: error.line)


def _refuse(errors: Sequence[RowError]) -> None:
    """Refuse a table with every error that was found."""
    if errors:
        raise RowsRefused(_in_order(errors))


# Locks and holds ------------------------------------------------------------------------------------------------------


def _lock_balances(lines: Sequence[Line]) -> None:
    """Lock every balance that the rows touch, at once and in everybody's order."""
    numbers = {line.to for line in lines if line.to}
    names = {f"surrender:{line.period.code}" for line in lines if line.period is not None}
    found = LedgerAccount.objects.filter(Q(number__in=numbers) | Q(reference__in=names))
    by_name = {name: account.pk for account in found for name in (account.number, account.reference)}
    pairs = {(line.sender.pk, line.permit.pk) for line in lines}
    for line in lines:
        receiver = by_name.get(line.to or f"surrender:{line.period.code if line.period else ''}")
        if receiver is not None:
            pairs.add((receiver, line.permit.pk))
    ledger.lock_balances(pairs)


def _lock_periods_and_operators(lines: Sequence[Line]) -> dict[uuid.UUID, datetime]:
    """Lock what surrenders are received under, and return the instant of receipt for each period."""
    assert_in_transaction()
    instants = {
        period_id: receipts.receive(period_id)[1]
        for period_id in sorted({line.period.pk for line in lines if line.period is not None})
    }
    found = {line.operator.pk: line.operator for line in lines if line.operator is not None}
    for _, operator in sorted(found.items()):
        operators.locked(operator)
    return instants


def _reserve(lines_of: Callable[[Approval], list[Line]], approval: Approval, now: datetime) -> None:
    """Hold what the rows will take out of each account at most; what rows before bring in need not be held."""
    left: defaultdict[tuple[int, int], int] = defaultdict(int)
    deepest: defaultdict[tuple[int, int], int] = defaultdict(int)
    lines = lines_of(approval)
    own = {line.sender.number: line.sender.pk for line in lines}
    for line in lines:
        giving = (line.sender.pk, line.permit.pk)
        left[giving] -= line.quantity
        deepest[giving] = min(deepest[giving], left[giving])
        if line.to in own:
            left[own[line.to], line.permit.pk] += line.quantity
    for (account, asset), depth in sorted(deepest.items()):
        if depth:
            reservations.reserve(approval, account=account, asset=asset, quantity=-depth, now=now)


def _recheck(lines_of: Callable[[Approval], list[Line]], approval: Approval, now: datetime) -> None:
    """Look at every row as if the held permits were given back; whatever is refused leaves the proposal waiting."""
    lines = lines_of(approval)
    _lock_periods_and_operators(lines)
    _lock_balances(lines)
    with transaction.atomic():
        reservations.give_back(approval, now)
        found = _look(lines, now, is_now=True)
        transaction.set_rollback(True)
    _refuse(found.errors)


def _check(parameters: Mapping[str, Any]) -> None:
    """The rows are checked where the time is known: when they are read, approved and carried out."""


def _act(
    name: str,
    may_propose: Callable[[User, Organisation], bool],
    lines_of: Callable[[Approval], list[Line]],
    execute: Callable[[Approval, datetime], Mapping[str, Any]],
) -> approvals.Act:
    return approvals.Act(
        name=name,
        may_propose=may_propose,
        may_approve=may_approve_transfers,
        check=_check,
        recheck=partial(_recheck, lines_of),
        execute=execute,
        reserve=partial(_reserve, lines_of),
        give_back=reservations.give_back,
    )


ACTS = (
    _act(TRANSFERS, may_initiate, _frozen_transfers, _execute_transfers),
    _act(SURRENDERS, may_surrender, _frozen_surrenders, _execute_surrenders),
)
