"""One report of all shards: the sum of their summaries, and an index of the parts of their reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.batch.reports.reading import ReportHeader, read_report_header
from airflow_provider_ci.batch.reports.summary import BatchSummary, FailureGroup
from airflow_provider_ci.batch.sharding.record import Shard, ShardList, put_json, report_index_key
from airflow_provider_ci.client import CIClient

VERSION = 1
MAX_GROUPS = 10
_THREADS = 16
# The module of the summary postpones the evaluation of annotations, so each type is a text here.
_ADDED = tuple(item.name for item in fields(BatchSummary) if item.type == "int")
"""Numbers of a summary that are added up over all shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardResult:
    """A shard, and the report of its batch if there is one."""

    shard: Shard
    header: ReportHeader | None

    @property
    def state(self) -> str:
        """``complete``, ``unfinished`` or ``missing``."""
        if self.header is None:
            return "missing"
        # The report of a batch that was stopped early is complete, too, but objects are unfinished.
        return "complete" if self.header.is_complete and not self.header.summary.unfinished else "unfinished"

    @property
    def summary(self) -> BatchSummary:
        """Summary of the shard; without a report, all of its objects count as unfinished."""
        if self.header is not None:
            return self.header.summary
        return replace(
            BatchSummary.empty(self.shard.batch_id), total=self.shard.objects, unfinished=self.shard.objects
        )

    def to_json(self) -> dict[str, Any]:
        """The shard's entry in the index."""
        keys = [self.header.summary.report_key, *self.header.parts] if self.header else []
        counts = ("total", "succeeded", "failed", "skipped", "cancelled", "unfinished")
        return {
            "batch_id": self.shard.batch_id,
            "state": self.state,
            "parts": keys,
            **{name: getattr(self.summary, name) for name in counts},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedReport:
    """The shards as a whole."""

    summary: BatchSummary
    results: tuple[ShardResult, ...]

    @property
    def incomplete(self) -> list[str]:
        """Batch ids of the shards that are not complete."""
        return [result.shard.batch_id for result in self.results if result.state != "complete"]

    def to_json(self) -> dict[str, Any]:
        """The index: the summary, and the parts of all reports."""
        return {
            "version": VERSION,
            "kind": "shards-report",
            "is_complete": not self.incomplete,
            "summary": self.summary.to_json(),
            "shards": [result.to_json() for result in self.results],
        }


def merge_reports(client: CIClient, shards: ShardList) -> MergedReport:
    """Read the reports of all shards from the bucket, and write their index."""
    folders = [batch_folder(shards.report_prefix, shard.batch_id) for shard in shards.shards]
    with ThreadPoolExecutor(_THREADS, "ci-reports") as executor:
        headers = executor.map(lambda folder: read_report_header(client, folder), folders)
        results = tuple(
            ShardResult(shard=shard, header=header)
            for shard, header in zip(shards.shards, headers, strict=True)
        )
    key = report_index_key(shards.folder)
    summary = merged_summary(shards.shards_id, key, [result.summary for result in results])
    report = MergedReport(summary=summary, results=results)
    put_json(client, key, report.to_json())
    return report


def merged_summary(shards_id: str, key: str, summaries: Sequence[BatchSummary]) -> BatchSummary:
    """The sum of summaries; ``seconds`` is the longest time of them."""
    sums = {name: sum(getattr(each, name) for each in summaries) for name in _ADDED}
    whole = replace(BatchSummary.empty(shards_id), **sums)
    return replace(
        whole,
        report_key=key,
        # Shards run side by side.
        seconds=max((each.seconds for each in summaries), default=0.0),
        failures=_groups(group for each in summaries for group in each.failures),
        stopped_early=any(each.stopped_early for each in summaries),
        stop_reason=_stop_reason(summaries),
    )


def _stop_reason(summaries: Sequence[BatchSummary]) -> str:
    """Why shards stopped: the reason of the first stopped shard, and the number of further ones."""
    stopped = [each for each in summaries if each.stop_reason]
    if not stopped:
        return ""
    more = f" (and {len(stopped) - 1} more shards)" if len(stopped) > 1 else ""
    return f"{stopped[0].batch_id}{more}: {stopped[0].stop_reason}"


def _groups(groups: Iterable[FailureGroup]) -> tuple[FailureGroup, ...]:
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for group in groups:
        counts[group.code] += group.count
        examples.setdefault(group.code, group.example)
    largest = counts.most_common(MAX_GROUPS)
    return tuple(FailureGroup(code=code, count=count, example=examples[code]) for code, count in largest)
