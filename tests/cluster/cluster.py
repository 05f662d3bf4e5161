"""A real Airflow with a process for each part, so that each part can be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import entry_points
from pathlib import Path
from random import SystemRandom
from typing import Any
from uuid import uuid4

import requests

PARTS = ("api-server", "dag-processor", "scheduler", "triggerer")
PATIENCE_SECONDS = 200
LOOK_SECONDS = 0.2

_DATABASE_SECONDS = 60
"""Maximum time that a statement waits for SQLite's lock; a response of the API may take as long."""

_SERVING_LOGS = ("scheduler", "triggerer", "worker")
"""Parts that would serve their logs on fixed ports."""


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until ``holds()`` is true; meanwhile the API may be down, or fail while SQLite is locked."""
    end = time.monotonic() + seconds
    while not _tried(holds):
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(LOOK_SECONDS)


def _tried(holds: Callable[[], object]) -> object:
    try:
        return holds()
    except (requests.ConnectionError, requests.Timeout):
        return False
    except requests.HTTPError as error:
        if error.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return False


def free_port() -> int:
    """A free port below the range from which the system assigns ports to other processes."""
    first_of_any = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = SystemRandom().randrange(first_of_any // 2, first_of_any)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def heartbeats(bucket: Path, dag_id: str) -> list[Path]:
    """The heartbeats of the runs of a DAG's batches; a run writes its first heartbeat after 15 s."""
    return list((bucket / "_ci_batches" / dag_id).glob("**/runs/*.json"))


def connection(endpoint: str, secret_id: str, secret_key: str, **extra: str) -> str:
    """The value of ``AIRFLOW_CONN_TENCENT_CI_DEFAULT``."""
    values = {"conn_type": "tencent_ci", "login": secret_id, "password": secret_key}
    return json.dumps({**values, "extra": {**extra, "endpoint": endpoint}})


class Airflow:
    """The processes of one Airflow home, and its REST API.

    :param home: Airflow's home folder; its subfolder ``dags`` holds the DAG files.
    :param settings: environment variables, added to the defaults of :meth:`_settings`.
    :param python: the interpreter of the environment that Airflow is installed in.
    """

    def __init__(self, home: Path, settings: Mapping[str, str], *, python: str = sys.executable) -> None:
        self.home = home
        self._python = python
        self._address = f"http://127.0.0.1:{free_port()}"
        others = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self._environment = {**others, **self._settings(), **settings}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: set[int] = set()
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables of its processes."""
        return self._environment

    # Processes

    def command(self, *arguments: str) -> str:
        """Run an ``airflow`` command to its end and return its output."""
        done = subprocess.run(
            [self._python, "-m", "airflow", *arguments],
            env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{done.stdout}")
        return done.stdout

    def start(self, part: str, *options: str, name: str = "") -> None:
        """Start a part in a session of its own; ``name`` distinguishes two processes of the same part."""
        skip = ["--skip-serve-logs"] if part.split()[-1] in _SERVING_LOGS else []
        with (self.home / f"{name or part}.log").open("ab") as log:
            process = subprocess.Popen(
                [self._python, "-m", "airflow", *part.split(), *skip, *options],
                env=self._environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._processes[name or part] = process
        self._sessions.add(process.pid)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to all processes of a part, as if the part's machine stopped."""
        _send({self._processes[name].pid}, number)
        if number is signal.SIGKILL:
            self._processes[name].wait()

    def session(self, name: str) -> int:
        """The id of the session that all processes of a part belong to."""
        return self._processes[name].pid

    def kill(self, name: str) -> None:
        """Kill only the main process of a part with SIGKILL; the processes that it started live on."""
        self._processes[name].kill()
        self._processes[name].wait()

    def wait_for_answers(self) -> None:
        """Wait until the API responds."""
        wait_until(self._log_in, "Airflow answers")

    def stop(self) -> None:
        """End all processes that were started."""
        for number in (signal.SIGCONT, signal.SIGTERM):
            _send(self._sessions, number)
        end = time.monotonic() + 5
        while any(process.poll() is None for process in self._processes.values()) and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
        _send(self._sessions, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()

    # REST API

    @property
    def url(self) -> str:
        """The address of Airflow's UI."""
        return self._address

    def get(self, url: str) -> requests.Response:
        """Get a page with the login of the API."""
        return self._session.get(url, timeout=_DATABASE_SECONDS + 30)

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Send a request to the API until it succeeds; only for requests that are safe to repeat."""
        answers: list[dict[str, Any]] = []

        def ask() -> bool:
            answers.append(self.call_once(method, path, **body))
            return True

        wait_until(ask, f"{method} {path} is answered")
        return answers[0]

    def call_once(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Send a request to the API once."""
        url = f"{self._address}/api/v2/{path}"
        answer = self._session.request(method, url, json=body or None, timeout=_DATABASE_SECONDS + 30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def run(self, dag_id: str, task_id: str = "task") -> Task:
        """Start a run as soon as the DAG is parsed; return one of its tasks."""
        self.wait_for_dag(dag_id)
        run_id = f"test__{uuid4().hex}"
        wait_until(lambda: self._has_run(dag_id, run_id), f"{dag_id} is started")
        return Task(self, dag_id, run_id, task_id)

    def _has_run(self, dag_id: str, run_id: str) -> bool:
        try:
            self.call_once("POST", f"dags/{dag_id}/dagRuns", dag_run_id=run_id, logical_date=None, conf={})
        except requests.HTTPError as error:
            if error.response.status_code != HTTPStatus.CONFLICT:
                raise
        return True

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until the DAG is parsed."""
        path = f"dags?dag_id_pattern={dag_id}"
        wait_until(lambda: self.call("GET", path)["total_entries"], f"{dag_id} is parsed")

    def _log_in(self) -> bool:
        answer = self._session.get(f"{self._address}/auth/token", timeout=5)
        if answer.ok:
            self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer.ok

    def _settings(self) -> dict[str, str]:
        database = f"sqlite:///{self.home / 'airflow.db'}?timeout={_DATABASE_SECONDS}"
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self._address}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self._address.rpartition(":")[2],
            "AIRFLOW__API__BASE_URL": self._address,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-test-" * 5,
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            # The DAG files never change, and each parsing would import Airflow again.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            # Airflow notices the death of a part within seconds instead of minutes.
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "12",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
            "PATH": f"{Path(self._python).parent}:{os.environ['PATH']}",
        }


def add_plugin(home: Path) -> None:
    """Add the plugin as a file if the installed version of the package has no entry point for it."""
    (home / "plugins").mkdir()
    if not entry_points(group="airflow.plugins", name="ci_batches"):
        module = "from airflow_provider_ci.plugin import CIBatchesPlugin\n\n__all__ = ['CIBatchesPlugin']\n"
        (home / "plugins" / "ci_batches.py").write_text(module)


@dataclass(frozen=True)
class Task:
    """A task of a DAG run, as the API shows it."""

    airflow: Airflow
    dag_id: str
    run_id: str
    task_id: str

    @property
    def state(self) -> str:
        return str(self._look()["state"])

    @property
    def try_number(self) -> int:
        return int(self._look()["try_number"])

    @property
    def pid(self) -> int:
        """Id of the process that runs the operator."""
        return int(self._look()["pid"])

    @property
    def result(self) -> Any:
        """The task's return value."""
        return self.airflow.call("GET", f"{self._path}/xcomEntries/return_value")["value"]

    def mark_failed(self) -> None:
        """Mark the task as failed, as a user would; repeat the request if it fails."""
        wait_until(self._marked_failed, f"{self.dag_id} is marked failed")

    def clear(self) -> None:
        """Clear the task after its run has ended: the scheduler would overwrite an earlier clear."""
        run = f"dags/{self.dag_id}/dagRuns/{self.run_id}"
        ended = ("success", "failed")
        wait_until(lambda: self.airflow.call("GET", run)["state"] in ended, f"the run of {self.dag_id} ends")
        self.airflow.call(
            "POST", f"dags/{self.dag_id}/clearTaskInstances",
            dry_run=False, dag_run_id=self.run_id, task_ids=[self.task_id], only_failed=False,
            reset_dag_runs=True,
        )  # fmt: skip

    def wait_for(self, *states: str) -> None:
        wait_until(lambda: self.state in states, f"{self.dag_id} is {' or '.join(states)}")

    def wait_for_try(self, number: int) -> None:
        wait_until(lambda: self.try_number == number, f"{self.dag_id} is tried a {number}. time")

    def wait_for_trigger(self, number: int = 1) -> None:
        """Wait until ``number`` triggerers have started its trigger; earlier kills do not reach it."""
        wait_until(
            lambda: sum("starting" in log.read_text() for log in self.trigger_logs()) >= number,
            f"the trigger of {self.dag_id} runs",
        )

    def end(self) -> str:
        """Wait for the task to end; return its state."""
        self.wait_for("success", "failed")
        return self.state

    def trigger_says(self, words: str) -> bool:
        """Whether a log of its trigger contains these words."""
        return any(words in log.read_text() for log in self.trigger_logs())

    def trigger_logs(self) -> list[Path]:
        """The logs of its triggers; an empty list if the task was never deferred."""
        run = f"logs/dag_id={self.dag_id}/run_id={self.run_id}/task_id={self.task_id}"
        return sorted(self.airflow.home.glob(f"{run}/*.trigger.*.log"))

    def _marked_failed(self) -> object:
        return self.state == "failed" or self.airflow.call_once("PATCH", self._path, new_state="failed")

    def _look(self) -> dict[str, Any]:
        return self.airflow.call("GET", self._path)

    @property
    def _path(self) -> str:
        return f"dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{self.task_id}"


def parent(pid: int) -> int:
    """Id of the parent process; for a task's process, that is the worker that supervises it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


def _send(sessions: set[int], number: signal.Signals) -> None:
    """Send a signal to all processes of these sessions, whatever their process groups."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getsid(int(folder.name)) in sessions:
                os.kill(int(folder.name), number)
