"""The adapter for requests: it translates all exceptions of requests and urllib3, and sets certificates."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from urllib3 import exceptions as urllib3_exceptions

from airflow_provider_ci.client import CIClient, CIConnectionError, CITimeoutError, Credentials
from airflow_provider_ci.client.http.adapter import Asked, translate

CREDENTIALS = Credentials(secret_id="AKIDEXAMPLEexample0123456789abcdefgh", secret_key="ExampleSecretKey")
BUCKET = "examplebucket-1250000000"
ASKED = Asked("GET", "x.example.test", "/k", "https://x.example.test")


def every_subclass(cls: type[Any]) -> set[type[Any]]:
    return {cls}.union(*(every_subclass(each) for each in cls.__subclasses__()))


FOREIGN = sorted(
    (
        cls
        for cls in every_subclass(requests.RequestException) | every_subclass(urllib3_exceptions.HTTPError)
        if cls.__module__.startswith(("requests.", "urllib3."))
    ),
    key=lambda cls: (cls.__module__, cls.__name__),
)


MADE: dict[type, BaseException] = {
    urllib3_exceptions.IncompleteRead: urllib3_exceptions.IncompleteRead(1, 2),
    urllib3_exceptions.InvalidChunkLength: urllib3_exceptions.InvalidChunkLength(
        urllib3.HTTPResponse(BytesIO(b""), preload_content=False), b"x"
    ),
}
"""Exceptions that have no text unless all arguments of their constructors are given."""


@pytest.mark.parametrize("cls", FOREIGN, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_no_exception_of_requests_or_urllib3_is_left_out(cls: type[BaseException]) -> None:
    error = MADE.get(cls) or cls.__new__(cls)
    assert isinstance(error, (requests.RequestException, urllib3_exceptions.HTTPError))
    ours = translate(error, ASKED)
    assert isinstance(ours, CIConnectionError)
    assert str(ours).startswith("GET x.example.test/k: ")


def unreachable() -> requests.ConnectionError:
    pool = urllib3.HTTPConnectionPool("x")
    inner = urllib3_exceptions.NewConnectionError(pool, "no")  # type: ignore[arg-type]
    return requests.ConnectionError(urllib3_exceptions.MaxRetryError(pool, "/", inner))


NOT_SENT: list[Any] = [
    requests.ConnectTimeout(),
    unreachable(),
    requests.exceptions.ProxyError(urllib3_exceptions.ProxyError("no", OSError("refused"))),
    requests.exceptions.InvalidURL(),
]
SENT: list[Any] = [
    requests.ReadTimeout(),
    requests.ConnectionError(urllib3_exceptions.ProtocolError("aborted", ConnectionResetError())),
    requests.exceptions.ChunkedEncodingError(),
    requests.exceptions.ContentDecodingError(),
    urllib3_exceptions.IncompleteRead(1, 2),
]


def test_a_refused_connection_is_no_timeout() -> None:
    assert type(translate(unreachable(), ASKED)) is CIConnectionError
    assert type(translate(requests.ConnectTimeout(), ASKED)) is CITimeoutError


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (ASKED, "GET x.example.test/k"),
        (
            Asked("PUT", "b.cos", "/归档/a b", "http://127.0.0.1:1"),
            "PUT b.cos/归档/a b (at http://127.0.0.1:1)",
        ),
        (Asked("GET", "b.cos", "/a\nb", "https://b.cos"), "GET b.cos/a%0Ab"),
        (Asked("POST", "b.ci", "/doc_jobs", "https://b.ci", ("a", "b")), "POST b.ci/doc_jobs for 'a' -> 'b'"),
    ],
)
def test_messages_say_what_was_asked_legibly(asked: Asked, text: str) -> None:
    assert str(asked) == text


@pytest.mark.parametrize("error", NOT_SENT, ids=lambda each: type(each).__name__)
def test_what_fails_before_the_first_byte_was_not_sent(error: Any) -> None:
    assert not translate(error, ASKED).was_sent


@pytest.mark.parametrize("error", SENT, ids=lambda each: type(each).__name__)
def test_what_fails_later_may_have_been_taken(error: Any) -> None:
    assert translate(error, ASKED).was_sent


def test_the_bundle_of_the_environment_is_honoured_and_an_own_one_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(ValueError, match=r"missing\.pem"):
        CIClient(CREDENTIALS, "ap-guangzhou", BUCKET)
    own = tmp_path / "own.pem"
    own.touch()
    CIClient(CREDENTIALS, "ap-guangzhou", BUCKET, verify=own).close()
    CIClient(CREDENTIALS, "ap-guangzhou", BUCKET, verify=False).close()


def test_urllib3_is_the_one_that_requests_uses() -> None:
    """The client translates the exceptions of this urllib3, so requests must not use another copy."""
    assert requests.adapters.PoolManager is urllib3.PoolManager
