"""The operators that split a source into shards, and that merge the reports of all shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar

from airflow.sdk import Context, XComArg

from airflow_provider_ci.batch import BatchFailedError, Source
from airflow_provider_ci.batch.limits import FailureLimit
from airflow_provider_ci.batch.sharding.merge import MergedReport, merge_reports
from airflow_provider_ci.batch.sharding.record import ShardList, make_shards, read_shards
from airflow_provider_ci.batch.sources.selection import as_source
from airflow_provider_ci.compat import AirflowException
from airflow_provider_ci.operators.base import CIOperator
from airflow_provider_ci.operators.batch_results import announce_outputs
from airflow_provider_ci.tasks.arguments import Reader, optional, rate, share_or, text, texts, whole_number

_SHARDS_ID = "{{ dag.dag_id }}/{{ run_id }}{% if ti.map_index >= 0 %}/{{ ti.map_index }}{% endif %}"


class NoShardsError(AirflowException):
    """The list of shards is missing: the task that makes it did not succeed, or has another ``shards_id``."""


class ShardsIdTakenError(AirflowException):
    """Another task has given its shards the same id."""


class CIShardsOperator(CIOperator):
    """Splits a source into disjoint shards, for a mapped ``CIBatchOperator`` to process each.

    ::

        shards = CIShardsOperator(task_id="shards", source=Inventory("reports/…"))
        batch = CIBatchOperator.partial(task_id="to_pdf", operation=…, output=…, max_failures="100%")
        batches = batch.expand_kwargs(shards.output)
        batches >> CIBatchReportOperator(task_id="report", max_failures="1%")

    A listing is split into ranges of keys, an inventory into ranges of the rows of its newest report, and the
    rows of a manifest are copied. The list of shards is stored in the bucket, so that a retry returns the
    same shards. Once the report over all shards is written, the next try splits the source again. Every
    argument is templated.

    :param source: an ``ObjectSelection``, an ``Inventory`` or a ``Manifest``; or a list of object keys.
    :param shards_id: names the shards; their batches are ``<shards_id>/0001`` and so on. By default it is
        made from DAG and run, with the index in a mapped task or group. A DAG that splits two sources must
        give each an id.
    :param max_objects: largest number of objects in a shard.
    :param queue_ids: queues of the jobs; the shards take them in turn.
    :param requests_per_second: maximum number of requests per second, for all active shards together.
    :param max_active: how many shards are active at the same time; give the mapped task the same number as
        ``max_active_tis_per_dagrun``. Each shard may send an equal part of ``requests_per_second``.
    :param report_prefix: folder of all batches in the bucket; give the mapped task the same value.

    Returns a list of arguments for ``CIBatchOperator``.
    """

    argument_types: ClassVar[Mapping[str, Reader]] = {
        **CIOperator.argument_types,
        "source": lambda name, value: as_source(value),
        "shards_id": text,
        "max_objects": whole_number(1),
        "queue_ids": texts,
        "requests_per_second": optional(rate),
        "max_active": optional(whole_number(1)),
        "report_prefix": text,
    }
    template_fields: Sequence[str] = tuple(argument_types)
    template_fields_renderers: ClassVar[dict[str, str]] = {"source": "json"}

    def __init__(
        self,
        *,
        source: Source | Sequence[str] | XComArg,
        shards_id: str = _SHARDS_ID,
        max_objects: int | str = 1_000_000,
        queue_ids: Sequence[str] = (),
        requests_per_second: float | str | None = None,
        max_active: int | str | None = None,
        report_prefix: str = "_ci_batches/",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source: Any = source
        self.shards_id = shards_id
        self.max_objects: Any = max_objects
        self.queue_ids: Any = queue_ids
        self.requests_per_second: Any = requests_per_second
        self.max_active: Any = max_active
        self.report_prefix = report_prefix
        self.keep_arguments("source", "max_objects")

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Split the source, or read the shards that an earlier try has stored.

        :raises SourceError: the source cannot be read or split.
        :raises ShardsIdTakenError: another task of the DAG has given its shards this id.
        """
        self.begin(context)
        task_id = context["ti"].task_id
        made = make_shards(
            self.hook.client,
            self.source,
            shards_id=self.shards_id,
            max_objects=self.max_objects,
            definition=f"{task_id} {self.definition}",
            report_prefix=self.report_prefix,
            before_replacing=partial(self._raise_if_taken, task_id),
        )
        objects = sum(shard.objects for shard in made.shards)
        if not objects:
            self.log.warning("no object %s: there are no shards", self.source.described())
        self.log.info("%d shards of %s objects in %s", len(made.shards), f"{objects:,}", made.folder)
        return [self._arguments(made, number) for number in range(len(made.shards))]

    def _raise_if_taken(self, task_id: str, unfinished: ShardList) -> None:
        """Raise if the shards belong to another task: the default id names only DAG and run, not the task."""
        owner = unfinished.definition.partition(" ")[0]
        if owner != task_id:
            raise ShardsIdTakenError(
                f"shards_id {self.shards_id!r} names the shards of task {owner!r}, whose report is not there "
                "yet: give each CIShardsOperator of a DAG, and its report, a shards_id of their own"
            )

    def _arguments(self, made: ShardList, number: int) -> dict[str, Any]:
        """The arguments of the mapped task for a shard."""
        shard = made.shards[number]
        arguments: dict[str, Any] = {"source": shard.source, "batch_id": shard.batch_id}
        if self.queue_ids:
            arguments["queue_id"] = self.queue_ids[number % len(self.queue_ids)]
        if self.requests_per_second:
            active = min(self.max_active or len(made.shards), len(made.shards))
            arguments["requests_per_second"] = self.requests_per_second / active
        return arguments


class CIBatchReportOperator(CIOperator):
    """Makes one report of the batches of all shards, and fails if too many objects failed in total.

    The operator reads the list of shards and their reports from the bucket, not from XCom. It also runs if
    shards failed (``trigger_rule="all_done"``). If only the total number of failures matters, give the mapped
    task a ``max_failures`` that never fails a shard, such as ``"100%"``. Every argument is templated.

    :param shards_id: the same value as in ``CIShardsOperator``.
    :param max_failures: how many objects of all shards may fail, as a number or a percentage.
    :param output: template of the output keys, for the event of an ``AssetAlias``.
    :param output_bucket: bucket of the outputs, in place of the connection's.
    :param report_prefix: the same value as in ``CIShardsOperator``.
    :param outlets: Airflow's own; one event counts the written objects of all shards.

    Returns the summary as ``CIBatchOperator`` does; ``report_key`` is the index of all reports.
    """

    argument_types: ClassVar[Mapping[str, Reader]] = {
        **CIOperator.argument_types,
        "shards_id": text,
        "max_failures": share_or(whole_number(0)),
        "output_template": text,
        "output_bucket": optional(text),
        "report_prefix": text,
    }
    template_fields: Sequence[str] = tuple(argument_types)
    # The report matters most where shards have failed.
    own_defaults: ClassVar[Mapping[str, Any]] = {"trigger_rule": "all_done"}

    def __init__(
        self,
        *,
        shards_id: str = _SHARDS_ID,
        max_failures: int | str = 0,
        output: str = "",
        output_bucket: str | None = None,
        report_prefix: str = "_ci_batches/",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**self.own_defaults, **kwargs})
        self.shards_id = shards_id
        self.max_failures: Any = max_failures
        self.output_template: Any = output  # `output` is already an attribute of Airflow's operators
        self.output_bucket = output_bucket
        self.report_prefix = report_prefix
        self.keep_arguments()

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the index, and return the summary of all shards; it is in XCom also when the task fails.

        :raises NoShardsError: the list of shards is missing.
        :raises BatchFailedError: more objects failed than allowed, or some did not finish.
        """
        self.begin(context)
        client = self.hook.client
        shards = read_shards(client, self.shards_id, report_prefix=self.report_prefix)
        if shards is None:
            raise NoShardsError(
                f"no shards are called {self.shards_id!r} below {self.report_prefix!r}: let the task of "
                "CIShardsOperator succeed first, with the same shards_id and report_prefix"
            )
        report = merge_reports(client, shards)
        values = self._values(report)
        for batch_id in report.incomplete[:20]:
            self.log.warning("not at its end: batch %s", batch_id)
        summary, limit = report.summary, FailureLimit.parse(self.max_failures)
        counts = ("total", "succeeded", "skipped", "failed", "cancelled", "unfinished")
        said = ", ".join(f"{getattr(summary, name):,} {name}" for name in counts)
        self.log.info("%d shards: %s; report: %s", len(report.results), said, summary.report_key)
        if report.incomplete or not limit.allows(summary.failed + summary.cancelled, summary.total):
            self.push_result(context, values)
            raise BatchFailedError(summary, limit)
        bucket = self.output_bucket or client.bucket
        announce_outputs(self, context, summary, bucket=bucket, templates=[self.output_template])
        return values

    def _values(self, report: MergedReport) -> dict[str, Any]:
        summary = report.summary
        counts = {"shards": len(report.results), "incomplete_shards": len(report.incomplete)}
        groups = [asdict(group) for group in summary.failures[:3]]
        return {**summary.to_json(), **counts, "failures": groups}
