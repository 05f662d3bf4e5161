"""The command ``ci-local``: serve a folder of buckets, or install what real conversion needs."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from airflow_provider_ci.local.convert.office.install import install_office
from airflow_provider_ci.local.convert.office.libreoffice import OfficeMissingError
from airflow_provider_ci.local.objects.keys import is_bucket_name
from airflow_provider_ci.local.objects.synthetic import MAX_OBJECTS
from airflow_provider_ci.local.server import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY, LocalCI, LocalCIError

_TEXTS = (
    ("--host", "127.0.0.1", "address to listen on"),
    ("--secret-id", DEFAULT_SECRET_ID, "SecretId that requests are signed with"),
    ("--secret-key", DEFAULT_SECRET_KEY, "SecretKey that requests are signed with"),
)

# Name, default, lowest and highest value, help text.
_NUMBERS = (
    ("--port", 9000, 0, 65_535, "port, 0 for a free one"),
    ("--workers", 2, 1, 64, "conversions at once"),
    ("--latency", 0, 0, 600_000, "milliseconds before every answer"),
    ("--queue-size", 10_000, 1, 10_000_000, "waiting jobs in a queue"),
    ("--queue-concurrency", 10, 1, 10_000, "running jobs of a queue"),
    ("--deadline", 60, 1, 86_400, "seconds for one conversion"),
    ("--listing-delay", 0, 0, 86_400, "seconds before a written object is in listings"),
    ("--clock-offset", 0, -1_000_000_000, 1_000_000_000, "seconds that the service's clock is ahead"),
    ("--hide-jobs", 0, 0, 86_400, "seconds before a submitted job exists"),
    ("--empty-pages", 0, 0, 1_000, "pages without jobs before each page of a job listing"),
)

_OPTIONAL_NUMBERS = (
    ("--forget-jobs", 0, 1_000_000_000, "seconds after its end when a job is forgotten; never"),
    ("--user-data-limit", 0, 1_024, "characters of UserData that a job shows; all"),
)

_SWITCHES = (
    ("--strict-signature", "refuse PUT and POST unless every header that can be signed is signed"),
    ("--require-queue-id", "refuse to list jobs without queueId"),
    ("--foreign-jobs", "put jobs that cannot be read into job listings"),
    ("--tls", "answer TLS, and CONNECT as an HTTPS proxy, with a self-made certificate"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return 0 after a clean end, 1 if it could not start; exit with 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="ci-local: %(levelname)s: %(message)s")
    try:
        if options.command == "install-office":
            install_office(print)
        else:
            _serve(options)
    except (LocalCIError, OfficeMissingError, OSError, ValueError) as error:
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
        tls=options.tls,
        pages=options.pages,
        faults=options.fault,
        clock_offset_seconds=options.clock_offset,
        strict_signature=options.strict_signature,
        require_queue_id=options.require_queue_id,
        hide_jobs_seconds=options.hide_jobs,
        forget_jobs_seconds=options.forget_jobs,
        echoes=dict(options.echo),
        user_data_limit=options.user_data_limit,
        empty_pages=options.empty_pages,
        endless_tokens=options.endless_tokens,
        foreign_jobs=options.foreign_jobs,
        refuse_submissions=options.refuse_submissions or "",
        fail_jobs=dict(options.fail_jobs),
    ) as server:
        print(f"ci-local: serving {server.root} on {server.endpoint}", flush=True)  # noqa: T201 - the ready line
        if server.certificate:
            print(f"ci-local: certificate {server.certificate}", flush=True)  # noqa: T201 - for TLS clients
        if server.sandbox:
            print(f"ci-local: sandbox: {server.sandbox}", flush=True)  # noqa: T201 - beside the ready line
        if server.page:
            print(f"ci-local: open {server.page} in a browser", flush=True)  # noqa: T201 - for the user
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
        "--pages",
        action=argparse.BooleanOptionalAction,
        help="pages for a browser on this machine; on unless --host is reached from other machines",
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
    _add_traits(serve)
    for name, text_default, help_text in _TEXTS:
        serve.add_argument(name, type=_word, default=text_default, help=f"{help_text}; %(default)s")
    for name, default, low, high, help_text in _NUMBERS:
        serve.add_argument(name, type=_count(low, high), default=default, help=f"{help_text}; %(default)s")
    return parser


def _add_traits(serve: argparse.ArgumentParser) -> None:
    """Add the options that make the server behave like an odd or a broken service."""
    for name, help_text in _SWITCHES:
        serve.add_argument(name, action="store_true", help=help_text)
    for name, low, high, help_text in _OPTIONAL_NUMBERS:
        serve.add_argument(name, type=_count(low, high), help=f"{help_text} if not given")
    serve.add_argument(
        "--endless-tokens", choices=("same", "new"), default="", help="never end a listing of jobs"
    )
    serve.add_argument(
        "--refuse-submissions", type=_word, metavar="CODE", help="refuse every job with this code"
    )
    for name, metavar, help_text in (
        ("--echo", "NAME:SENT=SHOWN", "what a job shows for a parameter, such as EndPage:-1=5001"),
        (
            "--fail-jobs",
            "PATTERN=CODE[:MESSAGE]",
            "let jobs of such input keys fail, such as *.bad=DamagedFile",
        ),
    ):
        serve.add_argument(
            name,
            type=_pair,
            action="append",
            default=[],
            metavar=metavar,
            help=f"{help_text}; may be repeated",
        )
    serve.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="JSON",
        help="a fault that waits from the start, as /_local/faults takes it; may be repeated",
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} has no '=' with a text on both sides")
    return name, value


def _fault(text: str) -> dict[str, object]:
    try:
        fault = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from error
    if not isinstance(fault, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object")
    return fault


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


class _count:  # noqa: N801 - argparse calls it like a function
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
