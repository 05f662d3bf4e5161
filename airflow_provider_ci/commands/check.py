"""The command ``ci-check``: check a bucket with a real key, and print the result."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_ci.check.report import INCOMPLETE
from airflow_provider_ci.check.run import (
    FOLDER,
    MAX_REQUESTS,
    PATIENCE_SECONDS,
    CheckInterrupted,
    check_bucket,
)
from airflow_provider_ci.client import CIClient, RetryPolicy
from airflow_provider_ci.commands import check_table as table
from airflow_provider_ci.commands.connecting import add_options, connect, trusted_certificates
from airflow_provider_ci.commands.console import STOPPED, WRONG, tell

if TYPE_CHECKING:
    from airflow_provider_ci.check.report import Report

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_tell = partial(tell, "ci-check")

CLIENT_OPTIONS: dict[str, Any] = {
    "timeout": (10.0, 30.0),
    "retry": RetryPolicy(max_attempts=3, max_seconds=15),
}
"""Short limits, because a person waits, and a service that does not respond is a result as well."""

_EPILOG = """\
Without --conn-id the key comes from the environment: TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY and,
for temporary keys, TENCENTCLOUD_TOKEN.

exit codes:
  0    everything fits
  1    the bucket differs from an assumption of the package
  2    not everything could be checked, or wrong usage
  130  interrupted; the objects of the check were removed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    interrupted = Event()
    before = {number: signal.signal(number, partial(_interrupt, interrupted)) for number in _SIGNALS}
    try:
        with connect(options, **CLIENT_OPTIONS) as client:
            if not _is_agreed(options, client):
                return INCOMPLETE
            report = check_bucket(
                client,
                skip=options.skip,
                record=options.record,
                folder=options.folder,
                patience_seconds=options.patience,
                verify=trusted_certificates(options),
                progress=_progress,
                is_interrupted=interrupted.is_set,
            )
    except CheckInterrupted as interrupt:
        _tell("interrupted; the objects of the check were removed")
        _tell_what_stays(interrupt.folder, interrupt.left_behind)
        return STOPPED
    except KeyboardInterrupt:
        _tell(f"interrupted; delete what may be left below {options.folder} yourself")
        return STOPPED
    except (OSError, ValueError) as error:
        _tell(error)
        return WRONG
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    _print(options, report)
    return report.exit_code


def _interrupt(interrupted: Event, *_: object) -> NoReturn:
    """End the check, which then removes its objects."""
    interrupted.set()
    raise KeyboardInterrupt


def _is_agreed(options: argparse.Namespace, client: CIClient) -> bool:
    """Print what the check costs; without ``--yes``, ask whether to start it."""
    jobs = 2 - len(set(options.skip))
    _tell(
        f"bucket {client.bucket} in {client.region}: {jobs} jobs, at most {MAX_REQUESTS} requests "
        f"(usually about 100), and a dozen small objects below {options.folder}, which are removed at the end"
    )
    if options.yes:
        return True
    if not sys.stdin.isatty():
        _tell("nothing was done; add --yes to go on")
        return False
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _progress(name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[Kchecking: {name}")
        sys.stderr.flush()


def _print(options: argparse.Namespace, report: Report) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
    if options.json:
        sys.stdout.write(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n")
    elif sys.stdout.isatty():
        table.print_rich(report)
    else:
        sys.stdout.write(table.plain(report))
    if report.problem:
        _tell(report.problem)
    _tell_what_stays(report.folder, report.left_behind)


def _tell_what_stays(folder: str, keys: Sequence[str]) -> None:
    if keys:
        names = ", ".join(key.removeprefix(folder) for key in keys)
        _tell(f"delete what may be left below {folder} yourself: {names}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ci-check",
        description="Compare a bucket with the assumptions of airflow-provider-ci.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument(
        "--skip", action="append", choices=("documents", "pictures"), default=[], help="leave these jobs out"
    )
    parser.add_argument("--folder", default=FOLDER, help="prefix for the objects of the check; %(default)s")
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE_SECONDS,
        metavar="SECONDS",
        help="how long to wait for each job; %(default)g",
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the exchange, without secrets")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--yes", action="store_true", help="go on without asking")
    return parser


if __name__ == "__main__":
    sys.exit(main())
