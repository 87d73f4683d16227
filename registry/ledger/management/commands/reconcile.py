"""`manage.py reconcile`: count the whole ledger again by another path, and freeze the accounts that differ."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from common import clock
from registry.ledger.services.reconciliation import reconcile


class Command(BaseCommand):
    """The same as the nightly task, on demand."""

    help = "Count every account, asset and serial block again by another path, and freeze what differs."

    def handle(self, *args: Any, **options: Any) -> None:
        """Reconcile and print."""
        done = reconcile(now=clock.now())
        for found in done.found.select_related("account", "asset"):
            self.stdout.write(
                f"{found.account.number} {found.asset.code}: {found.what} booked {found.booked:,}, "
                f"counted {found.counted:,}; the account is frozen"
            )
        self.stdout.write(f"{done.balances:,} balances, {done.blocks:,} serial blocks, {done.differences} differences")
        if done.differences:
            sys.exit(1)
