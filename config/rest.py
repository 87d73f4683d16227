"""The frame of REST: deny by default, cursor pages, and every error as problem+json with its own code."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError
from django.http import Http404
from rest_framework import exceptions, pagination, permissions, views
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import Refused, SeveralRefusals
from common.problems import BadRequest, RefusedBody
from config.middleware import status_of


class Deny(permissions.BasePermission):
    """Refuses everyone: each view names who may use it."""

    def has_permission(self, request: Request, view: "views.APIView") -> bool:
        """No."""
        return False


class Pages(pagination.CursorPagination):
    """Cursor pages, flat in time however long the list grows. A view's `ordering` ends in something unique."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    cursor_query_description = "Where the page begins: follow the links `next` and `previous` instead of making one."
    page_size_query_description = "Rows on a page, 50 unless told; more than 200 are given as 200."

    def paginate_queryset(
        self, queryset: Any, request: Request, view: "views.APIView | None" = None
    ) -> list[Any] | None:
        """Return one page; a cursor that is not ours is a wrong request, never an error of the database."""
        self.ordering = getattr(view, "ordering", ("-pk",))
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ModelValidationError, DataError, exceptions.NotFound) as error:
            if self.cursor_query_param not in request.query_params:
                raise
            raise BadRequest("cursor_invalid", "This cursor is not one of ours. Begin again without it.") from error

    def get_page_size(self, request: Request) -> int:
        """Read the size that was asked for."""
        asked = request.query_params.get(self.page_size_query_param, str(self.page_size))
        if not (asked.isascii() and asked.isdigit() and len(asked) < 10 and int(asked) > 0):
            raise BadRequest("parameter_invalid", "Ask for a page_size from 1 to 200.")
        return min(int(asked), self.max_page_size)


def problem(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Answer an error as RFC 9457 problem+json: a stable code, a sentence, and nothing of our insides."""
    views.set_rollback()
    match error:
        case SeveralRefusals():
            each = [{"pointer": "", "code": one.code, "detail": one.sentence} for one in error.refusals]
            return _answer(status_of(error), error.code, error.sentence, errors=each)
        case Refused():
            return _answer(status_of(error), error.code, error.sentence)
        case exceptions.ValidationError():
            sentence = "Some fields were refused. Each is listed with its reason."
            return _answer(422, "fields_refused", sentence, errors=list(_field_errors(error.get_full_details(), "")))
        case RefusedBody():
            return _answer(422, str(error.get_codes()), str(error.detail), errors=error.errors)
        case exceptions.APIException():
            own = str(getattr(error.detail, "code", error.default_code)), str(error.detail)
            answer = _answer(error.status_code, *_SENTENCES.get(type(error), own))
            if error.status_code == 401:
                answer.headers["WWW-Authenticate"] = "Bearer"
            wait: float | None = getattr(error, "wait", None)  # how long a throttled client should
            if wait is not None:
                answer.headers["Retry-After"] = str(ceil(wait))
            return answer
        case Http404():
            return _answer(404, "not_found", "There is no such thing in your scope. Check the address.")
        case PermissionDenied():
            return _answer(403, "not_permitted", "Your role does not let you do this.")
        case DataError() | UnicodeError() | RecursionError():
            return _answer(400, "request_unreadable", "The request holds text or numbers that nobody can store.")
    return None


_SENTENCES: dict[type[exceptions.APIException], tuple[str, str]] = {
    exceptions.NotAuthenticated: ("not_authenticated", "Send a token: Authorization: Bearer hr_..."),
    exceptions.NotFound: ("not_found", "There is no such thing in your scope. Check the address."),
    exceptions.NotAcceptable: ("not_acceptable", "We answer in application/json. Ask for that."),
}
"""What we say where the framework's own words tell nobody what to do."""


def _answer(status: int, code: str, sentence: str, **extra: object) -> Response:
    return Response(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": code,
            "detail": sentence,
            **extra,
        },
        status=status,
        content_type="application/problem+json",
    )


def _field_errors(details: Any, pointer: str) -> Iterator[dict[str, str]]:
    """List every refusal with the JSON pointer of its field."""
    if isinstance(details, list):
        for index, part in enumerate(details):
            is_leaf = isinstance(part, dict) and set(part) == {"message", "code"}
            yield from _field_errors(part, pointer if is_leaf else f"{pointer}/{index}")
    elif set(details) == {"message", "code"} and isinstance(details["message"], str):
        yield {"pointer": pointer, "code": str(details["code"]), "detail": str(details["message"])}
    else:
        for name, part in details.items():
            yield from _field_errors(part, pointer if name == "non_field_errors" else f"{pointer}/{name}")
