"""The parts every page is made of: readable in both themes and widths, and usable without scripts."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.pages.conftest import NARROW, WIDE, OpenPage

STYLEGUIDE = "/styleguide/"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_every_part_is_accessible(
    open_page: OpenPage, assert_accessible: Callable[[Page], None], theme: str, width: int
) -> None:
    page = open_page(STYLEGUIDE, theme=theme, width=width)

    assert_accessible(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_open_menus_are_accessible(open_page: OpenPage, assert_accessible: Callable[[Page], None], theme: str) -> None:
    page = open_page(STYLEGUIDE, theme=theme)

    for summary in page.locator("summary").all():
        summary.click()

    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
    assert_accessible(page)


def test_axe_would_notice_a_fault(open_page: OpenPage, assert_accessible: Callable[[Page], None]) -> None:
    page = open_page(STYLEGUIDE)

    page.evaluate("document.querySelector('main h1').style.color = '#bbbbbb'")

    with pytest.raises(AssertionError, match="color-contrast"):
        assert_accessible(page)


def test_theme_follows_the_system_until_one_is_chosen_and_then_stays(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE, theme="dark")
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "dark")

    page.get_by_role("button", name="Dark theme").click()
    page.reload()

    expect(root).to_have_attribute("data-bs-theme", "light")
    expect(page.get_by_role("button", name="Dark theme")).to_have_attribute("aria-pressed", "false")


def test_theme_is_known_before_the_body_is_read(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE, theme="dark")
    page.add_init_script(
        """new MutationObserver((_, observer) => {
            if (!document.body) return;
            window.themeAtFirstSight = document.documentElement.dataset.bsTheme;
            observer.disconnect();
        }).observe(document, { childList: true, subtree: true });"""
    )

    page.reload()

    assert page.evaluate("window.themeAtFirstSight") == "dark"


def test_chart_is_drawn_from_its_table(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE)
    chart = page.locator("#sample-price")

    expect(chart.locator("canvas")).to_have_count(1)

    last_row = chart.locator("tbody tr").last
    expect(chart.locator(".chart-key output")).to_have_text(last_row.locator("td").text_content() or "missing")
    assert chart.get_by_role("img").get_attribute("aria-label")


def test_chart_without_rows_says_so(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE)

    chart = page.locator("#sample-empty")

    expect(chart).to_contain_text("Nothing to draw yet")
    expect(chart.locator("canvas")).to_have_count(0)


def width_of(canvas: Locator) -> float:
    """Return how wide the chart is drawn."""
    box = canvas.bounding_box()
    assert box is not None
    return box["width"]


def test_chart_follows_the_width_of_the_window(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE)
    canvas = page.locator("#sample-price canvas")
    assert width_of(canvas) > NARROW

    page.set_viewport_size({"width": NARROW, "height": 900})

    expect(page.locator("#sample-price .uplot")).to_have_css("width", re.compile(r"^[23]\d\d"))
    assert width_of(canvas) < NARROW


def test_without_scripts_the_system_theme_menus_and_figures_are_there(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE, theme="dark", scripts=False)

    page.locator("summary", has_text="change organisation").click()
    page.locator("#sample-price summary").click()

    expect(page.locator("body")).to_have_css("background-color", "rgb(13, 20, 27)")
    expect(page.get_by_role("button", name="Lakeside AI Lab")).to_be_visible()
    expect(page.locator("#sample-price tbody tr").first).to_be_visible()
    expect(page.locator("#sample-price .chart-canvas")).to_be_hidden()
    expect(page.get_by_role("button", name="Dark theme")).to_be_hidden()


def test_menu_closes_on_escape_and_gives_the_focus_back(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE)
    summary = page.locator("summary", has_text="change organisation")
    summary.click()
    expect(page.get_by_role("button", name="Lakeside AI Lab")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.get_by_role("button", name="Lakeside AI Lab")).to_be_hidden()
    expect(summary).to_be_focused()


def test_errors_take_the_focus_and_lead_to_their_fields(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE)
    expect(page.get_by_role("alert").filter(has_text="There is a problem")).to_be_focused()

    page.get_by_role("link", name="Quantity: Ensure this value").click()

    quantity = page.locator("#wrong_quantity")
    expect(quantity).to_be_focused()
    expect(quantity).to_have_attribute("aria-invalid", "true")
    expect(quantity).to_have_accessible_description(
        "Whole permits. Error: Ensure this value is greater than or equal to 1."
    )


def test_first_stop_of_the_keyboard_skips_to_the_main_content(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE)
    page.evaluate("document.body.tabIndex = -1; document.body.focus()")  # as when nothing else had asked for the focus

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()


def test_form_that_was_sent_is_not_sent_again(open_page: OpenPage) -> None:
    page = open_page(STYLEGUIDE)

    sent = page.evaluate(
        """() => {
            let sent = 0;
            document.addEventListener("submit", (event) => {
                if (!event.defaultPrevented) sent += 1;
                event.preventDefault();
            });
            const form = document.querySelector("form[data-submit-once]");
            form.noValidate = true;
            form.requestSubmit();
            form.requestSubmit();
            return sent;
        }"""
    )

    assert sent == 1
