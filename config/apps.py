"""The frame as an app: it loads Celery and hosts the commands that look across every other app."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """The only app that knows all the others."""

    name = "config"
    verbose_name = "Frame"

    def ready(self) -> None:
        """Make the configured Celery app the current one, so that a service can wake a worker by task name."""
        from config import celery  # noqa: F401 - importing it makes it current
