"""Features that the service has and the local CI lacks get status 501, never another response."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

SUB_RESOURCES = [
    *("acl", "tagging", "symlink", "legal-hold", "retention", "restore", "uploads", "append", "metadata"),
    *("object-lock", "torrent", "versionId", "partNumber", "uploadId", "x-unheard-of"),
]
BUCKET_SUB_RESOURCES = [
    *(
        "location",
        "intelligent-tiering",
        "notification",
        "versions",
        "lifecycle",
        "cors",
        "policy",
        "list-type",
    ),
    *(
        "encryption",
        "inventory",
        "logging",
        "referer",
        "website",
        "accelerate",
        "domain",
        "origin",
        "asyncfetch",
    ),
]


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE", "POST"])
def test_a_sub_resource_of_an_object_is_not_taken_for_the_object(call: Any, method: str) -> None:
    call.put("k", b"kept")
    for name, value in product(SUB_RESOURCES, ("", "1")):
        reply = call(
            method, "cos", "/k", [(name, value)], body=b"<X/>" if method in ("PUT", "POST") else None
        )
        assert reply.status == 501, name
        assert method == "HEAD" or reply.code == "NotImplemented"
    assert call.get("k").body == b"kept"


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "HEAD"])
def test_a_sub_resource_of_a_bucket_is_not_taken_for_the_bucket(call: Any, method: str) -> None:
    for name in BUCKET_SUB_RESOURCES:
        if (method, name) == ("POST", "inventory"):
            continue  # supported: it creates a one-time inventory
        assert call(method, "cos", "/", [(name, "")]).status == 501, name


def test_a_query_in_sql_is_not_answered_with_the_whole_object(call: Any) -> None:
    call.put("k", b"a,b")
    assert call("GET", "cos", "/k", [("select", ""), ("select-type", "2")]).status == 501


def test_the_parameters_that_are_spoken_still_are(call: Any) -> None:
    call.put("k", b"x")
    overrides = [("response-content-type", "a/b"), ("response-cache-control", "no-cache")]
    reply = call("GET", "cos", "/k", overrides)
    assert (reply.status, reply.headers["content-type"]) == (200, "a/b")
    listing = [
        ("prefix", ""),
        ("delimiter", "/"),
        ("marker", ""),
        ("max-keys", "1"),
        ("encoding-type", "url"),
    ]
    assert call("GET", "cos", "/", listing).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "x-cos-server-side-encryption",
        "x-cos-server-side-encryption-customer-key",
        "x-cos-server-side-encryption-cos-kms-key-id",
        "x-cos-tagging",
        "x-cos-copy-source",
        "x-cos-callback",
        "x-cos-object-lock-mode",
        "x-cos-website-redirect-location",
        "X-COS-Unheard-Of",
    ],
)
def test_a_header_that_asks_for_more_than_is_done_is_refused(call: Any, name: str) -> None:
    assert (call.put("k", b"x", **{name: "AES256"}).status, call.get("k").status) == (501, 404)
    call.put("k", b"x")
    assert call.get("k", **{name: "AES256"}).status == 501


def test_headers_without_effect_are_accepted(call: Any) -> None:
    headers = {"x-cos-acl": "private", "x-cos-storage-class": "STANDARD", "x-cos-grant-read": "id=1"}
    assert call.put("k", b"x", **headers, **{"x-cos-meta-a": "b", "x-cos-sdk-retry": "true"}).status == 200


@pytest.mark.parametrize(
    "params",
    [
        [("weboffice_url", "1")],
        [("tokenuid", "u")],
        [("dstType", "watermark")],
        [("dstType", "html"), ("weboffice_url", "1")],
    ],
)
def test_a_preview_of_another_kind_is_left_out(call: Any, params: list[tuple[str, str]]) -> None:
    call.put("a.docx")
    reply = call("GET", "cos", "/a.docx", [("ci-process", "doc-preview"), *params])
    assert (reply.status, reply.code) == (501, "NotImplemented")


OTHER_PATHS = [
    *("/ai_jobs", "/asr_jobs", "/asr_jobs/s1", "/ai_queue", "/asrqueue"),
    *("/asrbucket", "/ai_bucket", "/file_bucket", "/mediabucket", "/workflow", "/workflowexecution/w1"),
    *("/triggerworkflow", "/inventorytriggerjob", "/inventory_trigger_jobs", "/triggerinventoryjob"),
    *("/image/auditing", "/video/auditing", "/document/auditing", "/virus/detect", "/playKey", "/datasets"),
    *("/datasetquery/simple", "/filemeta", "/report/badcase"),
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_paths_of_other_features_are_left_out(call: Any, method: str) -> None:
    for path in OTHER_PATHS:
        reply = call(method, "ci", path, body=b"<Request/>" if method in ("PUT", "POST") else None)
        assert (reply.status, reply.code) == (501, "NotImplemented"), path


@pytest.mark.parametrize(
    "tag", ["DocAIGCMetadata", "ImageOCR", "Snapshot", "Transcode", "FileCompress", "Tts"]
)
def test_jobs_of_other_features_are_left_out(call: Any, tag: str) -> None:
    body = (
        f"<Request><Tag>{tag}</Tag><Input><Object>a</Object></Input><Operation><{tag}/></Operation></Request>"
    )
    for path in ("/doc_jobs", "/pic_jobs", "/jobs", "/file_jobs"):
        reply = call("POST", "ci", path, body=body)
        assert (reply.status, reply.code) == (501, "NotImplemented")
        assert f"does not know jobs with Request.Tag {tag}; it does DocProcess" in reply.text("Message")
    for path in ("/doc_jobs", "/pic_jobs", "/jobs"):
        assert call("GET", "ci", path, [("tag", tag)]).status == 501


@pytest.mark.parametrize("tag", ["", "docprocess", "1"])
def test_what_is_no_tag_is_an_argument_that_makes_no_sense(call: Any, tag: str) -> None:
    assert call("GET", "ci", "/doc_jobs", [("tag", tag)]).status == 400
    assert call("GET", "ci", "/jobs", [("tag", "DocProcess")]).status == 400  # no page or SDK uses this path


@pytest.mark.parametrize(
    "host",
    [
        "service.cos.myqcloud.com",
        "service.cos.ap-guangzhou.myqcloud.com",
        "examplebucket-1250000000.pic.ap-guangzhou.myqcloud.com",
        "examplebucket-1250000000.cos-website.ap-guangzhou.myqcloud.com",
    ],
)
def test_hosts_of_other_features_are_left_out(call: Any, host: str) -> None:
    reply = call("GET", "cos", "/", host=host)
    assert (reply.status, reply.code) == (501, "NotImplemented")
