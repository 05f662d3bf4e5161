"""Checks in the sources which folder imports which."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "airflow_provider_ci"
OWN = "airflow_provider_ci"

ALLOWED = {
    "__init__": set(),
    "client": {"__init__", "client"},
    "jobs": {"client", "jobs"},
    "batch": {"batch", "client", "jobs"},
    "check": {"__init__", "check", "client", "jobs"},
    "compat": {"compat"},
    "hooks": {"__init__", "check", "client", "compat", "hooks"},
    "commands": {"batch", "check", "client", "commands", "hooks"},  # imports hooks only to read a connection
    "assets": set(),
    "lineage": {"assets", "batch", "client"},
    "links": {"client", "hooks"},
    "tasks": {"batch", "client", "compat", "hooks", "links", "tasks"},
    "triggers": {"batch", "client", "compat", "hooks", "jobs", "tasks", "triggers"},
    "operators": {
        *("assets", "batch", "client", "compat", "hooks", "jobs", "lineage", "links"),
        *("operators", "tasks", "triggers"),
    },
    "sensors": {"batch", "client", "compat", "hooks", "jobs", "links", "sensors", "tasks", "triggers"},
    "retry_policy": {"batch", "client", "compat", "hooks", "sensors"},
    "web": {"web"},
    "plugin": {"batch", "client", "compat", "hooks", "jobs", "plugin", "tasks", "web"},
    "local": {"local", "client.signing", "web"},
}
"""Each room (top-level folder or module), and which rooms it may import: itself, and rooms above it."""

_EVERY_NOUN = {"errors", "http", "records", "wire"}

ALLOWED_WITHIN = {
    "client": {
        "errors": set[str](),
        "signing": set[str](),
        "wire": {"errors"},
        "http": {"errors", "signing", "wire"},
        "keys": {"errors", "http", "signing"},
        "records": {"http", "wire"},
        "callbacks": {"records", "wire"},
        "jobs": {"callbacks", *_EVERY_NOUN},
        "documents": {"callbacks", "jobs", *_EVERY_NOUN},
        "pictures": {"callbacks", "jobs", *_EVERY_NOUN},
        "templates": {"pictures", *_EVERY_NOUN},
        "queues": {"callbacks", *_EVERY_NOUN},
        "buckets": _EVERY_NOUN,
        "objects": _EVERY_NOUN,
        "previews": {"errors", "http", "objects", "pictures", "records"},
        "client": {
            *("buckets", "documents", "http", "jobs", "objects", "pictures", "previews", "queues"),
            *("signing", "templates", "wire"),
        },
        "__init__": {
            *("buckets", "callbacks", "client", "documents", "errors", "http", "jobs", "keys", "objects"),
            *("pictures", "previews", "queues", "records", "signing", "templates", "wire"),
        },
    },
    "local": {
        "database": set[str](),
        "errors": set[str](),
        "convert": set[str](),
        "objects": {"database", "errors"},
        "http": {"errors", "objects"},
        "workspace": {"convert", "errors", "http", "objects"},
        "jobs": {"convert", "database", "errors", "http", "objects", "workspace"},
        "sync": {"convert", "errors", "http", "objects", "workspace"},
        "pages": {"convert", "database", "errors", "http", "jobs", "objects", "sync"},
        "hosts": {"errors", "http", "jobs", "objects", "pages", "sync"},
        "server": {
            *(
                "convert",
                "database",
                "errors",
                "hosts",
                "http",
                "jobs",
                "objects",
                "pages",
                "sync",
                "workspace",
            ),
        },
        "cli": {"convert", "objects", "server"},
        "__init__": {"server"},
        "__main__": {"cli"},
    },
}
"""The same for the rooms within a layer; each may import only from rooms listed above it."""

MODULES_BESIDE_ROOMS = {
    *("__init__", "assets", "lineage", "links", "retry_policy"),  # extension points of Airflow
    "compat",  # the differences between Airflow's versions, for all layers from the hooks up
}

MOST_FILES = 12
"""Maximum number of files in a folder, so that a reader can take in its listing at a glance."""

WITHOUT_AIRFLOW = ("__init__", "client", "jobs", "batch", "check", "commands", "local", "web")


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


@functools.cache
def imports(path: Path) -> list[str]:
    return list(read_imports(path))


def read_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_rooms(path: Path) -> Iterator[str]:
    for name in imports(path):
        if name == OWN or name.startswith(f"{OWN}."):
            rest = name.removeprefix(OWN).lstrip(".")
            is_module = (PACKAGE / rest.split(".")[0]).is_dir() or (
                PACKAGE / f"{rest.split('.')[0]}.py"
            ).exists()
            yield rest if is_module else "__init__"


SOURCES = sorted(PACKAGE.rglob("*.py"))
INNER_SOURCES = [path for path in SOURCES if path.relative_to(PACKAGE).parts[0] in ALLOWED_WITHIN]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    allowed = ALLOWED[room_of(path)]
    for used in own_rooms(path):
        assert any(used == room or used.startswith(f"{room}.") for room in allowed), (
            f"{path.relative_to(PACKAGE)} imports {used}; {room_of(path)} may import {sorted(allowed)}"
        )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_airflow_stays_in_the_airflow_layer(path: Path) -> None:
    uses_airflow = any(name.split(".")[0] == "airflow" for name in imports(path))
    assert not (uses_airflow and room_of(path) in WITHOUT_AIRFLOW)


def test_only_xml_imports_lxml_in_the_client() -> None:
    users = [
        path.name
        for path in (PACKAGE / "client").rglob("*.py")
        if any(name.split(".")[0] == "lxml" for name in imports(path))
    ]
    assert users == ["xml.py"]


@pytest.mark.parametrize("path", INNER_SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_rooms_of_a_layer_know_only_those_above_them(path: Path) -> None:
    layer, room, *_ = path.relative_to(PACKAGE).with_suffix("").parts
    used = {
        name.split(".")[1]
        for name in modules_used(path)
        if name.startswith(f"{layer}.") and (module_name(path), name) not in BACKWARDS
    }
    assert used <= {room, *ALLOWED_WITHIN[layer][room]}


@pytest.mark.parametrize("rooms", [ALLOWED, *ALLOWED_WITHIN.values()], ids=["package", *ALLOWED_WITHIN])
def test_no_rooms_are_allowed_each_other_in_a_circle(rooms: dict[str, set[str]]) -> None:
    known: set[str] = set()
    for room, allowed in rooms.items():
        assert {used.split(".")[0] for used in allowed} <= known | {room}, f"{room} is above one of its rooms"
        known.add(room)


def test_only_extension_points_lie_beside_the_rooms() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == MODULES_BESIDE_ROOMS


def test_a_folder_holds_a_dozen_files_at_most() -> None:
    """The limit applies to folders of tests, too, because they mirror the folders that they test."""
    tests = (PACKAGE.parent / "tests").rglob("*.py")
    files = Counter(path.parent.relative_to(PACKAGE.parent) for path in (*SOURCES, *tests))
    assert {str(folder): count for folder, count in files.items() if count > MOST_FILES} == {}


@pytest.mark.parametrize("room", ["convert", "objects"])
def test_converters_and_buckets_speak_no_http(room: str) -> None:
    for path in (PACKAGE / "local" / room).rglob("*.py"):
        assert not any(name.split(".")[0] == "aiohttp" for name in imports(path)), path


@pytest.mark.parametrize(
    "module",
    [
        "airflow_provider_ci.client",
        "airflow_provider_ci.jobs",
        "airflow_provider_ci.batch",
        "airflow_provider_ci.check",
        "airflow_provider_ci.commands.main",
        "airflow_provider_ci.commands.check",
    ],
)
def test_all_below_the_airflow_layer_loads_without_airflow(module: str) -> None:
    code = f"import sys, {module}; sys.exit('airflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_package_itself_imports_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import airflow_provider_ci; "
        "extra = {name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names; "
        "sys.exit(str(extra) if extra != {'airflow_provider_ci'} else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path) for path in SOURCES}
BACKWARDS = {
    ("client.errors", "client.jobs.job"),  # only for a type: JobError carries the job
}
"""The only imports that close a circle. Remove an entry when it is no longer needed; never add one."""


def modules_used(path: Path) -> set[str]:
    """Our modules that a module imports, including imports that are only for types."""
    used = set()
    for name in imports(path):
        if name.startswith(f"{OWN}."):
            inner = name.removeprefix(f"{OWN}.")
            used.add(inner if inner in MODULES else inner.rpartition(".")[0] or "__init__")
    return used


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The groups of modules that import each other in a circle (Tarjan's strongly connected components)."""
    found: set[frozenset[str]] = set()
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        path.append(module)
        for used in graph.get(module, ()):
            if used not in order:
                visit(used)
            if used in path:
                lowest[module] = min(lowest[module], lowest[used])
        if lowest[module] == order[module]:
            group = path[path.index(module) :]
            del path[path.index(module) :]
            if len(group) > 1 or module in graph.get(module, ()):
                found.add(frozenset(group))

    for module in graph:
        if module not in order:
            visit(module)
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module_name(path): modules_used(path) for path in SOURCES}
    forwards = {
        module: {used for used in all_used if (module, used) not in BACKWARDS}
        for module, all_used in graph.items()
    }
    assert circles(forwards) == set()


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"d"}, "e": {"a", "f"}, "f": set()}
    assert circles(graph) == {frozenset("abc"), frozenset("d")}
