"""Batches of jobs with other tags, and operations that a batch refuses before anything is submitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchOperationError
from airflow_provider_ci.batch.planning.operations import operation_record, restored_operation
from airflow_provider_ci.client import (
    CIClient,
    CIJob,
    DocAIGCMetadata,
    DocProcess,
    DocWatermark,
    FileHashCode,
    FileUncompress,
    ImageOCR,
)
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
STAMP = "http://examplebucket-1250000000.cos.ap-guangzhou.myqcloud.com/in/stamp.png"
NODES = {"DocWatermark": {"Type": "1", "Image": STAMP, "Dx": "4"}}


@pytest.mark.parametrize(
    "operation",
    [DocWatermark(1, image=STAMP, dx=4), CIJob(tag="DocWatermark", operation=NODES)],
    ids=lambda each: type(each).__name__,
)
def test_a_batch_marks_each_document_once(
    client: CIClient, local_ci: LocalCI, fill_bucket: Fill, bucket: Path, operation: Any
) -> None:
    keys = [f"in/{number}.pdf" for number in range(5)]
    fill_bucket(*keys, "in/stamp.png", content=b"%PDF-1.7\n")
    for run in ("first", "second"):
        if run == "first":
            local_ci.faults.add("cut_after", method="POST", path="/doc_jobs", count=1)
        summary = Batch(client, keys, operation, "out/{stem}.pdf", batch_id=run, lease_seconds=3).run()
        assert (summary.total, summary.failed) == (5, 0)
        assert (summary.succeeded, summary.skipped) == ((5, 0) if run == "first" else (0, 5))
    assert len(list(client.list_jobs("DocWatermark"))) == 5
    assert len(list((bucket / "out").iterdir())) == 5


REFUSED: list[tuple[Any, str]] = [
    (ImageOCR(), "a batch cannot do ImageOCR: its result is in the job and not in an object; map CIJobOp"),
    (FileHashCode(), "a batch cannot do FileHashCode: its result is in the job"),
    (FileHashCode(path="/jobs"), "a batch cannot do FileHashCode: its result is in the job"),
    (FileUncompress("a/"), "a batch cannot do FileUncompress: it writes objects whose names are not known"),
    (CIJob(tag="FileCompress"), "a batch cannot do FileCompress: the service does not list these jobs"),
    (CIJob(tag="Snapshot", output="prefix"), "a batch cannot do Snapshot: it writes objects whose names"),
    (CIJob(tag="PicProcess"), "a batch cannot do PicProcess as .*: use the class of this tag"),
    (CIJob(tag="DocWatermark", path="/jobs"), "use the class of this tag, or leave out path and output"),
]


@pytest.mark.parametrize(("operation", "complaint"), REFUSED, ids=[str(each[0]) for each in REFUSED])
def test_what_cannot_be_made_exactly_once_is_refused(
    client: CIClient, fill_bucket: Fill, bucket: Path, operation: Any, complaint: str
) -> None:
    fill_bucket("in/a.pdf")
    with pytest.raises(BatchOperationError, match=complaint):
        Batch(client, ["in/a.pdf"], operation, "out/{stem}", batch_id="b").run()
    assert sorted(path.name for path in bucket.iterdir()) == ["in"]


@pytest.mark.parametrize(
    "operation",
    [
        DocWatermark("1", image=STAMP, dx=4),
        DocAIGCMetadata("1", extra={"A": "b"}),
        CIJob(tag="Snapshot", operation={"Snapshot": {"Mode": "Average"}}),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_operation_of_a_plan_is_restored_whatever_runs_now(operation: Any) -> None:
    record = json.loads(json.dumps(operation_record(operation)))
    for current in (DocProcess(), DocWatermark(2), CIJob(tag="Other")):
        assert restored_operation(record, current) == operation
