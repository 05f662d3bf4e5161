"""What operators store in their arguments, and how Airflow renders the templates."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.operators import CIBatchOperator, CIDocProcessOperator

RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]


def test_constructors_only_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", raising=False)
    CIDocProcessOperator(
        task_id="a", input_key="{{ x }}", output_key="{{ y }}", operation=DocProcess(target="pdf")
    )
    CIBatchOperator(
        task_id="b",
        source=ObjectSelection(prefix="{{ x }}", modified_after="{{ data_interval_start }}"),
        operation=DocProcess(target="pdf"),
        output="{{ nonsense }}",
    )


def test_dataclasses_are_rendered_inside(run_tasks: RunTasks, fill_bucket: Fill, client: CIClient) -> None:
    fill_bucket("in/a.png")
    result = run_tasks("""CIPicProcessOperator(task_id="turn", input_key="in/a.png", output_key="out/a.png",
            poll_interval=0.1, operation=PicProcess("{{ params.rule }}"))""")
    assert result.state == "success"
    (job,) = client.list_pic_jobs()
    assert "imageMogr2/rotate/90" in json.dumps(job.raw)


def test_lists_tuples_and_none_inside_dataclasses_are_rendered(
    run_tasks: RunTasks, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx", "in/b.txt", "in/c.pdf")
    result = run_tasks("""
    for name, suffixes in {"tuple": ("{{ params.suffix }}", ".pdf"), "list": ["{{ params.suffix }}"]}.items():
        CIListObjectsOperator(
            task_id=name,
            params={"suffix": ".docx"},
            source=ObjectSelection(
                prefix="{{ params.folder }}/", suffixes=suffixes, max_size=None, modified_before=None,
                modified_after="{{ macros.datetime(2020, 1, 1) }}",
            ),
        )""")
    assert result.results == {"tuple": ["in/a.docx", "in/c.pdf"], "list": ["in/a.docx"]}


def test_a_result_of_another_task_inside_a_dataclass_comes_first(
    run_tasks: RunTasks, fill_bucket: Fill
) -> None:
    """The list comes first by name; if it also ran first, it would have no prefix and list everything."""
    fill_bucket("in/a.docx", "other/b.docx")
    result = run_tasks("""
    from airflow.sdk import task

    @task
    def where():
        return "in/"

    @task
    def which():
        return ["in/a.docx"]

    CIListObjectsOperator(task_id="a_list", source=ObjectSelection(prefix=where()))
    CIBatchOperator(
        task_id="a_batch", source=ObjectKeys(keys=which()), operation=DocProcess(), output="out/{stem}.pdf",
        poll_interval=0.1,
    )
    CIBatchOperator(
        task_id="another", source=which(), operation=DocProcess(), output="out2/{stem}.pdf", poll_interval=0.1
    )""")
    assert result.results["a_list"] == ["in/a.docx"]
    assert result.results["a_batch"]["total"] == result.results["another"]["total"] == 1


def test_operators_can_be_mapped_and_no_password_is_in_the_stored_dag(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient, printed: Printed
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    result = run_tasks("""
    CIDocProcessOperator.partial(
        task_id="doc", operation=DocProcess(password="open-sesame"), poll_interval=0.1,
        output_key="doc/{{ ti.map_index }}.pdf",
    ).expand(input_key=["in/a.docx", "in/b.docx"])
    CIBatchOperator.partial(
        task_id="output", source=ObjectSelection(prefix="{{ params.folder }}/"), operation=DocProcess(),
        poll_interval=0.1,
    ).expand(output=["x-{{ params.folder }}/{stem}.pdf", "y/{stem}.pdf"])
    CIBatchOperator.partial(
        task_id="source", operation=DocProcess(), output="z/{stem}.pdf", poll_interval=0.1
    ).expand(source=[ObjectSelection(prefix="{{ params.folder }}/a"), ["in/b.docx"]])""")
    assert result.state == "success"
    assert sorted(job.output_key for job in client.list_doc_jobs()) == [
        *("doc/0.pdf", "doc/1.pdf", "x-in/a.pdf", "x-in/b.pdf", "y/a.pdf", "y/b.pdf", "z/a.pdf", "z/b.pdf")
    ]
    assert "doc/{{ ti.map_index }}.pdf" in json.dumps(result.stored)
    assert "open-sesame" not in json.dumps(result.stored)
    assert "open-sesame" not in printed()


def test_the_password_of_a_document_is_in_no_rendered_field_and_no_log(
    run_tasks: RunTasks, fill_bucket: Fill, printed: Printed, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    result = run_tasks("""CIDocProcessOperator(
            task_id="convert", input_key="in/a.docx", output_key="out/a.pdf", poll_interval=0.1,
            operation=DocProcess(target="pdf", password="open-sesame"))""")
    assert result.state == "success"
    logged = printed()
    assert "open-sesame" not in logged
    assert local_ci.secret_key not in logged
    (instance,) = result.run.get_task_instances()
    rendered = RenderedTaskInstanceFields.get_templated_fields(instance)
    assert rendered is not None
    assert rendered["operation"] == {"target": "pdf", "password": "***"}
    assert "open-sesame" not in str(rendered)
