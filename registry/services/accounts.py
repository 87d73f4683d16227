"""Accounts of holders: opening further ones, and their grades.

| kind | for whom | how many live ones | what for |
|---|---|---|---|
| holding | an operator of any scheme | 20 | holds, trades and surrenders |
| trading | a firm or lab | 20 | holds and trades, owes nothing |
| compliance | an operator of one scheme | 1 | one way: what goes in can only be surrendered |
| consignment | an operator of one scheme | 1 | gives permits to the auction |
| delivery | a firm or lab | 1 | receives what was won at auction |

The regulator opens an account with four eyes. A senior officer changes a grade alone, and any officer of the desk may
freeze at once; only two people together open again what was frozen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Approval, Organisation, User
from accounts.permissions import is_senior_officer
from accounts.services import approvals, audit
from common.database import assert_in_transaction
from common.errors import Refused, Unknown, refuse, require, require_none, require_permission
from common.quantities import MAX_ENTRY
from registry.grades import BY_OPERATOR, grade_of, outstanding_identity, reference_of
from registry.ledger import services as ledger
from registry.ledger.models import Difference, LedgerAccount, Reconciliation
from registry.models import GRADE, AccountTerms, Operator
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of

OPEN_ACCOUNT = "registry.open_account"
REOPEN_ACCOUNT = "registry.reopen_account"

SETTABLE = ("open", "restricted", "receive_only", "suspended", "frozen")
"""The grades that an officer chooses; the others come and go with closures and changes of holder."""

TERMS: Mapping[str, type] = {
    "second_person_always": bool,
    "outside_list": bool,
    "second_person_for_surrender": bool,
    "confirms_incoming": bool,
    "transfer_limit": int,
}


@dataclass(frozen=True)
class AccountKind:
    """One kind of account that a holder may have: for whom it is, and how many live ones."""

    most: int
    needs_operator: bool = False
    by_operator: bool = False


KINDS: Mapping[str, AccountKind] = {
    "holding": AccountKind(most=20, needs_operator=True),
    "trading": AccountKind(most=20),
    "compliance": AccountKind(most=1, needs_operator=True, by_operator=True),
    "consignment": AccountKind(most=1, needs_operator=True, by_operator=True),
    "delivery": AccountKind(most=1),
}

# Opening --------------------------------------------------------------------------------------------------------------


def propose_opening(
    *,
    actor: User,
    holder: Organisation,
    kind: str,
    label: str,
    now: datetime,
    operator: Operator | None = None,
    terms: Mapping[str, object] | None = None,
) -> Approval:
    """Propose to open an account for a holder. Accounts for compliance and consignment belong to one operator."""
    regulator = regulator_of(actor)
    return approvals.propose(
        actor=actor,
        act=OPEN_ACCOUNT,
        organisation=regulator,
        summary=f"Open a {kind} account for {holder}.",
        parameters={
            "holder": str(holder.pk),
            "kind": kind,
            "label": " ".join(label.split()),
            "operator": None if operator is None else str(operator.pk),
            "terms": dict(terms or {}),
        },
        now=now,
    )


def _check_opening(parameters: Mapping[str, Any]) -> None:
    holder = Organisation.objects.get(pk=parameters["holder"])
    kind = KINDS.get(parameters["kind"])
    if kind is None:
        refuse("account_kind_unknown", f"Choose one of the kinds: {', '.join(KINDS)}.")
    found = [
        *holder_refusals(holder),
        *_operator_refusals(holder, kind, parameters),
        *_terms_refusals(parameters["terms"]),
    ]
    if not 0 < len(parameters["label"]) <= 200:
        found.append(Refused("account_label_missing", "Name the account in at most 200 letters."))
    if _live(holder, parameters).count() >= kind.most:
        found.append(
            Refused("too_many_accounts", f"There can be {kind.most} of these accounts. Close one that is not used.")
        )
    require_none(found)


def holder_refusals(holder: Organisation) -> list[Refused]:
    """Return why an organisation may not be given an account."""
    found = []
    if not holder.trades:
        found.append(Refused("holder_cannot_hold", "Only a firm or an academic lab can hold permits."))
    if holder.status != "active":
        found.append(Refused("holder_not_active", f"{holder} is {holder.status}. Restore it first."))
    waiting = outstanding_identity(holder.pk).first()
    if waiting is not None:
        found.append(
            Refused(
                "identity_outstanding",
                f"{holder} was asked for a document ({waiting.kind}) that is not accepted yet. Review it first.",
            )
        )
    return found


def _operator_refusals(holder: Organisation, kind: AccountKind, parameters: Mapping[str, Any]) -> list[Refused]:
    if not kind.needs_operator:
        return []
    if not kind.by_operator:
        if Operator.objects.filter(organisation=holder, closed_on=None).exists():
            return []
        return [Refused("operator_missing", f"{holder} is no operator. Enrol it, or open a trading account.")]
    operator = _operator(parameters)
    if operator is None or operator.organisation_id != holder.pk:
        return [Refused("operator_missing", f"Say for which scheme of {holder} this account is.")]
    if operator.closed_on is not None:
        return [Refused("operator_closed", f"{operator} closed on {operator.closed_on:%-d %B %Y}.")]
    return []


def _operator(parameters: Mapping[str, Any]) -> Operator | None:
    return Operator.objects.filter(pk=parameters["operator"]).first() if parameters["operator"] else None


def _live(holder: Organisation, parameters: Mapping[str, Any]) -> "QuerySet[LedgerAccount]":
    accounts = LedgerAccount.objects.filter(owner=holder, kind=parameters["kind"]).exclude(status="closed")
    operator = _operator(parameters)
    if parameters["kind"] in BY_OPERATOR and operator is not None:
        return accounts.filter(reference__startswith=reference_of(parameters["kind"], operator))
    return accounts


def _open(approval: Approval, now: datetime) -> dict[str, object]:
    parameters = approval.parameters
    holder = Organisation.objects.select_for_update(no_key=True).get(pk=parameters["holder"])
    _check_opening(parameters)  # again, now that nobody opens another one meanwhile
    account = open_for(
        holder=holder, kind=parameters["kind"], label=parameters["label"], operator=_operator(parameters), now=now
    )
    AccountTerms.objects.create(account=account, **parameters["terms"])
    audit.record(
        approval.decided_by,
        "registry.account.opened",
        account,
        at=now,
        organisation=holder,
        kind=account.kind,
        number=account.number,
    )
    return {"account": account.number}


def open_for(*, holder: Organisation, kind: str, label: str, operator: Operator | None, now: datetime) -> LedgerAccount:
    """Open an account without asking anybody. Part of other services. One of an operator's is named after it."""
    assert_in_transaction()
    reference = None
    if kind in BY_OPERATOR:
        assert operator is not None, "Whose is it?"
        begins = reference_of(kind, operator)
        earlier = LedgerAccount.objects.filter(reference__startswith=begins).count()
        reference = f"{begins}:{earlier + 1}"
    return ledger.open_account(kind=kind, owner=holder, label=label, reference=reference, now=now)


def _terms_refusals(terms: Mapping[str, object]) -> list[Refused]:
    found = []
    for name, value in terms.items():
        wanted = TERMS.get(name)
        if wanted is None:
            found.append(Refused("term_unknown", f"There is no rule {name}. Known are: {', '.join(TERMS)}."))
        elif name == "transfer_limit":
            if value is not None and not (type(value) is int and 0 <= value <= MAX_ENTRY):
                found.append(Refused("transfer_limit_out_of_range", "A limit is a whole number of permits, or none."))
        elif not isinstance(value, wanted):
            found.append(Refused("term_not_yes_or_no", f"Say yes or no to {name}."))
    return found


# Grades ---------------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def change_grade(*, actor: User, account: LedgerAccount, grade: str, reason: str, now: datetime) -> AccountTerms:
    """Restrict, suspend, freeze or reopen an account, with the reason that its holder reads.

    What is frozen is opened again by two people (`propose_reopening`).
    """
    require_permission(is_senior_officer(actor), "Only a senior officer of the regulator may change a grade.")
    require(grade in SETTABLE, "grade_unknown", f"Choose one of the grades: {', '.join(SETTABLE)}.")
    require(
        grade_of(account) != "frozen", "reopening_needs_two", "A frozen account is opened by two officers. Propose it."
    )
    return set_grade(actor=actor, account_id=account.pk, grade=grade, reason=reason, now=now)


def set_grade(*, actor: User | None, account_id: int, grade: str, reason: str, now: datetime) -> AccountTerms:
    """Give an account another grade, and freeze or unfreeze it in the ledger with it. Part of other services."""
    assert_in_transaction()
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the holder can read.")
    terms = _locked_terms(account_id)
    was = grade_of(terms.account)
    if was == "frozen" and terms.grade != "frozen":  # the ledger froze it by itself; the terms catch up first
        GRADE.require(terms.grade, "frozen")
        terms.grade = "frozen"
        terms.save(update_fields=["grade"])
    GRADE.require(was, grade)
    if grade == "frozen":
        ledger.freeze_account(account_id=account_id)
    elif was == "frozen":
        ledger.unfreeze_account(account_id=account_id)
    terms.grade, terms.grade_reason = grade, reason.strip()[:500]
    terms.save(update_fields=["grade", "grade_reason"])
    audit.record(
        actor,
        "registry.account.grade_changed",
        terms.account,
        at=now,
        organisation=terms.account.owner,
        was=was,
        grade=grade,
        reason=reason,
    )
    return terms


def propose_reopening(*, actor: User, account: LedgerAccount, grade: str, reason: str, now: datetime) -> Approval:
    """Propose to take the freeze off an account; another officer, a senior one, approves."""
    regulator = regulator_of(actor)
    return approvals.propose(
        actor=actor,
        act=REOPEN_ACCOUNT,
        organisation=regulator,
        summary=f"Take the freeze off account {account.number}.",
        parameters={"account": account.pk, "grade": grade, "reason": reason.strip()},
        now=now,
    )


def _check_reopening(parameters: Mapping[str, Any]) -> None:
    account = LedgerAccount.objects.get(pk=parameters["account"])
    require(bool(parameters["reason"]), "reason_missing", "Say why, in a sentence that the holder can read.")
    require(grade_of(account) == "frozen", "account_not_frozen", f"Account {account.number} is not frozen.")
    require(
        parameters["grade"] in SETTABLE and parameters["grade"] != "frozen",
        "grade_unknown",
        "Choose the grade that the account shall have: open, restricted, receive_only or suspended.",
    )
    last = Reconciliation.objects.order_by("-pk").first()
    require(
        last is None or not Difference.objects.filter(reconciliation=last, account=account).exists(),
        "books_differ",
        "The last reconciliation found a difference in this account. Clear that up first.",
    )


def _reopen(approval: Approval, now: datetime) -> dict[str, object]:
    parameters = approval.parameters
    lacking = ledger.hold_stopped(account_id=parameters["account"], now=now)
    require(
        lacking == 0,
        "frozen_serials_not_held",
        f"{lacking:,} permits with frozen numbers back open orders or waiting transfers. Let these be cancelled first.",
    )
    terms = set_grade(
        actor=approval.decided_by,
        account_id=parameters["account"],
        grade=parameters["grade"],
        reason=parameters["reason"],
        now=now,
    )
    return {"account": terms.account.number, "grade": terms.grade}


def _locked_terms(account_id: int) -> AccountTerms:
    """Lock an account and its terms, which are written down now if they were the usual ones so far."""
    assert_in_transaction()
    account = (
        LedgerAccount.objects.select_for_update(of=("self",), no_key=True)
        .select_related("owner")
        .filter(pk=account_id)
        .first()
    )
    if account is None:
        raise Unknown("account_unknown", "There is no such account. Check the number.")
    terms, _ = AccountTerms.objects.get_or_create(account=account)
    terms = AccountTerms.objects.select_for_update().get(pk=terms.pk)
    terms.account = account
    return terms


ACTS = (
    approvals.Act(
        name=OPEN_ACCOUNT,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_opening,
        execute=_open,
    ),
    approvals.Act(
        name=REOPEN_ACCOUNT,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_reopening,
        execute=_reopen,
    ),
)
