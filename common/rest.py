"""How numbers travel in REST: whole quantities and money as strings of digits, read by the one parser of quantities."""

from decimal import Decimal

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.errors import Refused
from common.quantities import MAX_ENTRY, parse_decimal, parse_whole

DIGITS = {"type": "string", "pattern": "^-?[0-9]+$", "examples": ["2500"]}
"""The schema of a whole number that is sent: a string, because it may pass 2**53."""


@extend_schema_field(DIGITS)
class Digits(serializers.Field[int, int, str, int]):
    """A whole number to read, such as a balance or minor units of money; written as a string of digits."""

    def __init__(self, **options: object) -> None:
        super().__init__(read_only=True, **options)  # type: ignore[arg-type]

    def to_representation(self, value: int) -> str:
        """Spell every digit."""
        return str(int(value))


@extend_schema_field({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$", "examples": ["1204880.5"]})
class ExactDecimal(serializers.Field[Decimal, Decimal, str, Decimal]):
    """An exact decimal to read, such as energy; without exponent and without idle zeros."""

    def __init__(self, **options: object) -> None:
        super().__init__(read_only=True, **options)  # type: ignore[arg-type]

    def to_representation(self, value: Decimal) -> str:
        """Spell every digit that says something."""
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "pattern": "^[0-9]{1,16}$"},
            {"type": "integer", "minimum": 1, "maximum": MAX_ENTRY},
        ],
        "examples": ["2500"],
    }
)
class WholeQuantity(serializers.Field[int, object, str, int]):
    """A whole quantity that a client sends, as a string of digits or an integer. A number with a point is refused."""

    def to_internal_value(self, data: object) -> int:
        """Read it as forms and files are read, with the same refusals."""
        try:
            return parse_whole(data)
        except Refused as refusal:
            raise serializers.ValidationError(refusal.sentence, code=refusal.code) from refusal

    def to_representation(self, value: int) -> str:
        """Spell every digit."""
        return str(value)


@extend_schema_field(
    {
        "oneOf": [{"type": "string", "pattern": "^[0-9]{1,40}(\\.[0-9]{1,20})?$"}, {"type": "integer", "minimum": 0}],
        "examples": ["350.75"],
    }
)
class DecimalQuantity(serializers.Field[Decimal, object, str, Decimal]):
    """An exact decimal that a client sends, as a string or an integer. A JSON number with a point is refused."""

    def to_internal_value(self, data: object) -> Decimal:
        """Read it as forms and files are read, with the same refusals."""
        try:
            return parse_decimal(data)
        except Refused as refusal:
            raise serializers.ValidationError(refusal.sentence, code=refusal.code) from refusal

    def to_representation(self, value: Decimal) -> str:
        """Spell every digit."""
        return f"{value:f}"
