"""One run of a batch: submit, find, wait, until every object has its verdict."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_ci.batch.failures import TRANSIENT_CODES, is_about_one_object, waiting_may_heal
from airflow_provider_ci.batch.kinds import kind_of_operation
from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.batch.report import ObjectState, ObjectVerdict, Report, verdict_of_job
from airflow_provider_ci.batch.submit import Attempt, Outcome, Submitter
from airflow_provider_ci.batch.watch import cancel_waiting, finished_jobs
from airflow_provider_ci.client import CIError, CIServiceError, Job, JobState, SubmissionUnknownError

if TYPE_CHECKING:
    from airflow_provider_ci.batch.engine import Batch

log = logging.getLogger(__name__)

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
    skipped: int = 0
    """Those of the finished ones that needed no job."""

    @property
    def seconds_left(self) -> float | None:
        """Until the end at the rate so far; ``None`` until something has finished."""
        done = self.finished - self.skipped
        return (self.total - self.finished) * self.seconds / done if done else None


class Run:
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
        self._pace = replace(batch.pace)
        self._total = len(planned)
        self._finished = 0
        self._moved = self._moved_before = 0  # submissions taken, and objects finished
        self._to_submit: deque[Attempt] = deque()
        self._unsure: list[Attempt] = []
        self._lost: SubmissionUnknownError | None = None  # since anything moved
        self._in_flight: dict[str, tuple[Attempt, Job]] = {}
        self._started = time.monotonic()
        self._outage_since: float | None = None
        for job in planned:
            if job.is_fresh:
                self._finish(job, ObjectState.SKIPPED)
            else:
                self._to_submit.append(Attempt(planned=job))

    def to_end(self) -> None:
        """Until every object has its verdict. When that fails, the report says what is known."""
        try:
            self._to_end()
        except BatchStoppedError as stopped:
            # Before the report: who is being killed has five seconds for both.
            if self._batch.cancels_when_stopped():
                cancel_waiting(self._batch.client, stopped.job_ids)
            self._end_early()
            raise
        except Exception:
            self._end_early()
            raise

    def _end_early(self) -> None:
        self._give_up()
        self._report.finish_early()

    def _to_end(self) -> None:
        while self._to_submit or self._unsure or self._in_flight:
            if self._is_late():
                log.error("batch %s: its time is up", self._batch.batch_id)
                return self._give_up()
            # Each step is tried by itself: a full queue must not keep us from seeing its jobs end.
            problems = [self._try(step) for step in (self._submit, self._find_unsure, self._collect)]
            self._note_outage(next(filter(None, problems), None))
            self._tell_progress()
            if self._to_submit or self._unsure or self._in_flight:
                self._sleep(self._wait_seconds())
        return None

    def _is_late(self) -> bool:
        return time.monotonic() - self._started > self._batch.timeout_seconds

    def _heed_stop(self) -> None:
        if self._batch.is_stopped():
            raise BatchStoppedError(self._batch.batch_id, list(self._in_flight))

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._heed_stop()
            time.sleep(min(left, _STOP_CHECK_SECONDS))

    def _try(self, step: Callable[[], None]) -> CIError | None:
        """Take a step; what waiting may heal is returned, not raised."""
        try:
            step()
        except CIError as error:
            if not waiting_may_heal(error):
                raise
            return error
        finally:
            self._heed_stop()
        return None

    def _submit(self) -> None:
        """Fill the window; what is refused for now goes back to the head of the line."""
        room = self._batch.max_in_flight - len(self._in_flight) - len(self._unsure)
        attempts = [self._to_submit.popleft().sent_now() for _ in range(min(room, len(self._to_submit)))]
        submitting = self._submitter.submit_all(attempts, self._executor, is_stopped=self._is_over)
        refusals = [error for attempt, outcome in submitting if (error := self._note(attempt, outcome))]
        if refusals:
            raise next((error for error in refusals if not waiting_may_heal(error)), refusals[0])

    def _is_over(self) -> bool:
        return self._batch.is_stopped() or self._is_late()

    def _note(self, attempt: Attempt, outcome: Outcome) -> CIError | None:
        """Sort what came of a submission; an error that is not about the object is returned."""
        if isinstance(outcome, Job):
            self._in_flight[outcome.job_id] = (attempt, outcome)
            self._moved += 1
        elif isinstance(outcome, SubmissionUnknownError):
            self._unsure.append(attempt.lost_now())
            self._lost = outcome
        elif outcome is not None and is_about_one_object(outcome):
            self._finish(attempt.planned, ObjectState.FAILED, error=outcome, attempts=attempt.number)
        else:
            self._to_submit.appendleft(attempt.again(counts=False))
            return outcome if isinstance(outcome, CIError) else None
        return None

    def _find_unsure(self) -> None:
        """Adopt jobs whose answer was lost; submit again what the service never took."""
        looked_at = time.monotonic()
        found = self._submitter.find(self._unsure)
        unsure, self._unsure = self._unsure, []
        for attempt in unsure:
            if job := found.get(attempt.nonce):
                log.info("found job %s of %s, whose answer was lost", job.job_id, attempt.planned.key)
                self._in_flight[job.job_id] = (attempt, job)
                self._moved += 1
            elif looked_at - attempt.lost_at < self._batch.settle_seconds:
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
        for job_id, (attempt, _) in self._in_flight.items():
            self._finish(attempt.planned, ObjectState.UNFINISHED, job_id=job_id, attempts=attempt.number)
        for attempt in (*self._unsure, *self._to_submit):
            self._finish(attempt.planned, ObjectState.UNFINISHED, attempts=attempt.number - 1)

    def _note_outage(self, error: CIError | None) -> None:
        """Go on waiting, unless the service has been away for too long.

        :raises CIError: the error itself, when it has.
        """
        now = time.monotonic()
        is_moving, self._moved_before = self._moved > self._moved_before, self._moved
        if is_moving:
            self._lost = None
        error = error or self._lost
        if error is None or is_moving or getattr(error, "code", "") == "QueueSaturated":
            self._outage_since = None
        if error is None:
            return
        self._outage_since = self._outage_since or now
        away = now - self._outage_since
        if away > self._batch.outage_seconds:
            raise error
        log.warning("batch %s waits for the service (%.0f s so far): %s", self._batch.batch_id, away, error)

    def _wait_seconds(self) -> float:
        return self._pace.wait_seconds(
            pending=len(self._in_flight),
            finished=self._finished - self._report.count(ObjectState.SKIPPED),
            elapsed_seconds=time.monotonic() - self._started,
        )

    def _finish(
        self,
        planned: PlannedJob,
        state: ObjectState,
        *,
        job_id: str | None = None,
        error: CIError | ValueError | None = None,
        attempts: int = 0,
    ) -> None:
        said = error if isinstance(error, CIServiceError) else None
        self._add(
            ObjectVerdict(
                key=planned.key,
                state=state,
                output_key=planned.output_key,
                job_id=job_id,
                code=said.code if said else "",
                message=said.message if said else str(error or ""),
                request_id=said.request_id if said else "",
                attempts=attempts,
            )
        )

    def _add(self, verdict: ObjectVerdict) -> None:
        self._finished += 1
        self._moved += 1
        self._report.add(verdict)

    def _tell_progress(self) -> None:
        if self._batch.progress is not None:
            self._batch.progress(
                Progress(
                    total=self._total,
                    finished=self._finished,
                    failed=self._report.count(ObjectState.FAILED),
                    in_flight=len(self._in_flight),
                    skipped=self._report.count(ObjectState.SKIPPED),
                    seconds=time.monotonic() - self._started,
                )
            )
