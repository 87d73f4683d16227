"""Middleware of the frame: a refusal that no view turned into a form error becomes a page, never a 500."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from common.errors import Forbidden, Refused, Unknown


def status_of(refusal: Refused) -> int:
    """Return the HTTP status that says what kind of refusal this is."""
    match refusal:
        case Unknown():
            return 404
        case Forbidden():
            return 403
    return 422


class RefusalMiddleware:
    """Shows a refusal's sentence and code with the status that fits."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Turn a refusal into its page; leave everything else to the last-resort handler."""
        if isinstance(exception, Refused):
            return render(request, "refused.html", {"refusal": exception}, status=status_of(exception))
        return None
