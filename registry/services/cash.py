"""Cash in and out: money that arrived at the bank or is paid out of it, recorded by two officers."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.errors import require
from common.idempotency import derive_key
from common.quantities import format_money, parse_whole
from registry.ledger import services as ledger
from registry.ledger.models import Asset, Journal, LedgerAccount
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import central, reservations

RECORD_DEPOSIT = "registry.record_deposit"
RECORD_WITHDRAWAL = "registry.record_withdrawal"
DEPOSIT, WITHDRAWAL = "deposit", "withdrawal"


def propose_deposit(
    *, actor: User, account: LedgerAccount, currency: Asset, amount_minor: int, reference: str, now: datetime
) -> Approval:
    """Propose to record money that arrived. The reference is the bank statement's line, which counts once."""
    return _propose(actor, RECORD_DEPOSIT, "Record a deposit of", account, currency, amount_minor, reference, now)


def propose_withdrawal(
    *, actor: User, account: LedgerAccount, currency: Asset, amount_minor: int, reference: str, now: datetime
) -> Approval:
    """Propose to pay money out. It is held until another officer decides."""
    return _propose(actor, RECORD_WITHDRAWAL, "Pay out", account, currency, amount_minor, reference, now)


def _propose(
    actor: User,
    act: str,
    verb: str,
    account: LedgerAccount,
    currency: Asset,
    amount_minor: int,
    reference: str,
    now: datetime,
) -> Approval:
    regulator = regulator_of(actor)
    amount = parse_whole(amount_minor)
    return approvals.propose(
        actor=actor,
        act=act,
        organisation=regulator,
        summary=f"{verb} {format_money(amount)} {currency.code}, account {account.number}, {reference.strip()}.",
        parameters={
            "account": account.pk,
            "currency": currency.code,
            "amount_minor": amount,
            "reference": reference.strip(),
        },
        now=now,
    )


def _check(kind: str, parameters: Mapping[str, Any]) -> None:
    parse_whole(parameters["amount_minor"])
    account = LedgerAccount.objects.get(pk=parameters["account"])
    currency = Asset.objects.get(code=parameters["currency"])
    require(account.kind == "holding", "account_not_a_participants", "Cash lies in participants' accounts only.")
    require(account.status == "open", f"account_{account.status}", f"Account {account.number} is {account.status}.")
    require(currency.kind == Asset.Kind.CURRENCY, "not_a_currency", f"{currency.code} is not a currency.")
    require(
        LedgerAccount.objects.filter(reference=central.bank_reference(currency)).exists(),
        "currency_not_used",
        f"No scheme trades in {currency.code}.",
    )
    require(bool(parameters["reference"]), "reference_missing", "Give the reference of the bank statement's line.")
    require(len(parameters["reference"]) <= 80, "reference_too_long", "Shorten the reference to 80 characters.")
    require(
        not Journal.objects.filter(reference=_journal_reference(kind, parameters)).exists(),
        "cash_recorded_already",
        f"{parameters['reference']} was recorded already. Check the bank statement.",
    )


def _record(kind: str, approval: Approval, now: datetime) -> dict[str, object]:
    parameters = approval.parameters
    currency = Asset.objects.get(code=parameters["currency"])
    account = LedgerAccount.objects.select_related("owner").get(pk=parameters["account"])
    bank = central.bank(currency).pk
    debit, credit = (bank, account.pk) if kind == DEPOSIT else (account.pk, bank)
    journal_id = reservations.spend(
        approval,
        posting=ledger.Posting(derive_key(kind, approval.pk), debit, credit, currency.pk, parameters["amount_minor"]),
        kind=kind,
        reference=_journal_reference(kind, parameters),
        now=now,
        note=parameters["reference"],
    )
    audit.record(
        approval.decided_by,
        f"registry.{kind}.recorded",
        account,
        at=now,
        organisation=account.owner,
        currency=currency.code,
        amount_minor=parameters["amount_minor"],
        reference=parameters["reference"],
    )
    return {"journal": journal_id}


def _reserve_withdrawal(approval: Approval, now: datetime) -> None:
    reservations.reserve(
        approval,
        account=approval.parameters["account"],
        asset=Asset.objects.get(code=approval.parameters["currency"]).pk,
        quantity=approval.parameters["amount_minor"],
        now=now,
    )


def _journal_reference(kind: str, parameters: Mapping[str, Any]) -> str:
    """Name the journal by the bank's own line, so that one line is recorded once whoever proposes it."""
    return f"{kind}:{parameters['currency']}:{parameters['reference']}"


ACTS = (
    approvals.Act(
        name=RECORD_DEPOSIT,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=partial(_check, DEPOSIT),
        execute=partial(_record, DEPOSIT),
    ),
    approvals.Act(
        name=RECORD_WITHDRAWAL,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=partial(_check, WITHDRAWAL),
        execute=partial(_record, WITHDRAWAL),
        reserve=_reserve_withdrawal,
        give_back=reservations.give_back,
    ),
)
