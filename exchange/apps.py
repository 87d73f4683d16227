"""The exchange app."""

from django.apps import AppConfig


class ExchangeConfig(AppConfig):
    """Registered under the label exchange."""

    name = "exchange"

    def ready(self) -> None:
        """Register what the calendar asks of the closing, and answer what the registry asks about trading."""
        from exchange import answers
        from exchange.services import accounts, calendar
        from registry.services import questions

        calendar.register_all()
        questions.register(accounts.still_open)
        answers.register()
