"""The hook class."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.sdk.log import mask_secret

from airflow_provider_ci import compat
from airflow_provider_ci.check import Report, Skip, check_bucket
from airflow_provider_ci.client import CIClient, RetryPolicy
from airflow_provider_ci.compat import BaseHook
from airflow_provider_ci.hooks import form
from airflow_provider_ci.hooks.connection import client_of, signs_with, verify_of
from airflow_provider_ci.hooks.diagnosis import CLIENT_OPTIONS, Diagnosis
from airflow_provider_ci.hooks.secrets import look_up

_TRIGGER_RETRY = RetryPolicy(max_attempts=2, max_seconds=8)
"""Few retries: a trigger polls again anyway, and a sleeping thread is not available to other triggers."""


class CIHook(BaseHook):
    """Gives operators, sensors and triggers a client for the bucket of a connection.

    ``docs/connection.md`` describes the fields of the connection. The hook reads the connection on first use.

    :param tencent_ci_conn_id: id of the Airflow connection.
    :param bucket: overrides the connection's bucket (``BucketName-APPID``).
    :param region: overrides the connection's region, such as ``ap-guangzhou``.
    :param requests_per_second: overrides the connection's limit of requests per second.
    """

    conn_name_attr = "tencent_ci_conn_id"
    default_conn_name = "tencent_ci_default"
    conn_type = "tencent_ci"
    hook_name = "Tencent Cloud Infinite"

    def __init__(
        self,
        tencent_ci_conn_id: str = default_conn_name,
        *,
        bucket: str | None = None,
        region: str | None = None,
        requests_per_second: float | None = None,
        conn_id: str | None = None,
    ) -> None:
        super().__init__()
        if conn_id is not None:
            warnings.warn("conn_id is now called tencent_ci_conn_id", DeprecationWarning, stacklevel=2)
        self.tencent_ci_conn_id = conn_id or tencent_ci_conn_id
        self.bucket = bucket
        self.region = region
        self.requests_per_second = requests_per_second

    @property
    def conn_id(self) -> str:
        """The connection id, under the name that this attribute had before version 0.3."""
        warnings.warn("conn_id is now called tencent_ci_conn_id", DeprecationWarning, stacklevel=2)
        return self.tencent_ci_conn_id

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's fields for Airflow 3.0 and 3.1; newer versions read ``conn-fields`` instead."""
        return form.widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the form's labels for Airflow 3.0 and 3.1."""
        return form.behaviour()

    @cached_property
    def client(self) -> CIClient:
        """The client of the connection.

        :raises ConnectionConfigError: the connection cannot be used; the message names every problem.
        """
        conn = self.get_connection(self.tencent_ci_conn_id)
        limit = self.requests_per_second
        client = self._client_of(conn, **({"requests_per_second": limit} if limit else {}))
        if token := conn.extra_dejson.get("token"):
            mask_secret(token)  # Airflow 3.1 masks only the password
        return client

    async def async_client(self) -> CIClient:
        """Return a new client for a trigger, without blocking the event loop."""
        return self._client_of(await compat.connection(self.tencent_ci_conn_id), retry=_TRIGGER_RETRY)

    @staticmethod
    def secret(reference: str) -> str:
        """Return the secret that a reference such as ``conn:ID``, ``var:NAME`` or ``env:NAME`` names."""
        return look_up(reference)

    def get_conn(self) -> CIClient:
        """Return the client, under the name that Airflow's hooks use."""
        return self.client

    def test_connection(self) -> tuple[bool, str]:
        """Read the bucket and its document queues with the connection's key; report what failed and why.

        The test takes at most ten seconds.
        """
        conn = self.get_connection(self.tencent_ci_conn_id)
        try:
            client = self._client_of(conn, **CLIENT_OPTIONS)
        except ValueError as error:
            return False, str(error)
        return Diagnosis(client, signs_with(conn))()

    def check_bucket(self, *, skip: Collection[Skip] = (), record: str | Path | None = None) -> Report:
        """Compare the bucket with the assumptions of this package, as the command ``ci-check`` does.

        The check submits one document job and one picture job on its own objects, and then removes the
        objects. The page ``docs/check.md`` explains each row of the report.

        :param skip: holds ``documents`` or ``pictures`` if the bucket does not offer them.
        :param record: a file for all requests and responses, without secrets.
        """
        with self.client_with() as client:
            verify = verify_of(self.get_connection(self.tencent_ci_conn_id))
            return check_bucket(client, skip=skip, record=record, verify=verify)

    def client_with(self, **options: Any) -> CIClient:
        """Return a new client of the connection with other settings; close the client after use.

        :param options: arguments of :class:`.CIClient`, which override the connection's.
        :raises ConnectionConfigError: the connection cannot be used; the message names every problem.
        """
        return self._client_of(self.get_connection(self.tencent_ci_conn_id), **options)

    def _client_of(self, conn: Any, **options: Any) -> CIClient:
        return client_of(conn, self.tencent_ci_conn_id, bucket=self.bucket, region=self.region, **options)
