"""The content security policy has no exceptions, and no template of ours would need one."""

import re
from pathlib import Path

import pytest
from django.test import Client

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"

NEEDS_AN_EXCEPTION = {
    "a style attribute": re.compile(r"\sstyle\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "an event attribute": re.compile(r"<[^>]*\s(on[a-z]+|hx-on[:a-z-]*)\s*=", re.IGNORECASE),
    "an inline script": re.compile(r"<script(?![^>]*(\ssrc\s*=|type=\"application/json\"))", re.IGNORECASE),
    "code in an htmx attribute": re.compile(r"hx-[a-z:]+\s*=\s*[\"'](js|javascript):", re.IGNORECASE),
    "something from elsewhere": re.compile(r"(src|href)\s*=\s*[\"'](https?:)?//", re.IGNORECASE),
}


@pytest.mark.parametrize("fault", NEEDS_AN_EXCEPTION)
def test_no_template_needs_an_exception(fault: str) -> None:
    pages = sorted(TEMPLATES.rglob("*.html"))

    assert len(pages) > 30
    assert [page.name for page in pages if NEEDS_AN_EXCEPTION[fault].search(page.read_text())] == []


@pytest.mark.parametrize(
    ("fault", "mark_up"),
    [
        ("a style attribute", '<p style="color: red">'),
        ("a style element", "<style>"),
        ("an event attribute", '<a href="/" onclick="go()">'),
        ("an inline script", "<script>go()</script>"),
        ("code in an htmx attribute", '<a hx-vals="js:{a: 1}">'),
        ("something from elsewhere", '<script src="https://example.org/x.js"></script>'),
    ],
)
def test_such_a_template_would_be_found(fault: str, mark_up: str) -> None:
    assert NEEDS_AN_EXCEPTION[fault].search(mark_up)


@pytest.mark.django_db
def test_pages_send_the_whole_policy(client: Client) -> None:
    header = client.get("/accounts/login/").headers["Content-Security-Policy"]

    policy = {name: set(sources) for name, *sources in (part.split() for part in header.split(";"))}

    assert policy["default-src"] == policy["script-src"] == policy["style-src"] == policy["form-action"] == {"'self'"}
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == {"'none'"}
    assert "unsafe" not in header


@pytest.mark.django_db
def test_unknown_address_answers_with_our_own_page(client: Client) -> None:
    answer = client.get("/no-such-page/")

    assert answer.status_code == 404
    assert "There is no page at this address" in answer.content.decode()
