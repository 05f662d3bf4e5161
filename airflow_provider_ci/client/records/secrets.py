"""References to secrets, for use where a secret itself must not be stored or shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value

V = TypeVar("V")

SCHEMES = ("conn", "var", "env", "secret")
"""Where a secret is kept: in the password of an Airflow connection, an Airflow variable, an environment
variable, or a place that only the caller's resolver knows."""

_REFERENCE = re.compile(rf"(?:{'|'.join(SCHEMES)}):\S.*")


@dataclass(frozen=True, slots=True, repr=False)
class Secret(Value):
    """Names a secret, such as ``Secret("conn:locked_documents")``; it is looked up when a job is submitted.

    :param reference: ``conn:`` and the id of an Airflow connection, for its password; ``var:`` and the name
        of an Airflow variable; ``env:`` and the name of an environment variable; or ``secret:`` and a name
        that your own resolver knows.
    """

    always_shown: ClassVar[tuple[str, ...]] = ("reference",)

    reference: str

    def __post_init__(self) -> None:
        if checks.is_template(self.reference):
            return
        if not isinstance(self.reference, str) or not _REFERENCE.fullmatch(self.reference):
            # The value is not shown: it may be the secret itself.
            raise ValueError(
                "Secret.reference must name a secret, as in 'conn:my_connection', 'var:my_variable' or "
                "'env:MY_VARIABLE', and not the secret itself"
            )


def secret_text(name: str, value: Any) -> Any:
    """Check a secret, which is a text or a reference. None and templates pass; no error shows the value."""
    if value is None or isinstance(value, (Secret, str)) or checks.is_template(value):
        return value
    if isinstance(value, Mapping) and value.keys() == {"reference"}:  # the serialized form of a Secret
        return Secret(**value)
    try:
        return checks.text(name, value)
    except ValueError:
        raise ValueError(f"{name} must be a text or a Secret, not a {type(value).__name__}") from None


def with_secret(operation: V, look_up: Callable[[str], str]) -> V:
    """Replace the reference to a secret in an operation by the secret itself, only for use in a request.

    :param look_up: returns the secret that a reference names.
    """
    password = getattr(operation, "password", None)
    if not isinstance(password, Secret):
        return operation
    return replace(operation, password=look_up(password.reference))  # type: ignore[type-var]


def refuse_reference(name: str, value: Any) -> None:
    """Reject a reference where the secret itself is needed."""
    if isinstance(value, Secret):
        raise ValueError(
            f"{name} is the reference {value.reference!r}, and the service needs the secret itself: look it "
            "up first, or use a batch, which does that for each job"
        )
