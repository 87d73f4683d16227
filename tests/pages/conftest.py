"""Fixtures for looking at pages as people do: Debian's Chromium against a live server, under the real security policy.

A test asks for `open_page` and gets pages in fresh browser contexts. When the test ends, a page that wrote an error to
the console, raised one, or asked for something the policy refuses makes the test fail, whatever else it looked at.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.cast import OPENING, REPORTING, Clock, opening
from tests.pages.world import World, tell_the_world
from tests.snapshots import Ready, recall

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",  # the tests may run as root, where Chromium's own sandbox refuses to start
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = Path(__file__).resolve().parents[1] / "vendor/axe/axe.min.js"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

WIDE, NARROW = 1280, 390
"""Widths of a desk screen and of a telephone."""


class OpenPage(Protocol):
    """Opens an address of the live server in a fresh browser context."""

    def __call__(
        self,
        path: str,
        *,
        theme: str = "light",
        width: int = WIDE,
        scripts: bool = True,
        user: User | None = None,
        refusals: tuple[int, ...] = (409, 422),
    ) -> Page: ...


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all page tests."""
    if not CHROMIUM.exists():
        pytest.fail(f"The page tests look at pages in Chromium, and {CHROMIUM} is missing: apt-get install chromium")
    with pytest.MonkeyPatch.context() as environment, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, so Django takes every fixture's query for one made from async code
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


def sign_in(page: Page, user: User, server: str) -> None:
    """Give the page's browser a session of this user, without walking through the log-in form."""
    client = Client()
    client.force_login(user)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": server}])


def complaint_in(message: ConsoleMessage, refusals: tuple[int, ...]) -> list[str]:
    """Return the console line if it means a fault. Browsers log a refused form too, though it is an answer."""
    if message.type not in {"error", "warning"}:
        return []
    if any(f"responded with a status of {status}" in message.text for status in refusals):
        return []
    return [message.text]


@pytest.fixture
def open_page(chromium: Browser, live_server: LiveServer) -> Iterator[OpenPage]:
    """Open pages, and fail at the end if one of them complained."""
    complaints: list[str] = []
    contexts = []

    def open_one(
        path: str,
        *,
        theme: str = "light",
        width: int = WIDE,
        scripts: bool = True,
        user: User | None = None,
        refusals: tuple[int, ...] = (409, 422),
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=scripts,
            base_url=live_server.url,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.extend(complaint_in(message, refusals)))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if user is not None:
            sign_in(page, user, live_server.url)
        page.goto(path)
        return page

    yield open_one

    for context in contexts:
        context.close()
    assert complaints == []


def violations(page: Page) -> list[str]:
    """Return what axe finds wrong on the page, one line for each place.

    The script is handed over by the debugging protocol: the page's own policy, rightly, would let nobody inject one.
    """
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    run = f"axe.run({{runOnly: {json.dumps(WCAG)}}}).then((found) => JSON.stringify(found.violations))"
    answer = session.send("Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True})
    return [
        f"{rule['id']}: {place['html']} ({place['failureSummary']})"
        for rule in json.loads(answer["result"]["value"])
        for place in rule["nodes"]
    ]


@pytest.fixture
def assert_accessible() -> Callable[[Page], None]:
    """Assert that a page keeps WCAG 2.0 to 2.2, A and AA, as far as axe can tell, and does not scroll sideways."""

    def check(page: Page) -> None:
        page.wait_for_load_state("networkidle")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0

    return check


@pytest.fixture
def ready(request: pytest.FixtureRequest, db: None) -> Ready:
    """Have the world ready for a test that asks for it, or else what every test has ready."""
    return recall("world", tell_the_world, OPENING) if "world" in request.fixturenames else opening(request)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, ready: Ready, clock: Clock) -> World:
    """Something on every page, and a person in every role. No worker is rung: tests drain by themselves."""
    monkeypatch.setattr("exchange.services.waking.wake", lambda market: None)
    clock.move_to(REPORTING)
    world: World = ready["world"]
    return world


@pytest.fixture
def as_person(world: World) -> Callable[[str], Client]:
    """Return a client that is logged in as one of the world's people."""

    def log_in(name: str) -> Client:
        client = Client()
        if name != "anyone":
            client.force_login(world.people[name])
        return client

    return log_in
