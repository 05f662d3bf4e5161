"""Looks up secrets by reference: passwords of connections, Airflow variables, environment variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from airflow.sdk import Variable
from airflow.sdk.log import mask_secret

from airflow_provider_ci.compat import BaseHook


def look_up(reference: str) -> str:
    """Return the secret that a reference names, and mask it in the task's log.

    Airflow reads connections and variables through its secrets backends.

    :param reference: ``conn:ID`` for the password of a connection, ``var:NAME`` for an Airflow variable, or
        ``env:NAME`` for an environment variable.
    :raises Exception: the secret does not exist; the message names the reference, never the secret.
    """
    scheme, _, name = reference.partition(":")
    if scheme not in _READERS:
        raise LookupError(f"Airflow knows {', '.join(f'{each}:…' for each in _READERS)}, not {scheme}:")
    found = _READERS[scheme](name)
    if not found:
        raise LookupError(f"{reference!r} has no secret: it is empty")
    mask_secret(found)
    return found


def _of_connection(conn_id: str) -> str | None:
    password: str | None = BaseHook.get_connection(conn_id).password
    return password


def _of_variable(name: str) -> str | None:
    try:
        found: str | None = Variable.get(name)
    except ImportError as error:  # raised by Airflow 3.0 outside of a task
        raise LookupError(
            f"no variable {name!r}: outside of a task, this Airflow reads variables from the environment only"
        ) from error
    return found


_READERS: Mapping[str, Callable[[str], str | None]] = {
    "conn": _of_connection,
    "var": _of_variable,
    "env": os.environ.get,
}
