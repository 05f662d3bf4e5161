"""The options of ``ci-local serve`` that make the server behave like an odd or a broken service."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

OPTIONS = [
    *("--clock-offset", "-300", "--strict-signature", "--require-queue-id", "--hide-jobs", "1"),
    *("--forget-jobs", "2", "--echo", "EndPage:-1=5001", "--echo", "Comments:0=1", "--user-data-limit", "0"),
    *("--empty-pages", "3", "--endless-tokens", "same", "--foreign-jobs"),
    *("--refuse-submissions", "NoSuchQueue", "--fail-jobs", "*.bad=DamagedFile:a=b", "--tls"),
    *("--fault", '{"action": "page", "count": 3}'),
]
TRAITS = {
    "clock_offset_seconds": -300,
    "strict_signature": True,
    "require_queue_id": True,
    "hide_jobs_seconds": 1,
    "forget_jobs_seconds": 2,
    "echoes": {"EndPage:-1": "5001", "Comments:0": "1"},
    "user_data_limit": 0,
    "empty_pages": 3,
    "endless_tokens": "same",
    "foreign_jobs": True,
    "refuse_submissions": "NoSuchQueue",
    "fail_jobs": {"*.bad": "DamagedFile:a=b"},
}


def serve(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "airflow_provider_ci.local", "serve", "--root", str(tmp_path)]
    return subprocess.Popen(
        [*command, "--port", "0", "--convert", "none", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    started = serve(tmp_path, *OPTIONS)
    yield started
    started.kill()
    started.communicate()


def test_every_trait_is_an_option(process: subprocess.Popen[str], tmp_path: Path) -> None:
    assert process.stdout is not None
    ready, certificate = process.stdout.readline(), process.stdout.readline()
    endpoint = ready.split()[-1]
    assert endpoint.startswith("https://127.0.0.1:")
    assert certificate == f"ci-local: certificate {tmp_path / '.ci-local' / 'certificate.pem'}\n"
    trusted = certificate.split()[-1]
    assert requests.get(f"{endpoint}/_local/traits", verify=trusted, timeout=30).json() == {"traits": TRAITS}
    faults = requests.get(f"{endpoint}/_local/faults", verify=trusted, timeout=30).json()["faults"]
    assert [(fault["action"], fault["count"]) for fault in faults] == [("page", 3)]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--echo", "EndPage"], "has no '='"),
        (["--echo", "EndPage=1"], "NAME:SENT"),
        (["--fail-jobs", "=x"], "has no '='"),
        (["--fault", "{"], "is not JSON"),
        (["--fault", "[]"], "is not a JSON object"),
        (["--fault", json.dumps({"action": "explode"})], "action 'explode' must be one of"),
        (["--endless-tokens", "often"], "invalid choice"),
        (["--hide-jobs", "-1"], "is not from 0"),
    ],
)
def test_an_option_that_makes_no_sense_is_explained(tmp_path: Path, options: list[str], message: str) -> None:
    process = serve(tmp_path, *options)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (1, 2)
    assert message in err
    assert "Traceback" not in err
