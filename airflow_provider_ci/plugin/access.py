"""The rights of users, checked here: an application mounted into Airflow inherits no authentication."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from airflow.utils.session import create_session
from fastapi import Depends, HTTPException, Query, Request

from airflow_provider_ci.plugin.recorded import TaskBatch, TaskName, find_task

User = Annotated[Any, Depends(get_user)]
"""The user of the session; without a session the response is 401."""

_ALL_DAGS = "~"
"""What Airflow's API writes for all DAGs; a batch belongs to one DAG."""


def readable_dag_ids(user: User) -> set[str]:
    """The DAGs that the user may read."""
    return get_auth_manager().get_authorized_dag_ids(user=user, method="GET")


def may_read_xcom(request: Request, user: Any, dag_id: str) -> bool:
    """Whether the user may read the XComs of a DAG, from which the details of a batch come."""
    try:
        _require_xcom(request, user, dag_id)
    except HTTPException:
        return False
    return True


def task_name(
    request: Request,
    user: User,
    dag_id: Annotated[str, Query(min_length=1)],
    run_id: Annotated[str, Query(min_length=1)],
    task_id: Annotated[str, Query(min_length=1)],
    map_index: Annotated[int, Query(ge=-1)] = -1,
) -> TaskName:
    """The task that the address names, if the user may read the XComs of its DAG; otherwise 403."""
    _require_xcom(request, user, dag_id)
    return TaskName(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)


def task_batch(name: Annotated[TaskName, Depends(task_name)]) -> TaskBatch:
    """The batch that the named task recorded; 404 if the task recorded none."""
    with create_session() as session:
        found = find_task(session, name)
    if found is None:
        raise HTTPException(
            404, "This task has recorded no batch. It may have been cleared, and not run again yet."
        )
    return found


ReadableDags = Annotated[set[str], Depends(readable_dag_ids)]
Batch = Annotated[TaskBatch, Depends(task_batch)]


def _require_xcom(request: Request, user: Any, dag_id: str) -> None:
    if dag_id == _ALL_DAGS:
        raise HTTPException(404, "A batch belongs to one DAG.")
    requires_access_dag("GET", DagAccessEntity.XCOM, dag_id)(request, user)
