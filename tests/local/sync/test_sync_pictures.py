"""Pictures that are processed when they are downloaded or stored: rules in the query, Pic-Operations."""

from __future__ import annotations

import io
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import (
    ConversionError,
    ConvertersClosedError,
    InstantConverters,
    errors,
)

BUCKET = "examplebucket-1250000000"
HOST = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"


def content(name: str = "PNG", colour: str = "#102030", **options: Any) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (80, 40), colour).save(written, name, **options)
    return written.getvalue()


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


@pytest.fixture
def shelf(real_call: Any) -> Any:
    """A caller of a server that really processes pictures; its bucket has a few of them."""
    for key, body in {
        "in/a.png": content(),
        "in/a.jpg": content("JPEG"),
        "in/white.png": content(colour="white"),
        "in/text.jpg": b"no picture",
        "in/empty.jpg": b"",
        "in/huge.jpg": bytes(33 * 1024**2),
    }.items():
        assert real_call.put(key, body).status == 200
    return real_call


def made(call: Any, key: str, rule: str, *more: tuple[str, str]) -> Any:
    return call("GET", "cos", f"/{key}", [(rule, ""), *more])


@pytest.mark.parametrize(
    ("rule", "size", "name"),
    [
        ("imageMogr2/thumbnail/!50p", (40, 20), "PNG"),
        ("imageMogr2/thumbnail/40x40>", (40, 20), "PNG"),
        ("imageView2/1/w/20/h/20/format/jpg", (20, 20), "JPEG"),
        ("imageMogr2/format/webp|imageMogr2/rotate/90", (40, 80), "WEBP"),
        (f"watermark/2/text/{encoded('x')}|imageMogr2/format/gif", (80, 40), "GIF"),
        ("imageMogr2", None, "InvalidArgument"),
    ],
)
def test_a_rule_in_the_query_makes_a_picture(
    shelf: Any, rule: str, size: tuple[int, int] | None, name: str
) -> None:
    reply = made(shelf, "in/a.png", rule)
    if size is None:
        assert (reply.status, reply.code) == (400, name)
        return
    image = opened(reply.body)
    assert (image.size, image.format) == (size, name)
    assert reply.headers["content-type"] == f"image/{name.lower()}"
    assert reply.headers["content-length"] == str(len(reply.body))


def test_an_equals_sign_in_a_rule_need_not_be_encoded(shelf: Any) -> None:
    """The rule can be sent as one parameter name or split at the equals sign; the signature covers either."""
    rule = f"watermark/2/text/{encoded('xy')}/fill/{encoded('#FFFFFF')}/fontsize/30"
    name, _, value = rule.partition("=")
    whole = made(shelf, "in/a.png", rule).body
    assert shelf("GET", "cos", "/in/a.png", [(name, value)]).body == whole
    assert opened(whole).convert("L").getextrema()[1] > 150  # type: ignore[operator]


def test_response_parameters_replace_headers_of_a_made_picture(shelf: Any) -> None:
    more = [("response-content-type", "x/y"), ("response-content-disposition", "attachment")]
    reply = made(shelf, "in/a.png", "imageMogr2/thumbnail/10x", *more)
    assert opened(reply.body).size == (10, 5)
    assert (reply.headers["content-type"], reply.headers["content-disposition"]) == ("x/y", "attachment")


def test_a_watermark_image_is_taken_from_the_bucket(shelf: Any) -> None:
    rule = f"watermark/1/image/{encoded(f'http://{HOST}/in/white.png')}/scatype/1/spcent/200/gravity/northwest/dissolve/100"
    image = opened(made(shelf, "in/a.png", rule).body).convert("RGB")
    assert (image.getpixel((5, 5)), image.getpixel((50, 30))) == ((255, 255, 255), (0x10, 0x20, 0x30))


@pytest.mark.parametrize(
    "address",
    [
        f"http://{HOST}/in/none.png",
        "http://other-1250000000.cos.ap-guangzhou.myqcloud.com/in/white.png",
        f"http://{BUCKET}.ci.ap-guangzhou.myqcloud.com/in/white.png",
        "http://127.0.0.1/in/white.png",
        "http://example.com/in/white.png",
        f"http://{HOST}/../.ci-local/state.sqlite",
    ],
)
def test_a_watermark_image_from_elsewhere_is_refused(shelf: Any, address: str) -> None:
    reply = made(shelf, "in/a.png", f"watermark/1/image/{encoded(address)}")
    assert (reply.status, reply.code, reply.headers["x-errno"]) == (400, "InvalidArgument", "-60998")


def test_a_job_takes_its_watermark_image_from_the_bucket(shelf: Any) -> None:
    rule = f"watermark/1/image/{encoded(f'http://{HOST}/in/white.png')}/scatype/1/spcent/200/gravity/northwest/dissolve/100"
    job = shelf.finished(
        shelf.submit(shelf.pic_job("in/a.png", "out/marked.png", rule), "/pic_jobs"), "/pic_jobs"
    )
    assert job.text("JobsDetail/State") == "Success", job.body
    assert opened(shelf.get("out/marked.png").body).convert("RGB").getpixel((5, 5)) == (255, 255, 255)


def test_a_picture_is_told_of_as_json(shelf: Any) -> None:
    reply = made(shelf, "in/a.jpg", "imageInfo")
    told = json.loads(reply.body)
    assert reply.headers["content-type"] == "application/json"
    assert (told["format"], told["width"], told["height"], told["frame_count"]) == ("jpeg", "80", "40", "1")
    assert told["size"] == shelf.get("in/a.jpg").headers["content-length"]
    assert told["md5"] == shelf.get("in/a.jpg").headers["etag"].strip('"')
    assert json.loads(made(shelf, "in/a.png", "imageAve").body) == {"RGB": "0x102030"}
    assert json.loads(made(shelf, "in/a.png", "exif").body) == {"error": "no exif data"}


def test_a_query_at_the_end_of_a_rule_is_about_the_picture_made(shelf: Any) -> None:
    told = json.loads(made(shelf, "in/a.png", "imageMogr2/thumbnail/20x/format/jpg|imageInfo").body)
    assert (told["format"], told["width"], told["height"]) == ("jpeg", "20", "10")


@pytest.mark.parametrize(
    ("key", "rule", "status", "code", "number"),
    [
        ("in/none.png", "imageMogr2/rotate/90", 404, "NoSuchKey", "-46628"),
        ("in/none.png", "imageInfo", 404, "NoSuchKey", "-46628"),
        ("in/text.jpg", "imageMogr2/rotate/90", 400, "InvalidImageFormat", "-441"),
        ("in/text.jpg", "imageInfo", 400, "InvalidImageFormat", "-441"),
        ("in/empty.jpg", "imageMogr2/rotate/90", 400, "InvalidImageFormat", "-441"),
        ("in/empty.jpg", "imageAve", 400, "InvalidImageFormat", "-441"),
        ("in/huge.jpg", "imageMogr2/rotate/90", 400, "ImageTooLarge", "-60996"),
        ("in/a.png", "imageMogr2/thumbnail/!1000p|imageMogr2/thumbnail/!1000p|imageMogr2/thumbnail/!1000p",
         400, "ImageResolutionExceed", "-447"),
        ("in/a.png", "imageMogr2/rotate/361", 400, "InvalidArgument", "-60998"),
        ("in/a.png", "|".join(["imageMogr2/rotate/90"] * 11), 400, "InvalidArgument", "-60998"),
        ("in/a.png", "imageMogr2/scrop/10x10", 501, "NotImplemented", None),
        ("in/a.png", "imageMogr2/format/heif", 501, "NotImplemented", None),
        ("in/a.png", "style/mine", 501, "NotImplemented", None),
        ("in/a.png", "watermark/3/type/1/text/eA", 501, "NotImplemented", None),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused(
    shelf: Any, key: str, rule: str, status: int, code: str, number: str | None
) -> None:
    reply = made(shelf, key, rule)
    assert (reply.status, reply.code) == (status, code), reply.body
    assert reply.headers.get("x-errno") == number
    assert reply.text("Message")


def test_two_rules_in_one_query_are_refused(shelf: Any) -> None:
    reply = made(shelf, "in/a.png", "imageMogr2/rotate/90", ("imageInfo", ""))
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def operations(*rules: dict[str, str], is_pic_info: object = 1) -> dict[str, str]:
    return {"Pic-Operations": json.dumps({"is_pic_info": is_pic_info, "rules": list(rules)})}


def test_an_upload_is_kept_with_the_pictures_made_of_it(shelf: Any) -> None:
    body = content("JPEG", quality=80)
    reply = shelf.put(
        "up/a.jpg",
        body,
        **operations(
            {"fileid": "/kept/a.png", "rule": "imageMogr2/format/png/thumbnail/40x"},
            {"fileid": "small/b.jpg", "rule": "imageMogr2/thumbnail/20x"},
        ),
    )
    assert reply.status == 200, reply.body
    assert (reply.headers["content-type"], reply.xml.tag) == ("application/xml", "UploadResult")
    assert shelf.get("up/a.jpg").body == body
    assert reply.headers["etag"] == shelf.get("up/a.jpg").headers["etag"] == reply.text("OriginalInfo/ETag")
    original = {node.tag: node.text for node in reply.xml.find("OriginalInfo/ImageInfo")}
    assert (original["Format"], original["Width"], original["Height"]) == ("jpeg", "80", "40")
    assert (original["Ave"][:2], original["Orientation"], original["Quality"]) == ("0x", "0", "80")
    keys = reply.texts("ProcessResults/Object/Key")
    assert keys == ["kept/a.png", "up/small/b.jpg"]
    assert reply.texts("ProcessResults/Object/Location") == [f"{HOST}/{key}" for key in keys]
    for number, size in enumerate([(40, 20), (20, 10)]):
        kept = shelf.get(keys[number])
        image = opened(kept.body)
        told = {node.tag: node.text for node in reply.xml.findall("ProcessResults/Object")[number]}
        assert image.size == size == (int(told["Width"]), int(told["Height"]))
        assert image.format is not None and image.format.lower() == told["Format"]
        assert kept.headers["content-type"] == f"image/{told['Format']}"
        assert (kept.headers["etag"], len(kept.body)) == (told["ETag"], int(told["Size"]))


def test_pictures_are_made_of_an_object_that_is_there(shelf: Any) -> None:
    headers = operations({"fileid": "made.gif", "rule": "imageMogr2/format/gif"}, is_pic_info=0)
    reply = shelf("POST", "cos", "/in/a.png", [("image_process", "")], b"", headers)
    assert (reply.status, reply.texts("OriginalInfo/ImageInfo")) == (200, []), reply.body
    assert reply.text("OriginalInfo/Key") == "in/a.png"
    assert opened(shelf.get("in/made.gif").body).format == "GIF"


def test_an_object_can_be_replaced_by_what_is_made_of_it(shelf: Any) -> None:
    reply = shelf.put(
        "up/self.png", content(), **operations({"fileid": "self.png", "rule": "imageMogr2/rotate/90"})
    )
    assert reply.text("ProcessResults/Object/Key") == "up/self.png"
    assert opened(shelf.get("up/self.png").body).size == (40, 80)


def test_pictures_go_to_another_bucket(shelf: Any, real_server: LocalCI, caller: Any) -> None:
    real_server.bucket_path("other-1250000000").mkdir(exist_ok=True)
    rule = {"bucket": "other-1250000000", "fileid": "/a.png", "rule": "imageMogr2/rotate/90"}
    reply = shelf.put("up/b.png", content(), **operations(rule))
    assert reply.text("ProcessResults/Object/Location").startswith("other-1250000000.cos.")
    assert opened(caller(real_server, "other-1250000000").get("a.png").body).size == (40, 80)


@pytest.mark.parametrize("bucket", ["nobody-1250000000", "../outside", "..", ".ci-local", "a/../b", "a\0b"])
def test_a_bucket_that_is_none_leads_nowhere(shelf: Any, real_server: LocalCI, bucket: str) -> None:
    (real_server.root.parent / "outside").mkdir(exist_ok=True)
    rule = {"bucket": bucket, "fileid": "/a.png", "rule": "imageMogr2/rotate/90"}
    reply = shelf.put("up/c.png", content(), **operations(rule))
    assert (reply.status, reply.code) == (404, "NoSuchBucket")
    assert list((real_server.root.parent / "outside").iterdir()) == []


def test_a_job_cannot_write_outside_the_buckets(shelf: Any, real_server: LocalCI) -> None:
    (real_server.root.parent / "outside").mkdir(exist_ok=True)
    body = shelf.pic_job("in/a.png", "a.png").replace(f"<Bucket>{BUCKET}<", "<Bucket>../outside<")
    assert shelf("POST", "ci", "/pic_jobs", body=body).status == 404
    assert list((real_server.root.parent / "outside").iterdir()) == []


GOOD = {"fileid": "a", "rule": "imageMogr2/rotate/90"}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (json.dumps({"rules": [GOOD] * 6}), "-60997"),
        (json.dumps({"rules": []}), None),
        (json.dumps({"rules": GOOD}), None),
        (json.dumps({"rules": [{"fileid": "a"}]}), None),
        (json.dumps({"rules": [{"rule": "imageMogr2/rotate/90", "fileid": "/"}]}), None),
        (json.dumps({"rules": [{**GOOD, "fileid": 1}]}), None),
        (json.dumps({"rules": [{**GOOD, "more": "x"}]}), None),
        (json.dumps({"rules": [GOOD], "is_pic_info": 2}), None),
        (json.dumps({"rules": [GOOD], "is_pic_inf": 1}), None),
        (json.dumps([GOOD]), None),
        ("{", None),
        ("[" * 4000, None),
    ],
)
def test_senseless_operations_are_refused_and_nothing_is_stored(
    call: Any, text: str, number: str | None
) -> None:
    reply = call.put("a.png", content(), **{"Pic-Operations": text})
    assert (reply.status, reply.code) == (400, "InvalidPicOperations")
    assert reply.headers.get("x-errno") == number
    assert call.get("a.png").status == 404


def test_post_without_operations_is_refused(call: Any) -> None:
    call.put("a.png")
    reply = call("POST", "cos", "/a.png", [("image_process", "")], b"")
    assert (reply.status, reply.code) == (400, "InvalidPicOperations")
    assert call("GET", "cos", "/a.png", [("image_process", "")]).status == 501


def test_an_upload_stays_when_no_picture_can_be_made_of_it(shelf: Any) -> None:
    headers = operations(GOOD, {**GOOD, "rule": "imageMogr2/rotate/x"})
    reply = shelf.put("up/d.png", content(), **headers)
    assert (reply.status, reply.headers["x-errno"]) == (400, "-60998")
    assert shelf.get("up/d.png").body == content()
    assert shelf.get("up/a").status == 404


def test_as_many_run_at_once_as_there_are_workers_and_the_rest_is_answered(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, until: Callable[..., None]
) -> None:
    call = caller(serve(convert=gate, workers=2))
    call.put("a.png", content())
    with ThreadPoolExecutor(4) as pool:
        replies = [pool.submit(made, call, "a.png", f"imageMogr2/rotate/{n}") for n in range(4)]
        until(lambda: len(gate.began) == 2)
        assert call.get("a.png").body == content()
        assert len(gate.began) == 2
        gate.open.set()
        assert [opened(reply.result().body).format for reply in replies] == ["PNG"] * 4
    assert len(gate.began) == 4


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (errors.TIMEOUT, 400, "Timeout"),
        (errors.CONVERTER_CRASHED, 400, "ConverterCrashed"),
        (errors.DISK_FULL, 500, "InternalError"),
        (errors.OFFICE_MISSING, 500, "InternalError"),
    ],
)
def test_a_failure_of_the_converters_is_an_answer(
    serve: Callable[..., LocalCI], caller: Any, failure: str, status: int, code: str
) -> None:
    class Failing(InstantConverters):
        def picture(self, *_: Any) -> Any:
            raise ConversionError(failure, "so it is")

        def document(self, *_: Any) -> Any:
            raise ConversionError(failure, "so it is")

    call = caller(serve(convert=Failing()))
    call.put("a.png", content())
    for params in ([("imageMogr2/rotate/90", "")], [("ci-process", "doc-preview")]):
        reply = call("GET", "cos", "/a.png", params)
        assert (reply.status, reply.code, reply.text("Message")) == (status, code, "so it is")
    assert call.get("a.png").status == 200


def test_a_server_stops_while_a_picture_is_made(root: Path, caller: Any) -> None:
    class Stuck(InstantConverters):
        began, closed = threading.Event(), threading.Event()

        def picture(self, *_: Any) -> Any:
            self.began.set()
            self.closed.wait(60)
            raise ConvertersClosedError

        def close(self) -> None:
            self.closed.set()

    server = LocalCI(root, convert=Stuck())
    server.start()
    call = caller(server)
    call.put("a.png", content())
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(made, call, "a.png", "imageMogr2/rotate/90")
        assert Stuck.began.wait(60)
        server.stop()
        assert reply.exception() or reply.result().status == 503
    assert list((root / ".ci-local" / "work").iterdir()) == []


def test_nothing_is_left_of_what_was_made(shelf: Any, real_server: LocalCI) -> None:
    for rule in ("imageMogr2/rotate/90", "imageInfo", "imageMogr2/rotate/x"):
        made(shelf, "in/a.png", rule)
    assert list((real_server.root / ".ci-local" / "work").iterdir()) == []
