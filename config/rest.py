"""The frame of REST: deny by default, cursor pages, and errors as problem+json with the refusal's own code."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, pagination, permissions, views
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import Refused
from config.middleware import status_of


class Deny(permissions.BasePermission):
    """Refuses everyone: each view names who may use it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """No."""
        return False


class Pages(pagination.CursorPagination):
    """Cursor pages, flat in time however long the list grows."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    ordering = "-pk"


def problem(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Answer an error as RFC 9457 problem+json: a stable code, a sentence, and nothing of our insides."""
    if isinstance(error, Refused):
        return _answer(status_of(error), error.code, error.sentence)
    if isinstance(error, Http404):
        error = exceptions.NotFound("There is no such thing in your scope. Check the address.")
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    response = views.exception_handler(error, dict(context))
    if response is None:
        return None
    assert isinstance(error, exceptions.APIException)
    extra: dict[str, object] = {}
    if isinstance(error, exceptions.ValidationError):
        code, sentence, extra = "invalid", "Some fields were refused. Each is listed with its reason.", {
            "errors": error.detail
        }
    else:
        code, sentence = str(getattr(error.detail, "code", error.default_code)), str(error.detail)
    answer = _answer(response.status_code, code, sentence, **extra)
    for header in ("WWW-Authenticate", "Retry-After"):
        if header in response.headers:
            answer.headers[header] = response.headers[header]
    views.set_rollback()
    return answer


def _answer(status: int, code: str, sentence: str, **extra: object) -> Response:
    return Response(
        {"type": "about:blank", "title": sentence, "status": status, "code": code, **extra},
        status=status,
        content_type="application/problem+json",
    )
