"""The types of jobs under their older names; they live in :mod:`airflow_provider_ci.jobs.kinds`."""

from __future__ import annotations

from airflow_provider_ci.jobs.kinds import DOCUMENTS, PICTURES, JobType
from airflow_provider_ci.jobs.kinds import type_of_job_id as kind_of_job
from airflow_provider_ci.jobs.kinds import type_of_operation as kind_of_operation
from airflow_provider_ci.jobs.kinds import type_of_tag as kind_of_tag
from airflow_provider_ci.jobs.matching import matches_operation as does

__all__ = [
    "DOCUMENTS",
    "PICTURES",
    "JobKind",
    "does",
    "kind_of_job",
    "kind_of_operation",
    "kind_of_tag",
]

JobKind = JobType
