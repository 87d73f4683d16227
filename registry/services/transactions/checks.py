"""The checks of transactions: one function for each, with its own stable code and a sentence that says what to do.

A type names its checks in `types.py`. All of them run when a transaction is proposed, again when a second person
approves it, and again at the moment it is carried out; everything that fails is listed, not only the first.
"""

from collections.abc import Callable, Mapping

from common.errors import Refused, SeveralRefusals, Unknown
from common.quantities import parse_whole
from registry.engine import limits
from registry.engine.policy import SanctionMode
from registry.ledger.models.account import is_account_number
from registry.services.overdue import blocked_by_missing_report
from registry.services.transactions import holdings
from registry.services.transactions.facts import Facts
from registry.services.transactions.types import BY_ORDER

Check = Callable[[Facts], Refused | None]


def failures(facts: Facts) -> list[Refused]:
    """Return what every failing check of the type says."""
    found = (CHECKS[name](facts) for name in facts.type.checks)
    return [refusal for refusal in found if refusal is not None]


def require_all(facts: Facts) -> None:
    """Refuse a movement of which any check fails, with the sentence of each."""
    refuse_with(failures(facts))


def refuse_with(refusals: list[Refused]) -> None:
    """Raise what was found: one refusal as it is, several together, none not at all."""
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        raise SeveralRefusals(refusals)


# The sender ----------------------------------------------------------------------------------------------------------


def sender_known(facts: Facts) -> Refused | None:
    """There is such an account to send from."""
    if facts.sender is None:
        return Unknown("sender_unknown", "There is no such account to send from. Choose one of your own.")
    return None


def sender_kind(facts: Facts) -> Refused | None:
    """Its kind may send by this type: what lies in a compliance account leaves it by surrender alone."""
    if facts.sender is None or facts.sender.kind in facts.type.senders:
        return None
    return Refused(
        "sender_kind_wrong",
        f"{facts.type.title} is not possible from a {facts.sender.get_kind_display().lower()} account. "
        "Choose another account or type.",
    )


def sender_closed(facts: Facts) -> Refused | None:
    """It is not closed."""
    if facts.sender is not None and "closed" in {facts.sender.status, facts.grade(facts.sender)}:
        return Refused("sender_closed", f"Account {facts.sender.number} is closed. Choose another account.")
    return None


def sender_frozen(facts: Facts) -> Refused | None:
    """It is not frozen; nobody may move anything from a frozen account."""
    if facts.sender is not None and "frozen" in {facts.sender.status, facts.grade(facts.sender)}:
        return Refused(
            "sender_frozen", f"Account {facts.sender.number} is frozen: nothing may leave it. Ask the regulator why."
        )
    return None


def sender_grade(facts: Facts) -> Refused | None:
    """Its grade allows this type. The regulator and the registry act in every grade but frozen and closed."""
    allowed = BY_ORDER if facts.asked.by_order else facts.type.sender_grades
    grade = facts.grade(facts.sender)
    if grade in allowed | {"frozen", "closed"} or facts.sender is None:
        return None
    return Refused(
        "sender_restricted",
        f"Account {facts.sender.number} is {grade.replace('_', ' ')}, which does not allow this: "
        f"{facts.type.title.lower()}. Ask the regulator what to do.",
    )


def sender_owner_active(facts: Facts) -> Refused | None:
    """Its owner is active; a suspended owner sends nothing, whenever it was proposed."""
    owner = None if facts.sender is None else facts.sender.owner
    if owner is None or owner.status == "active" or facts.asked.by_order:
        return None
    return Refused("sender_suspended", f"{owner} is {owner.status} and cannot send anything. Ask the regulator why.")


# The receiver --------------------------------------------------------------------------------------------------------


def receiver_number(facts: Facts) -> Refused | None:
    """A typed number has the right check digits."""
    if facts.asked.to_number is None or is_account_number(facts.asked.to_number):
        return None
    return Refused(
        "account_number_wrong",
        "The check digits do not fit this account number. Compare it with the receiver's.",
    )


def receiver_known(facts: Facts) -> Refused | None:
    """There is such an account, open and of a kind that receives. To others, a closed one looks like an unknown one."""
    if receiver_number(facts) is not None:
        return None
    receiver = facts.receiver
    hidden = not facts.asked.by_order and facts.asked.to_number is not None and not _is_visible(facts)
    if receiver is None or "closed" in {receiver.status, facts.grade(receiver)} or hidden:
        return Unknown("account_unknown", "There is no open account with this number. Compare it with the receiver's.")
    return None


def _is_visible(facts: Facts) -> bool:
    """Whether a participant may know of the account that it typed."""
    receiver = facts.receiver
    if receiver is None or receiver.kind not in facts.type.receivers:
        return False
    return receiver.owner is not None and receiver.owner.status != "closed"


def receiver_kind(facts: Facts) -> Refused | None:
    """Its kind may receive by this type."""
    if receiver_known(facts) is not None or facts.receiver is None or facts.receiver.kind in facts.type.receivers:
        return None
    return Refused(
        "receiver_kind_wrong",
        f"{facts.type.title} is not possible into a {facts.receiver.get_kind_display().lower()} account. "
        "Choose another account or type.",
    )


def receiver_differs(facts: Facts) -> Refused | None:
    """It is another account than the sender's."""
    if facts.receiver is not None and facts.receiver.pk == facts.asked.sender:
        return Refused("same_account", "This is your own account. Enter the receiver's number.")
    return None


def receiver_frozen(facts: Facts) -> Refused | None:
    """It is not frozen."""
    if (
        receiver_known(facts) is None
        and facts.receiver
        and "frozen"
        in {
            facts.receiver.status,
            facts.grade(facts.receiver),
        }
    ):
        return Refused("account_frozen", f"Account {facts.receiver.number} cannot receive at present.")
    return None


def receiver_grade(facts: Facts) -> Refused | None:
    """Its grade lets it receive."""
    grade = facts.grade(facts.receiver)
    if facts.receiver is None or grade in facts.type.receiver_grades | {"frozen", "closed"}:
        return None
    return Refused("receiver_restricted", f"Account {facts.receiver.number} cannot receive at present.")


def receiver_owner_active(facts: Facts) -> Refused | None:
    """Its owner is active."""
    owner = None if facts.receiver is None else facts.receiver.owner
    if owner is None or owner.status != "suspended" or facts.receiver is None:
        return None
    return Refused("receiver_suspended", f"The owner of {facts.receiver.number} is suspended and cannot receive.")


def receiver_of_the_scheme(facts: Facts) -> Refused | None:
    """A central account that was named keeps permits of the same scheme: those of two schemes never mix."""
    if facts.receiver is None or facts.period is None or facts.receiver.owner_id is not None:
        return None
    scheme = facts.batch.schemes_by_code.get((facts.receiver.reference or "").partition(":")[2])
    if scheme in {None, facts.period.scheme_id}:
        return None
    return Refused(
        "receiver_of_another_scheme",
        f"Account {facts.receiver.number} belongs to another scheme. Name an account of {facts.period.scheme}.",
    )


def own_compliance_account(facts: Facts) -> Refused | None:
    """Permits go into a compliance account from its own holder only, as nothing comes back out of it."""
    if facts.receiver is None or facts.receiver.kind != "compliance" or facts.same_owner:
        return None
    return Refused(
        "compliance_account_of_another",
        "This is another holder's compliance account: only its holder may send there. Ask for its holding account.",
    )


def on_the_list(facts: Facts) -> Refused | None:
    """It is on the trusted list, where the holder allows no transfers outside of it."""
    terms = facts.terms(facts.sender)
    if terms is None or terms.outside_list or facts.trusted or facts.receiver is None:
        return None
    return Refused(
        "receiver_not_trusted",
        "Your account sends to trusted accounts only, and this one is not on the list in force. Add it to the list.",
    )


# What moves ----------------------------------------------------------------------------------------------------------


def asset_is_permit(facts: Facts) -> Refused | None:
    """It is a permit of a scheme; money never moves between firms outside a trade."""
    if facts.period is None:
        return Refused(
            "cash_not_transferable", "Only permits can be transferred. Money moves by trades, deposits and payments."
        )
    return None


def quantity_whole(facts: Facts) -> Refused | None:
    """The quantity is a whole number that an entry may have."""
    try:
        parse_whole(facts.asked.quantity)
    except Refused as refusal:
        return refusal
    return None


def vintage_usable(facts: Facts) -> Refused | None:
    """Permits are surrendered for the period of their vintage or a later one of the same scheme.

    Where a shortfall costs permits, what makes it good after the deadline may be of any vintage [CA-95856]; so may
    what the registry itself takes for it then.
    """
    permits, target = facts.period, facts.target
    if target is None:
        return Refused("vintage_not_usable", "Only permits can be surrendered. Choose permits of the scheme.")
    costs_permits = facts.policy is not None and facts.policy.sanction.mode is SanctionMode.PERMITS
    is_late = (costs_permits or facts.asked.by_order) and facts.now >= target.surrender_due
    if permits is not None and permits.scheme_id == target.scheme_id and (is_late or permits.year <= target.year):
        return None
    return Refused(
        "vintage_not_usable",
        f"Only permits of {target.year} or earlier years of this scheme count for {target.year}.",
    )


def enough_available(facts: Facts) -> Refused | None:
    """The sender has enough that is not held for something else. Of permits that do not count, no amount is enough."""
    if "vintage_usable" in facts.type.checks and vintage_usable(facts) is not None:
        return None
    if facts.quantity is None or facts.sender is None or facts.sender.contra or facts.quantity <= facts.available:
        return None
    return Refused(
        "insufficient_available",
        f"Account {facts.sender.number} does not have enough available: what is held cannot be spent.",
    )


def serials_free(facts: Facts) -> Refused | None:
    """Enough of what the sender has carries numbers that are not frozen."""
    if facts.quantity is None or facts.balance is None or not facts.stopped:
        return None
    gone = min(0, facts.batch.moved[facts.asked.sender, facts.asked.asset])  # what came in may carry such numbers too
    free = facts.balance.balance + gone - facts.stopped
    if facts.quantity <= free:
        return None
    return Refused(
        "serials_frozen",
        f"{facts.stopped:,} of your permits have numbers that are frozen: at most {max(0, free):,} may move.",
    )


def within_cap(facts: Facts) -> Refused | None:
    """What has been issued and what is to be issued stays within the published cap."""
    if facts.quantity is None or facts.period is None:
        return None
    if facts.issued + facts.quantity <= facts.cap:
        return None
    return Refused(
        "cap_exceeded",
        f"The published cap is {facts.cap:,} permits, and {facts.issued:,} have been issued: "
        f"at most {max(0, facts.cap - facts.issued):,} more may be.",
    )


def within_excess(facts: Facts) -> Refused | None:
    """No more is returned than was given too much. Of what the registry takes back, its own finding is the measure."""
    if facts.asked.by_order or facts.quantity is None or facts.quantity <= facts.excess:
        return None
    return Refused(
        "more_than_excess",
        f"You were given {facts.excess:,} permits of this year too many. Return no more than that.",
    )


def within_amount_limit(facts: Facts) -> Refused | None:
    """The quantity stays within the lower of the scheme's limit for one transfer and the holder's own."""
    if facts.quantity is None or facts.policy is None or facts.asked.by_order:
        return None
    terms = facts.terms(facts.sender)
    found = limits.transfer_refusal(
        facts.quantity, facts.policy.limits.transfer, None if terms is None else terms.transfer_limit
    )
    return None if found is None else Refused(found.code, found.sentence)


def within_holding_limit(facts: Facts) -> Refused | None:
    """The receiver's group stays within its holding limit."""
    found = holdings.refusal(facts)
    return None if found is None else Refused(found.code, found.sentence)


def debts_covered(facts: Facts) -> Refused | None:
    """Enough stays behind for what the holder owes in permits beside its obligations."""
    if facts.quantity is None or not facts.debt or facts.same_owner or facts.asked.by_order:
        return None
    free = max(0, facts.wealth - facts.debt)
    if facts.quantity <= free:
        return None
    return Refused(
        "debt_outstanding",
        f"You owe {facts.debt:,} permits: at most {free:,} may leave your accounts. Pay the debt first.",
    )


def report_in_force(facts: Facts) -> Refused | None:
    """No report of the sender is overdue where rules ask for it; surrender stays open (late case 1)."""
    if facts.sender is None or facts.period is None or facts.asked.by_order:
        return None
    operator = facts.batch.operators.get((facts.sender.owner_id, facts.period.scheme_id))
    if operator is None:
        return None
    blocked = facts.batch.blocked
    if operator.pk not in blocked:
        blocked[operator.pk] = blocked_by_missing_report(operator, facts.batch.now)
    if not blocked[operator.pk]:
        return None
    return Refused(
        "report_missing",
        "A report of yours is overdue: nothing but a surrender may leave your account until it has been verified.",
    )


def beneficiary_named(facts: Facts) -> Refused | None:
    """The certificate has somebody to name."""
    if 0 < len(facts.asked.beneficiary.strip()) <= 200:
        return None
    return Refused(
        "beneficiary_missing",
        "Say for whom the permits are cancelled, in at most 200 characters: the certificate does.",
    )


# What stops everything -----------------------------------------------------------------------------------------------


def nothing_frozen(facts: Facts) -> Refused | None:
    """Neither the scheme nor the whole registry is frozen."""
    if not facts.freezes:
        return None
    what = "The registry" if facts.freezes[0].scheme_id is None else "This scheme"
    return Refused(
        "movements_frozen",
        f"{what} is frozen: only surrenders are possible. Try again when the regulator has lifted it.",
    )


def scheme_running(facts: Facts) -> Refused | None:
    """No court has stopped the scheme. Nothing is surrendered meanwhile; whether permits move is the court's word."""
    stop = facts.suspension
    if stop is None or (facts.asked.kind != "surrender" and (stop.trading or facts.asked.by_order)):
        return None
    return Refused(
        "scheme_suspended",
        "A court has stopped this scheme: this is not possible until it goes on. No deadline passes.",
    )


def books_agree(facts: Facts) -> Refused | None:
    """The newest reconciliation found no difference in either account."""
    if not facts.differs:
        return None
    return Refused(
        "reconciliation_difference",
        "The nightly reconciliation found a difference in this account. It opens again when the cause is found.",
    )


# Reversals -----------------------------------------------------------------------------------------------------------


def original_completed(facts: Facts) -> Refused | None:
    """What is to be undone was done, and by a type that this one undoes."""
    original = facts.original
    if original is None:
        return Unknown("original_unknown", "There is no such transaction to undo. Check its number.")
    if original.kind not in facts.type.reverses:
        return Refused("original_of_another_type", f"{facts.type.title} does not undo this: {original.kind}.")
    if original.status not in {"completed", "reversed"}:
        return Refused("original_not_completed", f"Only what was done can be undone; this one is {original.status}.")
    return None


def not_yet_reversed(facts: Facts) -> Refused | None:
    """It has not been undone, and nothing waits to undo it."""
    original = facts.original
    if original is None or (original.status != "reversed" and facts.reversal is None):
        return None
    return Refused("reversed_already", "This transaction has been undone already, or a proposal to undo it waits.")


def in_full(facts: Facts) -> Refused | None:
    """It is undone as a whole: the same permits and quantity, back the same way."""
    original = facts.original
    if original is None:
        return None
    same = (original.asset_id, original.quantity, original.receiver_id, original.sender_id) == (
        facts.asked.asset,
        facts.quantity,
        facts.asked.sender,
        facts.asked.receiver,
    )
    if same:
        return None
    return Refused(
        "reversal_not_full", f"A transaction is undone in full or not at all: {original.quantity:,} permits, back."
    )


CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        sender_known,
        sender_kind,
        sender_closed,
        sender_frozen,
        sender_grade,
        sender_owner_active,
        receiver_number,
        receiver_known,
        receiver_kind,
        receiver_differs,
        receiver_frozen,
        receiver_grade,
        receiver_owner_active,
        receiver_of_the_scheme,
        own_compliance_account,
        on_the_list,
        asset_is_permit,
        quantity_whole,
        vintage_usable,
        enough_available,
        serials_free,
        within_cap,
        within_excess,
        within_amount_limit,
        within_holding_limit,
        debts_covered,
        report_in_force,
        beneficiary_named,
        nothing_frozen,
        scheme_running,
        books_agree,
        original_completed,
        not_yet_reversed,
        in_full,
    )
}
"""Every check by its name."""
