"""Airflow's templates inside the dataclasses that operators and sensors take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context, XComArg

if TYPE_CHECKING:
    _Task = BaseOperator
else:
    # Airflow's metaclass gives every subclass of its operators a constructor, which would pass over the
    # sensor's where both are bases.
    _Task = object


class RendersRecords(_Task):
    """To be named before the base class of an operator or a sensor."""

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
