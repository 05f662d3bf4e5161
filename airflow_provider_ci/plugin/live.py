"""Counts the jobs of a waiting batch that have ended, although the batch has not collected them yet.

A deferred batch writes nothing until its task resumes. So its page asks the service itself: rarely, once for
all viewers, and only if a few requests cover the jobs in flight.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_ci.client import CIError
from airflow_provider_ci.jobs.in_flight import JobsInFlight
from airflow_provider_ci.jobs.kinds import type_of_tag
from airflow_provider_ci.plugin.ledger import Ledger

log = logging.getLogger(__name__)

EVERY_SECONDS = 15.0
MAX_JOBS = 2000
"""With more jobs in flight than this, the page shows only the numbers of the ledger."""
_KEPT = 64


@dataclass
class _Watch:
    """The jobs of a batch whose page is open."""

    jobs: JobsInFlight
    ended: set[str] = field(default_factory=set)
    asked_at: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_watches: OrderedDict[tuple[str, str, str], _Watch] = OrderedDict()
_lock = threading.Lock()


def count_ended(ledger: Ledger) -> int:
    """The number of the ledger's jobs in flight that have ended at the service."""
    if ledger.plan is None or ledger.state is None or not 0 < len(ledger.state.running) <= MAX_JOBS:
        return 0
    pending = {job_id: found.created_at for job_id, found in ledger.state.running.items()}
    watch = _watch_of(ledger)
    if watch.lock.acquire(blocking=False):  # otherwise another request is asking the service
        try:
            _ask(watch, {job_id: at for job_id, at in pending.items() if job_id not in watch.ended})
        finally:
            watch.lock.release()
    return len(watch.ended & pending.keys())


def _ask(watch: _Watch, pending: dict[str, datetime | None]) -> None:
    is_recent = watch.asked_at is not None and time.monotonic() - watch.asked_at < EVERY_SECONDS
    if is_recent or not pending:
        return
    watch.asked_at = time.monotonic()
    try:
        watch.ended |= {job.job_id for job in watch.jobs.ended(pending)}
    except CIError as error:
        log.info("the jobs of a batch cannot be listed now: %s", type(error).__name__)


def _watch_of(ledger: Ledger) -> _Watch:
    assert ledger.plan is not None
    header = ledger.plan.header
    name = (ledger.client.bucket, ledger.folder, header.token)
    with _lock:
        watch = _watches.get(name)
        if watch is None:
            jobs = JobsInFlight(ledger.client, type_of_tag(header.tag), header.queue_id)
            watch = _watches[name] = _Watch(jobs)
        _watches.move_to_end(name)
        while len(_watches) > _KEPT:
            _watches.popitem(last=False)
    return watch
