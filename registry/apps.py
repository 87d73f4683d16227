"""The registry app."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Schemes, allocation, reports and compliance, on top of the ledger."""

    name = "registry"

    def ready(self) -> None:
        """Register the acts that need two people."""
        from registry.services import acts

        acts.register_all()
