"""Document previews: the effect of each parameter, seen by opening the response, and refused requests."""

from __future__ import annotations

import io
import re
from base64 import b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image

DATA = Path(__file__).parents[1] / "data"
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
LINES = "".join(f"line {number}\n" for number in range(1, 151))
REVISED = r"{\rtf1\ansi{\*\revtbl{A;}}kept {\deleted\revauth0\revdttm1 dropped} end\par}"


@pytest.fixture
def shelf(real_call: Any) -> Any:
    """A caller of a server that really converts; its bucket has the documents of these tests."""
    pages = [Image.new("RGB", (144, 72), colour) for colour in COLOURS]
    content = io.BytesIO()
    pages[0].save(content, "PDF", save_all=True, append_images=pages[1:])
    for key, body in {
        "in/three.pdf": content.getvalue(),
        "in/locked.pdf": (DATA / "locked.pdf").read_bytes(),
        "in/book.xlsx": (DATA / "workbook.xlsx").read_bytes(),
        "in/locked.docx": (DATA / "locked.docx").read_bytes(),
        "in/lines.txt": LINES.encode(),
        "in/bare": b"bare words",
        "in/revised.rtf": REVISED.encode(),
        "in/<b>&.html": b"<p>&lt;script&gt;alert(1)&lt;/script&gt; words</p>",
        "in/empty.docx": b"",
        "in/film.mp4": b"x",
        "in/broken.docx": b"no archive",
    }.items():
        assert real_call.put(key, body).status == 200
    return real_call


def preview(call: Any, key: str, **params: object) -> Any:
    given = [("ci-process", "doc-preview"), *((name, str(value)) for name, value in params.items())]
    return call("GET", "cos", f"/{key}", given)


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def picture(reply: Any) -> Image.Image:
    assert reply.status == 200, reply.body
    return opened(reply.body)


def text(call: Any, key: str, **params: object) -> str:
    reply = preview(call, key, dstType="txt", **params)
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    return str(reply.body.decode())


def pdf(reply: Any) -> pypdfium2.PdfDocument:
    assert (reply.status, reply.headers["content-type"]) == (200, "application/pdf"), reply.body
    return pypdfium2.PdfDocument(reply.body)


def encoded(words: str) -> str:
    return urlsafe_b64encode(words.encode()).decode().rstrip("=")


def test_without_parameters_the_first_page_comes_as_jpg(shelf: Any) -> None:
    reply = preview(shelf, "in/three.pdf")
    image = picture(reply)
    assert (image.format, image.size) == ("JPEG", (192, 96))
    assert image.getpixel((60, 30)) == pytest.approx(COLOURS[0], abs=3)
    assert reply.headers["content-type"] == "image/jpeg"
    assert (reply.headers["x-total-page"], reply.headers["x-errno"]) == ("3", "0")
    assert not {"x-total-sheet", "x-sheet-name"} & {*reply.headers}


def test_a_target_that_is_not_known_means_jpg(shelf: Any) -> None:
    assert picture(preview(shelf, "in/three.pdf", dstType="tiff")).format == "JPEG"


@pytest.mark.parametrize("page", [1, 2, 3])
def test_the_page_that_is_asked_for_comes(shelf: Any, page: int) -> None:
    image = picture(preview(shelf, "in/three.pdf", dstType="png", page=page))
    assert image.format == "PNG"
    assert image.convert("RGB").getpixel((60, 30)) == pytest.approx(COLOURS[page - 1], abs=3)


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"scale": 200}, (384, 192)),
        ({"imageDpi": 192}, (384, 192)),
        ({"imageDpi": 144, "scale": 50}, (144, 72)),
        ({"ImageParams": "imageMogr2/thumbnail/40x40!|imageMogr2/rotate/90"}, (40, 40)),
    ],
)
def test_scale_resolution_and_rules_change_the_size(
    shelf: Any, params: dict[str, object], size: tuple[int, int]
) -> None:
    assert picture(preview(shelf, "in/three.pdf", dstType="png", **params)).size == size


def test_a_rule_may_change_the_format(shelf: Any) -> None:
    rule = "imageMogr2/rotate/90|imageMogr2/format/webp"
    reply = preview(shelf, "in/three.pdf", dstType="png", ImageParams=rule)
    assert (picture(reply).format, reply.headers["content-type"]) == ("WEBP", "image/webp")
    assert "data:image/webp;base64," in html(shelf, "in/three.pdf", ImageParams=rule)


def test_a_lower_quality_makes_a_smaller_file(shelf: Any) -> None:
    sizes = [len(preview(shelf, "in/lines.txt", quality=quality).body) for quality in (10, 90)]
    assert sizes[0] < sizes[1] / 2


def test_a_watermark_of_a_page_comes_from_the_bucket(shelf: Any) -> None:
    stamp = io.BytesIO()
    Image.new("RGB", (20, 20), "white").save(stamp, "PNG")
    shelf.put("marks/w.png", stamp.getvalue())
    address = encoded(f"http://{shelf.host('cos')}/marks/w.png")
    rule = f"watermark/1/image/{address}/gravity/northwest/dissolve/100"
    image = picture(preview(shelf, "in/three.pdf", dstType="png", ImageParams=rule))
    assert image.convert("RGB").getpixel((5, 5)) == (255, 255, 255)
    assert image.convert("RGB").getpixel((60, 30)) == pytest.approx(COLOURS[0], abs=3)


def test_a_document_job_takes_its_watermark_image_from_the_bucket(shelf: Any) -> None:
    stamp = io.BytesIO()
    Image.new("RGB", (20, 20), "white").save(stamp, "PNG")
    shelf.put("marks/w.png", stamp.getvalue())
    address = encoded(f"http://{shelf.host('cos')}/marks/w.png")
    rule = f"watermark/1/image/{address}/gravity/northwest/dissolve/100"
    parameters = f"<TgtType>png</TgtType><ImageParams>{rule}</ImageParams>"
    job = shelf.finished(shelf.submit(shelf.doc_job("in/three.pdf", "out/${Page}.png", parameters)))
    assert job.text("JobsDetail/State") == "Success", job.body
    assert opened(shelf.get("out/3.png").body).getpixel((5, 5)) == (255, 255, 255)
    assert opened(shelf.get("out/3.png").body).getpixel((60, 30)) == pytest.approx(COLOURS[2], abs=3)


def test_pdf_has_all_pages(shelf: Any) -> None:
    reply = preview(shelf, "in/lines.txt", dstType="pdf", page=2)
    assert len(pdf(reply)) == int(reply.headers["x-total-page"]) > 1


def test_the_source_type_counts_for_a_key_without_one(shelf: Any) -> None:
    assert "bare words" in text(shelf, "in/bare", srcType="txt")
    assert preview(shelf, "in/bare").headers["x-errno"] == "-3011"


def test_text_comes_by_page_or_as_one(shelf: Any) -> None:
    first, second = (text(shelf, "in/lines.txt", page=page).split() for page in (1, 2))
    assert (first[:2], second[0]) == (["line", "1"], "line")
    assert "1" not in second
    assert text(shelf, "in/lines.txt", txtPagination="true").split() == LINES.split()


def test_a_password_opens_a_locked_document(shelf: Any) -> None:
    assert picture(preview(shelf, "in/locked.pdf", password="geheim")).format == "JPEG"
    for params in ({}, {"password": "wrong"}):
        reply = preview(shelf, "in/locked.pdf", **params)
        assert (reply.status, reply.headers["x-errno"]) == (400, "-3006")


def test_comment_decides_about_revisions(shelf: Any) -> None:
    assert text(shelf, "in/revised.rtf").split() == ["kept", "end"]
    assert text(shelf, "in/revised.rtf", comment=1).split() == ["kept", "dropped", "end"]


def test_a_sheet_is_chosen_counted_and_named(shelf: Any) -> None:
    reply = preview(shelf, "in/book.xlsx", dstType="txt")
    assert "r1c0" in reply.body.decode()
    assert (reply.headers["x-total-sheet"], reply.headers["x-sheet-name"]) == ("2", "Wide,Hoch%20%C3%A9")
    assert "row 1" in text(shelf, "in/book.xlsx", sheet=2)
    assert "row 140" in text(shelf, "in/book.xlsx", sheet=2, page=3)


def test_paper_and_fit_change_the_pages_of_a_sheet(shelf: Any) -> None:
    def pages(**params: object) -> pypdfium2.PdfDocument:
        return pdf(preview(shelf, "in/book.xlsx", dstType="pdf", **params))

    plain = pages()
    assert plain[0].get_size() == pytest.approx((595, 842), abs=1)
    assert pages(excelPaperDirection=3)[0].get_size() == pytest.approx((842, 595), abs=1)
    assert pages(excelPaperSize=1)[0].get_size() == pytest.approx((1191, 1684), abs=1)
    assert (len(plain), len(pages(excelRow=1))) == (2, 1)
    tall = {"sheet": 2}
    assert len(pages(**tall)) > 1
    assert len(pages(**tall, excelCol=1)) == 1


def html(call: Any, key: str, **params: object) -> str:
    reply = preview(call, key, dstType="html", **params)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8"), reply.body
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    return str(reply.body.decode())


def pictures_of(page: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(b64decode(content))) for content in found]


def test_html_shows_every_page_as_a_picture(shelf: Any) -> None:
    page = html(shelf, "in/three.pdf")
    colours = [image.getpixel((60, 30)) for image in pictures_of(page)]
    assert colours == [pytest.approx(colour, abs=6) for colour in COLOURS]
    assert "http" not in page


def test_nothing_of_the_document_is_markup(shelf: Any) -> None:
    page = html(shelf, "in/<b>&.html")
    assert "<title>&lt;b&gt;&amp;.html</title>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; words" in page
    assert "<script" not in page
    assert "<h1>&lt;i&gt;</h1>" in html(shelf, "in/<b>&.html", htmltitle=encoded("<i>"))


def test_a_page_that_may_not_be_copied_has_no_words(shelf: Any) -> None:
    page = html(shelf, "in/<b>&.html", copyable=0)
    assert "words" not in page
    assert "user-select:none" in page
    assert len(pictures_of(page)) == 1


def most_blue(picture: Image.Image) -> float:
    _, most = picture.getchannel("B").getextrema()
    assert isinstance(most, (int, float))
    return most


def test_the_words_of_a_watermark_lie_over_the_page(shelf: Any) -> None:
    plain = pictures_of(html(shelf, "in/three.pdf"))[0].convert("RGB")
    look = {"htmlfillstyle": encoded("rgba(0,0,255,1)"), "htmlfront": encoded("bold 12px Serif")}
    place = {"htmlrotate": 0, "htmlhorizontal": 5, "htmlvertical": 5}
    marked = pictures_of(html(shelf, "in/three.pdf", htmlwaterword=encoded("表 X"), **look, **place))[0]
    assert most_blue(plain) < 40
    assert most_blue(marked.convert("RGB")) > 150


def test_the_header_of_the_page_can_be_left_out(shelf: Any) -> None:
    given = encoded('{"commonOptions":{"isShowTopArea":false,"isShowHeader":true}}')
    assert "<h1>" not in html(shelf, "in/three.pdf", htmlParams=given)
    assert "<h1>three.pdf</h1>" in html(shelf, "in/three.pdf")


@pytest.mark.parametrize(
    ("key", "params", "status", "code", "number"),
    [
        ("in/none.docx", {}, 404, "NoSuchKey", "-3004"),
        ("in/three.pdf", {"page": 4}, 400, "PageOutOfRange", "-3013"),
        ("in/book.xlsx", {"sheet": 3}, 400, "PageOutOfRange", "-3013"),
        ("in/locked.docx", {}, 400, "PasswordRequired", "-3006"),
        ("in/empty.docx", {}, 400, "EmptyFile", "-3008"),
        ("in/film.mp4", {}, 400, "UnsupportedType", "-3011"),
        ("in/film.mp4", {"dstType": "html"}, 400, "UnsupportedType", "-3011"),
        ("in/broken.docx", {}, 400, "DamagedFile", None),
        ("in/three.pdf", {"ImageParams": "imageMogr2/scrop/1x1"}, 501, "NotImplemented", None),
        ("in/three.pdf", {"ImageParams": "imageMogr2/nothing/1"}, 400, "InvalidArgument", "-60998"),
        ("in/three.pdf", {"page": 0}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"scale": 9}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"imageDpi": "a"}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"txtPagination": "yes"}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"pages": 1}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"htmltitle": "eA"}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"dstType": "html", "htmltitle": "é"}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"dstType": "html", "htmlrotate": 361}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"dstType": "html", "htmlfillstyle": encoded("red")}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"dstType": "html", "htmlfront": encoded("Serif")}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"dstType": "html", "htmlParams": encoded("{")}, 400, "InvalidArgument", None),
        ("in/three.pdf", {"dstType": "html", "htmlParams": encoded('{"x":1}')}, 501, "NotImplemented", None),
    ],
)
def test_what_cannot_be_shown_is_refused(
    shelf: Any, key: str, params: dict[str, object], status: int, code: str, number: str | None
) -> None:
    reply = preview(shelf, key, **params)
    assert (reply.status, reply.code) == (status, code), reply.body
    assert reply.headers.get("x-errno") == number
    assert reply.headers["content-type"] == "application/xml"
    assert reply.text("Message")


def test_another_processing_and_another_method_are_refused(shelf: Any) -> None:
    for name in ("AssessQuality", "videoinfo", ""):
        reply = shelf("GET", "cos", "/in/three.pdf", [("ci-process", name)])
        assert (reply.status, reply.code) == (501, "NotImplemented")
    for method in ("HEAD", "DELETE", "PUT"):
        assert shelf(method, "cos", "/in/three.pdf", [("ci-process", "doc-preview")]).status == 501
    assert shelf.get("in/three.pdf").status == 200
