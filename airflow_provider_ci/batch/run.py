"""One run of a batch: submit, find, wait, until every object of the plan has its verdict."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_ci.batch.failures import (
    FailureLimit,
    is_about_one_object,
    waiting_may_heal,
)
from airflow_provider_ci.batch.kinds import kind_of_tag
from airflow_provider_ci.batch.lease import Lease
from airflow_provider_ci.batch.ledger import Ledger
from airflow_provider_ci.batch.outage import Outage
from airflow_provider_ci.batch.pauses import PauseWatch
from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.batch.progress import Progress
from airflow_provider_ci.batch.reconcile import (
    adopt_known,
    find_unnoted,
    forget_done,
    place_by_keys,
    take_up,
)
from airflow_provider_ci.batch.state import RunningJob, running_line, unsure_line, waiting_line
from airflow_provider_ci.batch.submit import Attempt, Outcome, Submitter
from airflow_provider_ci.batch.verdict import (
    TRANSIENT_CODES,
    ObjectState,
    ObjectVerdict,
    verdict_of_job,
    verdict_without_job,
)
from airflow_provider_ci.batch.watch import JobsInFlight
from airflow_provider_ci.client import CIError, Job, JobState, SubmissionUnknownError

if TYPE_CHECKING:
    from airflow_provider_ci.batch.engine import Batch

log = logging.getLogger(__name__)

_STOP_CHECK_SECONDS = 0.5
_ROUND = 1000
"""Submissions of a round, and with them the lines of a block, at most."""
_SKIPS = 10_000
"""Fresh objects that are passed over in a round, at most."""
_REFILL_SHARE = 10
"""The window is filled up when a tenth of it is free: few large blocks instead of many small ones."""


class Run:
    """Takes a batch on from the state that the ledger has.

    :param deadline: Unix time after which it goes no further.
    :param submits: whether new jobs are submitted; if not, it only waits for those that run.
    """

    def __init__(
        self,
        batch: Batch,
        ledger: Ledger,
        lease: Lease,
        executor: ThreadPoolExecutor,
        *,
        deadline: float,
        submits: bool = True,
    ) -> None:
        self._batch = batch
        self._ledger = ledger
        self._lease = lease
        self._executor = executor
        self._deadline = deadline
        self._kind = kind_of_tag(ledger.generation.tag)
        self._submitter = Submitter(
            client=batch.client,
            kind=self._kind,
            operation=batch.operation if submits else None,
            queue_id=batch.queue_id,
            job_level=batch.job_level,
            callback=batch.callback,
            output_bucket=batch.output_bucket,
            output_region=batch.output_region,
            token=ledger.generation.token,
            not_before=ledger.generation.newest_job_before,
            foreign_jobs=frozenset(ledger.generation.fence_jobs),
            expires_at=lambda: lease.expires_at,
        )
        self._limit = FailureLimit.parse(batch.max_failures)
        self._pace = replace(batch.pace)
        self._pauses = PauseWatch(
            batch.client,
            self._kind,
            limit_seconds=batch.outage_seconds,
            every_seconds=max(self._pace.longest, 1.0),
        )
        self.state = ledger.read_state()
        self.state.newest_job = self.state.newest_job or ledger.generation.newest_job_before
        self._watch = JobsInFlight(batch.client, self._kind)
        self._planned = ledger.planned(self.state.next_index)
        self._is_exhausted = self.state.next_index >= ledger.generation.total
        self._is_closed = not submits or not self._is_within_limit
        self._forgives_cancelling = ledger.has_cancelled()
        self._outage = Outage(batch.batch_id, limit_seconds=batch.outage_seconds)
        self._moved = 0  # submissions taken, and objects finished
        self._began = time.monotonic()
        self._earlier = self.state.finished
        self._skipped = 0
        self._has_submitted = False
        self._last_wait = self._pace.shortest

    # What the engine asks of it

    def reconcile(self) -> None:
        """Adopt the jobs that a run before this one submitted without noting them."""
        unnoted = find_unnoted(self._submitter, self.state)
        adopt_known(unnoted, self.state)
        forget_done(unnoted, self.state)
        place_by_keys(unnoted, self._ledger.planned(self.state.next_index))
        while unnoted.by_index and (planned := self._next_planned()):
            if planned.index in unnoted.by_index:
                take_up(self.state, planned, *unnoted.by_index.pop(planned.index))
            else:
                self._take_up(planned)
        self._ledger.write_checkpoint(self.state)

    def to_end(self, *, patience: float | None = None) -> bool:
        """Go on until every object has its verdict.

        :param patience: after so many seconds it returns once nothing is left but to wait.
        :returns: whether nothing is in flight any more; otherwise the jobs that are stand in the checkpoint.
        :raises BatchStoppedError: the batch was told to stop.
        :raises BatchRunningError: another run of the batch has taken over.
        :raises CIError: the service refused the whole batch, or was away for too long.
        """
        while self.has_work:
            if self.is_late:
                log.error("batch %s: its time is up", self._batch.batch_id)
                self._try(self._collect)
                return True
            # Each step is tried by itself: a full queue must not keep us from seeing its jobs end.
            problems = [self._try(step) for step in (self._submit, self._find_unsure, self._collect)]
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
        in_flight = bool(self.state.running or self.state.unsure)
        return in_flight or (not self._is_closed and bool(self.state.waiting or not self._is_exhausted))

    @property
    def _may_leave(self) -> bool:
        """Whether nothing is left but to wait for jobs to end, those of others in a full queue included."""
        is_waiting = bool(self.state.running) and not self._has_room_and_more
        return not self.state.unsure and (is_waiting or self._outage.is_full_queue)

    @property
    def is_late(self) -> bool:
        """Whether the batch's time is up."""
        return time.time() > self._deadline

    @property
    def is_complete(self) -> bool:
        """Whether no job of the batch is left in the service."""
        return not (self.state.running or self.state.unsure)

    def remaining(self) -> Iterator[ObjectVerdict]:
        """What stands in no result yet: objects in flight, and those that were not taken up."""
        for found in self.state.running.values():
            yield verdict_without_job(
                found.attempt.planned,
                ObjectState.UNFINISHED,
                job_id=found.job_id,
                attempts=found.attempt.number,
            )
        for attempt in (*self.state.unsure, *self.state.waiting):
            yield verdict_without_job(attempt.planned, ObjectState.UNFINISHED, attempts=attempt.number - 1)
        for planned in self._ledger.planned(self.state.next_index):
            if planned.index not in self.state.done_ahead:
                state = ObjectState.SKIPPED if planned.is_fresh else ObjectState.UNFINISHED
                yield verdict_without_job(planned, state)

    # One round

    def _try(self, step: Callable[[], None]) -> CIError | None:
        """Take a step; what waiting may heal is returned, not raised."""
        try:
            self._lease.check()
            step()
        except CIError as error:
            if not waiting_may_heal(error):
                raise
            return error
        finally:
            self._batch.heed_stop(self.state.running)
        return None

    def _submit(self) -> None:
        """Fill the window; what is refused for now goes back to the head of the line."""
        self._has_submitted = False
        self._ledger.flush()
        if self._ledger.is_checkpoint_due:
            self._ledger.write_checkpoint(self.state)
        room = self._room
        if self._is_closed or not room:
            return
        attempts = self._take(min(room, _ROUND))
        if attempts:
            self._submit_round(attempts)

    def _submit_round(self, attempts: list[Attempt]) -> None:
        look_back_to = self.state.newest_job
        lines: list[dict[str, Any]] = []
        put_back: list[Attempt] = []
        refusals: list[CIError] = []
        submitting = self._submitter.submit_all(attempts, self._executor, may_go_on=self._may_go_on)
        for attempt, outcome in submitting:
            if isinstance(outcome, Job):
                self._has_submitted = True
                self.state.take_up(attempt, outcome.job_id, outcome.created_at)
                lines.append(running_line(self.state.running[outcome.job_id]))
                self._moved += 1
            elif isinstance(outcome, SubmissionUnknownError):
                self._outage.lost = outcome
                self.state.unsure.append(attempt.lost_now(look_back_to))
                lines.append(unsure_line(self.state.unsure[-1]))
            elif outcome is not None and is_about_one_object(outcome):
                self._conclude(
                    verdict_without_job(
                        attempt.planned, ObjectState.FAILED, error=outcome, attempts=attempt.number
                    ),
                    is_pressing=True,
                )
            else:
                put_back.append(attempt)
                refusals += _problem(outcome)
        self.state.waiting.extendleft(reversed(put_back))
        if lines:
            lines += [waiting_line(attempt) for attempt in self.state.waiting]
            self._ledger.write_block(self.state.next_index, lines)
        if refusals:
            raise next((error for error in refusals if not waiting_may_heal(error)), refusals[0])

    def _find_unsure(self) -> None:
        """Adopt jobs whose answer was lost; submit again what the service never took."""
        looked_at = time.monotonic()
        found = self._submitter.find(self.state.unsure)
        unsure, self.state.unsure = self.state.unsure, []
        for attempt in unsure:
            if job := found.get(attempt):
                log.info("found job %s of %s, whose answer was lost", job.job_id, attempt.planned.key)
                self.state.take_up(attempt, job.job_id, job.created_at)
                self._moved += 1
            elif looked_at - attempt.lost_at < self._batch.settle_seconds:
                self.state.unsure.append(attempt)
            else:
                self.state.waiting.append(attempt)

    def _collect(self) -> None:
        """Take the jobs that have ended out of the window, but not while it is being filled."""
        if self._has_submitted and not self.is_late:
            return
        pending = {job_id: found.created_at for job_id, found in self.state.running.items()}
        ended = self._watch.ended(pending)
        for job in ended:
            self._settle(self.state.running.pop(job.job_id), job)
        self._pauses.look(self.state.running, is_moving=bool(ended))
        if self._forgives_cancelling:
            self._ledger.write_checkpoint(self.state)
            self._ledger.forget_cancelling()
            self._forgives_cancelling = False
        if not self._is_within_limit and not self._is_closed:
            log.error("batch %s: more objects failed than allowed; no more jobs", self._batch.batch_id)
            self._is_closed = True

    def _settle(self, found: RunningJob, job: Job) -> None:
        attempt = found.attempt
        is_transient = job.state is JobState.FAILED and job.code in TRANSIENT_CODES
        if (is_transient and attempt.number < self._batch.object_attempts) or (
            job.state is JobState.CANCEL and self._forgives_cancelling
        ):
            self.state.waiting.append(attempt.next())
        else:
            self._conclude(verdict_of_job(attempt.planned, job, attempts=attempt.number))

    # Its parts

    @property
    def _failed(self) -> int:
        return self.state.counts[ObjectState.FAILED] + self.state.counts[ObjectState.CANCELLED]

    @property
    def _is_within_limit(self) -> bool:
        return self._limit.allows(self._failed, self._ledger.generation.total)

    @property
    def _room(self) -> int:
        """How many jobs may be submitted now."""
        in_flight = len(self.state.running) + len(self.state.unsure)
        room = self._batch.max_in_flight - in_flight
        return room if room * _REFILL_SHARE >= self._batch.max_in_flight or not in_flight else 0

    @property
    def _has_room_and_more(self) -> bool:
        has_more = bool(self.state.waiting) or not self._is_exhausted
        return has_more and not self._is_closed and self._room > 0

    def _may_go_on(self) -> bool:
        return self._lease.is_held and not self._batch.is_stopped() and not self.is_late

    def _take(self, room: int) -> list[Attempt]:
        """The next submissions: what waits, then the plan. Fresh objects are passed over."""
        waiting, skipped_before = self.state.waiting, self._skipped
        while len(waiting) < room and self._skipped - skipped_before < _SKIPS:
            planned = self._next_planned()
            if planned is None:
                break
            self._take_up(planned)
        return [waiting.popleft() for _ in range(min(room, len(waiting)))]

    def _take_up(self, planned: PlannedJob) -> None:
        if planned.is_fresh:
            self._skipped += 1
            self._conclude(verdict_without_job(planned, ObjectState.SKIPPED), is_pressing=True)
        else:
            self.state.waiting.append(Attempt(planned=planned))

    def _next_planned(self) -> PlannedJob | None:
        """The next object of the plan; when it cannot be read for now, the next try reads it again."""
        try:
            for planned in self._planned:
                self.state.next_index = planned.index + 1
                if planned.index not in self.state.done_ahead:
                    return planned
                self.state.done_ahead.remove(planned.index)
        except CIError:
            self._planned = self._ledger.planned(self.state.next_index)
            raise
        self._is_exhausted = True
        return None

    def _conclude(self, verdict: ObjectVerdict, *, is_pressing: bool = False) -> None:
        self._moved += 1
        self.state.note_verdict(verdict)
        self._ledger.add_result(verdict, is_pressing=is_pressing)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._batch.heed_stop(self.state.running)
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
        if self._batch.progress is not None:
            self._batch.progress(
                Progress(
                    total=self._ledger.generation.total,
                    finished=self.state.finished,
                    failed=self._failed,
                    in_flight=len(self.state.running),
                    skipped=self._skipped,
                    earlier=self._earlier,
                    seconds=time.monotonic() - self._began,
                )
            )


def _problem(outcome: Outcome) -> list[CIError]:
    return [outcome] if isinstance(outcome, CIError) else []
