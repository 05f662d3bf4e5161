"""Every argument of every operator and sensor: templated, typed, mapped as plain, stable in each parse."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, XComArg, task

from airflow_provider_ci import operators, sensors
from airflow_provider_ci.batch import Inventory, Manifest, ObjectKeys, ObjectSelection, Step
from airflow_provider_ci.client import (
    Callback,
    CIClient,
    CIJob,
    DocProcess,
    DocWatermark,
    FileHashCode,
    FileUncompress,
    ImageOCR,
    NotifyConfig,
    PicProcess,
    PicTemplate,
    Secret,
)
from airflow_provider_ci.operators import CIBatchOperator, CIDocProcessOperator
from airflow_provider_ci.sensors import CIObjectsSensor
from airflow_provider_ci.tasks.arguments import flag, one_of, optional, seconds, share_or, text, whole_number

RunDag = Callable[..., Any]
RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]

CLASSES: dict[str, Any] = {
    name: getattr(module, name)
    for module in (operators, sensors)
    for name in module.__all__
    if not name.endswith("Error")
}
NEEDED: dict[str, dict[str, Any]] = {
    "CIBatchOperator": {"source": ["a"], "operation": DocProcess(), "output": "out/{stem}.pdf"},
    "CIBatchReportOperator": {},
    "CICancelJobsOperator": {"job_ids": "d1"},
    "CIDocProcessOperator": {"input_key": "a", "output_key": "b", "operation": DocProcess()},
    "CIJobOperator": {"input_key": "a", "operation": FileHashCode("MD5")},
    "CIListObjectsOperator": {"source": ObjectSelection()},
    "CIPicProcessOperator": {"input_key": "a", "output_key": "b", "operation": PicProcess("r")},
    "CIQueueOperator": {"kind": "doc"},
    "CIShardsOperator": {"source": ["a"]},
    "CIJobSensor": {"job_ids": "d1"},
    "CIObjectsSensor": {"source": ObjectSelection()},
}
VALUES_OF: dict[str, list[Callable[[Any], Any]]] = {
    "source": [
        lambda x: ObjectSelection(prefix=x),
        lambda x: ObjectSelection(modified_after=x),
        lambda x: ObjectSelection(suffixes=[x]),
        lambda x: ObjectSelection(min_size=x),
        lambda x: ObjectKeys(keys=x),
        lambda x: ObjectSelection(prefix=[x], include=[x], storage_classes=[x], end_at=x),
        Inventory,
        lambda x: Inventory("reports/", key_prefix=x, tags={"a": x}),
        Manifest,
        lambda x: ["a", x],
    ],
    "operation": [
        lambda x: DocProcess(start_page=x),
        PicProcess,
        PicTemplate,
        lambda x: CIJob(tag=x),
        lambda x: CIJob(tag="Snapshot", operation={"Snapshot": {"Mode": x}}),
        lambda x: DocWatermark(1, dx=x),
        FileHashCode,
        FileUncompress,
        lambda x: ImageOCR(pdf_page_number=x),
    ],
    "operations": [
        lambda x: {"pdf": (DocProcess(start_page=x), "o/{stem}.pdf")},
        lambda x: {"pdf": Step(DocProcess(password=Secret(x)), "o/{stem}.pdf")},
        lambda x: {"pdf": (DocProcess(), x)},
    ],
    "queue_ids": [lambda x: ["p1", x]],
    "callback": [Callback],
    "notify": [NotifyConfig],
}
"""Value objects that an argument may be, around the result of another task."""


def own_arguments(kind: Any) -> list[str]:
    """The arguments of a class that Airflow's own operators and sensors do not have."""
    found: dict[str, None] = {}
    for base in kind.mro():
        if base in (BaseOperator, BaseSensorOperator):
            break
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            found.update({p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY})
    return list(found)


ARGUMENTS = [(name, argument) for name, kind in CLASSES.items() for argument in own_arguments(kind)]
every_argument = pytest.mark.parametrize(("name", "argument"), ARGUMENTS)


def test_all_operators_and_sensors_are_covered() -> None:
    assert CLASSES.keys() == NEEDED.keys()
    assert ("CIBatchOperator", "tencent_ci_conn_id") in ARGUMENTS
    assert len(ARGUMENTS) > 80


def attribute_of(argument: str) -> str:
    return "output_template" if argument == "output" else argument


@every_argument
def test_each_argument_is_a_template_field_with_a_type(name: str, argument: str) -> None:
    kind = CLASSES[name]
    assert attribute_of(argument) in kind.template_fields
    assert attribute_of(argument) in kind.argument_types


def upstream(name: str, how: str, argument: str, value: Callable[[Any], Any]) -> set[str]:
    """The tasks that a task depends on, whose argument holds the result of another one."""
    kind, fixed = CLASSES[name], {k: v for k, v in NEEDED[name].items() if k != argument}
    with DAG("dag", schedule=None):

        @task
        def before() -> str:
            return "x"

        held = value(before())
        if how == "plain":
            made = kind(task_id="made", **{**fixed, argument: held})
        elif how == "partial":
            made = kind.partial(task_id="made", **{**fixed, argument: held}).expand(region=["a", "b"])
        elif how == "expand":
            made = kind.partial(task_id="made", **fixed).expand(**{argument: [held]})
        else:
            made = kind.partial(task_id="made", **fixed).expand_kwargs([{argument: held}])
        return set(made.upstream_task_ids)


@pytest.mark.parametrize("how", ["plain", "partial", "expand", "expand_kwargs"])
@every_argument
def test_a_task_depends_on_the_results_in_its_arguments(name: str, argument: str, how: str) -> None:
    if how == "partial" and argument == "region":
        how = "expand"
    for value in [lambda x: x, *VALUES_OF.get(argument, [])]:
        assert upstream(name, how, argument, value) == {"before"}


SERIALIZED = """
import json, warnings
from datetime import datetime, timezone, timedelta
from airflow.sdk import DAG, task, Asset
try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
from airflow_provider_ci.batch import ObjectKeys, ObjectSelection
from airflow_provider_ci.client import Callback, DocProcess, MqConfig, PicProcess
from airflow_provider_ci.operators import *
from airflow_provider_ci.sensors import *

with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
    @task
    def before():
        return "x"

    known = before()
    selection = ObjectSelection(prefix=known, suffixes={".a", ".b", ".c", ".d", ".e"}, min_size="{{ 3 }}")
    options = dict(
        operation=DocProcess(target=known, password="open-sesame", extra={"x": {"p", "q", "r"}}),
        callback=Callback(mq=MqConfig(region="gz", name=known)), timeout_seconds=timedelta(hours=1),
    )
    tasks = [
        CIBatchOperator(task_id="plain", source=selection, output=known, **options),
        CIBatchOperator(
            task_id="keys", source=ObjectKeys(keys={"k1", "k2", "k3"}), output=known.map(len), **options
        ),
        CIBatchOperator.partial(task_id="partial", source=selection, **options).expand(output=known),
        CIBatchOperator.partial(task_id="expand", output="o", **options).expand(source=[selection]),
        CIObjectsSensor(task_id="sensor", source=selection),
        CIObjectsSensor.partial(task_id="sensors").expand(source=[selection]),
    ]
stored = [DagSerialization.to_dict(dag), [getattr(t, "definition", "") for t in tasks]]
print(json.dumps(stored, sort_keys=True))
"""


def test_the_stored_dag_is_the_same_in_each_parse_and_with_every_hash_seed(tmp_path: Path) -> None:
    path = tmp_path / "dag.py"
    path.write_text(SERIALIZED)
    seen = []
    for seed in ("0", "1"):  # of different orders of these sets
        done = subprocess.run(
            [sys.executable, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        seen.append(done.stdout.splitlines()[-1])
    assert len(set(seen)) == 1
    assert "open-sesame" not in seen[0]
    assert " object at 0x" not in seen[0]
    definitions = json.loads(seen[0])[1]
    assert all(len(each) == 16 for each in (definitions[0], definitions[1], definitions[4]))


def definition(**changes: Any) -> str:
    fixed = {"source": ObjectSelection(prefix="in/"), "operation": DocProcess(), "output": "out/{stem}.pdf"}
    return CIBatchOperator(task_id="a", **{**fixed, **changes}).definition


@pytest.mark.parametrize(
    "changes",
    [
        {"source": ObjectSelection(prefix="other/")},
        {"source": ["in/a.docx"]},
        {"operation": DocProcess(quality=80)},
        {"operation": DocProcess(password="x")},
        {"operation": PicProcess("r")},
        {"output": "elsewhere/{stem}.pdf"},
        {"skip": "never"},
        {"retry_failed": True},
        {"output_bucket": "other-1250000000"},
    ],
    ids=str,
)
def test_the_definition_changes_with_the_work_in_the_code(changes: dict[str, Any]) -> None:
    assert definition(**changes) != definition()


@pytest.mark.parametrize(
    "changes",
    [
        {"source": ObjectSelection(prefix="in/", modified_after="{{ data_interval_start }}")},
        {"max_in_flight": 5},
        {"poll_interval": 1},
        {"deferrable": True},
        {"queue_id": "p1"},
    ],
    ids=str,
)
def test_the_definition_does_not_change_with_what_is_no_work(changes: dict[str, Any]) -> None:
    assert definition(**changes) == definition()


def test_the_definition_is_of_the_templates_and_not_of_what_they_become() -> None:
    operator = CIBatchOperator(
        task_id="a",
        source=ObjectSelection(prefix="{{ params.x }}/"),
        operation=DocProcess(),
        output="out/{{ params.x }}/{stem}.pdf",
        batch_id="b",
    )
    before = operator.definition
    operator.render_template_fields({"params": {"x": "y"}})
    assert (operator.source.prefix, operator.definition) == ("y/", before)


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (text, 20261126, "20261126"),
        (text, "None at all", "None at all"),
        (flag, "True", True),
        (flag, "false", False),
        (flag, False, False),
        (whole_number(1), "1000", 1000),
        (whole_number(0), 5.0, 5),
        (seconds, 90, 90.0),
        (seconds, "1.5", 1.5),
        (seconds, timedelta(minutes=2), 120.0),
        (seconds, "0:02:00", 120.0),
        (seconds, "1 day, 0:00:01.5", 86401.5),
        (one_of("fresh", "never"), "never", "never"),
        (optional(text), None, None),
        (share_or(whole_number(0)), "5%", "5%"),
        (share_or(whole_number(0)), "5", 5),
        (share_or(flag), "False", False),
    ],
)
def test_types_are_restored(read: Any, value: Any, expected: Any) -> None:
    found = read("X.y", value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (text, None),
        (text, ["a"]),
        (flag, "perhaps"),
        (flag, None),
        (whole_number(1), "0"),
        (whole_number(1), None),
        (whole_number(1), True),
        (whole_number(1), "many"),
        (seconds, "soon"),
        (seconds, -1),
        (seconds, None),
        (seconds, True),
        (seconds, float("nan")),
        (one_of("fresh", "never"), "often"),
        (one_of("fresh", "never"), None),
    ],
)
def test_an_argument_that_makes_no_sense_is_named_with_its_value(read: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"X\.y .*" + str(value).strip("[]")):
        read("X.y", value)


def test_the_old_name_of_the_connection_works_and_warns() -> None:
    fixed: dict[str, Any] = {"source": [], "operation": DocProcess(), "output": "o"}
    with pytest.warns(DeprecationWarning, match="conn_id is now called tencent_ci_conn_id"):
        made = CIBatchOperator(task_id="a", conn_id="mine", **fixed)
    assert made.tencent_ci_conn_id == "mine"
    with pytest.warns(DeprecationWarning):
        assert made.conn_id == "mine"
    with DAG("dag", schedule=None):
        with pytest.warns(DeprecationWarning):
            partial = CIObjectsSensor.partial(task_id="b", conn_id="mine")
        assert partial.kwargs["tencent_ci_conn_id"] == "mine"
        with pytest.warns(DeprecationWarning):
            mapped = partial.expand(source=[ObjectSelection()])
            CIDocProcessOperator.partial(
                task_id="c", input_key="a", output_key="b", operation=DocProcess()
            ).expand(conn_id=["mine", "yours"])
    assert mapped.task_id == "b"


def test_the_connection_of_other_operators_in_default_args_is_not_ours() -> None:
    """SQL operators call theirs conn_id too."""
    with DAG("dag", schedule=None, default_args={"conn_id": "postgres", "region": "ap-beijing"}):
        made = CIBatchOperator(task_id="a", source=[], operation=DocProcess(), output="o")
        wait = CIObjectsSensor(task_id="b", source=ObjectSelection())
    assert {made.tencent_ci_conn_id, wait.tencent_ci_conn_id} == {"tencent_ci_default"}
    assert made.region == wait.region == "ap-beijing"
    with DAG("dag", schedule=None, default_args={"tencent_ci_conn_id": "mine"}):
        made = CIBatchOperator(task_id="a", source=[], operation=DocProcess(), output="o")
        wait = CIObjectsSensor(task_id="b", source=ObjectSelection())
    assert {made.tencent_ci_conn_id, wait.tencent_ci_conn_id} == {"mine"}


def test_mapped_tasks_run_after_the_results_that_their_arguments_hold(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient
) -> None:
    """By name the mapped tasks would go first; without their bound they would take in everything."""
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


def test_a_partial_that_is_never_mapped_still_warns() -> None:
    with DAG("dag", schedule=None):
        partial = CIObjectsSensor.partial(task_id="a")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del partial
    assert [str(each.message) for each in caught] == ["Task 'a' was never mapped!"]


def test_a_result_with_a_map_is_seen_too() -> None:
    assert upstream("CIBatchOperator", "partial", "output", lambda x: XComArg.map(x, str)) == {"before"}
