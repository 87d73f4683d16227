"""What every REST view stands on: deny by default, one place for tenant scope, idempotency keys, conditional reads.

A view set says which rows it is about (`rows`) and by which path a row reaches its organisation (`scope_path`). What a
request may see of them is decided here and nowhere else, so that a row of another tenant looks like no row at all.
"""

import re
import uuid
from collections.abc import Container, Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.functional import cached_property
from django.views.decorators.http import conditional_page
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from django_filters.utils import translate_validation
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from accounts.models import ApiToken, Organisation, User
from accounts.selectors import Scope, scope_of
from common.idempotency import derive_key
from common.problems import BadRequest

Row = TypeVar("Row", bound=Model)

IDEMPOTENCY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="New for each act, the same when the act is repeated: it is then done once, and answered as before.",
)

_KEY = re.compile(r"[!-~]{1,200}", re.ASCII)
_PAGING = {"cursor", "page_size"}


class HasToken(BasePermission):
    """Holds a token that is good now."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Say whether the request came with a token."""
        return isinstance(request.auth, ApiToken)


class TokenMayWrite(BasePermission):
    """A read token reads. What a write token may do is asked again in the service, of the person."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Refuse an act that comes with a read token."""
        if request.method not in SAFE_METHODS and token_of(request).scope != ApiToken.Scope.WRITE:
            raise PermissionDenied(
                "This token only reads. Make one with the scope write for this request.", "token_read_only"
            )
        return True


class SeesEverything(BasePermission):
    """Works for the regulator or as an auditor."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Refuse everybody else by name, so that they need not guess."""
        if not scope_of(user_of(request), token_of(request)).everything:
            raise PermissionDenied("Only the regulator and auditors may read this.", "not_permitted")
        return True


def user_of(request: Request) -> User:
    """The person whose token it is."""
    assert isinstance(request.user, User), "Ask this only behind HasToken."
    return request.user


def token_of(request: Request) -> ApiToken:
    """The token of the request."""
    assert isinstance(request.auth, ApiToken), "Ask this only behind HasToken."
    return request.auth


def organisation_of(request: Request) -> Organisation:
    """The organisation for which the request acts: the token's."""
    organisation: Organisation = token_of(request).organisation
    return organisation


def idempotency_key(request: Request, route: str) -> uuid.UUID:
    """Return the key of this act: the client's own header, in the name space of its organisation and the route."""
    sent = request.headers.get("Idempotency-Key", "")
    if not sent:
        raise BadRequest(
            "idempotency_key_missing",
            "Send the header Idempotency-Key with a new value for each act, and the same value when you repeat it.",
        )
    if not _KEY.fullmatch(sent):
        raise BadRequest(
            "idempotency_key_invalid", "Send an Idempotency-Key of 1 to 200 visible ASCII characters, such as a UUID."
        )
    return derive_key("rest", organisation_of(request).pk, route, sent)


class _InstantField(IsoDateTimeField):
    def clean(self, value: object) -> datetime | None:
        instant: datetime | None = super().clean(value)
        if instant is not None and not _is_plausible(instant):
            raise ValidationError(_IMPLAUSIBLE)
        return instant


class InstantFilter(filters.IsoDateTimeFilter):
    """Narrows rows by an instant such as 2026-03-02T09:00:00Z."""

    field_class = _InstantField


class Instant(serializers.DateTimeField):
    """An instant that an address needs as a parameter."""

    def to_internal_value(self, value: object) -> datetime:
        """Read it; refuse what no ledger can hold."""
        try:
            instant = super().to_internal_value(value)  # type: ignore[arg-type]
        except OverflowError as error:
            raise serializers.ValidationError(_IMPLAUSIBLE) from error
        if not _is_plausible(instant):
            raise serializers.ValidationError(_IMPLAUSIBLE)
        return instant


_IMPLAUSIBLE = "Give an instant of the years 1900 to 2999, such as 2026-03-02T09:00:00Z."


def _is_plausible(instant: datetime) -> bool:
    """Say whether an instant lies within what the database can hold in any zone."""
    return 1900 <= instant.year <= 2999


class Filters(filters.DjangoFilterBackend):
    """The view's own filters. A parameter that it does not know is refused, because leaving it out lies by silence."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Row], view: APIView) -> QuerySet[Row]:
        """Refuse unknown, repeated and unreadable parameters; then filter."""
        if getattr(view, "action", "") == "retrieve":
            refuse_unknown_parameters(request, set())
            return queryset
        filterset = self.get_filterset(request, queryset, view)
        known = dict(filterset.filters) if filterset is not None else {}
        repeatable = {name for name, one in known.items() if isinstance(one, filters.MultipleChoiceFilter)}
        refuse_unknown_parameters(request, _PAGING | set(known), repeatable)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            details = cast(Mapping[str, list[str]], translate_validation(filterset.errors).detail)
            name, sentences = next(iter(details.items()))
            raise BadRequest("parameter_invalid", f"The parameter {name} was refused: {sentences[0]}")
        return cast("QuerySet[Row]", filterset.qs)


def refuse_unknown_parameters(request: Request, known: set[str], repeatable: Container[str] = frozenset()) -> None:
    """Refuse query parameters that this address does not have, and those that are there twice and may not be."""
    for name, values in request.query_params.lists():
        if name not in known:
            raise BadRequest(
                "parameter_unknown",
                f"There is no parameter {name[:60]} here. Known are: {', '.join(sorted(known)) or 'none'}.",
            )
        if len(values) > 1 and name not in repeatable:
            raise BadRequest("parameter_repeated", f"Give the parameter {name} once.")


def read_parameters(request: Request, expected: type[serializers.Serializer[object]]) -> dict[str, Any]:
    """Return the query parameters of an address that needs some of them, read and checked."""
    reader = expected(data=request.query_params.dict())
    refuse_unknown_parameters(request, set(reader.fields))
    if not reader.is_valid():
        name, reasons = next(iter(reader.errors.items()))
        raise BadRequest("parameter_invalid", f"The parameter {name} was refused: {reasons[0]}")
    return cast("dict[str, Any]", reader.validated_data)


class RegistryViewSet(GenericViewSet[Row], Generic[Row]):
    """The base of every view set. It refuses everybody until a subclass below names who may use it.

    Answers carry an ETag of their content; a client that has it already gets 304 and no body.
    """

    filter_backends = (Filters,)
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)

    @classmethod
    def as_view(cls, actions: dict[str, str] | None = None, **initkwargs: Any) -> Any:  # type: ignore[override]
        """Wrap the view so that it compares ETags."""
        return conditional_page(super().as_view(actions, **initkwargs))  # type: ignore[arg-type]

    def rows(self) -> "QuerySet[Row]":
        """Every row that this address is about, before anybody's scope is asked."""
        raise NotImplementedError

    def get_queryset(self) -> "QuerySet[Row]":
        """The rows that this request may see."""
        return self.rows()

    @cached_property
    def scope(self) -> Scope:
        """What this request may see: nothing that is not public, when it comes without a token."""
        if not isinstance(self.request.auth, ApiToken):
            return Scope(everything=False, organisation_ids=frozenset())
        return scope_of(user_of(self.request), self.request.auth)

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> Any:
        """Keep answers out of shared caches and make clients ask again: a role may have ended since."""
        final = super().finalize_response(request, cast(Response, response), *args, **kwargs)
        patch_cache_control(final, private=True, no_cache=True)
        patch_vary_headers(final, ["Authorization"])
        return final


class PublicViewSet(RegistryViewSet[Row], Generic[Row]):
    """Rows that anybody may read. A token is looked at when there is one."""

    permission_classes = (AllowAny,)


class ScopedViewSet(RegistryViewSet[Row], Generic[Row]):
    """Rows that belong to an organisation, reached by `scope_path`."""

    permission_classes = (HasToken, TokenMayWrite)
    scope_path: ClassVar[str]

    def get_queryset(self) -> "QuerySet[Row]":
        """The rows that this request may see."""
        if getattr(self, "swagger_fake_view", False):  # the schema is written without anybody asking
            return self.rows()
        return self.visible()

    def visible(self) -> "QuerySet[Row]":
        """The rows whose organisation is inside the scope."""
        return self.scope.filter(self.rows(), self.scope_path)


class OversightViewSet(RegistryViewSet[Row], Generic[Row]):
    """Rows that only those see who see everything."""

    permission_classes = (HasToken, TokenMayWrite, SeesEverything)


def refused_field(name: str, code: str, sentence: str) -> serializers.ValidationError:
    """Return the error of one field, for checks that need the database."""
    return serializers.ValidationError({name: [sentence]}, code=code)
