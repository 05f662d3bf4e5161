"""Reports ended jobs to receivers: a POST with the job's details, repeated a few times until it is accepted.

A pending callback is stored in one transaction with the end of the job, and deleted after it is delivered or
given up. So each callback is sent at least once, even if the server dies in between.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from airflow_provider_ci.local.database import Database, Row
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.jobs import receivers
from airflow_provider_ci.local.jobs.jobs import Job, Jobs
from airflow_provider_ci.local.jobs.queues import Queues
from airflow_provider_ci.local.jobs.receivers import ReceiverError
from airflow_provider_ci.local.jobs.responses.details import job_detail

EVENT = "TaskFinish"
PAUSES_SECONDS = (0.5, 1.0)
"""Seconds to wait between attempts; there is one more attempt than waits."""

TIMEOUT_SECONDS = 5.0
"""Longest time for one attempt, in seconds."""

AT_ONCE = 8
"""Maximum number of receivers that are called at the same time."""

_log = logging.getLogger(__name__)


class Callbacks:
    """The callbacks of all jobs. Call all methods in the server's event loop."""

    def __init__(self, database: Database, jobs: Jobs, queues: Queues) -> None:
        self._database = database
        self._jobs = jobs
        self._queues = queues
        self._taken: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def end(self, job: Job, change: Callable[[], bool]) -> bool:
        """Let ``change`` end the job and store its callback, in one transaction.

        :returns: the result of ``change``: whether the job has ended.
        """
        # The queue's settings at the end of the job decide (assumed: A in docs/local.md).
        receiver = receivers.chosen(job.operation.get("CallBack", {}), self._queues.notify(job.queue_id))
        if receiver is None:
            return change()
        with self.transaction():
            has_ended = change()
            if has_ended:
                self._database.change(
                    "INSERT OR REPLACE INTO callbacks VALUES (?, ?, ?, ?, ?)",
                    (job.job_id, job.bucket, receiver.url, receiver.format, time.time_ns()),
                )
        asyncio.get_running_loop().call_soon(self.wake)  # runs after any outer transaction has ended
        return has_ended

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group the ends of many jobs and their callbacks into one transaction."""
        try:
            with self._database.transaction():
                yield
        except sqlite3.Error:
            self._jobs.recount()  # the rollback has undone the counted changes
            raise

    def wake(self) -> None:
        """Start pending callbacks, up to ``AT_ONCE`` at a time."""
        try:
            while not self._stopping and len(self._tasks) < AT_ONCE:
                row = self._next()
                if row is None:
                    return
                self._taken.add(row["job_id"])
                self._tasks.add(asyncio.create_task(self._report(row)))
        except sqlite3.Error:
            _log.exception("cannot read the pending callbacks; trying again after the next job")

    async def stop(self) -> None:
        """Stop at once. Pending callbacks are sent after the next start."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _next(self) -> Row | None:
        # One row more than are in progress: if any row is free, at least one of these is.
        rows = self._database.rows("SELECT * FROM callbacks ORDER BY due LIMIT ?", (len(self._taken) + 1,))
        return next((row for row in rows if row["job_id"] not in self._taken), None)

    async def _report(self, row: Row) -> None:
        try:
            found = self._jobs.get(row["bucket"], [row["job_id"]])
            if found:
                await _deliver(found[0], row["url"], row["format"])
            self._database.change("DELETE FROM callbacks WHERE job_id = ?", (row["job_id"],))
            self._taken.discard(row["job_id"])
        except sqlite3.Error:  # stays in _taken, so it is sent again only after the next start
            _log.exception("cannot record that the callback of job %s was delivered", row["job_id"])
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.discard(task)
            self.wake()


def payload(job: Job, form: str) -> tuple[str, bytes]:
    """Content type and body of the callback of a job that has ended (1045/50337).

    The JSON form has a list of jobs without a ``Response`` around it; it has no empty nodes, and JobLevel is
    its only number.
    """
    detail = job_detail(job)
    if form == "JSON":
        said = {"EventName": EVENT, "JobsDetail": [_filled(detail)]}
        return "application/json", json.dumps(said, ensure_ascii=False).encode()
    return "application/xml", wire.document("Response", {"EventName": EVENT, "JobsDetail": detail})


def _filled(value: object) -> object:
    if isinstance(value, list):
        return [_filled(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    filled = {name: _filled(item) for name, item in value.items()}
    return {name: item for name, item in filled.items() if item not in ("", None, {}, [])}


async def _deliver(job: Job, url: str, form: str) -> None:
    """Call the receiver; after the last attempt, give up with a warning."""
    content_type, body = payload(job, form)
    reason = ""
    for pause in (0, *PAUSES_SECONDS):
        await asyncio.sleep(pause)
        try:
            await _post(url, content_type, body)
            return
        except (ReceiverError, ClientError, OSError, ValueError, asyncio.TimeoutError) as error:
            reason = str(error) or type(error).__name__
    _log.warning("could not deliver the callback of job %s: %s", job.job_id, reason)


async def _post(url: str, content_type: str, body: bytes) -> None:
    connector = TCPConnector(resolver=_Resolved(await receivers.addresses(url)), force_close=True)
    headers = {"Content-Type": content_type, "User-Agent": "ci-local"}
    async with (
        ClientSession(connector=connector, timeout=ClientTimeout(total=TIMEOUT_SECONDS)) as session,
        # A redirect could lead to an address that nobody has checked.
        session.post(URL(url, encoded=True), data=body, headers=headers, allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise ReceiverError(f"the receiver responded with {response.status}, not 200")


class _Resolved(AbstractResolver):
    """Returns the checked addresses: a second lookup could return an unchecked one (DNS rebinding)."""

    def __init__(self, found: list[str]) -> None:
        self._found = found

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [_result(host, address, port) for address in self._found]

    async def close(self) -> None:
        """Do nothing: the resolver holds nothing open."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    return {
        "hostname": host,
        "host": address,
        "port": port,
        "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
        "proto": 0,
        "flags": socket.AI_NUMERICHOST,
    }
