"""Arguments in DAGs that run: templates, XComs and mapped values arrive with their types."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient

RunDag = Callable[..., Any]
RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]


def test_mapped_tasks_run_after_the_results_that_their_arguments_hold(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient
) -> None:
    """The mapped tasks come first by name; if they also ran first, no time would limit their objects."""
    fill_bucket("in/new.docx", "in/old.docx", "in/older.docx")
    for key in ("old", "older"):
        os.utime(Path(client_root(fill_bucket)) / f"in/{key}.docx", (0, 0))
    result = run_tasks("""
    from airflow.sdk import task

    @task
    def watermark():
        return "2020-01-01T00:00:00+00:00"

    @task
    def where():
        return ["x/{stem}.pdf", "y/{stem}.pdf"]

    new = ObjectSelection(prefix="in/", modified_after=watermark())
    CIBatchOperator.partial(task_id="a_batch", source=new, operation=DocProcess(), poll_interval=0.1).expand(
        output=where())
    CIListObjectsOperator.partial(task_id="a_list", source=new).expand(max_objects=[5, 6])
    """)
    assert result.state == "success"
    assert sorted(job.output_key for job in client.list_doc_jobs()) == ["x/new.pdf", "y/new.pdf"]
    assert result.results["a_list"] == ["in/new.docx"]


def client_root(fill_bucket: Fill) -> str:
    bucket: Path = inspect.getclosurevars(fill_bucket).nonlocals["bucket"]
    return str(bucket)


def test_values_cross_xcom_and_are_mapped_over(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient
) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/{{ odd }}.docx")
    result = run_tasks("""
    from airflow.sdk import task

    @task
    def selections():
        return [ObjectSelection(prefix="in/a"), ObjectSelection(prefix="in/b", suffixes=[".docx"])]

    @task
    def how():
        return DocProcess(target="pdf", comments=0)

    @task
    def odd_key():
        return [ObjectKeys(keys=["in/{{ odd }}.docx"])]

    options = dict(operation=how(), output="out/{stem}.pdf", poll_interval=0.1)
    CIBatchOperator.partial(task_id="a_batch", **options).expand(source=selections())
    CIBatchOperator.partial(task_id="odd", **options).expand(source=odd_key())
    """)
    assert result.state == "success"
    assert sorted(job.output_key for job in client.list_doc_jobs()) == [
        *("out/a.pdf", "out/b.pdf", "out/{{ odd }}.pdf")
    ], "what another task returns is no template"


def test_lists_of_mapped_tasks_are_one_source(run_tasks: RunTasks, fill_bucket: Fill) -> None:
    fill_bucket("x/a.docx", "y/b.docx", "y/c.docx")
    result = run_tasks("""
    lists = CIListObjectsOperator.partial(task_id="lists").expand(
        source=[ObjectSelection(prefix="x/"), ObjectSelection(prefix="y/"), ObjectSelection(prefix="z/")])
    CIBatchOperator(task_id="one", source=lists.output, operation=DocProcess(), output="out/{stem}.pdf",
        poll_interval=0.1)
    CIBatchOperator(task_id="two", source=ObjectKeys(keys=lists.output), operation=DocProcess(),
        output="out2/{stem}.pdf", poll_interval=0.1)
    """)
    assert result.results["one"]["succeeded"] == result.results["two"]["succeeded"] == 3


def test_no_keys_at_all_are_no_jobs(run_tasks: RunTasks) -> None:
    result = run_tasks("""
    from airflow_provider_ci.sensors import CIJobSensor

    keys = CIListObjectsOperator(task_id="keys", source=ObjectSelection(prefix="none/"))
    submit = CIDocProcessOperator.partial(
        task_id="submit", output_key="out/{stem}.pdf", operation=DocProcess(), wait_for_completion=False
    ).expand(input_key=keys.output)
    CIJobSensor(task_id="wait", job_ids=submit.output, trigger_rule="none_failed", poke_interval=0.1)
    CIJobSensor(task_id="wait_too", job_ids=submit.output, trigger_rule="none_failed", deferrable=True)
    CICancelJobsOperator(task_id="cancel", job_ids=submit.output, trigger_rule="none_failed")
    """)
    assert result.tasks["wait"] == result.tasks["wait_too"] == result.tasks["cancel"] == "success"
    assert result.results["wait"] == {"jobs": 0}


def test_a_single_job_fills_in_the_name_of_its_object_as_a_batch_does(
    run_tasks: RunTasks, fill_bucket: Fill, bucket: Path
) -> None:
    fill_bucket("in/sub/a.docx", "in/b.docx", "in/c.png")
    result = run_tasks("""
    CIDocProcessOperator.partial(
        task_id="docs", output_key="i1/{dir}{stem}.pdf", operation=DocProcess(), poll_interval=0.1
    ).expand(input_key=["in/sub/a.docx", "in/b.docx"])
    CIPicProcessOperator(task_id="pic", input_key="in/c.png", output_key="i2/{name}",
        operation=PicProcess("imageMogr2/rotate/90"), poll_interval=0.1)
    """)
    assert result.state == "success"
    assert (bucket / "i1/in/sub/a.pdf").exists()
    assert (bucket / "i1/in/b.pdf").exists()
    assert (bucket / "i2/c.png").exists()
    assert result.results["pic"]["output_key"] == "i2/c.png"


def test_an_unknown_placeholder_is_refused(run_tasks: RunTasks, fill_bucket: Fill, printed: Printed) -> None:
    fill_bucket("in/a.docx")
    result = run_tasks("""CIDocProcessOperator(task_id="doc", input_key="in/a.docx",
        output_key="out/{stern}.pdf", operation=DocProcess())""")
    assert result.state == "failed"
    assert "unknown placeholder stern" in printed()


NATIVE = """
from airflow.sdk import DAG, Param, task
from airflow_provider_ci.batch import ObjectKeys, ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import *

params = {{"n": 3, "pages": "1,2", "none": Param(None, type=["null", "string"]),
    "force": Param(True, type="boolean"), "suffixes": [".docx"],
    "number": "2026.10", "share": "50%", "seconds": 2}}
with DAG(DAG_ID, schedule=None, render_template_as_native_obj={native}, params=params) as dag:
    CIBatchOperator(
        task_id="batch",
        source=ObjectSelection(
            prefix="in/", suffixes="{{{{ params.suffixes }}}}", min_size="{{{{ params.n }}}}",
            max_size="{{{{ params.none }}}}", modified_after="{{{{ prev_data_interval_end_success }}}}",
            modified_before="{{{{ params.none }}}}",
        ),
        operation=DocProcess(page_ranges="{{{{ params.pages }}}}", quality="{{{{ params.n }}}}", target="jpg",
            start_page="{{{{ params.none }}}}"),
        output="out/{{{{ params.number }}}}/{{stem}}-${{Number}}.jpg",
        batch_id="{{{{ params.number }}}}",
        skip="{{{{ 'never' if params.force else 'fresh' }}}}",
        queue_id="{{{{ params.none }}}}",
        bucket="{{{{ params.none }}}}",
        job_level="{{{{ params.none }}}}",
        max_in_flight="{{{{ params.n }}}}",
        max_failures="{{{{ params.share }}}}",
        timeout_seconds="{{{{ macros.timedelta(minutes=1) }}}}",
        poll_interval="{{{{ params.seconds }}}}",
        deferrable="{{{{ not params.force }}}}",
        cancel_on_kill="{{{{ params.force }}}}",
        stop_early="{{{{ params.share }}}}",
        retry_failed="{{{{ params.force }}}}",
        tencent_ci_conn_id="{{{{ 'tencent_ci_default' }}}}",
    )
"""


@pytest.mark.parametrize("native", [False, True])
def test_scalars_have_their_types_again_whatever_way_of_rendering(
    run_dag: RunDag, fill_bucket: Fill, client: CIClient, native: bool
) -> None:
    fill_bucket("in/a.docx", "in/b.pdf")
    result = run_dag(NATIVE.format(native=native))
    assert result.state == "success"
    assert result.results["batch"]["batch_id"] == "2026.10"
    (job,) = client.list_doc_jobs()
    assert job.output_key.startswith("out/2026.10/a-")
    assert '"PageRanges": "1,2"' in json.dumps(job.raw)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('source=ObjectSelection(prefix="{{ params.none }}"), output="o/{stem}"', "prefix is None"),
        ('source=ObjectSelection(prefix="{{ params.none }}/"), output="o/{stem}"', "puts None into a text"),
        ('source=["a"], output="{{ params.none }}"', "CIBatchOperator.output is None"),
        ('source=["a"], output="o/{{ params.none }}/{stem}"', "puts None into a text"),
        ('source=["a"], output="o/{stem}", skip="{{ params.none }}"', "CIBatchOperator.skip must be one of"),
        ('source=["a"], output="o/{stem}", batch_id="{{ params.none }}"', "CIBatchOperator.batch_id is None"),
    ],
)
def test_none_from_a_template_is_never_taken_for_text(
    run_dag: RunDag, printed: Printed, arguments: str, words: str
) -> None:
    result = run_dag(f"""
from airflow.sdk import DAG, Param
from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import *

with DAG(DAG_ID, schedule=None, params={{"none": Param(None, type=["null", "string"])}}) as dag:
    CIBatchOperator(task_id="batch", operation=DocProcess(), {arguments})
""")
    assert result.state == "failed"
    assert words in printed()


STEPS = """
from airflow.sdk import DAG, task
from airflow_provider_ci.batch import ObjectSelection, Step
from airflow_provider_ci.client import DocProcess, Secret
from airflow_provider_ci.operators import *

params = {{"folder": "made", "comments": 0, "secret": "locked", "queues": {queues}}}
with DAG(DAG_ID, schedule=None, render_template_as_native_obj={native}, params=params) as dag:
    @task
    def operations():
        return {{"pdf": (DocProcess(comments=1), "mapped/{{stem}}.pdf")}}

    locked = DocProcess(
        comments="{{{{ params.comments }}}}", password=Secret("var:{{{{ params.secret }}}}"))
    page = DocProcess(target="jpg", start_page=1, end_page=1)
    CIBatchOperator(
        task_id="batch",
        source=ObjectSelection(prefix="in/"),
        operations={{
            "pdf": (locked, "{{{{ params.folder }}}}/{{stem}}.pdf"),
            "page": Step(page, "{{{{ params.folder }}}}/{{stem}}.jpg", after="pdf"),
        }},
        queue_ids="{{{{ params.queues }}}}",
        poll_interval=0.1,
    )
    CIBatchOperator.partial(task_id="mapped", source=ObjectSelection(prefix="in/"), poll_interval=0.1).expand(
        operations=[{{"text": [DocProcess(comments=1), "plain/{{stem}}.pdf"]}}])
    CIBatchOperator(task_id="result", source=ObjectSelection(prefix="in/"), operations=operations(),
        poll_interval=0.1)
"""


@pytest.mark.parametrize("native", [False, True])
def test_several_outputs_queues_and_secrets_are_templated_and_mapped(
    run_dag: RunDag,
    fill_bucket: Fill,
    client: CIClient,
    printed: Printed,
    monkeypatch: pytest.MonkeyPatch,
    native: bool,
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    monkeypatch.setenv("AIRFLOW_VAR_LOCKED", "hunter2-of-the-variable")
    queues = [queue.queue_id for queue in client.list_doc_queues()]
    result = run_dag(STEPS.format(native=native, queues=queues))
    assert result.state == "success", printed()
    assert result.results["batch"]["jobs"] == 4
    assert result.results["batch"]["succeeded"] == 2
    made = {job.output_key for job in client.list_doc_jobs()}
    folders = ("made", "mapped", "plain")
    assert made == {"made/a.jpg", "made/b.jpg", *(f"{at}/{name}.pdf" for at in folders for name in "ab")}
    assert "hunter2" not in printed() + json.dumps(result.results)
