"""The ledger: a Django app of its own inside the registry's house."""

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Registered under the label ledger."""

    name = "registry.ledger"
    label = "ledger"
