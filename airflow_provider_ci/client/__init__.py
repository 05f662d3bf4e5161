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
from airflow_provider_ci.client.jobs.any_job import CIJob
from airflow_provider_ci.client.jobs.files import (
    FileHashCode,
    FileHashCodeResult,
    FileUncompress,
    FileUncompressResult,
)
from airflow_provider_ci.client.jobs.job import Job, JobPage, JobState, JobWorkflow
from airflow_provider_ci.client.jobs.ocr import DetectedText, ImageOCR, ImageOCRResult
from airflow_provider_ci.client.jobs.watermarks import DocAIGCMetadata, DocWatermark, DocWatermarkResult
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
    "CIJob",
    "CIResponseError",
    "CIServiceError",
    "CITimeoutError",
    "Callback",
    "ClockSkewError",
    "CredentialSource",
    "Credentials",
    "CredentialsError",
    "DetectedText",
    "DocAIGCMetadata",
    "DocPreview",
    "DocProcess",
    "DocProcessResult",
    "DocWatermark",
    "DocWatermarkResult",
    "Exchange",
    "FileHashCode",
    "FileHashCodeResult",
    "FileUncompress",
    "FileUncompressResult",
    "ImageOCR",
    "ImageOCRResult",
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
