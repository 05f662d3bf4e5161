"""One request on the wire: address, quoting, signature, timeouts, and the error for each kind of failure."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest

from airflow_provider_ci import __version__
from airflow_provider_ci.client import (
    CIClient,
    CIConnectionError,
    CIError,
    CIResponseError,
    CITimeoutError,
    Credentials,
    DocProcess,
    InvalidRequestError,
    RetryPolicy,
    signing,
)

SECRET_KEY = "ExampleSecretKey0123456789abcdef"
CREDENTIALS = Credentials(secret_id="AKIDEXAMPLEexample0123456789abcdefgh", secret_key=SECRET_KEY)
BUCKET = "examplebucket-1250000000"
ONCE = RetryPolicy(max_attempts=1)
OURS = "airflow_provider_ci/client"

KEYS = [
    "a b+c~d%41,e=f&g;h@i.txt",
    "归档/报告 (1).docx",
    "a//b/./c/../d.txt",
    "../up.txt",
    "./here.txt",
    "trailing/..",
    "trailing/.",
    "..",
    "/leading.txt",
    "//double.txt",
    "sharp#question?.txt",
    "back\\slash'\"<>.txt",
    "new\nline.txt",
]


def verify(request: Any) -> None:
    """Recompute the signature from the request as received."""
    path, _, query = request.target.partition("?")
    said = request.signed
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    params = [(unquote(name), unquote(value)) for name, _, value in pairs]
    headers = [(name, request.headers[name]) for name in said["q-header-list"].split(";")]
    assert request.headers["authorization"] == signing.authorization(
        CREDENTIALS, request.method, unquote(path), params, headers, key_time=said["q-key-time"]
    )


@pytest.mark.parametrize("key", KEYS)
def test_any_key_goes_out_as_it_is_and_is_signed_so(key: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(b"abc"))
    assert ci.read_object(key) == b"abc"
    assert unquote(wire.last.target) == f"/{key}"
    assert "/../" not in wire.last.target
    verify(wire.last)


@pytest.mark.parametrize("key", KEYS)
def test_keys_survive_a_proxy_that_gets_whole_urls(
    key: str, wire: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy settings are read from the environment once, when the client is created."""
    wire.will(reply(b"abc"))
    monkeypatch.setenv("http_proxy", wire.endpoint)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    endpoint = "http://ci.example.test:81"
    with CIClient(CREDENTIALS, "ap-guangzhou", BUCKET, endpoint=endpoint) as client:
        monkeypatch.delenv("http_proxy")
        assert client.read_object(key) == b"abc"
    assert unquote(wire.last.target.removeprefix(endpoint)) == f"/{key}"
    assert wire.last.target.startswith(endpoint)


def test_loopback_is_never_reached_through_a_proxy(
    wire: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    wire.will(reply(b"abc"))
    with CIClient(CREDENTIALS, "ap-guangzhou", BUCKET, endpoint=wire.endpoint, retry=ONCE) as client:
        assert client.read_object("a") == b"abc"


def test_the_endpoint_gets_the_services_own_host_names(
    ci: CIClient, wire: Any, reply: Any, job_reply: Any
) -> None:
    wire.will(job_reply())
    ci.get_doc_job("d1")
    assert wire.last.headers["host"] == f"{BUCKET}.ci.ap-guangzhou.myqcloud.com"
    verify(wire.last)
    wire.will(reply())
    ci.head_bucket()
    assert wire.last.headers["host"] == f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"
    verify(wire.last)


def test_without_an_endpoint_the_services_host_is_asked_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test intercepts the name lookup, so it sees the host and the port without a connection."""
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int, *_: object, **__: object) -> list[Any]:
        asked.append((host, port))
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    client = CIClient(CREDENTIALS, "ap-beijing", BUCKET, retry=ONCE)
    with pytest.raises(CIConnectionError, match="Name or service not known") as caught:
        client.head_object("a")
    assert asked == [(f"{BUCKET}.cos.ap-beijing.myqcloud.com", 443)]
    assert not caught.value.was_sent


def test_a_token_travels_under_each_services_own_name_and_is_signed(
    connect: Callable[..., CIClient], wire: Any, reply: Any, job_reply: Any
) -> None:
    client = connect(token="tok/en+1==")
    wire.will(job_reply())
    client.get_doc_job("d1")
    assert wire.last.headers["x-ci-security-token"] == "tok/en+1=="
    assert "x-ci-security-token" in wire.last.signed["q-header-list"]
    wire.will(reply())
    client.head_bucket()
    assert wire.last.headers["x-cos-security-token"] == "tok/en+1=="
    verify(wire.last)


def test_parameters_are_quoted_once_and_all_signed(ci: CIClient, wire: Any, listing_reply: Any) -> None:
    wire.will(listing_reply())
    ci.list_objects_page("in/ä b+c%/", start_after="in/ä b+c%/&=", page_size=7)
    assert wire.last.target == (
        "/?prefix=in%2F%C3%A4%20b%2Bc%25%2F&marker=in%2F%C3%A4%20b%2Bc%25%2F%26%3D&max-keys=7&encoding-type=url"
    )
    assert wire.last.signed["q-url-param-list"] == "encoding-type;marker;max-keys;prefix"
    verify(wire.last)


def test_connections_are_kept(
    ci: CIClient, wire: Any, reply: Any, job_reply: Any, listing_reply: Any
) -> None:
    wire.will(job_reply(), reply(), listing_reply("a"), reply(b"abc"), reply(status=204), reply(status=404))
    ci.get_doc_job("d1")
    ci.head_bucket()
    ci.list_objects_page()
    ci.read_object("a")
    ci.delete_object("a")
    with pytest.raises(CIError):
        ci.head_object("a")
    assert len(wire.requests) == 6
    assert wire.connections == 1


def test_no_more_connections_than_allowed(
    connect: Callable[..., CIClient], wire: Any, job_reply: Any
) -> None:
    wire.will(job_reply())
    client = connect(max_connections=3)
    threads = [threading.Thread(target=client.get_doc_job, args=("d1",)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wire.requests) == 12
    assert wire.connections <= 3


def test_redirects_are_errors_and_not_followed(ci: CIClient, wire: Any, error_reply: Any) -> None:
    wire.will(error_reply(301, "PermanentRedirect", Location=f"{wire.endpoint}/elsewhere"))
    with pytest.raises(InvalidRequestError, match="another region") as caught:
        ci.list_objects_page()
    assert caught.value.code == "PermanentRedirect"
    assert len(wire.requests) == 1


def test_a_refused_connection_was_not_sent(connect: Callable[..., CIClient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = connect(endpoint=f"http://127.0.0.1:{port}", retry=ONCE)
    with pytest.raises(CIConnectionError, match="Connection refused") as caught:
        client.head_object("a b")
    assert f"/a b (at http://127.0.0.1:{port}): the service could not be reached" in str(caught.value)
    assert not isinstance(caught.value, CITimeoutError)
    assert not caught.value.was_sent
    assert caught.value.is_retryable


def test_a_server_that_hangs_up_may_have_taken_it(
    connect: Callable[..., CIClient], wire: Any, hang_up: Any
) -> None:
    wire.will(hang_up)
    with pytest.raises(CIConnectionError, match="closed connection") as caught:
        connect(retry=ONCE).head_object("a")
    assert caught.value.was_sent


def test_a_reset_connection_may_have_taken_it(
    connect: Callable[..., CIClient], wire: Any, raw_reply: Any
) -> None:
    wire.will(raw_reply(reset=True))
    with pytest.raises(CIConnectionError) as caught:
        connect(retry=ONCE).head_object("a")
    assert caught.value.was_sent
    assert not isinstance(caught.value, CITimeoutError)


def test_no_answer_in_time(connect: Callable[..., CIClient], wire: Any, silence: Any) -> None:
    wire.will(silence)
    with pytest.raises(CITimeoutError, match="no response in time") as caught:
        connect(retry=ONCE, timeout=(5, 0.05)).head_object("a")
    assert caught.value.was_sent


def test_no_connection_in_time(connect: Callable[..., CIClient]) -> None:
    """A listener with a full backlog accepts no connection."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        client = connect(endpoint=f"http://127.0.0.1:{port}", retry=ONCE, timeout=(0.05, 5))
        with pytest.raises(CITimeoutError) as caught:
            client.head_object("a")
        for each in waiting:
            each.close()
    assert not caught.value.was_sent


def test_what_is_no_http_is_a_connection_error(
    connect: Callable[..., CIClient], wire: Any, raw_reply: Any
) -> None:
    wire.will(raw_reply(b"SSH-2.0-OpenSSH\r\n\r\n", close=True))
    with pytest.raises(CIConnectionError):
        connect(retry=ONCE).head_object("a")


def test_tls_to_a_server_without_it_is_hopeless(
    connect: Callable[..., CIClient], wire: Any, reply: Any
) -> None:
    wire.will(reply(b"abc"))
    client = connect(endpoint=wire.endpoint.replace("http:", "https:"))
    with pytest.raises(CIConnectionError) as caught:
        client.head_object("a")
    assert not caught.value.is_retryable


def test_an_answer_longer_than_any_is_refused(
    connect: Callable[..., CIClient], wire: Any, raw_reply: Any
) -> None:
    """The client stops reading at its limit, whatever length is announced."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    wire.will(raw_reply(head + b"<Response>" + b" " * (33 * 1024 * 1024), close=True))
    with pytest.raises(CIResponseError, match="more than 33554432 bytes"):
        connect(retry=ONCE).get_doc_job("d1")


def test_secrets_stay_out_of_logs_errors_and_reprs(
    connect: Callable[..., CIClient],
    wire: Any,
    hang_up: Any,
    error_reply: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect(token="sessiontoken", retry=RetryPolicy(max_attempts=2))
    operation = DocProcess(password="openup")
    wire.will(error_reply(403, "SignatureDoesNotMatch"))
    errors = []
    for answer in (error_reply(403, "SignatureDoesNotMatch"), hang_up):
        wire.will(answer)
        with pytest.raises(CIError) as caught:
            client.submit_doc_job("a", "b", operation)
        errors.append(repr(caught.value) + str(caught.value) + repr(caught.value.__cause__))
    shown = caplog.text + "".join(errors) + repr(client) + repr(operation) + repr(vars(client))
    sent = wire.last.headers["authorization"]
    for secret in (SECRET_KEY, "sessiontoken", "openup", sent, sent.rsplit("=", 1)[1]):
        assert secret not in shown
    assert b"openup" in wire.last.body


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"endpoint": "127.0.0.1:9000"}, "endpoint must look like"),
        ({"endpoint": "http://127.0.0.1:9000/path"}, "endpoint must look like"),
        ({"endpoint": "ftp://127.0.0.1"}, "endpoint must look like"),
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"verify": "/no/such/bundle.pem"}, "no certificate bundle at '/no/such/bundle.pem'"),
    ],
)
def test_a_client_refuses_wrong_settings(
    arguments: dict[str, Any], complaint: str, connect: Callable[..., CIClient]
) -> None:
    with pytest.raises(ValueError, match=complaint):
        connect(**arguments)


@pytest.mark.parametrize("bucket", ["examplebucket", "Example-1250000000", "", "-a-125", "a/b-125"])
def test_a_bucket_needs_its_appid(bucket: str) -> None:
    with pytest.raises(ValueError, match="<name>-<APPID>"):
        CIClient(CREDENTIALS, "ap-guangzhou", bucket)


@pytest.mark.parametrize("region", ["", "ap guangzhou", "ap-guangzhou/", "-ap"])
def test_a_region_is_a_name(region: str) -> None:
    with pytest.raises(ValueError, match="region"):
        CIClient(CREDENTIALS, region, BUCKET)


def test_a_closed_client_opens_new_connections(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply())
    with ci:
        ci.head_bucket()
    ci.head_bucket()
    assert wire.connections == 2


def test_the_way_to_the_socket_is_short(
    ci: CIClient, wire: Any, job_reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    send = http.client.HTTPConnection.send

    def watched(connection: http.client.HTTPConnection, data: Any) -> None:
        seen.append([frame.name for frame in traceback.extract_stack() if OURS in frame.filename])
        send(connection, data)

    monkeypatch.setattr(http.client.HTTPConnection, "send", watched)
    wire.will(job_reply())
    ci.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess())
    assert all(frames[0] == "submit_doc_job" for frames in seen)
    assert max(map(len, seen)) <= 8


def test_every_request_names_the_package_and_its_version(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("text"))
    ci.read_object("a.txt")
    assert wire.last.headers["user-agent"] == f"airflow-provider-ci/{__version__}"
