"""One real Airflow and one local CI for all tests of this folder."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_ci.client import CIClient, Credentials, Job
from airflow_provider_ci.local import LocalCI
from tests.cluster.cluster import PARTS, Airflow, add_plugin, connection
from tests.cluster.gate import Gate

REGION = "ap-guangzhou"
BUCKET = "examplebucket-1250000000"
HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "dags"


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, gate: Gate) -> Iterator[LocalCI]:
    """A local CI that runs one job at a time."""
    root = tmp_path_factory.mktemp("buckets")
    (root / BUCKET).mkdir()
    with LocalCI(root, convert=gate, workers=1) as server:
        yield server
        gate.open()


@pytest.fixture(scope="session")
def ci(server: LocalCI) -> Iterator[CIClient]:
    keys = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
    with CIClient(keys, REGION, BUCKET, endpoint=server.endpoint) as client:
        yield client


@pytest.fixture(scope="session")
def put(server: LocalCI) -> Callable[..., list[str]]:
    """Puts ``number`` documents into a folder and returns their keys."""

    def put(folder: str, number: int, *, content: str = "text") -> list[str]:
        path = server.bucket_path(BUCKET) / folder
        path.mkdir(parents=True, exist_ok=True)
        for index in range(number):
            (path / f"{index:04}.docx").write_text(content)
        return [f"{folder}/{index:04}.docx" for index in range(number)]

    return put


@pytest.fixture(scope="session")
def jobs_of(ci: CIClient) -> Callable[[str], list[Job]]:
    """Returns all jobs of the objects in a folder from the service's job table, by which the tests judge."""
    return lambda folder: [job for job in ci.list_doc_jobs() if job.input_key.startswith(f"{folder}/")]


@pytest.fixture(scope="session")
def states_of(jobs_of: Callable[[str], list[Job]]) -> Callable[[str], Counter[str]]:
    """Returns the number of jobs of a folder in each state."""
    return lambda folder: Counter(str(job.state) for job in jobs_of(folder))


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, server: LocalCI, new_database: Path
) -> Iterator[Airflow]:
    """A complete Airflow on SQLite with a LocalExecutor; it notices dead parts within seconds."""
    home = tmp_path_factory.mktemp("airflow")
    shutil.copytree(HERE / "dags", home / "dags")
    shutil.copy(EXAMPLES / "backfill_archive.py", home / "dags")
    shutil.copy(new_database, home)
    add_plugin(home)
    to_ci = connection(server.endpoint, server.secret_id, server.secret_key, region=REGION, bucket=BUCKET)
    settings = {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW_CONN_TENCENT_CI_DEFAULT": to_ci,
    }
    airflow = Airflow(home, settings)
    try:
        for part in PARTS:
            airflow.start(part)
        airflow.wait_for_answers()
        yield airflow
    finally:
        airflow.stop()
