"""A picture as the watermark on every page of a PDF, checked by the pixels of the result."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from airflow_provider_ci.local import LocalCI
from tests.local.conftest import BUCKET, REGION, Caller

RED, WHITE = (255, 0, 0), (255, 255, 255)
IMAGE = f"https://{BUCKET}.cos.{REGION}.myqcloud.com/in/stamp.png"


@pytest.fixture
def marked(real_call: Caller, tmp_path: Path) -> Caller:
    """A caller of a server whose bucket has a PDF of two pages and a red picture."""
    document = pypdfium2.PdfDocument.new()
    for _ in range(2):
        document.new_page(200, 100)
    document.save(tmp_path / "a.pdf")
    document.close()
    stamp = BytesIO()
    Image.new("RGBA", (20, 10), (*RED, 255)).save(stamp, "PNG")
    real_call.put("in/a.pdf", (tmp_path / "a.pdf").read_bytes())
    real_call.put("in/stamp.png", stamp.getvalue())
    return real_call


def job(config: str, key: str = "in/a.pdf", output: str = "out/a.pdf") -> str:
    return (
        f"<Request><Tag>DocWatermark</Tag><Input><Object>{key}</Object></Input><Operation><DocWatermark>"
        f"<Type>1</Type>{config}</DocWatermark><Output><Region>{REGION}</Region><Bucket>{BUCKET}</Bucket>"
        f"<Object>{output}</Object></Output></Operation></Request>"
    )


def pages(body: bytes) -> list[Image.Image]:
    document = pypdfium2.PdfDocument(body)
    return [page.render(scale=1).to_pil().convert("RGB") for page in document]


def test_a_picture_lies_on_every_page(marked: Caller) -> None:
    job_id = marked.submit(job(f"<Image>{IMAGE}</Image><Dx>30</Dx><Dy>40</Dy><SrcType>pdf</SrcType>"))
    assert job_id.startswith("d")
    done = marked.finished(job_id)
    assert done.text("JobsDetail/State") == "Success", done.body
    result = "JobsDetail/Operation/DocWatermarkResult"
    stored = marked.get("out/a.pdf")
    assert done.text(f"{result}/TotalPageCount") == "2"
    assert done.text(f"{result}/Size") == str(len(stored.body))
    assert done.text(f"{result}/Etag") == stored.headers["etag"]
    for page in pages(stored.body):
        assert page.getpixel((40, 45)) == RED
        assert page.getpixel((20, 45)) == page.getpixel((60, 45)) == page.getpixel((40, 60)) == WHITE


def test_a_picture_is_repeated_with_gaps(marked: Caller) -> None:
    gaps = "<HorizontalSpacing>20</HorizontalSpacing><VerticalSpacing>15</VerticalSpacing>"
    body = job(f"<Image>{IMAGE}</Image><Batch>1</Batch>{gaps}", output="out/b.pdf")
    assert marked.finished(marked.submit(body)).text("JobsDetail/State") == "Success"
    for page in pages(marked.get("out/b.pdf").body):
        assert [page.getpixel((x, 5)) for x in (10, 30, 50, 70)] == [RED, WHITE, RED, WHITE]
        assert [page.getpixel((10, y)) for y in (5, 18, 30)] == [RED, WHITE, RED]


FAILING = {
    "no pdf": (job(f"<Image>{IMAGE}</Image>", "in/a.docx"), "UnsupportedType"),
    "no such image": (job(f"<Image>{IMAGE}.no</Image>"), "InvalidRule"),
    "an image elsewhere": (job("<Image>https://example.com/a.png</Image>"), "InvalidRule"),
    "an image that is none": (job(f"<Image>{IMAGE.replace('stamp.png', 'a.pdf')}</Image>"), "DamagedFile"),
}


@pytest.mark.parametrize("case", FAILING)
def test_what_cannot_be_marked_fails_alone(marked: Caller, case: str) -> None:
    body, code = FAILING[case]
    done = marked.finished(marked.submit(body))
    assert (done.text("JobsDetail/State"), done.text("JobsDetail/Code")) == ("Failed", code)


@pytest.mark.parametrize(
    ("config", "code"),
    [("<Type>Text</Type>", "NotImplemented"), ("", "InvalidArgument"), ("<Dx>-1</Dx>", "InvalidArgument")],
)
def test_a_watermark_that_is_not_done_is_refused(call: Caller, config: str, code: str) -> None:
    body = job(f"<Image>{IMAGE}</Image>{config}" if config else "")
    if "<Type>Text" in config:
        body = body.replace("<Type>1</Type>", "")
    assert call("POST", "ci", "/doc_jobs", body=body).code == code


def test_watermarks_are_listed_by_their_tag(call: Caller, server: LocalCI) -> None:
    job_id = call.submit(job(f"<Image>{IMAGE}</Image>"))
    document = call.submit(call.doc_job("a.docx"))
    for tag, wanted in (("DocWatermark", job_id), ("DocProcess", document)):
        assert call("GET", "ci", "/doc_jobs", [("tag", tag)]).texts("JobsDetail/JobId") == [wanted]
