"""Fixtures: real API servers with the pages, and batches that real tasks ran with a local CI."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from PIL import Image, ImageDraw

from airflow_provider_ci.client import CIClient, Credentials
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import InstantConverters
from airflow_provider_ci.tasks.batch_page import PROGRESS_KEY
from tests.cluster.cluster import Airflow, add_plugin, connection, wait_until

REGION = "ap-guangzhou"
BUCKET = "examplebucket-1250000000"
HERE = Path(__file__).parent
PYTHON = os.environ.get("PAGES_PYTHON", sys.executable)
"""The Python whose Airflow serves the pages; a test run can choose another version by PAGES_PYTHON."""
SCRIPT = "<script>document.title='taken'</script>"
HOSTILE_KEYS = (
    f"pages_failed/{SCRIPT}.docx",
    "pages_failed/\"><img src=x onerror=document.title='taken'>.docx",
)
SVG = "<svg xmlns='http://www.w3.org/2000/svg'><script>document.title='taken'</script></svg>"


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCI]:
    root = tmp_path_factory.mktemp("page-buckets")
    fill(root / BUCKET)
    with LocalCI(root, convert=InstantConverters()) as server:
        yield server


def fill(bucket: Path) -> None:
    """Write objects of all kinds to the bucket; the jobs of empty objects fail."""
    for folder, good, bad in (
        ("pages_failed", 4, 2),
        ("pages_tolerant", 5, 1),
        ("pages_running", 3, 0),
        ("pages_planned", 2, 0),
    ):
        for number in range(good + bad):
            put(bucket, f"{folder}/{number:02} report.docx", b"" if number < bad else b"Some text.\n")
    for key in HOSTILE_KEYS:
        put(bucket, key, b"")
    put(bucket, "pages_failed/page.html", f"<html>{SCRIPT}</html>".encode())
    for number, colour in enumerate(("steelblue", "seagreen", "indianred")):
        put(bucket, f"pages_good/photo-{number}.png", picture(colour))


def put(bucket: Path, key: str, content: bytes) -> None:
    path = bucket / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def picture(colour: str) -> bytes:
    image = Image.new("RGB", (640, 420), colour)
    ImageDraw.Draw(image).ellipse((60, 60, 380, 360), fill="white", outline="black", width=6)
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


class Site:
    """An API server with the pages, and its users."""

    def __init__(self, airflow: Airflow, passwords: dict[str, str]) -> None:
        self.airflow = airflow
        self.url = airflow.url
        self.pages = f"{self.url}/ci-batches/"
        self._passwords = passwords
        self._tokens: dict[str, str] = {}

    def token(self, user: str) -> str:
        if user not in self._tokens:
            said = {"username": user, "password": self._passwords[user]}
            answer = requests.post(f"{self.url}/auth/token", json=said, timeout=60)
            answer.raise_for_status()
            self._tokens[user] = answer.json()["access_token"]
        return self._tokens[user]

    def get(self, path: str, user: str | None = None, **query: object) -> requests.Response:
        """Request a page like a browser in which this user is logged in."""
        cookies = {"_token": self.token(user)} if user else {}
        return requests.get(
            f"{self.pages}{path}", params={k: str(v) for k, v in query.items()}, cookies=cookies, timeout=60
        )

    def names(self, dag_id: str) -> dict[str, str]:
        """The parameters in the address of the page that shows a DAG's batch."""
        with self.database() as database:
            found = database.execute(
                "SELECT run_id, task_id FROM task_instance WHERE dag_id = ?", (dag_id,)
            ).fetchone()
        return {"dag_id": dag_id, "run_id": found[0], "task_id": found[1]}

    def address(self, dag_id: str, page: str = "batch", **more: object) -> str:
        return f"{self.pages}{page}?{urlencode({**self.names(dag_id), **more})}"

    @property
    def version(self) -> tuple[int, ...]:
        """The version of its Airflow, such as ``(3, 3, 2)``."""
        found = requests.get(f"{self.url}/api/v2/version", timeout=30).json()["version"]
        return tuple(map(int, found.split(".")))

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.airflow.home / "airflow.db", timeout=30)

    def log(self) -> str:
        return (self.airflow.home / "api-server.log").read_text(errors="replace")


@pytest.fixture(scope="session")
def to_ci(bucket_server: LocalCI) -> dict[str, str]:
    """The environment variable with Airflow's connection to the local CI."""
    keys = (bucket_server.secret_id, bucket_server.secret_key)
    return {
        "AIRFLOW_CONN_TENCENT_CI_DEFAULT": connection(
            bucket_server.endpoint, *keys, region=REGION, bucket=BUCKET
        )
    }


@pytest.fixture(scope="session")
def seeded(
    tmp_path_factory: pytest.TempPathFactory, to_ci: dict[str, str], request: pytest.FixtureRequest
) -> Path:
    """An Airflow home in which each DAG has run once; every site gets a copy."""
    home = tmp_path_factory.mktemp("page-seeded") / "home"
    shutil.copytree(HERE / "dags", home / "dags")
    add_plugin(home)
    airflow = Airflow(home, to_ci, python=PYTHON)
    if sys.executable == PYTHON:
        shutil.copy(request.getfixturevalue("new_database"), home)
    else:
        airflow.command("db", "migrate")
    (home / "seed.log").write_text(seed(airflow, str(home / "dags")))
    pretend_running(home)
    return home


@pytest.fixture(scope="session")
def start_site(
    tmp_path_factory: pytest.TempPathFactory, to_ci: dict[str, str], seeded: Path
) -> Iterator[Callable[..., Site]]:
    started: list[Airflow] = []

    def start(passwords: dict[str, str], settings: dict[str, str], *users: str) -> Site:
        home = tmp_path_factory.mktemp("page-airflow") / "home"
        shutil.copytree(seeded, home)
        (home / "passwords.json").write_text(json.dumps(passwords))
        airflow = Airflow(
            home,
            {
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
                **to_ci,
                **settings,
            },
            python=PYTHON,
        )
        started.append(airflow)
        if users:  # FAB needs its own tables
            airflow.command("db", "migrate")
            seed(airflow, "--fab", *users)
        airflow.start("api-server")
        wait_until(lambda: requests.get(f"{airflow.url}/api/v2/version", timeout=5).ok, "Airflow answers")
        return Site(airflow, passwords)

    yield start
    for airflow in started:
        airflow.stop()


def seed(airflow: Airflow, *arguments: str) -> str:
    done = subprocess.run(
        [PYTHON, "-m", "tests.plugin.seed", *arguments],
        env={**airflow.environment, "PYTHONPATH": str(HERE.parents[1])},
        cwd=HERE.parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def pretend_running(home: Path) -> None:
    """Make the task of pages_running look as if it were deferred in the middle of its batch."""
    with sqlite3.connect(home / "airflow.db", timeout=30) as database:
        of_dag = "WHERE dag_id = 'pages_running'"
        database.execute(f"UPDATE task_instance SET state = 'deferred', end_date = NULL {of_dag}")
        database.execute(f"DELETE FROM xcom {of_dag} AND key = 'return_value'")
    set_progress(home, finished=1200)


def set_progress(home: Path, **numbers: int) -> None:
    """Set the last recorded numbers of the running batch."""
    values = {
        **{"total": 5000, "finished": 1200, "failed": 3, "skipped": 200, "in_flight": 1000},
        **{"objects_per_second": 12.5, "seconds_left": 304},
        **numbers,
    }
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
    with sqlite3.connect(home / "airflow.db", timeout=30) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        kept = "task_state_store SET updated_at" if "task_state_store" in tables else "xcom SET timestamp"
        key = "progress" if "task_state_store" in tables else PROGRESS_KEY
        database.execute(
            f"UPDATE {kept} = {now}, value = ? WHERE dag_id = 'pages_running' AND key = ?",
            (json.dumps(values), key),
        )


USERS = {"viewer": "viewer", "nobody": ""}
"""Users of the simple auth manager and their roles; a user without a role may do nothing."""


@pytest.fixture(scope="session")
def site(start_site: Callable[..., Site]) -> Site:
    """A site with the simple auth manager."""
    users = ",".join(f"{name}:{role}" for name, role in USERS.items())
    passwords = {name: f"{name}-password" for name in USERS}
    return start_site(passwords, {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": users})


@pytest.fixture(scope="session")
def fab_site(start_site: Callable[..., Site]) -> Site:
    """A site with the FAB auth manager; each of its users may read the batches of one DAG."""
    manager = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    passwords = {"amy": "amy-password", "ben": "ben-password"}
    return start_site(
        passwords,
        {"AIRFLOW__CORE__AUTH_MANAGER": manager},
        "amy=amy-password:pages_failed",
        "ben=ben-password:pages_good",
    )


@pytest.fixture(scope="session")
def page_client(bucket_server: LocalCI) -> Iterator[CIClient]:
    keys = Credentials(secret_id=bucket_server.secret_id, secret_key=bucket_server.secret_key)
    with CIClient(keys, REGION, BUCKET, endpoint=bucket_server.endpoint) as client:
        yield client
