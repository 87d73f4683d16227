"""The demo app."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Registered under the label demo."""

    name = "demo"
