"""A deferred task continues in its first bucket even if its templates render differently by then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.triggers import CIBatchTrigger, CIJobTrigger, CIObjectsTrigger

RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Resume = Callable[[], object]

WHERE = 'bucket="{{ var.value.ci_bucket }}", output_bucket="{{ var.value.ci_bucket }}", deferrable=True'
TASKS = {
    "batch": """CIBatchOperator(task_id="task", source=ObjectSelection(prefix="in/"), poll_interval=0.1,
        operation=DocProcess(), output="{{ var.value.ci_bucket }}/{stem}.pdf", %s)""",
    "job": """CIDocProcessOperator(task_id="task", input_key="in/a.docx", poll_interval=0.1,
        operation=DocProcess(), output_key="{{ var.value.ci_bucket }}/a.pdf", %s)""",
}


@pytest.fixture(autouse=True)
def _deferred_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ci.operators.batch._INLINE_SECONDS", 0.0)
    monkeypatch.setattr("airflow_provider_ci.operators.jobs._INLINE_SECONDS", 0.0)
    monkeypatch.setattr("airflow_provider_ci.sensors.objects.FIRST_LOOK_SECONDS", 0.0)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch, bucket: Path) -> Callable[..., None]:
    """Calls a function when the trigger starts, and sets the variable to another bucket from then on."""
    monkeypatch.setenv("AIRFLOW_VAR_CI_BUCKET", bucket.name)
    (bucket.parent / "other-1250000000").mkdir()

    def change(trigger: type, do: Callable[[], object]) -> None:
        run = trigger.run  # type: ignore[attr-defined]

        def changed(self: Any) -> Any:
            monkeypatch.setenv("AIRFLOW_VAR_CI_BUCKET", "other-1250000000")
            do()
            return run(self)

        monkeypatch.setattr(trigger, "run", changed)

    return change


@pytest.mark.parametrize(("name", "trigger"), [("batch", CIBatchTrigger), ("job", CIJobTrigger)])
def test_a_deferred_task_goes_on_in_its_bucket(
    run_tasks: RunTasks,
    paused: Resume,
    meanwhile: Callable[..., None],
    bucket: Path,
    name: str,
    trigger: type,
) -> None:
    meanwhile(trigger, paused)
    assert run_tasks(TASKS[name] % WHERE).state == "success"
    assert [path.name for path in (bucket / bucket.name).iterdir()] == ["a.pdf"]
    assert list((bucket.parent / "other-1250000000").iterdir()) == []


def test_a_deferred_sensor_goes_on_in_its_bucket(
    run_tasks: RunTasks, fill_bucket: Fill, meanwhile: Callable[..., None]
) -> None:
    meanwhile(CIObjectsTrigger, lambda: fill_bucket("in/a.docx"))
    result = run_tasks("""
    from airflow_provider_ci.sensors import CIObjectsSensor
    CIObjectsSensor(task_id="task", source=ObjectSelection(prefix="in/"), poke_interval=0.2, timeout=20,
        bucket="{{ var.value.ci_bucket }}", deferrable=True)""")
    assert result.state == "success"
    assert result.results["task"]["objects"] == 1
