"""An Airflow home per process, a local CI per test, and how tests are marked and distributed."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest
from hypothesis import settings

# No deadline, and fixed examples where the environment variable CI is set: neither time nor chance may fail
# a commit. On a developer's machine, each run tries other examples.
settings.register_profile("ours", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("ours")

# Airflow reads its settings when it is first imported, so they are set before any import of Airflow.
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="ci-tests-airflow-"))
os.environ.update(
    {
        "AIRFLOW_HOME": str(AIRFLOW_HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(AIRFLOW_HOME / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{AIRFLOW_HOME / 'airflow.db'}",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    }
)

import pendulum  # noqa: E402
import structlog.dev  # noqa: E402
from airflow.sdk.execution_time import supervisor  # noqa: E402
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: E402

try:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef]
    from airflow.serialization.serialized_objects import (  # type: ignore[attr-defined, assignment]
        SerializedDAG as DagSerialization,
    )

from airflow_provider_ci.client import CIClient, Credentials  # noqa: E402
from airflow_provider_ci.local import LocalCI  # noqa: E402
from airflow_provider_ci.local.convert import DocumentResult, InstantConverters  # noqa: E402


def _print_plainly(_: structlog.dev.RichTracebackFormatter, stream: TextIO, exception: Any) -> None:
    """Print a plain traceback: colours and frames would take two thirds of the time of a failing DAG."""
    structlog.dev.plain_traceback(stream, exception)


structlog.dev.RichTracebackFormatter.__call__ = _print_plainly  # type: ignore[method-assign, assignment]

# Airflow before 3.3 builds a new API server for every task of a test run, which takes seconds each time.
supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
_ask_for_date = RuntimeTaskInstance.get_first_reschedule_date


def _first_reschedule_date(ti: RuntimeTaskInstance, context: Any) -> Any:
    """Return a date also on Airflow 3.0, where a rescheduled sensor in a test run gets the date as text."""
    found: Any = _ask_for_date(ti, context)
    return pendulum.parse(found) if isinstance(found, str) else found


RuntimeTaskInstance.get_first_reschedule_date = _first_reschedule_date  # type: ignore[method-assign, assignment]

SHARED = ("tests/cluster", "tests/local/convert", "tests/plugin")
"""Folders whose tests share an Airflow or a LibreOffice, which take long to start."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process whole files, or whole folders if their tests share something, in the tests' order.

    The ``--dist loadgroup`` of pytest-xdist 3.8 changes node ids, which pytest 9.2 does not allow.
    """
    from xdist.scheduler import LoadScopeScheduling  # some environments that run these tests lack it

    class FilesAndFolders(LoadScopeScheduling):  # type: ignore[misc] # it has no types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((folder for folder in SHARED if file.startswith(f"{folder}/")), file)

    config.option.loadscopereorder = False  # otherwise the order of FIRST is lost
    return FilesAndFolders(config, log)


SLOW_FIXTURES = {
    *("airflow", "airflow_database", "up", "site", "fab_site"),  # start Airflow
    *("real", "real_server", "readme_server", "saved"),  # start LibreOffice
    *("built", "installed"),  # build a wheel
}

SLOW_TESTS = (
    "tests/batch/planning/test_plan.py::test_a_large_plan",
    "tests/client/signing/test_signing_properties.py",
    "tests/local/convert/",
    "tests/local/objects/test_listing.py",
)
"""Tests that each take seconds of processor time; the tests of ``LONG_TESTS`` are slow as well."""


LONG_TESTS = (
    "tests/cluster/",
    "tests/batch/registry/test_outputs_index.py",
    "tests/batch/registry/test_registry_model.py",
    "tests/batch/registry/test_registry_traits.py",
    "tests/batch/service/test_bucket_traits.py",
    "tests/batch/ledger/test_deleted_records.py",
    "tests/batch/service/test_faults.py",
    "tests/batch/ledger/test_lease.py",
    "tests/batch/ledger/test_ledger_model.py",
    "tests/batch/ledger/test_lost_plan.py",
    "tests/batch/service/test_odd_responses.py",
    "tests/batch/run/test_resume.py",
    "tests/batch/service/test_time.py",
    "tests/batch/rows/test_rows.py::test_ten_thousand",
    "tests/client/http/test_any_response.py",
    "tests/client/http/test_deadline.py",
    "tests/demo/",
    "tests/jobs/test_in_flight.py",
    "tests/local/convert/test_hostile.py",
    "tests/local/convert/test_isolation.py",
    "tests/local/convert/workers/",
    "tests/local/test_restart.py",
    "tests/local/test_server.py",
    "tests/plugin/",
    "tests/project/test_benchmarks.py",
    "tests/test_crashes.py",
    "tests/project/test_dags.py",
    "tests/test_retry_policy.py",
    "tests/operators/test_time_limits.py",
    "tests/project/test_weight.py",
)
"""Tests that kill, freeze and wait, or run whole programs: they take two thirds of the time of all tests."""


FIRST = (
    "tests/cluster/",
    "tests/plugin/",
    "tests/local/convert/",
    "tests/project/test_dags.py",
    "tests/local/pages/test_browser.py",
    "tests/test_crashes.py",
)
"""The folders and files that take longest; if they came last, the other processes would idle."""


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that ``make test`` leaves out as long, and tests that ``make quick`` leaves out as slow."""
    items.sort(key=_turn)
    for item in items:
        starts_slowly = SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))
        if item.nodeid.startswith(LONG_TESTS):
            item.add_marker(pytest.mark.long)
        if starts_slowly or item.nodeid.startswith((*SLOW_TESTS, *LONG_TESTS)):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the real Airflow after its last test: even idle, it takes a fifth of a core."""
    airflow = getattr(item, "funcargs", {}).get("airflow")
    if airflow and "airflow" not in getattr(nextitem, "fixturenames", ()):
        airflow.stop()


def pytest_unconfigure() -> None:
    """Delete the Airflow home of this process."""
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


REGION = "ap-guangzhou"
BUCKET = "examplebucket-1250000000"


@pytest.fixture
def local_ci(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalCI]:
    """A local CI with an empty bucket; the fixture's parameter delays each conversion by seconds."""
    (tmp_path / "buckets" / BUCKET).mkdir(parents=True)
    with LocalCI(tmp_path / "buckets", convert=SlowConverters(getattr(request, "param", 0.0))) as server:
        yield server


class SlowConverters(InstantConverters):
    """Converters that wait ``seconds`` and then convert a document instantly."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def document(self, *arguments: Any) -> DocumentResult:
        time.sleep(self._seconds)
        return super().document(*arguments)


@pytest.fixture
def bucket(local_ci: LocalCI) -> Path:
    """The folder of the bucket."""
    return Path(local_ci.root) / BUCKET


@pytest.fixture
def fill_bucket(bucket: Path) -> Callable[..., None]:
    """Puts objects with the given keys into the bucket; ``content`` is their content."""

    def fill(*keys: str, content: bytes = b"Some text.\n") -> None:
        for key in keys:
            path = bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return fill


@pytest.fixture
def client(local_ci: LocalCI) -> Iterator[CIClient]:
    """A client for the bucket."""
    credentials = Credentials(secret_id=local_ci.secret_id, secret_key=local_ci.secret_key)
    with CIClient(credentials, REGION, BUCKET, endpoint=local_ci.endpoint) as client:
        yield client


@pytest.fixture
def connection(local_ci: LocalCI, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The default Airflow connection, which points to the local CI."""
    values = {
        "conn_type": "tencent_ci",
        "login": local_ci.secret_id,
        "password": local_ci.secret_key,
        "extra": {"region": REGION, "bucket": BUCKET, "endpoint": local_ci.endpoint},
    }
    monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", json.dumps(values))
    return values


@pytest.fixture
def set_connection(connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes the default connection; ``extra`` is merged into the extra that points to the local CI."""

    def change(extra: dict[str, Any] | None = None, **values: Any) -> None:
        changed = {**connection, **values, "extra": {**connection["extra"], **(extra or {})}}
        monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", json.dumps(changed))

    return change


@pytest.fixture
def own_buckets(tmp_path: Path) -> Path:
    """The root folder, with an empty bucket, of a local CI that the test starts itself."""
    (tmp_path / "own" / BUCKET).mkdir(parents=True)
    return tmp_path / "own"


@dataclass
class DagResult:
    """A DAG run that has ended."""

    state: str
    tasks: dict[str, str]
    """State by task id."""
    results: dict[str, Any]
    """Return value by task id; for a mapped task, the value of its last instance."""
    run: Any
    stored: Any
    """The DAG as Airflow serializes it."""


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a new Airflow database to copy, made once for the whole test run."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    original = shared / "airflow.db"
    with (shared / "airflow.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not original.exists():
            shutil.move(_make_database(), original)
    return original


@pytest.fixture(scope="session")
def airflow_database(new_database: Path) -> None:
    """Creates the database of the Airflow in this process."""
    (AIRFLOW_HOME / "dags").mkdir(exist_ok=True)
    shutil.copy(new_database, AIRFLOW_HOME / "airflow.db")


def _make_database() -> Path:
    """Make a new database in the Airflow home of this process; return its path."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    return AIRFLOW_HOME / "airflow.db"


@pytest.fixture
def run_dag(airflow_database: None, connection: dict[str, Any]) -> Iterator[Callable[..., DagResult]]:
    """Runs the source text of a DAG to its end in real Airflow; the text may use ``DAG_ID``."""
    files: list[Path] = []

    def run(source: str, **test_arguments: Any) -> DagResult:
        dag_id = f"test_{uuid.uuid4().hex}"
        path = AIRFLOW_HOME / "dags" / f"{dag_id}.py"
        path.write_text(f"DAG_ID = {dag_id!r}\n{source}")
        files.append(path)
        return run_to_end(load_dag(path, dag_id), **test_arguments)

    yield run
    for path in files:
        path.unlink()


TASKS = """
from airflow.sdk import DAG
from airflow_provider_ci.batch import Inventory, Manifest, ObjectKeys, ObjectSelection
from airflow_provider_ci.client import DocProcess, PicProcess
from airflow_provider_ci.operators import *

with DAG(DAG_ID, schedule=None, params={"folder": "in", "rule": "imageMogr2/rotate/90"}) as dag:
    {tasks}
"""


@pytest.fixture
def run_tasks(run_dag: Callable[..., DagResult]) -> Callable[[str], DagResult]:
    """Runs the source text of tasks as one DAG, which has the parameters ``folder`` and ``rule``."""
    return lambda tasks: run_dag(TASKS.replace("{tasks}", tasks))


@pytest.fixture
def run_dag_file(airflow_database: None, connection: dict[str, Any]) -> Iterator[Callable[..., DagResult]]:
    """Runs a DAG from a file to its end in real Airflow; ``dag_id`` defaults to the file's name."""
    files: set[Path] = set()

    def run(source: Path, *, dag_id: str | None = None, **test_arguments: Any) -> DagResult:
        path = Path(shutil.copy(source, AIRFLOW_HOME / "dags"))
        files.add(path)
        return run_to_end(load_dag(path, dag_id or path.stem), **test_arguments)

    yield run
    for path in files:
        path.unlink()


def load_dag(path: Path, dag_id: str) -> Any:
    """Load a DAG from a file."""
    bag = DagBag(path)
    assert not bag.import_errors, bag.import_errors
    return bag.dags[dag_id]


def run_to_end(dag: Any, **test_arguments: Any) -> DagResult:
    """Run a DAG in this process."""
    run = dag.test(**test_arguments)
    instances = run.get_task_instances()
    return DagResult(
        state=str(run.state),
        tasks={ti.task_id: str(ti.state) for ti in instances},
        results={ti.task_id: ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index) for ti in instances},
        run=run,
        stored=DagSerialization.to_dict(dag),
    )


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Returns the printed text without colours and line breaks, which Airflow 3.0 puts into messages.

    The lines with which Airflow 3.0 prints the values to mask in a test run are left out.
    """

    def read() -> str:
        lines = re.sub(r"\x1b\[[\d;]*m", "", "".join(capfd.readouterr())).splitlines()
        return " ".join(" ".join(line for line in lines if "msg=MaskSecret(" not in line).split())

    return read


class Store:
    """A task state store in memory."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


class Instance:
    """The parts of a task instance that an operator uses."""

    map_index = -1
    dag_id = run_id = task_id = "test"

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed = (key, value)


@pytest.fixture
def context(connection: dict[str, Any]) -> dict[str, Any]:
    """The context that an operator gets from Airflow; all attempts in a test share the context."""
    return {"task_state_store": Store(), "ti": Instance()}
