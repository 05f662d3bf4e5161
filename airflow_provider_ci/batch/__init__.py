"""Batches of many objects, with one successful job per output: pure Python on the client, without Airflow.

:class:`Batch` is the entry point; ``docs/protocol.md`` lists the records that a batch keeps in the bucket,
and the reasons.
"""

from __future__ import annotations

import warnings
from typing import Any

from airflow_provider_ci.batch.batch import Batch
from airflow_provider_ci.batch.dispatch.operations import SecretError
from airflow_provider_ci.batch.errors import (
    BatchFailedError,
    BatchRunningError,
    BatchStoppedError,
    LedgerLostError,
    OutputConflictError,
    WholeBatchError,
)
from airflow_provider_ci.batch.operations import BatchOperationError
from airflow_provider_ci.batch.planning.outputs.template import OutputTemplate, OutputTemplateError
from airflow_provider_ci.batch.planning.steps import Step
from airflow_provider_ci.batch.preview import BatchPreview
from airflow_provider_ci.batch.prices import PriceTable
from airflow_provider_ci.batch.progress import Progress
from airflow_provider_ci.batch.reports.pages import BatchReport, NoReportError, ResultPage
from airflow_provider_ci.batch.reports.reading import read_report
from airflow_provider_ci.batch.reports.summary import BatchSummary, FailureGroup
from airflow_provider_ci.batch.results import ObjectResult, ObjectState
from airflow_provider_ci.batch.run.parked import BatchWatch
from airflow_provider_ci.batch.sources.failures import FailuresOf, failures_of
from airflow_provider_ci.batch.sources.inventory import Inventory
from airflow_provider_ci.batch.sources.manifest import Manifest
from airflow_provider_ci.batch.sources.selection import (
    DOCUMENT_SUFFIXES,
    PAGE_SUFFIXES,
    PICTURE_SUFFIXES,
    SHEET_SUFFIXES,
    ObjectKeys,
    ObjectSelection,
)
from airflow_provider_ci.batch.sources.source import Source, SourceError
from airflow_provider_ci.jobs.queue_pause import QueueStaysPausedError
from airflow_provider_ci.jobs.watch import Pace

__all__ = [
    "DOCUMENT_SUFFIXES",
    "PAGE_SUFFIXES",
    "PICTURE_SUFFIXES",
    "SHEET_SUFFIXES",
    "Batch",
    "BatchFailedError",
    "BatchOperationError",
    "BatchPreview",
    "BatchReport",
    "BatchRunningError",
    "BatchStoppedError",
    "BatchSummary",
    "BatchWatch",
    "FailureGroup",
    "FailuresOf",
    "Inventory",
    "LedgerLostError",
    "Manifest",
    "NoReportError",
    "ObjectKeys",
    "ObjectResult",
    "ObjectSelection",
    "ObjectState",
    "OutputConflictError",
    "OutputTemplate",
    "OutputTemplateError",
    "Pace",
    "PriceTable",
    "Progress",
    "QueueStaysPausedError",
    "ResultPage",
    "SecretError",
    "Source",
    "SourceError",
    "Step",
    "WholeBatchError",
    "failures_of",
    "read_report",
]

_RENAMED = {"ObjectVerdict": ObjectResult}


def __getattr__(name: str) -> Any:
    """Return a class by its name of version 0.2; such names work for one more version."""
    if name in _RENAMED:
        warnings.warn(f"{name} is now {_RENAMED[name].__name__}", DeprecationWarning, stacklevel=2)
        return _RENAMED[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
