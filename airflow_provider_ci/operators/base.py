"""What all operators share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any

from airflow.sdk import BaseOperator, Context, XComArg

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

    def depend_on_values_in(self, *records: Any) -> None:
        """Run after the tasks whose results are in these dataclasses, into which Airflow does not look."""
        for record in records:
            XComArg.apply_upstream_relationship(self, [value for _, value in _values(record)])

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render as Airflow does, and inside dataclasses too, which are built (and checked) anew."""
        if not is_dataclass(content) or isinstance(content, type):
            return super().render_template(content, context, jinja_env, seen_oids)
        rendered = {
            name: self.render_template(value, context, jinja_env, seen_oids)
            for name, value in _values(content)
        }
        return type(content)(**rendered)


def _values(content: Any) -> Iterator[tuple[str, Any]]:
    if is_dataclass(content):
        yield from ((field.name, getattr(content, field.name)) for field in fields(content) if field.init)
