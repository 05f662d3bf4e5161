"""How templates render lists, dicts and None, with native rendering and without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.batch import FailuresOf, Inventory, ObjectKeys, ObjectSelection
from airflow_provider_ci.client import CIClient, CIJob
from airflow_provider_ci.client.records.checks import as_written
from airflow_provider_ci.client.records.values import rendered, values_in

RunDag = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]

DAG = """
from airflow.sdk import DAG, Param
from airflow_provider_ci.batch import ObjectKeys, ObjectSelection, failures_of
from airflow_provider_ci.client import DocProcess, PicProcess
from airflow_provider_ci.operators import *
from airflow_provider_ci.sensors import CIJobSensor

params = {{"none": Param(None, type=["null", "string"]), "listed": ["in/a.docx", "in/b, c.docx"],
    "queues": ["p1", "p2"], "codes": ["UnsupportedType"]}}
with DAG(DAG_ID, schedule=None, render_template_as_native_obj={native}, params=params) as dag:
    {tasks}
"""
RESULTS = """
    submit = CIDocProcessOperator.partial(
        task_id="submit", output_key="one/{stem}.pdf", operation=DocProcess(), wait_for_completion=False
    ).expand(input_key=["in/a.docx", "in/b, c.docx"])
    listed = CIListObjectsOperator(task_id="listed", source=ObjectSelection(prefix="in/"))
    batch = CIBatchOperator(task_id="batch", source="{{ ti.xcom_pull('listed') }}", operation=DocProcess(),
        output="out/{stem}.pdf", max_failures=1, poll_interval=0.1)
    submit >> [
        CIJobSensor(task_id="all", job_ids="{{ ti.xcom_pull('submit') }}", poke_interval=0.1),
        CIJobSensor(task_id="first", job_ids="{{ ti.xcom_pull('submit')[0] }}", poke_interval=0.1),
        CICancelJobsOperator(task_id="cancel", job_ids="{{ ti.xcom_pull('submit', key='job_id') | tojson }}"),
    ]
    listed >> batch >> [
        CIListObjectsOperator(task_id="keys", source=ObjectKeys(keys="{{ params.listed }}")),
        CIListObjectsOperator(task_id="bad", source=failures_of("{{ ti.xcom_pull('batch') }}")),
        CIListObjectsOperator(task_id="coded", source=failures_of(batch.output, codes="{{ params.codes }}")),
        CIShardsOperator(task_id="shards", source=["in/a.docx"], queue_ids="{{ params.queues }}"),
    ]
"""


@pytest.mark.parametrize("native", [False, True])
def test_lists_and_dicts_arrive_whatever_way_of_rendering(
    run_dag: RunDag, fill_bucket: Fill, printed: Printed, native: bool
) -> None:
    fill_bucket("in/a.docx", "in/b, c.docx", "in/z.png")
    result = run_dag(DAG.format(native=native, tasks=RESULTS))
    assert result.state == "success", printed()
    assert result.results["all"] == {"jobs": 2}
    assert result.results["first"] == {"jobs": 1}
    assert sum(result.results["cancel"].values()) == 2
    assert (result.results["batch"]["total"], result.results["batch"]["failed"]) == (3, 1)
    assert result.results["keys"] == ["in/a.docx", "in/b, c.docx"]
    assert result.results["bad"] == result.results["coded"] == ["in/z.png"]
    (shard,) = result.results["shards"]
    assert shard["queue_id"] == "p1"


@pytest.mark.parametrize("native", [False, True])
def test_the_failures_of_a_mapped_batch_are_one_source(
    run_dag: RunDag, fill_bucket: Fill, printed: Printed, native: bool
) -> None:
    fill_bucket("x/a.docx", "y/b.png", "z/c.png")
    tasks = """
    folders = [ObjectSelection(prefix=each) for each in ("x/", "y/", "z/")]
    batch = CIBatchOperator.partial(task_id="batch", operation=DocProcess(), output="out/{key}.pdf",
        max_failures=1, poll_interval=0.1).expand(source=folders)
    again = "{{ ti.xcom_pull('batch', key='return_value') }}"
    CIListObjectsOperator(task_id="bad", source=failures_of(batch.output))
    batch >> CIListObjectsOperator(task_id="bad_too", source=failures_of(again))
    """
    result = run_dag(DAG.format(native=native, tasks=tasks))
    assert result.state == "success", printed()
    assert result.results["bad"] == result.results["bad_too"] == ["y/b.png", "z/c.png"]


def with_fields(value: Any, **texts: Any) -> Any:
    return rendered(value, {**dict(values_in(value)), **texts})


@pytest.mark.parametrize(
    ("value", "field", "text", "expected"),
    [
        (ObjectSelection(), "prefix", "['a/', 'b/']", ("a/", "b/")),
        (ObjectSelection(), "prefix", '["a/", "b/"]', ("a/", "b/")),
        (ObjectSelection(), "prefix", "[2026]", "[2026]"),
        (ObjectSelection(), "prefix", "(2026)", "(2026)"),
        (ObjectSelection(), "prefix", "{a}/", "{a}/"),
        (ObjectSelection(), "suffixes", ".a, .b", (".a", ".b")),
        (ObjectSelection(), "suffixes", "('.a', '.b,c')", (".a", ".b,c")),
        (ObjectSelection(), "include", "[]", ()),
        (ObjectSelection(), "min_size", "5.0", 5),
        (Inventory("r/"), "tags", "{'team': 'sales'}", {"team": "sales"}),
        (ObjectKeys(keys=[]), "keys", "['a', ['b', 'c, d']]", ("a", "b", "c, d")),
        (FailuresOf(batch="b"), "batch", "{'report_key': 'r', 'failed': 2}", "r"),
        (FailuresOf(batch="b"), "batch", "[{'report_key': 'r'}, {'report_key': 's'}]", ("r", "s")),
        (FailuresOf(batch="b"), "states", "['failed']", ("failed",)),
        (CIJob(tag="x"), "operation", '{"Snapshot": {"Mode": null}}', {"Snapshot": {"Mode": None}}),
    ],
)
def test_a_field_that_may_hold_several_reads_their_text(
    value: Any, field: str, text: str, expected: Any
) -> None:
    assert getattr(with_fields(value, **{field: text}), field) == expected


@pytest.mark.parametrize("text", ["", "plain", "[", "{x}", "(1)", "{% raw %}", "[1, 2", None, 5])
def test_other_texts_stay_as_they_are(text: Any) -> None:
    assert as_written(text) is text


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("{{ params.none ~ '/' }}", "puts None into a text"),
        ("{{ 'in/' ~ params.none ~ '/' }}", "puts None into a text"),
        ("{{ '%s/' % params.none }}", "puts None into a text"),
        ("{{ '%s/%s' % ('in', params.none) }}", "puts None into a text"),
        ("{{ '{}/'.format(params.none) }}", "puts None into a text"),
        ("{{ params.none | trim }}", "prefix is None"),
    ],
)
def test_none_inside_an_expression_is_never_taken_for_text(
    run_dag: RunDag, printed: Printed, prefix: str, words: str, native: bool
) -> None:
    tasks = f"CIListObjectsOperator(task_id='a', source=ObjectSelection(prefix={prefix!r}))"
    assert run_dag(DAG.format(native=native, tasks=tasks)).state == "failed"
    assert words in printed()


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("prefix", ["{{ no_such_name }}", "{{ params.no_such_name ~ '/' }}"])
def test_a_name_that_does_not_exist_is_no_empty_text(
    run_dag: RunDag, printed: Printed, prefix: str, native: bool
) -> None:
    """A DAG may allow undefined names; as empty texts, they would make the prefix match the whole bucket."""
    tasks = f"CIListObjectsOperator(task_id='a', source=ObjectSelection(prefix={prefix!r}))"
    source = DAG.format(native=native, tasks=tasks).replace(
        "schedule=None", "schedule=None, template_undefined=__import__('jinja2').Undefined"
    )
    assert run_dag(source).state == "failed"
    said = printed()
    assert "prefix is None" in said or "puts None into a text" in said


@pytest.mark.parametrize("native", [False, True])
def test_a_date_is_the_beginning_of_its_day(run_dag: RunDag, fill_bucket: Fill, native: bool) -> None:
    fill_bucket("in/a.docx")
    tasks = """
    for number, after in enumerate(["{{ dag_run.run_after.date() }}", "{{ '2026-01-01' }}",
            "{{ dag_run.run_after.date() + macros.timedelta(days=1) }}"]):
        CIListObjectsOperator(
            task_id=f"a{number}", source=ObjectSelection(prefix="in/", modified_after=after))
    """
    result = run_dag(DAG.format(native=native, tasks=tasks))
    assert list(result.results.values()) == [["in/a.docx"], ["in/a.docx"], []]


def test_the_same_expressions_work_with_a_text(run_dag: RunDag, fill_bucket: Fill, client: CIClient) -> None:
    fill_bucket("in/5/a.docx")
    tasks = """
    for number, prefix in enumerate(["{{ 'in/' ~ 5 ~ '/' }}", "{{ '%s/%d/' % ('in', 5) }}",
            "{{ 'in/%s' % 5 }}", "{{ '{}/{}/'.format('in', 5) }}", "{{ 'in/' ~ 17 % 6 }}",
            "{{ params.none | default('in/', true) }}"]):
        CIListObjectsOperator(task_id=f"a{number}", source=ObjectSelection(prefix=prefix))
    """
    result = run_dag(DAG.format(native=False, tasks=tasks))
    assert list(result.results.values()) == [["in/5/a.docx"]] * 6


def test_a_result_that_is_missing_is_named_as_such(run_dag: RunDag, printed: Printed) -> None:
    tasks = """
    from airflow.sdk import task
    from airflow_provider_ci.compat import AirflowSkipException

    @task
    def skipped():
        raise AirflowSkipException("not today")

    missing, rule = skipped(), dict(trigger_rule="none_failed")
    CIJobSensor(task_id="sensor", job_ids=missing, **rule)
    CIBatchOperator(task_id="batch", source=missing, operation=DocProcess(), output="o/{stem}", **rule)
    CIListObjectsOperator(task_id="failures", source=failures_of(missing), **rule)
    """
    result = run_dag(DAG.format(native=False, tasks=tasks))
    states = {name: state for name, state in result.tasks.items() if name != "skipped"}
    assert states == {"sensor": "failed", "batch": "failed", "failures": "failed"}
    said = printed()
    assert "no job id in None; the task that should return it was skipped" in said
    assert "not None: the task that should return it was skipped" in said
    assert "it cannot be None: a task that was skipped" in said
