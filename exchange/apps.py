"""The exchange app."""

from django.apps import AppConfig


class ExchangeConfig(AppConfig):
    """Registered under the label exchange."""

    name = "exchange"

    def ready(self) -> None:
        """Register what the calendar asks of the closing."""
        from exchange.services import calendar

        calendar.register_all()
