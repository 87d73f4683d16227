"""The tables of the ledger: what is counted, where it lies, how it moved, and what is reserved."""

from registry.ledger.models.account import ACCOUNT, LedgerAccount, account_number
from registry.ledger.models.asset import Asset
from registry.ledger.models.balance import Balance
from registry.ledger.models.hold import HOLD, Hold
from registry.ledger.models.journal import Journal, Transfer
from registry.ledger.models.mark import Mark
from registry.ledger.models.reconciliation import Difference, Reconciliation
from registry.ledger.models.serial import SerialBlock, SerialStop

__all__ = [
    "ACCOUNT",
    "HOLD",
    "Asset",
    "Balance",
    "Difference",
    "Hold",
    "Journal",
    "LedgerAccount",
    "Mark",
    "Reconciliation",
    "SerialBlock",
    "SerialStop",
    "Transfer",
    "account_number",
]
