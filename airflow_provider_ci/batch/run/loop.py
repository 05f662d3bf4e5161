"""The loop of a run: it submits, finds lost jobs and waits, until every object of the plan has its result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from typing import Any

from airflow_provider_ci.batch.dispatch.adopt import adopt, adopt_unrecorded
from airflow_provider_ci.batch.dispatch.intake import Intake
from airflow_provider_ci.batch.dispatch.outcomes import Outcomes
from airflow_provider_ci.batch.dispatch.submit import Outcome, Submitter, Unconfirmed
from airflow_provider_ci.batch.dispatch.watching import JobWatches
from airflow_provider_ci.batch.errors import BatchStoppedError, concerns_one_object, is_worth_waiting
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.state import (
    Attempt,
    BatchState,
    blocked_line,
    followed_line,
    running_line,
    unconfirmed_line,
    waiting_line,
)
from airflow_provider_ci.batch.limits import EarlyStop
from airflow_provider_ci.batch.progress import Progress
from airflow_provider_ci.batch.results import (
    ObjectResult,
    ObjectState,
    result_of_decision,
    result_without_job,
)
from airflow_provider_ci.batch.run.allowance import Allowance
from airflow_provider_ci.batch.run.canary import Canary
from airflow_provider_ci.batch.run.others.following import Following
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import CIClient, CIError, Job
from airflow_provider_ci.jobs.outage import Outage
from airflow_provider_ci.jobs.submit import EXPIRY_SLACK_SECONDS

log = logging.getLogger(__name__)

_ROUND = 1000
"""Maximum number of submissions in one round."""
_REFILL_SHARE = 10
"""The window is filled again when a tenth of it is free, to write few large blocks instead of many small."""
_STOP_CHECK_SECONDS = 0.5
_SHORT_RUN_SECONDS = 15.0
"""Age of a run, in seconds, up to which it need not write its block at once."""


class Loop:
    """Carries out a plan from the state in its journal.

    :param submits: whether new jobs are submitted; otherwise the loop only waits for jobs in flight.
    :param is_late: returns whether the time limit of the batch has passed.
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
        self._is_late = is_late
        self.state = state
        self._allowance = Allowance(settings.max_jobs, journal.plan.header.jobs_before)
        self._canary = Canary.of_plan(settings, journal)
        self._outcomes = Outcomes(settings, journal, state, outputs_client)
        self._intake = Intake(journal.plan, state, self._outcomes, is_held=self._canary.holds)
        self._early_stop = EarlyStop.parse(settings.stop_early)
        self._pace = replace(settings.pace)  # a copy: a pace has state, and several runs share the settings
        self._watches = JobWatches(
            settings.client,
            submitter.queues,
            pause_seconds=settings.outage_seconds,
            every_seconds=max(self._pace.longest, 1.0),
        )
        self._outage = Outage(settings.batch_id, limit_seconds=settings.outage_seconds)
        self._is_closed = not submits
        self.stopped_early = False
        self._began = time.monotonic()
        self._earlier = state.finished
        self._has_submitted = False
        self._unsure = 0
        """Number of the next submissions that a dead run may already have made without recording them."""
        self._last_wait = self._pace.shortest

    # What the session calls

    def adopt_unrecorded(self) -> None:
        """Adopt the jobs that an earlier run submitted without recording them."""
        unrecorded = adopt_unrecorded(
            self._submitter,
            self.state,
            upcoming=lambda: self._journal.plan.objects(self.state.next_index),
        )
        while unrecorded.by_index or self._intake.is_within_object:
            planned = self._intake.next_planned()
            if planned is None:
                break
            if planned.index in unrecorded.by_index:
                adopt(self.state, planned, *unrecorded.by_index.pop(planned.index))
                self._intake.note_open(planned)
            else:
                self._intake.touch(planned)
        self._outcomes.release()
        self._outcomes.inherited = frozenset(self.state.running)
        # A block follows each round of submissions, so a dead run may have sent one round without a record.
        self._unsure = _ROUND
        self._journal.write_checkpoint(self.state)

    def to_end(self, *, patience: float | None = None) -> bool:
        """Run until every object has its result.

        :param patience: seconds after which the loop returns if it can only wait; None for no limit.
        :returns: False if the loop returned because it could only wait; the state has the jobs in flight.
        :raises BatchStoppedError: the batch was asked to stop.
        :raises BatchRunningError: another run of the batch has taken over.
        :raises WholeBatchError: the bucket, the queue or a permission makes every object fail.
        :raises CIError: the service refused the whole batch, or was unavailable for too long.
        """
        self._outcomes.release()
        while self.has_work:
            if self._is_late():
                log.error("time limit reached: batch %s", self._settings.batch_id)
                # Collect once more, so that the report holds the jobs that have ended by now.
                self._try(self._collect)
                return True
            # Each step is tried on its own: a full queue must not keep the run from seeing its jobs end.
            steps = (
                *(self._submit, self._find_unconfirmed, self._collect, self._follow),
                *(partial(self._canary.judge, self.state), self._journal.publish),
            )
            problems = [self._try(step) for step in steps]
            self._outage.note(next(filter(None, problems), None), moved=self._outcomes.moved)
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
        is_open = bool(self.state.waiting or not self._intake.is_exhausted) and not self.stop_reason
        followed = bool(self.state.followed) and not self._is_closed
        return bool(self.state.in_flight) or followed or (not self._is_closed and is_open)

    @property
    def is_complete(self) -> bool:
        """Whether no job is in flight, and no :attr:`stop_reason` leaves objects to a later run."""
        return not self.state.in_flight and not self.stop_reason

    @property
    def stop_reason(self) -> str:
        """Why nothing more is submitted although objects are left; empty if submitting is allowed."""
        if self._is_closed:
            return ""
        if self._canary.has_failed(self.state):
            return self._canary.reason
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
        # The service may not have taken an unconfirmed submission, so it is not counted.
        for attempt in (*self.state.unconfirmed, *self.state.waiting):
            yield result_without_job(attempt.planned, ObjectState.UNFINISHED, attempts=attempt.number - 1)
        for planned in (*self.state.followed.values(), *chain.from_iterable(self.state.blocked.values())):
            yield result_without_job(planned, ObjectState.UNFINISHED)
        for planned in self._intake.rest():
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
        # Check for a stop even after an error: a process being killed cannot wait for the end of an outage.
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
        attempts = self._intake.take(min(room, _ROUND)) if room else []
        if attempts and self._unsure > 0:
            self._unsure -= len(attempts)
            attempts = self._outcomes.finish_made(attempts)
        attempts = self._allowance.granted(attempts, self.state)
        if attempts:
            self._submit_round(attempts)

    def _submit_round(self, attempts: list[Attempt]) -> None:
        # Read before the round: no job of the round is older than the newest job that is known now.
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
                queue_id = self._submitter.queue_to_record(outcome)
                self.state.add_job(attempt, outcome.job_id, outcome.created_at, queue_id)
                lines.append(running_line(self.state.running[outcome.job_id]))
                self._outcomes.moved += 1
            elif isinstance(outcome, Unconfirmed):
                self._outage.lost = outcome.error
                self.state.unconfirmed.append(attempt.unconfirmed(look_back_to, outcome.expires_at))
                lines.append(unconfirmed_line(self.state.unconfirmed[-1]))
            elif outcome is not None and concerns_one_object(outcome):
                self._outcomes.finish(
                    result_without_job(
                        attempt.planned, ObjectState.FAILED, error=outcome, attempts=attempt.number
                    ),
                    is_pressing=True,
                )
            else:
                put_back.append(attempt)
                refusals += _refusal(outcome)
        # Put them back in front and in order, because they were the next ones.
        self.state.waiting.extendleft(reversed(put_back))
        if lines:
            self._record(lines)
        if refusals:
            # An error that ends the batch comes before errors that can be waited for.
            raise next((error for error in refusals if not is_worth_waiting(error)), refusals[0])

    def _record(self, lines: list[dict[str, Any]]) -> None:
        # A block also names touched lines without a job. Otherwise, the next run would think that their
        # records were lost.
        lines += map(waiting_line, self.state.waiting)
        lines += map(followed_line, self.state.followed.values())
        lines += self._newly_blocked()
        # If the run is about to end, its block would cost a needless request. If the run dies before the
        # block is written, the next run finds the jobs in the service's listing.
        is_young = time.monotonic() - self._began < _SHORT_RUN_SECONDS
        is_young = is_young and self._settings.max_jobs is None  # max_jobs needs an exact count
        self._journal.add_block(
            self.state.next_index,
            lines,
            is_deferrable=is_young and self._intake.is_exhausted and len(lines) <= 100,
        )

    def _newly_blocked(self) -> list[dict[str, Any]]:
        """The lines that began to wait for an earlier step after the last block."""
        found, self._intake.newly_blocked = self._intake.newly_blocked, []
        return [blocked_line(planned) for planned in found if self.state.is_blocked(planned)]

    def _find_unconfirmed(self) -> None:
        """Adopt jobs whose response was lost; submit the others again once their lost request has expired."""
        if not self.state.unconfirmed:
            return
        # Read the time before the listing: the listing proves that no job exists only if it was read after
        # the end of the signature.
        looked_at = self._settings.client.clock.now()
        found = self._submitter.find(self.state.unconfirmed)
        unconfirmed, self.state.unconfirmed = self.state.unconfirmed, []
        for attempt in unconfirmed:
            if job := found.get(attempt):
                log.info("found job %s of %r, whose response was lost", job.job_id, attempt.planned.key)
                queue_id = self._submitter.queue_to_record(job)
                self.state.add_job(attempt, job.job_id, job.created_at, queue_id)
                self._outcomes.moved += 1
            elif looked_at <= attempt.expires_at + EXPIRY_SLACK_SECONDS:
                self.state.unconfirmed.append(attempt)
            else:
                self.state.waiting.append(attempt)

    def _collect(self) -> None:
        """Take ended jobs out of the window, but not while the window is being filled."""
        if self._has_submitted and not self._is_late():
            return
        ended = self._watches.ended(self._submitter.watched(self.state.running))
        problems = [self._outcomes.settle(self.state.running.pop(job.job_id), job) for job in ended]
        for job_id in self._watches.forgotten:
            if found := self.state.running.pop(job_id, None):
                self._outcomes.settle_forgotten(found)
        self._submitter.note_queues(self._watches)
        self._watches.look_for_pauses()
        # The checkpoint comes first: a run that finds old records and no note would take these jobs for
        # jobs that a user cancelled, and would not submit their objects again.
        if self.state.asked_to_cancel and not self.state.running:
            self._journal.write_checkpoint(self.state)
            self._journal.forget_cancelling()
            self.state.asked_to_cancel = False
        self._stop_if_pointless()
        if problem := next(filter(None, problems), None):
            raise problem

    def _follow(self) -> None:
        """Take over the new results of other batches."""
        if not self.state.followed or self._is_closed or not self._following.is_due:
            return
        to_submit: list[Attempt] = []
        for found in self._following.resolve(self.state.followed):
            if self.state.followed.pop(found.planned.index, None) is None:
                continue  # an earlier step has failed in between
            if found.result is not None:
                self._outcomes.pass_over(found.result)
            elif found.job is not None:
                job = found.job
                self.state.add_job(job.attempt, job.job_id, job.created_at, job.queue_id)
            else:
                to_submit.append(Attempt(planned=found.planned))
        self._outcomes.enqueue(to_submit)

    def _stop_if_pointless(self) -> None:
        failed, ended = self._outcomes.failed_jobs, self._outcomes.ended_jobs
        if self._is_closed or not self._early_stop.applies(failed, ended):
            return
        log.error(
            "%d of %d finished objects failed, so nothing more is submitted (stop_early): batch %s",
            failed,
            ended,
            self._settings.batch_id,
        )
        self._is_closed = self.stopped_early = True

    # Details

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
        return (bool(self.state.waiting) or self._intake.can_go_on) and self._room > 0

    @property
    def _may_leave(self) -> bool:
        """Whether the run can only wait for jobs, its own or those of other batches."""
        # If the run left now, the next run would have to begin the watch of the other batch again.
        if self.state.followed and self._following.is_undecided:
            return False
        is_waiting = bool(self.state.running or self.state.followed) and not self._has_room_and_more
        return not self.state.unconfirmed and (is_waiting or self._outage.is_full_queue)

    def _may_continue(self) -> bool:
        return self._lease.is_held and not self._settings.is_stopped() and not self._is_late()

    def raise_if_stopped(self) -> None:
        """Raise an error if the batch was asked to stop.

        :raises BatchStoppedError: the batch was asked to stop; the error carries the jobs in flight.
        """
        if self._settings.is_stopped():
            raise BatchStoppedError(self._settings.batch_id, self.own_jobs())

    def own_jobs(self) -> list[str]:
        """Ids of the running jobs that this batch submitted."""
        # A stop of this batch must not cancel jobs that other programs have submitted.
        return [job_id for job_id, found in self.state.running.items() if not found.attempt.is_adopted]

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.raise_if_stopped()
            time.sleep(min(left, _STOP_CHECK_SECONDS))

    def _wait_seconds(self) -> float:
        if not self._has_submitted:  # this round has read the states of the jobs
            self._last_wait = self._pace.wait_seconds(
                pending=len(self.state.running),
                finished=self.state.finished - self._earlier - self._outcomes.skipped,
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
                    skipped=self._outcomes.skipped,
                    earlier=self._earlier,
                    seconds=time.monotonic() - self._began,
                )
            )


def _refusal(outcome: Outcome) -> list[CIError]:
    return [outcome] if isinstance(outcome, CIError) else []
