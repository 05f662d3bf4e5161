"""The subcommands of ``ci-batch``: plan, run, status, report, retry and list."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from airflow_provider_ci.batch import Batch, BatchReport, BatchSummary, Step
from airflow_provider_ci.batch.planning.steps import stored_steps
from airflow_provider_ci.batch.reports.folder import report_key
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.commands.batches import batch_of, prices_of, secret_of, settings_of
from airflow_provider_ci.commands.exporting import TEXT_FORMATS, write_parquet
from airflow_provider_ci.commands.finding import FailedRows, batches, plan_of, status_of
from airflow_provider_ci.commands.showing import Shown


def plan(options: argparse.Namespace, client: CIClient) -> None:
    """Print what a run would do."""
    preview = batch_of(options, client).preview(prices_of(options))
    _say(options, preview.to_json(), preview.lines())


def run(options: argparse.Namespace, client: CIClient) -> None:
    """Run a batch."""
    _run(options, lambda **more: batch_of(options, client, **more), client)


def retry(options: argparse.Namespace, client: CIClient) -> None:
    """Continue an unfinished batch, or submit the failures of an ended batch again."""
    stored = plan_of(client, options.batch, options.report_prefix)
    header = stored.header
    steps = stored_steps(header.all_steps, header.prefix, {"": Step(DocProcess(**secret_of(options)), "")})
    settings: dict[str, Any] = {
        "operations": {each.name: Step(each.operation, each.template.text, each.after) for each in steps},
        "queue_ids": header.all_queue_ids,
        "output_bucket": header.output_bucket,
        "output_region": header.output_region,
        **settings_of(options),
    }
    if [each.name for each in steps] == [""]:  # a batch with a single operation has one step, without a name
        del settings["operations"]
        settings |= {"operation": steps[0].operation, "output": steps[0].template.text}
    source = FailedRows(batch=report_key(stored.folder), prefix=header.prefix)
    if status_of(stored)["is_complete"]:
        settings |= {"batch_id": options.name or f"{options.batch}-retry", "retry_failed": True}
    else:
        # With the same definition, the run continues the frozen plan and does not read the source again.
        settings |= {"batch_id": options.batch, "definition": header.definition}
    _run(options, lambda **more: Batch(client, source, **settings, **more), client)


def status(options: argparse.Namespace, client: CIClient) -> None:
    """Print the progress of a batch, once or repeatedly until the batch has ended."""
    with _stopping() as stopped:
        while True:
            found = status_of(plan_of(client, options.batch, options.report_prefix))
            _say(options, found, [_line(found)])
            if not options.watch or found["is_complete"]:
                return
            if stopped.wait(options.watch):
                raise KeyboardInterrupt


def report(options: argparse.Namespace, client: CIClient) -> None:
    """Print or write the results of a batch."""
    found = BatchReport.of_batch(client, options.batch, report_prefix=options.report_prefix)
    if options.key is not None:
        result = found.object(options.key)
        if result is None:
            raise ValueError(f"batch {options.batch!r} has no object {options.key!r}")
        results: Any = iter([result])
    else:
        _ = found.header  # a missing report must fail before anything is written
        results = found.results(is_failed=options.failed)
        if options.state:
            results = (each for each in results if str(each.state) == options.state)
    results = islice(results, options.limit)
    form = options.format or ("jsonl" if options.json else "table")
    if form == "parquet":
        if not options.to:
            raise ValueError("--format parquet writes a file: name it with --to")
        write_parquet(results, Path(options.to))
    elif options.to:
        with Path(options.to).open("w", encoding="utf-8") as file:
            TEXT_FORMATS[form](results, file)
    else:
        TEXT_FORMATS[form](results, sys.stdout)


def list_batches(options: argparse.Namespace, client: CIClient) -> None:
    """List the batches of a bucket."""
    for stored in islice(batches(client, options.report_prefix), options.limit):
        found = status_of(stored)
        _say(options, found, [f"{found['batch_id']}: {_line(found)}"])


def _run(options: argparse.Namespace, make: Callable[..., Batch], client: CIClient) -> None:
    with _stopping() as stopped, Shown(sys.stderr) as shown:
        summary = make(
            progress=shown, is_stopped=stopped.is_set, cancels_when_stopped=lambda: options.cancel_on_stop
        ).run()
    say_summary(options, summary)


def say_summary(options: argparse.Namespace, summary: BatchSummary) -> None:
    """Print a summary."""
    states = ("succeeded", "skipped", "failed", "cancelled", "unfinished")
    counts = ", ".join(f"{getattr(summary, name):,} {name}" for name in states if getattr(summary, name))
    lines = [
        f"{summary.total:,} objects: {counts or 'nothing to do'}; {summary.jobs:,} jobs",
        *map(str, summary.failures),
        f"report: {summary.report_key}",
    ]
    _say(options, summary.to_json(), lines)


def _line(found: dict[str, Any]) -> str:
    if found.get("damaged"):
        return f"{found['total']:,} objects; records were deleted, the next run plans again"
    names = ("succeeded", "skipped", "failed", "cancelled", "unfinished", "in_flight")
    counts = ", ".join(f"{found[name]:,} {name.replace('_', ' ')}" for name in names if found[name])
    ended = "ended" if found["is_complete"] else "not ended"
    outputs = f" with {found['outputs']:,} outputs" if found["counts"] == "outputs" else ""
    return f"{ended}, {found['total']:,} objects{outputs}: {counts or 'none'}"


def _say(options: argparse.Namespace, values: dict[str, Any], lines: list[str]) -> None:
    for line in [json.dumps(values)] if options.json else lines:
        print(line, flush=True)  # noqa: T201 - this is the command line


@contextmanager
def _stopping() -> Iterator[Event]:
    """Yield an event that Ctrl-C or SIGTERM sets; a second Ctrl-C ends the process at once."""
    stopped = Event()

    # The handler is also set if SIGINT was ignored, as in processes that a script starts in the background.
    def stop(number: int, frame: object) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
