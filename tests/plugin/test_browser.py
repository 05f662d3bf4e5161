"""The pages in a real browser: links, filters, keyboard use, accessibility, hostile names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.plugin.conftest import Site, set_progress

SCHEMES = ("light", "dark")
WIDTHS = (1280, 360)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "the browser tests need Chromium: make browser"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """Errors in the console of the pages; after each test there must be none."""
    return []


@pytest.fixture
def open_page(browser: Browser, site: Site, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    contexts = []

    def open_page(address: str = "", **options: Any) -> Page:
        size = ViewportSize(width=options.pop("width", 1280), height=800)
        context = browser.new_context(viewport=size, locale="en-GB", **options)
        contexts.append(context)
        context.add_cookies([{"name": "_token", "value": site.token("viewer"), "url": site.url}])
        page = context.new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address or site.pages)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def serious(page: Page) -> list[str]:
    """Violations of accessibility rules that axe calls serious or critical."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['help']}" for each in found if each["impact"] in ("serious", "critical")]


def test_the_first_failed_document_is_two_clicks_away(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(timezone_id="Asia/Shanghai")
    page.get_by_role("link", name="pages_failed").click()
    expect(page.get_by_text("4 of 9 objects failed")).to_be_visible()
    page.get_by_role("link", name="00 report.docx").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("pages_failed/00 report.docx")
    expect(page.locator("#outcome")).to_contain_text("EmptyFile")
    expect(page.get_by_alt_text("First page or picture of pages_failed/00 report.docx")).to_be_visible()
    page.get_by_role("link", name=re.compile("pages_failed · convert")).click()
    started = page.locator("dt", has_text="Task started").locator("..").locator("time")
    utc = started.get_attribute("datetime")
    hour = (int((utc or "")[11:13]) + 8) % 24
    expect(started).to_contain_text(f"{hour:02}:")


def test_filters_work_with_and_without_the_script(site: Site, open_page: Callable[..., Page]) -> None:
    for has_script in (True, False):
        page = open_page(site.address("pages_failed"), java_script_enabled=has_script)
        page.get_by_role("link", name="All 9").click()
        expect(page.locator("#rows tbody tr")).to_have_count(9)
        page.get_by_label("Key or reason").fill("03 rep")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("#rows tbody tr")).to_have_count(1)
        page.goto(site.pages)
        page.get_by_label("DAG").select_option("pages_good")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("#batches tbody tr")).to_have_count(1)


def test_a_running_batch_renews_itself_and_keeps_what_the_user_does(
    site: Site, open_page: Callable[..., Page]
) -> None:
    page = open_page(site.address("pages_running", text="report"), width=360)
    page.get_by_label("Key or reason").fill("half a wo")
    page.evaluate("window.scrollTo(0, 150)")
    page.evaluate("window.isStillHere = true")
    set_progress(site.airflow.home, finished=3456)
    expect(page.locator("#verdict")).to_contain_text("3,456 of 5,000", timeout=20_000)
    set_progress(site.airflow.home)
    assert page.evaluate("window.isStillHere")
    assert page.evaluate("window.scrollY") == 150
    expect(page.get_by_label("Key or reason")).to_have_value("half a wo")
    expect(page.get_by_label("Key or reason")).to_be_focused()
    assert "text=report" in page.url


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(
    site: Site, open_page: Callable[..., Page], scheme: str
) -> None:
    addresses = [
        site.pages,
        site.address("pages_failed", state="all"),
        site.address("pages_running"),
        site.address("pages_planned"),
        site.address("pages_failed", "object", n=8),
    ]
    for width in WIDTHS:
        page = open_page(color_scheme=scheme, width=width)
        for address in addresses:
            page.goto(address)
            assert serious(page) == [], (address, width)
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wide) <= 0, (address, width)


def test_hostile_names_and_contents_do_nothing(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(site.address("pages_failed", state="all"))
    assert page.title() != "taken"
    for number in range(9):
        page.goto(site.address("pages_failed", "object", n=number))
        assert page.title() != "taken"


def test_the_page_opens_beside_the_menu_of_airflow(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{site.url}/plugin/ci-batches")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="pages_failed").click(timeout=30_000)
    expect(frame.get_by_text("4 of 9 objects failed")).to_be_visible()
    if site.version >= (3, 3):  # older UIs open only the first page of a plugin
        names = site.address("pages_good").partition("?")[2]
        page.goto(f"{site.url}/plugin/ci-batches/ci-batches/batch?{names}")
        expect(frame.get_by_text("All 3 objects are done")).to_be_visible(timeout=30_000)


def test_keys_reach_everything_in_order(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="All 6")).to_be_focused()
