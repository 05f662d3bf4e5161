"""The two programs of the demo: the local CI, and an Airflow of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

from airflow_provider_ci.client import CIClient, Credentials
from airflow_provider_ci.local import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY

DEMO = Path(__file__).resolve().parent
LOGS = DEMO / "logs"
BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"
_START_SECONDS = 60
_PATIENCE_SECONDS = 60
"""How long Airflow's parts wait for each other, and for a lock of SQLite, in seconds."""
_DAG_SECONDS = 600


class StartError(Exception):
    """A program did not start, or ended with an error; the message says where to look."""


class LocalServer:
    """A local CI in a process of its own, on the given port; 0 takes a free port."""

    def __init__(self, root: Path, logs: Path = LOGS, *, port: int = 0) -> None:
        self._root = root
        self._logs = logs
        self._port = port
        self.endpoint = ""

    def __enter__(self) -> LocalServer:
        self._logs.mkdir(parents=True, exist_ok=True)
        serve = [sys.executable, "-m", "airflow_provider_ci.local", "serve"]
        command = [*serve, "--root", str(self._root), "--port", str(self._port)]
        self._log = self._logs / "local-ci.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
        line = self._process.stdout.readline() if readable else ""
        if "http://" not in line:
            self._process.kill()
            self._process.wait()
            raise StartError(f"the local CI did not start: {self._log.read_text().strip()}")
        self.endpoint = line.split()[-1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def client(self) -> CIClient:
        """A client for the demo's bucket."""
        credentials = Credentials(secret_id=DEFAULT_SECRET_ID, secret_key=DEFAULT_SECRET_KEY)
        return CIClient(credentials, REGION, BUCKET, endpoint=self.endpoint)


def airflow_environment(home: Path, endpoint: str, **settings: object) -> dict[str, str]:
    """The environment of an Airflow with this home and the example DAGs.

    Variables of the caller's environment that configure Airflow are removed.

    :param endpoint: address of the local CI for the default connection; if empty, the connection comes from
        Airflow's database.
    :param settings: additional settings, named by section and key, such as ``API__PORT``.
    """
    own = {
        "CORE__DAGS_FOLDER": DEMO.parent / "dags",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout={_PATIENCE_SECONDS}",
        # By default, a task whose first request takes more than five seconds is marked for retry, which
        # happens in the first minute on a busy machine.
        "WORKERS__EXECUTION_API_TIMEOUT": _PATIENCE_SECONDS,
        **settings,
    }
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        **{f"AIRFLOW__{name}": str(value) for name, value in own.items()},
        "AIRFLOW_HOME": str(home),
        **({"AIRFLOW_CONN_TENCENT_CI_DEFAULT": json.dumps(connection(endpoint))} if endpoint else {}),
    }


def connection(endpoint: str) -> dict[str, object]:
    """The default connection, which leads to a local CI."""
    return {
        "conn_type": "tencent_ci",
        "login": DEFAULT_SECRET_ID,
        "password": DEFAULT_SECRET_KEY,
        "extra": {"region": REGION, "bucket": BUCKET, "endpoint": endpoint},
    }


class Airflow:
    """Airflow with its home in ``demo/airflow``, the example DAGs, and a connection to the local CI."""

    def __init__(self, endpoint: str) -> None:
        self._home = DEMO / "airflow"
        self._home.mkdir(exist_ok=True)
        self._environment = airflow_environment(self._home, endpoint)

    def version(self) -> str:
        """The version of Airflow."""
        return version("apache-airflow")

    def migrate(self) -> None:
        """Make Airflow's database, once."""
        done = self._home / "airflow.db.ready"
        if not done.exists():
            print("demo: making Airflow's database ...", flush=True)
            self._run("db-migrate", ["db", "migrate"])
            done.touch()

    def test_dag(self, dag_id: str) -> None:
        """Run a DAG to its end in this Airflow, without a scheduler."""
        self._run(dag_id, ["dags", "test", dag_id])

    def _run(self, name: str, arguments: list[str]) -> None:
        log = LOGS / f"airflow-{name}.log"
        what = f"airflow {' '.join(arguments)}"
        with log.open("w") as output:
            try:
                ended = subprocess.run(
                    [sys.executable, "-m", "airflow", *arguments],
                    env=self._environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=_DAG_SECONDS,
                )
            except subprocess.TimeoutExpired:
                raise StartError(f"{what} took over {_DAG_SECONDS} s; see {log}") from None
        if ended.returncode != 0:
            last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            raise StartError(f"{what} failed; the end of {log}:\n{last_lines}")
