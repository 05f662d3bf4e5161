"""The messages of the button that tests a connection."""

from __future__ import annotations

import re
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.local import LocalCI

SetConnection = Callable[..., None]


def test_a_connection_that_works_is_tested_as_such(set_connection: SetConnection) -> None:
    set_connection()
    assert CIHook().test_connection() == (
        True,
        "bucket examplebucket-1250000000 and its document queues can be read",
    )


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def assert_refused(words: list[str]) -> str:
    works, message = CIHook().test_connection()
    assert not works
    assert [word for word in words if word not in message] == [], message
    return message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"login": "AKIDunknown0123456789"},
            ["does not know the SecretId AKIDun...6789", "correct the login"],
        ),
        ({"password": "wrong"}, ["SecretKey does not belong to the SecretId", "correct the password"]),
        ({"extra": {"bucket": "nosuch-1250000000"}}, ["no bucket nosuch-1250000000 in region ap-guangzhou"]),
        ({"extra": {"bucket": "no-appid"}}, ["<name>-<APPID>", "no-appid"]),
        ({"extra": {"region": "guang zhou"}}, ["region must be a name", "guang zhou"]),
        ({"extra": {"endpoint": "http://127.0.0.1:9"}}, ["127.0.0.1:9", "refused", "Check the endpoint"]),
        ({"extra": {"endpoint": "http://ci.invalid"}}, ["Failed to resolve 'ci.invalid'", "DNS"]),
    ],
    ids=["id", "key", "bucket", "no APPID", "no region", "nobody listens", "no such name"],
)
def test_a_connection_that_does_not_work_says_why(
    set_connection: SetConnection, no_proxies: None, change: dict[str, Any], words: list[str]
) -> None:
    set_connection(**change)
    assert_refused(words)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            {"code": "PermanentRedirect", "status": 301},
            ["not lie in region ap-guangzhou", "correct the extra"],
        ),
        ({"code": "TemporaryRedirect", "status": 307}, ["not lie in region ap-guangzhou"]),
        ({"code": "RequestTimeTooSkewed", "count": 9}, ["this machine's clock", "set the clock"]),
        ({"code": "SignatureExpired", "host": "ci", "status": 401, "count": 9}, ["set the clock"]),
        ({"code": "ExpiredToken", "status": 400}, ["the token of the SecretId", "get a new temporary key"]),
        ({"code": "AccessDenied"}, ["may not read the bucket", "cos:GetBucket", "CAM"]),
        ({"code": "AccessDenied", "host": "ci"}, ["document queues", "ci:DescribeDocProcessQueues"]),
        ({"code": "MediaBucketUnBinded", "host": "ci"}, ["examplebucket-1250000000 is not bound to CI"]),
        ({"code": "InternalError", "count": 9}, ["cannot read the bucket", "InternalError", "request id"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else f"{value['code']} {value.get('host', '')}".strip(),
)
def test_a_refusal_of_the_service_is_explained(
    set_connection: SetConnection, local_ci: LocalCI, fault: dict[str, Any], words: list[str]
) -> None:
    set_connection()
    local_ci.faults.add("error", **fault)
    assert_refused(words)


def test_documents_that_are_not_enabled_are_told_from_a_bucket_that_is_not_bound(
    set_connection: SetConnection, own_buckets: Path
) -> None:
    with LocalCI(own_buckets, convert="instant"):
        pass
    with closing(sqlite3.connect(next(own_buckets.rglob("*.sqlite*")))) as database, database:
        database.execute("INSERT INTO unbound VALUES ('examplebucket-1250000000', 'DocProcessing')")
    with LocalCI(own_buckets, convert="instant") as server:
        set_connection({"endpoint": server.endpoint})
        assert_refused(["document processing is not enabled for bucket examplebucket-1250000000", "console"])


def test_a_key_that_may_not_see_whether_documents_are_enabled_is_enough(
    set_connection: SetConnection, local_ci: LocalCI
) -> None:
    set_connection()
    local_ci.faults.add("error", code="AccessDenied", path="/docbucket")
    assert CIHook().test_connection()[0]
    assert local_ci.faults.pending() == []


def test_a_clock_that_the_client_can_correct_is_said_to_be_off(
    set_connection: SetConnection, local_ci: LocalCI
) -> None:
    set_connection()
    local_ci.faults.add("clock", seconds=7200, count=99)
    works, message = CIHook().test_connection()
    assert works
    assert re.search(r"this machine's clock is 7(199|200|201) s behind the service's", message)


def test_a_service_that_never_answers_is_given_up_in_time(set_connection: SetConnection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        set_connection({"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}", "timeout": 60})
        assert_refused(["no response in time", "Check the network, the firewall and the proxy"])


def test_a_service_that_answers_byte_by_byte_is_given_up_in_time(set_connection: SetConnection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()
        thread = threading.Thread(target=drip, args=(server, over))
        thread.start()
        set_connection({"endpoint": f"http://127.0.0.1:{server.getsockname()[1]}"})
        assert_refused(["bucket of examplebucket-1250000000", "nothing complete came within 8 s"])
        over.set()
        thread.join()


def drip(server: socket.socket, over: threading.Event) -> None:
    """Respond to the first request with a header that never ends."""
    connection, _ = server.accept()
    with connection, suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Header: ")
        while not over.wait(0.2):
            connection.sendall(b"x")


def test_a_wrong_proxy_is_named_without_its_password(
    set_connection: SetConnection, no_proxies: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://user:proxy-word@127.0.0.1:9")
    set_connection({"endpoint": None})
    message = assert_refused(["through the proxy 127.0.0.1:9", "Check the proxy", "https_proxy"])
    assert "proxy-word" not in message
