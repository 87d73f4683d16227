"""What every page needs from the frame: navigation by role, and the organisation one acts for."""

from django.http import HttpRequest


def frame(request: HttpRequest) -> dict[str, object]:
    """Return the context of the base template."""
    return {"nav": []}
