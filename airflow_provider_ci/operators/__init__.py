"""The operators. Each family has a file; import them from here."""

from __future__ import annotations

from airflow_provider_ci.operators.any_job import CIJobOperator, UnconfirmedJobError
from airflow_provider_ci.operators.batch import BatchWaitError, CIBatchOperator, NoObjectsError
from airflow_provider_ci.operators.cancel import CICancelJobsOperator
from airflow_provider_ci.operators.jobs import CIDocProcessOperator, CIPicProcessOperator, JobWaitError
from airflow_provider_ci.operators.listing import CIListObjectsOperator, TooManyObjectsError
from airflow_provider_ci.operators.queues import AmbiguousQueueError, CIQueueOperator
from airflow_provider_ci.operators.shards import CIBatchReportOperator, CIShardsOperator, NoShardsError

__all__ = [
    "AmbiguousQueueError",
    "BatchWaitError",
    "CIBatchOperator",
    "CIBatchReportOperator",
    "CICancelJobsOperator",
    "CIDocProcessOperator",
    "CIJobOperator",
    "CIListObjectsOperator",
    "CIPicProcessOperator",
    "CIQueueOperator",
    "CIShardsOperator",
    "JobWaitError",
    "NoObjectsError",
    "NoShardsError",
    "TooManyObjectsError",
    "UnconfirmedJobError",
]
