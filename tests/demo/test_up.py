"""The web UI starts, responds, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from airflow_provider_ci.local import DEFAULT_SECRET_ID
from demo.environment import airflow_environment
from demo.memory import Memory, free_port
from tests.cluster.cluster import wait_until

REPO = Path(__file__).parents[2]
EXAMPLES = list((REPO / "dags").glob("*.py"))


def processes_of(home: Path) -> list[str]:
    """The command lines of all processes whose Airflow has this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"AIRFLOW_HOME={home}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended, or belongs to another user
            continue
    return found


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs ``python -m demo.up`` in its own folder and process group."""
    command = [sys.executable, "-m", "demo.up", str(tmp_path)]
    with subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield process
        if process.poll() is None:
            process.terminate()


def test_the_web_ui_answers_until_ctrl_c_and_leaves_nothing(
    up: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert up.stdout
    said = [up.stdout.readline() for _ in range(3)]
    assert "no login" in said[2], said
    url = said[2].split("Airflow is on ")[1].split(";")[0]
    with urlopen(f"{url}/api/v2/monitor/health") as answer:
        assert json.load(answer)["scheduler"]["status"] == "healthy"
    assert len(processes_of(tmp_path)) >= 4
    page = Request(said[1].split()[-1], headers={"Accept": "text/html"})
    with urlopen(page) as answer:
        assert b"<title>Local CI</title>" in answer.read()
    conn = ask(url, "connections/tencent_ci_default")
    assert (conn["conn_type"], conn["login"]) == ("tencent_ci", DEFAULT_SECRET_ID)
    assert said[1].split()[-1] in conn["extra"], "it leads to the local CI"
    wait_until(lambda: len(dags_of(url)) >= len(EXAMPLES), "all files are read")
    wait_until(lambda: not any(dag["is_paused"] for dag in dags_of(url)), "new DAGs are started")
    assert all(dag["description"] for dag in dags_of(url))
    assert ask(url, "importErrors")["total_entries"] == 0
    tasks = ask(url, "dags/~/dagRuns/~/taskInstances?limit=100")["task_instances"]
    assert not {task["state"] for task in tasks} & {"up_for_retry", "failed"}, "all is green at first sight"
    os.killpg(up.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    rest, _ = up.communicate(timeout=90)
    assert (up.returncode, rest.strip()) == (0, "up: ended")
    assert processes_of(tmp_path) == []
    bucket = tmp_path / "buckets" / "examplebucket-1250000000"
    assert (bucket / "inbox").is_dir()
    assert list((bucket / "uploads").iterdir()) == []
    memory = Memory(tmp_path / "up.json")
    assert memory.port("airflow", 1) == urlsplit(url).port
    assert memory.get("endpoint") == said[1].split()[-1]
    assert (tmp_path / "up.json").stat().st_mode & 0o077 == 0


def test_a_busy_machine_leaves_no_task_up_for_retry(tmp_path: Path) -> None:
    """By default, Airflow gives up a task's request to its API after 5 s, too early on a busy machine."""
    environment = airflow_environment(tmp_path, "")
    assert int(environment["AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT"]) >= 60
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].endswith("?timeout=60")


def dags_of(url: str) -> Any:
    return ask(url, "dags?limit=100")["dags"]


def ask(url: str, path: str) -> Any:
    """Read from Airflow's API with the access that every visitor of the page has."""
    with urlopen(f"{url}/auth/token") as answer:
        token = json.load(answer)["access_token"]
    request = Request(f"{url}/api/v2/{path}", headers={"Authorization": f"Bearer {token}"})
    with urlopen(request) as answer:
        return json.load(answer)


def test_ports_and_secrets_are_remembered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = Memory(tmp_path / "up.json")
    port, secret = first.port("local_ci", 0), first.secret("jwt")
    again = Memory(tmp_path / "up.json")
    assert (again.port("local_ci", 9000), again.secret("jwt")) == (port, secret)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert again.port("local_ci", 9000) != port
    assert f"port {port} is taken" in capsys.readouterr().err


def test_a_port_that_is_taken_is_not_wanted() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in (0, port)
    assert free_port(port) == port
