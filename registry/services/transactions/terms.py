"""The holder's own rules for sending from an account, changed by two of its people."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.errors import Unknown, require
from common.quantities import MAX_ENTRY
from registry.ledger.models import LedgerAccount
from registry.models import AccountTerms
from registry.permissions import may_approve_transfers, may_initiate

CHANGE_TERMS = "registry.account_terms"


@dataclass(frozen=True)
class Terms:
    """What a holder decides about one account; see `AccountTerms`."""

    second_person_always: bool = False
    outside_list: bool = True
    second_person_for_surrender: bool = False
    confirms_incoming: bool = False
    transfer_limit: int | None = None


def terms_of(account: LedgerAccount) -> Terms:
    """Return the terms of an account; one without a row has the usual ones."""
    row = AccountTerms.objects.filter(account=account).first()
    return Terms() if row is None else Terms(**{name: getattr(row, name) for name in asdict(Terms())})


def propose_terms(*, actor: User, account: LedgerAccount, terms: Terms, now: datetime) -> Approval:
    """Propose new terms of an account; a second person of the holder approves them."""
    if account.owner is None:
        raise Unknown("account_unknown", "There is no such account of yours. Choose one of your own.")
    return approvals.propose(
        actor=actor,
        act=CHANGE_TERMS,
        organisation=account.owner,
        summary=f"Change the rules for sending from {account.number}.",
        parameters={"account": account.pk} | asdict(terms),
        now=now,
    )


def _check(parameters: Mapping[str, Any]) -> None:
    limit = parameters["transfer_limit"]
    require(
        limit is None or (isinstance(limit, int) and 0 <= limit <= MAX_ENTRY),
        "transfer_limit_out_of_range",
        "The largest transfer is zero or more permits, or empty for no limit.",
    )
    before = terms_of(LedgerAccount.objects.get(pk=parameters["account"]))
    require(
        asdict(before) != {name: parameters[name] for name in asdict(before)},
        "terms_unchanged",
        "The account has these terms already. Change one of them.",
    )


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    account = LedgerAccount.objects.select_for_update(no_key=True).get(pk=approval.parameters["account"])
    if account.owner_id != approval.organisation_id:
        raise Unknown("account_unknown", "There is no such account of yours. Choose one of your own.")
    before = asdict(terms_of(account))
    after = {name: approval.parameters[name] for name in before}
    AccountTerms.objects.update_or_create(account=account, defaults=after)
    audit.record(
        approval.decided_by,
        "registry.account.terms_changed",
        account,
        at=now,
        organisation=approval.organisation,
        before=before,
        after=after,
    )
    return {"account": account.number}


ACTS = (
    approvals.Act(
        name=CHANGE_TERMS,
        may_propose=may_initiate,
        may_approve=may_approve_transfers,
        check=_check,
        execute=_execute,
    ),
)
