"""The types of transactions: one table that says who may send what to whom, with which delay, approvals and checks.

Everything that moves permits outside a trade is one of these. `docs/guides/transactions.md` shows the same table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Starter(StrEnum):
    """Who may begin a transaction."""

    INITIATOR = "initiator"
    """An initiator or approver of the holder."""
    TRADER = "trader"
    """Any representative of the holder, its traders included."""
    DESK = "desk"
    """The regulator's desk."""
    SYSTEM = "system"
    """The registry itself, as part of an act that two officers approved or on a date that the rules set."""


class Finds(StrEnum):
    """How the account on the other side is found."""

    NAMED = "named"
    """By the number that was typed."""
    CENTRAL = "central"
    """It is the central account of the period for this type's purpose."""
    ORIGINAL = "original"
    """It is where the transaction that is undone came from."""


class Second(StrEnum):
    """When a second person has to approve."""

    NEVER = "never"
    BY_TERMS = "by terms"
    """From the scheme's large quantity on, outside the trusted list where the scheme delays, or as the holder says."""
    BY_SURRENDER_TERMS = "by surrender terms"
    """Where the scheme or the holder asks for it when permits are surrendered or returned."""
    ALWAYS = "always"


HOLDER_KINDS = frozenset({"holding", "trading", "compliance", "consignment", "delivery"})
"""Kinds of accounts that a participant owns."""
RESERVES = frozenset({"set_aside", "new_entrants", "stability", "containment", "escrow"})
"""Central accounts in which permits wait."""
STORES = RESERVES | {"reserve", "auction"}
"""Central accounts that permits may leave again; the ledger calls the total quantity `reserve`."""

OPEN = frozenset({"open"})
RETURNS = frozenset({"open", "restricted"})
BY_ORDER = frozenset({"open", "restricted", "receive_only", "suspended", "transfer_pending", "closure_pending"})
"""Every grade but frozen and closed: the regulator acts where the holder may not."""
RECEIVES = frozenset({"open", "restricted", "receive_only"})
"""Grades in which an account may receive from others."""

_SENDER = ("sender_known", "sender_kind", "sender_closed", "sender_frozen", "sender_grade", "sender_owner_active")
_RECEIVER = (
    "receiver_number",
    "receiver_known",
    "receiver_kind",
    "receiver_differs",
    "receiver_frozen",
    "receiver_grade",
    "receiver_owner_active",
)
_ALWAYS = ("asset_is_permit", "quantity_whole", "nothing_frozen", "scheme_running", "books_agree")
_SPENDS = ("enough_available", "serials_free")


@dataclass(frozen=True)
class TransactionType:
    """One type of transaction. The kinds are those of ledger accounts; `checks` are functions of `checks.py` by name.

    `purpose` is what the central receiver is for. `sender_grades` are the grades of an account from which it is
    allowed. `reversed_by` names the type that undoes it, in full. `journal` is the kind of journal it posts. `act` is
    the approval it needs where a second person decides.
    """

    name: str
    title: str
    says: str
    senders: frozenset[str]
    receivers: frozenset[str]
    finds: Finds
    starters: frozenset[Starter]
    second: Second
    checks: tuple[str, ...]
    purpose: str = ""
    delay: bool = False
    confirmable: bool = False
    reversed_by: str = ""
    reverses: frozenset[str] = frozenset()
    sender_grades: frozenset[str] = OPEN
    receiver_grades: frozenset[str] = RECEIVES
    needs_beneficiary: bool = False
    needs_reason: bool = False
    journal: str = ""
    act: str = "registry.transaction"

    @property
    def journal_kind(self) -> str:
        """The kind of the journal that is posted."""
        return self.journal or self.name

    @property
    def by_holder(self) -> bool:
        """Whether a participant begins it, for itself."""
        return bool(self.starters & {Starter.INITIATOR, Starter.TRADER})

    @property
    def by_desk(self) -> bool:
        """Whether the regulator's desk begins it with accounts of its choice; what undoes another names that one."""
        return Starter.DESK in self.starters and not self.reverses


_INITIATOR = frozenset({Starter.INITIATOR})
_TRADER = frozenset({Starter.TRADER, Starter.SYSTEM})
_DESK = frozenset({Starter.DESK, Starter.SYSTEM})
_SYSTEM = frozenset({Starter.SYSTEM})

_TABLE = (
    TransactionType(
        name="issue",
        title="Issue",
        says="Permits come into being, within the published cap.",
        senders=frozenset({"issuance"}),
        receivers=frozenset({"reserve"}),
        finds=Finds.CENTRAL,
        purpose="total",
        starters=_SYSTEM,
        second=Second.NEVER,
        checks=(*_SENDER, *_RECEIVER, *_ALWAYS, "within_cap"),
        journal="issuance",
    ),
    TransactionType(
        name="allocate",
        title="Allocation",
        says="Free permits go from the total quantity, or what was set aside of it, to an operator.",
        senders=STORES - {"auction"},
        receivers=frozenset({"holding", "compliance", "consignment"}),
        finds=Finds.NAMED,
        starters=_SYSTEM,
        second=Second.NEVER,
        checks=(*_SENDER, *_RECEIVER[1:4], "receiver_frozen", *_ALWAYS, "enough_available"),
        reversed_by="reverse_allocation",
        receiver_grades=BY_ORDER,
        journal="allocation",
    ),
    TransactionType(
        name="reverse_allocation",
        title="Reversal of an allocation",
        says="A free allocation goes back to where it came from, in full.",
        senders=frozenset({"holding", "compliance", "consignment"}),
        receivers=STORES - {"auction"},
        finds=Finds.ORIGINAL,
        starters=frozenset({Starter.DESK}),
        second=Second.ALWAYS,
        checks=(*_SENDER[:-1], *_RECEIVER, *_ALWAYS, *_SPENDS, "original_completed", "not_yet_reversed", "in_full"),
        reverses=frozenset({"allocate"}),
        sender_grades=BY_ORDER,
        needs_reason=True,
    ),
    TransactionType(
        name="return_excess",
        title="Return of excess allocation",
        says="A holder gives back free permits that were too many.",
        senders=frozenset({"holding", "compliance", "consignment", "delivery"}),
        receivers=frozenset({"reserve"}),
        finds=Finds.CENTRAL,
        purpose="total",
        starters=_INITIATOR,
        second=Second.BY_SURRENDER_TERMS,
        checks=(*_SENDER, *_RECEIVER, *_ALWAYS, *_SPENDS, "within_excess"),
        sender_grades=RETURNS,
    ),
    TransactionType(
        name="transfer",
        title="Transfer",
        says="Permits go to another account, of the same holder or of another.",
        senders=frozenset({"holding", "trading", "delivery"}),
        receivers=frozenset({"holding", "trading", "compliance"}),
        finds=Finds.NAMED,
        starters=_INITIATOR,
        second=Second.BY_TERMS,
        checks=(
            *_SENDER,
            *_RECEIVER,
            "own_compliance_account",
            "on_the_list",
            *_ALWAYS,
            *_SPENDS,
            "within_amount_limit",
            "within_holding_limit",
            "debts_covered",
            "report_in_force",
        ),
        delay=True,
        confirmable=True,
        reversed_by="correct",
        act="registry.large_transfer",
    ),
    TransactionType(
        name="surrender",
        title="Surrender",
        says="Permits are given up for what was used; they count for the period of this or a later vintage.",
        senders=frozenset({"holding", "compliance"}),
        receivers=frozenset({"surrender"}),
        finds=Finds.CENTRAL,
        purpose="surrender",
        starters=_TRADER,
        second=Second.BY_SURRENDER_TERMS,
        checks=(
            *_SENDER,
            *_RECEIVER,
            "quantity_whole",
            "scheme_running",
            "books_agree",
            "vintage_usable",
            *_SPENDS,
        ),
        reversed_by="reverse_surrender",
        sender_grades=RETURNS,
    ),
    TransactionType(
        name="reverse_surrender",
        title="Reversal of a surrender",
        says="A surrender made by mistake is undone, in full; it no longer counts.",
        senders=frozenset({"surrender"}),
        receivers=frozenset({"holding", "compliance"}),
        finds=Finds.ORIGINAL,
        starters=frozenset({Starter.DESK}),
        second=Second.ALWAYS,
        checks=(*_SENDER, *_RECEIVER[:6], *_ALWAYS, "original_completed", "not_yet_reversed", "in_full"),
        reverses=frozenset({"surrender"}),
        receiver_grades=BY_ORDER,
        needs_reason=True,
    ),
    TransactionType(
        name="cancel",
        title="Voluntary cancellation",
        says="Permits are taken out of use for good, for whoever the certificate names.",
        senders=frozenset({"holding", "trading"}),
        receivers=frozenset({"cancellation"}),
        finds=Finds.CENTRAL,
        purpose="cancellation",
        starters=_INITIATOR,
        second=Second.ALWAYS,
        checks=(*_SENDER, *_RECEIVER, *_ALWAYS, *_SPENDS, "beneficiary_named", "debts_covered"),
        reversed_by="reverse_cancellation",
        needs_beneficiary=True,
    ),
    TransactionType(
        name="reverse_cancellation",
        title="Reversal of a cancellation",
        says="A cancellation made by mistake is undone, in full; its certificate says so.",
        senders=frozenset({"cancellation"}),
        receivers=frozenset({"holding", "trading"}),
        finds=Finds.ORIGINAL,
        starters=frozenset({Starter.DESK}),
        second=Second.ALWAYS,
        checks=(*_SENDER, *_RECEIVER[:6], *_ALWAYS, "original_completed", "not_yet_reversed", "in_full"),
        reverses=frozenset({"cancel"}),
        receiver_grades=BY_ORDER,
        needs_reason=True,
    ),
    TransactionType(
        name="consign",
        title="Consignment to auction",
        says="A holder's permits are put up for auction.",
        senders=frozenset({"holding", "consignment"}),
        receivers=frozenset({"auction"}),
        finds=Finds.CENTRAL,
        purpose="auction",
        starters=frozenset({Starter.INITIATOR, Starter.SYSTEM}),
        second=Second.BY_TERMS,
        checks=(*_SENDER, *_RECEIVER, *_ALWAYS, *_SPENDS, "debts_covered", "report_in_force"),
        reversed_by="correct",
    ),
    TransactionType(
        name="move_to_reserve",
        title="Move to a reserve",
        says="Permits nobody holds yet go into a set-aside or reserve.",
        senders=STORES,
        receivers=RESERVES,
        finds=Finds.NAMED,
        starters=_DESK,
        second=Second.ALWAYS,
        checks=(*_SENDER, *_RECEIVER, "receiver_of_the_scheme", *_ALWAYS, "enough_available"),
        reversed_by="correct",
        needs_reason=True,
    ),
    TransactionType(
        name="release",
        title="Release",
        says="Permits leave the total quantity or a reserve for auction, or go back to the total quantity.",
        senders=STORES,
        receivers=frozenset({"auction", "reserve"}),
        finds=Finds.NAMED,
        starters=_DESK,
        second=Second.ALWAYS,
        checks=(*_SENDER, *_RECEIVER, "receiver_of_the_scheme", *_ALWAYS, "enough_available"),
        reversed_by="correct",
        needs_reason=True,
    ),
    TransactionType(
        name="expire",
        title="Expiry",
        says="Permits whose time has passed, or that the rules invalidate, are cancelled without anybody's act.",
        senders=HOLDER_KINDS | STORES,
        receivers=frozenset({"cancellation"}),
        finds=Finds.CENTRAL,
        purpose="cancellation",
        starters=_SYSTEM,
        second=Second.NEVER,
        checks=(*_SENDER[:-1], *_RECEIVER, *_ALWAYS, "enough_available"),
        sender_grades=BY_ORDER,
    ),
    TransactionType(
        name="closure_transfer",
        title="Closure transfer",
        says="What is left in an account that closes goes to the total quantity.",
        senders=HOLDER_KINDS,
        receivers=frozenset({"reserve"}),
        finds=Finds.CENTRAL,
        purpose="total",
        starters=frozenset({Starter.DESK}),
        second=Second.ALWAYS,
        checks=(*_SENDER[:-1], *_RECEIVER, *_ALWAYS, *_SPENDS),
        reversed_by="correct",
        sender_grades=BY_ORDER,
        needs_reason=True,
    ),
    TransactionType(
        name="correct",
        title="Correction",
        says="A movement to the wrong account is undone by the regulator's order, in full; both entries stay.",
        senders=HOLDER_KINDS | STORES,
        receivers=HOLDER_KINDS | STORES,
        finds=Finds.ORIGINAL,
        starters=frozenset({Starter.DESK}),
        second=Second.ALWAYS,
        checks=(
            *_SENDER[:-1],
            *_RECEIVER[:6],
            *_ALWAYS,
            *_SPENDS,
            "original_completed",
            "not_yet_reversed",
            "in_full",
        ),
        reverses=frozenset({"transfer", "consign", "move_to_reserve", "release", "closure_transfer"}),
        sender_grades=BY_ORDER,
        receiver_grades=BY_ORDER,
        needs_reason=True,
    ),
)

TYPES: Mapping[str, TransactionType] = {one.name: one for one in _TABLE}
"""Every type by its name."""


def as_markdown() -> str:
    """Return the table as the guide shows it, one row for each type."""

    def listed(names: frozenset[str]) -> str:
        return ", ".join(sorted(name.replace("_", " ") for name in names))

    head = "| Type | From | To | Receiver | Begun by | Second person | Delay | Undone by | From an account that is |"
    rows = [
        f"| `{one.name}` {one.title} | {listed(one.senders)} | {listed(one.receivers)} | {one.finds.value}"
        f"{' (' + one.purpose + ')' if one.purpose else ''} | {listed(frozenset(one.starters))} | {one.second.value} | "
        f"{'yes' if one.delay else 'no'} | {'`' + one.reversed_by + '`' if one.reversed_by else 'nothing'} | "
        f"{listed(one.sender_grades)} |"
        for one in TYPES.values()
    ]
    return "\n".join([head, "|" + "---|" * 9, *rows, ""])
