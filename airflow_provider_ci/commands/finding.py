"""Finds the batches of a bucket and their progress, by reading their ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError
from airflow_provider_ci.batch.planning.outputs.template import OutputTemplate
from airflow_provider_ci.batch.planning.planned import by_object
from airflow_provider_ci.batch.planning.rows import row_of_lines
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.batch.reports.reading import read_report_header
from airflow_provider_ci.batch.sources.failures import FailuresOf
from airflow_provider_ci.batch.sources.selection import heads
from airflow_provider_ci.batch.sources.source import Found, LeftOut, UnusableKey
from airflow_provider_ci.client import CIClient

_AT_A_TIME = 1000
_LEDGER = ".ci-batch/"
_STATES = ("succeeded", "failed", "skipped", "cancelled", "unfinished")


def plan_of(client: CIClient, batch_id: str, report_prefix: str) -> StoredPlan:
    """Return the plan of a batch.

    :raises ValueError: the batch has no plan.
    """
    folder = batch_folder(report_prefix, batch_id)
    plan = read_plan(client, folder)
    if plan is None:
        raise ValueError(f"no batch {batch_id!r}: {folder!r} holds no plan. ci-batch list shows all batches")
    return plan


def status_of(plan: StoredPlan) -> dict[str, Any]:
    """Return the progress of a batch from its ledger; for a running batch, it is up to a minute old.

    For a batch with several steps, the numbers count outputs until the batch has ended, and then objects;
    ``counts`` in the result is ``outputs`` or ``objects``.
    """
    header = plan.header
    steps = len(header.all_steps)
    report = read_report_header(plan.client, plan.folder)
    found = {"batch_id": header.batch_id, "total": header.total // steps, "folder": plan.folder}
    found |= {"outputs": header.total, "counts": "objects"}
    if report is not None and report.plan == header.token:
        summary = report.summary
        counts = {name: getattr(summary, name) for name in _STATES}
        if report.is_complete:
            return {**found, "is_complete": True, **counts, "jobs": summary.jobs, "in_flight": 0}
    try:
        state = Journal(client=plan.client, plan=plan).read_state()
    except MissingRecordError:
        return {**found, "is_complete": False, "damaged": True}
    counts = {str(name): count for name, count in state.counts.items()}
    counts = {name: counts.get(name, 0) for name in _STATES if name != "unfinished"}
    jobs = header.jobs_before + state.jobs
    unfinished = header.total - state.finished
    return {
        **found,
        "is_complete": False,
        "counts": "objects" if steps == 1 else "outputs",
        **counts,
        "unfinished": unfinished,
        "jobs": jobs,
        "in_flight": state.in_flight,
    }


def batches(client: CIClient, report_prefix: str) -> Iterator[StoredPlan]:
    """Yield the plans of a bucket's batches, in the order of their folders."""
    marker: str | None = ""
    while marker is not None:
        page = client.list_objects_page(report_prefix, start_after=marker, delimiter="/")
        for folder in page.common_prefixes:
            if not folder.endswith(_LEDGER):
                yield from batches(client, folder)
            elif plan := read_plan(client, folder):
                yield plan
        marker = page.next_marker


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FailedRows(FailuresOf):
    """Like :class:`FailuresOf`, for a batch with the same operation and output template as the failed batch.

    The report names only the objects. The plan also has the page ranges, output keys and priorities of rows.
    """

    def objects(
        self, client: CIClient, *, threads: int = 32, left_out: LeftOut | None = None
    ) -> Iterator[Found]:
        """Yield the failed objects in their current state, with one HEAD request per object."""
        report = self._report(client, str(self.batch))
        plan = read_plan(client, report.folder)
        # The plan was deleted, or is newer than the report.
        if plan is None or plan.header.token != report.header.plan:
            yield from FailuresOf.objects(self, client, threads=threads)
            return
        header, failed = plan.header, {result.index for result in report.results(is_failed=True)}
        steps = len(header.all_steps)
        template = OutputTemplate(text=header.output, prefix=header.prefix)
        wanted = (lines for lines in by_object(plan.objects(), steps) if lines[0].index // steps in failed)
        while chunk := list(islice(wanted, _AT_A_TIME)):
            found = heads(client, [lines[0].key for lines in chunk], threads=threads)
            for lines, info in zip(chunk, found, strict=True):
                yield info if isinstance(info, UnusableKey) else row_of_lines(info, lines, template)
