"""Apache Airflow provider for Tencent Cloud Infinite (CI), with a client, a batch engine and a local CI.

Importing this package imports nothing else, so that ``airflow_provider_ci.client`` and
``airflow_provider_ci.batch`` serve any Python program, with or without Airflow.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_INTEGRATION = "Tencent Cloud Infinite"


def get_provider_info() -> dict[str, Any]:
    """What Airflow's provider manager reads through the ``apache_airflow_provider`` entry point."""
    return {
        "package-name": "airflow-provider-ci",
        "name": _INTEGRATION,
        "description": "Bulk document and picture processing with Tencent Cloud Infinite (CI).",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://www.tencentcloud.com/document/product/1045",
                "tags": ["service"],
            }
        ],
        "connection-types": [_connection_type()],
        "hooks": [_modules("hooks")],
        "operators": [_modules("operators")],
        "sensors": [_modules("sensors")],
        "triggers": [_modules("triggers")],
    }


def _modules(name: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": [f"airflow_provider_ci.{name}"]}


def _connection_type() -> dict[str, Any]:
    def field(label: str, kind: str, description: str, **schema: str) -> dict[str, Any]:
        return {"label": label, "schema": {"type": [kind, "null"], **schema}, "description": description}

    return {
        "connection-type": "tencent_ci",
        "hook-class-name": "airflow_provider_ci.hooks.CIHook",
        "hook-name": _INTEGRATION,
        "conn-fields": {
            "region": field("Region", "string", "Region of the bucket, such as ap-guangzhou"),
            "bucket": field("Bucket", "string", "BucketName-APPID; operators may name another"),
            "token": field("Session token", "string", "Only with a temporary key", format="password"),
            "endpoint": field("Endpoint", "string", "Only for a local CI, such as http://127.0.0.1:9000"),
            "requests_per_second": field("Requests per second", "number", "At most so many, in each process"),
            "timeout": field("Timeout", "number", "Seconds to wait for an answer"),
            "verify": field("Verify TLS", "string", "true, false, or the path of a CA bundle"),
        },
        "ui-field-behaviour": {
            "hidden-fields": ["host", "port", "schema"],
            "relabeling": {"login": "SecretId", "password": "SecretKey"},
            "placeholders": {},
        },
    }
