"""The administration wears the registry's colours, in both themes."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.cast import Regulator
from tests.pages.conftest import OpenPage


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_index_and_lists_are_accessible(
    open_page: OpenPage,
    assert_accessible: Callable[[Page], None],
    transactional_db: None,
    regulator: Regulator,
    theme: str,
) -> None:
    page = open_page("/admin/", theme=theme, user=regulator.desk)

    expect(page.get_by_role("link", name="Headroom administration")).to_be_visible()
    assert_accessible(page)

    page.goto("/admin/accounts/organisation/")
    expect(page.get_by_role("heading", name="Select organisation to view")).to_be_visible()
    assert_accessible(page)
