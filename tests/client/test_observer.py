"""An observer sees complete requests and responses, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.client import (
    CIClient,
    CIConnectionError,
    DocProcess,
    Exchange,
    NotFoundError,
    RetryPolicy,
)


@pytest.fixture
def seen(ci: CIClient) -> list[Exchange]:
    exchanges: list[Exchange] = []
    ci.observe(exchanges.append)
    return exchanges


def test_request_and_response_are_seen_whole(
    wire: Any, ci: CIClient, job_reply: Callable[..., Any], seen: list[Exchange]
) -> None:
    wire.replies = [job_reply()]
    assert ci.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess()).job_id == "d1"
    (exchange,) = seen
    assert (exchange.method, exchange.status) == ("POST", 200)
    assert exchange.url.endswith("/doc_jobs")
    assert b"<Object>in/a.docx</Object>" in exchange.request_body
    assert b"<JobId>d1</JobId>" in exchange.response_body
    assert exchange.response_headers["Date"]
    assert exchange.sent <= exchange.received


def test_a_service_error_is_seen_and_raised(
    wire: Any, ci: CIClient, error_reply: Callable[..., Any], seen: list[Exchange]
) -> None:
    wire.replies = [error_reply(404, "NoSuchKey")]
    with pytest.raises(NotFoundError, match="NoSuchKey"):
        ci.read_object("a")
    assert [exchange.status for exchange in seen] == [404]


def test_a_response_that_ends_early_stays_an_error(
    wire: Any, connect: Callable[..., CIClient], raw_reply: Callable[..., Any]
) -> None:
    ci = connect(retry=RetryPolicy(max_attempts=1))
    seen: list[Exchange] = []
    ci.observe(seen.append)
    wire.replies = [raw_reply(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 9\r\n\r\nabc', close=True)]
    with pytest.raises(CIConnectionError):
        ci.read_object("a")
    assert seen == []


def test_secrets_are_not_in_the_repr(wire: Any, ci: CIClient, reply: Callable[..., Any]) -> None:
    seen: list[Exchange] = []
    ci.observe(seen.append)
    wire.replies = [reply("", 200)]
    ci.head_bucket()
    assert "q-signature" in seen[0].request_headers["Authorization"]
    assert "q-signature" not in repr(seen)


def test_an_observer_can_be_removed(wire: Any, ci: CIClient, reply: Callable[..., Any]) -> None:
    seen: list[Exchange] = []
    ci.observe(seen.append)
    ci.observe(None)
    wire.replies = [reply("", 200)]
    ci.head_bucket()
    assert seen == []
