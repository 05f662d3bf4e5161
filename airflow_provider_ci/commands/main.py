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
    ObjectState,
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
    """Run the command and return its exit code."""
    options = parser().parse_args(arguments)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="ci-batch: %(message)s", stream=sys.stderr)
    try:
        with connect(options) as client:
            _ACTIONS[options.command][0](options, client)
    except BrokenPipeError:  # the program that reads the pipe, such as head, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (BatchFailedError, LedgerLostError) as error:
        actions.say_summary(options, error.summary)
        return _complain(error, FAILED)
    except BatchRunningError as error:
        return _complain(error, RUNNING)
    except (BatchStoppedError, KeyboardInterrupt) as error:
        return _complain(str(error) or "stopped", STOPPED)
    except (NoReportError, ValueError, TypeError, OSError) as error:
        return _complain(error, WRONG)
    except CIError as error:
        return _complain(error, UNAVAILABLE)
    return DONE


def _complain(error: object, code: int) -> int:
    tell("ci-batch", error)
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
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
    add_options(command.add_argument_group("connection"))
    command.add_argument(
        "--report-prefix", default="_ci_batches/", metavar="PREFIX", help="folder of all batches"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--verbose", action="store_true", help="log each step to the standard error")


def _add_batch(command: argparse.ArgumentParser) -> None:
    source = command.add_argument_group("source (one of prefix, keys, manifest, inventory, failures-of)")
    source.add_argument("--prefix", help="what the keys of the objects begin with; '' for the whole bucket")
    source.add_argument("--suffix", action="append", help="what they end with; may be repeated")
    source.add_argument("--include", action="append", metavar="GLOB", help="only keys that match; repeatable")
    source.add_argument("--exclude", action="append", metavar="GLOB", help="no keys that match; repeatable")
    source.add_argument("--modified-after", metavar="TIME", help="ISO 8601, inclusive")
    source.add_argument("--modified-before", metavar="TIME", help="ISO 8601, exclusive")
    source.add_argument("--keys", metavar="FILE", help="a file with one key per line; - for the input")
    source.add_argument("--manifest", metavar="KEY", help="a .csv or .jsonl of objects and settings")
    source.add_argument("--inventory", metavar="PREFIX", help="the newest COS inventory below it")
    source.add_argument("--failures-of", metavar="BATCH", help="the failures of another batch")
    work = command.add_argument_group("operation (one of target, rule, template-id) and output")
    work.add_argument("--target", metavar="TYPE", help="convert documents to this type, such as pdf")
    work.add_argument(
        "--set", action="append", metavar="NAME=VALUE", help="a field of DocProcess; repeatable"
    )
    work.add_argument("--rule", help="process pictures by this rule, such as imageMogr2/rotate/90")
    work.add_argument("--template-id", metavar="ID", help="process pictures by this template")
    work.add_argument(
        "--output", metavar="TEMPLATE", help="template of the output keys, such as 'pdf/{dir}{stem}.pdf'"
    )
    work.add_argument("--output-bucket", metavar="BUCKET", help="bucket of the outputs, if it is another one")
    work.add_argument("--output-region", metavar="REGION", help="region of that bucket")
    work.add_argument(
        "--skip",
        choices=("fresh", "exists", "never"),
        help="which outputs are up to date: made of the same content by the same operation (fresh, the "
        "default), newer than the object (exists), or none (never)",
    )
    work.add_argument(
        "--retry-failed", action="store_true", default=None, help="also objects that failed before"
    )
    _add_limits(command)


def _add_limits(command: argparse.ArgumentParser) -> None:
    limits = command.add_argument_group("queue and limits")
    limits.add_argument(
        "--queue-id",
        action="append",
        dest="queue_ids",
        metavar="ID",
        help="queue of the jobs; repeatable; the default queue if not given",
    )
    limits.add_argument(
        "--job-level", type=int, choices=(0, 1, 2), help="priority of the jobs in their queue; 2 goes first"
    )
    limits.add_argument("--password-env", metavar="NAME", help="variable with the password of documents")
    limits.add_argument(
        "--max-jobs", type=int, metavar="N", help="submit no more jobs than this, over all runs"
    )
    limits.add_argument("--canary", type=int, metavar="N", help="size of a sample that goes first")
    limits.add_argument(
        "--canary-failures", metavar="LIMIT", help="how many of the sample may fail; as --max-failures"
    )
    limits.add_argument(
        "--max-failures", metavar="LIMIT", help="how many objects may fail, such as 3 or 5%%; 0 if not given"
    )
    limits.add_argument("--max-in-flight", type=int, metavar="N", help="jobs at the same time; 1000")
    limits.add_argument(
        "--timeout-seconds", type=float, metavar="N", help="then the rest stays unfinished; a day"
    )
    limits.add_argument(
        "--outage-seconds", type=float, metavar="N", help="how long the service may be unavailable; 600"
    )


def _add_plan(command: argparse.ArgumentParser) -> None:
    _add_batch(command)
    command.add_argument(
        "--price", action="append", metavar="NAME=VALUE", help="a field of PriceTable; repeatable"
    )


def _add_running(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--on-running", choices=("wait", "fail"), help="what to do if another run is active; wait"
    )
    command.add_argument("--cancel-on-stop", action="store_true", help="cancel waiting jobs when stopped")


def _add_run(command: argparse.ArgumentParser) -> None:
    _add_batch(command)
    _add_running(command)


def _add_retry(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", metavar="BATCH", help="id of the new batch; by default BATCH-retry")
    _add_limits(command)
    _add_running(command)


def _add_status(command: argparse.ArgumentParser) -> None:
    command.add_argument("--watch", type=_seconds, metavar="SECONDS", help="repeat until the batch has ended")


def _add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("--failed", action="store_true", help="only objects without an output")
    command.add_argument("--state", choices=[str(state) for state in ObjectState], help="only these objects")
    command.add_argument("--key", help="only this object")
    command.add_argument(
        "--format",
        choices=("table", "csv", "jsonl", "parquet"),
        help="table if not given, jsonl with --json",
    )
    command.add_argument("--to", metavar="FILE", help="write a file")
    command.add_argument("--limit", type=_whole_number, metavar="N", help="at most so many rows")


def _add_list(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--limit", type=_whole_number, default=100, metavar="N", help="at most so many batches; 100"
    )


def _whole_number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number from 0, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"a number of seconds above 0, not {text!r}")
    return seconds


_EXTRA: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "plan": _add_plan,
    "run": _add_run,
    "status": _add_status,
    "report": _add_report,
    "retry": _add_retry,
    "list": _add_list,
}
