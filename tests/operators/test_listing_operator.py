from __future__ import annotations

from collections.abc import Callable
from typing import Any

RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]

LISTING = (
    """CIListObjectsOperator(task_id="list", source=ObjectSelection(prefix="{{ params.folder }}/"), %s)"""
)


def test_the_listing_is_in_key_order(run_tasks: RunTasks, fill_bucket: Fill) -> None:
    fill_bucket("in/b.docx", "in/a.docx", "other/c.docx")
    assert run_tasks(LISTING % "").results == {"list": ["in/a.docx", "in/b.docx"]}


def test_a_listing_that_is_too_long_for_an_xcom_says_what_to_do(
    run_tasks: RunTasks, fill_bucket: Fill, printed: Printed
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    assert run_tasks(LISTING % "max_objects=1").state == "failed"
    assert "give the selection to CIBatchOperator" in printed()


def test_a_manifest_is_listed_without_its_bad_rows(
    run_tasks: RunTasks, fill_bucket: Fill, printed: Printed
) -> None:
    fill_bucket("in/b.docx", "in/a.docx")
    fill_bucket("in.csv", content=b"key,quality\nin/b.docx,\n,\nin/a.docx,80\n")
    result = run_tasks(
        """CIListObjectsOperator(task_id="list", source=Manifest("{{ params.folder }}.csv"))"""
    )
    assert result.results == {"list": ["in/b.docx", "in/a.docx"]}
    assert "left out: in.csv, line 3: key must be a non-empty object key" in printed()
