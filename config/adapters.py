"""How log-in is adapted: nobody signs up by themselves, because the regulator admits people."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignup(DefaultAccountAdapter):
    """Keeps every other habit of the log-in library."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False
