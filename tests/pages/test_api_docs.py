"""The API documentation page, whose library knows nothing of our policy, obeys it in a browser."""

from typing import Any

from drf_spectacular.generators import SchemaGenerator

from tests.pages.conftest import OpenPage


def test_every_subject_is_listed_and_its_operations_open(open_page: OpenPage) -> None:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    subjects = {tag for path in document["paths"].values() for one in path.values() for tag in one["tags"]}
    page = open_page("/api/docs/")

    page.wait_for_selector("#operations-tag-orders")
    page.click("#operations-tag-orders")
    page.click("#operations-orders-orders_create .opblock-summary-control")

    page.wait_for_selector("#operations-orders-orders_create .opblock-body")
    assert page.locator(".opblock-tag").count() == len(subjects)
    assert page.locator(".opblock").count() == sum(
        one["tags"] == ["orders"] for path in document["paths"].values() for one in path.values()
    )
    assert "Idempotency-Key" in page.inner_text("#operations-orders-orders_create")
