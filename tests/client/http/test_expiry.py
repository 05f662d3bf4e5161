"""Requests with ``expires_at``: the service accepts them before this time or never."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, DocProcess, PicProcess, RequestExpiredError

NOW = 1700000060.0  # where the fake clock starts
Send = Callable[[CIClient, float], object]

SENDERS: dict[str, Send] = {
    "document": lambda ci, until: ci.submit_doc_job(
        "in/a.docx", "out/a.pdf", DocProcess(target="pdf"), expires_at=until
    ),
    "picture": lambda ci, until: ci.submit_pic_job(
        "in/a.png", "out/a.png", PicProcess(rule="imageMogr2/rotate/90"), expires_at=until
    ),
    "deletion": lambda ci, until: ci.delete_object("a", expires_at=until),
    "bytes": lambda ci, until: ci.put_object("a", b"abc", expires_at=until),
    "file": lambda ci, until: ci.put_object("a", Path(__file__), expires_at=until),
}


@pytest.fixture(params=SENDERS)
def send(request: pytest.FixtureRequest) -> Send:
    return SENDERS[request.param]


def test_the_signature_ends_with_the_second_of_the_moment(
    send: Send, ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.will(error_reply(400, "InvalidArgument"))
    with pytest.raises(Exception, match="InvalidArgument"):
        send(ci, NOW + 30.9)
    assert wire.last.signed["q-key-time"].endswith(f";{NOW + 30:.0f}")


def test_a_moment_far_away_makes_no_signature_longer(
    send: Send, ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.will(error_reply(400, "InvalidArgument"))
    with pytest.raises(Exception, match="InvalidArgument"):
        send(ci, NOW + 1_000_000)
    start, _, end = wire.last.signed["q-key-time"].partition(";")
    assert int(end) - int(start) == 900


def test_after_the_moment_nothing_is_sent(send: Send, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply())
    with pytest.raises(RequestExpiredError, match="it expired before") as problem:
        send(ci, NOW)
    assert not problem.value.is_retryable
    assert wire.requests == []


def test_what_is_repeated_is_repeated_only_until_the_moment(
    send: Send, ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.will(error_reply(429, "SlowDown", Retry_After="20"))
    with pytest.raises(RequestExpiredError, match="it expired before"):
        send(ci, NOW + 30)
    assert len(wire.requests) == 2


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [(403, "AccessDenied", "Request has expired"), (403, "RequestTimeTooSkewed", "m")],
)
def test_what_came_too_late_was_not_taken(
    send: Send, ci: CIClient, wire: Any, error_reply: Any, status: int, code: str, message: str
) -> None:
    wire.will(error_reply(status, code, message))
    with pytest.raises(RequestExpiredError, match=code):
        send(ci, NOW + 0.5)  # this second has passed when the response arrives
    assert len(wire.requests) == 1


@pytest.mark.parametrize("ahead", [-700, 700])
def test_the_end_is_the_same_on_every_attempt(
    ahead: int, send: Send, ci: CIClient, wire: Any, error_reply: Any
) -> None:
    """The expiry is in the service's time, even if the client learns this time from a refused request."""
    wire.ahead_seconds = ahead
    until = max(NOW, NOW + ahead) + 30.9
    wire.will(
        error_reply(403, "AccessDenied", "Request has expired"),
        error_reply(429, "SlowDown"),
        error_reply(400, "InvalidArgument"),
    )
    with pytest.raises(Exception, match="InvalidArgument"):
        send(ci, until)
    ends = [int(request.signed["q-key-time"].partition(";")[2]) for request in wire.requests]
    assert ends == [int(until)] * 3


def test_a_refusal_that_teaches_that_the_time_is_over_is_the_last(
    send: Send, ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.ahead_seconds = 600
    wire.will(error_reply(403, "AccessDenied", "Request has expired"))
    with pytest.raises(RequestExpiredError, match="AccessDenied"):
        send(ci, NOW + 30)
    assert len(wire.requests) == 1
