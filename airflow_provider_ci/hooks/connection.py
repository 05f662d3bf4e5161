"""Creates a client from the fields of an Airflow connection; one error names all problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import Connection

from airflow_provider_ci.client import (
    AssumedRole,
    CIClient,
    Credentials,
    CredentialSource,
    MachineRole,
    RenewingCredentials,
    environment_credentials,
)

STATIC, ENVIRONMENT, ROLE = "static", "environment", "role"
SOURCES = (STATIC, ENVIRONMENT, ROLE)
"""Allowed values of the connection's extra ``credentials``."""

_TEXTS = frozenset(
    {
        *("region", "bucket", "endpoint", "verify"),
        *("credentials", "token", "role_name", "metadata_url"),
        *("role_arn", "role_session_name", "sts_url"),
    }
)
_NUMBERS: dict[str, Callable[[Any], float]] = {
    "requests_per_second": float,
    "timeout": float,
    "max_connections": int,
    "duration_seconds": int,
}
EXTRAS = _TEXTS | _NUMBERS.keys()
"""All names that the connection's extra may contain."""

_BELONGS_TO = {"token": STATIC, "role_name": ROLE, "metadata_url": ROLE}
"""For each of these extras: the only source of credentials that uses it."""
_NEEDS_ROLE_ARN = ("role_session_name", "duration_seconds", "sts_url")


class ConnectionConfigError(ValueError):
    """The Airflow connection lacks fields or has invalid ones; the message names all of them at once."""


def client_of(
    conn: Connection, conn_id: str, *, bucket: str | None = None, region: str | None = None, **options: Any
) -> CIClient:
    """Return the client that a connection describes.

    :param bucket, region: override the connection's bucket and region.
    :param options: further arguments of the client, which override the connection's.
    :raises ConnectionConfigError: the connection cannot be used.
    """
    extra = conn.extra_dejson
    if not isinstance(extra, dict):
        raise ConnectionConfigError(f"connection {conn_id!r}: its extra is no JSON object")
    given = {name: value for name, value in extra.items() if value not in (None, "")}
    given |= {name: value for name, value in (("bucket", bucket), ("region", region)) if value}
    problems = [*_misread(conn), *_missing(conn, given), *_contradictions(conn, given), *_unusable(given)]
    if problems:
        raise ConnectionConfigError(f"connection {conn_id!r}: {'; '.join(problems)}")
    try:
        return CIClient(
            _credentials(conn, given),
            str(given["region"]),
            str(given["bucket"]),
            **{**_client_options(given), **options},
        )
    except (TypeError, ValueError) as error:
        raise ConnectionConfigError(f"connection {conn_id!r}: {error}") from error


def signs_with(conn: Connection) -> str:
    """Describe the key of a connection for a message, without any secret."""
    extra = conn.extra_dejson if isinstance(conn.extra_dejson, dict) else {}
    source = extra.get("credentials") or STATIC
    words = {
        STATIC: f"the SecretId {shortened(conn.login or '')}",
        ENVIRONMENT: "the SecretId of the environment",
        ROLE: "the key of this machine's role",
    }[source]
    return f"the key of role {extra['role_arn']}" if extra.get("role_arn") else words


def verify_of(conn: Connection) -> bool | str:
    """Return which certificates to trust, according to a connection."""
    extra = conn.extra_dejson
    return _verify(extra if isinstance(extra, dict) else {})


def shortened(secret_id: str) -> str:
    """Shorten a SecretId, but so that it can still be distinguished from other SecretIds."""
    return secret_id if len(secret_id) <= 12 else f"{secret_id[:6]}...{secret_id[-4:]}"


def _source_of(given: Mapping[str, Any]) -> str:
    return str(given.get("credentials", STATIC))


def _misread(conn: Connection) -> list[str]:
    """Report a connection URI whose scheme has an underscore: Airflow reads no type and no key from it."""
    if conn.conn_type or conn.login or conn.password:
        return []
    return ["it has no type: a connection URI spells the type with a hyphen, tencent-ci://"]


def _missing(conn: Connection, given: Mapping[str, Any]) -> list[str]:
    needed = [("extra 'region'", given.get("region"))]
    needed += [("extra 'bucket' (or the operator's bucket)", given.get("bucket"))]
    if _source_of(given) == STATIC:
        needed = [("login (SecretId)", conn.login), ("password (SecretKey)", conn.password), *needed]
    return [f"{what} is missing" for what, value in needed if not value]


def _contradictions(conn: Connection, given: Mapping[str, Any]) -> list[str]:
    source = _source_of(given)
    if source not in SOURCES:
        return [f"extra 'credentials' must be one of {', '.join(SOURCES)}, not {source!r}"]
    found = [
        f"extra {name!r} belongs to credentials {owner!r}, not {source!r}"
        for name, owner in _BELONGS_TO.items()
        if name in given and owner != source
    ]
    if source != STATIC and (conn.login or conn.password):
        found.append(f"with credentials {source!r}, login and password must be empty")
    if "role_arn" not in given:
        found += [f"extra {name!r} needs 'role_arn'" for name in _NEEDS_ROLE_ARN if name in given]
    return found


def _unusable(given: Mapping[str, Any]) -> list[str]:
    found = [f"extra {name!r} is not known" for name in sorted(given.keys() - EXTRAS)]
    for name, number in _NUMBERS.items():
        try:
            number(given.get(name, 0))
        except (TypeError, ValueError):
            found.append(f"extra {name!r} must be a number, not {given[name]!r}")
    return found


def _client_options(given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("requests_per_second", "timeout", "max_connections")
    options = {name: _NUMBERS[name](given[name]) for name in names if name in given}
    return {"endpoint": given.get("endpoint"), "verify": _verify(given), **options}


def _credentials(conn: Connection, given: Mapping[str, Any]) -> CredentialSource:
    source = _OF_SOURCE[_source_of(given)](conn, given)
    if "role_arn" not in given:
        return source
    options: dict[str, Any] = {
        "session_name": given.get("role_session_name"),
        "duration_seconds": int(given["duration_seconds"]) if "duration_seconds" in given else None,
        "url": given.get("sts_url"),
    }
    return RenewingCredentials(
        AssumedRole(
            role_arn=str(given["role_arn"]),
            source=source,
            region=str(given["region"]),
            verify=_verify(given),
            **{name: value for name, value in options.items() if value is not None},
        )
    )


def _static(conn: Connection, given: Mapping[str, Any]) -> CredentialSource:
    return Credentials(secret_id=str(conn.login), secret_key=str(conn.password), token=given.get("token"))


def _environment(conn: Connection, given: Mapping[str, Any]) -> CredentialSource:
    return environment_credentials()


def _machine_role(conn: Connection, given: Mapping[str, Any]) -> CredentialSource:
    names = {"role_name": "role_name", "metadata_url": "url"}
    return RenewingCredentials(
        MachineRole(**{names[name]: str(given[name]) for name in names if name in given})
    )


_OF_SOURCE: dict[str, Callable[[Connection, Mapping[str, Any]], CredentialSource]] = {
    STATIC: _static,
    ENVIRONMENT: _environment,
    ROLE: _machine_role,
}


def _verify(given: Mapping[str, Any]) -> bool | str:
    """Return ``verify`` of the client from a JSON boolean, its text, or the path of a CA bundle."""
    text = str(given.get("verify", True))
    return {"true": True, "false": False}.get(text.lower(), text)
