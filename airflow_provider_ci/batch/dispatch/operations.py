"""What the job of each line does: from its step, the parameters of its row, and the secrets they name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.batch.planning.rows import OperationsOfRows
from airflow_provider_ci.batch.planning.steps import PlanStep, Step, plan_steps
from airflow_provider_ci.client.records.secrets import with_secret
from airflow_provider_ci.jobs.kinds import JobType, type_of_operation

SecretResolver = Callable[[str], str]
"""Returns the secret that a reference such as ``conn:ID`` names, or raises an exception."""


class SecretError(ValueError):
    """A secret cannot be looked up by its reference. No job that needs the secret was submitted."""

    code = "SecretUnavailable"

    def __init__(self, reference: str, reason: str) -> None:
        self.reference = reference
        self.reason = reason
        super().__init__(f"the secret {reference!r} cannot be looked up: {reason}")

    def __reduce__(self) -> tuple[type[SecretError], tuple[str, str]]:
        return type(self), (self.reference, self.reason)


def environment_secrets(reference: str) -> str:
    """Look up a secret in the environment variable that the reference ``env:NAME`` names."""
    scheme, _, name = reference.partition(":")
    if scheme != "env":
        raise LookupError(
            f"only env:NAME is known here; pass secrets=, a function that looks {scheme}: references up"
        )
    if name not in os.environ:
        raise LookupError(f"the environment variable {name} is not set")
    return os.environ[name]


class Secrets:
    """Looks up secrets, each once per run; secrets are never stored or shown."""

    def __init__(self, resolve: SecretResolver | None = None) -> None:
        self._resolve = resolve or environment_secrets
        self._known: dict[str, str | SecretError] = {}

    def __repr__(self) -> str:
        return f"Secrets({len(self._known)} looked up)"

    def of(self, reference: str) -> str:
        """The secret that a reference names.

        :raises SecretError: the secret cannot be looked up.
        """
        if reference not in self._known:
            # Failures are kept, too, so that a missing connection is not looked up again for each object.
            self._known[reference] = self._looked_up(reference)
        found = self._known[reference]
        if isinstance(found, SecretError):
            raise found
        return found

    def _looked_up(self, reference: str) -> str | SecretError:
        try:
            found = self._resolve(reference)
        except Exception as error:
            # The function is the user's. Whatever it raises concerns only the objects that need this secret.
            reason = str(error) or type(error).__name__
            return SecretError(reference, f"{reason} ({type(error).__name__})")
        if not isinstance(found, str) or not found:
            return SecretError(reference, "it is empty")
        return found


class Operations:
    """The operations of a plan.

    :param steps: the steps of the plan.
    """

    def __init__(self, steps: Sequence[PlanStep], secrets: Secrets | None = None) -> None:
        self._steps = {step.name: step for step in steps}
        self._of_rows = {step.name: OperationsOfRows(step) for step in steps}
        self._types = {step.name: type_of_operation(step.operation) for step in steps}
        self._secrets = secrets or Secrets()

    @classmethod
    def of_one(cls, operation: Any, job_type: JobType | None = None) -> Operations:
        """The operations of a batch that has one operation.

        :param job_type: used in place of the operation's own type.
        """
        made = cls(plan_steps({"": Step(operation, "{key}")}, ""))
        if job_type is not None:
            made._types[""] = job_type
        return made

    @property
    def types(self) -> tuple[JobType, ...]:
        """The types of all jobs, each once."""
        return tuple({job_type.tag: job_type for job_type in self._types.values()}.values())

    def type_of(self, planned: PlannedObject) -> JobType:
        """The type of the job of a line."""
        return self._types[planned.step]

    def of(self, planned: PlannedObject) -> Any:
        """The operation of a line, with references in place of secrets."""
        return self._of_rows[planned.step].of(planned.parameters).operation

    def to_send(self, planned: PlannedObject) -> Any:
        """The operation of a line with its secrets, for the request only.

        :raises SecretError: a secret cannot be looked up.
        """
        return self._with_secret(self.of(planned))

    def look_up(self, objects: Iterable[PlannedObject]) -> None:
        """Look up the secrets of these lines now, in this thread; :meth:`to_send` raises the errors."""
        for planned in objects:
            with suppress(ValueError):
                self.to_send(planned)

    def check_secrets(self) -> None:
        """Look up the secrets of the steps themselves, because without them every object would fail.

        :raises SecretError: a secret cannot be looked up.
        """
        for step in self._steps.values():
            self._with_secret(step.operation)

    def _with_secret(self, operation: Any) -> Any:
        return with_secret(operation, self._secrets.of)
