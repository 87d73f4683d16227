"""Calculators over REST: the table of them, and each worked out with exact figures and every step."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import PublicViewSet, refuse_unknown_parameters
from common import clock
from registry.models import ReferenceSet
from registry.services.calculators import CALCULATORS
from registry.services.calculators.parts import Calculator, Input, InputsRefused, plain


class CalculatorChoiceSerializer(serializers.Serializer[tuple[str, str]]):
    """One answer that may be given."""

    value = serializers.CharField(source="0", read_only=True)
    label = serializers.CharField(source="1", read_only=True)  # type: ignore[assignment]


class CalculatorInputSerializer(serializers.Serializer[Input]):
    """One input of a calculator."""

    name = serializers.CharField(read_only=True)
    label = serializers.CharField(read_only=True)  # type: ignore[assignment]
    unit = serializers.CharField(read_only=True)
    help = serializers.CharField(read_only=True)
    kind = serializers.CharField(
        read_only=True, help_text="whole, decimal, text, choice, tick, day, hour, or rows: one entry a line."
    )
    required = serializers.BooleanField(read_only=True)  # type: ignore[assignment]
    default = serializers.CharField(read_only=True)
    choices = CalculatorChoiceSerializer(many=True, read_only=True)
    columns = serializers.SerializerMethodField(help_text="What stands in a line of rows, in order.")

    def get_columns(self, one: Input) -> list[str]:
        """The names of the columns."""
        return [column.label for column in one.columns]


class CalculatorExampleSerializer(serializers.Serializer[object]):
    """Figures to try."""

    title = serializers.CharField(read_only=True)
    typed = serializers.DictField(child=serializers.CharField(), read_only=True)
    note = serializers.CharField(read_only=True)


class CalculatorSerializer(serializers.Serializer[Any]):
    """One calculator with its inputs, its formula and its source."""

    name = serializers.CharField(read_only=True)
    group = serializers.CharField(read_only=True)
    title = serializers.CharField(read_only=True)
    says = serializers.CharField(read_only=True)
    formula = serializers.CharField(read_only=True)
    source = serializers.CharField(read_only=True)  # type: ignore[assignment]
    estimates = serializers.BooleanField(read_only=True, help_text="Its results are estimates and never owed.")
    inputs = CalculatorInputSerializer(many=True, read_only=True)
    examples = CalculatorExampleSerializer(many=True, read_only=True)


VALUE = "Exact: every digit, or a fraction such as 7/3. An estimate may have an exponent. A class is a word."


class CalculatorFigureSerializer(serializers.Serializer[Any]):
    """One figure of a result; an estimate between two ends has `high`."""

    label = serializers.CharField(read_only=True)  # type: ignore[assignment]
    value = serializers.SerializerMethodField(help_text=VALUE)
    unit = serializers.CharField(read_only=True)
    high = serializers.SerializerMethodField()

    def get_value(self, one: Any) -> str:
        """Spell every digit."""
        return plain(one.value)

    def get_high(self, one: Any) -> str | None:
        """The upper end."""
        return None if one.high is None else plain(one.high)


class CalculatorStepSerializer(serializers.Serializer[Any]):
    """One step of the way."""

    name = serializers.CharField(read_only=True)
    value = serializers.SerializerMethodField(help_text=VALUE)
    unit = serializers.CharField(read_only=True)

    def get_value(self, step: Any) -> str:
        """Spell every digit."""
        return plain(step.value)


class CalculatorResultSerializer(serializers.Serializer[object]):
    """What came out, how, and by whose formula."""

    calculator = serializers.CharField(read_only=True)
    estimate = serializers.BooleanField(read_only=True)
    formula = serializers.CharField(read_only=True)
    source = serializers.CharField(read_only=True)  # type: ignore[assignment]
    figures = CalculatorFigureSerializer(many=True, read_only=True)
    steps = CalculatorStepSerializer(many=True, read_only=True)
    notes = serializers.ListField(child=serializers.CharField(), read_only=True)


NAME = OpenApiParameter(
    "name", OpenApiTypes.STR, OpenApiParameter.PATH, enum=list(CALCULATORS), description="Of the list of calculators."
)
BODY = {
    "application/json": {
        "type": "object",
        "description": "The inputs of the calculator by name. Numbers are strings or integers, never floats.",
        "additionalProperties": {
            "oneOf": [
                {"type": "string"},
                {"type": "integer"},
                {"type": "boolean"},
                {"type": "array", "items": {"type": "string"}},
            ]
        },
    }
}


class Calculators(PublicViewSet[ReferenceSet]):
    """The calculators. Nothing is stored, and nothing that they say is a report."""

    def rows(self) -> QuerySet[ReferenceSet]:
        """No rows: everything is worked out."""
        return ReferenceSet.objects.none()

    @extend_schema(
        operation_id="calculators_list",
        summary="List the calculators",
        responses=CalculatorSerializer(many=True),
        filters=False,
    )
    def index(self, request: Request) -> Response:
        """Every calculator with its inputs, units and source."""
        refuse_unknown_parameters(request, set())
        return Response(CalculatorSerializer(list(CALCULATORS.values()), many=True).data)

    @extend_schema(
        operation_id="calculators_read",
        summary="Work a calculator out by its address",
        description="The inputs of the calculator are the query parameters.",
        parameters=[NAME],
        responses=CalculatorResultSerializer,
        filters=False,
    )
    def read(self, request: Request, name: str) -> Response:
        """Work it out with the figures of the address."""
        found = _named(name)
        refuse_unknown_parameters(request, {one.name for one in found.inputs})
        return _worked_out(found, request.query_params.dict())

    @extend_schema(
        operation_id="calculators_work_out",
        summary="Work a calculator out",
        parameters=[NAME],
        request=BODY,
        responses={200: CalculatorResultSerializer},
        examples=[OpenApiExample("1,000 kWh in France", {"kwh": "1000", "country": "FRA"}, request_only=True)],
        filters=False,
    )
    def work_out(self, request: Request, name: str) -> Response:
        """Work it out with the figures of the body."""
        found = _named(name)
        if not isinstance(request.data, Mapping):
            raise serializers.ValidationError("Send an object with the inputs by name.", code="not_an_object")
        known = {one.name for one in found.inputs}
        typed = {}
        for key, value in request.data.items():
            if key not in known:
                sentence = f"There is no such input. Known are: {', '.join(sorted(known))}."
                raise serializers.ValidationError({str(key)[:60]: [sentence]}, code="input_unknown")
            typed[key] = _text(key, value)
        return _worked_out(found, typed)


def _named(name: str) -> Calculator:
    if name not in CALCULATORS:
        raise Http404
    return CALCULATORS[name]


def _text(name: str, value: object) -> str:
    """Return what was sent as if it had been typed."""
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, int | str):
        return str(value)
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    sentence = "Send a string, a whole number, a tick, or a list of lines; numbers with a point as strings."
    raise serializers.ValidationError({name: [sentence]}, code="not_text")


def _worked_out(found: Calculator, typed: Mapping[str, str]) -> Response:
    try:
        outcome = found.run(typed, clock.now())
    except InputsRefused as refused:
        errors = {one.name: [ErrorDetail(one.sentence, code=one.code)] for one in refused.refusals}
        raise serializers.ValidationError(errors) from refused
    return Response(
        CalculatorResultSerializer(
            {
                "calculator": found.name,
                "estimate": found.estimates,
                "formula": found.formula,
                "source": found.source,
                "figures": outcome.figures,
                "steps": outcome.steps,
                "notes": outcome.notes,
            }
        ).data
    )
