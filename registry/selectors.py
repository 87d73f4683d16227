"""Reads of the registry that cross tables: where permits are, who owes what, and what the public may see."""

from accounts.models import Organisation
from common.errors import Unknown
from registry.ledger.models import LedgerAccount


def holding_account(organisation: Organisation) -> LedgerAccount:
    """Return the one account in which an organisation holds its permits and money."""
    account = LedgerAccount.objects.filter(owner=organisation, kind="holding").order_by("id").first()
    if account is None:
        raise Unknown("account_missing", f"{organisation} has no account yet. The regulator opens one when it enrols.")
    return account
