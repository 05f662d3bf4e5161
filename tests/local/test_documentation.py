"""``docs/local.md`` agrees with the tables in the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from itertools import dropwhile, takewhile
from pathlib import Path

import pytest

import airflow_provider_ci.local
from airflow_provider_ci.local import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY, LocalCI
from airflow_provider_ci.local.convert import errors as conversion_errors
from airflow_provider_ci.local.convert.source.formats import FORMATS
from airflow_provider_ci.local.errors import CI_ERRORS, COS_ERRORS
from airflow_provider_ci.local.http.faults import ACTIONS
from airflow_provider_ci.local.http.traits import Traits, TraitValues

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "local.md").read_text()
PACKAGE = Path(airflow_provider_ci.local.__path__[0])
SOURCES = sorted(PACKAGE.rglob("*.py"))


def rows(title: str) -> list[list[str]]:
    """The cells of the first table of a chapter, without the header row."""
    chapter = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = dropwhile(lambda line: not line.startswith("|"), chapter.splitlines())
    table = list(takewhile(lambda line: line.startswith("|"), lines))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[2:]]


def test_every_option_is_described() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "airflow_provider_ci.local", "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    described = set(re.findall("--[a-z-]+", " ".join(row[0] for row in rows("Options"))))
    assert described == set(re.findall("--[a-z-]+", help_text)) - {"--help"}


def test_every_argument_of_the_class_is_described() -> None:
    described = set(re.findall("`([a-z_]+)`", " ".join(row[1] for row in rows("Options"))))
    traits = {item.name for item in dataclasses.fields(Traits)}
    assert described == set(inspect.signature(LocalCI).parameters) - {"traits"} | traits


def test_every_trait_has_an_option() -> None:
    assert set(TraitValues.__annotations__) == {item.name for item in dataclasses.fields(Traits)}
    assert {row[0].strip("`") for row in rows("Traits")} <= set(TraitValues.__annotations__)


def test_the_default_keys_are_printed() -> None:
    assert DEFAULT_SECRET_ID in PAGE
    assert DEFAULT_SECRET_KEY in PAGE


def test_every_source_type_is_described_once() -> None:
    described = [suffix for row in rows("Conversion") for suffix in row[0].split(", ")]
    assert sorted(described) == sorted(FORMATS)


def test_every_code_of_a_failed_conversion_is_described() -> None:
    table = PAGE.partition("\n| Code | When |\n")[2].partition("\n\n")[0]
    described = set(re.findall(r"^\| `(\w+)` \| ", table, re.MULTILINE))
    codes = {value for name, value in vars(conversion_errors).items() if name.isupper() and name[0] != "_"}
    assert codes <= described
    others = {"OutputFailed", "ResourceNotFound", "PathConflict", "InternalError"}
    assert described - codes == others


def test_every_fault_is_described() -> None:
    assert {row[0].strip("`") for row in rows("Faults")} == set(ACTIONS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_code_that_is_raised_has_a_status_in_the_table(source: Path) -> None:
    raised = set(re.findall(r'ServiceError\(\s*"(\w+)"', source.read_text()))
    own_status = {"NotModified", "InvalidHost"}
    assert raised <= {*COS_ERRORS, *CI_ERRORS, *own_status}


def test_every_code_of_the_page_is_in_the_table() -> None:
    known = {*COS_ERRORS, *CI_ERRORS, *["DamagedFile", "PasswordRequired", "UnsupportedType", "Timeout"]}
    words = set(re.findall(r"(?:4\d\d|5\d\d) `(\w+)`", PAGE))
    assert words <= known
    assert len(words) > 15


def test_the_readme_of_the_package_names_its_rooms_and_files() -> None:
    readme = (PACKAGE / "README.md").read_text()
    rooms = set(re.findall(r"^\| `([a-z/]+)/` \|", readme, re.MULTILINE))
    folders = {str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= rooms
    assert [room for room in rooms if not (PACKAGE / room / "__init__.py").exists()] == []
    named = set(re.findall(r"[`(]((?:\.\./|tests/)?[\w./]+\.(?:py|md))[`)]", readme))
    places = [PACKAGE, PACKAGE / "convert" / "pictures", PACKAGE.parent, ROOT]
    assert {name for name in named if not any((place / name).exists() for place in places)} == set()
    assert [path for path in re.findall(r"`(tests/[\w/]+)/`", readme) if not (ROOT / path).is_dir()] == []


def test_the_snippet_of_the_packages_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "buckets").mkdir()
    exec(compile(snippet, "README", "exec"), {})
