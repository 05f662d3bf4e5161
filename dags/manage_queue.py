"""Empties a queue: the DAG pauses the queue, cancels waiting jobs, and resumes the queue.

Running jobs continue to their end. The queue is resumed even if the jobs could not be cancelled, because
resuming is the teardown of pausing.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_ci.operators import CICancelJobsOperator, CIQueueOperator

with DAG(
    "manage_queue",
    description="Cancel all that waits in a queue",
    schedule=None,
    tags=["cloud infinite"],
    params={
        "kind": Param(
            "doc",
            type="string",
            enum=["doc", "pic"],
            title="Kind of queue",
            description="doc: document jobs; pic: picture jobs",
        )
    },
    doc_md=__doc__,
):
    pause = CIQueueOperator(task_id="pause", kind="{{ params.kind }}", state="Paused")
    cancel_waiting = CICancelJobsOperator(task_id="cancel_waiting", all_waiting_of="{{ params.kind }}")
    resume = CIQueueOperator(task_id="resume", kind="{{ params.kind }}", state="Active")
    pause >> cancel_waiting >> resume.as_teardown(setups=pause)
