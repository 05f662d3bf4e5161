"""Describes what a job made: in a small XCom, and in words."""

from __future__ import annotations

from typing import Any

from airflow_provider_ci.client import (
    DocProcessResult,
    DocWatermarkResult,
    FileHashCodeResult,
    FileUncompressResult,
    ImageOCRResult,
    Job,
    PicProcessResult,
)


def result_of(job: Job) -> dict[str, Any]:
    """The job as a small XCom."""
    result: dict[str, Any] = {
        "job_id": job.job_id,
        "state": str(job.state),
        "input_key": job.input_key,
        "output_key": job.output_key,
    }
    return {**result, **_amounts(job)}


def told(job: Job) -> str:
    """The result of the job, in words: ``3 pages in 0.9 s``."""
    made = _made(job)
    if job.started_at is None or job.ended_at is None:
        return made
    return f"{made} in {(job.ended_at - job.started_at).total_seconds():.1f} s"


def _amounts(job: Job) -> dict[str, Any]:
    result = job.result
    if isinstance(result, DocProcessResult):
        return {"pages": result.total_page_count}
    if isinstance(result, DocWatermarkResult):
        return {"pages": result.total_page_count, "size": result.size}
    if isinstance(result, PicProcessResult):
        return {"size": result.size}
    if isinstance(result, FileHashCodeResult):
        return {"hash": result.digest, "size": result.size}
    if isinstance(result, FileUncompressResult):
        return {"files": result.file_count, "keys": list(result.keys)}
    if isinstance(result, ImageOCRResult):
        return {"text": result.text, "lines": len(result.lines)}
    return {}


def _made(job: Job) -> str:
    result = job.result
    if isinstance(result, (DocProcessResult, DocWatermarkResult)) and result.total_page_count is not None:
        return _counted(result.total_page_count, "page")
    if isinstance(result, PicProcessResult) and result.size is not None:
        return f"{result.size:,} bytes"
    if isinstance(result, FileHashCodeResult):
        return f"hash {result.digest}"
    if isinstance(result, FileUncompressResult) and result.file_count is not None:
        return _counted(result.file_count, "file")
    if isinstance(result, ImageOCRResult):
        return _counted(len(result.lines), "line") + " of text"
    return "1 object" if job.output_key else f"{job.tag} job {job.job_id}"


def _counted(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"
