"""A batch from its selection to its report."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, Literal, TypeVar

from airflow_provider_ci.batch.failures import (
    BatchFailedError,
    BatchStoppedError,
    FailureLimit,
    waiting_may_heal,
)
from airflow_provider_ci.batch.fingerprint import work_fingerprint
from airflow_provider_ci.batch.kinds import kind_of_operation
from airflow_provider_ci.batch.lease import BatchRunningError, Lease
from airflow_provider_ci.batch.ledger import (
    Generation,
    Ledger,
    find_generation,
    write_generation,
    write_plan,
)
from airflow_provider_ci.batch.plan import Operation, OutputTemplate, Skip, plan_jobs
from airflow_provider_ci.batch.progress import Progress
from airflow_provider_ci.batch.records import RecordWriter
from airflow_provider_ci.batch.report import BatchSummary, batch_folder, write_report
from airflow_provider_ci.batch.run import Run
from airflow_provider_ci.batch.selection import ObjectKeys, ObjectSelection, as_source
from airflow_provider_ci.batch.verdict import ObjectVerdict
from airflow_provider_ci.batch.watch import Pace, cancel_waiting
from airflow_provider_ci.client import Callback, CIClient, CIError, ObjectInfo

log = logging.getLogger(__name__)

T = TypeVar("T")

_FENCE_JOBS = 100
_STOP_CHECK_SECONDS = 0.5


@dataclass(frozen=True)
class Batch:
    """One operation on many objects: exactly one good job for each, whatever crashes.

    What it does is kept in the bucket, under ``report_prefix`` and ``batch_id``: a frozen plan, the ids of
    submitted jobs, the verdicts. A run that dies is continued by the next run with the same ``batch_id``, in
    any process on any machine; a run after a finished one plans anew and does what is missing or changed.
    """

    client: CIClient
    """Used by several threads."""
    source: ObjectSelection | ObjectKeys | Iterable[str]
    """The objects: a selection, or their keys."""
    operation: Operation
    """A :class:`DocProcess` or a :class:`PicProcess`."""
    output: str
    """Template of the output keys, see :class:`OutputTemplate`."""
    _: KW_ONLY
    batch_id: str
    """Names the batch and its folder; the same for every try at the same work."""
    skip: Skip = "fresh"
    """``fresh`` leaves out objects whose output was made from the same content by the same operation, as far
    as this batch knows, and else those whose output is newer; ``exists`` goes by the times alone; ``never``
    processes all."""
    queue_id: str | None = None
    """Queue of the jobs; the service's default queue if not given."""
    max_in_flight: int = 1000
    """Jobs that wait or run at the same time, at most (a queue of the service takes 10,000)."""
    threads: int = 64
    """Requests at the same time while submitting."""
    object_attempts: int = 2
    """Jobs for an object, at most; only failures that may be transient are submitted again."""
    max_failures: int | str = 0
    """How many objects may fail: a number, or a percentage such as ``"5%"``. When more have, nothing more is
    submitted, and the batch ends when what runs has ended."""
    stop_early: bool | str = True
    retry_failed: bool = False
    on_running: Literal["wait", "fail"] = "wait"
    definition: str | None = None
    job_level: int | None = None
    callback: Callback | None = None
    output_bucket: str | None = None
    output_region: str | None = None
    parked: dict[str, Any] | None = field(default=None, init=False)
    timeout_seconds: float = 24 * 3600
    """After so long, what has not ended is reported as unfinished; the next run goes on with it."""
    outage_seconds: float = 600
    """How long the service may be away or busy, or the queue be paused, before the run gives up; a full queue
    does not count."""
    settle_seconds: float = 10
    """How long after its answer was lost a submission that no listing shows counts as never taken."""
    lease_seconds: float = 60
    """How long a run that has died keeps the next one waiting."""
    report_prefix: str = "_ci_batches/"
    """Folder of all batches in the bucket; a selection leaves out what lies in it."""
    pace: Pace = field(default_factory=Pace)
    """How often it looks at the jobs."""
    progress: Callable[[Progress], None] | None = None
    """Called after each look at the jobs."""
    is_stopped: Callable[[], bool] = bool
    """Asked all the time; once it says yes, the run ends with :class:`BatchStoppedError`."""
    cancels_when_stopped: Callable[[], bool] = bool
    """Asked then: whether to cancel the jobs that have not begun. All the others go on."""

    def __post_init__(self) -> None:
        if min(self.max_in_flight, self.threads, self.object_attempts) < 1:
            raise ValueError("max_in_flight, threads and object_attempts must be at least 1")
        if self.skip not in ("fresh", "exists", "never"):
            raise ValueError(f"skip must be 'fresh', 'exists' or 'never', not {self.skip!r}")
        if self.lease_seconds < 1:
            raise ValueError(f"lease_seconds must be at least 1, not {self.lease_seconds}")
        kind_of_operation(self.operation)
        FailureLimit.parse(self.max_failures)
        batch_folder(self.report_prefix, self.batch_id)
        object.__setattr__(self, "source", as_source(self.source))  # a generator yields its keys only once

    @property
    def folder(self) -> str:
        """Where the batch keeps its objects."""
        return batch_folder(self.report_prefix, self.batch_id)

    def run(self) -> BatchSummary:
        """List, submit, wait and report.

        :raises BatchFailedError: more objects failed than allowed, or some did not finish.
        :raises BatchRunningError: another run of this batch is alive.
        :raises BatchStoppedError: ``is_stopped`` said so; jobs that were submitted go on.
        :raises OutputTemplateError: the template cannot name the outputs; nothing was submitted.
        :raises CIError: the service refused the whole batch (wrong key, unknown bucket), or was away too
            long. What is known by then is in the report.
        """
        summary = self.advance(patience=None, deadline=time.time() + self.timeout_seconds)
        assert summary is not None, "without patience it runs to the end"
        return summary

    def advance(
        self, *, patience: float | None, deadline: float, resume: dict[str, Any] | None = None
    ) -> BatchSummary | None:
        """As :meth:`run`, but leave when nothing is left to do but to wait.

        Then the jobs in flight stand in the ledger: :class:`BatchWatch` waits for them, in any process, and
        the next :meth:`advance` goes on. That costs a few requests, whatever the size of the batch.

        :param patience: seconds to wait in place before leaving; None never leaves.
        :param deadline: Unix time of the end of the batch.
        :returns: the summary, or None if jobs are in flight.
        """
        with (
            Lease(self.client, self.folder, seconds=self.lease_seconds) as lease,
            ThreadPoolExecutor(self.threads, "ci-submit") as executor,
        ):
            self.patiently(partial(lease.take, self.heed_stop))
            if lease.follows_a_crash:  # what it sent may still be on its way
                self.wait(self.settle_seconds - self.lease_seconds)
            session = _Session(self, lease, executor, deadline)
            summary = session.advance(patience)
            lease.release()
        object.__setattr__(self, "parked", {"folder": self.folder} if summary is None else None)
        return summary if summary is None else self._judge(summary)

    def heed_stop(self, job_ids: Iterable[str] = ()) -> None:
        """Return if the batch was not told to stop.

        :raises BatchStoppedError: it was, with these jobs in flight.
        """
        if self.is_stopped():
            raise BatchStoppedError(self.batch_id, list(job_ids))

    def patiently(self, step: Callable[[], T]) -> T:
        """Take a step that can be taken again, until it works or the service was away for too long."""
        began = time.monotonic()
        while True:
            try:
                return step()
            except CIError as error:
                away = time.monotonic() - began
                if not waiting_may_heal(error) or away > self.outage_seconds:
                    raise
                log.warning("batch %s waits for the service (%.0f s so far): %s", self.batch_id, away, error)
            self.wait(min(self.pace.longest, 1.0 + away / 10))

    def wait(self, seconds: float) -> None:
        """Wait, but heed a stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.heed_stop()
            time.sleep(min(left, _STOP_CHECK_SECONDS))

    def _judge(self, summary: BatchSummary) -> BatchSummary:
        limit = FailureLimit.parse(self.max_failures)
        failed = summary.failed + summary.cancelled
        if summary.unfinished or not limit.allows(failed, summary.total):
            raise BatchFailedError(summary, limit)
        return summary


class _Session:
    """What one holder of the lease does."""

    def __init__(self, batch: Batch, lease: Lease, executor: ThreadPoolExecutor, deadline: float) -> None:
        self._batch = batch
        self._lease = lease
        self._executor = executor
        self._deadline = deadline
        self._source = as_source(batch.source)
        self._work = work_fingerprint(self._source, batch.operation, batch.output)
        self._writer = RecordWriter(client=batch.client, expires_at=lease.writes_until)

    def advance(self, patience: float | None) -> BatchSummary | None:
        generation = self._batch.patiently(self._find)
        if generation and not generation.is_finished and generation.work != self._work:
            log.warning("batch %s has changed; waiting for the jobs of its old plan", self._batch.batch_id)
            if self._run(generation, patience, submits=False) is None:
                return None
            generation = self._batch.patiently(self._find)
        if generation is None or generation.is_finished:
            try:
                generation = self._batch.patiently(partial(self._plan, generation))
            except Exception:
                self._lease.release()  # nothing was submitted, so the next run need not wait
                raise
        return self._run(generation, patience)

    def _find(self) -> Generation | None:
        return find_generation(self._batch.client, self._batch.folder)

    def _run(
        self, generation: Generation, patience: float | None, *, submits: bool = True
    ) -> BatchSummary | None:
        ledger = Ledger(
            client=self._batch.client,
            folder=self._batch.folder,
            generation=generation,
            expires_at=self._lease.writes_until,
        )
        run = self._batch.patiently(partial(self._resumed, ledger, submits))
        try:
            has_ended = run.to_end(patience=patience)
            self._batch.patiently(partial(ledger.write_checkpoint, run.state))
            if not has_ended:
                return None
            summary = self._batch.patiently(partial(self._report, ledger, run))
            if run.is_complete:
                self._batch.patiently(ledger.finish)
        except BatchRunningError:
            raise  # all that is here belongs to the other run now
        except BatchStoppedError as stopped:
            # Before all else: who is being killed has five seconds.
            self._cancel_if_told(ledger, stopped.job_ids)
            self._leave(ledger, run)
            raise
        except BaseException:
            self._leave(ledger, run)
            raise
        return summary

    def _resumed(self, ledger: Ledger, submits: bool) -> Run:
        run = Run(self._batch, ledger, self._lease, self._executor, deadline=self._deadline, submits=submits)
        if self._lease.follows_a_crash:
            run.reconcile()
        return run

    def _report(self, ledger: Ledger, run: Run) -> BatchSummary:
        def verdicts() -> Iterator[ObjectVerdict]:
            yield from ledger.results()
            yield from run.remaining()

        return write_report(
            self._batch.client,
            self._batch.folder,
            batch_id=self._batch.batch_id,
            verdicts=verdicts(),
            jobs=run.state.jobs,
            started_at=ledger.generation.started_at,
        )

    def _cancel_if_told(self, ledger: Ledger, job_ids: list[str]) -> None:
        if self._batch.cancels_when_stopped():
            with suppress(CIError):
                ledger.note_cancelling()
            cancel_waiting(self._batch.client, job_ids)

    def _leave(self, ledger: Ledger, run: Run) -> None:
        """Note what is known, as far as that is possible: the run ends with an error."""
        try:
            ledger.write_checkpoint(run.state)
            self._lease.release()
            report_key = self._report(ledger, run).report_key
            log.error("batch %s ended early; its report is %s", self._batch.batch_id, report_key)
        except (CIError, OSError) as error:
            log.error("batch %s ended early, and its report is lost: %s", self._batch.batch_id, error)

    def _plan(self, previous: Generation | None) -> Generation:
        """Freeze the selection. Nothing counts before ``batch.json`` names the new generation."""
        batch, number = self._batch, previous.number + 1 if previous else 1
        started_at = time.time()
        template = OutputTemplate(text=batch.output, prefix=self._source.prefix)
        kind = kind_of_operation(batch.operation)
        newest = list(islice(kind.list(batch.client, order="Desc"), _FENCE_JOBS))
        jobs = plan_jobs(
            batch.client,
            self._objects(),
            template,
            batch.operation,
            skip=batch.skip,
            previous=self._good_before(previous),
            threads=batch.threads,
            check=self._check,
        )
        total, parts = write_plan(self._writer, batch.folder, number, jobs, check=self._check)
        generation = Generation(
            batch_id=batch.batch_id,
            number=number,
            tag=kind.tag,
            token=uuid.uuid4().hex,
            work=self._work,
            total=total,
            parts=parts,
            started_at=started_at,
            fence_time=newest[0].created_at.isoformat() if newest else "",
            fence_jobs=tuple(job.job_id for job in newest),
        )
        self._lease.check()
        write_generation(self._writer, batch.folder, generation)
        log.info("batch %s: %d objects planned", batch.batch_id, total)
        return generation

    def _check(self) -> None:
        """Return if nobody has stopped the batch or taken it over."""
        self._batch.heed_stop()
        self._lease.check()

    def _objects(self) -> Iterator[ObjectInfo]:
        found = self._source.objects(self._batch.client)
        prefix = self._batch.report_prefix
        if isinstance(self._source, ObjectKeys) or not prefix:
            return found
        return (each for each in found if not each.key.startswith(prefix))

    def _good_before(self, last: Generation | None) -> Iterator[tuple[str, str]]:
        """Objects that ended well in earlier generations of the batch, with their fingerprints."""
        if last is None:
            return
        for number in range(1, last.number + 1):
            generation = replace(last, number=number)
            ledger = Ledger(client=self._batch.client, folder=self._batch.folder, generation=generation)
            yield from ((one.key, one.fingerprint) for one in ledger.results() if one.is_good)
