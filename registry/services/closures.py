"""Closing an account for good: everything that stands against it is listed at once, each with its own code.

The desk proposes and a senior officer approves. While the proposal waits the account is `closure_pending`: it still
receives nothing new from its holder's side and nothing of it is traded. What stands against a closure is asked at the
proposal, at the approval and when it is done.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q, Sum

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.errors import Refused, require_none
from common.quantities import format_money
from registry.grades import accounts_of, grade_of
from registry.ledger import services as ledger
from registry.ledger.models import Asset, Balance, LedgerAccount
from registry.models import Case, DebtEntry, Operator, Period, Report, Sanction, Transaction, TrustedAccount
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services.accounts import set_grade
from registry.services.questions import still_open
from registry.standing import records

CLOSE_ACCOUNT = "registry.close_account"
WAITING = ("proposed", "delayed", "awaiting_receiver")
"""States in which a transaction may still move something."""


def propose_closure(*, actor: User, account: LedgerAccount, reason: str, now: datetime) -> Approval:
    """Propose to close an account; refused with everything that stands against it."""
    regulator = regulator_of(actor)
    require_none([*_without_reason(reason), *against_closing(account, now)])
    return approvals.propose(
        actor=actor,
        act=CLOSE_ACCOUNT,
        organisation=regulator,
        summary=f"Close account {account.number}.",
        parameters={"account": account.pk, "was": grade_of(account), "reason": reason.strip()},
        now=now,
    )


def against_closing(account: LedgerAccount, now: datetime) -> list[Refused]:
    """Return everything that stands against closing an account now."""
    if account.owner_id is None:
        return [Refused("account_is_central", "A central account of the scheme is never closed.")]
    return [
        *_grade(account),
        *_balances(account),
        *against_moving(account),
        *(refusal for operator in _operators(account) for refusal in _operator(operator, account, now)),
    ]


def against_moving(account: LedgerAccount) -> list[Refused]:
    """Return what is under way in an account, and so stands against closing it and against a new holder."""
    found = []
    held = Balance.objects.filter(account=account, held__gt=0).select_related("asset").order_by("asset__code")
    if held:
        what = ", ".join(_written(one.asset, one.held) for one in held)
        found.append(Refused("something_held", f"Held for orders, transfers or a freeze: {what}. Let that end first."))
    open_transactions = Transaction.objects.filter(Q(sender=account) | Q(receiver=account), status__in=WAITING).count()
    if open_transactions:
        found.append(
            Refused(
                "transactions_open",
                f"Transactions that wait: {open_transactions:,}. Cancel them, or let them end.",
            )
        )
    pending = TrustedAccount.objects.filter(
        Q(account=account) | Q(trusted=account), status__in=["proposed", "waiting"]
    ).count()
    if pending:
        found.append(Refused("trust_pending", f"Additions to trusted lists that wait: {pending:,}. Decide them first."))
    return [*found, *still_open(account)]


def _written(asset: Asset, quantity: int) -> str:
    """Write a quantity as people count it: money in its unit, permits as whole numbers."""
    if asset.kind == Asset.Kind.CURRENCY:
        return f"{format_money(quantity)} {asset.code.upper()}"
    return f"{quantity:,} {asset.name}"


def _without_reason(reason: str) -> list[Refused]:
    return [] if reason.strip() else [Refused("reason_missing", "Say why, in a sentence that the holder can read.")]


def _grade(account: LedgerAccount) -> list[Refused]:
    grade = grade_of(account)
    if grade in {"closed", "frozen", "transfer_pending"}:
        said = grade.replace("_", " ")
        return [Refused(f"account_{grade}", f"Account {account.number} is {said} and cannot be closed.")]
    return []


def _balances(account: LedgerAccount) -> list[Refused]:
    left = Balance.objects.filter(account=account).exclude(balance=0).select_related("asset").order_by("asset__code")
    if not left:
        return []
    what = ", ".join(_written(one.asset, one.balance) for one in left)
    return [Refused("balance_left", f"Something is left: {what}. Send, surrender or pay it out first.")]


def _operators(account: LedgerAccount) -> Iterable[Operator]:
    return Operator.objects.filter(account=account).select_related("organisation", "scheme").order_by("scheme__code")


def _operator(operator: Operator, account: LedgerAccount, now: datetime) -> list[Refused]:
    """Return what an operator still has to do before its main account may go."""
    name = operator.scheme.name
    year = now.astimezone(operator.scheme.tz).year
    found = []
    if operator.last_year is None or operator.closed_on is None:
        found.append(Refused("last_year_missing", f"{name}: the operator is still active. Record its shutdown first."))
    elif operator.last_year > year:
        found.append(Refused("last_year_to_come", f"{name}: its last year is {operator.last_year}. Close it then."))
    unreported = _unreported(operator, year)
    if unreported:
        listed = ", ".join(map(str, unreported))
        found.append(Refused("years_unreported", f"{name}: no figure is in force for {listed}."))
    owed = _owed(operator)
    if owed:
        found.append(Refused("permits_owed", f"{name}: {owed:,} permits are owed. They are surrendered first."))
    if Case.objects.filter(operator=operator, status="open").exists():
        found.append(Refused("cases_open", f"{name}: cases are open. Decide them first."))
    unpaid = Sanction.objects.filter(operator=operator, status__in=["due", "in_appeal"]).count()
    if unpaid:
        found.append(Refused("sanctions_unpaid", f"{name}: sanctions that are not paid: {unpaid:,}."))
    debt = DebtEntry.objects.filter(operator=operator).aggregate(sum=Sum("quantity"))["sum"] or 0
    if debt:
        found.append(Refused("debts_open", f"{name}: a debt of {debt:,} permits is open."))
    if accounts_of(operator).exclude(pk=account.pk).exists():
        found.append(
            Refused("operator_accounts_open", f"{name}: close the operator's other accounts before its main one.")
        )
    return found


def _unreported(operator: Operator, this_year: int) -> list[int]:
    """Return the years of the operator for which there is a period and no figure in force."""
    last = min(operator.last_year or this_year, this_year)
    in_force = Report.objects.filter(operator=operator, status__in=["verified", "determined"])
    years = (
        Period.objects.filter(scheme=operator.scheme_id, year__gte=operator.first_year, year__lte=last)
        .exclude(status="draft")
        .exclude(pk__in=in_force.values("period"))
        .order_by("year")
        .values_list("year", flat=True)
    )
    return [year for year in years if year not in operator.excluded_years]


def _owed(operator: Operator) -> int:
    """Return how many permits the operator owes over all years so far."""
    last = Period.objects.filter(obligations__operator=operator).select_related("scheme").order_by("-year").first()
    return 0 if last is None else records(last, operator=operator)[0].shortfall


def _account(approval: Approval) -> LedgerAccount:
    return LedgerAccount.objects.select_related("owner").get(pk=approval.parameters["account"])


def _mark(approval: Approval, now: datetime) -> None:
    set_grade(
        actor=approval.proposed_by,
        account_id=approval.parameters["account"],
        grade="closure_pending",
        reason=approval.parameters["reason"],
        now=now,
    )


def _give_back(approval: Approval, now: datetime) -> None:
    if grade_of(_account(approval)) == "closure_pending":
        set_grade(
            actor=approval.decided_by,
            account_id=approval.parameters["account"],
            grade=approval.parameters["was"],
            reason="The account is not closed after all.",
            now=now,
        )


def _recheck(approval: Approval, now: datetime) -> None:
    require_none(against_closing(_account(approval), now))


def _close(approval: Approval, now: datetime) -> dict[str, object]:
    account = _account(approval)
    require_none(against_closing(account, now))
    end_account(actor=approval.decided_by, account=account, reason=approval.parameters["reason"], now=now)
    return {"account": account.number}


def end_account(*, actor: User | None, account: LedgerAccount, reason: str, now: datetime) -> None:
    """Close an empty account and take it off everybody's trusted list. Part of other services."""
    terms = set_grade(actor=actor, account_id=account.pk, grade="closed", reason=reason, now=now)
    ledger.close_account(account_id=account.pk)
    ended = TrustedAccount.objects.filter(Q(account=account) | Q(trusted=account), status="active").update(
        status="removed", ended_at=now
    )
    audit.record(
        actor,
        "registry.account.closed",
        terms.account,
        at=now,
        organisation=terms.account.owner,
        number=account.number,
        trusts_ended=ended,
        reason=reason,
    )


def _in_time(parameters: object) -> None:
    """What stands against a closure depends on the time, and is asked where that is known."""


ACTS = (
    approvals.Act(
        name=CLOSE_ACCOUNT,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_in_time,
        recheck=_recheck,
        execute=_close,
        reserve=_mark,
        give_back=_give_back,
    ),
)
