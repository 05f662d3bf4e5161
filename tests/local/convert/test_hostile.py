"""A bad file fails its own call with a clear error, within the deadline, and does not harm the next file."""

from __future__ import annotations

import random
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_ci.local.convert import ConversionError, DocumentOptions, RealConverters
from airflow_provider_ci.local.convert.office.libreoffice import OfficeLimits
from airflow_provider_ci.local.convert.workers.page_process import PageLimits

Refusal = Callable[..., ConversionError]
_NOISE = random.Random(1).randbytes(40_000)
_NAMES = [
    "a.docx",
    "a.doc",
    "a.xlsx",
    "a.xls",
    "a.pptx",
    "a.ppt",
    "a.odt",
    "a.rtf",
    "a.txt",
    "a.csv",
    "a.html",
]


@pytest.mark.parametrize("name", [*_NAMES, "a.pdf"])
def test_an_empty_file_is_refused(name: str, make: Any, refusal: Refusal) -> None:
    assert refusal(make.file(name, b"")).code == "EmptyFile"


@pytest.mark.parametrize("name", _NAMES)
def test_random_bytes_are_refused_whatever_their_name(name: str, make: Any, refusal: Refusal) -> None:
    assert refusal(make.file(name, _NOISE)).code == "DamagedFile"


@pytest.mark.parametrize("magic", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf1"])
@pytest.mark.parametrize("name", ["a.docx", "a.doc", "a.xls", "a.ppt"])
def test_random_bytes_behind_a_right_start_are_refused(
    name: str, magic: bytes, make: Any, convert: Any, tmp_path: Path
) -> None:
    source = make.file(name, magic + _NOISE)
    if magic.startswith(b"{") and name in ("a.doc", "a.docx"):
        assert convert(source).total_pages >= 1  # LibreOffice opens any file that starts like RTF
        return
    with pytest.raises(ConversionError) as caught:
        convert(source)
    assert caught.value.code == "DamagedFile"


def test_plain_text_named_docx_is_refused(make: Any, refusal: Refusal) -> None:
    assert refusal(make.file("a.docx", "only text")).code == "DamagedFile"


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_document_is_refused(share: float, make: Any, refusal: Refusal) -> None:
    content = make.docx("whole.docx", "Text").read_bytes()
    assert refusal(make.file("a.docx", content[: int(len(content) * share)])).code == "DamagedFile"


def test_a_document_with_a_flipped_part_is_refused(make: Any, refusal: Refusal) -> None:
    content = bytearray(make.docx("whole.docx", "Text " * 500).read_bytes())
    place = content.index(b"word/document.xml") + 40
    content[place : place + 20] = bytes(20)
    assert refusal(make.file("a.docx", bytes(content))).code == "DamagedFile"


def test_an_archive_of_something_else_is_refused(make: Any, refusal: Refusal) -> None:
    path = make.folder / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no workbook")
    assert refusal(path).code == "DamagedFile"


def test_a_bomb_is_refused_before_it_is_unpacked(make: Any, refusal: Refusal) -> None:
    path = make.folder / "bomb.docx"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("word/document.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(300):
            part.write(b"<w:p/>" * 174_763)
    error = refusal(path)
    assert (error.code, path.stat().st_size < 10_000_000) == ("FileTooLarge", True)


@pytest.mark.parametrize("entries", [0, 0xFFFF])
def test_an_archive_with_an_endless_list_of_parts_is_refused_unread(
    entries: int, make: Any, refusal: Refusal
) -> None:
    size = 9_000_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, entries, entries, size, 4, 0)
    error = refusal(make.file("a.docx", b"PK\3\4" + bytes(size) + end))
    assert (error.code, "list of the document's parts" in error.message) == ("FileTooLarge", True)


@pytest.mark.parametrize("name", ["a.exe", "a.png", "a", "a.zip", ".docx"])
def test_an_unknown_type_is_refused_by_name(name: str, make: Any, refusal: Refusal) -> None:
    error = refusal(make.file(name, b"x"))
    assert error.code == "UnsupportedType"
    assert name in error.message


def test_a_source_that_is_gone_is_an_error_of_its_own(make: Any, refusal: Refusal) -> None:
    assert refusal(make.folder / "gone.docx").code == "FileUnreadable"


def test_a_deadline_kills_the_document_and_spares_the_next(
    make: Any, tmp_path: Path, page_texts: Any
) -> None:
    endless = make.file("endless.csv", "1,2,3,4,5,6,7,8\n" * 150_000)
    good = make.docx("good.docx", "Still here")
    with RealConverters(1, deadline_seconds=1.5) as converters:
        with pytest.raises(ConversionError) as caught:
            converters.document(endless, "endless.csv", DocumentOptions(target="pdf"), tmp_path)
        assert caught.value.code == "Timeout"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["sources"]
        # The short deadline was for the endless document; the good one may take longer on a busy machine.
        converters.deadline_seconds = 60
        result = converters.document(good, "good.docx", DocumentOptions(target="pdf"), tmp_path)
        assert page_texts(result.pages[0].path) == ["Still here"]
        assert converters.slots[0].office.starts == 2


def test_a_file_that_grows_past_the_limit_is_an_error(make: Any, tmp_path: Path) -> None:
    with RealConverters(1, page_limits=PageLimits(file_bytes=8_000)) as converters:
        source = make.pdf("a.pdf", size=(100, 100))
        with pytest.raises(ConversionError) as caught:
            converters.document(
                source, "a.pdf", DocumentOptions(target="png", image_dpi=600, zoom=200), tmp_path
            )
        assert caught.value.code == "OutputTooLarge"
        assert converters.document(source, "a.pdf", DocumentOptions(target="png"), tmp_path).total_pages == 1


def test_a_full_pdf_is_an_error_too(make: Any, tmp_path: Path) -> None:
    source = make.file("long.txt", "".join(f"line {number}\n" for number in range(20_000)))
    with RealConverters(1, office_limits=OfficeLimits(file_bytes=200_000)) as converters:
        with pytest.raises(ConversionError) as caught:
            converters.document(source, "long.txt", DocumentOptions(target="pdf"), tmp_path)
        assert caught.value.code == "OutputFailed"
        short = make.file("short.txt", "short")
        assert (
            converters.document(short, "short.txt", DocumentOptions(target="pdf"), tmp_path).total_pages == 1
        )


@pytest.fixture
def counting_server() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and the list of the paths that were requested."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["a.html", "a.odt"])
def test_a_document_shows_no_other_file_of_the_machine(
    name: str, make: Any, convert: Any, page_texts: Any
) -> None:
    picture, text = make.folder / "secret.png", make.file("secret.csv", "TOPSECRET")
    Image.new("RGB", (300, 300), (255, 0, 0)).save(picture)
    if name == "a.odt":
        source = make.odt(
            name,
            '<text:p><draw:frame xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
            'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" svg:width="8cm" '
            f'svg:height="8cm" text:anchor-type="as-char"><draw:image xlink:href="{picture.as_uri()}" '
            'xlink:type="simple" xlink:actuate="onLoad"/></draw:frame></text:p><text:section text:name="s">'
            f'<text:section-source xlink:href="{text.as_uri()}" xlink:type="simple"/></text:section>',
        )
    else:
        html = f'<img src="{picture.as_uri()}" width=300><iframe src="{text.as_uri()}"></iframe>'
        source = make.file(name, html)
    assert not any("TOPSECRET" in page for page in page_texts(convert(source).pages[0].path))
    with Image.open(convert(source, target="png").pages[0].path) as page:
        colours = {colour for _, colour in page.convert("RGB").getcolors(1 << 24) or []}
    assert (255, 0, 0) not in colours
    assert (255, 255, 255) in colours


def test_a_document_reaches_no_server(
    make: Any, convert: Any, page_texts: Any, counting_server: tuple[str, list[str]]
) -> None:
    address, asked = counting_server
    html = f'<link rel="stylesheet" href="{address}/a.css"><img src="{address}/a.png"><p>text</p>'
    assert "text" in page_texts(convert(make.file("a.html", html)).pages[0].path)[0]
    table = make.xlsx("a.xlsx", {"One": [[f'=WEBSERVICE("{address}/a")'.replace('"', "&quot;")]]})
    convert(table)
    assert asked == []
