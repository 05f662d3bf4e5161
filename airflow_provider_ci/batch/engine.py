"""A batch from its selection to its report."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field

from airflow_provider_ci.batch.failures import TRANSIENT_CODES, BatchFailedError, FailureLimit
from airflow_provider_ci.batch.kinds import kind_of_operation
from airflow_provider_ci.batch.plan import Operation, OutputTemplate, PlannedJob, Skip, plan_jobs
from airflow_provider_ci.batch.report import BatchSummary, ObjectState, ObjectVerdict, Report, verdict_of_job
from airflow_provider_ci.batch.selection import ObjectKeys, ObjectSelection, as_source
from airflow_provider_ci.batch.submit import Attempt, Submitter
from airflow_provider_ci.batch.watch import Pace, finished_jobs
from airflow_provider_ci.client import (
    CIClient,
    CIConnectionError,
    CIError,
    CIServiceError,
    InvalidRequestError,
    Job,
    JobState,
    NotFoundError,
    QueuePausedError,
    ServerError,
    SubmissionUnknownError,
    ThrottledError,
)

log = logging.getLogger(__name__)

_WAITING_HEALS = (CIConnectionError, ServerError, ThrottledError, QueuePausedError)
"""The service is away, busy, full or paused."""
_ABOUT_ONE_OBJECT = (InvalidRequestError, NotFoundError)
"""Refusals that say something of this object and nothing of the next."""


_STOP_CHECK_SECONDS = 0.5


class BatchStoppedError(CIError):
    """The batch was told to stop. Its jobs go on unless they are cancelled."""

    def __init__(self, batch_id: str, job_ids: list[str]) -> None:
        self.batch_id = batch_id
        self.job_ids = job_ids
        super().__init__(f"batch {batch_id} was stopped with {len(job_ids)} jobs waiting or running")

    def __reduce__(self) -> tuple[type[BatchStoppedError], tuple[str, list[str]]]:
        return type(self), (self.batch_id, self.job_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A batch while it runs."""

    total: int
    finished: int
    failed: int
    in_flight: int
    seconds: float
    """Since the first submission."""

    @property
    def seconds_left(self) -> float | None:
        """Until the end at the rate so far; ``None`` until something has finished."""
        return (self.total - self.finished) * self.seconds / self.finished if self.finished else None


@dataclass(frozen=True)
class Batch:
    """One operation on many objects: a window of jobs, one listing that waits for all, a verdict per object.

    This form keeps its state in memory. When its process dies, a new run with ``skip="exists"`` leaves out
    what is done already; objects whose jobs were waiting or running at that moment get a second job.
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
    """Names the report; the same for every try at the same work."""
    skip: Skip = "exists"
    """``exists`` leaves out objects whose output is newer than they are, ``never`` processes all."""
    queue_id: str | None = None
    """Queue of the jobs; the service's default queue if not given."""
    max_in_flight: int = 1000
    """Jobs that wait or run at the same time, at most (a queue of the service takes 10,000)."""
    threads: int = 16
    """Requests at the same time while submitting."""
    object_attempts: int = 2
    """Jobs for an object, at most; only failures that may be transient are submitted again."""
    max_failures: int | str = 0
    """How many objects may fail: a number, or a percentage such as ``"5%"``."""
    timeout_seconds: float = 24 * 3600
    """After so long, what has not ended is reported as unfinished."""
    outage_seconds: float = 600
    """How long the service may be away, busy or paused without a break before the batch gives up."""
    settle_seconds: float = 10
    """Age at which a submission that no listing shows counts as never taken."""
    report_prefix: str = "_ci_batches/"
    """Folder of the report in the bucket."""
    pace: Pace = field(default_factory=Pace)
    """How often it looks at the jobs."""
    progress: Callable[[Progress], None] | None = None
    """Called after each look at the jobs."""
    is_stopped: Callable[[], bool] = bool
    """Asked at least once a second; once it says yes, :class:`BatchStoppedError` is raised."""

    def __post_init__(self) -> None:
        if min(self.max_in_flight, self.threads, self.object_attempts) < 1:
            raise ValueError("max_in_flight, threads and object_attempts must be at least 1")
        if self.skip not in ("exists", "never"):
            raise ValueError(f"skip must be 'exists' or 'never', not {self.skip!r}")
        kind_of_operation(self.operation)
        FailureLimit.parse(self.max_failures)

    def run(self) -> BatchSummary:
        """List, submit, wait and report.

        :raises BatchFailedError: more objects failed than allowed, or some did not finish.
        :raises OutputTemplateError: the template cannot name the outputs; nothing was submitted.
        :raises BatchStoppedError: ``is_stopped`` said so; jobs that were submitted go on.
        :raises CIError: the service refused the whole batch (wrong key, unknown bucket), or was away too
            long.
        """
        source = as_source(self.source)
        template = OutputTemplate(text=self.output, prefix=source.prefix)
        report = Report(self.client, self.batch_id, prefix=self.report_prefix)
        try:
            planned = list(plan_jobs(self.client, source.objects(self.client), template, skip=self.skip))
            with ThreadPoolExecutor(self.threads, "ci-submit") as executor:
                _Run(self, planned, report, executor).to_end()
            summary = report.finish()
        finally:
            report.close()
        limit = FailureLimit.parse(self.max_failures)
        failed = summary.failed + summary.cancelled
        if summary.unfinished or not limit.allows(failed, summary.total):
            raise BatchFailedError(summary, limit)
        return summary


class _Run:
    """The state of one run of a batch: every object is in exactly one of its collections, or reported."""

    def __init__(
        self, batch: Batch, planned: list[PlannedJob], report: Report, executor: ThreadPoolExecutor
    ) -> None:
        self._batch = batch
        self._report = report
        self._kind = kind_of_operation(batch.operation)
        self._submitter = Submitter(
            client=batch.client,
            kind=self._kind,
            operation=batch.operation,
            queue_id=batch.queue_id,
        )
        self._executor = executor
        self._total = len(planned)
        self._finished = self._finished_before = 0
        self._to_submit: deque[Attempt] = deque()
        self._unsure: list[Attempt] = []
        self._in_flight: dict[str, tuple[Attempt, Job]] = {}
        self._started = time.monotonic()
        self._outage_since: float | None = None
        for job in planned:
            if job.is_fresh:
                self._finish(job, ObjectState.SKIPPED)
            else:
                self._to_submit.append(Attempt(planned=job))

    def to_end(self) -> None:
        """Until every object has its verdict."""
        while self._to_submit or self._unsure or self._in_flight:
            if time.monotonic() - self._started > self._batch.timeout_seconds:
                return self._give_up()
            # Each step is tried by itself: a full queue must not keep us from seeing its jobs end.
            problems = [self._try(step) for step in (self._submit, self._find_unsure, self._collect)]
            self._note_outage(next(filter(None, problems), None))
            self._tell_progress()
            if self._to_submit or self._unsure or self._in_flight:
                self._sleep(self._wait_seconds())
        return None

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._batch.is_stopped():
                raise BatchStoppedError(self._batch.batch_id, list(self._in_flight))
            time.sleep(min(left, _STOP_CHECK_SECONDS))

    def _try(self, step: Callable[[], None]) -> CIError | None:
        """Take a step; what waiting may heal is returned, not raised."""
        try:
            step()
        except _WAITING_HEALS as error:
            return error
        return None

    def _submit(self) -> None:
        """Fill the window; what is refused for now goes back to the head of the line."""
        room = self._batch.max_in_flight - len(self._in_flight) - len(self._unsure)
        attempts = [self._to_submit.popleft().sent_now() for _ in range(min(room, len(self._to_submit)))]
        refused: CIError | None = None
        for attempt, outcome in self._submitter.submit_all(attempts, self._executor):
            if isinstance(outcome, Job):
                self._in_flight[outcome.job_id] = (attempt, outcome)
            elif isinstance(outcome, SubmissionUnknownError):
                self._unsure.append(attempt)
            elif isinstance(outcome, _ABOUT_ONE_OBJECT) and outcome.code != "NoSuchBucket":
                self._finish(attempt.planned, ObjectState.FAILED, error=outcome, attempts=attempt.number)
            else:
                self._to_submit.appendleft(attempt.again(counts=False))
                refused = outcome
        if refused is not None:
            raise refused

    def _find_unsure(self) -> None:
        """Adopt jobs whose answer was lost; submit again what the service never took."""
        found = self._submitter.find(self._unsure)
        unsure, self._unsure = self._unsure, []
        for attempt in unsure:
            if job := found.get(attempt.nonce):
                log.info("found job %s of %s, whose answer was lost", job.job_id, attempt.planned.key)
                self._in_flight[job.job_id] = (attempt, job)
            elif attempt.age_seconds() < self._batch.settle_seconds:
                self._unsure.append(attempt)
            else:
                self._to_submit.append(attempt.again(counts=False))

    def _collect(self) -> None:
        """Take the jobs that have ended out of the window."""
        if not self._in_flight:
            return
        pending = {job_id: job.created_at for job_id, (_, job) in self._in_flight.items()}
        for job_id, job in finished_jobs(self._batch.client, self._kind, pending).items():
            attempt, _ = self._in_flight.pop(job_id)
            is_transient = job.state is JobState.FAILED and job.code in TRANSIENT_CODES
            if is_transient and attempt.number < self._batch.object_attempts:
                self._to_submit.append(attempt.again(counts=True))
            else:
                self._add(verdict_of_job(attempt.planned, job, attempts=attempt.number))

    def _give_up(self) -> None:
        log.error("batch %s: time is up after %s s", self._batch.batch_id, self._batch.timeout_seconds)
        for job_id, (attempt, _) in self._in_flight.items():
            self._finish(attempt.planned, ObjectState.UNFINISHED, job_id=job_id, attempts=attempt.number)
        for attempt in (*self._unsure, *self._to_submit):
            self._finish(attempt.planned, ObjectState.UNFINISHED, attempts=attempt.number - 1)

    def _note_outage(self, error: CIError | None) -> None:
        """Go on waiting, unless the service has been away for too long.

        :raises CIError: the error itself, when it has.
        """
        now = time.monotonic()
        if error is None or self._finished > self._finished_before:
            self._outage_since = None
        self._finished_before = self._finished
        if error is None:
            return
        self._outage_since = self._outage_since or now
        away = now - self._outage_since
        if away > self._batch.outage_seconds:
            raise error
        log.warning("batch %s waits for the service (%.0f s so far): %s", self._batch.batch_id, away, error)

    def _wait_seconds(self) -> float:
        return self._batch.pace.wait_seconds(
            pending=len(self._in_flight),
            finished=self._finished,
            elapsed_seconds=time.monotonic() - self._started,
        )

    def _finish(
        self,
        planned: PlannedJob,
        state: ObjectState,
        *,
        job_id: str | None = None,
        error: CIServiceError | None = None,
        attempts: int = 0,
    ) -> None:
        self._add(
            ObjectVerdict(
                key=planned.key,
                state=state,
                output_key=planned.output_key,
                job_id=job_id,
                code=error.code if error else "",
                message=error.message if error else "",
                attempts=attempts,
            )
        )

    def _add(self, verdict: ObjectVerdict) -> None:
        self._finished += 1
        self._report.add(verdict)

    def _tell_progress(self) -> None:
        if self._batch.progress is not None:
            self._batch.progress(
                Progress(
                    total=self._total,
                    finished=self._finished,
                    failed=self._report.count(ObjectState.FAILED),
                    in_flight=len(self._in_flight),
                    seconds=time.monotonic() - self._started,
                )
            )
