"""The pages in a real browser, with real conversions: one test for each thing that people do there."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from airflow_provider_ci.local import LocalCI

pytestmark = pytest.mark.slow

BUCKET = "examplebucket-1250000000"
SAMPLES = Path(__file__).parents[3] / "demo" / "samples"
HOSTILE = "<img src=x onerror=alert(1)>'\"&.svg"
WALK = {
    "first page": "/",
    "jobs": "/_local/jobs",
    "failed jobs": "/_local/jobs?state=failed",
    "queues": "/_local/queues",
    "buckets": "/_local/buckets",
    "folder": f"/_local/buckets/{BUCKET}?folder=photos/",
    "search": f"/_local/buckets/{BUCKET}?find=e",
    "document": f"/_local/object?bucket={BUCKET}&key=inbox/owners-handbook.pdf",
    "text": f"/_local/object?bucket={BUCKET}&key=inbox/suppliers.txt",
    "hostile name and content": f"/_local/object?bucket={BUCKET}&key={quote(HOSTILE)}",
    "faults": "/_local/simulate",
}
_WAIT_MS = 60_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCI]:
    root = tmp_path_factory.mktemp("pages")
    for name in ("inbox", "photos"):
        shutil.copytree(SAMPLES / name, root / BUCKET / name)
    script = "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(2)'><script>alert(3)</script></svg>"
    (root / BUCKET / HOSTILE).write_text(script)
    with LocalCI(root) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "the browser tests need Chromium: make browser"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: LocalCI, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page with a new profile; after the test, no script failed and the policy blocked nothing."""
    options = getattr(request, "param", {})
    context = browser.new_context(
        base_url=server.endpoint, permissions=["clipboard-read", "clipboard-write"], **options
    )
    page = context.new_page()
    page.set_default_timeout(_WAIT_MS)
    trouble: list[str] = []
    page.on("console", lambda line: trouble.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: trouble.append(f"dialog {dialog.message}"))
    yield page
    context.close()
    assert trouble == []


def convert(page: Page, path: Path, goal: str = "PDF") -> None:
    """Convert a file with the form on the first page; return when the job's page shows that it is done."""
    page.goto("/")
    page.get_by_label(goal, exact=True).check()
    page.locator("#files").set_input_files(path)
    page.get_by_role("button", name="Convert").click()
    expect(page.locator("#verdict .badge")).to_have_text("Done", timeout=_WAIT_MS)


def drop(page: Page, path: Path) -> None:
    """Drop a file onto the page, as if dragged from the desktop."""
    content = list(path.read_bytes())
    page.evaluate_handle(
        """([name, content]) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(content)], name));
            for (const kind of ["dragover", "drop"])
                document.body.dispatchEvent(
                    new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
        }""",
        [path.name, content],
    )


def is_drawn(page: Page, selector: str) -> bool:
    found = page.locator(selector)
    found.scroll_into_view_if_needed()
    for _ in range(300):
        if found.evaluate("image => image.complete && image.naturalWidth > 0"):
            return bool(found.evaluate("image => image.naturalWidth") > 100)
        page.wait_for_timeout(100)
    return False


def test_a_dropped_document_is_seen_beside_its_pdf_and_can_be_saved(page: Page, tmp_path: Path) -> None:
    page.goto("/")
    drop(page, SAMPLES / "inbox" / "reports" / "annual-review-2025.docx")
    page.wait_for_url("**/_local/jobs/*")
    expect(page.locator("#verdict h1")).to_have_text(
        re.compile("^Made a PDF of 3 pages from annual-review-2025.docx in "), timeout=_WAIT_MS
    )
    for number in (0, 1):
        assert is_drawn(page, f"#pair figure >> nth={number} >> img")
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#pair .pager")).to_contain_text("Page 2 of 3")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download the output").click()
    assert Path(saved.value.path()).read_bytes()[:5] == b"%PDF-"
    assert saved.value.suggested_filename == "annual-review-2025.pdf"


def test_code_is_copied_and_the_copied_curl_works(page: Page, tmp_path: Path) -> None:
    convert(page, SAMPLES / "inbox" / "suppliers.txt", "PNG pages")
    page.locator("#code-curl summary").click()
    page.locator("#code-curl button").click()
    expect(page.locator("#code-curl button")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    done = subprocess.run(["bash", "-c", copied], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    job_id = done.stdout.partition("<JobId>")[2].partition("</JobId>")[0]
    page.goto(f"/_local/jobs/{job_id}")
    expect(page.locator("#verdict .badge")).to_have_text("Done", timeout=_WAIT_MS)


def test_a_queue_is_paused_and_goes_on_with_the_keyboard_alone(page: Page, server: LocalCI) -> None:
    convert(page, SAMPLES / "photos" / "logo.png", "Automatic")
    page.goto("/_local/queues")
    pictures = page.locator(".queue", has_text="Pictures")
    reach(page, pictures.get_by_role("button", name="Pause"))
    page.keyboard.press("Enter")
    expect(pictures.locator(".badge")).to_have_text("Paused")
    page.goto("/")
    page.locator("#files").set_input_files(SAMPLES / "photos" / "logo.png")
    reach(page, page.get_by_role("button", name="Convert"))
    page.keyboard.press("Enter")
    expect(page.locator("#verdict .badge")).to_have_text("Held")
    held = page.url
    page.goto("/_local/queues")
    reach(page, pictures.get_by_role("button", name="Resume"))
    page.keyboard.press("Enter")
    expect(pictures.locator(".badge")).to_have_text("Active")
    page.goto(held)
    expect(page.locator("#verdict .badge")).to_have_text("Done", timeout=_WAIT_MS)


def reach(page: Page, target: Any) -> None:
    """Press Tab until the target has the focus."""
    expect(target).to_be_visible()
    for _ in range(80):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail("Tab does not lead there")


def test_a_fault_is_switched_on_and_off_while_the_page_is_open(page: Page, server: LocalCI) -> None:
    page.goto("/_local/simulate")
    page.get_by_role("button", name="The next 5 submissions are refused").click()
    expect(page.locator("#waiting h2")).to_have_text("1 fault waits")
    server.faults.add("late", seconds=0.1)
    expect(page.locator("#waiting h2")).to_have_text("2 faults wait", timeout=_WAIT_MS)
    page.get_by_role("button", name="Switch all off").click()
    expect(page.locator("#waiting h2")).to_have_text("0 faults wait")
    assert server.faults.pending() == []


def test_the_first_page_renews_itself_and_keeps_scroll_and_options(page: Page, server: LocalCI) -> None:
    page.set_viewport_size({"width": 900, "height": 500})
    page.goto("/")
    page.locator("#more-options summary").click()
    page.locator("#pages").fill("1-2")
    page.evaluate("scrollTo(0, 400)")
    server.faults.add("late", seconds=0.1)
    expect(page.locator("#numbers")).to_contain_text("fault waits", timeout=_WAIT_MS)
    server.faults.clear()
    expect(page.locator("#numbers")).not_to_contain_text("fault waits", timeout=_WAIT_MS)
    assert (page.evaluate("scrollY"), page.locator("#pages").input_value()) == (400, "1-2")


def test_times_are_in_the_zone_of_the_browser(browser: Browser, server: LocalCI) -> None:
    context = browser.new_context(base_url=server.endpoint, timezone_id="Asia/Tokyo", locale="en-GB")
    page = context.new_page()
    page.goto(f"/_local/object?bucket={BUCKET}&key=inbox/suppliers.txt")
    shown = page.locator("time").first
    expect(shown).not_to_contain_text("UTC")
    hour = int(shown.get_attribute("datetime").partition("T")[2][:2])  # type: ignore[union-attr]
    assert f" {(hour + 9) % 24:02}:" in shown.inner_text()
    context.close()


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_a_document_is_converted_without_scripts(page: Page) -> None:
    page.goto("/")
    page.locator("#files").set_input_files(SAMPLES / "inbox" / "suppliers.txt")
    page.get_by_role("button", name="Convert").click()
    page.wait_for_url("**/_local/jobs/*")
    for _ in range(60):
        if page.locator("#verdict .badge").inner_text() == "Done":
            break
        page.wait_for_timeout(500)
        page.reload()
    assert "Made a PDF of" in page.locator("#verdict h1").inner_text()
    assert "UTC" in page.locator("time").first.inner_text()


@pytest.mark.parametrize(
    "page",
    [
        {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
        {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}},
    ],
    indirect=True,
    ids=["light and wide", "dark and narrow"],
)
def test_every_page_fits_and_can_be_read_by_everybody(page: Page, server: LocalCI) -> None:
    convert(page, SAMPLES / "photos" / "till-icon.bmp", "Automatic")
    walk = {**WALK, "job": page.url.removeprefix(server.endpoint)}
    for name, path in walk.items():
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], f"{name} scrolls sideways"
        found = Axe().run(page).response["violations"]
        serious = [item["id"] for item in found if item["impact"] in ("serious", "critical")]
        assert serious == [], (name, [node["html"] for item in found for node in item["nodes"]])
