"""How htmx is set up: it sends the form token, shows refused forms in place, and tells of other failures."""

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.pages.conftest import OpenPage

FORM = """
<form id="trial" hx-post="/trial/" hx-target="#trial" hx-swap="outerHTML">
    <label for="trial_quantity">Trial quantity</label> <input id="trial_quantity" name="trial_quantity" value="0">
    <button type="submit">Send the trial</button>
</form>
"""
REFUSED = '<form id="trial"><div data-error-summary tabindex="-1">Enter at least 1.</div></form>'


def send_a_form_that_is_answered(page: Page, status: int) -> list[Request]:
    """Put a form on the page, send it by htmx, answer it with the status, and return the requests that were made."""
    requests: list[Request] = []

    def answer(route: Route, request: Request) -> None:
        requests.append(request)
        route.fulfill(status=status, content_type="text/html", body=REFUSED)

    page.route("**/trial/", answer)
    page.evaluate("(form) => { document.querySelector('main .frame').insertAdjacentHTML('beforeend', form) }", FORM)
    page.evaluate("window.htmx.process(document.querySelector('#trial'))")
    page.get_by_role("button", name="Send the trial").click()
    return requests


def test_refused_form_comes_back_in_place_and_takes_the_focus(open_page: OpenPage) -> None:
    page = open_page("/styleguide/")

    requests = send_a_form_that_is_answered(page, 422)

    expect(page.locator("#trial [data-error-summary]")).to_be_focused()
    assert requests[0].headers["x-csrftoken"]


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(403, "You may not do this"), (429, "Too many requests"), (500, "The registry could not answer")],
)
def test_failure_is_told_in_words_and_the_form_stays(open_page: OpenPage, status: int, sentence: str) -> None:
    page = open_page("/styleguide/", refusals=(status,))

    send_a_form_that_is_answered(page, status)

    expect(page.locator("[data-problem]")).to_contain_text(sentence)
    expect(page.get_by_label("Trial quantity")).to_be_visible()


def test_chart_that_htmx_swaps_in_is_drawn_from_its_new_figures(open_page: OpenPage) -> None:
    page = open_page("/styleguide/")
    expect(page.locator("#sample-price canvas")).to_have_count(1)
    fresh = page.request.get("/styleguide/").text()
    newest = page.locator("#sample-price tbody tr").last.locator("td").text_content() or "missing"
    page.route("**/trial/", lambda route: route.fulfill(content_type="text/html", body=fresh.replace(newest, "99.75")))

    page.evaluate(
        "window.htmx.ajax('GET', '/trial/', {target: '#sample-price', select: '#sample-price', swap: 'outerHTML'})"
    )

    expect(page.locator("#sample-price tbody tr").last.locator("td")).to_have_text("99.75")
    expect(page.locator("#sample-price .chart-key output")).to_have_text("99.75")
    expect(page.locator("#sample-price canvas")).to_have_count(1)
