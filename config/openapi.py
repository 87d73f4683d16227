"""The OpenAPI document: how tokens and problems are described once for every operation, and the pages that show it."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

Document = dict[str, Any]

PROBLEM: Document = {
    "type": "object",
    "description": "An error after RFC 9457.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "description": "The phrase of the status."},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable: programs may decide on it."},
        "detail": {"type": "string", "description": "A sentence that tells a person what to do."},
        "errors": {
            "type": "array",
            "description": "With fields_refused: each refused field. With rows_refused: each refused cell of a file.",
            "items": {
                "type": "object",
                "required": ["code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer into the body."},
                    "line": {"type": "string", "description": "Line of a file, the header being the first."},
                    "column": {"type": "string", "description": "Column of a file."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
    "examples": [
        {
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "code": "insufficient_available",
            "detail": "There is not enough available in this account.",
        }
    ],
}

_ALWAYS = {
    "400": "A header, a parameter or the body cannot be read.",
    "406": "Only application/json is served.",
    "429": "Too many requests. Wait for the seconds in Retry-After.",
}
_WITH_TOKEN = {
    "401": "No token, or one that is unknown, revoked, expired or without a role.",
    "403": "The token or the role does not allow this.",
}
_OF_ONE = {"404": "There is no such thing, or none in your scope: the two look the same."}
_WITH_BODY = {
    "413": "The body is larger than 3 MB.",
    "415": "The body is of a media type that is not read here.",
}
_OF_ACTS = {"422": "Well-formed, but refused by a rule; or an Idempotency-Key used before with other content."}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tokens, as the document names them."""

    target_class = "accounts.api.authentication.BearerToken"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> Document:
        """Describe the header."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from POST /api/v1/tokens/. It acts for one organisation, reads or also writes.",
        }


def add_problems(result: Document, generator: object, request: object, public: bool) -> Document:
    """Give every operation the problems that it may answer with, all of one schema."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            for status, meaning in _problems_of(path, method, operation).items():
                operation["responses"].setdefault(
                    status,
                    {
                        "description": meaning,
                        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                    },
                )
    return result


def _problems_of(path: str, method: str, operation: Document) -> dict[str, str]:
    problems = dict(_ALWAYS)
    if operation.get("security") or path.endswith("/tokens/"):
        problems |= _WITH_TOKEN
    if "{" in path:
        problems |= _OF_ONE
    if "requestBody" in operation:
        problems |= _WITH_BODY
    if method in {"post", "delete"}:
        problems |= _OF_ACTS | _OF_ONE
    return dict(sorted(problems.items()))


class OpenApiDocument(SpectacularAPIView):
    """The document itself, for programs. It describes the public face and hides nothing behind a log-in."""


@login_not_required
def api_docs(request: HttpRequest) -> HttpResponse:
    """Show the document as a page, with scripts of our own server only."""
    return render(request, "api_docs.html")


@extend_schema(exclude=True)
class NothingHere(APIView):
    """Answers for every other address under /api/, so that programs get a problem and not a page."""

    permission_classes = (AllowAny,)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Say so, whatever the method."""
        raise NotFound()
