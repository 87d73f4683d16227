"""How the bodies of REST requests are read: strictly, and never more bytes than the settings allow."""

import json
from collections.abc import Callable, Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, DataAndFiles, MultiPartParser

from common.problems import BodyTooLarge

Context = Mapping[str, Any] | None


def _read(stream: IO[bytes]) -> bytes:
    """Return the whole body, or refuse it as soon as it is too long."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge
    return body


class StrictJSON(BaseParser):
    """JSON that every reader reads alike: one object, UTF-8, no key twice, no NaN."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Context = None
    ) -> dict[str, object]:
        """Return the object, or say what is wrong with the text."""
        return json_object(_read(stream))


def json_object(body: bytes, *, numbers: Callable[[str], object] = float) -> dict[str, object]:
    """Return the one JSON object of a body, its numbers with a point as told, or say what is wrong with the text."""
    try:
        content = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_no_key_twice,
            parse_constant=_no_constant,
            parse_float=numbers,
        )
        json.dumps(content, ensure_ascii=False, default=str).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise ParseError(f"The body is not JSON that we can read: {str(error)[:200]}.") from error
    if not isinstance(content, dict):
        raise ParseError("The body must be one JSON object.")
    return content


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is there twice")
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


class OneForm(MultiPartParser):
    """A form with a file in it, no longer in all than any other body."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Context = None
    ) -> "DataAndFiles[Any, Any]":
        """Return fields and files; the length is asked before anything is read."""
        assert parser_context is not None
        length = str(parser_context["request"].META.get("CONTENT_LENGTH") or "0")
        if length.isdecimal() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge
        try:
            return super().parse(stream, media_type, parser_context)
        except SuspiciousOperation as error:  # more fields or files than anybody needs
            raise ParseError(f"The form cannot be read: {str(error)[:200]}") from error


class CsvBytes(BaseParser):
    """A CSV file as it is: its bytes are hashed and kept, and an importer reads them."""

    media_type = "text/csv"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Context = None) -> Any:
        """Return the bytes."""
        return _read(stream)
