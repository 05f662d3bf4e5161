"""Reports to OpenLineage what a task read and wrote: prefixes, with the number and size of their objects.

It reports prefixes and not objects, because a batch can have a million objects. Only OpenLineage's provider
calls these functions, so they import OpenLineage when they are called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ci.assets import cos_uri, lineage_name, output_uri
from airflow_provider_ci.batch import BatchSummary
from airflow_provider_ci.batch.sources.selection import as_source
from airflow_provider_ci.client import DocProcessResult, FileUncompressResult, Job, PicProcessResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_ci.batch import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Objects under one prefix."""

    uri: str
    objects: int
    size: int | None
    """Total size in bytes; None if it is unknown."""


def lineage(*, read: Portion, wrote: Portion, also_wrote: Sequence[str] = ()) -> OperatorLineage[Any, Any]:
    """Both portions as datasets of OpenLineage: the bucket is the namespace, the prefix is the name.

    :param also_wrote: URIs of further prefixes that were written; ``wrote`` already counts their objects.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset, output_statistics_output_dataset

    was_read = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        fileCount=read.objects, size=read.size
    )
    was_written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        fileCount=wrote.objects, size=wrote.size
    )
    return OperatorLineage(
        inputs=[InputDataset(*lineage_name(read.uri), inputFacets={"inputStatistics": was_read})],
        outputs=[
            OutputDataset(*lineage_name(wrote.uri), outputFacets={"outputStatistics": was_written}),
            *(OutputDataset(*lineage_name(uri)) for uri in also_wrote),
        ],
    )


def batch_lineage(
    bucket: str,
    source: Source | Iterable[str],
    output_template: str | Sequence[str],
    summary: BatchSummary,
    *,
    output_bucket: str | None = None,
) -> OperatorLineage[Any, Any]:
    """What a batch read and wrote. The service does not report the size of the documents that it makes.

    :param output_template: template of the output keys; or several, one for each step.
    """
    templates = [output_template] if isinstance(output_template, str) else output_template
    uris = dict.fromkeys(output_uri(output_bucket or bucket, template) for template in templates)
    wrote, *also_wrote = uris
    return lineage(
        read=Portion(
            uri=cos_uri(bucket, as_source(source).folder),
            objects=summary.total - summary.unfinished,
            size=summary.input_bytes,
        ),
        wrote=Portion(
            uri=wrote,
            objects=summary.outputs,
            size=summary.output_bytes or None,
        ),
        also_wrote=also_wrote,
    )


def job_lineage(bucket: str, job: Job, *, input_bytes: int | None) -> OperatorLineage[Any, Any]:
    """What a successful job read and wrote."""
    size = job.result.size if isinstance(job.result, PicProcessResult) else None
    return lineage(
        read=Portion(uri=cos_uri(bucket, _folder(job.input_key)), objects=1, size=input_bytes),
        wrote=Portion(
            uri=cos_uri(job.output_bucket or bucket, _folder(job.output_key or _prefix_of(job))),
            objects=outputs_of(job),
            size=size,
        ),
    )


def outputs_of(job: Job) -> int:
    """Number of objects that a job wrote: one, one picture per page, the files of an archive, or none."""
    if isinstance(job.result, DocProcessResult):
        return len(job.result.pages) or 1
    if isinstance(job.result, FileUncompressResult):
        return job.result.file_count or 0
    return 1 if job.output_key else 0


def written_uri(bucket: str, job: Job) -> str:
    """The URI of the object or the folder that a job wrote; the bucket if the key is unknown."""
    return output_uri(bucket, job.output_key or _prefix_of(job))


def _prefix_of(job: Job) -> str:
    """The prefix of unpacked files, as the service echoes it."""
    config = job.raw.get("Operation", {}).get("FileUncompressConfig", {})
    return str(config.get("Prefix") or "") if isinstance(config, dict) else ""


def _folder(key: str) -> str:
    return key[: key.rfind("/") + 1]
