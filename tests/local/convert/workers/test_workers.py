"""Workers are kept warm, are replaced when necessary, and die with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local.convert import (
    ConversionError,
    ConvertersClosedError,
    DocumentOptions,
    DocumentResult,
    RealConverters,
    office_missing,
)
from airflow_provider_ci.local.convert.office.libreoffice import (
    OfficeInstallation,
    OfficeLimits,
    OfficeMissingError,
    find_office,
)
from airflow_provider_ci.local.convert.sandbox import Landlock, NoSandbox, Sandbox, find_sandbox
from airflow_provider_ci.local.convert.workers.page_process import PageLimits

PDF = DocumentOptions(target="pdf")


def _wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _office_pid(converters: RealConverters) -> int:
    pid = converters.slots[0].office.office_pid
    assert pid is not None
    return pid


def _slow_table(make: Any) -> Path:
    path: Path = make.file("slow.csv", "1,2,3,4,5,6,7,8\n" * 20_000)
    return path


@pytest.mark.parametrize("limits", [OfficeLimits(documents=1), OfficeLimits(resident_bytes=1)])
def test_a_worn_libreoffice_is_ended(limits: OfficeLimits, make: Any, tmp_path: Path) -> None:
    with RealConverters(1, office_limits=limits) as converters:
        assert converters.document(make.docx("a.docx", "x"), "a.docx", PDF, tmp_path).total_pages == 1
        assert converters.slots[0].office.process is None


def test_a_crash_of_a_fresh_libreoffice_is_laid_to_the_document(make: Any, tmp_path: Path) -> None:
    with RealConverters(1) as converters, ThreadPoolExecutor(1) as pool:
        call = pool.submit(converters.document, _slow_table(make), "slow.csv", PDF, tmp_path)
        _wait_until(lambda: converters.slots[0].office.office_pid is not None)
        os.kill(_office_pid(converters), signal.SIGKILL)
        error = call.exception()
        assert isinstance(error, ConversionError)
        assert error.code == "ConverterCrashed"
        assert converters.document(make.docx("a.docx", "x"), "a.docx", PDF, tmp_path).total_pages == 1


def test_a_libreoffice_that_worked_before_is_replaced_when_it_is_gone(make: Any, tmp_path: Path) -> None:
    """LibreOffice dies between two documents, then during one; the document is converted all the same."""
    with RealConverters(1) as converters, ThreadPoolExecutor(1) as pool:
        source = make.docx("a.docx", "x")
        converters.document(source, "a.docx", PDF, tmp_path)
        os.kill(_office_pid(converters), signal.SIGKILL)
        assert converters.document(source, "a.docx", PDF, tmp_path).total_pages == 1
        call = pool.submit(converters.document, _slow_table(make), "slow.csv", PDF, tmp_path)
        _wait_until(lambda: any(tmp_path.glob(".converting-*/source.csv")))
        os.kill(_office_pid(converters), signal.SIGKILL)
        assert call.result().total_sheets == 1
        assert converters.slots[0].office.starts == 3


def test_eight_callers_share_two_workers(make: Any, tmp_path: Path, page_texts: Any) -> None:
    def convert(number: int) -> DocumentResult:
        out = tmp_path / f"out-{number}"
        out.mkdir()
        source = make.docx(f"{number}.docx", f"document {number}")
        return converters.document(source, source.name, PDF, out)

    with RealConverters(2) as converters, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(convert, range(24)))
        texts = [page_texts(result.pages[0].path) for result in results]
        assert texts == [[f"document {number}"] for number in range(24)]
        assert [slot.office.starts for slot in converters.slots] == [1, 1]


def test_one_libreoffice_serves_many_documents_of_many_threads(make: Any, tmp_path: Path) -> None:
    with RealConverters(1) as converters:
        source = make.docx("a.docx", "x")
        pids = set()
        for _ in range(3):
            thread = threading.Thread(target=converters.document, args=(source, "a.docx", PDF, tmp_path))
            thread.start()
            thread.join()
            pids.add(_office_pid(converters))
        assert len(pids) == 1


def test_closing_ends_running_calls_and_all_processes(make: Any, tmp_path: Path) -> None:
    converters = RealConverters(1)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(converters.document, _slow_table(make), "slow.csv", PDF, tmp_path)
        _wait_until(lambda: converters.slots[0].office.office_pid is not None)
        waiting = pool.submit(converters.document, make.docx("a.docx", "x"), "a.docx", PDF, tmp_path)
        pid = _office_pid(converters)
        converters.close()
        assert isinstance(running.exception(), ConvertersClosedError)
        assert isinstance(waiting.exception(), ConvertersClosedError)
    _wait_until(lambda: not _is_running(pid))
    with pytest.raises(ConvertersClosedError):
        converters.document(make.docx("a.docx", "x"), "a.docx", PDF, tmp_path)


_PARENT = """
import sys
from pathlib import Path
from airflow_provider_ci.local.convert import DocumentOptions, RealConverters
converters = RealConverters(1)
source, out = map(Path, sys.argv[1:])
converters.document(source, source.name, DocumentOptions(target="png"), out)
slot = converters.slots[0]
print(slot.office.office_pid, slot.office.process.pid, slot.pages.process.pid, flush=True)
converters.document(out / "slow.csv", "slow.csv", DocumentOptions(target="pdf"), out)
"""


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_killed_parent_leaves_no_process_and_no_socket(is_busy: bool, make: Any, tmp_path: Path) -> None:
    if is_busy:
        (tmp_path / "slow.csv").write_text("1,2,3,4,5,6,7,8\n" * 200_000)
    else:
        os.mkfifo(tmp_path / "slow.csv")  # the parent blocks for ever when it opens this
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(make.docx("a.docx", "x")), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    sockets = _sockets(pids[0])
    assert len(pids) == 3
    assert sockets
    if is_busy:
        _wait_until(lambda: any(tmp_path.glob(".converting-*/source.csv")))
    parent.kill()
    parent.communicate()
    _wait_until(lambda: not any(_is_running(pid) for pid in pids))
    _wait_until(lambda: not any(path.exists() for path in sockets))


def _sockets(pid: int) -> list[Path]:
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    nodes = {link[8:-1] for link in links if link.startswith("socket:")}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()]
    return [Path(row[7]) for row in rows if len(row) == 8 and row[6] in nodes and row[7].startswith("/")]


def test_a_killed_page_worker_is_replaced(make: Any, tmp_path: Path) -> None:
    with RealConverters(1) as converters:
        source = make.pdf("a.pdf", 1)
        converters.document(source, "a.pdf", PDF, tmp_path)
        process = converters.slots[0].pages.process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        assert converters.document(source, "a.pdf", PDF, tmp_path).total_pages == 1


def test_libreoffice_is_found_here() -> None:
    assert office_missing() is None


def test_a_folder_without_libreoffice_is_said_to_lack_it(tmp_path: Path) -> None:
    with pytest.raises(OfficeMissingError, match=r"no soffice\.bin"):
        find_office(tmp_path)


def test_packages_without_user_interface_are_refused(tmp_path: Path) -> None:
    """Without the packages for the user interface, a warm LibreOffice crashes on some documents."""
    program = tmp_path / "program"
    program.mkdir()
    (program / "soffice.bin").touch()
    with pytest.raises(OfficeMissingError, match="swriter, scalc, simpress"):
        find_office(program)


def test_a_libreoffice_that_does_not_start_is_an_error_of_the_call(
    make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "program"
    program.mkdir()
    for name in ("soffice", "soffice.bin"):
        (program / name).write_text("#!/bin/sh\nexit 77\n")
        (program / name).chmod(0o755)
    broken = OfficeInstallation(program=program, python=find_office().python)
    with RealConverters(1, office=broken) as converters:
        with pytest.raises(ConversionError, match="LibreOffice does not start") as caught:
            converters.document(make.docx("a.docx", "x"), "a.docx", PDF, tmp_path)
        assert caught.value.code == "ConverterCrashed"
        assert "77" in caplog.text
        assert converters.document(make.pdf("a.pdf"), "a.pdf", PDF, tmp_path).total_pages == 1


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("sandbox", [find_sandbox(), Landlock(), NoSandbox()], ids=str)
def test_nothing_is_left_in_the_folder_for_temporary_files(
    sandbox: Sandbox, is_killed: bool, make: Any, tmp_path: Path
) -> None:
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    out.mkdir()
    script = _CONVERTS.replace("SANDBOX", repr(sandbox))
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(make.docx("a.docx", "x")), str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "converted\n"
    assert list(temporary.iterdir()) != []
    if is_killed:  # its process id stays taken until communicate()
        parent.kill()
        _wait_until(lambda: list(temporary.iterdir()) == [])
    parent.communicate()
    assert list(temporary.iterdir()) == []


_CONVERTS = """
import sys
from pathlib import Path
from airflow_provider_ci.local.convert import DocumentOptions, RealConverters
from airflow_provider_ci.local.convert.sandbox import Bubblewrap, Landlock, NoSandbox
source, out = map(Path, sys.argv[1:])
with RealConverters(1, sandbox=SANDBOX) as converters:
    converters.document(source, source.name, DocumentOptions(target="png"), out)
    print("converted", flush=True)
    sys.stdin.read()
"""


def test_a_page_worker_that_took_much_memory_is_ended(make: Any, tmp_path: Path) -> None:
    with RealConverters(1, page_limits=PageLimits(peak_bytes=1)) as converters:
        converters.document(make.pdf("a.pdf"), "a.pdf", PDF, tmp_path)
        assert converters.slots[0].pages.process is None
