"""The packages and the time that the provider adds to a process that reads a DAG."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import imports

DAGS = Path(__file__).parents[2] / "dags"


def test_the_operators_bring_no_package_beyond_the_dependencies(capsys: pytest.CaptureFixture[str]) -> None:
    imports.main(rounds=1)
    imported, parsed = capsys.readouterr().out.splitlines()
    cost = r"ours -?[\d.]+ s wall, -?[\d.]+ s CPU on top of [\d.]+ s of airflow.sdk"
    assert re.fullmatch(rf"bench import: {cost}; packages beyond our dependencies: none", imported)
    files = len(list(DAGS.glob("*.py")))
    found = re.search(
        rf"\d+ DAGs in {files} files in .* the slowest ([\d.]+) s; Airflow allows each file 30 s", parsed
    )
    assert found and float(found[1]) < 15


def test_a_package_of_an_extra_is_told_as_foreign() -> None:
    assert imports.foreign({"pypdfium2", "requests", "lxml", "json", "airflow_provider_ci"}) == {"pypdfium2"}
    assert {"requests", "lxml", "tenacity", "urllib3"} <= imports.dependencies(imports.PACKAGE)
