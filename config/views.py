"""Pages of the frame itself: the front door, home by role, and refusals of forged requests."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say what to do when a form's token is missing or old."""
    return render(request, "403_csrf.html", {"reason": reason}, status=403)
