"""An Airflow with a CeleryExecutor on PostgreSQL and Redis, and a local CI beside it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_ci.client import CIClient, Credentials, Job
from airflow_provider_ci.local import LocalCI
from e2e import services
from tests.cluster.cluster import PARTS, Airflow, connection, free_port
from tests.cluster.gate import Gate

BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"
GRACE_SECONDS = 10.0
"""Seconds between the two signals of an eviction."""
SLOTS = "8"
"""Number of tasks that a worker runs at the same time."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The running parts of the cluster."""

    airflow: Airflow
    ci: CIClient
    gate: Gate
    server: LocalCI
    bucket: Path

    def put(self, folder: str, number: int) -> None:
        """Put this many documents into a folder."""
        (self.bucket / folder).mkdir()
        for index in range(number):
            (self.bucket / folder / f"{index:04}.docx").write_text("text")

    def jobs_of(self, folder: str) -> list[Job]:
        """All jobs of the objects in a folder, according to the service's own table."""
        return [job for job in self.ci.list_doc_jobs() if job.input_key.startswith(f"{folder}/")]

    def states_of(self, folder: str) -> Counter[str]:
        """Number of these jobs in each state."""
        return Counter(str(job.state) for job in self.jobs_of(folder))

    def start_worker(self, name: str) -> None:
        """Start a Celery worker in a session of its own, as if it ran on a machine of its own."""
        pid_file = self.airflow.home / f"{name.replace(' ', '-')}.pid"
        self.airflow.start(
            "celery worker",
            *("--concurrency", SLOTS, "--celery-hostname", f"{name.replace(' ', '-')}@%h"),
            *("--pid", str(pid_file), "--without-mingle", "--without-gossip"),
            name=name,
        )

    def evict(self, worker: str) -> None:
        """Stop a worker in the way in which a reclaimed machine does."""
        self.airflow.send(worker, signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        self.airflow.send(worker, signal.SIGKILL)

    def worker_of(self, pid: int, names: tuple[str, ...]) -> str:
        """The worker to which a task's process belongs."""
        return next(name for name in names if self.airflow.session(name) == os.getsid(pid))


@contextmanager
def running(python: str, gate: Gate, *, synthetic: int) -> Iterator[Cluster]:
    """A cluster without workers.

    :param synthetic: number of generated objects in the bucket.
    :param python: Python of an environment with Airflow and its Celery and PostgreSQL providers.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="e2e-celery-")))
        folder.chmod(0o711)  # PostgreSQL's own user must be able to enter the folder
        database = stack.enter_context(services.postgresql(folder / "postgresql", free_port()))
        broker = stack.enter_context(services.redis(folder / "redis", free_port()))
        bucket = folder / "buckets" / BUCKET
        bucket.mkdir(parents=True)
        server = stack.enter_context(
            LocalCI(bucket.parent, convert=gate, workers=1, synthetic={BUCKET: synthetic})
        )
        stack.callback(gate.open)
        keys = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
        ci = stack.enter_context(CIClient(keys, REGION, BUCKET, endpoint=server.endpoint))
        airflow = _airflow(folder / "airflow", python, database, broker, server)
        stack.callback(_show_logs_after_failure, airflow)
        stack.callback(airflow.stop)
        airflow.command("db", "migrate")
        for part in PARTS:
            airflow.start(part)
        airflow.wait_for_answers()
        yield Cluster(airflow=airflow, ci=ci, gate=gate, server=server, bucket=bucket)


def _airflow(home: Path, python: str, database: str, broker: str, server: LocalCI) -> Airflow:
    shutil.copytree(Path(__file__).parent / "dags", home / "dags")
    to_ci = connection(server.endpoint, server.secret_id, server.secret_key, region=REGION, bucket=BUCKET)
    settings = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://{database}",
        "AIRFLOW_CONN_TENCENT_CI_DEFAULT": to_ci,
    }
    return Airflow(home, settings, python=python)


def _show_logs_after_failure(airflow: Airflow) -> None:
    if sys.exc_info()[0] is None:
        return
    for log in sorted(airflow.home.glob("*.log")):
        print(f"\n== the end of {log.name} ==", *log.read_text(errors="replace").splitlines()[-15:], sep="\n")
