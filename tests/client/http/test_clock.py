"""The service's clock, learned from its responses, and the steady clock on which it is based."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, CIError, DocProcess, RequestExpiredError
from airflow_provider_ci.client.http.clock import Clock, ServiceClock
from airflow_provider_ci.local import LocalCI

NOW = 1700000060.0  # where the fake clock starts


def test_steady_time_counts_time_asleep() -> None:
    """The steady time is CLOCK_BOOTTIME, which also counts the time in which the machine is suspended."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(Clock().monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5
    assert abs(Clock().now() - time.time()) < 5


def test_before_any_response_the_machine_is_believed(ci: CIClient, clock: Any) -> None:
    assert ci.clock.now() == NOW
    assert ci.clock.monotonic() == clock.monotonic()
    ci.clock.sleep(3)
    assert clock.naps == [3]
    assert ci.clock.now() == NOW + 3


@pytest.mark.parametrize("seconds", [-90_000, -600, -3, 3, 600, 90_000])
@pytest.mark.parametrize("status", [200, 204, 404, 500, 503])
def test_every_response_teaches_the_time(
    seconds: int, status: int, connect: Any, wire: Any, reply: Any
) -> None:
    client = connect(retry=None)
    wire.ahead_seconds = seconds
    wire.will(reply(status=status))
    for _ in range(2):
        with suppress(CIError):
            client.head_object("a")
    assert abs(client.clock.now() - client.clock.monotonic() - seconds) <= 1
    assert abs(client.clock_offset_seconds - seconds) <= 1


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Tue, 99 Nov 2023 22:14:20 GMT", "Mon, 1 Jan 99999 0:0:0 GMT"]
)
def test_a_date_that_is_none_teaches_nothing(date: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(Date=date))
    ci.head_bucket()
    assert ci.clock.now() == NOW


def test_a_response_from_a_cache_teaches_nothing(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(Age="900", Date=formatdate(NOW - 900, usegmt=True)))
    ci.head_bucket()
    assert ci.clock.now() == NOW


def test_the_wall_clock_may_be_set_at_any_moment(ci: CIClient, wire: Any, reply: Any, clock: Any) -> None:
    wall = clock.now
    wire.will(reply())
    ci.head_bucket()
    clock.now = lambda: wall() + 86_400
    assert ci.clock.now() == NOW


class Machine(Clock):
    """A machine whose wall clock is an hour ahead; its time passes only when the test advances it."""

    def __init__(self) -> None:
        self.steady = 5000.0

    def now(self) -> float:
        return self.steady + 1.6e9 + 3600

    def monotonic(self) -> float:
        return self.steady


def test_whole_seconds_do_not_make_it_jitter() -> None:
    """The estimate moves rarely and by little, and many responses together make it exact."""
    machine, ahead, chance = Machine(), 1.7e9 + 0.123, random.Random(5)
    clock, estimates = ServiceClock(machine), []
    for _ in range(500):
        sent = machine.steady
        machine.steady += chance.uniform(0.001, 0.05)
        date = math.floor(machine.steady + ahead)
        machine.steady += chance.uniform(0.001, 0.05)
        clock.learn(date, sent=sent, received=machine.steady)
        machine.steady += chance.uniform(0.01, 3)
        estimates.append(clock.offset - ahead)
    assert all(abs(each) < 1.2 for each in estimates)
    assert abs(estimates[-1]) < 0.1
    moves = [abs(b - a) for a, b in pairwise(estimates) if a != b]
    assert len(moves) < 25
    assert sum(moves) < 1.2


def test_a_late_response_says_little_and_contradicts_nothing() -> None:
    machine = Machine()
    clock = ServiceClock(machine)
    clock.learn(1.7e9, sent=5000, received=5000)
    known = clock.offset
    clock.learn(1.7e9 + 100, sent=5000, received=5900)  # the process was suspended in between
    assert clock.offset == known


def test_steady_time_that_stood_still_is_noticed_with_the_next_response() -> None:
    machine = Machine()
    clock = ServiceClock(machine)
    clock.learn(1.7e9, sent=5000, received=5000)
    clock.learn(1.7e9 + 700, sent=5001, received=5001)
    assert abs(clock.now() - 1.7e9 - 700 + 1) <= 1.0


def test_another_thread_may_have_learned_the_time_since_a_request_was_signed(
    connect: Callable[..., CIClient], wire: Any, job_reply: Any, error_reply: Any, clock: Any
) -> None:
    """Eight threads sign with the wrong time and are refused at the same moment; each must then succeed."""
    client, meet = connect(), threading.Barrier(8)
    wire.ahead_seconds = 300
    refused: list[str] = []
    converse = wire.next_reply

    def answer() -> Any:
        request = wire.last
        start, end = map(int, request.signed["q-sign-time"].split(";"))
        if start <= NOW + 2000 <= end:
            return job_reply()
        refused.append(request.target)
        if len(refused) <= 8:
            meet.wait(30)
        return error_reply(403, "RequestTimeTooSkewed")

    wire.ahead_seconds = 2000
    wire.replies[:] = [job_reply()]
    wire.next_reply = answer
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(client.get_doc_job("d1").job_id)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wire.next_reply = converse
    assert found == ["d1"] * 8
    assert len(refused) == 8


@pytest.mark.parametrize("seconds", [-1200, 1200])
def test_a_wrong_wall_clock_does_not_matter(
    seconds: int, local_ci: LocalCI, client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("clock", seconds=seconds, count=99)
    client.head_bucket()
    assert abs(client.clock.now() - time.time() - seconds) < 5
    until = client.clock.now() + 20
    assert client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(), expires_at=until).job_id
    assert client.put_object("a", b"abc", expires_at=until).date is not None
    client.delete_object("a", expires_at=until)
    for late in (
        lambda: client.put_object("a", b"abc", expires_at=until - 20),
        lambda: client.delete_object("a", expires_at=until - 20),
    ):
        with pytest.raises(RequestExpiredError):
            late()


def test_the_services_clock_may_jump_while_it_is_learned(
    ci: CIClient, wire: Any, reply: Any, error_reply: Any
) -> None:
    """This machine's clock is wrong, and the service's clock jumps between the two refusals."""

    def at(seconds: float) -> dict[str, str]:
        return {"Date": formatdate(NOW + seconds, usegmt=True)}

    refusals = [error_reply(403, "RequestTimeTooSkewed", **at(seconds)) for seconds in (7200, 90_000)]
    wire.will(*refusals, reply(**at(90_000)))
    ci.head_bucket()
    assert abs(ci.clock.now() - NOW - 90_000) <= 1
