"""Cloud Infinite (CI) and its object storage (COS) from Python; needs no Airflow."""

from __future__ import annotations

from airflow_provider_ci.client.api import CIClient
from airflow_provider_ci.client.documents import DocProcess, DocProcessResult, PageInfo
from airflow_provider_ci.client.errors import (
    AccessDeniedError,
    AuthenticationError,
    CIConnectionError,
    CIError,
    CIResponseError,
    CIServiceError,
    CITimeoutError,
    ClockSkewError,
    InvalidRequestError,
    JobCancelledError,
    JobError,
    JobFailedError,
    NotFoundError,
    QueuePausedError,
    ServerError,
    SubmissionUnknownError,
    ThrottledError,
)
from airflow_provider_ci.client.jobs import Job, JobPage, JobState
from airflow_provider_ci.client.objects import ObjectInfo, ObjectPage
from airflow_provider_ci.client.pictures import PicProcess, PicProcessResult, PictureInfo
from airflow_provider_ci.client.queues import Queue, QueueState
from airflow_provider_ci.client.retry import RetryPolicy
from airflow_provider_ci.client.signing import Credentials

__all__ = [
    "AccessDeniedError",
    "AuthenticationError",
    "CIClient",
    "CIConnectionError",
    "CIError",
    "CIResponseError",
    "CIServiceError",
    "CITimeoutError",
    "ClockSkewError",
    "Credentials",
    "DocProcess",
    "DocProcessResult",
    "InvalidRequestError",
    "Job",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobPage",
    "JobState",
    "NotFoundError",
    "ObjectInfo",
    "ObjectPage",
    "PageInfo",
    "PicProcess",
    "PicProcessResult",
    "PictureInfo",
    "Queue",
    "QueuePausedError",
    "QueueState",
    "RetryPolicy",
    "ServerError",
    "SubmissionUnknownError",
    "ThrottledError",
]
