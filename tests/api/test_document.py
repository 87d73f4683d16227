"""The OpenAPI document: kept in the repository, without gaps, and shown by a page that obeys the site's policy."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from common.problems import BodyTooLarge
from tests.api.test_access import ACTS, ONCE, READS

KEPT = Path("docs/openapi.yaml")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as the code has it now."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


def test_kept_document_is_up_to_date(document: dict[str, Any]) -> None:
    made = OpenApiYamlRenderer().render(document, renderer_context={}).decode()  # type: ignore[no-untyped-call]

    assert KEPT.read_text() == made, "Write it again: python3 manage.py spectacular --file docs/openapi.yaml"


def test_document_is_valid_and_made_without_warnings(tmp_path: Path) -> None:
    call_command("spectacular", "--fail-on-warn", "--validate", "--file", str(tmp_path / "openapi.yaml"))


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_is_there_with_a_summary(document: dict[str, Any]) -> None:
    documented = operations(document)

    also = 3  # making and revoking tokens, and a calculator, which is asked by its address or by a body
    assert len(documented) == len(READS) + len(ACTS) + len(ONCE) + also
    assert [path for path, _, operation in documented if not operation.get("summary")] == []


def test_every_operation_names_its_problems(document: dict[str, Any]) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

    for path, method, operation in operations(document):
        statuses = set(operation["responses"])
        assert {"400", "406", "429"} <= statuses, path
        assert ("{" not in path) or "404" in statuses, path
        assert ("requestBody" not in operation) or {"413", "415", "422"} <= statuses, path
        assert (method == "get") or {"401", "422"} <= statuses, path
        assert all(
            answer["content"] == problem for status, answer in operation["responses"].items() if status >= "400"
        ), path


def test_every_act_but_a_report_documents_its_key(document: dict[str, Any]) -> None:
    with_key = {
        (path, method)
        for path, method, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "Idempotency-Key" and parameter["required"]
    }

    assert with_key == {
        ("/api/v1/cases/", "post"),
        ("/api/v1/orders/", "post"),
        ("/api/v1/orders/batch/", "post"),
        ("/api/v1/orders/{public_id}/", "delete"),
        ("/api/v1/reports/{id}/findings/", "post"),
        ("/api/v1/schemes/{code}/rules/changes/", "post"),
        ("/api/v1/surrenders/", "post"),
        ("/api/v1/surrenders/bulk/", "post"),
        ("/api/v1/transactions/", "post"),
        ("/api/v1/transactions/{id}/reverse/", "post"),
        ("/api/v1/transfers/", "post"),
        ("/api/v1/transfers/bulk/", "post"),
        ("/api/v1/trusted-accounts/", "post"),
    }


def test_public_operations_need_no_token(document: dict[str, Any]) -> None:
    public = {
        path for path, method, operation in operations(document) if method == "get" and {} in operation["security"]
    }

    assert public == {
        f"/api/v1/{path}/"
        for path in (
            "schemes",
            "schemes/{code}",
            "schemes/{code}/calendar",
            "schemes/{code}/rules",
            "schemes/{code}/rules/changes",
            "schemes/{code}/rules/document",
            "schemes/{code}/rules/schema",
            "periods",
            "periods/{code}",
            "markets",
            "markets/{code}",
            "markets/{code}/book",
            "trades",
            "compliance",
            "allocations",
            "allocations/{id}",
            "runs",
            "runs/{id}",
            "runs/{id}/document",
            "certificates/{id}",
            "freezes",
            "serial-freezes",
            "serials",
            "factor-sets",
            "factor-sets/{code}/v{version}/hours",
            "intensities",
            "calculators",
            "calculators/{name}",
            "tariffs",
            "tariffs/{id}",
            "avoided-emissions",
            "avoided-emissions/{serial}",
            "leagues",
            "leagues/{slug}",
            "published-measures",
            "published-measures/{id}",
            "labels",
            "labels/{id}",
            "access-programmes",
            "access-programmes/{id}",
            "access-awards",
            "access-awards/{id}",
            "planning",
            "planning/places",
            "planning/sensitivity",
        )
    }


def test_bodies_are_limited_to_what_the_document_says() -> None:
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == 3 * 1024 * 1024
    assert "3 MB" in BodyTooLarge.default_detail


def test_document_is_served_to_anybody(client: Client) -> None:
    answer = client.get(reverse("openapi"))

    assert answer.status_code == 200
    assert yaml.safe_load(answer.content)["openapi"] == "3.1.0"


def test_page_runs_only_files_of_ours(client: Client) -> None:
    answer = client.get(reverse("api-docs"))

    page = answer.content.decode()
    assert answer.status_code == 200
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]
    assert "<script>" not in page
    assert "style=" not in page
    assert 'data-document="/api/openapi.yaml"' in page
