"""Cloud Infinite (CI) and its object storage (COS) from Python; needs no Airflow."""

from __future__ import annotations

from airflow_provider_ci.client.buckets import ServiceBucket
from airflow_provider_ci.client.callbacks import Callback, KafkaConfig, MqConfig, NotifyConfig
from airflow_provider_ci.client.client import CIClient
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
    CredentialsError,
    InvalidRequestError,
    JobCancelledError,
    JobError,
    JobFailedError,
    NotFoundError,
    ObjectExistsError,
    QueuePausedError,
    RequestExpiredError,
    ServerError,
    SubmissionUnknownError,
    ThrottledError,
)
from airflow_provider_ci.client.http.retry import RetryPolicy
from airflow_provider_ci.client.jobs.job import Job, JobPage, JobState, JobWorkflow
from airflow_provider_ci.client.jobs.watermarks import DocAIGCMetadata, DocWatermark
from airflow_provider_ci.client.keys.credentials import (
    RenewingCredentials,
    environment_credentials,
)
from airflow_provider_ci.client.keys.roles import AssumedRole, MachineRole
from airflow_provider_ci.client.objects import ObjectInfo, ObjectPage
from airflow_provider_ci.client.pictures import (
    PicObject,
    PicProcess,
    PicProcessResult,
    PicTemplate,
    PictureInfo,
)
from airflow_provider_ci.client.previews import DocPreview
from airflow_provider_ci.client.queues import Queue, QueueState
from airflow_provider_ci.client.records.pages import Page
from airflow_provider_ci.client.records.secrets import Secret
from airflow_provider_ci.client.signing import Credentials, CredentialSource
from airflow_provider_ci.client.templates import Template
from airflow_provider_ci.client.wire.exchange import Exchange

__all__ = [
    "AccessDeniedError",
    "AssumedRole",
    "AuthenticationError",
    "CIClient",
    "CIConnectionError",
    "CIError",
    "CIResponseError",
    "CIServiceError",
    "CITimeoutError",
    "Callback",
    "ClockSkewError",
    "CredentialSource",
    "Credentials",
    "CredentialsError",
    "DocAIGCMetadata",
    "DocPreview",
    "DocProcess",
    "DocProcessResult",
    "DocWatermark",
    "Exchange",
    "InvalidRequestError",
    "Job",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobPage",
    "JobState",
    "JobWorkflow",
    "KafkaConfig",
    "MachineRole",
    "MqConfig",
    "NotFoundError",
    "NotifyConfig",
    "ObjectExistsError",
    "ObjectInfo",
    "ObjectPage",
    "Page",
    "PageInfo",
    "PicObject",
    "PicProcess",
    "PicProcessResult",
    "PicTemplate",
    "PictureInfo",
    "Queue",
    "QueuePausedError",
    "QueueState",
    "RenewingCredentials",
    "RequestExpiredError",
    "RetryPolicy",
    "Secret",
    "ServerError",
    "ServiceBucket",
    "SubmissionUnknownError",
    "Template",
    "ThrottledError",
    "environment_credentials",
]
