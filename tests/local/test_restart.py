"""``ci-local serve`` is killed repeatedly: no job is lost or done twice, and every callback is sent."""

from __future__ import annotations

import http.client
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI

ROUNDS = 4


class Served:
    """A server in a separate process, which a test can kill during requests."""

    def __init__(self, root: Path, convert: str) -> None:
        command = [sys.executable, "-m", "airflow_provider_ci.local", "serve", "--root", str(root)]
        self.process = subprocess.Popen(
            [*command, "--port", "0", "--convert", convert, "--workers", "2", "--queue-concurrency", "2"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.local = LocalCI(root, port=int(self.process.stdout.readline().rpartition(":")[2]))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def served(root: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(convert: str = "instant") -> Served:
        started.append(Served(root, convert))
        return started[-1]

    yield start
    for server in started:
        server.kill()
        assert server.process.stdout is not None
        server.process.stdout.close()


@pytest.fixture
def told() -> Iterator[tuple[str, list[str]]]:
    """The address of a receiver of callbacks, and the ids of the jobs in its callbacks."""
    ids: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            ids.append(said["JobsDetail"][0]["JobId"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", ids
        server.shutdown()


def table(root: Path, columns: str, name: str = "jobs") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(root / ".ci-local" / "state.sqlite")) as database:
        return database.execute(f"SELECT {columns} FROM {name}").fetchall()


def job(call: Any, number: int, url: str) -> str:
    callback = f"<CallBack>{url}</CallBack><CallBackFormat>JSON</CallBackFormat>"
    body: str = call.doc_job("a.docx", f"out/{number}.pdf", more=f"<UserData>{number}</UserData>")
    return body.replace("</Request>", f"{callback}</Request>")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_server_killed_at_any_moment_loses_and_doubles_nothing(
    root: Path,
    served: Callable[..., Served],
    told: tuple[str, list[str]],
    caller: Any,
    until: Callable[..., None],
    seed: int,
) -> None:
    random = Random(seed)
    url, told_ids = told
    (root / "examplebucket-1250000000" / "a.docx").write_bytes(b"x")
    accepted: dict[str, int] = {}
    numbers = iter(range(10_000))
    for _ in range(ROUNDS):
        server = served()
        call = caller(server.local)
        for _ in range(random.randrange(1, 12)):
            number = next(numbers)
            accepted[call.submit(job(call, number, url))] = number
        delay = threading.Timer(random.random() / 50, server.kill)
        delay.start()
        with suppress(OSError, http.client.HTTPException):  # the response is lost; the job may exist
            while True:
                number = next(numbers)
                accepted[call.submit(job(call, number, url))] = number
        delay.join()
    call = caller(served().local)
    until(lambda: {state for (state,) in table(root, "state")} == {"Success"})
    rows = {job_id: json.loads(operation) for job_id, operation in table(root, "job_id, operation")}
    sent = {job_id: int(operation["UserData"]) for job_id, operation in rows.items()}
    assert accepted.items() <= sent.items()
    assert len(sent) - len(accepted) <= ROUNDS
    assert max(Counter(sent.values()).values()) == 1
    written = {path.stem for path in (root / "examplebucket-1250000000" / "out").iterdir()}
    assert written == {str(number) for number in sent.values()}
    until(lambda: table(root, "job_id", "callbacks") == [])
    assert set(told_ids) == set(sent)
    assert list((root / ".ci-local" / "work").iterdir()) == []


def test_held_jobs_and_their_order_outlast_a_kill(
    root: Path, served: Callable[..., Served], caller: Any, until: Callable[..., None]
) -> None:
    (root / "examplebucket-1250000000" / "a.docx").write_bytes(b"x")
    server = served()
    call = caller(server.local)
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")

    def set_state(state: str) -> None:
        body = (
            f"<Request><Name>q</Name><QueueID>{queue_id}</QueueID><State>{state}</State>"
            "<NotifyConfig/></Request>"
        )
        assert call("PUT", "ci", f"/docqueue/{queue_id}", body=body).status == 200

    set_state("Paused")
    held = [call.submit(call.doc_job("a.docx")) for _ in range(5)]
    assert call("PUT", "ci", f"/doc_jobs/{held[0]}", [("cancel", "")]).status == 200
    server.kill()
    call = caller(served().local)
    assert [call.state(job_id) for job_id in held] == ["Cancel", "Pause", "Pause", "Pause", "Pause"]
    set_state("Active")
    until(lambda: [state for (state,) in table(root, "state")] == ["Cancel", *["Success"] * 4])


def test_jobs_that_end_many_at_once_outlast_a_kill(
    root: Path, served: Callable[..., Served], caller: Any, until: Callable[..., None]
) -> None:
    accepted: list[str] = []
    for _ in range(ROUNDS):
        server = served("none")
        call = caller(server.local)
        accepted += [call.submit(call.doc_job("a.docx")) for _ in range(20)]
        server.kill()
        assert {job_id for (job_id,) in table(root, "job_id")} == set(accepted)
    served("none")
    until(lambda: {state for (state,) in table(root, "state")} == {"Success"})
