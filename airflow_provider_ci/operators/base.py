"""What all operators share."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_ci.hooks import CIHook


class CIOperator(BaseOperator):
    """A task on the bucket of a ``tencent_ci`` connection.

    :param conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket. (templated)
    :param region: takes the place of the connection's region. (templated)
    """

    ui_color = "#e5f1fb"

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

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render as Airflow does, and inside dataclasses too, which are built (and checked) anew."""
        if not is_dataclass(content) or isinstance(content, type):
            return super().render_template(content, context, jinja_env, seen_oids)
        values = {field.name: getattr(content, field.name) for field in fields(content) if field.init}
        rendered = {
            name: self.render_template(value, context, jinja_env, seen_oids) for name, value in values.items()
        }
        return type(content)(**rendered)
