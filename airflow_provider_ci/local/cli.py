"""The command ``ci-local``: serve a folder of buckets, or install what real conversion needs."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from airflow_provider_ci.local.convert.install import install_office
from airflow_provider_ci.local.convert.office import OfficeMissingError
from airflow_provider_ci.local.objects.keys import is_bucket_name
from airflow_provider_ci.local.objects.synthetic import MAX_OBJECTS
from airflow_provider_ci.local.server import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY, LocalCI, LocalCIError

_TEXTS = (
    ("--host", "127.0.0.1", "address to listen on"),
    ("--secret-id", DEFAULT_SECRET_ID, "SecretId that requests are signed with"),
    ("--secret-key", DEFAULT_SECRET_KEY, "SecretKey that requests are signed with"),
)

# Name, default, lowest, highest.
_NUMBERS = (
    ("--port", 9000, 0, 65_535, "port, 0 for a free one"),
    ("--workers", 2, 1, 64, "conversions at once"),
    ("--latency", 0, 0, 600_000, "milliseconds before every answer"),
    ("--queue-size", 10_000, 1, 10_000_000, "waiting jobs in a queue"),
    ("--queue-concurrency", 10, 1, 10_000, "running jobs of a queue"),
    ("--deadline", 60, 1, 86_400, "seconds for one conversion"),
    ("--listing-delay", 0, 0, 86_400, "seconds before a written object is in listings"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 after a clean end, 1 when it could not start, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="ci-local: %(levelname)s: %(message)s")
    try:
        if options.command == "install-office":
            install_office(print)
        else:
            _serve(options)
    except (LocalCIError, OfficeMissingError, OSError) as error:
        print(f"ci-local: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return 1
    return 0


def _serve(options: argparse.Namespace) -> None:
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with LocalCI(
        options.root,
        host=options.host,
        port=options.port,
        secret_id=options.secret_id,
        secret_key=options.secret_key,
        token=options.token,
        workers=options.workers,
        convert=options.convert,
        latency_ms=options.latency,
        queue_size=options.queue_size,
        queue_concurrency=options.queue_concurrency,
        deadline_seconds=options.deadline,
        office=options.office,
        sandbox=options.sandbox,
        synthetic=dict(options.synthetic),
        listing_delay_seconds=options.listing_delay,
        versioned=options.versioned,
    ) as server:
        print(f"ci-local: serving {server.root} on {server.endpoint}", flush=True)  # noqa: T201 - the ready line
        if server.sandbox:
            print(f"ci-local: sandbox: {server.sandbox}", flush=True)  # noqa: T201 - beside the ready line
        stopping.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ci-local", description="A local stand-in for Tencent Cloud Infinite."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install-office", help="install LibreOffice with the system's package manager")
    serve = commands.add_parser("serve", help="serve the buckets in a folder")
    serve.add_argument("--root", type=Path, required=True, help="folder whose folders are the buckets")
    serve.add_argument(
        "--token", type=_word, help="session token that requests must carry; none if not given"
    )
    serve.add_argument(
        "--convert",
        choices=("real", "instant", "none"),
        default="real",
        help="convert, only pretend, or do nothing at all",
    )
    serve.add_argument("--office", type=Path, help="folder of LibreOffice's soffice.bin; found if not given")
    serve.add_argument(
        "--no-sandbox",
        dest="sandbox",
        action="store_false",
        help="convert office documents even where nothing keeps them from reading files of this machine",
    )
    serve.add_argument(
        "--synthetic",
        type=_bucket_and_count,
        action="append",
        default=[],
        metavar="BUCKET=N",
        help="list N made-up objects in this bucket, too; may be repeated",
    )
    serve.add_argument(
        "--versioned",
        type=_bucket,
        action="append",
        default=[],
        metavar="BUCKET",
        help="let PUT replace objects of this bucket in spite of x-cos-forbid-overwrite; may be repeated",
    )
    for name, text_default, help_text in _TEXTS:
        serve.add_argument(name, type=_word, default=text_default, help=f"{help_text}; %(default)s")
    for name, default, low, high, help_text in _NUMBERS:
        serve.add_argument(name, type=_count(low, high), default=default, help=f"{help_text}; %(default)s")
    return parser


def _word(text: str) -> str:
    if not text or text != text.strip():
        raise argparse.ArgumentTypeError("must not be empty or have blanks around it")
    return text


def _bucket(text: str) -> str:
    if not is_bucket_name(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a bucket")
    return text


def _bucket_and_count(text: str) -> tuple[str, int]:
    bucket, _, number = text.partition("=")
    if not is_bucket_name(bucket) or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not BUCKET=N")
    return bucket, _count(0, MAX_OBJECTS)(number)


class _count:  # noqa: N801 - read as a function by argparse
    """An integer from ``low`` to ``high``."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        number = int(text)
        if not self._low <= number <= self._high:
            raise argparse.ArgumentTypeError(f"{number} is not from {self._low} to {self._high}")
        return number

    def __repr__(self) -> str:
        return f"number from {self._low} to {self._high}"
