"""The base class of all operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import Asset, BaseOperator, Context

from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.tasks.arguments import Reader
from airflow_provider_ci.tasks.rendering import with_new_names
from airflow_provider_ci.tasks.task import CONNECTION, CITask


class CIOperator(CITask, BaseOperator):
    """A task on the bucket of a ``tencent_ci`` connection.

    :param tencent_ci_conn_id: the Airflow connection. (templated)
    :param bucket: bucket to use in place of the connection's. (templated)
    :param region: region to use in place of the connection's. (templated)
    """

    argument_types: ClassVar[Mapping[str, Reader]] = CONNECTION
    template_fields: Sequence[str] = tuple(CONNECTION)
    ui_color = "#e5f1fb"

    def __init__(
        self,
        *,
        tencent_ci_conn_id: str = CIHook.default_conn_name,
        bucket: str | None = None,
        region: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs = with_new_names(kwargs)
        conn_id = kwargs.pop("tencent_ci_conn_id", tencent_ci_conn_id)  # given under its old name
        super().__init__(**kwargs)
        self.tencent_ci_conn_id = conn_id
        self.bucket = bucket
        self.region = region

    def push_result(self, context: Context, values: Mapping[str, Any]) -> None:
        """Push the values that the task would have returned, right before the task fails or is skipped."""
        if not self.do_xcom_push:
            return
        context["ti"].xcom_push(key="return_value", value=values)
        if self.multiple_outputs:
            for name, value in values.items():
                context["ti"].xcom_push(key=name, value=value)

    def announce_nothing(self) -> None:
        """Prevent events for the assets of the outlets, because nothing was written."""
        # Airflow sends an event for each asset that remains among the outlets.
        self.outlets = [outlet for outlet in self.outlets if not isinstance(outlet, Asset)]
