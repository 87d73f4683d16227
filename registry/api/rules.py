"""Rules over REST: what holds on a day, the whole rule book as a document, what changed, and proposing a change.

Anybody reads the law. An officer of the regulator proposes; a colleague approves, on the page or not at all.
"""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import (
    IDEMPOTENCY_HEADER,
    HasToken,
    PublicViewSet,
    TokenMayWrite,
    idempotency_key,
    read_parameters,
    refuse_unknown_parameters,
    refused_field,
    user_of,
)
from common import clock
from registry import rulebook
from registry.engine import parameters as engine
from registry.models import RuleChange, Scheme
from registry.rulebook import RuleInForce
from registry.services import rules
from registry.services.rules import REASONS

EARLIEST_YEAR, LATEST_YEAR = 1900, 2999


class DayField(serializers.DateField):
    """A day such as 2030-12-31, of a year that a rule can name."""

    def to_internal_value(self, value: Any) -> Any:
        """Read it; refuse what no calendar of a scheme reaches."""
        day = super().to_internal_value(value)
        if not EARLIEST_YEAR <= day.year <= LATEST_YEAR:
            raise serializers.ValidationError(f"Give a day of the years {EARLIEST_YEAR} to {LATEST_YEAR}.")
        return day


class RuleParameters(serializers.Serializer[object]):
    """Which day."""

    on = DayField(required=False, help_text="Today in the scheme's zone unless told.")


class DocumentParameters(serializers.Serializer[object]):
    """Which day, if only one."""

    on = DayField(required=False, help_text="Only what holds on this day; the whole rule book unless told.")


class RuleSerializer(serializers.Serializer[RuleInForce]):
    """One rule in force."""

    name = serializers.CharField(source="parameter.name", read_only=True, help_text="Such as supply.msr.upper.")
    title = serializers.CharField(source="parameter.title", read_only=True)
    value = serializers.JSONField(read_only=True, help_text="Quantities and rates are exact text.")
    unit = serializers.CharField(source="parameter.unit", read_only=True)
    rounding = serializers.CharField(
        source="parameter.rounding", read_only=True, allow_null=True, help_text="R1 to R8, where something is rounded."
    )
    valid_from = serializers.DateField(source="first", read_only=True)
    valid_to = serializers.DateField(
        source="end", read_only=True, allow_null=True, help_text="The first day on which it does not hold any more."
    )
    source = serializers.CharField(read_only=True)  # type: ignore[assignment]
    change = serializers.SerializerMethodField(help_text="Number of the change; empty for founding terms.")

    def get_change(self, rule: RuleInForce) -> int | None:
        """The number under which the change is listed."""
        return rule.change.number if rule.change else None


class RulesInForce(serializers.Serializer[object]):
    """The rules of a scheme that hold on a day. What is not listed has its default, which the schema describes."""

    scheme = serializers.CharField(read_only=True)
    on = serializers.DateField(read_only=True)
    version = serializers.CharField(read_only=True, help_text="SHA-256 of the rule book; empty on founding terms.")
    rules = RuleSerializer(many=True, read_only=True)


class RuleChangeSerializer(serializers.ModelSerializer[RuleChange]):
    """One published change."""

    rules = serializers.SerializerMethodField(help_text="The rules that it set, as a rule document carries them.")

    class Meta:
        model = RuleChange
        fields: ClassVar = ("number", "title", "reason_code", "book_sha256", "published_at", "rules")

    def get_rules(self, change: RuleChange) -> list[dict[str, Any]]:
        """Its rules in the order in which they were written."""
        return [
            {
                "name": rule.name,
                "value": rule.value,
                "unit": rule.unit,
                "valid_from": rule.valid_from.isoformat(),
                "valid_to": rule.valid_to.isoformat() if rule.valid_to else None,
                "rounding": rule.rounding or None,
                "source": rule.source,
            }
            for rule in change.rules.all()
        ]


class RuleChangeRequest(serializers.Serializer[object]):
    """Rules to propose: either some of them, or the document that is to be the whole rule book."""

    title = serializers.CharField(max_length=200, help_text="What changes, for those who read the history.")
    reason_code = serializers.ChoiceField(
        choices=list(REASONS.items()),
        required=False,
        default="",
        allow_blank=True,
        help_text="Needed only where a rule begins in the past or in a locked year.",
    )
    rules = serializers.ListField(
        child=serializers.DictField(), required=False, max_length=5000, help_text="As in a rule document."
    )
    document = serializers.DictField(required=False, help_text="Of the form headroom.scheme-rules/1.")


class RuleProposal(serializers.Serializer[object]):
    """The proposal that waits for another officer, with what it would change and come to."""

    approval = serializers.UUIDField(read_only=True)
    status = serializers.CharField(read_only=True)
    preview = serializers.DictField(read_only=True, help_text="Rules before and after, and the figures that move.")


class _OfOneScheme(PublicViewSet[Scheme]):
    """Reads about the scheme in the address."""

    def rows(self) -> QuerySet[Scheme]:
        """Every scheme."""
        return Scheme.objects.all()


class Rules(_OfOneScheme):
    """The rules of a scheme."""

    @extend_schema(
        operation_id="schemes_rules",
        summary="Read the rules of a scheme that hold on a day",
        parameters=[RuleParameters],
        responses=RulesInForce,
        filters=False,
    )
    def read(self, request: Request, code: str) -> Response:
        """Each with its value, validity, source and the change that published it."""
        scheme = rulebook.scheme_coded(code)
        on = read_parameters(request, RuleParameters).get("on") or clock.now().astimezone(scheme.tz).date()
        answer = {
            "scheme": scheme.code,
            "on": on,
            "version": rulebook.rules_version(scheme, on),
            "rules": rulebook.in_force(scheme, on),
        }
        return Response(RulesInForce(answer).data)

    @extend_schema(
        operation_id="schemes_rules_document",
        summary="Read the rule book of a scheme as a document",
        parameters=[DocumentParameters],
        responses=OpenApiTypes.OBJECT,
        filters=False,
    )
    def document(self, request: Request, code: str) -> Response:
        """What is imported elsewhere gives the same rules. Its SHA-256 is the version of the rules."""
        scheme = rulebook.scheme_coded(code)
        return Response(rules.export(scheme, read_parameters(request, DocumentParameters).get("on")))

    @extend_schema(
        operation_id="schemes_rules_schema",
        summary="Read the JSON Schema of rule documents",
        responses=OpenApiTypes.OBJECT,
        filters=False,
    )
    def describe(self, request: Request, code: str) -> Response:
        """The same for every scheme: each rule with what it means, its unit, kind and rounding."""
        rulebook.scheme_coded(code)
        refuse_unknown_parameters(request, set())
        return Response(engine.schema())


class RuleChanges(mixins.ListModelMixin, PublicViewSet[RuleChange]):
    """What changed in the rules of a scheme, and proposing a change."""

    serializer_class = RuleChangeSerializer
    ordering: ClassVar = ("-number", "-id")

    def rows(self) -> QuerySet[RuleChange]:
        """Every published change of the scheme in the address."""
        if getattr(self, "swagger_fake_view", False):
            return RuleChange.objects.none()
        scheme = rulebook.scheme_coded(self.kwargs["code"])
        return RuleChange.objects.filter(scheme=scheme).prefetch_related("rules")

    def get_permissions(self) -> Sequence[BasePermission]:
        """Let anybody read, and only a write token propose."""
        return [HasToken(), TokenMayWrite()] if self.action == "create" else [AllowAny()]

    @extend_schema(summary="List the changes of a scheme's rules")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Latest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Propose a change of rules",
        description="For officers of the regulator. Every fault and every contradiction is listed in the refusal. The "
        "rules are in force only once another officer has approved the proposal.",
        parameters=[IDEMPOTENCY_HEADER],
        request=RuleChangeRequest,
        responses={202: OpenApiResponse(RuleProposal, "The change waits for another officer.")},
        examples=[
            OpenApiExample(
                "A new sanction",
                value={
                    "title": "Sanction of 2031",
                    "rules": [
                        {
                            "name": "sanction.rate_minor",
                            "value": "12000",
                            "valid_from": "2031-01-01",
                            "source": "Order 7 of 2030",
                        }
                    ],
                },
                request_only=True,
            )
        ],
    )
    def create(self, request: Request, code: str) -> Response:
        """Check and propose it."""
        key = idempotency_key(request, f"rules/{code}")
        asked = RuleChangeRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        if ("rules" in values) == ("document" in values):
            raise refused_field("rules", "rules_or_document", "Send either rules or a document.")
        approval = rules.propose_change(
            actor=user_of(request),
            scheme=rulebook.scheme_coded(code),
            title=values["title"],
            reason_code=values["reason_code"],
            entries=_plain(values.get("rules")),
            document=_plain(values.get("document")),
            now=clock.now(),
            key=key,
        )
        answer = {"approval": approval.pk, "status": approval.status, "preview": approval.parameters["preview"]}
        return Response(RuleProposal(answer).data, status=status.HTTP_202_ACCEPTED)


def _plain(value: Any) -> Any:
    """Return plain JSON, as it came."""
    return None if value is None else json.loads(json.dumps(value))
