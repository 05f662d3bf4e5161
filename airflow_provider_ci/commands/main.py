"""The command line of ``ci-batch``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from airflow_provider_ci.batch import (
    BatchFailedError,
    BatchRunningError,
    BatchStoppedError,
    LedgerLostError,
    NoReportError,
)
from airflow_provider_ci.client import CIClient, CIError
from airflow_provider_ci.commands import actions
from airflow_provider_ci.commands.connecting import add_options, connect
from airflow_provider_ci.commands.console import DONE, FAILED, RUNNING, STOPPED, UNAVAILABLE, WRONG, tell

Action = Callable[[argparse.Namespace, CIClient], None]

_ACTIONS: dict[str, tuple[Action, str]] = {
    "plan": (actions.plan, "say what a run would do and cost; submit nothing"),
    "run": (actions.run, "run a batch, or continue it"),
    "status": (actions.status, "say how far a batch is"),
    "report": (actions.report, "print the results of a batch"),
    "retry": (actions.retry, "continue an unfinished batch, or submit the failures of an ended one again"),
    "list": (actions.list_batches, "list the batches of the bucket"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    level = logging.INFO if options.verbose else logging.ERROR
    logging.basicConfig(level=level, format="ci-batch: %(message)s", stream=sys.stderr)
    try:
        with connect(options) as client:
            _ACTIONS[options.command][0](options, client)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (BatchFailedError, LedgerLostError) as error:
        actions.say_summary(options, error.summary)
        return _complain(error, FAILED)
    except BatchRunningError as error:
        return _complain(error, RUNNING)
    except (BatchStoppedError, KeyboardInterrupt) as error:
        return _complain(error or "stopped", STOPPED)
    except (NoReportError, ValueError, TypeError, OSError) as error:
        return _complain(error, WRONG)
    except CIError as error:
        return _complain(error, UNAVAILABLE)
    return DONE


def _complain(error: object, code: int) -> int:
    tell("ci-batch", error)
    return code


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    whole = argparse.ArgumentParser(
        prog="ci-batch", description="Batches of Cloud Infinite, without Airflow."
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, words) in _ACTIONS.items():
        command = commands.add_parser(name, help=words, description=words)
        if name != "list":
            command.add_argument("batch", metavar="BATCH", help="id of the batch")
        _add_common(command)
        _EXTRA[name](command)
    return whole


def _add_common(command: argparse.ArgumentParser) -> None:
    add_options(command)
    command.add_argument("--report-prefix", default="_ci_batches/", help="folder of all batches")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--verbose", action="store_true", help="log to the standard error")


def _add_batch(command: argparse.ArgumentParser) -> None:
    command.add_argument("--prefix", help="what the keys of the objects begin with")
    command.add_argument("--suffix", action="append", help="what they end with; may be repeated")
    command.add_argument("--include", action="append", metavar="GLOB", help="only keys that match")
    command.add_argument("--exclude", action="append", metavar="GLOB", help="no keys that match")
    command.add_argument("--modified-after", metavar="TIME", help="ISO 8601, inclusive")
    command.add_argument("--modified-before", metavar="TIME", help="ISO 8601, exclusive")
    command.add_argument("--keys", metavar="FILE", help="a file with one key per line; - for the input")
    command.add_argument("--manifest", metavar="KEY", help="a .csv or .jsonl of objects and settings")
    command.add_argument("--inventory", metavar="PREFIX", help="the newest COS inventory below it")
    command.add_argument("--failures-of", metavar="BATCH", help="the failures of another batch")
    command.add_argument("--target", help="convert documents to this type, such as pdf")
    command.add_argument("--set", action="append", metavar="NAME=VALUE", help="a field of DocProcess")
    command.add_argument("--rule", help="process pictures by this rule, such as imageMogr2/rotate/90")
    command.add_argument("--template-id", help="process pictures by this template")
    command.add_argument("--output", help="template of the output keys, such as 'pdf/{dir}{stem}.pdf'")
    command.add_argument("--skip", choices=("fresh", "exists", "never"), help="which outputs are up to date")
    command.add_argument("--retry-failed", action="store_true", default=None, help="also known failures")
    _add_limits(command)


def _add_limits(command: argparse.ArgumentParser) -> None:
    command.add_argument("--queue-id", help="queue of the jobs")
    command.add_argument("--password-env", metavar="NAME", help="variable with the password of documents")
    command.add_argument("--max-jobs", type=int, help="submit no more jobs than this, over all runs")
    command.add_argument("--canary", type=int, help="size of a sample that goes first")
    command.add_argument("--canary-failures", help="number or share of the sample that may fail")
    command.add_argument("--max-failures", help="number or share of the objects that may fail")
    command.add_argument("--max-in-flight", type=int, help="jobs at the same time")
    command.add_argument("--timeout-seconds", type=float, help="then the rest stays unfinished")


def _add_plan(command: argparse.ArgumentParser) -> None:
    _add_batch(command)
    command.add_argument("--price", action="append", metavar="NAME=VALUE", help="a field of PriceTable")


def _add_running(command: argparse.ArgumentParser) -> None:
    command.add_argument("--on-running", choices=("wait", "fail"), help="if another run is active")
    command.add_argument("--cancel-on-stop", action="store_true", help="cancel waiting jobs when stopped")


def _add_run(command: argparse.ArgumentParser) -> None:
    _add_batch(command)
    _add_running(command)


def _add_retry(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", metavar="BATCH", help="id of the new batch; by default BATCH-retry")
    _add_limits(command)
    _add_running(command)


def _add_status(command: argparse.ArgumentParser) -> None:
    command.add_argument("--watch", type=float, metavar="SECONDS", help="repeat until the batch has ended")


def _add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("--failed", action="store_true", help="only objects without an output")
    command.add_argument("--state", help="only objects in this state")
    command.add_argument("--key", help="only this object")
    command.add_argument("--format", choices=("table", "csv", "jsonl", "parquet"), default="table")
    command.add_argument("--to", metavar="FILE", help="write a file")
    command.add_argument("--limit", type=int, help="at most so many rows")


def _add_list(command: argparse.ArgumentParser) -> None:
    command.add_argument("--limit", type=int, default=100, help="at most so many batches")


_EXTRA: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "plan": _add_plan,
    "run": _add_run,
    "status": _add_status,
    "report": _add_report,
    "retry": _add_retry,
    "list": _add_list,
}
