"""Names the outputs of objects, and rejects objects for which no job can be submitted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airflow_provider_ci.batch.planning.operations import ParameterError
from airflow_provider_ci.batch.planning.outputs.lines import Lines
from airflow_provider_ci.batch.planning.outputs.template import OutputNameError, OutputTemplateError
from airflow_provider_ci.batch.planning.rows import RowPart, RowReader
from airflow_provider_ci.batch.planning.steps import PlanStep
from airflow_provider_ci.batch.sources.source import Found, Row, UnusableKey
from airflow_provider_ci.client import ObjectInfo

_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Namer:
    """Names the outputs of objects, one for each step."""

    def __init__(self, steps: Sequence[PlanStep], lines: Lines) -> None:
        self._steps = steps
        self._lines = lines
        self._rows = RowReader(steps)

    def named(self, found: Found) -> tuple[Sequence[RowPart], list[str | None]]:
        """Return what the row of an object sets, and the first output of each step.

        :raises UnusableError: no job can be submitted for the object.
        """
        if isinstance(found, UnusableKey):
            raise UnusableError(found.key, found.code, found.message)
        parts: Sequence[RowPart] = ()
        key = key_of(found)
        try:
            if isinstance(found, Row):
                parts = self._rows.parts(found)
            outputs = [self._lines.first_output(key, parts, place) for place in range(len(self._steps))]
        except ParameterError as error:
            raise UnusableError(key, "InvalidRow", f"row of {key!r}: {error}") from None
        except OutputNameError as error:
            raise UnusableError(key, "InvalidObjectName", str(error)) from None
        if key in outputs:
            self._refuse_overwriting(key, parts, outputs.index(key))
        if all(part.is_empty for part in parts):
            parts = ()
        return parts, list(outputs)

    def _refuse_overwriting(self, key: str, parts: Sequence[RowPart], place: int) -> None:
        # A wrong row fails only its own object. A wrong template would affect other objects, too, so it is
        # refused.
        if parts and parts[place].output_key:
            raise UnusableError(key, "InvalidRow", f"row of {key!r}: output_key names the object itself")
        raise OutputTemplateError(
            f"output template {self._steps[place].template.text!r}: {key!r} would overwrite itself; "
            "name another folder or suffix in the template"
        )


class UnusableError(Exception):
    """No job can be submitted for an object."""

    def __init__(self, key: str, code: str, message: str) -> None:
        self.details = {"key": key, "code": code, "message": message}
        super().__init__(message)


def key_of(found: Found) -> str:
    """The key of an object."""
    return found.info.key if isinstance(found, Row) else found.key


def info_of(found: Found) -> ObjectInfo:
    """The object itself, without its row."""
    if isinstance(found, Row):
        return found.info
    assert isinstance(found, ObjectInfo)
    return found


def no_object() -> ObjectInfo:
    """A placeholder in the draft for a key without an object."""
    return ObjectInfo(key="", size=0, etag="", last_modified=_LONG_AGO)
