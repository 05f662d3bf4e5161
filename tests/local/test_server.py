"""The server as a whole: it starts, reports errors, survives being killed, and can be started many times."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_ci.local
from airflow_provider_ci.local import DEFAULT_SECRET_ID, LocalCI, LocalCIError
from airflow_provider_ci.local.convert import ConvertersClosedError, InstantConverters

BLOCKED = """
import sys, time
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import InstantConverters

class Stuck(InstantConverters):
    def document(self, *arguments):
        time.sleep(3600)

with LocalCI(sys.argv[1], convert=Stuck(), workers=2) as server:
    print(server.endpoint, flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def run() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python programs, and kills them all after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def serve_command(root: Path, *options: str) -> list[str]:
    module = ["-m", "airflow_provider_ci.local", "serve"]
    return [*module, "--root", str(root), "--port", "0", "--convert", "instant", *options]


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def client_of(line: str, root: Path, caller: Any) -> Any:
    """A caller of the server that printed this ready line (or has this address)."""
    return caller(LocalCI(root, port=int(line.rpartition(":")[2])))


def test_the_ready_line_comes_when_requests_are_answered(root: Path, run: Any, caller: Any) -> None:
    process = run(*serve_command(root))
    line = first_line(process)
    assert line.startswith(f"ci-local: serving {root} on http://127.0.0.1:")
    assert client_of(line, root, caller)("GET", "ci", "/docqueue").status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly(root: Path, run: Any, number: signal.Signals) -> None:
    process = run(*serve_command(root))
    first_line(process)
    process.send_signal(number)
    assert process.wait(30) == 0
    assert process.stderr is not None and process.stderr.read() == ""


def test_all_options_of_the_command_reach_the_server(root: Path, run: Any, caller: Any) -> None:
    options = "--secret-id ID --secret-key KEY --token tok --workers 1 --latency 1 --deadline 5"
    limits = "--queue-size 7 --queue-concurrency 3"
    synthetic = "--synthetic examplebucket-1250000000=2 --synthetic other-1250000000=1"
    traits = "--listing-delay 3600 --versioned examplebucket-1250000000 --versioned other-1250000000"
    every = f"{options} {limits} {synthetic} {traits}"
    process = run(*serve_command(root, *every.split()))
    port = int(first_line(process).rpartition(":")[2])
    server = LocalCI(root, port=port, secret_id="ID", secret_key="KEY")
    call = caller(server, signed_headers={"x-ci-security-token": "tok"})
    queue = call("GET", "ci", "/docqueue")
    assert (queue.text("QueueList/MaxSize"), queue.text("QueueList/MaxConcurrent")) == ("7", "3")
    puts = [call.put("a.txt", **{"x-cos-forbid-overwrite": "true"}).status for _ in range(2)]
    assert puts == [200, 200]
    assert len(call("GET", "cos", "/").texts("Contents")) == 2


def test_a_root_that_does_not_exist_is_made(tmp_path: Path, caller: Any) -> None:
    with LocalCI(tmp_path / "new" / "root", convert="instant") as server:
        server.bucket_path("examplebucket-1250000000").mkdir()
        assert caller(server).put("a").status == 200


def test_a_server_is_started_and_stopped_many_times(root: Path, caller: Any) -> None:
    before = threading.active_count()
    server = LocalCI(root, convert="instant")
    for number in range(10):
        server.start()
        call = caller(server)
        call.put("a.docx")
        assert call.finished(call.submit(call.doc_job("a.docx"))).text("JobsDetail/State") == "Success"
        assert len(call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]).texts("JobsDetail")) == number + 1
        server.stop()
        server.stop()
    assert threading.active_count() == before


def test_starting_twice_is_refused(server: LocalCI) -> None:
    with pytest.raises(LocalCIError, match="runs already"):
        server.start()


def test_two_servers_cannot_share_a_root(root: Path, server: LocalCI, run: Any) -> None:
    with pytest.raises(LocalCIError, match="another local CI serves"):
        LocalCI(root, convert="instant").start()
    process = run(*serve_command(root))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == f"ci-local: another local CI serves {root} already; stop it or give another --root\n"


def test_a_port_in_use_is_said_so(tmp_path: Path, run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = run(*serve_command(tmp_path, "--port", str(port)))
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == f"ci-local: port {port} on 127.0.0.1 is in use; give another --port, or 0 for a free one\n"


def test_a_root_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalCIError, match="cannot write to"):
        LocalCI(tmp_path / "file", convert="instant").start()


@pytest.mark.parametrize(
    "options",
    [
        ["serve"],
        ["serve", "--root", "x", "--port", "70000"],
        ["serve", "--root", "x", "--convert", "maybe"],
        ["serve", "--root", "x", "--synthetic", "examplebucket-1250000000"],
        ["serve", "--root", "x", "--synthetic", "examplebucket-1250000000=10000000"],
        ["serve", "--root", "x", "--synthetic", "../b=1"],
        ["serve", "--root", "x", "--listing-delay", "-1"],
        ["serve", "--root", "x", "--versioned", "../b"],
        ["serve", "--root", "x", "--secret-key", ""],
        ["serve", "--root", "x", "--secret-id", "id "],
        [],
        ["sing"],
    ],
)
def test_wrong_usage_is_explained(run: Any, options: list[str]) -> None:
    process = run("-m", "airflow_provider_ci.local", *options)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "usage: ci-local" in err


def test_real_conversion_without_libreoffice_ends_with_the_command_that_installs_it(
    root: Path, tmp_path: Path, run: Any
) -> None:
    process = run(*serve_command(root, "--convert", "real", "--office", str(tmp_path)))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == (
        f"ci-local: LibreOffice is not installed: no soffice.bin in {tmp_path}; "
        "run ci-local install-office, or serve with --convert instant\n"
    )


def test_a_damaged_table_of_jobs_is_said_so(root: Path, server: LocalCI) -> None:
    server.stop()
    (root / ".ci-local" / "state.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(LocalCIError, match=r"state\.sqlite: file is not a database; make room or move"):
        LocalCI(root, convert="instant").start()


def test_nobody_else_may_read_the_state_of_the_server(root: Path, server: LocalCI) -> None:
    assert (root / ".ci-local").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "module", ["airflow_provider_ci.local", "airflow_provider_ci.local.convert.workers.page_worker"]
)
def test_converter_processes_load_no_http_server(module: str) -> None:
    code = f"import sys, {module}; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_name_that_the_package_does_not_have_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'LocalCi'"):
        airflow_provider_ci.local.LocalCi  # noqa: B018


def test_the_secret_is_not_in_the_repr(root: Path) -> None:
    assert "topsecret" not in repr(LocalCI(root, secret_key="topsecret", token="topsecret"))
    assert DEFAULT_SECRET_ID.startswith("AKID")


def test_jobs_that_ran_or_waited_when_the_server_was_killed_are_finished_exactly_once(
    root: Path, run: Any, caller: Any, until: Callable[..., None]
) -> None:
    process = run("-c", textwrap.dedent(BLOCKED), root)
    call = client_of(first_line(process), root, caller)
    call.put("a.docx")
    ids = [call.submit(call.doc_job("a.docx", f"out/{number}.pdf")) for number in range(10)]
    until(lambda: [call.state(job_id) for job_id in ids] == ["Running"] * 2 + ["Submitted"] * 8)
    process.kill()
    process.wait()
    call = client_of(first_line(run(*serve_command(root))), root, caller)
    for job_id in ids:
        assert call.finished(job_id).text("JobsDetail/State") == "Success"
    assert len(call("GET", "cos", "/", [("prefix", "out/")]).texts("Contents/Key")) == 10
    with sqlite3.connect(root / ".ci-local" / "state.sqlite") as database:
        rows = database.execute("SELECT job_id, state FROM jobs ORDER BY seq").fetchall()
    assert rows == [(job_id, "Success") for job_id in ids]
    assert list((root / ".ci-local" / "work").iterdir()) == []


def test_a_job_that_does_not_end_in_time_when_the_server_stops_runs_again(
    serve: Callable[..., LocalCI], caller: Any, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.local.server.GRACE_SECONDS", 0.01)
    closed = threading.Event()

    class Endless(InstantConverters):
        def document(self, *arguments: object) -> Any:
            closed.wait(60)
            raise ConvertersClosedError("closed")

        def close(self) -> None:
            closed.set()

    server = serve(convert=Endless())
    call = caller(server)
    call.put("a.docx")
    job_id = call.submit(call.doc_job("a.docx"))
    until(lambda: call.state(job_id) == "Running")
    server.stop()
    assert caller(serve()).finished(job_id).text("JobsDetail/State") == "Success"


FILLING = """
import logging, resource, sys
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import InstantConverters
from threading import Event

class Gated(InstantConverters):
    opened = Event()
    def document(self, *arguments):
        self.opened.wait()
        return super().document(*arguments)

_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
logging.basicConfig()
with LocalCI(sys.argv[1], convert=Gated(), workers=1) as server:
    print(server.endpoint, flush=True)
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    Gated.opened.set()
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    sys.stdin.readline()
"""


def test_jobs_outlast_a_time_without_room_for_files(
    root: Path, run: Any, caller: Any, until: Callable[..., None]
) -> None:
    process = run("-c", FILLING, root)
    call = client_of(first_line(process), root, caller)
    call.put("a.docx")
    running, waiting = call.submit(call.doc_job("a.docx")), call.submit(call.doc_job("a.docx", "b.pdf"))
    until(lambda: call.state(running) == "Running")
    process.stdin.write("no room\n")
    process.stdin.flush()
    while "that cannot be noted; trying again" not in process.stderr.readline():
        assert process.poll() is None
    refused = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"))
    assert (refused.status, refused.code) == (500, "InternalError")
    assert str(root) not in refused.text("Message")
    assert call.put("b.docx").status == 500
    assert [call.state(job_id) for job_id in (running, waiting)] == ["Running", "Submitted"]
    process.stdin.write("room\n")
    process.stdin.flush()
    assert call.finished(running).text("JobsDetail/Code") == "OutputTooLarge"
    assert call.finished(waiting).text("JobsDetail/State") == "Success"


def test_clients_that_neither_send_nor_read_hold_nobody_up(
    serve: Callable[..., LocalCI], caller: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.local.server.GRACE_SECONDS", 0.1)
    server = serve()
    call = caller(server)
    call.put("big", bytes(20_000_000))
    port = int(server.endpoint.rpartition(":")[2])
    starts: list[tuple[str, str, dict[str, str]]] = [
        ("GET", "/big", {}),
        ("PUT", "/slow", {"Content-Length": "9"}),
    ]
    with ExitStack() as sockets:
        idle = sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
        idle.sendall(b"GET /big HTTP/1.1\r\nHost:")
        for method, path, more in starts:
            connection = sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
            headers = {"Host": call.host("cos"), **more}
            headers["Authorization"] = call.sign(method, path, [], headers)
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            connection.sendall("\r\n".join([*lines, "", "x"]).encode())
        assert call("GET", "ci", "/docqueue").status == 200
        server.stop()
    assert list((root / ".ci-local" / "tmp").iterdir()) == []
    assert caller(serve()).get("slow").code == "NoSuchKey"


def test_files_of_the_server_are_not_objects(call: Any, root: Path) -> None:
    assert call("GET", "cos", "/").texts("Contents/Key") == []
    assert sorted(path.name for path in root.iterdir()) == [".ci-local", "examplebucket-1250000000"]


def test_garbage_on_the_line_is_answered_with_400_and_harms_nothing(call: Any) -> None:
    address = call.server.endpoint.rpartition("/")[2].split(":")
    for garbage in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff.cos.test\r\n\r\n",
    ):
        with socket.create_connection(address) as connection:
            connection.sendall(garbage)
            assert b" 400 " in connection.recv(100)
    assert call("GET", "ci", "/docqueue").status == 200
