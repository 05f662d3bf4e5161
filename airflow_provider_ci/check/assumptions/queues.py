"""What we assume about the queues of a bucket, and about which services are switched on for it."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_ci.check.assumption import Assumption
from airflow_provider_ci.check.finding import Finding, Matters, Part
from airflow_provider_ci.check.trial import Trial
from airflow_provider_ci.client import Queue, QueueState

USUAL_SIZE, USUAL_CONCURRENT = 10_000, 10
Queues = Callable[[Trial], list[Queue]]


def service_state(is_open: bool | None) -> Finding:
    """Judge whether the bucket is in the list of buckets that the service is switched on for."""
    if is_open is None:
        return Finding("this key may not read it, and no task needs to", True)
    return Finding("switched on" if is_open else "the bucket is not in the list", is_open)


def one_active_queue(queues: list[Queue]) -> Finding:
    """Check that there is exactly one queue, and that it is active."""
    if len(queues) != 1:
        return Finding(f"{len(queues)} queues", False)
    state = str(queues[0].state or queues[0].raw.get("State"))
    return Finding(f"one queue, {state}", state == QueueState.ACTIVE.value)


def usual_limits(queues: list[Queue]) -> Finding:
    """Compare the limits of the queues with the usual limits."""
    limits = {(queue.max_size, queue.max_concurrent) for queue in queues}
    words = [
        f"{size or 'an unknown number of'} waiting, {running or 'unknown'} running"
        for size, running in limits
    ]
    return Finding("; ".join(sorted(words)) or "no queue", limits == {(USUAL_SIZE, USUAL_CONCURRENT)})


def _of_queues(
    noun: str, part: Part, queues: Queues, is_open: Callable[[Trial], bool | None]
) -> list[Assumption]:
    return [
        Assumption(
            name=f"{noun} service",
            assumed=f"{noun} processing is switched on for the bucket",
            look=lambda trial: service_state(is_open(trial)),
            matters=Matters.COMFORT,
            advice=f"Switch {noun} processing on in the CI console.",
            part=part,
        ),
        Assumption(
            name=f"{noun} queue",
            assumed=f"the bucket has one {noun} queue, and it is Active",
            look=lambda trial: one_active_queue(queues(trial)),
            matters=Matters.COMFORT,
            advice="Of several queues, name one as queue_id in every task: after a crash the jobs are looked "
            "for in that queue only. Resume a paused queue: its jobs wait (CIQueueOperator, or the console).",
            part=part,
        ),
        Assumption(
            name=f"{noun} queue limits",
            assumed=f"a queue takes {USUAL_SIZE:,} waiting jobs and runs {USUAL_CONCURRENT} at once",
            look=lambda trial: usual_limits(queues(trial)),
            matters=Matters.COMFORT,
            advice="Batches take as long as the queue allows. Keep max_in_flight below the number of jobs "
            "that may wait.",
            part=part,
        ),
    ]


QUEUES = (
    *_of_queues(
        "document",
        Part.DOCUMENTS,
        lambda trial: trial.document_queues,
        lambda trial: trial.document_service,
    ),
    *_of_queues(
        "picture",
        Part.PICTURES,
        lambda trial: trial.picture_queues,
        lambda trial: trial.picture_service,
    ),
)
