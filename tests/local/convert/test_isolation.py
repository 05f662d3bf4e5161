"""A document can read only itself: no file of the machine, no object of another bucket, no device."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import ConversionError, DocumentOptions, RealConverters
from airflow_provider_ci.local.convert.sandbox import (
    Bubblewrap,
    Landlock,
    NoSandbox,
    Sandbox,
    View,
    detection,
    find_sandbox,
)
from airflow_provider_ci.local.convert.sandbox.place import job_folder
from airflow_provider_ci.local.convert.sandbox.view import python_files, view_of
from tests.local.convert.leaks import VECTORS, write_leak

RARE = (253, 11, 199)
WORDS = "TOPSECRET"
DEADLINE_SECONDS = 60


@dataclass(frozen=True)
class Secrets:
    """Files that no document may show, in a folder outside the sandbox, and their addresses."""

    folder: Path

    @property
    def pictures(self) -> list[str]:
        """Addresses of a picture, and then of a pipe, another bucket's object, a device and others."""
        files = ["secret.png", "pipe.png", "secret.svg", "other-1250000000/secret.png"]
        relative = "../" * 12 + str(self.folder / "secret.png").lstrip("/")
        return [*((self.folder / name).as_uri() for name in files), relative, "file:///dev/zero"]

    @property
    def text(self) -> str:
        """The address of the text file."""
        return (self.folder / "secret.txt").as_uri()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """The secret files; their colour and their words occur in no document."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "other-1250000000").mkdir()
    for name in ("secret.png", "other-1250000000/secret.png"):
        Image.new("RGB", (200, 200), RARE).save(folder / name)
    red, green, blue = RARE
    (folder / "secret.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"><rect width="200" height="200" '
        f'fill="rgb({red},{green},{blue})"/></svg>'
    )
    (folder / "secret.txt").write_text(WORDS)
    os.mkfifo(folder / "pipe.png")
    return Secrets(folder)


@pytest.fixture(scope="module", params=["found", "landlock"])
def confined(request: pytest.FixtureRequest) -> Iterator[RealConverters]:
    """Converters in the sandbox that suits this machine, then in Landlock, which needs no privileges."""
    sandbox = None if request.param == "found" else Landlock()
    with RealConverters(1, deadline_seconds=DEADLINE_SECONDS, sandbox=sandbox) as converters:
        yield converters


def _shown(converters: RealConverters, source: Path, target: str, out: Path) -> list[Path]:
    out.mkdir()
    done = converters.document(source, f"in/{source.name}", DocumentOptions(target=target), out)
    return [page.path for page in done.pages]


def _shows_colour(path: Path) -> bool:
    with Image.open(path) as picture:
        colours = picture.convert("RGB").getcolors(1 << 24) or []
    return any(
        max(abs(one - other) for one, other in zip(colour, RARE, strict=True)) < 6  # type: ignore[arg-type]
        for _, colour in colours
    )


@pytest.mark.parametrize("vector", VECTORS)
def test_a_document_shows_no_other_file(
    vector: str, secrets: Secrets, confined: RealConverters, tmp_path: Path
) -> None:
    """Each vector is tried with the secret picture, the secret text, and one of the other addresses."""
    place = VECTORS.index(vector)
    picture, *others = secrets.pictures
    for number, address in enumerate([picture, others[place % len(others)]]):
        source = write_leak(tmp_path, vector, address)
        for path in _shown(confined, source, "png", tmp_path / f"out-{number}"):
            assert not _shows_colour(path), address
    source = write_leak(tmp_path, vector, secrets.text)
    for path in _shown(confined, source, "txt", tmp_path / "out-text"):
        assert WORDS not in path.read_text()


def test_a_pdf_target_holds_no_other_file(
    secrets: Secrets, confined: RealConverters, make: Any, tmp_path: Path, page_texts: Any
) -> None:
    vectors = ("html background", "odt paragraph", "docx svg", "rtf includepicture", "html elements")
    for number, vector in enumerate(vectors):
        source = write_leak(tmp_path, vector, (secrets.folder / "secret.png").as_uri())
        (pdf,) = _shown(confined, source, "pdf", tmp_path / f"pdf-{number}")
        drawn = tmp_path / f"drawn-{number}"
        drawn.mkdir()
        pages = confined.document(pdf, "a.pdf", DocumentOptions(target="png"), drawn).pages
        assert not any(_shows_colour(page.path) for page in pages), vector


def test_a_document_does_not_see_the_one_before_it(
    confined: RealConverters, make: Any, tmp_path: Path
) -> None:
    """The second document cannot read the first, even by the paths that the first one had."""
    earlier = make.file("earlier.html", "<p>earlier</p>")
    _shown(confined, earlier, "pdf", tmp_path / "earlier-out")
    slot = confined.slots[0]
    assert list(slot.jobs.rglob("*")) == [slot.jobs / "out"]
    assert not [path for path in slot.jobs.parent.rglob("*") if path.name in ("earlier.html", "document.pdf")]


@pytest.mark.parametrize("name", ["out", "out/document.pdf", "out/deep/document.pdf", "other"])
@pytest.mark.parametrize("kind", ["link", "folder", "file"])
def test_what_a_worker_leaves_is_gone_before_the_next_job(name: str, kind: str, tmp_path: Path) -> None:
    outside, jobs = tmp_path / "outside", tmp_path / "jobs"
    for folder in (outside, jobs):
        folder.mkdir()
    (outside / "document.pdf").write_text("kept")
    with job_folder(jobs):
        left = jobs / name
        left.parent.mkdir(parents=True, exist_ok=True)
        if name == "out":
            left.rmdir()
        if kind == "link":
            left.symlink_to(outside)
        elif kind == "folder":
            left.mkdir()
            (left / "file").touch()
        else:
            left.touch()
    assert [str(path.relative_to(jobs)) for path in jobs.rglob("*")] in ([], ["out"])
    assert (outside / "document.pdf").read_text() == "kept"
    with job_folder(jobs) as job:
        assert list(job.outputs.iterdir()) == []


def test_nothing_is_taken_from_a_folder_that_a_worker_replaced(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "document.pdf").touch()
    with job_folder(tmp_path) as folder:
        folder.outputs.rmdir()
        folder.outputs.symlink_to(tmp_path / "outside")
        with pytest.raises(ConversionError, match="no plain file"):
            folder.take("document.pdf", tmp_path / "taken")


def _failing_program(folder: Path) -> str:
    program = folder / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: no permission' >&2\nexit 1\n")
    program.chmod(0o755)
    return str(program)


class _Leaky(Sandbox):
    """A sandbox without any protection: it starts the command unchanged."""

    name = description = "leaky"

    def command(self, command: Any, view: View) -> list[str]:
        return list(command)


def test_the_sandbox_of_this_machine_holds() -> None:
    sandbox = find_sandbox()
    assert sandbox.is_confined
    assert detection.fault_of(sandbox) == ""
    assert detection.fault_of(Landlock()) == ""


def test_a_sandbox_that_lets_something_through_is_not_taken() -> None:
    fault = detection.fault_of(_Leaky())
    for what in ("reads a file outside", "writes outside", "reaches the network"):
        assert f"{what}: True" in fault
    assert "reads a file outside: True" in detection.fault_of(NoSandbox())
    assert "reaches the network" not in detection.fault_of(NoSandbox())


def test_a_sandbox_that_does_not_start_is_not_taken(tmp_path: Path) -> None:
    assert "no permission" in detection.fault_of(Bubblewrap(_failing_program(tmp_path), False))
    assert detection.fault_of(Bubblewrap(str(tmp_path / "gone"), False)) != ""


def test_landlock_steps_in_where_bubblewrap_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_program(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    find_sandbox.cache_clear()
    try:
        assert find_sandbox() == Landlock()
    finally:
        find_sandbox.cache_clear()


@pytest.fixture
def unprotected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which no kind of isolation works."""
    monkeypatch.setattr(detection, "_candidates", lambda: iter([_Leaky()]))
    find_sandbox.cache_clear()
    yield
    find_sandbox.cache_clear()


@pytest.mark.usefixtures("unprotected")
def test_without_any_sandbox_office_documents_are_refused(make: Any, tmp_path: Path) -> None:
    with RealConverters(1) as converters:
        with pytest.raises(ConversionError, match="--no-sandbox") as caught:
            _shown(converters, make.docx("a.docx", "text"), "pdf", tmp_path / "out")
        assert caught.value.code == "SandboxMissing"
        assert len(_shown(converters, make.pdf("a.pdf"), "png", tmp_path / "of-pdf")) == 1
    with LocalCI(tmp_path / "root") as server:
        assert "office documents are refused" in server.sandbox


@pytest.mark.usefixtures("unprotected")
def test_no_sandbox_converts_where_none_holds(
    make: Any, tmp_path: Path, page_texts: Any, secrets: Secrets
) -> None:
    with RealConverters(1, sandbox=NoSandbox()) as converters:
        (pdf,) = _shown(converters, make.docx("a.docx", "text"), "pdf", tmp_path / "out")
        assert page_texts(pdf) == ["text"]
        leak = write_leak(tmp_path, "html background", (secrets.folder / "secret.png").as_uri())
        assert _shows_colour(_shown(converters, leak, "png", tmp_path / "leak")[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [([], str(find_sandbox().description)), (["--no-sandbox"], "off: documents can read")],
)
def test_the_command_says_what_isolates(options: list[str], words: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "airflow_provider_ci.local",
        "serve",
        "--root",
        str(tmp_path),
        "--port",
        "0",
    ]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(2)]
        server.terminate()
    assert lines[0].startswith("ci-local: serving ")
    assert lines[1].startswith(f"ci-local: sandbox: {words}")


def test_a_worker_has_no_secrets_of_the_server_in_its_environment(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", WORDS)
    with RealConverters(1) as converters:
        _shown(converters, make.docx("a.docx", "text"), "png", tmp_path / "out")
        slot = converters.slots[0]
        assert slot.pages.process is not None
        for pid in (slot.office.office_pid, slot.pages.process.pid):
            assert WORDS.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize("sandbox", [find_sandbox(), Landlock(), NoSandbox()], ids=str)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_no_worker_can_reach_the_network(sandbox: Sandbox, family: int, tmp_path: Path) -> None:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as server:
        script = f"import socket; socket.create_connection(('{host}', {server.getsockname()[1]}), 5)"
        command = sandbox.command(
            [sys.executable, "-I", "-S", "-c", script],
            view_of(python_files(), [tmp_path]),
        )
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1
