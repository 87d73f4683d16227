"""The ledger's cast: a mint that issues, two firms and a lab that hold, and an account that swallows."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from django.db import transaction

from registry.ledger import services as ledger
from registry.ledger.models import Asset, Balance, LedgerAccount

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)


@dataclass
class Cast:
    """Accounts by their part, one permit type and one currency."""

    permit: Asset
    euro: Asset
    mint: LedgerAccount
    acme: LedgerAccount
    birch: LedgerAccount
    lab: LedgerAccount
    surrendered: LedgerAccount

    def posting(
        self,
        debit: LedgerAccount,
        credit: LedgerAccount,
        amount: int,
        *,
        asset: Asset | None = None,
        key: UUID | None = None,
    ) -> ledger.Posting:
        """Describe one transfer of permits, or of another asset."""
        return ledger.Posting(key or uuid4(), debit.pk, credit.pk, (asset or self.permit).pk, amount)

    def post(
        self,
        *transfers: ledger.Posting,
        kind: str = "transfer",
        reference: str | None = None,
        now: datetime = NOON,
    ) -> ledger.Posted:
        """Post transfers as one journal in a transaction of their own."""
        with transaction.atomic():
            return ledger.post(transfers=transfers, kind=kind, reference=reference or str(uuid4()), actor=None, now=now)

    def move(self, debit: LedgerAccount, credit: LedgerAccount, amount: int, *, now: datetime = NOON) -> ledger.Posted:
        """Move permits from one account to another."""
        return self.post(self.posting(debit, credit, amount), now=now)

    def hold(self, account: LedgerAccount, quantity: int, *, reference: str = "1") -> int:
        """Reserve permits in an account."""
        with transaction.atomic():
            return ledger.hold(
                account=account.pk,
                asset=self.permit.pk,
                quantity=quantity,
                purpose="orders",
                reference=reference,
                now=NOON,
            )

    def position(self, account: LedgerAccount) -> tuple[int, int]:
        """Return (balance, held) of an account's permits."""
        found = Balance.objects.filter(account=account, asset=self.permit).values_list("balance", "held").first()
        return found or (0, 0)


def assemble() -> Cast:
    """Open everybody's account."""
    with transaction.atomic():
        opened = {
            name: ledger.open_account(
                kind=kind, reference=name, label=name.title(), contra=kind == "issuance", now=NOON
            )
            for name, kind in (
                ("mint", "issuance"),
                ("acme", "holding"),
                ("birch", "holding"),
                ("lab", "holding"),
                ("surrendered", "surrender"),
            )
        }
        return Cast(
            permit=ledger.create_asset(code="ai-2030", kind="permit", name="AI allowance 2030", now=NOON),
            euro=ledger.create_asset(code="eur", kind="currency", name="Euro", now=NOON),
            **opened,
        )
