"""The ledger in the admin: only to look at. Money and permits move through services."""

from django.contrib import admin

from accounts.looking import LookOnlyAdmin, LookOnlyInline
from registry.ledger.models import (
    Asset,
    Balance,
    Difference,
    Hold,
    Journal,
    LedgerAccount,
    Reconciliation,
    SerialBlock,
    Transfer,
)


@admin.register(Asset)
class AssetAdmin(LookOnlyAdmin):
    """Permit types and currencies."""

    list_display = ("code", "kind", "name", "created_at")
    list_filter = ("kind",)


@admin.register(LedgerAccount)
class LedgerAccountAdmin(LookOnlyAdmin):
    """Accounts and their numbers."""

    list_display = ("number", "label", "kind", "owner", "status", "reference")
    list_filter = ("kind", "status")
    list_select_related = ("owner",)
    search_fields = ("number", "label", "reference")


@admin.register(Balance)
class BalanceAdmin(LookOnlyAdmin):
    """What lies where, and what of it is held."""

    list_display = ("account", "asset", "balance", "held", "issue_limit", "status")
    list_select_related = ("account", "asset")
    search_fields = ("account__number", "account__label")


@admin.register(Journal)
class JournalAdmin(LookOnlyAdmin):
    """Business reasons for which transfers were posted."""

    list_display = ("at", "kind", "reference", "actor", "note")
    list_filter = ("kind",)
    list_select_related = ("actor",)
    search_fields = ("reference",)
    ordering = ("-id",)


@admin.register(Transfer)
class TransferAdmin(LookOnlyAdmin):
    """Every movement with both running balances."""

    list_display = ("at", "asset", "amount", "debit_account", "credit_account", "journal")
    list_select_related = ("asset", "debit__account", "credit__account", "journal")
    ordering = ("-id",)

    @admin.display(description="from")
    def debit_account(self, transfer: Transfer) -> str:
        """The account that gave."""
        return str(transfer.debit.account)

    @admin.display(description="to")
    def credit_account(self, transfer: Transfer) -> str:
        """The account that received."""
        return str(transfer.credit.account)


@admin.register(Hold)
class HoldAdmin(LookOnlyAdmin):
    """What is reserved, and for what."""

    list_display = ("balance", "quantity", "purpose", "reference", "status", "opened_at", "ended_at")
    list_filter = ("status", "purpose")


@admin.register(SerialBlock)
class SerialBlockAdmin(LookOnlyAdmin):
    """Which permits, by number, lay where."""

    list_display = ("asset", "first", "last", "balance", "since", "until")
    list_select_related = ("asset",)


class DifferenceInline(LookOnlyInline):
    """Where the second tally and the books disagree."""

    model = Difference


@admin.register(Reconciliation)
class ReconciliationAdmin(LookOnlyAdmin):
    """Second tallies of the whole ledger."""

    list_display = ("started_at", "up_to", "balances", "blocks", "differences")
    ordering = ("-id",)
    inlines = (DifferenceInline,)
