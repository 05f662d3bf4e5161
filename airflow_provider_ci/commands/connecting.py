"""The client of a command: from the environment, or from an Airflow connection."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from importlib import import_module

from airflow_provider_ci.client import CIClient, environment_credentials

BUCKET_VARIABLE = "CI_BUCKET"
REGION_VARIABLE = "CI_REGION"
ENDPOINT_VARIABLE = "CI_ENDPOINT"


def connect(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> CIClient:
    """The client that the options and the environment describe. Secrets never come from the command line.

    :raises ValueError: the bucket, the region or the key is missing.
    """
    bucket = options.bucket or environ.get(BUCKET_VARIABLE)
    region = options.region or environ.get(REGION_VARIABLE)
    if options.conn_id:
        # Airflow takes seconds to load, and is only needed for its connections.
        hooks = import_module("airflow_provider_ci.hooks")
        client: CIClient = hooks.CIHook(options.conn_id, bucket=bucket, region=region).client
        return client
    for value, option, variable in (
        (bucket, "--bucket", BUCKET_VARIABLE),
        (region, "--region", REGION_VARIABLE),
    ):
        if not value:
            raise ValueError(f"{option} is missing: name it, set {variable}, or use --conn-id")
    endpoint = options.endpoint or environ.get(ENDPOINT_VARIABLE)
    return CIClient(environment_credentials(environ), str(region), str(bucket), endpoint=endpoint)
