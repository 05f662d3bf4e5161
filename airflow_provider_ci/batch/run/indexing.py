"""Publishes the results of a batch in the index of outputs, for all later batches in the bucket."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager

from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan
from airflow_provider_ci.batch.planning.outputs.template import first_output_of
from airflow_provider_ci.batch.registry.claims import output_place
from airflow_provider_ci.batch.registry.index_state import Entry
from airflow_provider_ci.batch.registry.outputs_index import add_entries, compact
from airflow_provider_ci.batch.results import ObjectResult, ObjectState, lines_of
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import CIError

log = logging.getLogger(__name__)

# A failure may be stored in the registry's state, which each change reads and writes as a whole.
_MAX_MESSAGE = 200
_NOT_ABOUT_CONTENT = frozenset(
    {
        "AccessDenied",
        "NoSuchBucket",
        "NoSuchKey",
        "NoSuchResource",
        "ResourceAccessDenied",
        "ResourceNotExist",
    }
)
"""Codes of failures that may not recur although the content stays the same."""


def publish_results(
    lease: Lease,
    results: Callable[[], Iterable[ObjectResult]],
    report: str,
    *,
    place: str,
    releases: bool,
) -> None:
    """Add the results of a plan to the index, and release the claim in the same change of the registry.

    :param report: key of the report, to which entries of failed objects point.
    :param place: where the outputs lie, see :func:`.output_place`.
    :param releases: whether the claim is released.
    :raises CIError: the registry could not be changed.
    """
    recorded_at = int(lease.service_time)
    try:
        with _sorted(_entries(results(), report, place), recorded_at) as entries:
            state = lease.publish(
                lambda registry, also: add_entries(registry, entries, also=also), releases=releases
            )
    except OSError as error:
        # All jobs are done. Without entries, later batches only compare times, so this batch need not fail.
        log.warning("the index of outputs could not be extended, there is no temporary space: %s", error)
        lease.publish(lambda registry, also: registry.change(also), releases=releases)
        return
    try:
        lease.with_registry(lambda registry: compact(registry, state))
    except CIError as error:
        log.info("the index of outputs is compacted by a later batch: %s", error)


def place_of_plan(settings: BatchSettings, plan: StoredPlan | None) -> str:
    """See :func:`.output_place`. The settings decide if no plan, or an older one, names a bucket."""
    named = plan.header.output_bucket if plan else None
    return output_place(named or settings.output_bucket, settings.client.bucket)


def _entries(results: Iterable[ObjectResult], report: str, place: str) -> Iterator[Entry]:
    for result in lines_of(results):
        # A failure that was known before already has an entry, which names the report of its own job.
        if not result.fingerprint or result.failed_before:
            continue
        output = place + first_output_of(result.output_key)
        # Another batch that made the output may have died before it could record the output.
        if result.state is ObjectState.SUCCEEDED or result.made_by:
            yield Entry(output, result.fingerprint)
        elif _is_permanent(result):
            details = {
                "code": result.code,
                "message": result.message[:_MAX_MESSAGE],
                "job_id": result.job_id,
                "report": report,
            }
            yield Entry(output, result.fingerprint, made=False, details=details)


def _is_permanent(result: ObjectResult) -> bool:
    """Whether the same content will fail again."""
    has_failed = result.state is ObjectState.FAILED and result.job_id is not None
    return has_failed and not result.is_retryable and result.code not in _NOT_ABOUT_CONTENT


@contextmanager
def _sorted(entries: Iterable[Entry], recorded_at: int) -> Iterator[Iterator[Entry]]:
    """The entries in the order of their outputs, in a temporary database if they are many."""
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        try:
            for statement in (
                # The same settings as for a draft: nothing is rolled back, and up to 16 MiB stay in memory.
                "PRAGMA journal_mode = OFF",
                "PRAGMA synchronous = OFF",
                "PRAGMA cache_size = -16384",
                "CREATE TABLE entries (output TEXT PRIMARY KEY, fingerprint TEXT, details TEXT)"
                " WITHOUT ROWID",
                "BEGIN",
            ):
                database.execute(statement)
            rows = ((each.output, each.fingerprint, _text(each)) for each in entries)
            database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
            yield _read(database, recorded_at)
        except sqlite3.OperationalError as error:
            raise OSError(str(error)) from error


def _text(entry: Entry) -> str | None:
    return None if entry.made else json.dumps(entry.details)


def _read(database: sqlite3.Connection, recorded_at: int) -> Iterator[Entry]:
    for output, fingerprint, details in database.execute("SELECT * FROM entries ORDER BY output"):
        if details is None:
            yield Entry(output, fingerprint, recorded_at=recorded_at)
        else:
            yield Entry(output, fingerprint, False, json.loads(details), recorded_at)
