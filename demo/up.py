"""Airflow's web UI with the example DAGs, beside the local CI on the demo's samples, until Ctrl-C.

Run it with ``make up``. Everything that it writes, the bucket included, is in ``demo/airflow-up`` and is
still there the next time; another folder may be given as an argument.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.error import URLError
from urllib.request import urlopen

from demo.environment import BUCKET, DEMO, LocalServer, StartError, airflow_environment

_PORT = 8080
"""Airflow's own; another one if it is taken."""
_START_SECONDS = 300
_STOP_SECONDS = 10
"""A task that runs keeps Airflow from ending, and may take much longer."""


def main(arguments: list[str]) -> int:
    """Serve until SIGINT or SIGTERM; 0 when all that was started has ended."""
    home = Path(arguments[0] if arguments else DEMO / "airflow-up").resolve()
    home.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    bucket = home / "buckets" / BUCKET
    for folder in ("inbox", "photos"):
        shutil.copytree(DEMO / "samples" / folder, bucket / folder, dirs_exist_ok=True)
    try:
        with LocalServer(home / "buckets", home / "logs") as server, WebUI(home, server.endpoint) as airflow:
            print(f"up: the bucket is {bucket}, the local CI {server.endpoint}", flush=True)
            print(f"up: Airflow is on {airflow.url}; no login is asked for; Ctrl-C ends it", flush=True)
            airflow.wait()
    except KeyboardInterrupt:
        print("up: ended", flush=True)
        return 0
    except StartError as error:
        print(f"up: {error}", file=sys.stderr)
    return 1


class WebUI:
    """Airflow with all its parts, as ``airflow standalone`` starts them, for this machine alone."""

    def __init__(self, home: Path, endpoint: str) -> None:
        port = free_port(_PORT)
        self.url = f"http://127.0.0.1:{port}"
        self._log = home / "logs" / "airflow.log"
        settings = airflow_environment(
            home,
            endpoint,
            API__BASE_URL=self.url,
            API__HOST="127.0.0.1",
            API__PORT=port,
            API__WORKERS=1,
            API_AUTH__JWT_SECRET=secrets.token_hex(32),
            CORE__DAGS_ARE_PAUSED_AT_CREATION=False,
            CORE__EXECUTION_API_SERVER_URL=f"{self.url}/execution/",
            CORE__PARALLELISM=4,
            CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True,
            CORE__TEST_CONNECTION="Enabled",
            DATABASE__LOAD_DEFAULT_CONNECTIONS=False,
            LOGGING__TRIGGER_LOG_SERVER_PORT=free_port(),
            LOGGING__WORKER_LOG_SERVER_PORT=free_port(),
            WORKERS__MIN_HEARTBEAT_INTERVAL=1,
        )
        # It starts its parts as `airflow`, which is beside this Python whether or not that is on the path.
        beside = str(Path(sys.executable).parent)
        self._environment = {**settings, "PATH": os.pathsep.join((beside, settings["PATH"]))}

    def __enter__(self) -> WebUI:
        print("up: starting Airflow (half a minute) ...", flush=True)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this program alone, which ends them in order
            )
        try:
            self._wait_until_healthy()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait(self) -> None:
        """Return never; raise when Airflow has ended by itself."""
        status = self._process.wait()
        raise StartError(f"Airflow ended with status {status}; see {self._log}")

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
        """End Airflow as Ctrl-C does, and whatever of it is left after that."""
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave half of it
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        for pid in session_members(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        signal.signal(signal.SIGINT, previous)


def session_members(session: int) -> list[int]:
    """The processes that a session still has: tasks have a process group of their own, but no session.

    The oldest come first, so that nobody is left who could start another one.
    """
    found = []
    for pid in sorted(int(process.name) for process in Path("/proc").glob("[0-9]*")):
        with suppress(ProcessLookupError):
            if os.getsid(pid) == session:
                found.append(pid)
    return found


def free_port(wanted: int = 0) -> int:
    """The wanted port of this machine if it is free, else another one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StartError("no port is free on 127.0.0.1")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
