"""Empties a queue: it is paused, what waits in it is cancelled, what runs ends, and then it goes on.

The queue goes on even when the jobs could not be cancelled: resuming it is the teardown of pausing it.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_ci.operators import CICancelJobsOperator, CIQueueOperator

with DAG(
    "manage_queue",
    schedule=None,
    tags=["cloud infinite"],
    params={"kind": Param("doc", enum=["doc", "pic"])},
    doc_md=__doc__,
):
    pause = CIQueueOperator(task_id="pause", kind="{{ params.kind }}", state="Paused")
    cancel_waiting = CICancelJobsOperator(task_id="cancel_waiting", all_waiting_of="{{ params.kind }}")
    resume = CIQueueOperator(task_id="resume", kind="{{ params.kind }}", state="Active")
    pause >> cancel_waiting >> resume.as_teardown(setups=pause)
