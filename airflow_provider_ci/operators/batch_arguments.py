"""The arguments of the batch operator: how each is read, and the default batch id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.batch.sources.selection import as_source
from airflow_provider_ci.tasks.arguments import (
    Reader,
    anything,
    flag,
    one_of,
    optional,
    rate,
    seconds,
    share_or,
    text,
    texts,
    whole_number,
)

BATCH_ARGUMENTS: Mapping[str, Reader] = {
    "source": lambda name, value: as_source(value),
    "operation": anything,
    "operations": anything,
    "output_template": text,
    "batch_id": text,
    "skip": one_of("fresh", "exists", "never"),
    "retry_failed": flag,
    "on_empty": one_of("succeed", "skip", "fail"),
    "on_running": one_of("wait", "fail"),
    "queue_id": optional(text),
    "queue_ids": texts,
    "job_level": optional(whole_number(0, 2)),
    "callback": anything,
    "output_bucket": optional(text),
    "output_region": optional(text),
    "requests_per_second": optional(rate),
    "max_in_flight": whole_number(1),
    "object_attempts": whole_number(1),
    "max_failures": share_or(whole_number(0)),
    "max_jobs": optional(whole_number(1)),
    "canary": whole_number(0),
    "canary_failures": optional(share_or(whole_number(0))),
    "plan_only": flag,
    "prices": anything,
    "stop_early": share_or(flag),
    "deferrable": flag,
    "poll_interval": seconds,
    "timeout_seconds": seconds,
    "outage_seconds": seconds,
    "report_prefix": text,
    "cancel_on_kill": flag,
}
"""The reader of each argument, which runs after templates are rendered."""

DEFAULT_BATCH_ID = (
    "{{ dag.dag_id }}/{{ ti.task_id }}/{{ run_id }}{% if ti.map_index >= 0 %}/{{ ti.map_index }}{% endif %}"
)
_HEAD_BYTES = 200
"""Number of bytes that remain of a default batch id if the whole id is too long for a key."""


def shortened(batch_id: str, report_prefix: str) -> str:
    """The id itself if it fits into a folder name; otherwise its beginning and a hash of the whole id."""
    try:
        batch_folder(report_prefix, batch_id)
    except ValueError:
        whole = batch_id.encode()
        return f"{whole[:_HEAD_BYTES].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:32]}"
    return batch_id
