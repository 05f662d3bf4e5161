"""Document previews: the parameters of their URLs, as the official SDK sends them."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from qcloud_cos import CosConfig, CosS3Client

from airflow_provider_ci.client import CIClient, DocPreview

BUCKET = "examplebucket-1250000000"

PICTURE: dict[str, Any] = {
    "source_type": "xlsx",
    "page": 2,
    "target": "png",
    "password": "p w",
    "comment": 1,
    "sheet": 2,
    "excel_paper_direction": 1,
    "excel_row": 1,
    "excel_col": 1,
    "excel_paper_size": 2,
    "txt_pagination": True,
    "image_params": "imageMogr2/thumbnail/!50p",
    "quality": 90,
    "scale": 150,
    "image_dpi": 200,
}
HTML: dict[str, Any] = {
    "target": "html",
    "source_type": "docx",
    "is_copyable": False,
    "html_params": {"commonOptions": {"isShowTopArea": True}},
    "html_waterword": "内部 Entwurf?>",
    "html_fill_style": "rgba(192,192,192,0.6)",
    "html_front": "bold 20px Serif",
    "html_rotate": 315,
    "html_horizontal": 50,
    "html_vertical": 100,
    "html_title": "表",
}


def params_of(url: str) -> dict[str, str]:
    """The parameters of a URL without those of the signature."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    return {name: value for name, value in pairs if not name.startswith("q-")}


def sent_by_the_sdk(wire: Any, reply: Any, call: Callable[[Any], Any]) -> dict[str, str]:
    wire.will(reply(b"J"))
    config = CosConfig(
        Region="ap-guangzhou",
        SecretId="AKIDEXAMPLEexample0123456789abcdefgh",
        SecretKey="ExampleSecretKey0123456789abcdef",
        Scheme="http",
        IP="127.0.0.1",
        Port=wire.port,
    )
    call(CosS3Client(config, retry=0))
    return params_of(wire.last.target)


def test_every_parameter_of_a_page_is_called_as_the_sdk_calls_it(
    ci: CIClient, wire: Any, reply: Any, judge: Callable[..., str]
) -> None:
    theirs = sent_by_the_sdk(
        wire,
        reply,
        lambda sdk: sdk.ci_doc_preview_process(
            Bucket=BUCKET,
            Key="in/表.xlsx",
            SrcType="xlsx",
            Page=2,
            DstType="png",
            PassWord="p w",
            Comment=1,
            Sheet=2,
            ExcelPaperDirection=1,
            ExcelRow=1,
            ExcelCol=1,
            ExcelPaperSize=2,
            TxtPagination=True,
            ImageParams="imageMogr2/thumbnail/!50p",
            Quality=90,
            Scale=150,
            ImageDpi=200,
        ),
    )
    url = ci.doc_preview_url("in/表.xlsx", DocPreview(**PICTURE))
    assert params_of(url) == theirs
    assert unquote(urlsplit(url).path) == "/in/表.xlsx"
    assert judge("GET", f"/{url.split('/', 3)[3]}", {"Host": urlsplit(url).netloc}, now=1700000060) == ""


def test_every_parameter_of_an_html_page_is_called_as_the_sdk_calls_it(
    ci: CIClient, wire: Any, reply: Any
) -> None:
    """Texts are sent as URL-safe Base64; the SDK expects its caller to encode them."""
    ours = params_of(ci.doc_preview_url("in/a.docx", DocPreview(**HTML), valid_seconds=60))
    theirs = sent_by_the_sdk(
        wire,
        reply,
        lambda sdk: sdk.ci_doc_preview_html_process(
            Bucket=BUCKET,
            Key="in/a.docx",
            SrcType="docx",
            Copyable="0",
            HtmlParams=ours["htmlParams"],
            HtmlWaterword=ours["htmlwaterword"],
            HtmlFillStyle=ours["htmlfillstyle"],
            HtmlFront=ours["htmlfront"],
            HtmlRotate="315",
            HtmlHorizontal="50",
            HtmlVertical="100",
            HtmlTitle=ours["htmltitle"],
        ),
    )
    assert ours == theirs
    numbers = ("htmlrotate", "htmlhorizontal", "htmlvertical")
    texts = [name for name in ours if name.startswith("html") and name not in numbers]
    assert {name: urlsafe_b64decode(ours[name]).decode() for name in texts} == {
        "htmlParams": '{"commonOptions":{"isShowTopArea":true}}',
        "htmlwaterword": "内部 Entwurf?>",
        "htmlfillstyle": "rgba(192,192,192,0.6)",
        "htmlfront": "bold 20px Serif",
        "htmltitle": "表",
    }


def test_what_is_not_given_is_not_sent(ci: CIClient) -> None:
    assert params_of(ci.doc_preview_url("a.docx")) == {"ci-process": "doc-preview"}
    html = DocPreview("html", is_copyable=True, extra={"weboffice_url": "1"})
    assert params_of(ci.doc_preview_url("a.docx", html)) == {
        "ci-process": "doc-preview",
        "dstType": "html",
        "copyable": "1",
        "weboffice_url": "1",
    }
    assert DocPreview("txt", txt_pagination=False).to_params()["txtPagination"] == "false"
    assert DocPreview(sheet=1, comment=0).to_params() == {
        "ci-process": "doc-preview",
        "comment": "0",
        "sheet": "1",
    }


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"target": "docx"}, "target must be one of png, jpg, pdf, html, txt, watermark, not 'docx'"),
        ({"page": 0}, "page must be at least 1, not 0"),
        ({"comment": 2}, "comment must be from 0 to 1"),
        ({"sheet": 0}, "sheet must be at least 1"),
        ({"excel_row": 2}, "excel_row must be from 0 to 1"),
        ({"excel_paper_size": 3}, "excel_paper_size must be from 0 to 2"),
        ({"quality": 0}, "quality must be from 1 to 100"),
        ({"scale": 201}, "scale must be from 10 to 200"),
        ({"image_dpi": 95}, "image_dpi must be from 96 to 600"),
        ({"target": "html", "html_rotate": 361}, "html_rotate must be from 0 to 360"),
        ({"target": "png", "html_title": "t"}, "html_title needs target 'html', not 'png'"),
        ({"is_copyable": True}, "is_copyable needs target 'html', not None"),
    ],
)
def test_a_preview_refuses_what_the_page_excludes(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"DocPreview.{complaint}"):
        DocPreview(**arguments)


def test_the_password_is_not_shown() -> None:
    assert "openup" not in repr(DocPreview(password="openup"))
    assert hash(DocPreview("html", html_params={"a": 1})) == hash(DocPreview("html"))
