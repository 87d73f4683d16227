"""Middleware of the frame: refusals become pages, never a 500, and a session that ended becomes a log-in."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django_htmx.http import HttpResponseClientRedirect

from common.errors import Forbidden, Refused, Unknown


def status_of(refusal: Refused) -> int:
    """Return the HTTP status that says what kind of refusal this is."""
    match refusal:
        case Unknown():
            return 404
        case Forbidden():
            return 403
    return 422


class SessionEndMiddleware:
    """Sends a part of a page whose session has ended to the log-in, and not the log-in into that part of the page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; turn a redirect to the log-in into one of the whole page."""
        response = self.get_response(request)
        log_in = resolve_url(settings.LOGIN_URL)
        asked_by_htmx = request.headers.get("HX-Request") == "true"
        if asked_by_htmx and response.status_code == 302 and response["Location"].startswith(log_in):
            page = urlsplit(request.headers.get("HX-Current-URL", "")).path or "/"
            return HttpResponseClientRedirect(f"{log_in}?{urlencode({'next': page})}")
        return response


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
