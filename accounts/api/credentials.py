"""Checking e-mail, password and second factor for a token, with the limits and the silence of the log-in page."""

from allauth.account.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.utils import is_mfa_enabled
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed, Throttled

from accounts.models import User


def authenticate(request: HttpRequest, *, email: str, password: str, code: str) -> User:
    """Return the person. An unknown address, a wrong password and a blocked person get one and the same answer."""
    try:
        user = get_adapter().authenticate(request, email=email, password=password)
    except ValidationError as limit:
        raise Throttled(detail="Too many failed attempts. Wait five minutes and try again.") from limit
    if not isinstance(user, User) or not user.is_active:
        raise AuthenticationFailed("The e-mail address or the password is wrong.", "credentials_invalid")
    if is_mfa_enabled(user):
        _require_second_factor(user, code)
    return user


def _require_second_factor(user: User, code: str) -> None:
    if not code:
        raise AuthenticationFailed(
            "Send the present code of your authenticator app, or a recovery code, as second_factor_code. "
            "A passkey alone cannot answer here.",
            "second_factor_needed",
        )
    form = AuthenticateForm(data={"code": code}, user=user)
    if not form.is_valid():
        raise AuthenticationFailed(
            "The second factor was not accepted. Wait for the next code and try again.", "second_factor_wrong"
        )
    form.authenticator.record_usage()
