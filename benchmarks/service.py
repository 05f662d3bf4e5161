"""The two clients, and the local CI in a process of its own, so that its CPU time is not measured."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from qcloud_cos import CosConfig, CosS3Client

from airflow_provider_ci.client import CIClient, Credentials
from airflow_provider_ci.local import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY, LocalCI
from airflow_provider_ci.local.convert import DocumentResult, InstantConverters

REGION = "ap-guangzhou"
BUCKET = "examplebucket-1250000000"
SERVE = ("-m", "airflow_provider_ci.local", "serve", "--port", "0", "--root")
SERVE_SLOWLY = ("-m", "benchmarks.service")
WORKERS = 10
"""Number of jobs that a queue of the service runs at the same time."""


@contextmanager
def serving(root: Path, *options: str, slowly: bool = False) -> Iterator[str]:
    """The endpoint of a local CI with the options of ``ci-local serve``, or of this file if ``slowly``."""
    (root / BUCKET).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *(SERVE_SLOWLY if slowly else SERVE), str(root), *options]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            ready = process.stdout.readline().split()
            if not ready:
                log.seek(0)
                raise RuntimeError(f"the local CI did not start: {log.read()}")
            yield ready[-1]
        finally:
            process.terminate()
            process.wait()


def our_client(endpoint: str) -> CIClient:
    """Our client as a user sets it up."""
    keys = Credentials(secret_id=DEFAULT_SECRET_ID, secret_key=DEFAULT_SECRET_KEY)
    return CIClient(keys, REGION, BUCKET, endpoint=endpoint)


def sdk_client(endpoint: str) -> Any:
    """The official SDK with its defaults, the server's address, and as little logging as ours."""
    logging.getLogger("qcloud_cos").setLevel(logging.CRITICAL)
    address = urlsplit(endpoint)
    config = CosConfig(
        Region=REGION,
        SecretId=DEFAULT_SECRET_ID,
        SecretKey=DEFAULT_SECRET_KEY,
        Scheme="http",
        IP=address.hostname,
        Port=address.port,
        Domain=f"{BUCKET}.ci.{REGION}.myqcloud.com",
    )
    return CosS3Client(config)


def pause(client: CIClient) -> str:
    """Pause the bucket's queue, so that the server only accepts jobs; return the queue's id."""
    (queue,) = client.list_doc_queues()
    client.pause_doc_queue(queue.queue_id)
    return queue.queue_id


class SlowConverters(InstantConverters):
    """Instant conversion after a wait in seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def document(self, *arguments: Any) -> DocumentResult:
        """Wait, then return a blank file."""
        time.sleep(self._seconds)
        return super().document(*arguments)


def main() -> None:
    """Serve jobs that take their time, until the process is ended."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--seconds", type=float, default=0.0, help="that each job takes")
    parser.add_argument("--objects", type=int, default=0, help="that the bucket lists")
    given = parser.parse_args()
    converters = SlowConverters(given.seconds)
    with LocalCI(
        given.root, convert=converters, workers=WORKERS, synthetic={BUCKET: given.objects}
    ) as server:
        print(server.endpoint, flush=True)
        Event().wait()


if __name__ == "__main__":
    main()
