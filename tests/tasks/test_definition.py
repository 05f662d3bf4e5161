"""The stored DAG and its definitions of work are equal in each parse, and change only with the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess, PicProcess
from airflow_provider_ci.operators import CIBatchOperator

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
    for seed in ("0", "1"):  # with these seeds, the sets have different orders
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
