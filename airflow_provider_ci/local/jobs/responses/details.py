"""Jobs and queues as elements of a response, as on their API pages; nodes are sorted, as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from airflow_provider_ci.local.http.wire import Value, local_time
from airflow_provider_ci.local.jobs.jobs import Job
from airflow_provider_ci.local.jobs.queues import Queue
from airflow_provider_ci.local.jobs.requests.submission import DOC_DEFAULTS


def job_detail(job: Job) -> Mapping[str, Value]:
    """``JobsDetail`` (1045/47932, 47933, 73035): Code is Success in every state but Failed."""
    return {
        "Code": job.code,
        "CreationTime": local_time(job.created),
        "EndTime": local_time(job.ended),
        "Input": {
            "BucketId": job.bucket,
            "Object": job.input_object,
            "Region": job.region,
        },
        "JobId": job.job_id,
        "Message": job.message,
        "Operation": _operation(job),
        "QueueId": job.queue_id,
        "StartTime": local_time(job.started),
        "State": str(job.state),
        "Tag": job.tag,
    }


def _operation(job: Job) -> Mapping[str, Value]:
    nodes: dict[str, Value] = {"JobLevel": job.level, **job.operation}
    nodes.pop("CallBack", None)  # no API page shows it
    if "TemplateId" in nodes:  # the template hides its parameters (1045/73035)
        del nodes["PicProcess"]
    if "DocProcess" in nodes:
        nodes["DocProcess"] = {**DOC_DEFAULTS, **job.operation["DocProcess"]}
    if job.result is not None:
        nodes[f"{job.tag}Result"] = cast(Value, _sorted(job.result))
    return _sorted(nodes)


def _sorted(nodes: Mapping[str, Value] | Mapping[str, object]) -> dict[str, Value]:
    return {name: cast(Value, nodes[name]) for name in sorted(nodes)}


def queue_detail(queue: Queue, *, max_size: int, max_concurrent: int) -> Mapping[str, Value]:
    """``QueueList`` or ``Queue`` (1045/47935, 72918)."""
    return {
        "QueueId": queue.queue_id,
        "Name": queue.name,
        "State": queue.state,
        "NotifyConfig": dict(queue.notify),
        "MaxSize": max_size,
        "MaxConcurrent": max_concurrent,
        "CreateTime": local_time(queue.created),
        "UpdateTime": local_time(queue.updated),
        "BucketId": queue.bucket,
        "Category": queue.category,
    }
