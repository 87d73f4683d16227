"""The registry app."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Schemes, allocation, reports and compliance, on top of the ledger."""

    name = "registry"

    def ready(self) -> None:
        """Register the acts that need two people, and the work that falls due by the calendar."""
        from registry.services import acts, groups, shutdowns, year_work

        acts.register_all()
        year_work.register_all()
        groups.register_work()
        shutdowns.register_work()
