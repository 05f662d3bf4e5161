"""The official Python SDK with conversions during a request: previews, pictures, objects."""

from __future__ import annotations

import io
import json
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image
from qcloud_cos.cos_exception import CosServiceError

from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"
Connect = Callable[..., Any]
DATA = Path(__file__).with_name("data")
LINES = "".join(f"line {number}\n" for number in range(1, 151))


def photo(name: str = "JPEG", **options: Any) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (80, 40), "#102030").save(content, name, **options)
    return content.getvalue()


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


@pytest.fixture
def sdk(real_server: LocalCI, connect: Connect) -> Any:
    """An SDK client of a server that really converts; its bucket has a few objects."""
    client = connect(real_server)
    for key, body in {
        "in/表 1&2.txt": LINES.encode(),
        "in/bare": b"bare words",
        "in/book.xlsx": (DATA / "workbook.xlsx").read_bytes(),
        "in/locked.pdf": (DATA / "locked.pdf").read_bytes(),
        "in/a+b 照片.jpg": photo(),
    }.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)
    return client


@pytest.fixture
def fetch(real_server: LocalCI) -> Any:
    """Opens a URL like a browser whose proxy is the local CI."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": real_server.endpoint}))
    return lambda address: opener.open(address, timeout=60)


def saved(answer: Any, path: Path) -> Path:
    answer["Body"].get_stream_to_file(str(path))
    return path


def opened(path: Path) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image


def test_a_preview_with_the_defaults_of_the_sdk_is_the_first_page(sdk: Any, tmp_path: Path) -> None:
    answer = sdk.ci_doc_preview_process(Bucket=BUCKET, Key="in/表 1&2.txt")
    assert opened(saved(answer, tmp_path / "a")).format == "JPEG"
    assert (answer["Content-Type"], answer["X-ErrNo"]) == ("image/jpeg", "0")
    assert int(answer["X-Total-Page"]) > 1


def test_a_preview_with_every_parameter_does_what_they_say(sdk: Any, tmp_path: Path) -> None:
    answer = sdk.ci_doc_preview_process(
        Bucket=BUCKET,
        Key="in/book.xlsx",
        SrcType="xlsx",
        Page=1,
        DstType="png",
        PassWord="p w",
        Comment=1,
        Sheet=2,
        ExcelPaperDirection=1,
        ExcelRow=1,
        ExcelCol=1,
        ExcelPaperSize=1,
        TxtPagination=True,
        ImageParams="imageMogr2/thumbnail/!50p",
        Quality=90,
        Scale=50,
        ImageDpi=144,
    )
    image = opened(saved(answer, tmp_path / "a.png"))
    assert image.format == "PNG"
    assert image.size == pytest.approx((842, 595), abs=1)
    assert (answer["X-Total-Page"], answer["X-Total-Sheet"]) == ("1", "2")
    assert answer["X-Sheet-Name"] == "Wide,Hoch%20%C3%A9"


def test_a_preview_as_pdf_and_as_text(sdk: Any, tmp_path: Path) -> None:
    answer = sdk.ci_doc_preview_process(Bucket=BUCKET, Key="in/表 1&2.txt", DstType="pdf")
    pages = len(pypdfium2.PdfDocument(saved(answer, tmp_path / "a.pdf")))
    assert str(pages) == answer["X-Total-Page"]
    answer = sdk.ci_doc_preview_process(Bucket=BUCKET, Key="in/表 1&2.txt", DstType="txt", TxtPagination=True)
    assert saved(answer, tmp_path / "a.txt").read_text().split() == LINES.split()
    answer = sdk.ci_doc_preview_process(Bucket=BUCKET, Key="in/bare", SrcType="txt", DstType="txt")
    assert saved(answer, tmp_path / "b.txt").read_text().strip() == "bare words"


def test_a_password_reaches_the_document(sdk: Any, tmp_path: Path) -> None:
    answer = sdk.ci_doc_preview_process(Bucket=BUCKET, Key="in/locked.pdf", PassWord="geheim", Page=2)
    assert opened(saved(answer, tmp_path / "a")).format == "JPEG"
    with pytest.raises(CosServiceError) as caught:
        sdk.ci_doc_preview_process(Bucket=BUCKET, Key="in/locked.pdf")
    assert caught.value.get_error_code() == "PasswordRequired"


@pytest.mark.parametrize(
    ("key", "page", "status", "code"),
    [("in/none.docx", 1, 404, "NoSuchKey"), ("in/表 1&2.txt", 99, 400, "PageOutOfRange")],
)
def test_a_preview_that_is_refused_says_why(sdk: Any, key: str, page: int, status: int, code: str) -> None:
    with pytest.raises(CosServiceError) as caught:
        sdk.ci_doc_preview_process(Bucket=BUCKET, Key=key, Page=page)
    assert (caught.value.get_status_code(), caught.value.get_error_code()) == (status, code)
    assert caught.value.get_resource_location()


def test_an_html_preview_is_a_page_of_its_own(sdk: Any, tmp_path: Path) -> None:
    answer = sdk.ci_doc_preview_html_process(
        Bucket=BUCKET,
        Key="in/表 1&2.txt",
        SrcType="txt",
        Copyable="1",
        HtmlParams=encoded('{"commonOptions":{"isShowTopArea":true,"isShowHeader":true}}'),
        HtmlWaterword=encoded("内部"),
        HtmlFillStyle=encoded("rgba(192,192,192,0.6)"),
        HtmlFront=encoded("bold 20px Serif"),
        HtmlRotate="315",
        HtmlHorizontal="50",
        HtmlVertical="100",
        HtmlTitle=encoded("标题"),
    )
    page = saved(answer, tmp_path / "a.html").read_text()
    assert "<title>标题</title>" in page
    assert page.count("<figure>") == int(answer["X-Total-Page"])
    assert "line 150" in page
    plain = sdk.ci_doc_preview_html_process(Bucket=BUCKET, Key="in/表 1&2.txt", Copyable="0")
    assert "line 150" not in saved(plain, tmp_path / "b.html").read_text()


def test_processing_by_name_gives_a_preview_and_refuses_the_rest(sdk: Any, tmp_path: Path) -> None:
    headers, content = sdk.ci_process(
        Bucket=BUCKET,
        Key="in/表 1&2.txt",
        CiProcess="doc-preview",
        Params={"dstType": "png", "page": 2},
        NeedHeader=True,
    )
    (tmp_path / "a.png").write_bytes(content)
    assert opened(tmp_path / "a.png").format == headers["Content-Type"].removeprefix("image/").upper()
    with pytest.raises(CosServiceError) as caught:
        sdk.ci_process(Bucket=BUCKET, Key="in/a+b 照片.jpg", CiProcess="AssessQuality")
    assert (caught.value.get_status_code(), caught.value.get_error_code()) == (501, "NotImplemented")


def test_a_picture_is_told_of(sdk: Any) -> None:
    headers, content = sdk.ci_get_image_info(Bucket=BUCKET, Key="in/a+b 照片.jpg")
    told = json.loads(content)
    assert headers["Content-Type"] == "application/json"
    assert (told["format"], told["width"], told["height"]) == ("jpeg", "80", "40")
    _, content = sdk.ci_get_image_ave_info(Bucket=BUCKET, Key="in/a+b 照片.jpg")
    assert json.loads(content)["RGB"].startswith("0x")
    exif = Image.Exif()
    exif[0x0110] = "X100"
    sdk.put_object(Bucket=BUCKET, Key="in/exif.jpg", Body=photo(exif=exif))
    _, content = sdk.ci_get_image_exif_info(Bucket=BUCKET, Key="in/exif.jpg")
    assert json.loads(content)["Model"] == {"val": "X100"}


def test_a_picture_is_made_on_the_way_to_a_file(sdk: Any, tmp_path: Path) -> None:
    rule = f"imageMogr2/thumbnail/!50p|watermark/2/text/{encoded('数据')}/fill/{encoded('#FFFFFF')}"
    answer = sdk.ci_get_object(
        Bucket=BUCKET,
        Key="in/a+b 照片.jpg",
        DestImagePath=str(tmp_path / "a"),
        Rule=f"{rule}|imageMogr2/format/png",
    )
    image = opened(tmp_path / "a")
    assert (image.format, image.size, answer["Content-Type"]) == ("PNG", (40, 20), "image/png")
    assert image.convert("L").getextrema()[1] > 120  # type: ignore[operator]
    sdk.ci_download_compress_image(
        Bucket=BUCKET, Key="in/a+b 照片.jpg", DestImagePath=str(tmp_path / "b"), CompressType="webp"
    )
    assert opened(tmp_path / "b").format == "WEBP"
    with pytest.raises(CosServiceError) as caught:
        sdk.ci_download_compress_image(
            Bucket=BUCKET, Key="in/a+b 照片.jpg", DestImagePath=str(tmp_path / "c"), CompressType="heif"
        )
    assert caught.value.get_error_code() == "NotImplemented"


def test_pictures_made_at_the_upload_are_kept(sdk: Any, tmp_path: Path) -> None:
    rules = [
        {"fileid": "/out/a.png", "rule": "imageMogr2/format/png"},
        {"fileid": "b.jpg", "rule": "imageMogr2/thumbnail/20x"},
    ]
    headers, told = sdk.ci_put_object(
        Bucket=BUCKET,
        Body=photo(),
        Key="up/a.jpg",
        EnableMD5=True,
        PicOperations=json.dumps({"is_pic_info": 1, "rules": rules}),
    )
    assert (headers["Content-Type"], told["OriginalInfo"]["ETag"]) == ("application/xml", headers["ETag"])
    assert told["OriginalInfo"]["ImageInfo"]["Width"] == "80"
    results = told["ProcessResults"]["Object"]
    assert [each["Key"] for each in results] == ["out/a.png", "up/b.jpg"]
    for each in results:
        answer = sdk.get_object(Bucket=BUCKET, Key=each["Key"])
        image = opened(saved(answer, tmp_path / "x"))
        assert (each["ETag"], each["Size"]) == (answer["ETag"], answer["Content-Length"])
        assert image.size == (int(each["Width"]), int(each["Height"]))
    (tmp_path / "local.jpg").write_bytes(photo())
    _, told = sdk.ci_put_object_from_local_file(
        Bucket=BUCKET,
        LocalFilePath=str(tmp_path / "local.jpg"),
        Key="up/c.jpg",
        PicOperations=json.dumps({"rules": rules[:1]}),
    )
    host, _, key = told["ProcessResults"]["Object"]["Location"].partition("/")
    assert host.startswith(f"{BUCKET}.cos.{REGION}."), "the host that was asked"
    assert key == "out/a.png"


def test_pictures_made_of_an_object_are_kept(sdk: Any) -> None:
    rule = {"fileid": "turned.jpg", "rule": "imageMogr2/rotate/90"}
    _, told = sdk.ci_image_process(
        Bucket=BUCKET,
        Key="in/a+b 照片.jpg",
        PicOperations=json.dumps({"is_pic_info": 1, "rules": [rule]}),
    )
    assert told["OriginalInfo"]["Key"] == "in/a+b 照片.jpg"
    assert (told["ProcessResults"]["Object"]["Width"], told["ProcessResults"]["Object"]["Height"]) == (
        "40",
        "80",
    )
    assert sdk.head_object(Bucket=BUCKET, Key="in/turned.jpg")["Content-Type"] == "image/jpeg"
    with pytest.raises(CosServiceError) as caught:
        sdk.ci_image_process(
            Bucket=BUCKET, Key="in/a+b 照片.jpg", PicOperations=json.dumps({"rules": [rule] * 6})
        )
    assert caught.value.get_error_code() == "InvalidPicOperations"


@pytest.mark.parametrize(
    "rule",
    [
        "imageMogr2/thumbnail/!50p",
        "imageMogr2/thumbnail/40x40>|imageMogr2/format/jpg",
        f"imageMogr2/thumbnail/40x|watermark/2/text/{encoded('x?')}",
    ],
)
def test_a_signed_address_with_a_rule_gives_the_picture(
    sdk: Any, fetch: Any, tmp_path: Path, rule: str
) -> None:
    for address in (
        sdk.get_presigned_url(Bucket=BUCKET, Key="in/a+b 照片.jpg", Method="GET", Params={rule: ""}),
        sdk.get_presigned_download_url(Bucket=BUCKET, Key="in/a+b 照片.jpg", Params={rule: ""}),
    ):
        (tmp_path / "a").write_bytes(fetch(address).read())
        assert opened(tmp_path / "a").size == (40, 20)


def test_a_signed_address_of_a_preview_gives_the_page(sdk: Any, fetch: Any, tmp_path: Path) -> None:
    params = {"ci-process": "doc-preview", "dstType": "pdf", "response-content-disposition": "attachment"}
    answer = fetch(sdk.get_presigned_download_url(Bucket=BUCKET, Key="in/表 1&2.txt", Params=params))
    assert answer.headers["Content-Disposition"] == "attachment"
    assert len(pypdfium2.PdfDocument(answer.read())) == int(answer.headers["X-Total-Page"])


def test_a_rule_that_was_not_signed_as_sent_is_refused(sdk: Any, fetch: Any) -> None:
    address = sdk.get_presigned_url(
        Bucket=BUCKET, Key="in/a+b 照片.jpg", Method="GET", Params={"imageMogr2/rotate/90": ""}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(address.replace("rotate%2F90=", "rotate%2F91="))
    assert caught.value.code == 403


def test_a_session_token_goes_with_previews_and_pictures(tmp_path: Path, connect: Connect) -> None:
    (tmp_path / "root" / BUCKET).mkdir(parents=True)
    with LocalCI(tmp_path / "root", convert="instant", token="tok") as server:
        client = connect(server, Token="tok")
        client.put_object(Bucket=BUCKET, Key="a.docx", Body=b"x")
        client.put_object(Bucket=BUCKET, Key="a.jpg", Body=photo())
        answer = client.ci_doc_preview_process(Bucket=BUCKET, Key="a.docx")
        assert opened(saved(answer, tmp_path / "a")).format == "JPEG"
        assert json.loads(client.ci_get_image_info(Bucket=BUCKET, Key="a.jpg")[1])["format"] == "jpeg"
        with pytest.raises(CosServiceError) as caught:
            connect(server).ci_get_image_info(Bucket=BUCKET, Key="a.jpg")
        assert caught.value.get_error_code() == "AccessDenied"


def test_listings_page_group_and_encode_as_the_sdk_asks(tmp_path: Path, connect: Connect) -> None:
    keys = sorted(["a b+c", "d/1", "d/2 %41", "e&<f>", "g/", "表/x", "😀"], key=str.encode)
    (tmp_path / BUCKET).mkdir()
    with LocalCI(tmp_path, convert="instant") as server:
        client = connect(server)
        for key in keys:
            client.put_object(Bucket=BUCKET, Key=key, Body=b"")
        found: list[str] = []
        marker = ""
        while True:
            page = client.list_objects(Bucket=BUCKET, MaxKeys=2, Marker=marker)
            found += [each["Key"] for each in page["Contents"]]
            if page["IsTruncated"] == "false":
                break
            marker = page["NextMarker"]
        assert found == keys
        grouped = client.list_objects(Bucket=BUCKET, Delimiter="/")
        assert [each["Prefix"] for each in grouped["CommonPrefixes"]] == ["d/", "g/", "表/"]
        assert [each["Key"] for each in grouped["Contents"]] == [key for key in keys if "/" not in key]
        raw = client.list_objects(Bucket=BUCKET, Prefix="d/", EncodingType="url")
        assert [each["Key"] for each in raw["Contents"]] == ["d/1", "d/2%20%2541"]
        assert client.list_objects(Bucket=BUCKET, Prefix="表")["Contents"][0]["Key"] == "表/x"
