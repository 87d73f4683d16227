"""What the ledger says when it refuses: one sentence for each code its SQL functions answer with."""

from collections.abc import Iterable
from typing import NoReturn

from common.errors import refuse
from common.quantities import MAX_ENTRY
from registry.ledger.models import LedgerAccount

SENTENCES = {
    "account_unknown": "There is no ledger account {account}. Check its number.",
    "account_frozen": "Account {account} is frozen: nothing may enter or leave it until the administrator reopens it.",
    "account_closed": "Account {account} is closed. Use another account.",
    "account_final": "Units in account {account} have been surrendered or cancelled and leave it only by a reversal.",
    "asset_unknown": "The ledger does not know this asset. Check its code.",
    "cap_exceeded": "Account {account} may not issue that many units: the published cap would be exceeded.",
    "hold_ended": "This hold has been released or captured already and cannot change.",
    "hold_named_twice": "Name each hold once in a batch.",
    "hold_unknown": "There is no such hold.",
    "insufficient_available": "Account {account} does not have enough available: what is held cannot be spent.",
    "key_reused": "This key or reference was used before for something else. Use a new one.",
    "quantity_out_of_range": "Enter a whole quantity from 1 to 1,000,000,000,000,000 (a hold may be 0).",
    "same_account": "Account {account} cannot send to itself. Choose another account.",
}


def require_in_range(quantities: Iterable[int], *, minimum: int) -> None:
    """Turn down a quantity that no entry may have, before it meets a column that could not hold it."""
    if any(not minimum <= quantity <= MAX_ENTRY for quantity in quantities):
        refuse("quantity_out_of_range", SENTENCES["quantity_out_of_range"])


def refuse_with(code: str, account_id: int | None) -> NoReturn:
    """Turn the request down with the sentence for a code, naming the account by its number if there is one."""
    account = None if account_id is None else LedgerAccount.objects.filter(pk=account_id).first()
    refuse(code, SENTENCES[code].format(account=account.number if account else account_id))
