"""Any response to any request gives a right result or an error of ours, in bounded time and memory.

The server sends arbitrary bytes, and good responses that were cut, compressed, split, or
given a wrong status or length.
"""

from __future__ import annotations

import gzip
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_ci.client import (
    CIClient,
    CIError,
    Credentials,
    DocProcess,
    FileHashCode,
    Job,
    ObjectInfo,
    ObjectPage,
    PicProcess,
    RetryPolicy,
)

CREDENTIALS = Credentials(secret_id="AKIDEXAMPLEexample0123456789abcdefgh", secret_key="ExampleSecretKey")
RULE = PicProcess("imageMogr2/rotate/90")
MD5 = "900150983cd24fb0d6963f7d28e17f72"  # the MD5 of b"abc"
JOB = (
    "<JobsDetail><CreationTime>2023-11-15T06:13:20+0800</CreationTime><Input><Object>in/a</Object></Input>"
    "<JobId>d1</JobId><Operation><Output><Object>out/a</Object></Output></Operation><State>Success</State>"
    "<Tag>DocProcess</Tag></JobsDetail>"
)
OBJECT = (
    "<Contents><Key>a%20b</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified><ETag>&quot;9&quot;</ETag>"
    "<Size>3</Size></Contents>"
)


@dataclass(frozen=True)
class Operation:
    """A call, the body of a good response to the call, and a check of the call's result."""

    call: Callable[[CIClient, Path], Any]
    good: bytes = b""
    is_right: Callable[[Any], bool] = lambda found: found is None
    headers: dict[str, str] = field(default_factory=dict)


def response(*nodes: str) -> bytes:
    return f"<Response>{''.join(nodes)}</Response>".encode()


def is_job(found: Any) -> bool:
    return isinstance(found, Job) and found.job_id == "d1" and found.created_at is not None


def are_jobs(found: Any) -> bool:
    return all(isinstance(each, Job) and each.job_id for each in found)


def is_list(found: Any) -> bool:
    return isinstance(found, list)


TEMPLATE = "<TemplateId>t1</TemplateId><Tag>PicProcess</Tag>"
OPERATIONS = {
    "read object": Operation(
        lambda ci, _: ci.read_object("a"), b"abc", lambda found: isinstance(found, bytes)
    ),
    "get object": Operation(
        lambda ci, path: ci.get_object("a", path), b"abc", lambda found: isinstance(found, ObjectInfo)
    ),
    "head object": Operation(
        lambda ci, _: ci.head_object("a"), b"", lambda found: isinstance(found, ObjectInfo)
    ),
    "put object": Operation(
        lambda ci, _: ci.put_object("a", b"abc"), b"", lambda found: bool(found.etag), {"ETag": f'"{MD5}"'}
    ),
    "delete object": Operation(lambda ci, _: ci.delete_object("a")),
    "head bucket": Operation(lambda ci, _: ci.head_bucket()),
    "server time": Operation(lambda ci, _: ci.server_time(), b"", lambda found: found.tzinfo is not None),
    "list objects": Operation(
        lambda ci, _: ci.list_objects_page(),
        f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{OBJECT}</ListBucketResult>".encode(),
        lambda found: isinstance(found, ObjectPage),
    ),
    "submit document": Operation(
        lambda ci, _: ci.submit_doc_job("in/a", "out/a", DocProcess()), response(JOB), is_job
    ),
    "submit picture": Operation(
        lambda ci, _: ci.submit_pic_job("in/a", "out/a", RULE), response(JOB), is_job
    ),
    "submit hash": Operation(
        lambda ci, _: ci.submit_job("in/a", None, FileHashCode()), response(JOB), is_job
    ),
    "get job": Operation(lambda ci, _: ci.get_doc_job("d1"), response(JOB), is_job),
    "get jobs": Operation(lambda ci, _: ci.get_pic_jobs(["d1"]), response(JOB), are_jobs),
    "list jobs": Operation(lambda ci, _: ci.list_doc_jobs_page().jobs, response(JOB), are_jobs),
    "cancel job": Operation(lambda ci, _: ci.cancel_doc_job("d1")),
    "list queues": Operation(
        lambda ci, _: ci.list_doc_queues(queue_ids=["p1"]),
        response("<QueueList><QueueId>p1</QueueId><State>Active</State></QueueList>"),
        is_list,
    ),
    "list buckets": Operation(
        lambda ci, _: ci.list_doc_buckets(),
        response("<DocBucketList><BucketId>b</BucketId></DocBucketList>"),
        is_list,
    ),
    "open bucket": Operation(
        lambda ci, _: ci.open_pic_bucket(),
        response("<PicBucket><BucketId>b</BucketId></PicBucket>"),
        lambda found: bool(found.bucket),
    ),
    "close bucket": Operation(lambda ci, _: ci.close_pic_bucket()),
    "list templates": Operation(
        lambda ci, _: ci.list_templates(), response(f"<TemplateList>{TEMPLATE}</TemplateList>"), is_list
    ),
    "create template": Operation(
        lambda ci, _: ci.create_template("a", RULE),
        response(f"<Template>{TEMPLATE}</Template>"),
        lambda found: bool(found.template_id),
    ),
    "delete template": Operation(lambda ci, _: ci.delete_template("t1")),
}


@dataclass
class AnyServer:
    """Sends its current bytes to each client, and closes the connection."""

    data: bytes = b""
    port: int = 0

    def answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536) or b"\r\n\r\n"
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            body = head.partition(b"\r\n\r\n")[2]
            while len(body) < length and (more := connection.recv(65536)):
                body += more
            connection.sendall(self.data)
            connection.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def server() -> Iterator[AnyServer]:
    server = AnyServer()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]

        def accept() -> None:
            with suppress(OSError):
                while True:
                    server.answer(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture(scope="module")
def client(server: AnyServer) -> Iterator[CIClient]:
    endpoint = f"http://127.0.0.1:{server.port}"
    with CIClient(
        CREDENTIALS,
        "ap-guangzhou",
        "examplebucket-1250000000",
        endpoint=endpoint,
        timeout=(5, 5),
        retry=RetryPolicy(max_attempts=1),
    ) as client:
        yield client


def ask(name: str, data: bytes, server: AnyServer, client: CIClient, folder: Path) -> Any:
    """Run an operation whose response is ``data``; return its result, which must be right, or our error."""
    server.data = data
    operation, path = OPERATIONS[name], folder / "file"
    path.unlink(missing_ok=True)
    try:
        found = operation.call(client, path)
    except CIError as error:
        assert not path.exists()
        assert str(error)
        return error
    assert operation.is_right(found)
    return found


names = st.sampled_from(sorted(OPERATIONS))
statuses = st.one_of(st.sampled_from([200, 200, 200, 201, 202, 204, 206]), st.integers(100, 999))
framings = st.sampled_from(["length", "chunked", "none", "short", "long", "odd", "twice"])
many = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def framed(body: bytes, framing: str) -> tuple[str, bytes]:
    """The header with the right or a wrong length of a body, and the body as it is sent."""
    if framing == "chunked":
        half = len(body) // 2
        parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
        return "Transfer-Encoding: chunked\r\n", parts + b"0\r\n\r\n"
    lengths = {"length": len(body), "short": max(0, len(body) - 2), "long": len(body) + 2}
    if framing == "odd":
        return "Content-Length: ²\r\n", body
    if framing == "twice":
        return f"Content-Length: {len(body)}\r\nContent-Length: {len(body) + 1}\r\n", body
    return (f"Content-Length: {lengths[framing]}\r\n" if framing in lengths else ""), body


def whole(name: str, body: bytes, framing: str = "length", status: int = 200) -> bytes:
    length, sent = framed(body, framing)
    extra = "".join(f"{key}: {value}\r\n" for key, value in OPERATIONS[name].headers.items())
    head = f"HTTP/1.1 {status} Some\r\nDate: Tue, 14 Nov 2023 22:14:20 GMT\r\n{extra}{length}"
    return (head + "x-ci-request-id: NWRl\r\n\r\n").encode("latin-1") + (
        b"" if name.startswith(("head", "server")) else sent
    )


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_good_response_is_a_result(
    name: str, framing: str, server: AnyServer, client: CIClient, tmp_path: Path
) -> None:
    if framing == "chunked" and name == "head object":
        return  # a HEAD needs the length of the object, which a chunked response does not have
    found = ask(name, whole(name, OPERATIONS[name].good, framing), server, client, tmp_path)
    assert not isinstance(found, CIError)


@many
@given(name=names, data=st.binary(max_size=600))
@example(name="read object", data=b"")
@example(name="read object", data=b"HTTP/1.1 200 OK\r\n\r\n")
@example(name="get job", data=b"HTTP/1.1 101 Switching\r\n\r\n")
def test_any_bytes(name: str, data: bytes, server: AnyServer, client: CIClient, tmp_path: Path) -> None:
    ask(name, data, server, client, tmp_path)


@many
@given(name=names, body=st.binary(max_size=300), status=statuses, framing=framings)
def test_any_body_with_any_status(
    name: str, body: bytes, status: int, framing: str, server: AnyServer, client: CIClient, tmp_path: Path
) -> None:
    ask(name, whole(name, body, framing, status), server, client, tmp_path)


@many
@given(name=names, data=st.data(), framing=framings, is_packed=st.booleans())
def test_a_good_response_cut_anywhere(
    name: str,
    data: st.DataObject,
    framing: str,
    is_packed: bool,
    server: AnyServer,
    client: CIClient,
    tmp_path: Path,
) -> None:
    good = OPERATIONS[name].good
    sent = whole(name, gzip.compress(good) if is_packed and good else good, framing)
    cut = data.draw(st.integers(0, len(sent)))
    found = ask(name, sent[:cut], server, client, tmp_path)
    if name == "read object" and isinstance(found, bytes) and framing != "short" and not is_packed:
        assert found == good
        assert cut >= len(sent) - 2


texts = st.text(st.characters(codec="utf-8"), max_size=20)
leaves = st.one_of(texts, st.sampled_from(["-", "", "0", "-1", "68.5", "²", "true", "9" * 400, "Success"]))
NAMES = (
    "Response Error Code Message RequestId JobsDetail JobId State Tag CreationTime Input Output Object",
    "Operation DocProcessResult PageInfo PageNo TgtUri NextToken NonExistJobIds QueueList QueueId MaxSize",
    "NotifyConfig ListBucketResult Contents Key Size ETag LastModified IsTruncated NextMarker EncodingType",
    "CommonPrefixes Prefix TotalCount DocBucketList BucketId Template TemplateList TemplateId PicProcess",
)
tags = st.sampled_from([name for line in NAMES for name in line.split()])
trees = st.recursive(
    leaves.map(lambda text: text.replace("&", "&amp;").replace("<", "&lt;")),
    lambda inside: st.lists(st.tuples(tags, inside), max_size=6).map(
        lambda nodes: "".join(f"<{tag}>{content}</{tag}>" for tag, content in nodes)
    ),
    max_leaves=25,
)


@many
@given(name=names, tree=trees, status=statuses)
def test_any_xml_of_known_names(
    name: str, tree: str, status: int, server: AnyServer, client: CIClient, tmp_path: Path
) -> None:
    root = "ListBucketResult" if name == "list objects" else "Response"
    body = f"<{root}>{tree}</{root}>".encode("utf-8", "ignore")
    ask(name, whole(name, body, "length", status), server, client, tmp_path)


@many
@given(
    name=names,
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "Content-Length",
                    "Transfer-Encoding",
                    "Content-Encoding",
                    "ETag",
                    "Date",
                    "Last-Modified",
                    "Age",
                    "Retry-After",
                    "Content-Type",
                    "x-cos-request-id",
                    "Location",
                    "Connection",
                    "x-cos-storage-class",
                ]
            ),
            st.one_of(
                st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30),
                st.sampled_from(
                    ["gzip", "chunked", "0", "3", "text/html", "-1", "99999999999999999999", '"']
                ),
            ),
        ),
        max_size=6,
    ),
    status=statuses,
)
def test_any_headers(
    name: str,
    headers: list[tuple[str, str]],
    status: int,
    server: AnyServer,
    client: CIClient,
    tmp_path: Path,
) -> None:
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers)
    ask(
        name,
        f"HTTP/1.1 {status} Some\r\n{lines}\r\n".encode("latin-1") + OPERATIONS[name].good,
        server,
        client,
        tmp_path,
    )


HOSTILE = {
    "deep": b"<Response>" + b"<a>" * 100_000,
    "deep and whole": b"<a>" * 5_000 + b"</a>" * 5_000,
    "laughs": b'<!DOCTYPE a [<!ENTITY b "'
    + b"c" * 1000
    + b'">'
    + b"]><Response>"
    + b"&b;" * 1000
    + b"</Response>",
    "attributes": b"<Response " + b"".join(b'a%d="" ' % number for number in range(50_000)) + b"/>",
    "bomb": gzip.compress(gzip.compress(b" " * 50_000_000)),
    "big": b"<Response>" + b"x" * 20_000_000 + b"</Response>",
    "many": b"<Response>" + b"<JobsDetail/>" * 500_000 + b"</Response>",
    "json": b'{"a":' * 200_000,
    "lines": b"\n" * 1_000_000,
    "nul": b"\0" * 100_000,
}


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("status", [200, 403, 500])
@pytest.mark.parametrize("name", ["get job", "list objects", "put object", "submit document"])
def test_what_is_made_to_hurt_does_not(
    name: str, status: int, hostile: str, server: AnyServer, client: CIClient, tmp_path: Path
) -> None:
    tracemalloc.start()
    found = ask(name, whole(name, HOSTILE[hostile], "length", status), server, client, tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, (CIError, ObjectInfo))
    assert most < 400 * 1024 * 1024
