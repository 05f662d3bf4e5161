"""The command ci-check: keys, cost, output, exit codes, signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.check import MAX_REQUESTS
from airflow_provider_ci.check.assumptions import ASSUMPTIONS
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.commands.check import main
from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
COMMAND = (sys.executable, "-m", "airflow_provider_ci.commands.check")


def arguments(server: LocalCI, *more: str) -> list[str]:
    place = ["--bucket", BUCKET, "--region", "ap-guangzhou", "--endpoint", server.endpoint]
    return [*place, *more]


def keys(server: LocalCI) -> dict[str, str]:
    return {"TENCENTCLOUD_SECRET_ID": server.secret_id, "TENCENTCLOUD_SECRET_KEY": server.secret_key}


@pytest.fixture
def run(
    serve: Callable[..., LocalCI], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process against a local CI with traits; returns exit code, output, errors."""

    def command(*more: str, traits: dict[str, Any] | None = None, **variables: str) -> tuple[int, str, str]:
        server = serve(**(traits or {}))
        for name, value in {**keys(server), **variables}.items():
            monkeypatch.setenv(name, value)
        code = main(arguments(server, *more))
        server.stop()
        output = capsys.readouterr()
        return code, output.out, output.err

    return command


def test_everything_fits(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("--yes")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == len(ASSUMPTIONS) + 2
    assert all(line.startswith("fits  ") for line in lines[:-2])
    assert re.fullmatch(
        rf"{BUCKET} in ap-guangzhou: \d+ fit, 0 differ, 0 not seen; 2 jobs, \d+ requests, \d+ s", lines[-1]
    )
    assert f"2 jobs, at most {MAX_REQUESTS} requests" in err


def test_differences_are_listed_with_advice(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("--yes", traits={"strict_signature": True, "user_data_limit": 0, "empty_pages": 1})
    assert code == 1
    differing = re.findall(r"^differs +(.+?)  +.+\n +assumed: [^:]+\n +do: .+", out, re.MULTILINE)
    assert differing == [
        "document job: UserData",
        "picture job: UserData",
        "document listing: pages",
        "picture listing: pages",
        "strict signature",
    ]


def test_json_holds_the_rows(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    code, out, _ = run("--yes", "--json", "--skip", "pictures", "--record", str(record))
    report = json.loads(out)
    assert (code, report["exit_code"], report["bucket"], report["jobs"]) == (0, 0, BUCKET, 1)
    assert {row["verdict"] for row in report["rows"]} == {"fits"}
    assert len(json.loads(record.read_text())["exchanges"]) == report["requests"]


def test_nothing_is_sent_without_consent(
    serve: Callable[..., LocalCI], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    for name, value in keys(server).items():
        monkeypatch.setenv(name, value)
    assert main(arguments(server)) == 2
    assert "add --yes to go on" in capsys.readouterr().err
    assert server.request_counts() == {}


def test_a_wrong_key_is_one_message(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("--yes", TENCENTCLOUD_SECRET_KEY="wrong")
    assert code == 2
    assert out.splitlines()[-1].endswith("0 fit, 0 differ, 0 not seen; 0 jobs, 1 requests, 0 s")
    (message,) = [line for line in err.splitlines() if "cannot be read" in line]
    assert "SignatureDoesNotMatch" in message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no bucket and no region: give --bucket or CI_BUCKET and --region or CI_REGION, or --conn-id"),
        (["--bucket", BUCKET], "no region: give --region or CI_REGION, or --conn-id"),
        (["--bucket", "x", "--region", "ap-guangzhou"], "bucket must be <name>-<APPID>"),
        (["--bucket", BUCKET, "--region", "r", "--verify", "/no/such/file"], "no certificate bundle"),
    ],
)
def test_wrong_usage_is_one_line(
    given: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", "a")
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", "b")
    for name in ("CI_BUCKET", "CI_REGION", "TENCENTCLOUD_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ci-check: ")
    assert message in line


def test_keys_are_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("TENCENTCLOUD_SECRET_ID", raising=False)
    assert main(["--bucket", BUCKET, "--region", "ap-guangzhou"]) == 2
    assert "TENCENTCLOUD_SECRET_ID" in capsys.readouterr().err


# Airflow


def test_an_airflow_connection_gives_key_and_bucket(
    local_ci: LocalCI, connection: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--conn-id", "tencent_ci_default", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exit_code"] == 0


# In a separate process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_removes_everything(
    serve: Callable[..., LocalCI],
    connect: Callable[..., CIClient],
    own_buckets: Path,
    number: signal.Signals,
) -> None:
    server = serve()
    client = connect(server)
    client.pause_doc_queue(client.list_doc_queues()[0].queue_id)  # so the check waits for its job
    process = subprocess.Popen(
        [*COMMAND, *arguments(server, "--yes")],
        env={**os.environ, **keys(server)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(client.list_doc_jobs()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "ci-check: interrupted; the objects of the check were removed"
    assert out == ""
    assert [path for path in (own_buckets / BUCKET).rglob("*") if path.is_file()] == []
    assert [str(job.state) for job in client.list_doc_jobs()] == ["Cancel"]


def test_a_terminal_gets_a_table(serve: Callable[..., LocalCI]) -> None:
    server = serve(strict_signature=True)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments(server, "--yes")],
        env={**os.environ, **keys(server), "TERM": "xterm-256color", "COLUMNS": "120", "NO_COLOR": ""},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 65536):
            text += part
    except OSError:
        pass  # Linux reports the end of a terminal by this error
    assert process.wait() == 1
    os.close(ours)
    shown = re.sub(r"\x1b\[[\d;]*m", "", text.decode())
    assert f"Bucket {BUCKET} in ap-guangzhou" in shown
    assert "│ differs" in shown
    assert shown.count("│ fits") == len(ASSUMPTIONS) - 1
