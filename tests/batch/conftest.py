"""Fixtures that make batches over the local CI, count their jobs, read their reports and kill them."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, ObjectResult, ObjectSelection, Pace, Progress, read_report
from airflow_provider_ci.batch.registry.heartbeat import key_of
from airflow_provider_ci.batch.registry.registry import REGISTRY_PREFIX
from airflow_provider_ci.batch.reports.folder import batch_folder, report_key
from airflow_provider_ci.client import CIClient, Credentials, DocProcess, JobState, RetryPolicy
from airflow_provider_ci.local import LocalCI

INBOX = ObjectSelection(prefix="in/")
PDF = DocProcess(target="pdf")
FAST = Pace(shortest=0.02, longest=0.1)
DEAD = (JobState.CANCEL, JobState.FAILED)
FOLDER = batch_folder("_ci_batches/", "test")
REPORT = report_key(FOLDER)


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """Makes a batch of the objects in ``in/``; arguments replace the defaults."""

    def make(client: CIClient, source: Any = INBOX, operation: Any = PDF, **options: Any) -> Batch:
        output = options.pop("output", "out/{dir}{stem}.pdf")
        arguments = {"batch_id": "test", "pace": replace(FAST), **options}
        return Batch(client, source, operation, output, **arguments)

    return make


@pytest.fixture
def client_of() -> Callable[..., CIClient]:
    """Makes a client for a local CI; the client stops retrying soon."""

    def make(server: LocalCI, *, bucket: str = "examplebucket-1250000000", **options: Any) -> CIClient:
        credentials = Credentials(
            secret_id=server.secret_id, secret_key=options.pop("secret_key", None) or server.secret_key
        )
        defaults = {"retry": RetryPolicy(max_attempts=2, max_seconds=1, first_wait_seconds=0.05)}
        return CIClient(
            credentials, "ap-guangzhou", bucket, endpoint=server.endpoint, **{**defaults, **options}
        )

    return make


@pytest.fixture
def live_jobs() -> Callable[[CIClient], Counter[str]]:
    """Counts the jobs that are neither cancelled nor failed, by input key."""

    def count(client: CIClient) -> Counter[str]:
        jobs = (*client.list_doc_jobs(), *client.list_pic_jobs())
        return Counter(job.input_key for job in jobs if job.state not in DEAD)

    return count


@pytest.fixture
def job_count() -> Callable[[CIClient], int]:
    """Counts all document jobs."""
    return lambda client: len(list(client.list_doc_jobs()))


@pytest.fixture
def results() -> Callable[..., dict[str, ObjectResult]]:
    """Reads a report and returns the result of each object by key; fails if an object has two results."""

    def read(client: CIClient, report_key: str = REPORT) -> dict[str, ObjectResult]:
        found = list(read_report(client, report_key))
        by_key = {result.key: result for result in found}
        assert len(by_key) == len(found), "an object stands in the report twice"
        return by_key

    return read


@pytest.fixture
def verdicts(results: Callable[..., dict[str, ObjectResult]]) -> Callable[..., dict[str, ObjectResult]]:
    """The former name of ``results``."""
    return results


@pytest.fixture
def end_leases(bucket: Path) -> Callable[[], None]:
    """Makes all leases look as if their runs had died an hour ago."""

    def end() -> None:
        for path in sorted((bucket / REGISTRY_PREFIX).glob("0*.json"))[-1:]:
            state = json.loads(path.read_text())
            for claim in state["claims"]:
                claim["claimed_at"] -= 3600
                beat = bucket / key_of(claim["folder"], claim["token"])
                beat.parent.mkdir(parents=True, exist_ok=True)
                if not beat.exists():
                    beat.write_text(
                        json.dumps({"version": 2, "kind": "heartbeat", "seconds": 1, "is_parked": False})
                    )
                os.utime(beat, (0, 0))
            path.write_text(json.dumps(state))

    return end


@pytest.fixture
def live_outputs() -> Callable[[CIClient], Counter[str]]:
    """Counts the jobs that are neither cancelled nor failed, by output key."""

    def count(client: CIClient) -> Counter[str]:
        jobs = (*client.list_doc_jobs(), *client.list_pic_jobs())
        return Counter(job.output_key.removeprefix("/") for job in jobs if job.state not in DEAD)

    return count


class PowerCut(BaseException):
    """Simulates the death of the process; the engine must not catch this exception."""


class Power:
    """Cuts the power of the client's process at a chosen request; the client sends nothing after it."""

    def __init__(self, client: CIClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self._attempt = client._transport._attempt
        self._lock = Lock()
        self._is_cut = False
        self._report = threading.excepthook
        self.last_for()
        monkeypatch.setattr(threading, "excepthook", self._end_of_thread)
        monkeypatch.setattr(client._transport, "_attempt", self._pass_on)

    def _end_of_thread(self, thread: threading.ExceptHookArgs) -> None:
        """Print no traceback of threads that die of a :class:`PowerCut`, such as the lease's thread."""
        if not isinstance(thread.exc_value, PowerCut):
            self._report(thread)

    def last_for(self, requests: float = float("inf"), *, method: str = "", is_heard: bool = False) -> None:
        """Cut the power at request number ``requests``, counting only requests with ``method``.

        :param is_heard: whether the service still receives that request.
        """
        self._is_cut, self._left, self._method, self._is_heard = False, requests, method, is_heard

    def _pass_on(self, request: Any, *more: Any, **options: Any) -> Any:
        with self._lock:
            if self._is_cut:
                raise PowerCut
            self._left -= request.method.startswith(self._method)
            self._is_cut = is_last = self._left <= 0
        response = self._attempt(request, *more, **options) if self._is_heard or not is_last else None
        if is_last:
            raise PowerCut
        return response


@pytest.fixture
def power(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> Power:
    """The power supply of the process that uses ``client``."""
    return Power(client, monkeypatch)


def dies(*looks: int) -> Callable[[Progress], None]:
    """Make a ``progress`` callback that kills the process at these calls, counted from 1."""
    numbers = itertools.count(1)

    def look(_: Progress) -> None:
        if next(numbers) in looks:
            raise PowerCut

    return look


def die(batch: Batch) -> None:
    """Run a batch until its process dies."""
    with pytest.raises(PowerCut):
        batch.run()


Kill = Callable[[int, Callable[[CIClient], Batch]], None]


@pytest.fixture
def kill(local_ci: LocalCI, client_of: Callable[..., CIClient], monkeypatch: pytest.MonkeyPatch) -> Kill:
    """Runs a batch with its own client and cuts the power after the given number of submissions."""

    def kill(submissions: int, make: Callable[[CIClient], Batch]) -> None:
        with client_of(local_ci) as doomed:
            Power(doomed, monkeypatch).last_for(submissions, method="POST", is_heard=True)
            die(make(doomed))

    return kill


def in_threads(*steps: Callable[[], Any]) -> list[Any]:
    """Call all functions at the same time; return the result or the exception of each."""

    def outcome(step: Callable[[], Any]) -> Any:
        try:
            return step()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(steps)) as executor:
        return list(executor.map(outcome, steps))


def pause(client: CIClient) -> Callable[[], object]:
    """Pause the document queue; return a function that resumes it."""
    (queue,) = client.list_doc_queues()
    client.pause_doc_queue(queue.queue_id)
    return lambda: client.resume_doc_queue(queue.queue_id)


def wait_until(holds: Callable[[], Any]) -> None:
    """Wait up to 30 seconds until ``holds()`` is true."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
