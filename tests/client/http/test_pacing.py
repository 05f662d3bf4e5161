"""Pacing: a steady rate over all threads, which is halved when the service asks for it and recovers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.client.http.pacing import Pace


def test_requests_are_spread_evenly(clock: Any) -> None:
    bucket = Pace(10, clock)
    start = clock.time
    for _ in range(101):
        bucket.take()
    assert clock.time - start == pytest.approx(10)


def test_after_a_pause_there_is_no_burst(clock: Any) -> None:
    bucket = Pace(10, clock)
    clock.time += 1000
    start = clock.time
    for _ in range(21):
        bucket.take()
    assert clock.time - start == pytest.approx(1.9)


def test_threads_share_the_rate() -> None:
    """The clock does not move here; the recorded waits show when each request may be sent."""

    class Ticket:
        def __init__(self) -> None:
            self.waits: list[float] = []

        def now(self) -> float:
            return 0.0

        def monotonic(self) -> float:
            return 0.0

        def sleep(self, seconds: float) -> None:
            self.waits.append(seconds)

    clock: Any = Ticket()
    bucket = Pace(100, clock)

    def take_fifty() -> None:
        for _ in range(50):
            bucket.take()

    threads = [threading.Thread(target=take_fifty) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(clock.waits) == pytest.approx(399 / 100)
    assert len({round(wait, 6) for wait in clock.waits}) == 399


def test_the_rate_halves_and_comes_back_step_by_step(clock: Any) -> None:
    bucket = Pace(40, clock)
    bucket.slow_down()
    assert bucket.rate == 20
    rates = []
    for _ in range(6):
        clock.time += 1
        bucket.take()
        rates.append(bucket.rate)
    assert rates == [24, 28, 32, 36, 40, 40]


def test_many_threads_that_hear_of_one_overload_halve_it_once(clock: Any) -> None:
    bucket = Pace(40, clock)
    for _ in range(32):
        bucket.slow_down()
    assert bucket.rate == 20
    clock.time += 1
    bucket.slow_down()
    assert bucket.rate == 10


def test_the_rate_never_comes_to_a_stop(clock: Any) -> None:
    bucket = Pace(64, clock)
    for _ in range(100):
        bucket.slow_down()
        clock.time += 1
    assert bucket.rate == 1


@pytest.mark.parametrize(
    ("status", "code", "slower"),
    [(429, "SlowDown", True), (503, "SlowDown", True), (403, "QueueSaturated", False)],
)
def test_a_client_slows_down_when_told_so(
    status: int,
    code: str,
    slower: bool,
    connect: Callable[..., CIClient],
    wire: Any,
    error_reply: Any,
    job_reply: Any,
    clock: Any,
) -> None:
    """A full queue of jobs is no reason to send fewer requests per second."""
    client = connect(requests_per_second=10)
    wire.will(error_reply(status, code), job_reply())
    client.get_doc_job("d1")
    wire.will(job_reply())
    start = clock.time
    for _ in range(6):
        client.get_doc_job("d1")
    assert (clock.time - start > 0.9) is slower


def test_a_paced_client_keeps_its_rate_with_retries_too(
    connect: Callable[..., CIClient], wire: Any, job_reply: Any, clock: Any
) -> None:
    wire.will(job_reply())
    client = connect(requests_per_second=5)
    start = clock.time
    for _ in range(11):
        client.get_doc_job("d1")
    assert clock.time - start == pytest.approx(2)


def test_without_a_limit_nobody_waits(clock: Any) -> None:
    pace = Pace(None, clock)
    for _ in range(10_000):
        pace.take()
    assert clock.naps == []
    assert pace.rate == inf


def test_without_a_limit_the_rate_is_taken_from_what_was_too_much(clock: Any) -> None:
    pace = Pace(None, clock)
    for _ in range(400):
        pace.take()
        clock.time += 1 / 80
    pace.slow_down()
    assert pace.rate == pytest.approx(40, rel=0.05)
    for _ in range(100):
        pace.slow_down()
        clock.time += 1
    assert pace.rate == pytest.approx(80 / 64, rel=0.05)
    rates = []
    for _ in range(12):
        clock.time += 1
        pace.take()
        rates.append(pace.rate)
    assert rates == sorted(rates)
    assert rates[-1] == inf
    clock.naps.clear()
    for _ in range(1000):
        pace.take()
    assert clock.naps == []


def test_a_client_without_a_limit_slows_down_when_told_so_and_recovers(
    ci: CIClient, wire: Any, error_reply: Any, job_reply: Any, clock: Any
) -> None:
    wire.will(error_reply(503, "SlowDown"), job_reply())
    for _ in range(100):
        ci.get_doc_job("d1")
    assert sum(clock.naps) > 3
    clock.time += 20
    clock.naps.clear()
    for _ in range(100):
        ci.get_doc_job("d1")
    assert clock.naps == []
