"""Requests and responses in the form that the sources of the other languages' official SDKs use."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_job_may_name_its_bucket_as_the_java_sdk_does(call: Any) -> None:
    call.put("a.png")
    named = f"<BucketName>{call.bucket}</BucketName></Request>"
    for path in ("/pic_jobs", "/jobs"):
        body = call.pic_job("a.png", "out.png").replace("</Request>", named)
        assert call("POST", "ci", path, body=body).status == 200
    body = call.doc_job("a.docx").replace("</Request>", named)
    assert call("POST", "ci", "/doc_jobs", body=body).status == 200


@pytest.mark.parametrize("convert", ["instant", "none"])
@pytest.mark.parametrize("asked", ["true", "false"])
def test_the_result_of_a_picture_job_has_both_shapes(
    serve: Any, caller: Any, convert: str, asked: str
) -> None:
    call = caller(serve(convert=convert))
    call.put("in/a.png")
    body = call.pic_job("in/a.png", "out/b.png").replace("<IsPicInfo>true<", f"<IsPicInfo>{asked}<")
    job = call.finished(call.submit(body, "/pic_jobs"), "/pic_jobs")
    result = job.xml.find("JobsDetail/Operation/PicProcessResult")
    java, go = result.find("ProcessResult"), result.find("UploadResult/ProcessResults/Object")
    assert [java.findtext(name) for name in ("Format", "Width", "Height", "Size", "Quality")] == [
        go.findtext(name) for name in ("Format", "Width", "Height", "Size", "Quality")
    ]
    assert (java.findtext("Etag"), go.findtext("Key")) == (go.findtext("ETag"), "out/b.png")
    assert go.findtext("Location") == f"{call.bucket}.cos.ap-guangzhou.myqcloud.com/out/b.png"
    if convert == "instant":
        original = (result.find("OriginalInfo"), result.find("UploadResult/OriginalInfo"))
        assert [node is not None for node in original] == [asked == "true"] * 2
    if convert == "instant" and asked == "true":
        assert original[0].findtext("Etag") == original[1].findtext("ETag")
        assert original[1].findtext("ImageInfo/Width") == original[0].findtext("ImageInfo/Width")


@pytest.mark.parametrize(
    ("key", "own"), [("a.odt", "odt"), ("b.ODS", "ods"), ("c.odp", "odp"), ("d.docx", None)]
)
def test_a_source_type_that_only_the_local_ci_reads_is_named(call: Any, key: str, own: str | None) -> None:
    call.put(key)
    reply = call("POST", "ci", "/doc_jobs", body=call.doc_job(key, "out/${SheetID}-${Number}.pdf"))
    assert (reply.status, reply.headers.get("x-ci-local-own-type")) == (200, own)
