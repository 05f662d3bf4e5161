"""What a batch made: as a small XCom, and as the events of its task's assets."""

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
"""What the event of an asset says of the batch."""
_MAX_XCOM = 2000
"""Largest length of the summary as JSON: XComs are rows of Airflow's database."""


def summary_as_xcom(summary: BatchSummary, report_url: str) -> dict[str, Any]:
    """The summary with the address of its report; as small for a million objects as for ten."""
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
    """Send the events of the task's assets: with the numbers of the batch, or none if nothing was written.

    :param templates: output templates of the batch, whose folders an ``AssetAlias`` stands for.
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
    """The summary below 2 KiB: failures that do not fit are left to the report."""
    first, groups = list(values["first_failures"]), [dict(group) for group in values["failures"]]
    fitted = {**values, "first_failures": first, "failures": groups}
    while len(json.dumps(fitted)) > _MAX_XCOM:
        if len(first) > 1:
            first.pop()
        elif longest := max((len(group["example"]) for group in groups), default=0):
            for group in groups:  # their counts matter more
                group["example"] = group["example"][: longest // 2]
        elif groups:
            groups.pop()
        elif first:
            first.pop()
        else:
            break
    return fitted
