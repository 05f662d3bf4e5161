"""The queues of a batch; the next job goes to the queue in which it will probably wait least."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.jobs.kinds import JobType, all_queue_ids, default_queue_id

log = logging.getLogger(__name__)

_HALF_LIFE_SECONDS = 60.0
"""Half-life of the measured speed of a queue: a job that ended this long ago counts half."""
_REST_SECONDS = 10.0
"""Seconds for which a queue that refused a job gets no other job, while another queue takes jobs."""


class Queues:
    """The queues to submit jobs to and to list jobs from, for each type of job.

    :param queue_ids: the queues that the user named; empty for the service's default queue.
    :raises ValueError: there are several types of jobs, and a queue serves none of them.
    """

    def __init__(self, client: CIClient, types: Sequence[JobType], queue_ids: Sequence[str] = ()) -> None:
        self._client = client
        self._by_tag = _by_tag(client, types, queue_ids)
        self._default: dict[str, str | None] = {}

    def to_submit(self, job_type: JobType) -> tuple[str | None, ...]:
        """The queues that take jobs of this type; None is the default queue."""
        return self._by_tag[job_type.tag] or (None,)

    def to_list(self, job_type: JobType) -> tuple[str | None, ...]:
        """The queues whose jobs are listed; None lists the jobs of all queues."""
        tag = job_type.tag
        if not self._by_tag[tag] and tag not in self._default:
            # Without a queue id, the service lists the jobs of all queues, including those of other programs.
            self._default[tag] = default_queue_id(self._client, job_type)
        return self._by_tag[tag] or (self._default[tag],)

    def of_job(self, job_type: JobType, queue_id: str) -> str | None:
        """The queue in which to look for a job."""
        queues = self.to_list(job_type)
        # Records name the queue only in batches with several queues.
        return queue_id if queue_id in queues else queues[0]


def _by_tag(
    client: CIClient, types: Sequence[JobType], queue_ids: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    # With one type of job, every queue is for this type, and the service itself refuses a wrong queue.
    if len(types) == 1 or not queue_ids:
        return {job_type.tag: tuple(queue_ids) for job_type in types}
    known = {job_type.tag: all_queue_ids(client, job_type) for job_type in types}
    strange = [each for each in queue_ids if not any(each in ids for ids in known.values())]
    if strange:
        raise ValueError(
            f"queue_ids: {', '.join(map(repr, strange))} is not a queue of the bucket for "
            f"{' or '.join(known)} jobs; the steps of this batch need one of these"
        )
    return {tag: tuple(each for each in queue_ids if each in ids) for tag, ids in known.items()}


class QueueShares:
    """Divides the jobs of one type among its queues: each job goes where it will probably end first.

    :param now: reads a steady clock, in seconds.
    """

    def __init__(self, queues: Sequence[str | None], *, now: Callable[[], float] = time.monotonic) -> None:
        self._queues = tuple(queues)
        self._now = now
        self._began = self._drained_at = now()
        self._in_flight = dict.fromkeys(self._queues, 0)
        self._drained = dict.fromkeys(self._queues, 0.0)
        self._resting: dict[str | None, float] = {}
        self._lock = Lock()  # several threads submit at the same time

    def note_state(self, in_flight: Mapping[str | None, int], ended: Mapping[str | None, int]) -> None:
        """Note how many jobs are in each queue, and how many ended since the last call."""
        with self._lock:
            now = self._now()
            fade = 0.5 ** ((now - self._drained_at) / _HALF_LIFE_SECONDS)
            self._drained_at = now
            for queue in self._queues:
                self._in_flight[queue] = in_flight.get(queue, 0)
                self._drained[queue] = self._drained[queue] * fade + ended.get(queue, 0)

    def take(self) -> str | None:
        """The queue for one more job."""
        if len(self._queues) == 1:
            return self._queues[0]
        with self._lock:
            now = self._now()
            open_queues = [queue for queue in self._queues if self._resting.get(queue, 0.0) <= now]
            chosen = min(open_queues or self._queues, key=self._wait_of)
            self._in_flight[chosen] += 1
            return chosen

    def give_back(self, queue: str | None, *, is_refused: bool) -> None:
        """Note that a queue did not take a job; a queue that refused a job rests for some seconds."""
        with self._lock:
            self._in_flight[queue] = max(0, self._in_flight.get(queue, 0) - 1)
            if is_refused and len(self._queues) > 1:
                self._resting[queue] = self._now() + _REST_SECONDS

    @property
    def has_open_queue(self) -> bool:
        """Whether at least one of several queues is not resting."""
        now = self._now()
        return len(self._queues) > 1 and any(self._resting.get(queue, 0.0) <= now for queue in self._queues)

    def _wait_of(self, queue: str | None) -> float:
        """The expected wait of a new job in a queue, in a unit that is the same for all queues.

        Each queue counts one ended job more than it had, so that a queue without ended jobs gets jobs, too.
        """
        return (self._in_flight[queue] + 1) / (self._drained[queue] + 1)
