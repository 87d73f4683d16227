"""The administration wears the registry's colours, in both themes."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.pages.conftest import OpenPage


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_index_and_lists_are_accessible(
    open_page: OpenPage, assert_accessible: Callable[[Page], None], transactional_db: None, theme: str
) -> None:
    keeper = User.objects.create_superuser("keeper@registry.example", "seven quiet turbines", name="Ines Keeper")
    page = open_page("/admin/", theme=theme, user=keeper)

    expect(page.get_by_role("link", name="Headroom administration")).to_be_visible()
    assert_accessible(page)

    page.goto("/admin/mfa/authenticator/")
    expect(page.get_by_role("heading", name="Select authenticator to change")).to_be_visible()
    assert_accessible(page)
