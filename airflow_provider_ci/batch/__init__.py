"""Many objects, one operation: pure Python on the client, without Airflow."""

from __future__ import annotations

from airflow_provider_ci.batch.engine import Batch
from airflow_provider_ci.batch.failures import BatchFailedError, BatchStoppedError
from airflow_provider_ci.batch.lease import BatchRunningError
from airflow_provider_ci.batch.pauses import QueueStaysPausedError
from airflow_provider_ci.batch.plan import OutputTemplate, OutputTemplateError
from airflow_provider_ci.batch.progress import Progress
from airflow_provider_ci.batch.report import BatchSummary, FailureGroup, read_report
from airflow_provider_ci.batch.selection import (
    DOCUMENT_SUFFIXES,
    PAGE_SUFFIXES,
    PICTURE_SUFFIXES,
    SHEET_SUFFIXES,
    ObjectKeys,
    ObjectSelection,
)
from airflow_provider_ci.batch.verdict import ObjectState, ObjectVerdict
from airflow_provider_ci.batch.waiting import BatchWatch
from airflow_provider_ci.batch.watch import Pace

__all__ = [
    "DOCUMENT_SUFFIXES",
    "PAGE_SUFFIXES",
    "PICTURE_SUFFIXES",
    "SHEET_SUFFIXES",
    "Batch",
    "BatchFailedError",
    "BatchRunningError",
    "BatchStoppedError",
    "BatchSummary",
    "BatchWatch",
    "FailureGroup",
    "ObjectKeys",
    "ObjectSelection",
    "ObjectState",
    "ObjectVerdict",
    "OutputTemplate",
    "OutputTemplateError",
    "Pace",
    "Progress",
    "QueueStaysPausedError",
    "read_report",
]
