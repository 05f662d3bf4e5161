"""The steps of a batch: which outputs it makes from each object, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow_provider_ci.batch.planning.operations import OPERATIONS, operation_record, restored_operation
from airflow_provider_ci.batch.planning.outputs.fingerprint import (
    definition_fingerprint,
    operation_fingerprint,
)
from airflow_provider_ci.batch.planning.outputs.template import OutputTemplate, OutputTemplateError
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value
from airflow_provider_ci.jobs.kinds import type_of_operation


@dataclass(frozen=True, slots=True, repr=False)
class Step(Value):
    """One output of each object.

    :param operation: how the output is made.
    :param output: template of the output's key, see :class:`OutputTemplate`.
    :param after: name of the step whose output is read instead of the object itself. If that step makes
        several outputs per object, the first one is read.
    """

    always_shown: ClassVar[tuple[str, ...]] = ("operation", "output")

    operation: Any
    output: str
    after: str | None = None

    def serialize(self) -> dict[str, Any]:
        """The fields as JSON types; the operation includes the name of its class as ``type``."""
        operation = self.operation
        if isinstance(operation, Value):
            operation = {"type": type(operation).__name__, **operation.serialize()}
        return {**Value.serialize(self), "operation": operation}

    def __post_init__(self) -> None:
        if isinstance(self.operation, Mapping) and self.operation.get("type") in OPERATIONS:
            values = {name: value for name, value in self.operation.items() if name != "type"}
            made_of = OPERATIONS[self.operation["type"]]
            object.__setattr__(self, "operation", made_of.deserialize(values))
        object.__setattr__(self, "output", checks.text("Step.output", self.output))
        object.__setattr__(self, "after", checks.text("Step.after", self.after))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """A step of a plan."""

    name: str
    """Empty for the only step of a batch with one operation."""
    operation: Any
    template: OutputTemplate
    after: str = ""
    """Name of the step whose output is read; empty for the object itself."""
    back: int = 0
    """Distance, in steps, to the earlier step ``after``; 0 without ``after``."""
    fingerprint: str
    """Fingerprint of the operation."""

    @property
    def tag(self) -> str:
        """Tag of the jobs, as the service names it, such as ``DocProcess``."""
        return type_of_operation(self.operation).tag

    def to_json(self) -> dict[str, Any]:
        """The step as a plan stores it."""
        return {
            "name": self.name,
            "operation": operation_record(self.operation),
            "fingerprint": self.fingerprint,
            "output": self.template.text,
            "after": self.after,
            # With the tag, a trigger can watch the jobs without the operation.
            "tag": self.tag,
        }


def named_steps(operations: Mapping[str, Any]) -> dict[str, Step]:
    """The steps of the argument ``operations``, each after the step that it needs.

    :raises ValueError: the argument does not map names to steps, a step follows an unknown step, or steps
        follow each other in a circle.
    """
    if not isinstance(operations, Mapping) or not operations:
        raise ValueError(f"operations must map names to steps, not {operations!r}")
    steps = {_name(name): _step(name, content) for name, content in operations.items()}
    for name, step in steps.items():
        if step.after and step.after not in steps:
            raise ValueError(
                f"operations: step {name!r} comes after {step.after!r}, which is not a step; "
                f"the steps are {', '.join(steps)}"
            )
    return _in_order(steps)


def _name(name: Any) -> str:
    # In the row of an object, a dot separates step and parameter: "pdf.start_page".
    if not isinstance(name, str) or not name or "." in name:
        raise ValueError(f"operations: the name of a step must be a text without dots, not {name!r}")
    return name


def _step(name: str, content: Any) -> Step:
    if isinstance(content, Step):
        return content
    if isinstance(content, Mapping) and "operation" in content:
        return Step(**content)
    if isinstance(content, (tuple, list)) and len(content) in (2, 3):
        return Step(*content)
    raise ValueError(
        f"operations: step {name!r} must be a Step, or (operation, output) or (operation, output, after), "
        f"not {content!r}"
    )


def _in_order(steps: Mapping[str, Step]) -> dict[str, Step]:
    ordered: dict[str, Step] = {}
    left = dict(steps)
    while left:
        ready = [name for name, step in left.items() if not step.after or step.after in ordered]
        if not ready:
            raise ValueError(f"operations: the steps {', '.join(left)} come after each other in a circle")
        ordered.update({name: left.pop(name) for name in ready})
    return ordered


def plan_steps(steps: Mapping[str, Step], prefix: str) -> tuple[PlanStep, ...]:
    """The steps of a new plan.

    :param prefix: prefix of the selection; ``{dir}`` leaves it out.
    :raises OutputTemplateError: a template cannot name outputs, or two steps write the same output.
    """
    places = {name: place for place, name in enumerate(steps)}
    made = tuple(
        PlanStep(
            name=name,
            operation=step.operation,
            template=OutputTemplate(text=step.output, prefix=prefix),
            after=step.after or "",
            back=places[name] - places[step.after] if step.after else 0,
            fingerprint=operation_fingerprint(step.operation),
        )
        for name, step in steps.items()
    )
    _refuse_same_outputs(made)
    return made


def _refuse_same_outputs(steps: Sequence[PlanStep]) -> None:
    known: dict[str, str] = {}
    for step in steps:
        # All placeholders differ in this key: templates that agree for it agree for every key.
        first = known.setdefault(step.template.first_output("a/b/c.d"), step.name)
        if first != step.name:
            raise OutputTemplateError(
                f"operations: the steps {first!r} and {step.name!r} both write {step.template.text!r}; "
                "name another folder or suffix in one of them"
            )


def stored_steps(
    records: Sequence[Mapping[str, Any]], prefix: str, current: Mapping[str, Step]
) -> tuple[PlanStep, ...]:
    """The steps of a frozen plan.

    :param records: from :meth:`PlanStep.to_json`.
    :param current: the steps of the running code, which have the passwords that the plan does not name.
    """
    places = {str(record["name"]): place for place, record in enumerate(records)}
    fallback = next(iter(current.values()), None)
    made = []
    for place, record in enumerate(records):
        now = current.get(str(record["name"]), fallback)
        after = str(record.get("after", ""))
        operation = restored_operation(record["operation"], now.operation if now else None)
        made.append(
            PlanStep(
                name=str(record["name"]),
                operation=operation,
                template=OutputTemplate(text=record["output"], prefix=prefix),
                after=after,
                back=place - places[after] if after else 0,
                fingerprint=operation_fingerprint(operation),
            )
        )
    return tuple(made)


def steps_fingerprint(steps: Sequence[PlanStep]) -> str:
    """Sixteen hexadecimal digits that change with the operation of any step."""
    # The operation's own fingerprint: batches compare it with claims of older versions, which had no steps.
    if len(steps) == 1 and not steps[0].name:
        return steps[0].fingerprint
    return definition_fingerprint(*((step.name, step.fingerprint, step.after) for step in steps))
