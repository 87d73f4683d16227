"""Logging in: by password, with a second step where one is set up, and out again; with and without scripts."""

import time
from collections.abc import Callable

import pytest
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from playwright.sync_api import Page, expect
from pytest_django import Settings

from accounts.models import User
from tests.pages.conftest import NARROW, WIDE, OpenPage

PASSWORD = "seven quiet turbines"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def ada(transactional_db: None, settings: Settings) -> User:
    """A person with a password and no second factor."""
    settings.MFA_TOTP_TOLERANCE = 1  # a code may turn over while the test types it
    return User.objects.create_user("ada@northwind.example", PASSWORD, name="Ada Okafor")


def code_of(secret: str) -> str:
    """Return what an authenticator app would show now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def enter(page: Page, password: str) -> None:
    """Fill in the log-in form and send it."""
    page.get_by_label("Email").fill("ada@northwind.example")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in", exact=True).click()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_log_in_page_is_accessible_also_when_it_refuses(
    open_page: OpenPage, assert_accessible: Callable[[Page], None], ada: User, theme: str, width: int
) -> None:
    page = open_page("/accounts/login/", theme=theme, width=width)
    assert_accessible(page)

    enter(page, "not the password")

    expect(page.get_by_role("alert").filter(has_text="There is a problem")).to_be_visible()
    assert_accessible(page)


@pytest.mark.parametrize("scripts", [True, False])
def test_person_logs_in_and_out_with_and_without_scripts(open_page: OpenPage, ada: User, scripts: bool) -> None:
    page = open_page("/accounts/login/?next=/styleguide/", scripts=scripts)

    enter(page, PASSWORD)
    expect(page).to_have_url("/styleguide/")
    page.locator("summary", has_text="Your account").click()
    expect(page.locator(".menu-title", has_text="Ada Okafor")).to_be_visible()
    page.get_by_role("button", name="Log out").click()

    page.goto("/accounts/2fa/")
    expect(page.get_by_role("heading", name="Log in to Headroom")).to_be_visible()


def test_second_step_is_asked_for_and_accepted(
    open_page: OpenPage, assert_accessible: Callable[[Page], None], ada: User
) -> None:
    TOTP.activate(ada, SECRET)
    page = open_page("/accounts/login/?next=/styleguide/")

    enter(page, PASSWORD)
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    assert_accessible(page)
    page.get_by_label("Code").fill(code_of(SECRET))
    page.get_by_role("button", name="Log in", exact=True).click()

    expect(page).to_have_url("/styleguide/")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_of_ones_own_account_are_accessible(
    open_page: OpenPage, assert_accessible: Callable[[Page], None], ada: User, theme: str
) -> None:
    page = open_page("/accounts/2fa/", theme=theme, user=ada)
    assert_accessible(page)

    page.goto("/accounts/2fa/totp/activate/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("img", name="QR code of the secret below")).to_be_visible()
    assert_accessible(page)

    secret = page.get_by_label("Authenticator secret").input_value()
    page.get_by_label("Authenticator code").fill(code_of(secret))
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_role("heading", name="Recovery Codes")).to_be_visible()
    assert_accessible(page)
    assert len(page.get_by_label("Unused codes").input_value().split()) == 10


def test_person_sets_up_a_passkey_and_logs_in_with_it(
    open_page: OpenPage, assert_accessible: Callable[[Page], None], ada: User
) -> None:
    page = open_page("/accounts/login/?next=/styleguide/")
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    key = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
    }
    device.send("WebAuthn.addVirtualAuthenticator", {"options": key})
    enter(page, PASSWORD)

    page.goto("/accounts/2fa/webauthn/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_label("Passwordless").check()
    assert_accessible(page)
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Security key added")).to_be_visible()
    page.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_text("Laptop")).to_be_visible()
    assert_accessible(page)

    page.locator("summary", has_text="Your account").click()
    page.get_by_role("button", name="Log out").click()
    page.goto("/accounts/login/?next=/styleguide/")
    page.get_by_role("button", name="Log in with a passkey").click()

    expect(page).to_have_url("/styleguide/")
