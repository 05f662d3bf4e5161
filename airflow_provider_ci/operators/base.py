"""What all operators share."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.sdk import BaseOperator

from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.links import TaskLinks
from airflow_provider_ci.rendering import RendersRecords


class CIOperator(RendersRecords, BaseOperator):
    """A task on the bucket of a ``tencent_ci`` connection.

    :param conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket. (templated)
    :param region: takes the place of the connection's region. (templated)
    """

    ui_color = "#e5f1fb"
    task_links: TaskLinks | None = None
    """Those that were told in this process."""

    def __init__(
        self,
        *,
        conn_id: str = CIHook.default_conn_name,
        bucket: str | None = None,
        region: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.bucket = bucket
        self.region = region

    @cached_property
    def hook(self) -> CIHook:
        """The hook of the connection; nothing is read before its client is used."""
        return CIHook(self.conn_id, bucket=self.bucket, region=self.region)
