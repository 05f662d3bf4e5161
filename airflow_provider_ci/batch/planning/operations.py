"""Stores operations in a plan, and applies the parameters of a row to them.

A plan is stored in the bucket, so it never holds a secret: a password is left out, and a reference to a
password is stored as ``doc_password``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from airflow_provider_ci.client import DocProcess, PicProcess, PicTemplate, Secret
from airflow_provider_ci.client.jobs.any_job import JOB_OPERATIONS
from airflow_provider_ci.client.records.values import rendered, values_in

OPERATIONS = {each.__name__: each for each in (DocProcess, PicProcess, PicTemplate, *JOB_OPERATIONS)}
DOC_PASSWORD = "doc_password"  # noqa: S105 it is the name of a field
"""Name of the reference to a document's password, in rows and in plans."""
_PASSWORD = "password"  # noqa: S105 it is the name of a field
# The service's name of the password. ``extra`` sends XML elements unchanged, so it can hold a password, too.
_SECRET_NODES = ("DocPassword",)
_STORED_NAMES = {"type": "type_"}
"""Fields that are stored under another name, because the stored ``type`` is the class of the operation."""


class ParameterError(ValueError):
    """A parameter of a row is invalid; only this row fails. The message holds no secret."""


def operation_record(operation: Any) -> dict[str, Any]:
    """An operation as JSON, without a password, because everybody with access to the bucket can read it."""
    values = {
        _STORED_NAMES.get(name, name): value
        for name, value in asdict(operation).items()
        if value is not None and name != _PASSWORD
    }
    if "extra" in values:
        values["extra"] = {k: v for k, v in values["extra"].items() if k not in _SECRET_NODES}
    password = getattr(operation, _PASSWORD, None)
    if isinstance(password, Secret):
        values[DOC_PASSWORD] = password.reference
    return {"type": type(operation).__name__, **values}


def restored_operation(record: Mapping[str, Any], current: Any) -> Any:
    """Restore the operation of a plan; a password that the plan does not name comes from ``current``.

    :param current: the operation of the running code, whose arguments may be rendered differently by now.
    """
    made_of: Any = OPERATIONS.get(str(record.get("type")), type(current))
    names = {item.name for item in fields(made_of) if item.init}
    stored = {_STORED_NAMES.get(name, name): name for name in names}
    values = {stored[name]: value for name, value in record.items() if name in stored}
    if _PASSWORD in names:
        reference = record.get(DOC_PASSWORD)
        values[_PASSWORD] = Secret(reference) if reference else getattr(current, _PASSWORD, None)
    # The password in extra was left out as well, see operation_record().
    current_extra = getattr(current, "extra", {})
    secrets = {name: current_extra[name] for name in _SECRET_NODES if name in current_extra}
    if secrets and "extra" in names:
        values["extra"] = {**values.get("extra", {}), **secrets}
    return made_of(**values)


def parameter_names(operation: Any) -> tuple[str, ...]:
    """The parameters that a row may set for an operation."""
    return tuple(DOC_PASSWORD if name == _PASSWORD else name for name, _ in values_in(operation))


def with_parameters(operation: Any, parameters: Mapping[str, Any]) -> Any:
    """Apply the parameters of an object's row to its operation.

    :param parameters: parameters from the row; numbers may be text.
    :raises ParameterError: a name is unknown, or a value is wrong.
    """
    if not parameters:
        return operation
    allowed = parameter_names(operation)
    known = dict(values_in(operation))
    for name, value in parameters.items():
        if name not in allowed:
            raise ParameterError(_unknown(name, type(operation).__name__, allowed))
        try:
            known[_PASSWORD if name == DOC_PASSWORD else name] = _checked(name, value)
        except (TypeError, ValueError) as error:
            raise ParameterError(f"{name}: {error}") from None
    try:
        return rendered(operation, known)
    except (TypeError, ValueError) as error:
        raise ParameterError(str(error)) from None


def _checked(name: str, value: Any) -> Any:
    if name == DOC_PASSWORD:
        return value if isinstance(value, Secret) else Secret(value)
    if isinstance(value, Mapping) and any(node in value for node in _SECRET_NODES):
        raise ValueError(f"it holds a password; name the secret by {DOC_PASSWORD} instead")
    return value


def _unknown(name: str, operation: str, allowed: tuple[str, ...]) -> str:
    if name == _PASSWORD and DOC_PASSWORD in allowed:
        return f"password: a row never holds one; {DOC_PASSWORD} names a secret, such as 'conn:my_connection'"
    return f"{name}: {operation} has no such parameter; it has {', '.join(allowed)}"
