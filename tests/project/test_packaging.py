"""The built package can be installed, and Airflow recognises it."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import airflow
import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]
from airflow.triggers.base import BaseTrigger

from airflow_provider_ci import __version__, get_provider_info, operators, sensors, triggers

REPO = Path(__file__).parents[2]
REGISTRY: dict[str, Any] = yaml.safe_load((REPO / ".airflow-registry.yaml").read_text())
KINDS = ("operators", "sensors", "hooks", "triggers", "other")
NAME = "airflow_provider_ci"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder), "--target"]
    subprocess.run([*build, "sdist"], cwd=REPO, check=True, capture_output=True)
    with tarfile.open(folder / f"{NAME}-{__version__}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    source = folder / f"{NAME}-{__version__}"
    subprocess.run([*build, "wheel"], cwd=source, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def files_of_wheel(built: Path) -> set[str]:
    with zipfile.ZipFile(built / f"{NAME}-{__version__}-py3-none-any.whl") as wheel:
        return set(wheel.namelist())


def test_the_wheel_holds_the_package_and_nothing_else(files_of_wheel: set[str]) -> None:
    about = f"{NAME}-{__version__}.dist-info"
    assert {path.split("/")[0] for path in files_of_wheel} == {NAME, about}
    assert {f"{NAME}/py.typed", f"{about}/licenses/LICENSE"} <= files_of_wheel
    sources = {str(path.relative_to(REPO)) for path in (REPO / NAME).rglob("*.py")}
    assert sources <= files_of_wheel
    assert [path for path in files_of_wheel if path.endswith(".pyc")] == []


def test_the_sdist_holds_manual_and_examples_too(built: Path) -> None:
    source = built / f"{NAME}-{__version__}"
    assert {path.name for path in source.iterdir()} >= {
        *("CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "airflow_provider_ci", "dags", "docs"),
    }
    assert not (source / "tests").exists()
    assert {path.name for path in (source / "docs").iterdir()} == {
        path.name for path in (REPO / "docs").iterdir()
    }


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The Python of a new environment with the wheel and all packages of this one except this repository."""
    home = built / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    wheel = built / f"{NAME}-{__version__}-py3-none-any.whl"
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    subprocess.run([*install, "--python", str(python), str(wheel)], check=True)
    (packages,) = (home / "lib").glob("*/site-packages")
    others = Path(airflow.__file__).parents[1]  # its own .pth files (editable installs) are not read
    (packages / "others.pth").write_text(f"{others}\n")
    return python


def run(python: Path, *arguments: str, home: Path) -> str:
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "PYTHONPATH"))
        },
        "AIRFLOW_HOME": str(home),
    }
    command = [str(python), *arguments]
    ended = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_installed_package_is_the_wheel(installed: Path, tmp_path: Path) -> None:
    told = f"import {NAME}; print({NAME}.__file__, {NAME}.__version__)"
    path, version = run(installed, "-c", told, home=tmp_path).split()
    assert Path(path).is_relative_to(installed.parents[1])
    assert version == __version__
    told = run(installed.parent / "ci-local", "--help", home=tmp_path)
    assert "serve" in told and "install-office" in told


def test_airflow_shows_the_installed_provider(installed: Path, tmp_path: Path) -> None:
    airflow_command = ("-m", "airflow", "providers")
    told = run(installed, *airflow_command, "get", "airflow-provider-ci", "-o", "json", home=tmp_path)
    (shown,) = json.loads(told[told.index("[") :])
    assert (shown["Provider"], shown["Version"]) == ("airflow-provider-ci", __version__)
    told = run(installed, *airflow_command, "hooks", "-o", "json", home=tmp_path)
    (hook,) = [row for row in json.loads(told[told.index("[{") :]) if row["connection_type"] == "tencent_ci"]
    assert hook["class"] == "airflow_provider_ci.hooks.CIHook"
    assert hook["package_name"] == "airflow-provider-ci"


def test_the_provider_info_is_what_airflow_expects() -> None:
    path = Path(airflow.__file__).parent / "provider_info.schema.json"
    schema = json.loads(path.read_text())
    jsonschema.validate(get_provider_info(), schema)
    assert set(get_provider_info()) - set(schema["properties"]) == {"versions"}  # read only by registries


def named_in(kind: str) -> list[str]:
    return [entry["module"] for entry in REGISTRY[kind]]


def test_the_registry_file_names_what_exists() -> None:
    assert REGISTRY["package-name"] == get_provider_info()["package-name"]
    names = Counter(name for kind in KINDS for name in named_in(kind))
    for name, times in names.items():
        module, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(module), member), name
        assert times == 1, name
    assert all(entry["description"].endswith(".") for kind in KINDS for entry in REGISTRY[kind])


@pytest.mark.parametrize(("kind", "package"), [("operators", operators), ("sensors", sensors)])
def test_the_registry_file_names_all_operators_and_sensors(kind: str, package: Any) -> None:
    public = {f"{package.__name__}.{name}" for name in package.__all__ if not name.endswith("Error")}
    assert set(named_in(kind)) == public


def test_the_registry_file_names_all_triggers() -> None:
    (of_airflow,) = get_provider_info()["triggers"]
    assert of_airflow["python-modules"] == [triggers.__name__]
    complete = {
        name
        for module in pkgutil.iter_modules(triggers.__path__, f"{triggers.__name__}.")
        for name, value in vars(importlib.import_module(module.name)).items()
        if inspect.isclass(value) and issubclass(value, BaseTrigger) and not inspect.isabstract(value)
    }
    assert set(triggers.__all__) == complete
    assert set(named_in("triggers")) == {f"{triggers.__name__}.{name}" for name in complete}


def test_the_version_is_the_newest_of_the_changelog() -> None:
    versions = re.findall(r"^## (\d\S+)", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__
