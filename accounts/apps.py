"""The accounts app: who acts, for whom, with which role, and what they did."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users, organisations, memberships, API tokens, approvals and audit events."""

    name = "accounts"
    verbose_name = "People and organisations"
