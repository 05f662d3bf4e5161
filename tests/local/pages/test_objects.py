"""Buckets as folders: paging, search, previews that are always redrawn, hostile names and contents."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from lxml import html
from PIL import Image

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.pages.views import objects

BUCKET = "examplebucket-1250000000"
PLACE = f"/_local/buckets/{BUCKET}"
ATTACK = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>.txt"


def names(tree: Any) -> list[str]:
    return [item.text_content() for item in tree.xpath("//a[@class='tile']/span[@class='name']")]


def test_folders_and_objects_are_paged(visitor: Any, folder: Path) -> None:
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/x.txt").write_text("x")
    for number in range(objects.PAGE_SIZE + 5):
        (folder / f"n{number:03}.txt").write_text("x")
    first = visitor.tree(PLACE)
    assert names(first)[:2] == ["deep/", "n000.txt"] and len(names(first)) == objects.PAGE_SIZE
    rest = visitor.tree(PLACE + first.xpath("//a[@rel='next']/@href")[0])
    assert names(rest)[-1] == f"n{objects.PAGE_SIZE + 4:03}.txt" and not rest.xpath("//a[@rel='next']")
    assert names(visitor.tree(f"{PLACE}?folder=deep/er/")) == ["x.txt"]


def test_a_search_looks_into_every_folder(
    visitor: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "in/deep").mkdir(parents=True)
    for name in ("in/deep/Report.txt", "in/other.txt", "report-2.txt"):
        (folder / name).write_text("x")
    assert names(visitor.tree(f"{PLACE}?find=REPORT")) == ["in/deep/Report.txt", "report-2.txt"]
    assert names(visitor.tree(f"{PLACE}?find=report&folder=in/")) == ["deep/Report.txt"]
    monkeypatch.setattr(objects, "SEARCHED_OBJECTS", 1)
    monkeypatch.setattr(objects, "_STEP", 1)
    first = visitor.tree(f"{PLACE}?find=report-2")
    assert names(first) == []
    second = visitor.tree(PLACE + first.xpath("//a[@rel='next']/@href")[0])
    third = visitor.tree(PLACE + second.xpath("//a[@rel='next']/@href")[0])
    assert names(third) == ["report-2.txt"], "the search goes on where it stopped"


@pytest.mark.parametrize(
    "path",
    [
        "buckets/.ci-local",
        "buckets/../..",
        "buckets/%2e%2e",
        "buckets/none",
        f"buckets/{BUCKET}?folder=../",
        f"buckets/{BUCKET}?folder=/../../",
        f"object?bucket={BUCKET}&key=../secret.txt",
        f"object?bucket={BUCKET}&key=link/secret.txt",
        "object?bucket=..&key=secret.txt",
        "object?bucket=.ci-local&key=state.sqlite",
        f"download?bucket={BUCKET}&key=../secret.txt",
        f"download?bucket={BUCKET}&key=link/secret.txt",
        "download?bucket=.ci-local&key=state.sqlite",
        f"preview?bucket={BUCKET}&key=../secret.png",
        "static/../pages.py",
        "static/%2e%2e%2fpages.py",
    ],
)
def test_nothing_outside_the_buckets_is_shown(visitor: Any, root: Path, folder: Path, path: str) -> None:
    for name in ("secret.txt", "secret.png"):
        (root / name).write_text("the-secret")
    (folder / "link").symlink_to(root)
    reply = visitor.get(f"/_local/{path}")
    assert b"the-secret" not in reply.body and b"SQLite" not in reply.body
    assert b"environment" not in reply.body
    tiles = html.fromstring(reply.body).xpath("//a[@class='tile']") if reply.status == 200 else []
    assert tiles == []


def test_hostile_names_are_text_in_links_that_lead_back_to_them(visitor: Any) -> None:
    keys = [ATTACK, f"in/{ATTACK}", "a/../b.txt", "//c.txt", "d ?#&=+%.txt", "javascript:alert(1).txt"]
    for key in keys:
        assert visitor.call.put(key, key.encode()).status == 200
    found = visitor.tree(f"{PLACE}?find=.txt")
    links = found.xpath("//a[@class='tile']/@href")
    shown = {visitor.tree(urljoin(PLACE, link)).findtext(".//pre") for link in links}
    assert shown == set(keys)
    assert not found.xpath("//main//script | //@onerror | //main//img[@src='x']")
    assert all(link.startswith("../object?") for link in links)


@pytest.mark.parametrize(
    "value", ["", "%00", "..", "/", "x" * 2000, "%ff", "%ed%a0%80", "-1", "9" * 400, "%0a", "a%2f"]
)
@pytest.mark.parametrize(
    "path",
    [
        *(f"{PLACE}?folder=V", f"{PLACE}?find=V", f"{PLACE}?after=V", "/_local/buckets/V", "/_local/jobs/V"),
        *("/_local/jobs?find=V&state=V&before=V", "/_local/queues/V", f"/_local/objects/{BUCKET}/V"),
        *(f"/_local/object?bucket={BUCKET}&key=V", "/_local/object?bucket=V&key=a", "/_local/V"),
        *(f"/_local/preview?bucket={BUCKET}&key=V.png&page=V", "/_local/download?bucket=V&key=V"),
    ],
)  # fmt: skip
def test_no_address_makes_a_page_fail(visitor: Any, path: str, value: str) -> None:
    reply = visitor.get(path.replace("V", value))
    assert reply.status in (200, 400, 404), reply.body


def picture(file_type: str = "PNG", size: tuple[int, int] = (600, 400)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(file, file_type)
    return file.getvalue()


def preview(visitor: Any, key: str, more: str = "") -> Any:
    return visitor.get(f"/_local/preview?bucket={BUCKET}&key={quote(key)}{more}")


@pytest.fixture
def real(real_call: Any, visitor_of: Any) -> Any:
    return visitor_of(real_call)


def test_a_picture_is_decoded_and_encoded_again(real: Any) -> None:
    hidden = picture("JPEG") + b"<script>alert(1)</script>"
    real.call.put("a.jpg", hidden)
    small, large = preview(real, "a.jpg", "&size=small"), preview(real, "a.jpg")
    for reply, width in ((small, 320), (large, 600)):
        assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
        assert b"script" not in reply.body and "sandbox" in reply.headers["content-security-policy"]
        assert Image.open(io.BytesIO(reply.body)).width == width
    real.call.put("a.jpg", picture("JPEG", (50, 50)))
    assert Image.open(io.BytesIO(preview(real, "a.jpg").body)).width == 50, "it was replaced"


def test_a_page_of_a_pdf_is_drawn(real: Any) -> None:
    file = io.BytesIO()
    pages = [Image.new("RGB", (200, 300), colour) for colour in ("red", "blue")]
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    real.call.put("a.pdf", file.getvalue())
    drawn = [
        Image.open(io.BytesIO(preview(real, "a.pdf", f"&page={page}").body)).convert("RGB").resize((1, 1))
        for page in (1, 2)
    ]
    (red, _, _), (_, _, blue) = (page.tobytes() for page in drawn)
    assert red > 200 and blue > 200


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("a.html", b"<script>alert(1)</script>"),
        ("a.pdf", b"%PDF-1.4 nothing"),
        ("a.gif", b"GIF89a"),
        ("none.png", b""),
    ],
)
def test_what_cannot_be_drawn_is_our_own_picture(real: Any, key: str, content: bytes) -> None:
    if content:
        real.call.put(key, content)
    reply = preview(real, key)
    own = real.get("/_local/static/no-preview.svg")
    assert (reply.status, reply.body == own.body) == (200, True)


def test_objects_that_are_too_large_are_not_drawn(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real.call.put("large.png", picture())
    monkeypatch.setattr("airflow_provider_ci.local.pages.previews.MAX_SOURCE_BYTES", 100)
    assert b"No preview" in preview(real, "large.png").body
    assert "have no preview" in real.tree(f"/_local/object?bucket={BUCKET}&key=large.png").text_content()


def test_files_and_fields_of_a_form_have_limits(
    visitor: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = "airflow_provider_ci.local.pages.forms"
    monkeypatch.setattr(f"{forms}.MAX_FILE_BYTES", 1000)
    assert visitor.drop("a.docx", b"x" * 1001).status == 413
    assert list(folder.rglob("*.docx")) == []
    assert visitor.drop("a.docx", b"x", {"output": "x" * 20_000}).status == 413
    assert visitor.drop("a.docx", b"x", {f"f{n}": "" for n in range(80)}).status == 413
    assert visitor.send("/_local/convert", b"--x\r\nno", "multipart/form-data; boundary=x").status == 400
    assert visitor.send("/_local/convert", b"", "multipart/form-data").status == 400


def test_jobs_are_found_by_state_key_and_id_and_paged(
    serve: Callable[..., LocalCI], caller: Any, visitor_of: Any
) -> None:
    visitor = visitor_of(caller(serve(convert="none", fail_jobs={"*.bad": "DamagedFile:cut off"})))
    call = visitor.call
    ids = [call.submit(call.doc_job(f"in/doc-{n:02}.txt")) for n in range(60)]
    failed = call.submit(call.doc_job("in/x.bad"))
    for job_id in (ids[-1], failed):
        call.finished(job_id)

    def told(path: str) -> list[str]:
        return [link.rpartition("/")[2] for link in visitor.tree(path).xpath("//a[@class='told']/@href")]

    newest = [failed, *reversed(ids)]
    assert told("/_local/jobs") == newest[:50]
    assert told("/_local/jobs?state=failed") == told("/_local/jobs?find=.BAD") == [failed]
    assert told(f"/_local/jobs?find={ids[7]}") == told("/_local/jobs?find=doc-07&state=done") == [ids[7]]
    following = visitor.tree("/_local/jobs").xpath("//a[@rel='next']/@href")[0]
    assert told(f"/_local/jobs{following}") == newest[50:]
    assert visitor.tree("/_local/jobs").xpath("//section[@id='failed']//a[@class='told']")
