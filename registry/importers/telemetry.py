"""OpenTelemetry documents (OTLP in JSON): spans of requests to models, turned into the form in which requests are read.

Attributes are those of the conventions for generative AI (`gen_ai.*`). The impact stands in `ecologits.energy` (kWh),
`ecologits.gwp` (kgCO2eq) and, for a range, in the same names with `.min` and `.max`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from registry.importers.document import Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NANO = 7_258_118_400 * 10**9
"""The year 2200: a later moment is a wrong unit."""


def is_metrics(document: Any) -> bool:
    """Say whether a document holds counters instead of requests."""
    return isinstance(document, dict) and "resourceMetrics" in document


def is_trace(document: Any) -> bool:
    """Say whether a document holds spans."""
    return isinstance(document, dict) and "resourceSpans" in document


def requests_of_spans(document: Place) -> Iterator[Place]:
    """Yield one request for each span that carries an impact; other spans are of no interest here."""
    for resource in document.items("resourceSpans"):
        for scope in resource.items("scopeSpans") if resource.is_group() else ():
            for span in scope.items("spans") if scope.is_group() else ():
                if span.is_group():
                    yield from _request(span)


def _request(span: Place) -> Iterator[Place]:
    attributes = _attributes(span)
    if not any(name.startswith("ecologits.") for name in attributes):
        return
    request = {
        "request_id": ":".join(filter(None, (span.text("traceId"), span.text("spanId")))),
        "model": attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model"),
        "provider": attributes.get("gen_ai.provider.name") or attributes.get("gen_ai.system"),
        "output_tokens": attributes.get("gen_ai.usage.output_tokens"),
        "zone": attributes.get("ecologits.electricity_mix_zone"),
        "timestamp": _moment(span, "endTimeUnixNano"),
        "impacts": {name: _impact(attributes, f"ecologits.{name}") for name in ("energy", "gwp")},
    }
    yield Place(request, span.pointer, span.line, span.errors)


def _impact(attributes: dict[str, Any], name: str) -> Any:
    if f"{name}.min" in attributes or f"{name}.max" in attributes:
        return {"min": attributes.get(f"{name}.min"), "max": attributes.get(f"{name}.max")}
    return attributes.get(name)


def _attributes(span: Place) -> dict[str, Any]:
    """Return the plain attributes of a span by name."""
    found: dict[str, Any] = {}
    for attribute in span.items("attributes"):
        if not attribute.is_group():
            continue
        name, value = attribute.text("key", required=True), attribute.group("value")
        for kind in ("stringValue", "intValue", "doubleValue"):
            if value.at(kind).has_value:
                found[name] = value.at(kind).value
    return found


def _moment(span: Place, name: str) -> str | None:
    """Return a moment that stands there in nanoseconds; what is finer than a microsecond is dropped."""
    nanoseconds = span.whole(name, 0, _LAST_NANO - 1)
    if nanoseconds is None:
        return None
    return (_EPOCH + timedelta(microseconds=nanoseconds // 1000)).isoformat()
