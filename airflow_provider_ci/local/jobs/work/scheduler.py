"""Takes waiting jobs from the queues and lets workers run them."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_ci.local.convert import ConvertersClosedError
from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.traits import TraitSwitch
from airflow_provider_ci.local.jobs.callbacks import Callbacks
from airflow_provider_ci.local.jobs.jobs import Job, Jobs, Outcome, State, Submission
from airflow_provider_ci.local.jobs.queues import Queues
from airflow_provider_ci.local.jobs.work.processing import Processor

RETRY_SECONDS = 1.0
"""Seconds before another attempt if the table of jobs cannot be written, as on a full disk."""

_log = logging.getLogger(__name__)


class Scheduler:
    """Runs at most ``workers`` jobs at once, and at most ``queue_concurrency`` jobs of one queue.

    Within a queue the job of the highest level runs first, then the oldest; of several queues the queue
    with the fewest running jobs is served first. Call all methods in the server's event loop; only the work
    on a job is done in a thread.
    """

    def __init__(
        self,
        jobs: Jobs,
        queues: Queues,
        processor: Processor,
        callbacks: Callbacks,
        traits: TraitSwitch,
        *,
        workers: int,
        queue_size: int,
        queue_concurrency: int,
    ) -> None:
        self._jobs = jobs
        self._queues = queues
        self._processor = processor
        self._callbacks = callbacks
        self._traits = traits
        self._workers = workers
        self._queue_size = queue_size
        self._queue_concurrency = queue_concurrency
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="ci-local-worker")
        self._running: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._retry: asyncio.TimerHandle | None = None

    def submit(self, submission: Submission, now: float) -> Job:
        """Store a job, and start it if a worker is free.

        :raises ServiceError: ``QueueSaturated`` if the queue already holds ``queue_size`` waiting jobs.
        """
        queue_id = submission.queue_id
        if self._jobs.waiting(queue_id) >= self._queue_size:
            raise ServiceError(
                "QueueSaturated", f"queue {queue_id} holds {self._queue_size} waiting jobs already"
            )
        # A paused queue still accepts jobs (D in docs/local.md).
        paused = self._queues.is_paused(queue_id)
        job = self._jobs.add(submission, State.PAUSE if paused else State.SUBMITTED, now)
        self.wake()
        return job

    def cancel(self, job: Job, now: float) -> bool:
        """Cancel a waiting job; return False if it no longer waits."""
        # A cancelled job has ended, so its receiver is called as well.
        return self._callbacks.end(job, lambda: self._jobs.cancel(job, now))

    def wake(self) -> None:
        """Start waiting jobs while workers are free."""
        self._try(self._fill)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except sqlite3.Error as error:
            _log.error("no job can be started, as that cannot be noted; trying again: %s", error)
            if self._retry:
                self._retry.cancel()
            self._retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self.wake)

    def _fill(self) -> None:
        while not self._stopping and len(self._tasks) < self._workers:
            job = self._next()
            if job is None:
                return
            self._start(job)

    async def stop(self, grace_seconds: float) -> None:
        """Start no more jobs, and wait up to ``grace_seconds``. Jobs that still run then will run again."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)

    async def join(self) -> None:
        """Wait for the threads. Close the converters first."""
        await asyncio.gather(*self._tasks)
        self._threads.shutdown()

    def _next(self) -> Job | None:
        # A long queue must not block another queue until all of its jobs have run.
        queues = sorted(self._open_queues(), key=lambda queue_id: self._running[queue_id])
        return next((job for queue_id in queues for job in self._jobs.next_waiting(queue_id)), None)

    def _open_queues(self) -> list[str]:
        """The queues with waiting jobs that may run one more job."""
        return [
            queue_id
            for queue_id in self._jobs.queues_with_work()
            if self._running[queue_id] < self._queue_concurrency and not self._queues.is_paused(queue_id)
        ]

    def _start(self, job: Job) -> None:
        # The job may have been cancelled since the query.
        if not self._jobs.start(job, self._traits.now()):
            return
        self._running[job.queue_id] += 1
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)

    async def _run(self, job: Job) -> None:
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._processor.run, job
            )
            await self._note(job, outcome)
        except ConvertersClosedError:
            _log.info("job %s was interrupted; it will run again", job.job_id)
        finally:
            self._running[job.queue_id] -= 1
            task = asyncio.current_task()
            assert task is not None
            self._tasks.discard(task)
            self.wake()

    async def _note(self, job: Job, outcome: Outcome) -> None:
        """Store how the job ended, retrying on errors. A job not stored when the server stops runs again."""
        while True:
            try:
                self._callbacks.end(job, lambda: self._jobs.finish(job, outcome, self._traits.now()))
                break
            except sqlite3.Error as error:
                _log.error("job %s ended, but that cannot be noted; trying again: %s", job.job_id, error)
            # The job will run again after the next start, which is better than a server that never stops.
            if self._stopping:
                return
            await asyncio.sleep(RETRY_SECONDS)
        if outcome.state is State.FAILED:
            _log.info(
                "job %s of %r failed: %s: %s", job.job_id, job.input_object, outcome.code, outcome.message
            )
