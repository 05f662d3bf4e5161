"""Cost of this provider in every Airflow process that parses a DAG: seconds, and imported packages.

The time is the median over pairs of fresh processes, one without the provider and one with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BASE = "from airflow.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator"
OURS = "import airflow_provider_ci.operators, airflow_provider_ci.sensors"
DAGS = Path(__file__).parents[1] / "dags"
PACKAGE = "airflow-provider-ci"

_MEASURE = """
import json, sys, time
began, cpu = time.perf_counter(), time.process_time()
{code}
print(json.dumps({{
    "wall": time.perf_counter() - began,
    "cpu": time.process_time() - cpu,
    "modules": sorted({{name.split(".")[0] for name in sys.modules}}),
}}))
"""
_PARSE = """
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({folder!r})
assert not bag.import_errors, bag.import_errors
from airflow.configuration import conf
seconds = {{row.file: row.duration.total_seconds() for row in bag.dagbag_stats}}
print(json.dumps({{
    "seconds": seconds, "dags": len(bag.dags), "limit": conf.getfloat("core", "dagbag_import_timeout"),
}}))
"""


def main(rounds: int = 7) -> None:
    """Print both figures; ``rounds`` is the number of processes of each kind."""
    with_it, without = [], []
    for _ in range(rounds):
        without.append(measured(BASE))
        with_it.append(measured(f"{BASE}\n{OURS}"))
    wall, cpu = (added(with_it, without, name) for name in ("wall", "cpu"))
    base = median(run["wall"] for run in without)
    strangers = foreign(set(with_it[0]["modules"]) - set(without[0]["modules"]))
    print(
        f"bench import: ours {wall:.2f} s wall, {cpu:.2f} s CPU on top of {base:.2f} s of airflow.sdk; "
        f"packages beyond our dependencies: {', '.join(sorted(strangers)) or 'none'}",
        flush=True,
    )
    parsed = output_of("import json\n" + _PARSE.format(folder=str(DAGS)))
    seconds = parsed["seconds"].values()
    print(
        f"bench import of the example DAGs: {parsed['dags']} DAGs in {len(seconds)} files in "
        f"{sum(seconds):.2f} s, the slowest {max(seconds):.2f} s; "
        f"Airflow allows each file {parsed['limit']:g} s",
        flush=True,
    )


def measured(code: str) -> dict[str, Any]:
    """Seconds and top-level modules of a fresh process that runs this code."""
    return output_of(_MEASURE.format(code=code))


def output_of(code: str) -> dict[str, Any]:
    """The JSON that a fresh process prints last; its Airflow has an empty home."""
    with TemporaryDirectory() as home:
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "AIRFLOW_HOME": home},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def added(with_it: list[dict[str, Any]], without: list[dict[str, Any]], name: str) -> float:
    """Seconds that a process takes longer than the process right before it."""
    return float(median(ours[name] - base[name] for ours, base in zip(with_it, without, strict=True)))


def foreign(modules: set[str]) -> set[str]:
    """The packages of these modules that are neither direct nor indirect dependencies of this package."""
    of_module = packages_distributions()
    packages: set[str] = {canonicalize_name(name) for module in modules for name in of_module.get(module, ())}
    return packages - dependencies(PACKAGE) - {PACKAGE}


def dependencies(package: str) -> set[str]:
    """Direct and indirect dependencies of a package without extras, except Airflow's own."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        for text in requires(waiting.pop()) or ():
            needed = Requirement(text)
            name = canonicalize_name(needed.name)
            is_extra = needed.marker is not None and not needed.marker.evaluate({"extra": ""})
            if is_extra or name in found or name == "apache-airflow":
                continue
            found.add(name)
            waiting.append(name)
    return found
