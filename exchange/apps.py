"""The exchange app."""

from django.apps import AppConfig


class ExchangeConfig(AppConfig):
    """Registered under the label exchange."""

    name = "exchange"
