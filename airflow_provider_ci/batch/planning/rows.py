"""Reads what the row of an object, such as its line in a manifest, sets for each step of a batch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_ci.batch.planning.operations import (
    ParameterError,
    parameter_names,
    with_parameters,
)
from airflow_provider_ci.batch.planning.outputs.fingerprint import Fingerprints, operation_fingerprint
from airflow_provider_ci.batch.planning.outputs.template import OutputTemplate
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.batch.planning.steps import PlanStep
from airflow_provider_ci.batch.sources.source import Row, UnusableKey
from airflow_provider_ci.client import ObjectInfo
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import plain

_OF_LEDGERS = re.compile(r"^_ci_batches(\.registry)?/|(^|/)[^/]*\.ci-batch/")
_KEPT = 1000
"""Maximum number of operations kept in memory: neighbouring rows often have the same parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPart:
    """What a row sets for one step; every field is empty if the object has no row."""

    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    output_key: str = ""
    job_level: int | None = None

    def to_json(self) -> list[Any]:
        """The part as JSON, for the draft."""
        return [dict(self.parameters), self.output_key, self.job_level]

    @classmethod
    def from_json(cls, content: Sequence[Any]) -> RowPart:
        """The part from :meth:`to_json`."""
        parameters, output_key, job_level = content
        return cls(parameters=parameters, output_key=output_key, job_level=job_level)

    @property
    def is_empty(self) -> bool:
        """Whether the row changes none of the batch's settings for this step."""
        return not (self.parameters or self.output_key) and self.job_level is None


NO_ROW = RowPart()


class RowReader:
    """Checks rows against the steps of a batch."""

    def __init__(self, steps: Sequence[PlanStep]) -> None:
        self._steps = steps
        self._operations = {id(step): OperationsOfRows(step) for step in steps}

    def parts(self, row: Row) -> tuple[RowPart, ...]:
        """Return what a row sets for each step.

        :raises ParameterError: a parameter is unknown, or wrong for its step.
        """
        level = _job_level(row.job_level)
        if row.output_key and len(self._steps) > 1:
            raise ParameterError(
                f"output_key: the batch makes {len(self._steps)} outputs of each object; "
                "name them by the templates of the steps"
            )
        by_step = self._by_step(row.parameters)
        parts = []
        for step in self._steps:
            parameters = by_step.get(step.name, {})
            self._operations[id(step)].of(parameters)  # raises ParameterError if they are wrong
            output_key = self._output_key(row.output_key, step)
            parts.append(RowPart(parameters=parameters, output_key=output_key, job_level=level))
        return tuple(parts)

    def _by_step(self, parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The parameters of each step.

        A parameter ``name`` sets the steps that read the object, ``step.name`` sets the named step.
        """
        by_step: dict[str, dict[str, Any]] = {}
        for name, value in parameters.items():
            if value is None or value == "":
                continue  # an empty cell of a table
            owner, dot, own_name = str(name).rpartition(".")
            steps = self._named(owner, name) if dot else self._readers(own_name)
            for step in steps:
                by_step.setdefault(step.name, {})[own_name] = plain_parameter(value)
        return by_step

    def _named(self, owner: str, name: str) -> list[PlanStep]:
        steps = [step for step in self._steps if step.name == owner]
        if not steps:
            named = ", ".join(step.name for step in self._steps if step.name) or "no names"
            raise ParameterError(f"{name}: the batch has no step {owner!r}; its steps have {named}")
        return steps

    def _readers(self, name: str) -> list[PlanStep]:
        """The steps that read the object and have this parameter."""
        readers = [step for step in self._steps if not step.after]
        having = [step for step in readers if name in parameter_names(step.operation)]
        return having or readers[:1]  # its error message then lists its parameters

    def _output_key(self, key: str, step: PlanStep) -> str:
        if not key:
            return ""
        try:
            checks.object_key("output_key", key)
        except ValueError as error:
            raise ParameterError(str(error)) from None
        # An output among the records would replace one of them, or the next listing would leave it out.
        if _OF_LEDGERS.search(key):
            raise ParameterError(f"output_key {key!r} lies among the records of batches")
        begin = step.template.literal_prefix
        if not key.startswith(begin):
            raise ParameterError(
                f"output_key {key!r} must begin with {begin!r}, as the output template "
                f"{step.template.text!r} does: the batch announces these outputs to other batches"
            )
        return key


class OperationsOfRows:
    """The operations of one step after rows have set their parameters, with the fingerprints."""

    def __init__(self, step: PlanStep) -> None:
        self._step = step
        self._plain = _Effective(step.operation, step.fingerprint)
        self._known: dict[str, _Effective] = {}

    def of(self, parameters: Mapping[str, Any]) -> _Effective:
        """The operation with these parameters.

        :raises ParameterError: a parameter is unknown, or wrong.
        """
        if not parameters:
            return self._plain
        # Parameters are JSON values, which are not always hashable.
        name = repr(sorted(parameters.items()))
        found = self._known.get(name)
        if found is None:  # several threads may run this at the same time
            operation = with_parameters(self._step.operation, parameters)
            found = _Effective(operation, operation_fingerprint(operation))
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[name] = found
        return found


class _Effective:
    """An operation and its fingerprints."""

    def __init__(self, operation: Any, fingerprint: str) -> None:
        self.operation = operation
        self.fingerprint = fingerprint
        self.of_outputs = Fingerprints(operation)


def plain_parameter(value: Any) -> Any:
    """A parameter as JSON; a secret becomes the text of its reference."""
    return getattr(value, "reference", None) or plain(value)


def _job_level(value: Any) -> int | None:
    try:
        # A row is data that Airflow never renders: text with braces is a wrong level, not a template.
        with checks.no_templates():
            found: int | None = checks.number("job_level", None if value == "" else value, 0, 2)
    except ValueError as error:
        raise ParameterError(str(error)) from None
    return found


def row_of_lines(
    info: ObjectInfo, lines: Sequence[PlannedObject], template: OutputTemplate
) -> ObjectInfo | Row:
    """Restore the row of an object from its lines in a plan; without a row, return the object itself.

    :param template: output template of the first step.
    """
    first = lines[0]
    parameters = {
        f"{line.step}.{name}" if line.step else name: value
        for line in lines
        for name, value in line.parameters.items()
    }
    # The plan does not record whether the row or the template named the output. If the template gives another
    # key, the row named the output. An object without a job has no output, and the template may be unable to
    # name one.
    is_named = not first.output_key or template.output_key(first.key) == first.output_key
    output_key = "" if is_named else first.output_key
    if not (parameters or output_key or first.job_level is not None):
        return info
    return Row(info=info, output_key=output_key, job_level=first.job_level, parameters=parameters)


def with_row(
    found: ObjectInfo | Row | UnusableKey, row_of: Callable[[ObjectInfo], Mapping[str, Any] | None]
) -> ObjectInfo | Row | UnusableKey:
    """Add the settings that a function returns for an object; the object's own row takes precedence.

    :param row_of: may return fields of the operation, ``output_key`` and ``job_level``. If it raises an
        exception for an object, only that object fails.
    """
    if isinstance(found, UnusableKey):
        return found
    row = found if isinstance(found, Row) else Row(info=found)
    try:
        given = dict(row_of(row.info) or {})
    except Exception as error:  # the function is the user's: whatever it raises concerns this object only
        reason = f"row of {row.info.key!r}: the function parameters raised {error!r}"
        return UnusableKey(key=row.info.key, code="InvalidRow", message=reason)
    output_key, job_level = given.pop("output_key", ""), given.pop("job_level", None)
    return Row(
        info=row.info,
        output_key=row.output_key or output_key or "",
        job_level=job_level if row.job_level is None else row.job_level,
        parameters={**given, **row.parameters},
    )
