"""The former module of the names that are now in :mod:`airflow_provider_ci.batch.reports`."""

from __future__ import annotations

from airflow_provider_ci.batch.reports.folder import batch_folder, is_ledger_key, report_key
from airflow_provider_ci.batch.reports.reading import ReportHeader, read_report, read_report_header
from airflow_provider_ci.batch.reports.summary import BatchSummary, FailureGroup
from airflow_provider_ci.batch.reports.writing import write_report

__all__ = [
    "BatchSummary",
    "FailureGroup",
    "ReportHeader",
    "batch_folder",
    "is_ledger_key",
    "read_report",
    "read_report_header",
    "report_key",
    "write_report",
]
