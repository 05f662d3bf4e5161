"""Creates the client of a command from options, the environment, or an Airflow connection."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_ci.client import CIClient, environment_credentials

if TYPE_CHECKING:
    from airflow_provider_ci.hooks import CIHook

VARIABLES = {
    "bucket": ("CI_BUCKET",),
    "region": ("CI_REGION", "TENCENTCLOUD_REGION"),  # the vendor's tools read the second variable
    "endpoint": ("CI_ENDPOINT",),
}
"""For each option: the environment variables to read, in this order, if the option is not given."""


def add_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that :func:`connect` reads."""
    parser.add_argument(
        "--conn-id", metavar="ID", help="take key, bucket and region from this Airflow connection"
    )
    parser.add_argument("--bucket", help="bucket with its APPID; CI_BUCKET if not given")
    parser.add_argument("--region", help="such as ap-guangzhou; CI_REGION if not given")
    parser.add_argument(
        "--endpoint", metavar="URL", help="where to connect, such as the local CI; CI_ENDPOINT if not given"
    )
    parser.add_argument(
        "--ci-endpoint", metavar="URL", help="where to connect for jobs and queues; --endpoint if not given"
    )
    parser.add_argument(
        "--verify",
        type=_verify,
        metavar="PATH|false",
        help="bundle of trusted certificates, or false to trust any",
    )


def connect(
    options: argparse.Namespace, environ: Mapping[str, str] = os.environ, **settings: Any
) -> CIClient:
    """Return the client that the options describe.

    Without ``--conn-id``, the environment supplies what the options lack. Secrets are never read from the
    command line.

    :param settings: further arguments of the client.
    :raises ValueError: the connection, the bucket, the region or the key is missing or invalid.
    """
    if options.conn_id:
        with _hook(options) as hook:
            return hook.client_with(**_given(options, {}), **settings)
    place = {name: _value(options, name, environ) for name in ("bucket", "region")}
    missing = [name for name, value in place.items() if not value]
    if missing:
        ways = " and ".join(f"--{name} or {VARIABLES[name][0]}" for name in missing)
        raise ValueError(f"no {' and no '.join(missing)}: give {ways}, or --conn-id")
    key = environment_credentials(environ)
    return CIClient(key, str(place["region"]), str(place["bucket"]), **_given(options, environ), **settings)


def trusted_certificates(options: argparse.Namespace) -> bool | str:
    """Return the ``verify`` argument of the client that :func:`connect` returns.

    :raises ValueError: the connection cannot be read.
    """
    if options.verify is not None or not options.conn_id:
        return True if options.verify is None else options.verify
    with _hook(options) as hook:
        from airflow_provider_ci.hooks.connection import verify_of

        return verify_of(hook.get_connection(options.conn_id))


def _given(options: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the client arguments that have a value; the others do not override a connection's values."""
    names = ("endpoint", "ci_endpoint", "verify")
    values = {name: _value(options, name, environ) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _value(options: argparse.Namespace, name: str, environ: Mapping[str, str]) -> Any:
    found = (environ.get(variable) for variable in VARIABLES.get(name, ()))
    value = getattr(options, name)
    return next(filter(None, found), None) if value in (None, "") else value


@contextmanager
def _hook(options: argparse.Namespace) -> Iterator[CIHook]:
    """Yield the hook of the Airflow connection; errors within the block name the connection."""
    # Imported here, because Airflow takes seconds to load and a key from the environment does not need it.
    try:
        from airflow_provider_ci.hooks import CIHook
    except ImportError as error:
        raise ValueError(f"--conn-id needs Airflow ({error}); or give the key in the environment") from error
    try:
        yield CIHook(options.conn_id, bucket=options.bucket, region=options.region)
    except Exception as error:  # a secrets backend may raise any exception
        raise ValueError(f"--conn-id {options.conn_id}: {error}") from error


def _verify(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text)
