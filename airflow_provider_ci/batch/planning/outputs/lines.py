"""Names and fingerprints of the lines of a plan: one line for each object and step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_ci.batch.planning.outputs.template import first_output_of
from airflow_provider_ci.batch.planning.rows import NO_ROW, OperationsOfRows, RowPart
from airflow_provider_ci.batch.planning.steps import PlanStep

Parts = Sequence[RowPart]
"""What the row of an object says about each step; empty without a row."""


class Lines:
    """Computes names and fingerprints of lines; ``place`` is the position of the step, from 0."""

    def __init__(self, steps: Sequence[PlanStep]) -> None:
        self.steps = steps
        self._operations = [OperationsOfRows(step) for step in steps]

    def output_key(self, key: str, parts: Parts, place: int) -> str:
        """The output key of a line, with the placeholders that the service replaces.

        :raises OutputNameError: the object's own key holds such a placeholder.
        """
        return _part(parts, place).output_key or self.steps[place].template.output_key(key)

    def first_output(self, key: str, parts: Parts, place: int) -> str:
        """Key of the first object that the job of a line writes.

        :raises OutputNameError: the object's own key holds a placeholder that the service replaces.
        """
        own = _part(parts, place).output_key
        return first_output_of(own) if own else self.steps[place].template.first_output(key)

    def input_key(self, key: str, parts: Parts, place: int) -> str:
        """Key of what the job reads: the object, or the output of an earlier step."""
        back = self.steps[place].back
        return self.first_output(key, parts, place - back) if back else key

    def fingerprint(
        self, key: str, etag: str, parts: Parts, place: int, output_key: str | None = None
    ) -> str:
        """Fingerprint of a line; changes with the content that the job reads, the operation or output key.

        The content of an earlier step's output is known before it exists: it follows from that step's
        fingerprint.

        :param output_key: output key of the line, if the caller knows it.
        """
        back = self.steps[place].back
        content = self.fingerprint(key, etag, parts, place - back) if back else etag
        operation = self._operations[place].of(_part(parts, place).parameters)
        if output_key is None:
            output_key = self.output_key(key, parts, place)
        return operation.of_outputs.of(self.input_key(key, parts, place), content, output_key)

    def operation(self, parts: Parts, place: int) -> Any:
        """The operation of a line."""
        return self._operations[place].of(_part(parts, place).parameters).operation

    def operation_fingerprint(self, parts: Parts, place: int) -> str:
        """Fingerprint of the operation of a line."""
        return self._operations[place].of(_part(parts, place).parameters).fingerprint


def _part(parts: Parts, place: int) -> RowPart:
    return parts[place] if parts else NO_ROW
