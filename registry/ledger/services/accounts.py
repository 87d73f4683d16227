"""Opening, freezing and closing ledger accounts, and naming what the ledger counts."""

from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from accounts.models import Organisation
from common.database import assert_in_transaction
from common.errors import refuse, require
from registry.ledger.models import ACCOUNT, Asset, Balance, LedgerAccount, account_number
from registry.ledger.selectors import differs
from registry.ledger.services.posting import lock_balances
from registry.ledger.services.refusals import SENTENCES


def create_asset(*, code: str, kind: str, name: str, now: datetime) -> Asset:
    """Name a permit type or a currency for the ledger to count."""
    assert_in_transaction()
    require(not Asset.objects.filter(code=code).exists(), "asset_exists", f"There is an asset {code} already.")
    asset = Asset(code=code, kind=kind, name=name, created_at=now)
    asset.clean_fields()
    asset.save(force_insert=True)
    return asset


def open_account(
    *,
    kind: str,
    label: str,
    now: datetime,
    owner: Organisation | None = None,
    reference: str | None = None,
    contra: bool = False,
) -> LedgerAccount:
    """Open an account: an organisation's own, or a central one that a reference such as issuance:ai-2030 names."""
    assert_in_transaction()
    assert owner is not None or reference is not None, "An account has an owner or a business name."
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('ledger_account', 'id'))")
        (serial,) = cursor.fetchone()
    try:
        with transaction.atomic():
            return LedgerAccount.objects.create(
                id=serial,
                number=account_number(kind, serial),
                owner=owner,
                kind=kind,
                reference=reference,
                label=label,
                contra=contra,
                opened_at=now,
            )
    except IntegrityError as error:
        if "reference" not in str(error):
            raise
        refuse("account_exists", f"There is an account named {reference} already.")


def open_balances(pairs: Iterable[tuple[int, int]]) -> None:
    """Make the balances of (account, asset) pairs that do not exist yet. Posting does so by itself."""
    assert_in_transaction()
    listed = sorted(set(pairs))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_open_balances(%s::bigint[], %s::bigint[])",
            [[account for account, _ in listed], [asset for _, asset in listed]],
        )


def set_issue_limit(*, account_id: int, asset_id: int, limit: int | None) -> None:
    """Say how many units of an asset a contra account may have issued in all: the cap as published.

    A limit below what has been issued already is refused as `cap_exceeded`.
    """
    assert_in_transaction()
    open_balances([(account_id, asset_id)])
    lock_balances([(account_id, asset_id)])
    balance = Balance.objects.filter(account_id=account_id, asset_id=asset_id).select_related("account").first()
    if balance is None:
        refuse("account_unknown", SENTENCES["account_unknown"].format(account=account_id))
    require(balance.contra, "limit_needs_contra", "Only an account that issues units can have a limit.")
    require(
        limit is None or balance.balance >= -limit,
        "cap_exceeded",
        f"{-balance.balance:,} units have been issued already. Set a limit that is not below that.",
    )
    Balance.objects.filter(pk=balance.pk).update(issue_limit=limit)


def freeze_account(*, account_id: int) -> LedgerAccount:
    """Let nothing enter or leave an account until it is unfrozen. Waits for postings under way."""
    return _move(account_id, "frozen")


def unfreeze_account(*, account_id: int) -> LedgerAccount:
    """Open a frozen account again, unless the second tally still finds it different from the books."""
    require(
        not differs(account_id),
        "reconciliation_differs",
        "The newest reconciliation found a difference in this account. Find its cause and reconcile again first.",
    )
    return _move(account_id, "open")


def close_account(*, account_id: int) -> LedgerAccount:
    """Close an account for good. It must be empty, with nothing held."""
    assert_in_transaction()
    LedgerAccount.objects.select_for_update().filter(pk=account_id).first()  # no new balance until we are done
    lock_balances(Balance.objects.filter(account_id=account_id).values_list("account_id", "asset_id"))
    require(
        not Balance.objects.filter(account_id=account_id).filter(~Q(balance=0) | ~Q(held=0)).exists(),
        "account_not_empty",
        "Move everything out of the account and release its holds before closing it.",
    )
    return _move(account_id, "closed")


def _move(account_id: int, status: str) -> LedgerAccount:
    assert_in_transaction()
    account = LedgerAccount.objects.select_for_update(no_key=True).filter(pk=account_id).first()
    if account is None:
        refuse("account_unknown", SENTENCES["account_unknown"].format(account=account_id))
    ACCOUNT.require(account.status, status)
    account.status = status
    account.save(update_fields=["status"])  # a trigger carries it over to the balances
    return account
