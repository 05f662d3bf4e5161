"""Which requests are repeated, how often and when, and above all which are not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from airflow_provider_ci.client import (
    AccessDeniedError,
    CIClient,
    CIConnectionError,
    CIError,
    CIResponseError,
    ClockSkewError,
    DocProcess,
    PicProcess,
    QueuePausedError,
    RetryPolicy,
    ServerError,
    SubmissionUnknownError,
    ThrottledError,
)

NOW = 1700000060


def submit(client: CIClient) -> Any:
    return client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess())


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_read_is_repeated_until_it_succeeds(
    status: int, ci: CIClient, wire: Any, error_reply: Any, job_reply: Any, clock: Any
) -> None:
    wire.will(error_reply(status, "Whatever"), error_reply(status, "Whatever"), job_reply())
    assert ci.get_doc_job("d1").job_id == "d1"
    assert len(wire.requests) == 3
    assert len(clock.naps) == 2


def test_repeating_is_logged_with_its_reason(
    ci: CIClient, wire: Any, error_reply: Any, job_reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "airflow_provider_ci.client.http.retry")
    wire.will(error_reply(429, "SlowDown", "busy", Retry_After="7"), job_reply())
    ci.get_doc_job("d1")
    (record,) = caplog.messages
    assert record.startswith("attempt 1 failed, the next one in 7.")
    assert "429 SlowDown: busy (request id NWRl)" in record


def test_a_lost_connection_is_repeated(ci: CIClient, wire: Any, hang_up: Any, job_reply: Any) -> None:
    wire.will(hang_up, job_reply())
    assert ci.get_doc_job("d1").job_id == "d1"


def test_a_timeout_is_repeated(
    connect: Callable[..., CIClient], wire: Any, silence: Any, job_reply: Any
) -> None:
    wire.will(silence, job_reply())
    assert connect(timeout=(5, 0.05)).get_doc_job("d1").job_id == "d1"


@pytest.mark.parametrize(
    "call",
    [
        lambda ci: ci.put_object("a", b"abc"),
        lambda ci: ci.delete_object("a"),
        lambda ci: ci.head_object("a"),
        lambda ci: ci.cancel_doc_job("d1"),
    ],
    ids=["put", "delete", "head", "cancel"],
)
def test_all_but_submissions_are_repeated_freely(
    call: Callable[[CIClient], Any], ci: CIClient, wire: Any, reply: Any, hang_up: Any
) -> None:
    wire.will(hang_up, reply("<Error/>", 500), reply(ETag='"9"'))
    call(ci)
    assert len(wire.requests) == 3
    assert len({request.body for request in wire.requests}) == 1


def test_each_attempt_is_signed_anew(
    connect: Callable[..., CIClient], wire: Any, error_reply: Any, job_reply: Any
) -> None:
    wire.will(error_reply(503, "SlowDown", Retry_After="90"), job_reply())
    connect().get_doc_job("d1")
    first, second = (request.signed["q-sign-time"] for request in wire.requests)
    assert first == "1699999980;1700000880"
    assert second == "1700000040;1700000940"


def test_attempts_are_bounded_and_the_last_error_comes_out(ci: CIClient, wire: Any, error_reply: Any) -> None:
    wire.will(error_reply(503, "ServiceUnavailable", "busy"))
    with pytest.raises(ServerError, match="503 ServiceUnavailable: busy") as caught:
        ci.get_doc_job("d1")
    assert len(wire.requests) == 4
    assert caught.value.request_id == "NWRl"


def test_waits_are_random_below_a_doubling_bound(
    connect: Callable[..., CIClient], wire: Any, error_reply: Any, clock: Any
) -> None:
    wire.will(error_reply(503, "ServiceUnavailable"))
    bounds = [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    policy = RetryPolicy(max_attempts=7, max_seconds=1000, first_wait_seconds=1, max_wait_seconds=8)
    seen: set[float] = set()
    for _ in range(5):
        clock.naps.clear()
        with pytest.raises(ServerError):
            connect(retry=policy).get_doc_job("d1")
        assert len(clock.naps) == 6
        assert all(0 <= nap <= bound for nap, bound in zip(clock.naps, bounds, strict=True))
        seen.update(clock.naps)
    assert len(seen) == 30


def test_retry_after_is_waited_out(
    ci: CIClient, wire: Any, error_reply: Any, job_reply: Any, clock: Any
) -> None:
    wire.will(error_reply(429, "SlowDown", Retry_After="7"), job_reply())
    ci.get_doc_job("d1")
    assert 7 <= clock.naps[0] <= 8


def test_retry_after_may_be_a_time(
    ci: CIClient, wire: Any, error_reply: Any, job_reply: Any, clock: Any
) -> None:
    wire.will(error_reply(503, "SlowDown", Retry_After=formatdate(NOW + 9, usegmt=True)), job_reply())
    ci.get_doc_job("d1")
    assert 8 <= clock.naps[0] <= 10


def test_nothing_waits_longer_than_allowed(
    connect: Callable[..., CIClient], wire: Any, error_reply: Any, clock: Any
) -> None:
    wire.will(error_reply(429, "SlowDown", Retry_After="20"))
    with pytest.raises(ThrottledError):
        connect(retry=RetryPolicy(max_attempts=100, max_seconds=50)).get_doc_job("d1")
    assert len(clock.naps) == 2
    assert sum(clock.naps) <= 50


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "InvalidArgument"), (403, "AccessDenied"), (404, "NoSuchBucket"), (501, "NotImplemented")],
)
def test_what_stays_wrong_is_not_repeated(
    status: int, code: str, ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.will(error_reply(status, code))
    with pytest.raises(CIError):
        ci.get_doc_job("d1")
    assert len(wire.requests) == 1


# Submissions

REFUSALS = [
    (429, "SlowDown"),
    (503, "SlowDown"),
    (403, "QueueSaturated"),
    (400, "RequestTimeout"),
]


@pytest.mark.parametrize(("status", "code"), REFUSALS)
def test_a_submission_that_was_surely_refused_is_repeated(
    status: int, code: str, ci: CIClient, wire: Any, error_reply: Any, job_reply: Any
) -> None:
    wire.will(error_reply(status, code), job_reply())
    assert submit(ci).job_id == "d1"
    assert len(wire.requests) == 2


def test_a_submission_that_found_no_server_is_repeated(connect: Callable[..., CIClient], clock: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(CIConnectionError, match="refused"):
        submit(connect(endpoint=f"http://127.0.0.1:{port}"))
    assert len(clock.naps) == 3


@pytest.mark.parametrize("submission", ["document", "picture"])
@pytest.mark.parametrize(
    "accident", ["hang up", "reset", "timeout", "500", "502", "504", "503 html", "not xml", "cut"]
)
def test_a_submission_that_may_have_been_taken_is_not_repeated(
    accident: str,
    submission: str,
    connect: Callable[..., CIClient],
    wire: Any,
    reply: Any,
    error_reply: Any,
    hang_up: Any,
    silence: Any,
    raw_reply: Any,
    job_xml: Any,
) -> None:
    accidents = {
        "hang up": hang_up,
        "reset": raw_reply(reset=True),
        "timeout": silence,
        "500": error_reply(500, "InternalError"),
        "502": reply("<html>Bad Gateway</html>", 502),
        "504": reply("", 504),
        "503 html": reply("<html>Service Unavailable</html>", 503),
        "not xml": reply("oops"),
        "cut": reply(f"<Response>{job_xml()}</Response>", cut=30),
    }
    wire.will(accidents[accident])
    client = connect(timeout=(5, 0.05) if accident == "timeout" else 5)
    with pytest.raises(SubmissionUnknownError, match=r"'in/a' -> 'out/a'") as caught:
        if submission == "document":
            client.submit_doc_job("in/a", "out/a", DocProcess())
        else:
            client.submit_pic_job("in/a", "out/a", PicProcess("imageMogr2/format/png"))
    assert len(wire.requests) == 1
    assert (caught.value.input_key, caught.value.output_key) == ("in/a", "out/a")
    assert not caught.value.is_retryable
    assert isinstance(caught.value.__cause__, CIError)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "QueuePaused", QueuePausedError),
        (403, "AccessDenied", AccessDeniedError),
        (501, "NotImplemented", ServerError),
    ],
)
def test_a_refused_submission_says_so_itself(
    status: int, code: str, expected: type[CIError], ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.will(error_reply(status, code))
    with pytest.raises(expected):
        submit(ci)
    assert len(wire.requests) == 1


def test_refused_until_the_end_it_is_still_known_not_to_be_taken(
    ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.will(error_reply(503, "SlowDown"))
    with pytest.raises(ThrottledError):
        submit(ci)
    assert len(wire.requests) == 4


# Clocks

SKEWED = [
    (403, "RequestTimeTooSkewed", "m"),
    (401, "SignatureExpired", "m"),
    (403, "AccessDenied", "Request has expired"),
]


@pytest.mark.parametrize(("status", "code", "message"), SKEWED)
def test_the_services_time_is_taken_over_and_kept(
    status: int,
    code: str,
    message: str,
    ci: CIClient,
    wire: Any,
    error_reply: Any,
    job_reply: Any,
    clock: Any,
) -> None:
    later = NOW + 1200
    wire.ahead_seconds = later - NOW
    wire.will(error_reply(status, code, message), job_reply())
    submit(ci)
    submit(ci)
    starts = [int(request.signed["q-sign-time"].split(";")[0]) for request in wire.requests]
    assert starts[0] < NOW < starts[0] + 900
    assert all(start <= later - 60 and later <= start + 900 for start in starts[1:])
    assert len(starts) == 3
    assert clock.naps == []


def test_a_head_request_learns_the_time_from_the_date_alone(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(status=403, Date=formatdate(NOW - 1200, usegmt=True)), reply())
    ci.head_bucket()
    assert len(wire.requests) == 2


def test_two_clocks_that_agree_leave_nothing_to_learn(ci: CIClient, wire: Any, error_reply: Any) -> None:
    wire.will(error_reply(403, "RequestTimeTooSkewed", Date=formatdate(NOW, usegmt=True)))
    with pytest.raises(ClockSkewError, match="clock"):
        ci.get_doc_job("d1")
    assert len(wire.requests) == 1


def test_a_clock_that_runs_away_is_not_followed_for_ever(ci: CIClient, wire: Any, error_reply: Any) -> None:
    dates = (formatdate(NOW + 2000 * number, usegmt=True) for number in range(1, 9))
    wire.will(*(error_reply(403, "RequestTimeTooSkewed", Date=date) for date in dates))
    with pytest.raises(ClockSkewError):
        ci.get_doc_job("d1")
    assert len(wire.requests) == 4


# Responses that arrive damaged


def test_a_damaged_answer_is_fetched_again(ci: CIClient, wire: Any, reply: Any, listing_reply: Any) -> None:
    half = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a"
    wire.will(reply(half), listing_reply("a", "b", cut=100), listing_reply("a", "b"))
    assert [each.key for each in ci.list_objects()] == ["a", "b"]
    assert len(wire.requests) == 3


def test_an_answer_that_stays_damaged_is_an_error(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<ListBucketResult><Contents><Key>a"))
    with pytest.raises(CIResponseError, match=r"^GET \S+/ \(at \S+\): .*not well-formed") as caught:
        list(ci.list_objects())
    assert caught.value.is_retryable
    assert len(wire.requests) == 4


def test_an_answer_that_is_whole_but_wrong_is_not_fetched_again(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<Something/>"))
    with pytest.raises(CIResponseError, match="expected <ListBucketResult>, got <Something>"):
        list(ci.list_objects())
    assert len(wire.requests) == 1


def test_threads_retry_side_by_side(
    connect: Callable[..., CIClient], wire: Any, error_reply: Any, job_reply: Any
) -> None:
    wire.will(*[error_reply(503, "ServiceUnavailable")] * 20, job_reply())
    client = connect(retry=RetryPolicy(max_attempts=25, max_seconds=10_000))
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(client.get_doc_job("d1").job_id)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["d1"] * 8
    assert len(wire.requests) == 28


@pytest.mark.parametrize(
    "arguments",
    [{"max_attempts": 0}, {"max_seconds": -1}, {"first_wait_seconds": -1}, {"max_wait_seconds": -1}],
)
def test_a_policy_refuses_what_makes_no_sense(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        RetryPolicy(**arguments)
