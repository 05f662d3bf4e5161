"""The loop of a run: submit, find, wait, until every object of the plan has its result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from airflow_provider_ci.batch.errors import (
    BatchStoppedError,
    WholeBatchError,
    concerns_batch,
    concerns_one_object,
    is_worth_waiting,
)
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.state import (
    Attempt,
    BatchState,
    RunningJob,
    followed_line,
    running_line,
    unconfirmed_line,
    waiting_line,
)
from airflow_provider_ci.batch.limits import EarlyStop
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject
from airflow_provider_ci.batch.progress import Progress
from airflow_provider_ci.batch.results import (
    RETRYABLE_JOB_CODES,
    ObjectResult,
    ObjectState,
    result_of_decision,
    result_of_job,
    result_without_job,
)
from airflow_provider_ci.batch.run.adopt import adopt, adopt_unrecorded
from airflow_provider_ci.batch.run.allowance import Allowance
from airflow_provider_ci.batch.run.canary import Canary
from airflow_provider_ci.batch.run.following import Following
from airflow_provider_ci.batch.run.submit import Outcome, Submitter, Unconfirmed
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import CIClient, CIError, Job, JobState, NotFoundError
from airflow_provider_ci.jobs.outage import Outage
from airflow_provider_ci.jobs.queue_pause import PauseWatch
from airflow_provider_ci.jobs.submit import EXPIRY_SLACK_SECONDS
from airflow_provider_ci.jobs.watch import JobsInFlight

log = logging.getLogger(__name__)

_ROUND = 1000
"""Maximum number of submissions in one round."""
_PASSED_OVER = 10_000
"""Maximum number of objects without a job that one round passes over."""
_REFILL_SHARE = 10
"""The window is filled again when a tenth of it is free: few large blocks instead of many small ones."""
_FOLLOW_WINDOW = 10_000
"""Maximum number of outputs of other batches that are followed at the same time."""
_STOP_CHECK_SECONDS = 0.5
_SHORT_RUN_SECONDS = 15.0
"""A run that is younger need not write its block at once."""


class Loop:
    """Carries a plan on from the state in its journal.

    :param submits: whether new jobs are submitted; otherwise the loop only waits for jobs that run.
    :param is_late: whether the time of the batch is up.
    """

    def __init__(
        self,
        settings: BatchSettings,
        journal: Journal,
        state: BatchState,
        lease: Lease,
        executor: ThreadPoolExecutor,
        submitter: Submitter,
        following: Following,
        *,
        outputs_client: CIClient,
        is_late: Callable[[], bool],
        submits: bool = True,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._lease = lease
        self._executor = executor
        self._submitter = submitter
        self._following = following
        self._outputs_client = outputs_client
        self._is_late = is_late
        self.state = state
        self._inherited = frozenset(state.running)
        self._allowance = Allowance(settings.max_jobs, journal.plan.header.jobs_before)
        self._canary = Canary.of_plan(settings, journal.plan.header)
        self._early_stop = EarlyStop.parse(settings.stop_early)
        self._pace = replace(settings.pace)
        self._watch = JobsInFlight(settings.client, submitter.job_type, submitter.listed_queue_id)
        self._pauses = PauseWatch(
            settings.client,
            submitter.job_type,
            limit_seconds=settings.outage_seconds,
            every_seconds=max(self._pace.longest, 1.0),
            queue_id=submitter.listed_queue_id,
        )
        self._outage = Outage(settings.batch_id, limit_seconds=settings.outage_seconds)
        self._planned = journal.plan.objects(state.next_index)
        self._is_exhausted = state.next_index >= journal.plan.header.total
        self._is_closed = not submits
        self.stopped_early = False
        self._moved = 0  # submissions taken, and objects finished
        self._began = time.monotonic()
        self._earlier = state.finished
        self._skipped = 0
        self._failed_jobs = 0
        self._ended_jobs = 0
        self._has_submitted = False
        self._last_wait = self._pace.shortest

    # What the session asks for

    def adopt_unrecorded(self) -> None:
        """Adopt the jobs that a run before this one submitted without recording them."""
        unrecorded = adopt_unrecorded(
            self._submitter,
            self.state,
            upcoming=lambda: self._journal.plan.objects(self.state.next_index),
        )
        while unrecorded.by_index and (planned := self._next_planned()):
            if planned.index in unrecorded.by_index:
                adopt(self.state, planned, *unrecorded.by_index.pop(planned.index))
            else:
                self._touch(planned)
        self._inherited = frozenset(self.state.running)
        self._journal.write_checkpoint(self.state)

    def to_end(self, *, patience: float | None = None) -> bool:
        """Go on until every object has its result.

        :param patience: seconds after which it returns once it could only wait.
        :returns: whether nothing is in flight; otherwise the jobs in flight are in the state.
        :raises BatchStoppedError: the batch was asked to stop.
        :raises BatchRunningError: another run of the batch has taken over.
        :raises WholeBatchError: the bucket, the queue or a permission makes every object fail.
        :raises CIError: the service refused the whole batch, or was unavailable for too long.
        """
        while self.has_work:
            if self._is_late():
                log.error("time limit reached: batch %s", self._settings.batch_id)
                self._try(self._collect)
                return True
            # Each step is tried by itself: a full queue must not keep the run from seeing its jobs end.
            steps = (self._submit, self._find_unconfirmed, self._collect, self._follow, self._journal.publish)
            problems = [self._try(step) for step in steps]
            self._outage.note(next(filter(None, problems), None), moved=self._moved)
            self._tell_progress()
            if not self.has_work or (self._has_room_and_more and self._outage.is_over):
                continue
            is_patient = patience is None or time.monotonic() - self._began < patience
            if not is_patient and self._may_leave:
                return False
            self._sleep(self._wait_seconds())
        return True

    @property
    def has_work(self) -> bool:
        """Whether anything is in flight or may still be submitted."""
        is_open = bool(self.state.waiting or not self._is_exhausted) and not self.stop_reason
        followed = bool(self.state.followed) and not self._is_closed
        return bool(self.state.in_flight) or followed or (not self._is_closed and is_open)

    @property
    def is_complete(self) -> bool:
        """Whether no job of the batch is left in the service, and no later run may do the rest."""
        return not self.state.in_flight and not self.stop_reason

    @property
    def stop_reason(self) -> str:
        """Why nothing more is submitted although something is left; empty if nothing forbids it."""
        if self._is_closed:
            return ""
        if self._canary.has_failed(self.state):
            return self._canary.reason(self.state)
        return self._allowance.reason if self._allowance.is_spent(self.state) else ""

    def remaining(self) -> Iterator[ObjectResult]:
        """Results for the objects that have none in the journal."""
        for found in self.state.running.values():
            yield result_without_job(
                found.attempt.planned,
                ObjectState.UNFINISHED,
                job_id=found.job_id,
                attempts=found.attempt.number,
            )
        for attempt in (*self.state.unconfirmed, *self.state.waiting):
            yield result_without_job(attempt.planned, ObjectState.UNFINISHED, attempts=attempt.number - 1)
        for planned in self.state.followed.values():
            yield result_without_job(planned, ObjectState.UNFINISHED)
        for planned in self._journal.plan.objects(self.state.next_index):
            if planned.index not in self.state.done_ahead:
                yield result_of_decision(planned) or result_without_job(planned, ObjectState.UNFINISHED)

    # One round

    def _try(self, step: Callable[[], None]) -> CIError | None:
        """Take a step; an error that is worth waiting for is returned, not raised."""
        try:
            self._lease.check()
            step()
        except CIError as error:
            if not is_worth_waiting(error):
                raise
            return error
        finally:
            self.raise_if_stopped()
        return None

    def _submit(self) -> None:
        self._has_submitted = False
        if self._is_closed:
            return
        if self._journal.is_checkpoint_due:
            self._journal.write_checkpoint(self.state)
        room = self._room
        attempts = self._take(min(room, _ROUND)) if room else []
        attempts = self._allowance.granted(attempts, self.state)
        if attempts:
            self._submit_round(attempts)

    def _submit_round(self, attempts: list[Attempt]) -> None:
        look_back_to = self.state.newest_job or datetime.fromtimestamp(
            self._journal.plan.header.jobs_not_before, timezone.utc
        )
        lines: list[dict[str, Any]] = []
        put_back: list[Attempt] = []
        refusals: list[CIError] = []
        submitting = self._submitter.submit_all(attempts, self._executor, may_continue=self._may_continue)
        for attempt, outcome in submitting:
            if isinstance(outcome, Job):
                self._has_submitted = True
                self.state.add_job(attempt, outcome.job_id, outcome.created_at)
                lines.append(running_line(self.state.running[outcome.job_id]))
                self._moved += 1
            elif isinstance(outcome, Unconfirmed):
                self._outage.lost = outcome.error
                self.state.unconfirmed.append(attempt.unconfirmed(look_back_to, outcome.expires_at))
                lines.append(unconfirmed_line(self.state.unconfirmed[-1]))
            elif outcome is not None and concerns_one_object(outcome):
                self._finish(
                    result_without_job(
                        attempt.planned, ObjectState.FAILED, error=outcome, attempts=attempt.number
                    ),
                    is_pressing=True,
                )
            else:
                put_back.append(attempt)
                refusals += _refusal(outcome)
        self.state.waiting.extendleft(reversed(put_back))
        if lines:
            self._record(lines)
        if refusals:
            raise next((error for error in refusals if not is_worth_waiting(error)), refusals[0])

    def _record(self, lines: list[dict[str, Any]]) -> None:
        lines += map(waiting_line, self.state.waiting)
        lines += map(followed_line, self.state.followed.values())
        # The block of a run that is about to end costs a request for nothing. If the run dies before it is
        # written, the next one finds the jobs in the service's listing.
        is_young = time.monotonic() - self._began < _SHORT_RUN_SECONDS
        is_young = is_young and self._settings.max_jobs is None  # its count must be exact
        self._journal.add_block(
            self.state.next_index, lines, is_deferrable=is_young and self._is_exhausted and len(lines) <= 100
        )

    def _find_unconfirmed(self) -> None:
        """Adopt jobs whose response was lost; submit again once the service can no longer accept it."""
        if not self.state.unconfirmed:
            return
        looked_at = self._settings.client.clock.now()
        found = self._submitter.find(self.state.unconfirmed)
        unconfirmed, self.state.unconfirmed = self.state.unconfirmed, []
        for attempt in unconfirmed:
            if job := found.get(attempt):
                log.info("found job %s of %r, whose response was lost", job.job_id, attempt.planned.key)
                self.state.add_job(attempt, job.job_id, job.created_at)
                self._moved += 1
            elif looked_at <= attempt.expires_at + EXPIRY_SLACK_SECONDS:
                self.state.unconfirmed.append(attempt)
            else:
                self.state.waiting.append(attempt)

    def _collect(self) -> None:
        """Take ended jobs out of the window, but not while the window is being filled."""
        if self._has_submitted and not self._is_late():
            return
        pending = {job_id: found.created_at for job_id, found in self.state.running.items()}
        ended = self._watch.ended(pending)
        problems = [self._settle(self.state.running.pop(job.job_id), job) for job in ended]
        for job_id in self._watch.forgotten:
            if found := self.state.running.pop(job_id, None):
                self._settle_forgotten(found)
        self._pauses.look(self.state.running, is_moving=bool(ended))
        if self.state.asked_to_cancel and not self.state.running:
            self._journal.write_checkpoint(self.state)
            self._journal.forget_cancelling()
            self.state.asked_to_cancel = False
        self._stop_if_pointless()
        if problem := next(filter(None, problems), None):
            raise problem

    def _settle(self, found: RunningJob, job: Job) -> WholeBatchError | None:
        """Take an ended job out of the window; returns the error that ends the batch, if it is one.

        A job of an earlier run says nothing about the bucket as it is now: its object is submitted again.
        """
        attempt, planned = found.attempt, found.attempt.planned
        is_failed = job.state is JobState.FAILED
        if is_failed and concerns_batch(job.code, job.message):
            if planned.decision is Decision.SHARED:
                self.state.followed[planned.index] = planned
            else:
                self.state.waiting.append(attempt.next())
            if attempt.is_adopted or job.job_id in self._inherited:
                return None
            return WholeBatchError(self._settings.batch_id, job.code, job.message, planned.key)
        is_retryable = is_failed and job.code in RETRYABLE_JOB_CODES
        was_cancelled = job.state is JobState.CANCEL
        if planned.decision is Decision.SHARED and (is_retryable or was_cancelled):
            self.state.followed[planned.index] = planned  # the other batch decides whether to retry it
        elif (is_retryable and attempt.number < self._settings.object_attempts) or (
            was_cancelled and self.state.asked_to_cancel
        ):
            self.state.waiting.append(attempt.next())
        else:
            self._count_job(is_failed=is_failed)
            self._finish(result_of_job(planned, job, attempts=attempt.number))
        return None

    def _settle_forgotten(self, found: RunningJob) -> None:
        """Decide by the output about a job that the service no longer knows (it keeps jobs for a month)."""
        planned = found.attempt.planned
        if self._is_output_newer(planned, found.created_at):
            self._count_job(is_failed=False)
            self._finish(
                result_without_job(
                    planned, ObjectState.SUCCEEDED, job_id=found.job_id,
                    message="the service no longer knows the job; its output is there",
                )
            )  # fmt: skip
        else:
            log.warning("job %s of %r is unknown to the service; submitting again", found.job_id, planned.key)
            self.state.waiting.append(found.attempt.next())

    def _is_output_newer(self, planned: PlannedObject, created_at: datetime | None) -> bool:
        try:
            written = self._outputs_client.head_object(planned.output).last_modified
        except NotFoundError:
            return False
        begin = int(self._journal.plan.header.jobs_not_before)
        return written.timestamp() >= (begin if created_at is None else int(created_at.timestamp()))

    def _follow(self) -> None:
        """Take over the new results of other batches."""
        if not self.state.followed or self._is_closed or not self._following.is_due:
            return
        for found in self._following.resolve(self.state.followed):
            index = found.planned.index
            del self.state.followed[index]
            if found.result is not None:
                self._skipped += found.result.is_good
                self._finish(found.result, is_pressing=True)
            elif found.job is not None:
                self.state.add_job(found.job.attempt, found.job.job_id, found.job.created_at)
            else:
                self.state.waiting.append(Attempt(planned=found.planned))

    def _stop_if_pointless(self) -> None:
        if self._is_closed or not self._early_stop.applies(self._failed_jobs, self._ended_jobs):
            return
        log.error(
            "%d of %d finished objects failed, so nothing more is submitted (stop_early): batch %s",
            self._failed_jobs,
            self._ended_jobs,
            self._settings.batch_id,
        )
        self._is_closed = self.stopped_early = True

    def _count_job(self, *, is_failed: bool) -> None:
        self._ended_jobs += 1
        self._failed_jobs += is_failed

    # Its parts

    @property
    def _failed(self) -> int:
        return self.state.counts[ObjectState.FAILED] + self.state.counts[ObjectState.CANCELLED]

    @property
    def _room(self) -> int:
        """How many jobs may be submitted now."""
        in_flight = self.state.in_flight
        room = self._settings.max_in_flight - in_flight
        return room if room * _REFILL_SHARE >= self._settings.max_in_flight or not in_flight else 0

    @property
    def _has_room_and_more(self) -> bool:
        if self._is_closed or self.stop_reason:
            return False
        can_touch = not self._is_exhausted and len(self.state.followed) < _FOLLOW_WINDOW
        can_touch = can_touch and not self._canary.holds(self.state)
        return (bool(self.state.waiting) or can_touch) and self._room > 0

    @property
    def _may_leave(self) -> bool:
        """Whether the run could only wait for jobs to end, of its own or of others."""
        if self.state.followed and self._following.is_undecided:
            return False
        is_waiting = bool(self.state.running or self.state.followed) and not self._has_room_and_more
        return not self.state.unconfirmed and (is_waiting or self._outage.is_full_queue)

    def _may_continue(self) -> bool:
        return self._lease.is_held and not self._settings.is_stopped() and not self._is_late()

    def _take(self, room: int) -> list[Attempt]:
        """The next submissions: objects that wait, then the plan. Objects without a job are passed over."""
        waiting, passed_over = self.state.waiting, 0
        while len(waiting) < room and passed_over < _PASSED_OVER:
            if len(self.state.followed) >= _FOLLOW_WINDOW or self._canary.holds(self.state):
                break
            planned = self._next_planned()
            if planned is None:
                break
            self._touch(planned)
            passed_over += planned.decision is not Decision.SUBMIT
        return [waiting.popleft() for _ in range(min(room, len(waiting)))]

    def _touch(self, planned: PlannedObject) -> None:
        result = result_of_decision(planned)
        if result is not None:
            self._skipped += result.is_good
            self._finish(result, is_pressing=True)
        elif planned.decision is Decision.SHARED:
            self.state.followed[planned.index] = planned
        elif planned.decision is Decision.ADOPTED:
            created_at = datetime.fromisoformat(planned.details["created_at"])
            self.state.add_job(Attempt(planned=planned), planned.details["job_id"], created_at)
        else:
            self.state.waiting.append(Attempt(planned=planned))

    def _next_planned(self) -> PlannedObject | None:
        """The next object of the plan; if it cannot be read now, the next try reads it again."""
        try:
            for planned in self._planned:
                self.state.next_index = planned.index + 1
                if planned.index not in self.state.done_ahead:
                    return planned
                self.state.done_ahead.remove(planned.index)
        except CIError:
            self._planned = self._journal.plan.objects(self.state.next_index)
            raise
        self._is_exhausted = True
        return None

    def _finish(self, result: ObjectResult, *, is_pressing: bool = False) -> None:
        self._moved += 1
        self.state.count(result)
        self._journal.add_result(result, is_pressing=is_pressing)

    def raise_if_stopped(self) -> None:
        """Return if the batch was not asked to stop.

        :raises BatchStoppedError: the batch was asked to stop; the error carries the jobs in flight.
        """
        if self._settings.is_stopped():
            raise BatchStoppedError(self._settings.batch_id, self.own_jobs())

    def own_jobs(self) -> list[str]:
        """Ids of the running jobs that this batch submitted."""
        return [job_id for job_id, found in self.state.running.items() if not found.attempt.is_adopted]

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.raise_if_stopped()
            time.sleep(min(left, _STOP_CHECK_SECONDS))

    def _wait_seconds(self) -> float:
        if not self._has_submitted:  # then this round has looked
            self._last_wait = self._pace.wait_seconds(
                pending=len(self.state.running),
                finished=self.state.finished - self._earlier - self._skipped,
                elapsed_seconds=time.monotonic() - self._began,
            )
        return self._last_wait

    def _tell_progress(self) -> None:
        if self._settings.progress is not None:
            self._settings.progress(
                Progress(
                    total=self._journal.plan.header.total,
                    finished=self.state.finished,
                    failed=self._failed,
                    in_flight=len(self.state.running),
                    skipped=self._skipped,
                    earlier=self._earlier,
                    seconds=time.monotonic() - self._began,
                )
            )


def _refusal(outcome: Outcome) -> list[CIError]:
    return [outcome] if isinstance(outcome, CIError) else []
