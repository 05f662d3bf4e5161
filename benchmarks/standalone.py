"""A real Airflow on SQLite, with all its parts as ``airflow standalone`` starts them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

START_SECONDS = 120
LOOK_SECONDS = 1.0


class Airflow:
    """Starts DAG runs over the REST API and times them."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._session = requests.Session()
        self._session.trust_env = False

    def seconds_of_run(self, dag_id: str, *, timeout: float) -> float:
        """Run a DAG to its end; return the seconds between the start and the end that Airflow records."""
        run = self._call("POST", f"dags/{dag_id}/dagRuns", logical_date=None, conf={})
        path = f"dags/{dag_id}/dagRuns/{run['dag_run_id']}"
        wait_until(lambda: self._call("GET", path)["end_date"], f"the run of {dag_id} ends", timeout)
        run = self._call("GET", path)
        if run["state"] != "success":
            raise RuntimeError(f"the run of {dag_id} ended as {run['state']}")
        return (_moment(run["end_date"]) - _moment(run["start_date"])).total_seconds()

    def log_in(self) -> bool:
        """Whether the API server responds yet."""
        try:
            answer = self._session.get(f"{self._address}/auth/token", timeout=5)
        except requests.ConnectionError:
            return False
        if answer.ok:
            self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer.ok

    def has_dags(self, number: int) -> bool:
        """Whether Airflow has parsed this many DAGs."""
        return bool(self._call("GET", "dags")["total_entries"] == number)

    def _call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        url = f"{self._address}/api/v2/{path}"
        answer = self._session.request(method, url, json=body or None, timeout=60)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def running(home: Path, dags: str, number: int, **settings: str) -> Iterator[Airflow]:
    """An Airflow with the ``number`` DAGs of a text; ``settings`` are additional environment variables."""
    (home / "dags").mkdir(parents=True)
    (home / "dags" / "dags.py").write_text(dags, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    others = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    with (home / "standalone.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env={**others, **_settings(home, port), **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        airflow = Airflow(f"http://127.0.0.1:{port}")
        wait_until(airflow.log_in, "Airflow answers", START_SECONDS)
        wait_until(lambda: airflow.has_dags(number), "the DAGs are parsed", START_SECONDS)
        yield airflow
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_until(holds: Callable[[], object], what: str, seconds: float) -> None:
    """Poll until the condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(LOOK_SECONDS)


def connection(endpoint: str, secret_id: str, secret_key: str, **extra: str) -> str:
    """The value of ``AIRFLOW_CONN_TENCENT_CI_DEFAULT``."""
    values = {"conn_type": "tencent_ci", "login": secret_id, "password": secret_key}
    return json.dumps({**values, "extra": {**extra, "endpoint": endpoint}})


def _settings(home: Path, port: int) -> dict[str, str]:
    address = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-benchmark-" * 4,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
