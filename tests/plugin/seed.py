"""Runs each DAG of a folder once: ``python -m tests.plugin.seed DAGS_FOLDER``.

``python -m tests.plugin.seed --fab NAME=PASSWORD:DAG,DAG ...`` adds users to FAB instead; each user may read
DAGs and their XComs.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from airflow.sdk.execution_time import supervisor

supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)


def run_dags(folder: str) -> None:
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]
    bag = DagBag(folder)
    assert not bag.import_errors, bag.import_errors
    for dag_id in sorted(bag.dags):
        dag: Any = bag.dags[dag_id]
        run = dag.test()
        print(dag_id, run.state, run.run_id)


def make_users(users: list[str]) -> None:
    from airflow.providers.fab.www.app import create_app

    app = create_app(enable_plugins=False)
    with app.app_context():
        security: Any = app.appbuilder.sm
        for user in users:
            name, _, rest = user.partition("=")
            password, _, dags = rest.partition(":")
            rights = [
                ("can_read", resource) for resource in ("DAG Runs", "Task Instances", "XComs", "Website")
            ]
            rights += [("can_read", f"DAG:{dag}") for dag in dags.split(",") if dag]
            security.bulk_sync_roles([{"role": name, "perms": rights}])
            role = security.find_role(name)
            assert security.add_user(name, name, name, f"{name}@example.com", role, password=password)


if __name__ == "__main__":
    if sys.argv[1] == "--fab":
        make_users(sys.argv[2:])
    else:
        run_dags(sys.argv[1])
