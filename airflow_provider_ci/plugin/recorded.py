"""The batches that tasks have recorded in Airflow's database."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import and_, case, false, func, literal, or_, select, true
from sqlalchemy.orm import Session, aliased

from airflow_provider_ci.batch import BatchSummary
from airflow_provider_ci.batch.preview import BatchPreview
from airflow_provider_ci.tasks.batch_page import PROGRESS_KEY, RECORD_KEY, BatchRecord

try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # before Airflow 3.3
    _STORE: Any = None
else:
    _STORE = TaskStateStoreModel

T = TypeVar("T")
PAGE_ROWS = 25
_STORE_KEY = "progress"
FAILED = ("failed", "upstream_failed")
ENDED = (*FAILED, "success", "skipped", "removed")

GROUPS: Mapping[str, Any] = {
    "live": or_(TaskInstance.state.is_(None), TaskInstance.state.not_in(ENDED)),
    "failed": TaskInstance.state.in_(FAILED),
    "done": and_(TaskInstance.state.in_(ENDED), TaskInstance.state.not_in(FAILED)),
}
"""The groups of the list, in order, each with the condition for its tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskName:
    """The name of a task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @property
    def as_query(self) -> dict[str, object]:
        """The query parameters in the addresses of the task's pages."""
        found: dict[str, object] = {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": self.task_id}
        return found if self.map_index < 0 else {**found, "map_index": self.map_index}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskBatch:
    """A batch and its task, as stored in the database."""

    name: TaskName
    state: str
    """State of the task; ``""`` before it is scheduled."""
    try_number: int
    started_at: datetime | None
    ended_at: datetime | None
    record: BatchRecord
    recorded_at: datetime
    summary: BatchSummary | None
    """The summary that the last try returned, or pushed if it failed."""
    preview: BatchPreview | None
    """The preview that a task with ``plan_only`` returned."""
    progress: Mapping[str, Any] | None
    """The last numbers that the run recorded."""
    progress_at: datetime | None

    @property
    def group(self) -> str:
        """``live``, ``failed`` or ``done``."""
        if self.state not in ENDED:
            return "live"
        return "failed" if self.state in FAILED else "done"


_RESULT = aliased(XComModel, flat=True)
_PROGRESS = aliased(XComModel, flat=True)


def dags_with_batches(session: Session, dag_ids: Collection[str]) -> list[str]:
    """The ids in ``dag_ids`` whose DAGs have batches, sorted."""
    found = select(XComModel.dag_id).where(XComModel.key == RECORD_KEY).distinct()
    return sorted(set(session.scalars(found)) & set(dag_ids))


def count_groups(session: Session, dag_ids: Collection[str]) -> dict[str, int]:
    """The number of the DAGs' batches in each group."""
    group = case(*((condition, literal(name)) for name, condition in GROUPS.items()))
    counted = select(group, func.count()).select_from(XComModel).join(TaskInstance, _same_task(XComModel))
    rows = session.execute(counted.where(_recorded_by(dag_ids)).group_by(group))
    return {**dict.fromkeys(GROUPS, 0), **{str(name): int(number) for name, number in rows}}


def list_batches(session: Session, dag_ids: Collection[str], *, group: str, offset: int) -> list[TaskBatch]:
    """A page of the DAGs' batches: running, then failed, then done; the newest first within each group.

    :param group: list only this group; ``""`` for all.
    """
    order = case(*((condition, literal(place)) for place, condition in enumerate(GROUPS.values())))
    condition = GROUPS.get(group, true())
    rows = _selected().where(_recorded_by(dag_ids), condition)
    rows = rows.order_by(order, XComModel.timestamp.desc()).offset(offset).limit(PAGE_ROWS)
    return [batch for row in session.execute(rows) if (batch := _batch_of(row))]


def find_task(session: Session, name: TaskName) -> TaskBatch | None:
    """The batch of a task; None if the task recorded none."""
    rows = _selected().where(
        XComModel.key == RECORD_KEY,
        XComModel.dag_id == name.dag_id,
        XComModel.run_id == name.run_id,
        XComModel.task_id == name.task_id,
        XComModel.map_index == name.map_index,
    )
    row = session.execute(rows).first()
    return _batch_of(row) if row else None


def _recorded_by(dag_ids: Collection[str]) -> Any:
    if not dag_ids:
        return false()
    return and_(XComModel.key == RECORD_KEY, XComModel.dag_id.in_(sorted(dag_ids)))


def _selected() -> Any:
    """One row for each batch: its record, its task, its result and its progress."""
    columns: Sequence[Any] = (
        *(XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.map_index),
        *(XComModel.value, XComModel.timestamp),
        *(TaskInstance.state, TaskInstance.try_number, TaskInstance.start_date, TaskInstance.end_date),
        *(_RESULT.value, _PROGRESS.value, _PROGRESS.timestamp),
        *((_STORE.value, _STORE.updated_at) if _STORE else ()),
    )
    rows = select(*columns).join(TaskInstance, _same_task(XComModel))
    for other, key in ((_RESULT, "return_value"), (_PROGRESS, PROGRESS_KEY)):
        rows = rows.outerjoin(other, and_(_beside(other), other.key == key))
    if _STORE:
        stored = and_(_beside(_STORE), _STORE.key == _STORE_KEY)
        rows = rows.outerjoin(_STORE, stored)
    return rows


def _same_task(xcom: Any) -> Any:
    names = ("dag_id", "run_id", "task_id", "map_index")
    return and_(*(getattr(TaskInstance, name) == getattr(xcom, name) for name in names))


def _beside(other: Any) -> Any:
    names = ("dag_run_id", "task_id", "map_index")
    return and_(*(getattr(other, name) == getattr(XComModel, name) for name in names))


def _batch_of(row: Any) -> TaskBatch | None:
    (
        dag_id,
        run_id,
        task_id,
        map_index,
        value,
        at,
        state,
        try_number,
        started,
        ended,
        result,
        told,
        told_at,
    ) = row[:13]
    record = BatchRecord.from_json(_plain(value))
    if record is None:
        return None
    stored, stored_at = row[13:] or (None, None)
    progress = _numbers(stored) or _numbers(told)
    progress_at = stored_at if _numbers(stored) else told_at
    if progress_at is not None and started is not None and progress_at < started:
        progress = progress_at = None  # recorded by an earlier try
    return TaskBatch(
        name=TaskName(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index),
        state=str(state or ""),
        try_number=try_number,
        started_at=started,
        ended_at=ended,
        record=record,
        recorded_at=at,
        summary=_read(BatchSummary.from_json, _plain(result)),
        preview=_read(_preview, _plain(result)),
        progress=progress,
        progress_at=progress_at,
    )


def _plain(value: Any) -> Any:
    """The JSON of an XCom or of a stored state.

    Airflow's own decoder is not used: it builds objects of the classes that a value names.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def _read(read: Callable[[Any], T], value: Any) -> T | None:
    """Convert ``value`` with ``read``; None if that fails, because tasks may return anything."""
    try:
        return read(value)
    except (TypeError, ValueError, AttributeError, KeyError):
        return None


def _preview(value: Any) -> BatchPreview:
    names = {item.name for item in fields(BatchPreview)}
    return BatchPreview(**{name: found for name, found in value.items() if name in names})


def _numbers(value: Any) -> dict[str, Any] | None:
    """The progress as a dictionary of numbers; the store may have encoded it as JSON twice."""
    value = _plain(_plain(value))
    if not isinstance(value, Mapping) or not isinstance(value.get("total"), int):
        return None
    return {name: number for name, number in value.items() if isinstance(number, (int, float))}
