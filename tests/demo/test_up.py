"""The web UI starts, answers, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from demo.memory import Memory, free_port

REPO = Path(__file__).parents[2]


def processes_of(home: Path) -> list[str]:
    """The command lines of all processes whose Airflow has this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"AIRFLOW_HOME={home}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """``python -m demo.up`` in a folder of its own, in a process group of its own."""
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
    os.killpg(up.pid, signal.SIGINT)  # as a terminal does it
    rest, _ = up.communicate(timeout=90)
    assert (up.returncode, rest.strip()) == (0, "up: ended")
    assert processes_of(tmp_path) == []
    assert (tmp_path / "buckets" / "examplebucket-1250000000" / "inbox").is_dir()


def test_a_port_that_is_taken_is_not_wanted() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in (0, port)
    assert free_port(port) == port
