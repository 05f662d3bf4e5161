"""Apache Airflow provider for Tencent Cloud Infinite (CI), with a client, a batch engine and a local CI.

Importing this package imports nothing else, so any Python program can use ``airflow_provider_ci.client`` and
``airflow_provider_ci.batch``, with or without Airflow.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.2.0"

_INTEGRATION = "Tencent Cloud Infinite"
_LINKS = ("CIBatchLink", "CIJobLink", "CIQueueLink", "CIReportLink")


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, read through the entry point ``apache_airflow_provider``."""
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
        "extra-links": [f"airflow_provider_ci.links.{name}" for name in _LINKS],
        "asset-uris": [
            {
                "schemes": ["cos"],
                "handler": "airflow_provider_ci.assets.sanitize_uri",
                "factory": "airflow_provider_ci.assets.create_asset",
                "to_openlineage_converter": "airflow_provider_ci.assets.convert_asset_to_openlineage",
            }
        ],
    }


def _modules(name: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": [f"airflow_provider_ci.{name}"]}


def _connection_type() -> dict[str, Any]:
    def field(label: str, description: str, kind: str = "string", **schema: Any) -> dict[str, Any]:
        return {"label": label, "schema": {"type": [kind, "null"], **schema}, "description": description}

    return {
        "connection-type": "tencent_ci",
        "hook-class-name": "airflow_provider_ci.hooks.CIHook",
        "hook-name": _INTEGRATION,
        "conn-fields": {
            "region": field("Region", "Region of the bucket, such as ap-guangzhou"),
            "bucket": field("Bucket", "BucketName-APPID; operators may name another"),
            "credentials": field(
                "Credentials",
                "Where the key comes from: static (SecretId and SecretKey here), environment, "
                "or role (of the machine)",
                enum=["static", "environment", "role"],
            ),
            "token": field("Session token", "Only with a temporary static key", format="password"),
            "role_name": field("Machine role", "Only with role; the machine's own if empty"),
            "role_arn": field("Assume role", "A role to assume, such as qcs::cam::uin/1:roleName/converter"),
            "role_session_name": field("Session name", "What the audit log calls an assumed role's use"),
            "duration_seconds": field("Session seconds", "Life of an assumed role's keys", "integer"),
            "requests_per_second": field("Requests per second", "At most so many, in each process", "number"),
            "timeout": field("Timeout", "Seconds to wait for an answer", "number"),
            "max_connections": field("Connections", "Open at a time, in each process", "integer"),
            "verify": field("Verify TLS", "true, false, or the path of a CA bundle"),
            "endpoint": field("Endpoint", "Only for a local CI, such as http://127.0.0.1:9000"),
            "metadata_url": field("Metadata address", "Only for a stand-in of the machine's metadata"),
            "sts_url": field("STS address", "Only where another than the public one is to be asked"),
        },
        "ui-field-behaviour": {
            "hidden-fields": ["host", "port", "schema"],
            "relabeling": {"login": "SecretId", "password": "SecretKey"},
            "placeholders": {},
        },
    }
