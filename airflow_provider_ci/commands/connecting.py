"""The client of a command: from the environment, or from an Airflow connection."""

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
    "region": ("CI_REGION", "TENCENTCLOUD_REGION"),  # the second one is what the vendor's tools read
    "endpoint": ("CI_ENDPOINT",),
}
"""Option -> the variables that are read in this order if it is not given."""


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
    """The client that the options describe; without ``--conn-id``, the environment fills the gaps.

    Secrets never come from the command line.

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
    """The ``verify`` of the client that :func:`connect` returns.

    :raises ValueError: the connection cannot be read.
    """
    if options.verify is not None or not options.conn_id:
        return True if options.verify is None else options.verify
    with _hook(options) as hook:
        from airflow_provider_ci.hooks.connection import verify_of

        return verify_of(hook.get_connection(options.conn_id))


def _given(options: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of the client that have a value. A connection keeps its own for the rest."""
    names = ("endpoint", "ci_endpoint", "verify")
    values = {name: _value(options, name, environ) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _value(options: argparse.Namespace, name: str, environ: Mapping[str, str]) -> Any:
    found = (environ.get(variable) for variable in VARIABLES.get(name, ()))
    value = getattr(options, name)
    return next(filter(None, found), None) if value in (None, "") else value


@contextmanager
def _hook(options: argparse.Namespace) -> Iterator[CIHook]:
    """The hook of the connection; errors in the block name the connection."""
    # Airflow takes seconds to load. With a key from the environment, a command needs none.
    try:
        from airflow_provider_ci.hooks import CIHook
    except ImportError as error:
        raise ValueError(f"--conn-id needs Airflow ({error}); or give the key in the environment") from error
    try:
        yield CIHook(options.conn_id, bucket=options.bucket, region=options.region)
    except Exception as error:  # whatever a secrets backend raises
        raise ValueError(f"--conn-id {options.conn_id}: {error}") from error


def _verify(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text)
