"""Reports what a batch made: in a small XCom, and in the events of its task's assets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from airflow.sdk import Context

from airflow_provider_ci.assets import announce, output_uri
from airflow_provider_ci.batch import BatchSummary
from airflow_provider_ci.operators.base import CIOperator

_IN_EVENT = ("total", "succeeded", "failed", "skipped", "cancelled", "unfinished", "batch_id", "report_key")
"""The fields of the summary that the event of an asset contains."""
_MAX_XCOM = 2000
"""Maximum length of the summary as JSON, in characters: XComs are rows of Airflow's database."""


def summary_as_xcom(summary: BatchSummary, report_url: str) -> dict[str, Any]:
    """The summary with the address of its report. Its size does not grow with the number of objects."""
    values = {
        **summary.to_json(),
        "first_failures": list(summary.first_failures),
        "failures": [asdict(group) for group in summary.failures],
        "report_url": report_url,
    }
    if not summary.output_bytes:  # the service does not report the size of documents
        values.pop("output_bytes", None)
    return _fitting(values)


def announce_outputs(
    task: CIOperator, context: Context, summary: BatchSummary, *, bucket: str, templates: Iterable[str]
) -> None:
    """Send the events of the task's assets with the numbers of the batch; no event if nothing was written.

    :param templates: output templates of the batch; an ``AssetAlias`` gets an event for the folder of each.
    """
    if not summary.succeeded:
        task.announce_nothing()
    announce(
        context,
        task.outlets,
        uri=[output_uri(bucket, template) for template in templates],
        objects=summary.succeeded,
        details={name: getattr(summary, name) for name in _IN_EVENT},
    )


def _fitting(values: dict[str, Any]) -> dict[str, Any]:
    """Shorten the summary to less than 2 KiB. Failures that do not fit are only in the report."""
    first, groups = list(values["first_failures"]), [dict(group) for group in values["failures"]]
    fitted = {**values, "first_failures": first, "failures": groups}
    while len(json.dumps(fitted)) > _MAX_XCOM:
        if len(first) > 1:
            first.pop()
        elif longest := max((len(group["example"]) for group in groups), default=0):
            for group in groups:  # the counts are more important than the examples
                group["example"] = group["example"][: longest // 2]
        elif groups:
            groups.pop()
        elif first:
            first.pop()
        else:
            break
    return fitted
