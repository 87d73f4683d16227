"""The API documentation page, whose library knows nothing of our policy, obeys it in a browser."""

from tests.pages.conftest import OpenPage


def test_every_operation_is_listed_and_opens(open_page: OpenPage) -> None:
    page = open_page("/api/docs/")

    page.wait_for_selector("#operations-orders-orders_create")
    page.click("#operations-orders-orders_create .opblock-summary-control")

    page.wait_for_selector("#operations-orders-orders_create .opblock-body")
    assert page.locator(".opblock").count() > 30
    assert "Idempotency-Key" in page.inner_text("#operations-orders-orders_create")
