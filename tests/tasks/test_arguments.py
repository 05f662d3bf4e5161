"""Every argument of every operator and sensor is templated and typed, and works in mapped tasks, too."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, XComArg, task

from airflow_provider_ci import operators, sensors
from airflow_provider_ci.batch import Inventory, Manifest, ObjectKeys, ObjectSelection, Step
from airflow_provider_ci.client import (
    Callback,
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
"""For each argument: value objects that it may be, each made with the result of another task."""


def own_arguments(kind: Any) -> list[str]:
    """The arguments of a class without those of Airflow's own base classes."""
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
    """The upstream tasks of a task whose argument contains the result of another task."""
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


@pytest.mark.parametrize("name", CLASSES)
def test_a_mapped_task_has_the_defaults_of_a_plain_one(name: str) -> None:
    kind, fixed = CLASSES[name], NEEDED[name]
    with DAG("dag", schedule=None, default_args={"retries": 3, "pool": "small"}):
        plain = kind(task_id="plain", **fixed)
        mapped = kind.partial(task_id="mapped", **fixed).expand(region=["a", "b"])
    for default in ("trigger_rule", "retries", "pool", "weight_rule", "depends_on_past", "execution_timeout"):
        assert getattr(mapped, default) == getattr(plain, default), default


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
        (whole_number(0), "5.0", 5),
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
        (whole_number(1), "1.5"),
        (share_or(whole_number(0)), "0.05"),
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


def test_a_share_that_is_no_percentage_is_told_how_to_write_one() -> None:
    with pytest.raises(ValueError, match=r"a whole number, not '0\.05'; a percentage is a text such as '5%'"):
        share_or(whole_number(0))("X.y", "0.05")


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
    """SQL operators also have an argument ``conn_id``; a default for it must not reach our operators."""
    with DAG("dag", schedule=None, default_args={"conn_id": "postgres", "region": "ap-beijing"}):
        made = CIBatchOperator(task_id="a", source=[], operation=DocProcess(), output="o")
        wait = CIObjectsSensor(task_id="b", source=ObjectSelection())
    assert {made.tencent_ci_conn_id, wait.tencent_ci_conn_id} == {"tencent_ci_default"}
    assert made.region == wait.region == "ap-beijing"
    with DAG("dag", schedule=None, default_args={"tencent_ci_conn_id": "mine"}):
        made = CIBatchOperator(task_id="a", source=[], operation=DocProcess(), output="o")
        wait = CIObjectsSensor(task_id="b", source=ObjectSelection())
    assert {made.tencent_ci_conn_id, wait.tencent_ci_conn_id} == {"mine"}


def test_a_partial_that_is_never_mapped_still_warns() -> None:
    with DAG("dag", schedule=None):
        partial = CIObjectsSensor.partial(task_id="a")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del partial
    assert [str(each.message) for each in caught] == ["Task 'a' was never mapped!"]


def test_a_result_with_a_map_is_seen_too() -> None:
    assert upstream("CIBatchOperator", "partial", "output", lambda x: XComArg.map(x, str)) == {"before"}
