"""Waits for the jobs of a batch without running the batch, as a trigger does between two windows."""

from __future__ import annotations

import logging
import time

from airflow_provider_ci.batch.dispatch.queues import Queues
from airflow_provider_ci.batch.dispatch.watching import JobWatches, Watched
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.lease import PARKED_SECONDS
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan, read_plan
from airflow_provider_ci.batch.registry.heartbeat import Heartbeat
from airflow_provider_ci.client import CIClient, CIError
from airflow_provider_ci.jobs.cancel import cancel_waiting
from airflow_provider_ci.jobs.kinds import type_of_tag
from airflow_provider_ci.jobs.watch import Pace

log = logging.getLogger(__name__)

_RETURN_SHARE = 4
"""A batch with more to submit is resumed once its jobs in flight are down to the window divided by this."""
# Four heartbeats in a row may fail before other batches consider this batch dead.
_BEAT_SECONDS = PARKED_SECONDS / 5


class BatchWatch:
    """Watches the jobs in flight that a batch has recorded in its ledger, without running the batch.

    :param folder: folder of the batch, with its ``/`` at the end.
    :param claim: token of the claim that stays in place while the batch waits; ``""`` without a claim.
    :param pause_seconds: maximum time to wait for a paused queue, in seconds.
    """

    def __init__(
        self, client: CIClient, folder: str, *, pace: Pace, pause_seconds: float, claim: str = ""
    ) -> None:
        self._client = client
        self._pace = pace
        self._began = time.monotonic()
        self._beaten = self._began
        self._heartbeat = Heartbeat(client, folder, claim) if claim else None
        self._finished = 0
        self._created: dict[str, Watched] = {}
        self._adopted: set[str] = set()
        self._enough = 0
        self._details: dict[str, object] = {}
        plan = read_plan(client, folder)
        self._journal = Journal(client=client, plan=plan) if plan else None
        if plan is not None and self._journal is not None:
            self._load(plan, self._journal, pause_seconds)
        self._had_jobs = bool(self._created)

    def _load(self, plan: StoredPlan, journal: Journal, pause_seconds: float) -> None:
        state = journal.read_state()
        header = plan.header
        types = {str(step["name"]): type_of_tag(step["tag"]) for step in header.all_steps}
        self._created = {
            job_id: Watched(types[found.attempt.planned.step], found.queue_id, found.created_at)
            for job_id, found in state.running.items()
        }
        self._adopted = {job_id for job_id, found in state.running.items() if found.attempt.is_adopted}
        has_more = (
            bool(state.waiting or state.followed or state.blocked) or state.next_index < plan.header.total
        )
        # The rest of the window keeps the queue busy while a worker starts.
        self._enough = len(self._created) // _RETURN_SHARE if has_more else 0
        self._details = {**journal.proof, "total": plan.header.total}
        by_tag = {job_type.tag: job_type for job_type in types.values()}
        self._jobs = JobWatches(
            self._client,
            Queues(self._client, tuple(by_tag.values()), header.all_queue_ids),
            pause_seconds=pause_seconds,
            every_seconds=self._pace.longest,
        )

    @property
    def pending(self) -> int:
        """Number of jobs that are not known to have ended."""
        return len(self._created)

    @property
    def is_due(self) -> bool:
        """Whether the batch should be resumed."""
        if not self._had_jobs:  # the batch waits for another one, or for room in the queue
            return time.monotonic() - self._began >= self._pace.longest
        return self.pending <= self._enough

    def look(self) -> None:
        """Read the states of the jobs; if the service is unavailable, the next call tries again.

        :raises QueueStaysPausedError: the queue has been paused for too long.
        """
        try:
            self._beat()
            if not self._created:
                return
            ended = self._jobs.ended(self._created)
            for job_id in (*(job.job_id for job in ended), *self._jobs.forgotten):
                self._created.pop(job_id, None)
            self._finished += len(ended)
            self._jobs.look_for_pauses()
        except CIError as error:
            # A trigger may wait for hours, and an outage in that time must not fail the task.
            if not error.is_retryable:
                raise
            log.warning("the service is unavailable, still waiting: %s", error)

    def wait_seconds(self) -> float:
        """Seconds to wait before the next :meth:`look`."""
        if not self._had_jobs:
            return self._pace.longest
        return self._pace.wait_seconds(
            pending=self.pending, finished=self._finished, elapsed_seconds=time.monotonic() - self._began
        )

    def cancel(self) -> None:
        """Cancel the jobs that have not begun; the next run of the batch submits their objects again."""
        own = [job_id for job_id in self._created if job_id not in self._adopted]
        if own and self._journal is not None:
            # Write the note first: without it, the next run does not know that this batch cancelled the jobs.
            self._journal.note_cancelling()
            cancel_waiting(self._client, own)

    def _beat(self) -> None:
        """Keep the claim of the waiting batch valid."""
        if self._heartbeat is None or time.monotonic() - self._beaten < _BEAT_SECONDS:
            return
        self._beaten = time.monotonic()
        self._heartbeat.beat(
            seconds=PARKED_SECONDS,
            is_parked=True,
            # Each heartbeat replaces the one before, so it has to repeat the proof of the clean end.
            details=self._details,
            expires_at=self._client.clock.now() + 60,
        )
