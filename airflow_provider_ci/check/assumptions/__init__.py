"""All that this package assumes about the service and a bucket: one entry for each assumption.

A new assumption is a new entry in one of these tables. Objects come first, then queues and jobs. The
assumptions about requests come last, because they examine all exchanges of the check.
"""

from __future__ import annotations

from airflow_provider_ci.check.assumptions.jobs import JOBS
from airflow_provider_ci.check.assumptions.listings import LISTINGS
from airflow_provider_ci.check.assumptions.objects import OBJECTS
from airflow_provider_ci.check.assumptions.queues import QUEUES
from airflow_provider_ci.check.assumptions.requests import REQUESTS

ASSUMPTIONS = (*OBJECTS, *QUEUES, *JOBS, *LISTINGS, *REQUESTS)
