"""A new holder for an account: when a firm sells a site, its operator goes over with its years, reports and debts.

An account never changes its owner, so that a number always names one holder. The new holder gets an account with a new
number, everything moves into it in one journal, and the old account is closed. An operator's accounts for compliance
and consignment go with its main account (docs/decisions/0009-a-new-holder-gets-a-new-account.md).
"""

from datetime import datetime

from django.db.models import QuerySet

from accounts.models import Approval, Organisation, User
from accounts.services import approvals, audit
from common.errors import Refused, require_none
from common.idempotency import derive_key
from registry.grades import BY_OPERATOR, accounts_of, grade_of
from registry.ledger import services as ledger
from registry.ledger.models import Balance, LedgerAccount
from registry.models import AccountTerms, HolderChange, Operator
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services.accounts import holder_refusals, open_for, set_grade
from registry.services.closures import against_moving, end_account
from registry.services.operators import locked

CHANGE_HOLDER = "registry.change_holder"
PENDING = "transfer_pending"


def propose_new_holder(
    *, actor: User, account: LedgerAccount, holder: Organisation, agreement: str, now: datetime
) -> Approval:
    """Propose that an account, with all that lies in it and the operators whose main account it is, goes over."""
    regulator = regulator_of(actor)
    moving = moving_accounts(account)
    refusals = [Refused("agreement_missing", "Name the contract or decision.")] if not agreement.strip() else []
    require_none(
        [
            *refusals,
            *against_new_holder(account, holder),
            *(
                Refused(
                    "account_not_open", f"Account {one.number} is {grade_of(one).replace('_', ' ')}. Open it first."
                )
                for one in moving
                if grade_of(one) != "open"
            ),
        ]
    )
    return approvals.propose(
        actor=actor,
        act=CHANGE_HOLDER,
        organisation=regulator,
        summary=f"Hand account {account.number} over to {holder}.",
        parameters={
            "account": account.pk,
            "accounts": [one.pk for one in moving],
            "holder": str(holder.pk),
            "agreement": agreement.strip()[:200],
        },
        now=now,
    )


def moving_accounts(account: LedgerAccount) -> list[LedgerAccount]:
    """Return the accounts that go over together: the account, and those of the operators it is the main one of."""
    others = [one for operator in _operators(account) for one in accounts_of(operator)]
    return sorted({one.pk: one for one in [account, *others]}.values(), key=lambda one: one.pk)


def against_new_holder(account: LedgerAccount, holder: Organisation) -> list[Refused]:
    """Return everything that stands against handing an account over to a holder."""
    if account.owner_id is None:
        return [Refused("account_is_central", "A central account of the scheme has no holder.")]
    found = list(holder_refusals(holder))
    if account.owner_id == holder.pk:
        found.append(Refused("same_holder", f"{holder} holds this account already."))
    if account.kind in BY_OPERATOR:
        found.append(
            Refused("account_of_an_operator", "This account goes over with the operator's main account. Choose that.")
        )
    there = Operator.objects.filter(organisation=holder).values("scheme")
    found += [
        Refused(
            "holder_operates_already",
            f"{holder} is an operator of {operator.scheme} already, and there is one for each scheme. "
            "Transfer the permits and record the shutdown of the other operator.",
        )
        for operator in _operators(account).filter(scheme__in=there)
    ]
    for one in moving_accounts(account):
        found += against_moving(one)
    return found


def _operators(account: LedgerAccount) -> QuerySet[Operator]:
    return Operator.objects.filter(account=account).select_related("scheme").order_by("pk")


def _mark(approval: Approval, now: datetime) -> None:
    for account in approval.parameters["accounts"]:
        set_grade(
            actor=approval.proposed_by,
            account_id=account,
            grade=PENDING,
            reason=f"The account is being handed over: {approval.parameters['agreement']}",
            now=now,
        )


def _give_back(approval: Approval, now: datetime) -> None:
    for account in LedgerAccount.objects.filter(pk__in=approval.parameters["accounts"]).order_by("pk"):
        if grade_of(account) == PENDING:
            set_grade(
                actor=approval.decided_by,
                account_id=account.pk,
                grade="open",
                reason="The account is not handed over after all.",
                now=now,
            )


def _recheck(approval: Approval, now: datetime) -> None:
    account, holder = _named(approval)
    found = against_new_holder(account, holder)
    if [one.pk for one in moving_accounts(account)] != approval.parameters["accounts"] or any(
        grade_of(one) != PENDING for one in moving_accounts(account)
    ):
        found.append(Refused("accounts_changed", "These accounts changed since the proposal. Propose it again."))
    require_none(found)


def _named(approval: Approval) -> tuple[LedgerAccount, Organisation]:
    account = LedgerAccount.objects.select_related("owner").get(pk=approval.parameters["account"])
    return account, Organisation.objects.get(pk=approval.parameters["holder"])


def _hand_over(approval: Approval, now: datetime) -> dict[str, object]:
    account, holder = _named(approval)
    operators = [locked(operator) for operator in _operators(account)]
    moving = list(
        LedgerAccount.objects.select_for_update(no_key=True)
        .filter(pk__in=approval.parameters["accounts"])
        .order_by("pk")
    )
    _recheck(approval, now)
    former = {one.pk: operator for operator in operators for one in accounts_of(operator)}
    opened = {one.pk: _open_anew(one, holder, former.get(one.pk), now) for one in moving}
    journal = _move(approval, {old: new.pk for old, new in opened.items()}, now)
    for operator in operators:
        _take_over(approval, operator, holder, opened[account.pk], journal, now)
    for one in moving:
        end_account(
            actor=approval.decided_by,
            account=one,
            reason=f"Handed over to {holder} as {opened[one.pk].number}.",
            now=now,
        )
    audit.record(
        approval.decided_by,
        "registry.account.handed_over",
        account,
        at=now,
        organisation=account.owner,
        holder=str(holder.pk),
        number=opened[account.pk].number,
        agreement=approval.parameters["agreement"],
    )
    return {"account": opened[account.pk].number, "journal": journal}


def _open_anew(account: LedgerAccount, holder: Organisation, operator: Operator | None, now: datetime) -> LedgerAccount:
    """Open the account that takes the place of one. Its terms are the usual ones: the new holder sets its own."""
    label = holder.name if account.owner is not None and account.label == account.owner.name else account.label
    new = open_for(holder=holder, kind=account.kind, label=label, operator=operator, now=now)
    AccountTerms.objects.create(account=new)
    return new


def _move(approval: Approval, places: dict[int, int], now: datetime) -> int | None:
    """Move everything into the new accounts, in one journal; nothing to move gives none."""
    ledger.lock_balances(
        Balance.objects.filter(account__in=places).order_by("pk").values_list("account_id", "asset_id")
    )
    postings = [
        ledger.Posting(
            derive_key("holder-change", approval.pk, balance.pk),
            balance.account_id,
            places[balance.account_id],
            balance.asset_id,
            balance.balance,
        )
        for balance in Balance.objects.filter(account__in=places, balance__gt=0).order_by("pk")
    ]
    if not postings:
        return None
    return ledger.post(
        transfers=postings,
        kind="holder_change",
        reference=f"holder-change:{approval.pk}",
        actor=approval.decided_by,
        now=now,
        note=approval.parameters["agreement"],
    ).journal_id


def _take_over(
    approval: Approval,
    operator: Operator,
    holder: Organisation,
    account: LedgerAccount,
    journal: int | None,
    now: datetime,
) -> None:
    """Let an operator go over with all it owes. The former holder's standing instruction ends with it."""
    HolderChange.objects.create(
        operator=operator,
        from_organisation=operator.organisation,
        to_organisation=holder,
        from_account=operator.account,
        to_account=account,
        journal_id=journal,
        approval=approval,
        at=now,
    )
    audit.record(
        approval.decided_by,
        "registry.operator.handed_over",
        operator,
        at=now,
        organisation=operator.organisation,
        holder=str(holder.pk),
    )
    operator.organisation, operator.account, operator.surrenders_automatically = holder, account, False
    operator.save(update_fields=["organisation", "account", "surrenders_automatically"])


def _in_time(parameters: object) -> None:
    """What stands against it is asked with the proposal at hand."""


ACTS = (
    approvals.Act(
        name=CHANGE_HOLDER,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_in_time,
        recheck=_recheck,
        execute=_hand_over,
        reserve=_mark,
        give_back=_give_back,
    ),
)
