"""Objects over the wire: their content stays unchanged, as a file in the folder and as a response."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ci.local import LocalCI

ODD_KEYS = [
    "in/a b+c~d 表.txt",
    "100% sure %41 %2F.txt",
    "q?x=1&y#f;z,@.txt",
    "'\"<&>.txt",
    "emoji 😀/é.txt",
    "trailing/",
    "/leading",
    "a//b",
    "./a",
    "a/./b/../../../etc/passwd",
    "dots/..",
    "../../outside.txt",
    "tab\tand\x01control\x7f",
    "%ci%looks like ours",
    "x" * 400 + ".txt",
    "表" * 280,
    "a." * 30 + "/..",
    ".hidden/.file",
    "back\\slash",
]


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_an_object_that_was_put_is_a_plain_file_and_comes_back(call: Any, folder: Path) -> None:
    put = call.put("in/a.docx", b"hello", **{"Content-Type": "text/x-own", "x-cos-meta-owner": "me"})
    assert (put.status, put.headers["etag"], put.body) == (200, f'"{md5(b"hello")}"', b"")
    assert (folder / "in" / "a.docx").read_bytes() == b"hello"
    got = call.get("in/a.docx")
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"hello", "5")
    assert got.headers["content-type"] == "text/x-own"
    assert got.headers["x-cos-meta-owner"] == "me"
    assert got.headers["etag"] == put.headers["etag"]
    assert got.headers["server"] == "tencent-cos"
    assert got.headers["x-cos-request-id"]


def test_head_gives_the_headers_of_get_without_its_body(call: Any) -> None:
    call.put("a.txt", b"hello")
    head, get = call("HEAD", "cos", "/a.txt"), call.get("a.txt")
    changing = ("date", "x-cos-request-id")
    assert head.body == b""
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in get.headers.items() if k not in changing
    }


def test_a_file_dropped_into_the_folder_is_an_object(call: Any, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "报告 1.pdf").write_bytes(b"by hand")
    got = call.get("sub/报告 1.pdf")
    assert (got.body, got.headers["etag"]) == (b"by hand", f'"{md5(b"by hand")}"')
    assert got.headers["content-type"] == "application/pdf"
    (folder / "sub" / "报告 1.pdf").write_bytes(b"by hand again")
    assert call.get("sub/报告 1.pdf").headers["etag"] == f'"{md5(b"by hand again")}"'


def test_metadata_of_a_replaced_object_is_gone(call: Any, folder: Path) -> None:
    call.put("a.txt", b"1", **{"x-cos-meta-owner": "me"})
    (folder / "a.txt").write_bytes(b"by hand")
    assert "x-cos-meta-owner" not in call("HEAD", "cos", "/a.txt").headers
    call.put("a.txt", b"2", **{"x-cos-meta-owner": "you"})
    call.put("a.txt", b"3")
    assert "x-cos-meta-owner" not in call("HEAD", "cos", "/a.txt").headers


@pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: repr(key[:20]))
def test_every_key_is_kept_apart_and_stays_in_its_bucket(
    call: Any, root: Path, folder: Path, key: str
) -> None:
    assert call.put(key, key.encode()).status == 200
    assert call.get(key).body == key.encode()
    assert call("GET", "cos", "/", [("encoding-type", "url")]).text("Contents/Size") == str(len(key.encode()))
    for path in root.parent.rglob("*"):
        if path.is_file():
            assert folder in path.parents or root / ".ci-local" in path.parents, path
    assert call("DELETE", "cos", f"/{key}").status == 204
    assert call.get(key).code == "NoSuchKey"
    assert list(folder.iterdir()) == []


def test_neighbouring_odd_keys_do_not_meet(call: Any) -> None:
    for key in ODD_KEYS:
        assert call.put(key, key.encode()).status == 200
    assert [call.get(key).body.decode() for key in ODD_KEYS] == ODD_KEYS


@pytest.mark.parametrize("key", ["up/secret", "link", "sub/up/secret"])
def test_symbolic_links_are_neither_followed_nor_listed(
    call: Any, root: Path, folder: Path, key: str
) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (folder / "sub").mkdir()
    for link in (folder / "up", folder / "sub" / "up"):
        link.symlink_to(outside)
    (folder / "link").symlink_to(outside / "secret")
    assert call.get(key).code == "NoSuchKey"
    assert call("HEAD", "cos", f"/{key}").status == 404
    assert call("GET", "cos", "/", [("prefix", "up/")]).texts("Contents/Key") == []
    assert call("GET", "cos", "/").texts("Contents/Key") == []
    call.put(key, b"overwritten")
    call("DELETE", "cos", f"/{key}")
    assert (outside / "secret").read_text() == "secret"
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_a_bucket_that_is_a_link_is_no_bucket(call: Any, caller: Any, root: Path) -> None:
    (root / "linked-1250000000").symlink_to(root.parent)
    assert caller(call.server, bucket="linked-1250000000")("GET", "cos", "/").code == "NoSuchBucket"


@pytest.mark.parametrize(
    "host", [".ci-local.cos.ap.test", "...cos.ap.test", "a_b.cos.ap.test", "%2e%2e.cos.ap.test"]
)
def test_a_host_without_a_bucket_name_reaches_no_folder(call: Any, host: str) -> None:
    reply = call("GET", "cos", "/state.sqlite", host=host)
    assert (reply.status, reply.code) in [(400, "InvalidBucketName"), (400, "InvalidHost")]


def test_a_key_longer_than_850_bytes_is_refused(call: Any) -> None:
    assert call.put("x" * 850).status == 200
    assert (call.put("x" * 851).status, call.put("x" * 851).code) == (400, "KeyTooLong")
    assert call.put("表" * 284).code == "KeyTooLong"


def test_an_object_and_a_folder_of_objects_cannot_have_one_name(call: Any) -> None:
    call.put("a/b", b"1")
    assert (call.put("a").status, call.put("a").code) == (409, "PathConflict")
    assert call.put("a/b/c").code == "PathConflict"
    assert call.get("a/b").body == b"1"
    call("DELETE", "cos", "/a/b")
    assert call.put("a", b"2").status == 200
    assert call.get("a/b").code == "NoSuchKey"


def test_an_empty_folder_made_by_hand_is_in_nobodys_way(call: Any, folder: Path) -> None:
    (folder / "a").mkdir()
    assert call("GET", "cos", "/", [("delimiter", "/")]).texts("CommonPrefixes/Prefix") == []
    assert call.put("a", b"1").status == 200


def test_a_missing_object_and_a_missing_bucket_have_their_codes(call: Any, caller: Any) -> None:
    missing = call.get("in/none.docx")
    assert (missing.status, missing.code) == (404, "NoSuchKey")
    assert "in/none.docx" in missing.text("Message")
    assert missing.text("Resource").endswith("/in/none.docx")
    assert missing.text("RequestId") == missing.headers["x-cos-request-id"]
    assert missing.text("TraceId") == missing.headers["x-cos-trace-id"]
    assert missing.headers["content-type"] == "application/xml"
    other = caller(call.server, bucket="nobody-1250000000")
    assert (other.get("a").status, other.get("a").code) == (404, "NoSuchBucket")
    assert other.put("a").code == "NoSuchBucket"
    assert other("HEAD", "cos", "/").status == 404
    assert call("HEAD", "cos", "/").headers["x-cos-bucket-region"] == "ap-guangzhou"


@pytest.mark.parametrize(
    ("wanted", "content", "shown"),
    [
        ("bytes=0-1", b"01", "bytes 0-1/10"),
        ("bytes=8-", b"89", "bytes 8-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-500", b"56789", "bytes 5-9/10"),
        ("bytes=-500", b"0123456789", "bytes 0-9/10"),
    ],
)
def test_a_range_is_answered_in_part(call: Any, wanted: str, content: bytes, shown: str) -> None:
    call.put("digits", b"0123456789")
    got = call.get("digits", Range=wanted)
    assert (got.status, got.body, got.headers["content-range"]) == (206, content, shown)


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=10-12", "bytes=5-2", "bytes=-0"])
def test_a_range_outside_is_refused(call: Any, wanted: str) -> None:
    call.put("digits", b"0123456789")
    assert (call.get("digits", Range=wanted).status, call.get("digits", Range=wanted).code) == (
        416,
        "InvalidRange",
    )


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=a-b", "bytes=-", "bytes=0-1,3-4"])
def test_a_range_that_makes_no_sense_is_ignored(call: Any, wanted: str) -> None:
    call.put("digits", b"0123456789")
    assert (call.get("digits", Range=wanted).status, call.get("digits", Range=wanted).body) == (
        200,
        b"0123456789",
    )


def test_conditions_decide_what_is_answered(call: Any) -> None:
    etag = call.put("a.txt", b"1").headers["etag"]
    past, future = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    expected = {
        ("If-Match", etag): 200,
        ("If-Match", "*"): 200,
        ("If-Match", '"other", ' + etag): 200,
        ("If-Match", '"other"'): 412,
        ("If-None-Match", etag): 304,
        ("If-None-Match", '"other"'): 200,
        ("If-Modified-Since", past): 200,
        ("If-Modified-Since", future): 304,
        ("If-Modified-Since", "nonsense"): 200,
        ("If-Unmodified-Since", past): 412,
        ("If-Unmodified-Since", future): 200,
    }
    assert {item: call.get("a.txt", **dict([item])).status for item in expected} == expected
    assert call.get("a.txt", **{"If-None-Match": etag}).body == b""
    assert call.get("a.txt", **{"If-Match": '"other"'}).code == "PreconditionFailed"


def test_response_parameters_replace_headers(call: Any) -> None:
    call.put("a.txt")
    got = call(
        "GET", "cos", "/a.txt", [("response-content-type", "x/y"), ("response-content-disposition", "z")]
    )
    assert (got.headers["content-type"], got.headers["content-disposition"]) == ("x/y", "z")


def test_a_body_that_differs_from_its_md5_is_not_stored(call: Any) -> None:
    good = b64encode(hashlib.md5(b"abc", usedforsecurity=False).digest()).decode()
    assert call.put("a", b"abc", **{"Content-MD5": good}).status == 200
    assert (call.put("b", b"abd", **{"Content-MD5": good}).status, call.put("b", b"x").status) == (400, 200)
    assert call.put("c", b"abd", **{"Content-MD5": good}).code == "BadDigest"
    assert call.put("c", b"abd", **{"Content-MD5": "nonsense"}).code == "InvalidDigest"
    assert call.get("c").code == "NoSuchKey"


def test_overwriting_can_be_forbidden(call: Any) -> None:
    assert call.put("a", b"1", **{"x-cos-forbid-overwrite": "true"}).status == 200
    assert (call.put("a", b"2", **{"x-cos-forbid-overwrite": "true"}).code) == "FileAlreadyExists"
    assert call.get("a").body == b"1"
    assert call.put("a", b"3", **{"x-cos-forbid-overwrite": "false"}).status == 200


def test_deleting_many_says_what_was_deleted(call: Any) -> None:
    call.put("a&b")
    call.put("keep")
    body = b"<Delete><Object><Key>a&amp;b</Key></Object><Object><Key>none</Key></Object></Delete>"
    digest = {"Content-MD5": b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}
    reply = call("POST", "cos", "/", [("delete", "")], body, digest)
    assert (reply.status, reply.texts("Deleted/Key")) == (200, ["a&b", "none"])
    assert call("GET", "cos", "/").texts("Contents/Key") == ["keep"]
    quiet = body.replace(b"<Delete>", b"<Delete><Quiet>true</Quiet>")
    digest = {"Content-MD5": b64encode(hashlib.md5(quiet, usedforsecurity=False).digest()).decode()}
    assert call("POST", "cos", "/", [("delete", "")], quiet, digest).texts("Deleted/Key") == []
    assert call("POST", "cos", "/", [("delete", "")], body).code == "InvalidDigest"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete",
        b"<Other/>",
        b"<Delete/>",
        b'<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>',
    ],
)
def test_a_malformed_body_is_refused(call: Any, body: bytes) -> None:
    digest = {"Content-MD5": b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}
    reply = call("POST", "cos", "/", [("delete", "")], body, digest)
    assert (reply.status, reply.code) == (400, "MalformedXML")


def test_a_chunked_body_is_stored_whole(call: Any) -> None:
    headers = {"Host": call.host("cos")}
    authorization = call.sign("PUT", "/big", [], headers)
    lines = f"PUT /big HTTP/1.1\r\nHost: {headers['Host']}\r\nAuthorization: {authorization}\r\n"
    with socket.create_connection(urlsplit(call.server.endpoint).netloc.split(":")) as connection:
        connection.sendall(f"{lines}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode())
        for _ in range(40):
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert call("HEAD", "cos", "/big").headers["content-length"] == str(40 * 65536)


def test_a_body_of_unknown_length_is_refused(call: Any) -> None:
    headers = {"Host": call.host("cos")}
    reply = call.raw("PUT", "/a", {**headers, "Authorization": call.sign("PUT", "/a", [], headers)})
    assert (reply.status, reply.code) == (411, "MissingContentLength")


def test_a_client_that_waits_for_100_continue_gets_it(call: Any) -> None:
    headers = {"Host": call.host("cos")}
    authorization = call.sign("PUT", "/a", [], headers)
    with socket.create_connection(urlsplit(call.server.endpoint).netloc.split(":")) as connection:
        connection.sendall(
            f"PUT /a HTTP/1.1\r\nHost: {headers['Host']}\r\nAuthorization: {authorization}\r\n"
            "Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".encode()
        )
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert call.get("a").body == b"abc"


def test_a_compressed_body_is_stored_as_it_came(call: Any) -> None:
    call.put("a.gz", b"not even gzip", **{"Content-Encoding": "gzip"})
    got = call.get("a.gz")
    assert (got.body, got.headers["content-encoding"]) == (b"not even gzip", "gzip")


def test_an_upload_that_breaks_off_leaves_nothing(call: Any, root: Path, until: Callable[..., None]) -> None:
    call.put("a", b"before")
    headers = {"Host": call.host("cos")}
    authorization = call.sign("PUT", "/a", [], headers)
    with socket.create_connection(urlsplit(call.server.endpoint).netloc.split(":")) as connection:
        connection.sendall(
            f"PUT /a HTTP/1.1\r\nHost: {headers['Host']}\r\nAuthorization: {authorization}\r\n"
            "Content-Length: 1000\r\n\r\nhalf".encode()
        )
        temporary = root / ".ci-local" / "tmp"
        until(lambda: any(temporary.iterdir()))
    until(lambda: not any(temporary.iterdir()))
    assert call.get("a").body == b"before"


def test_writers_of_one_key_never_mix_their_contents(call: Any) -> None:
    bodies = [bytes([letter]) * 300_000 for letter in b"abcd"]
    threads = [
        threading.Thread(target=lambda body=body: [call.put("k/a", body) for _ in range(8)])
        for body in bodies
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        got = call.get("k/a")
        assert got.status == 404 or (got.body in bodies and got.headers["etag"] == f'"{md5(got.body)}"')
    for thread in threads:
        thread.join()


def test_puts_and_deletes_of_neighbours_do_not_disturb_each_other(call: Any) -> None:
    failures: list[Any] = []

    def churn(name: str) -> None:
        for _ in range(60):
            if call.put(f"deep/down/{name}").status != 200:
                failures.append(name)
            call("DELETE", "cos", f"/deep/down/{name}")

    threads = [threading.Thread(target=churn, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_what_is_left_out_says_so(call: Any) -> None:
    for method, path, params in [
        ("GET", "/", [("acl", "")]),
        ("GET", "/", [("uploads", "")]),
        ("GET", "/a.docx", [("ci-process", "videoinfo")]),
        ("GET", "/", [("imageInfo", "")]),
        ("PUT", "/a.jpg", [("imageMogr2/thumbnail/!50p", "")]),
        ("POST", "/a.jpg", []),
        ("PUT", "/a", [("partNumber", "1"), ("uploadId", "x")]),
        ("PUT", "/", []),
        ("PATCH", "/a", []),
    ]:
        reply = call(method, "cos", path, params, b"")
        assert (reply.status, reply.code) == (501, "NotImplemented"), (method, path, params)
    assert call.put("a", **{"x-cos-copy-source": "b"}).code == "NotImplemented"


def test_a_path_that_is_not_utf8_is_refused(call: Any) -> None:
    headers = {"Host": call.host("cos")}
    reply = call.raw("GET", "/%ff", {**headers, "Authorization": call.sign("GET", "/a", [], headers)})
    assert (reply.status, reply.code) == (400, "InvalidURI")


FULL_DISK = """
import resource, sys
from airflow_provider_ci.local.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_is_an_internal_error_and_leaves_the_old_object(root: Path, caller: Any) -> None:
    """A limit on the size of files stands in for a full disk: both make the write fail."""
    command = [sys.executable, "-c", textwrap.dedent(FULL_DISK), "serve", "--root", str(root)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--convert", "instant"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        server = LocalCI(root, port=int(process.stdout.readline().rsplit(":", 1)[1]))
        call = caller(server)
        assert call.put("a", b"small").status == 200
        reply = call.put("a", os.urandom(3_000_000))
        assert (reply.status, reply.code) == (500, "InternalError")
        assert call.get("a").body == b"small"
        assert list((root / ".ci-local" / "tmp").iterdir()) == []
    finally:
        process.terminate()
        process.wait()
