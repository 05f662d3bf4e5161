"""Airflow's web UI with the example DAGs, beside the local CI on the demo's samples, until Ctrl-C.

Run it with ``make up``. All files, including the bucket, are in ``demo/airflow-up`` and are kept for the next
start; another folder may be given as an argument. Ports are stored, so that links and bookmarks still work
after a restart.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from demo.environment import BUCKET, DEMO, LocalServer, StartError, airflow_environment, connection
from demo.memory import Memory, free_port

__all__ = ["WebUI", "fill_bucket", "free_port", "main", "session_members"]

_START_SECONDS = 300
_STOP_SECONDS = 10
"""Seconds to wait for Airflow's end; a running task could delay the end for much longer."""
_COMMAND_SECONDS = 300
_LOOK_SECONDS = 2.0


def main(arguments: list[str]) -> int:
    """Serve until SIGINT or SIGTERM; return 0 when all started programs have ended."""
    home = Path(arguments[0] if arguments else DEMO / "airflow-up").resolve()
    home.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    bucket = fill_bucket(home)
    memory = Memory(home / "up.json")
    try:
        with (
            LocalServer(home / "buckets", home / "logs", port=memory.port("local_ci", 9000)) as server,
            WebUI(home, server.endpoint, memory) as airflow,
        ):
            print(
                f"up: the bucket is {bucket} (own files: uploads/); its page is {server.endpoint}",
                flush=True,
            )
            print(
                f"up: Airflow is on {airflow.url}; no login is asked for. Open both pages side by side; "
                "Ctrl-C ends it",
                flush=True,
            )
            airflow.wait()
    except KeyboardInterrupt:
        print("up: ended", flush=True)
        return 0
    except StartError as error:
        print(f"up: {error}", file=sys.stderr)
    return 1


def fill_bucket(home: Path) -> Path:
    """Create the bucket with the samples, and an empty folder for the user's uploads."""
    bucket = home / "buckets" / BUCKET
    for folder in ("inbox", "photos"):
        shutil.copytree(DEMO / "samples" / folder, bucket / folder, dirs_exist_ok=True)
    (bucket / "uploads").mkdir(exist_ok=True)
    return bucket


class WebUI:
    """Airflow with all its parts as ``airflow standalone`` starts them, reachable only from this machine."""

    def __init__(self, home: Path, endpoint: str, memory: Memory) -> None:
        port = memory.port("airflow", 8080)
        self.url = f"http://127.0.0.1:{port}"
        self._home = home
        self._endpoint = endpoint
        self._memory = memory
        self._log = home / "logs" / "airflow.log"
        settings = airflow_environment(
            home,
            "",
            API__BASE_URL=self.url,
            API__HOST="127.0.0.1",
            API__PORT=port,
            API__WORKERS=1,
            API_AUTH__JWT_SECRET=memory.secret("jwt"),
            # A task that starts before the API server responds would be shown as "up for retry".
            CORE__DAGS_ARE_PAUSED_AT_CREATION=True,
            CORE__EXECUTION_API_SERVER_URL=f"{self.url}/execution/",
            CORE__PARALLELISM=4,
            CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True,
            CORE__TEST_CONNECTION="Enabled",
            DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL=10,
            DAG_PROCESSOR__REFRESH_INTERVAL=10,
            DATABASE__LOAD_DEFAULT_CONNECTIONS=False,
            LOGGING__TRIGGER_LOG_SERVER_PORT=free_port(),
            LOGGING__WORKER_LOG_SERVER_PORT=free_port(),
            WORKERS__MIN_HEARTBEAT_INTERVAL=1,
        )
        # Airflow starts its parts by the command `airflow`, which is in the folder of this Python, perhaps
        # not on PATH.
        beside = str(Path(sys.executable).parent)
        self._environment = {**settings, "PATH": os.pathsep.join((beside, settings["PATH"]))}

    def __enter__(self) -> WebUI:
        print("up: starting Airflow (half a minute) ...", flush=True)
        self._store_connection()
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only this program, which ends the others in order
            )
        try:
            self._wait_until_healthy()
            self._start_new_dags()
        except BaseException:
            self._stop()
            raise
        return self

    def _store_connection(self) -> None:
        """Put the connection into Airflow's database if its endpoint is new; a user's changes stay."""
        if self._memory.get("endpoint") == self._endpoint:
            return
        values = self._home / "connection.json"
        values.write_text(json.dumps({"tencent_ci_default": connection(self._endpoint)}))
        self._airflow("db", "migrate")
        self._airflow("connections", "import", str(values), "--overwrite")
        values.unlink()
        self._memory.set("endpoint", self._endpoint)

    def _airflow(self, *arguments: str) -> None:
        with self._log.open("a") as log:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", *arguments],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=_COMMAND_SECONDS,
            )
        if done.returncode != 0:
            raise StartError(f"airflow {' '.join(arguments)} failed; see {self._log}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait(self) -> None:
        """Wait forever; raise if Airflow ends by itself."""
        while self._process.poll() is None:
            time.sleep(_LOOK_SECONDS)
            with suppress(OSError, ValueError):
                self._start_new_dags()
        raise StartError(f"Airflow ended with status {self._process.returncode}; see {self._log}")

    def _start_new_dags(self) -> None:
        """Unpause DAGs that are new; a DAG that the user has paused stays paused."""
        known = set(self._memory.get("dags", []))
        found = {dag["dag_id"] for dag in self._call("GET", "dags?limit=100")["dags"]}
        for dag_id in sorted(found - known):
            self._call("PATCH", f"dags/{dag_id}", {"is_paused": False})
        if found - known:
            self._memory.set("dags", sorted(known | found))

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        with urlopen(f"{self.url}/auth/token", timeout=30) as answer:  # noqa: S310 our own
            token = json.load(answer)["access_token"]
        request = Request(  # noqa: S310 our own
            f"{self.url}/api/v2/{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 our own
            return json.load(answer)

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                last_lines = "\n".join(self._log.read_text(errors="replace").splitlines()[-30:])
                raise StartError(f"Airflow did not start; the end of {self._log}:\n{last_lines}")
            time.sleep(0.5)

    def _is_healthy(self) -> bool:
        try:
            with urlopen(f"{self.url}/api/v2/monitor/health", timeout=10) as answer:  # noqa: S310 our own
                parts = json.load(answer)
        except (URLError, OSError, ValueError):
            return False
        return all(part["status"] == "healthy" for part in parts.values())

    def _stop(self) -> None:
        """End Airflow as Ctrl-C does, then end the processes that are still left."""
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would interrupt this
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        for pid in session_members(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        signal.signal(signal.SIGINT, previous)


def session_members(session: int) -> list[int]:
    """The processes of a session, including tasks, which have a process group but no session of their own.

    The oldest processes come first, so that no remaining process can start another one.
    """
    found = []
    for pid in sorted(int(process.name) for process in Path("/proc").glob("[0-9]*")):
        with suppress(ProcessLookupError):
            if os.getsid(pid) == session:
                found.append(pid)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
