"""Jobs of any type: submit one safely, wait for many with few requests, cancel them.

This package uses the client, and does not depend on batches.
"""

from __future__ import annotations

from airflow_provider_ci.jobs.cancel import cancel_waiting
from airflow_provider_ci.jobs.kinds import (
    BY_ID,
    DOCUMENTS,
    PICTURES,
    JobType,
    default_queue_id,
    type_of_job_id,
    type_of_operation,
    type_of_tag,
)
from airflow_provider_ci.jobs.matching import matches_keys, matches_operation, user_data_matches
from airflow_provider_ci.jobs.outage import Outage, is_unavailable, retry_while_unavailable
from airflow_provider_ci.jobs.pace import Pace
from airflow_provider_ci.jobs.queue_pause import PauseWatch, QueueStaysPausedError
from airflow_provider_ci.jobs.submit import (
    JobRequest,
    UnlistedSubmissionError,
    find_submitted,
    submit_once,
)
from airflow_provider_ci.jobs.watch import JobsInFlight, JobWatch

__all__ = [
    "BY_ID",
    "DOCUMENTS",
    "PICTURES",
    "JobRequest",
    "JobType",
    "JobWatch",
    "JobsInFlight",
    "Outage",
    "Pace",
    "PauseWatch",
    "QueueStaysPausedError",
    "UnlistedSubmissionError",
    "cancel_waiting",
    "default_queue_id",
    "find_submitted",
    "is_unavailable",
    "matches_keys",
    "matches_operation",
    "retry_while_unavailable",
    "submit_once",
    "type_of_job_id",
    "type_of_operation",
    "type_of_tag",
    "user_data_matches",
]
