"""What becomes of a job when its task is ended: in a real Airflow with scheduler, workers and triggerer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_ci.client import CIClient, Credentials, DocProcess, Job, JobState
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import DocumentResult, InstantConverters

BUCKET = "examplebucket-1250000000"
PATIENCE_SECONDS = 90

DAG_FILE = """
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator, CIDocProcessOperator

def one(dag_id, **options):
    with DAG(dag_id, schedule=None):
        CIDocProcessOperator(task_id="task", input_key=f"{dag_id}.docx", output_key=f"out/{dag_id}.pdf",
                             operation=DocProcess(target="pdf"), poll_interval=1, **options)
    return dag_id

one("in_place", deferrable=False)
one("deferred", deferrable=True)
one("evicted", deferrable=False, retries=1, retry_delay=timedelta(seconds=1))
with DAG("batch", schedule=None):
    CIBatchOperator(task_id="task", source=ObjectSelection(prefix="in/"), output="out/{stem}.pdf",
                    operation=DocProcess(target="pdf"), poll_interval=1)
"""


class HeldConverters(InstantConverters):
    """Instant conversion, once it is let go: until then one job runs and the others wait."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def document(self, *arguments: Any) -> DocumentResult:
        self.let_go.wait()
        return super().document(*arguments)


@pytest.fixture(scope="module")
def converters() -> Iterator[HeldConverters]:
    held = HeldConverters()
    yield held
    held.let_go.set()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, converters: HeldConverters) -> Iterator[LocalCI]:
    """A local CI whose only place is taken by a job that does not end."""
    root = tmp_path_factory.mktemp("buckets")
    keys = ["first", "in_place", "deferred", "evicted", *(f"in/{number}" for number in range(5))]
    for key in keys:
        path = root / BUCKET / f"{key}.docx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    with LocalCI(root, convert=converters, workers=1) as server:
        yield server
        converters.let_go.set()


@pytest.fixture(scope="module")
def ci(server: LocalCI) -> Iterator[CIClient]:
    keys = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
    with CIClient(keys, "ap-guangzhou", BUCKET, endpoint=server.endpoint) as client:
        client.submit_doc_job("first.docx", "out/first.pdf", DocProcess(target="pdf"))
        yield client


class RealAirflow:
    """Asks Airflow's REST API, and looks into its logs."""

    def __init__(self, address: str, home: Path) -> None:
        self._address = address
        self._home = home
        self._session = requests.Session()
        self._session.trust_env = False

    def log_in(self) -> bool:
        try:
            answer = self._session.get(f"{self._address}/auth/token", timeout=5)
        except requests.ConnectionError:
            return False
        if answer.ok:
            self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer.ok

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = self._session.request(
            method, f"{self._address}/api/v2/{path}", json=body or None, timeout=30
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def start(self, dag_id: str) -> str:
        """Start a run; gives the path of its only task."""
        run = self.call("POST", f"dags/{dag_id}/dagRuns", logical_date=None, conf={})
        return f"dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances/task"

    def mark_failed(self, task: str) -> None:
        self.call("PATCH", task, new_state="failed")

    def has_running_trigger(self, dag_id: str) -> bool:
        """A task whose trigger has not begun yet is ended without a word to the trigger."""
        logs = self._home.glob(f"logs/dag_id={dag_id}/**/*.trigger.*.log")
        return any("starting" in log.read_text() for log in logs)


def wait_until(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, f"still not: {what}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, server: LocalCI) -> Iterator[RealAirflow]:
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    (home / "dags" / "dags.py").write_text(DAG_FILE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-test-" * 5,
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW_CONN_TENCENT_CI_DEFAULT": json.dumps(
            {
                "conn_type": "tencent_ci",
                "login": server.secret_id,
                "password": server.secret_key,
                "extra": {"region": "ap-guangzhou", "bucket": BUCKET, "endpoint": server.endpoint},
            }
        ),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    with (home / "standalone.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env={**others, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        airflow = RealAirflow(address, home)
        wait_until(airflow.log_in, "Airflow answers")
        wait_until(lambda: airflow.call("GET", "dags")["total_entries"] == 4, "the DAGs are parsed")
        yield airflow
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def jobs_of(ci: CIClient, prefix: str) -> list[Job]:
    return [job for job in ci.list_doc_jobs() if job.input_key.startswith(prefix)]


def is_state(airflow: RealAirflow, task: str, state: str) -> Callable[[], bool]:
    return lambda: airflow.call("GET", task)["state"] == state


def is_cancelled(ci: CIClient, prefix: str) -> Callable[[], bool]:
    return lambda: {job.state for job in jobs_of(ci, prefix)} == {JobState.CANCEL}


def test_a_job_that_is_waited_for_in_place_is_cancelled_when_a_user_ends_its_task(
    airflow: RealAirflow, ci: CIClient
) -> None:
    task = airflow.start("in_place")
    wait_until(lambda: jobs_of(ci, "in_place"), "the job is submitted")
    airflow.mark_failed(task)
    wait_until(is_cancelled(ci, "in_place"), "the job is cancelled")


def test_a_job_that_the_triggerer_waits_for_is_cancelled_when_a_user_ends_its_task(
    airflow: RealAirflow, ci: CIClient
) -> None:
    task = airflow.start("deferred")
    wait_until(lambda: airflow.has_running_trigger("deferred"), "the trigger runs")
    airflow.mark_failed(task)
    wait_until(is_cancelled(ci, "deferred"), "the job is cancelled")


def test_the_waiting_jobs_of_a_batch_are_cancelled_when_a_user_ends_its_task(
    airflow: RealAirflow, ci: CIClient
) -> None:
    task = airflow.start("batch")
    wait_until(lambda: len(jobs_of(ci, "in/")) == 5, "the jobs are submitted")
    airflow.mark_failed(task)
    wait_until(is_cancelled(ci, "in/"), "the jobs are cancelled")


def test_a_worker_that_goes_away_cancels_nothing_and_the_retry_takes_the_job_over(
    airflow: RealAirflow, ci: CIClient, converters: HeldConverters
) -> None:
    task = airflow.start("evicted")
    wait_until(lambda: jobs_of(ci, "evicted"), "the job is submitted")
    os.kill(airflow.call("GET", task)["pid"], signal.SIGTERM)
    wait_until(lambda: airflow.call("GET", task)["try_number"] == 2, "the task is tried again")
    wait_until(is_state(airflow, task, "running"), "the second try runs")
    converters.let_go.set()
    wait_until(is_state(airflow, task, "success"), "the second try succeeds")
    (job,) = jobs_of(ci, "evicted")
    assert job.state is JobState.SUCCESS
