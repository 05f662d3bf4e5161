"""What the ledgers of a bucket say about its batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.batch.reports.reading import read_report_header
from airflow_provider_ci.client import CIClient

_LEDGER = ".ci-batch/"
_STATES = ("succeeded", "failed", "skipped", "cancelled", "unfinished")


def plan_of(client: CIClient, batch_id: str, report_prefix: str) -> StoredPlan:
    """The plan of a batch.

    :raises ValueError: there is none.
    """
    folder = batch_folder(report_prefix, batch_id)
    plan = read_plan(client, folder)
    if plan is None:
        raise ValueError(f"no batch {batch_id!r}: {folder!r} holds no plan. ci-batch list shows all batches")
    return plan


def status_of(plan: StoredPlan) -> dict[str, Any]:
    """How far a batch is, from its ledger; the numbers are up to a minute old while it runs.

    A batch with several steps counts outputs until it has ended, then objects; ``counts`` says which.
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
    """The batches of a bucket, in the order of their folders."""
    marker: str | None = ""
    while marker is not None:
        page = client.list_objects_page(report_prefix, start_after=marker, delimiter="/")
        for folder in page.common_prefixes:
            if not folder.endswith(_LEDGER):
                yield from batches(client, folder)
            elif plan := read_plan(client, folder):
                yield plan
        marker = page.next_marker
