"""The folders of a worker process: its own folder, and the folder that a job shares with it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.sandbox.view import prepare_home

_KEPT_VARIABLES: Final = ("PATH", "LANG", "LANGUAGE", "TZ")
# The address of a proxy that does not exist, for machines that cannot block the network.
_NO_PROXY: Final = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
# Removes the folder of all workers if their server was killed. This runs outside the sandbox, because a
# worker sees only its own part of the folder. A changed parent id shows that the server died: the process
# gets a new parent at once, while the dead server may stay visible for a long time.
_CLEAN_UP: Final = """folder=$1 socket=$2; shift 2; "$@"
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    read -r id name state parent rest < /proc/$$/stat || exit
    if [ "$parent" != "$PPID" ]; then
        rm -rf -- "$folder" /tmp/OSL_PIPE_*"$socket" /var/tmp/OSL_PIPE_*"$socket"
    fi
    [ -e "$folder" ] || exit
    sleep 0.2
done
"""


def worker_environment(home: Path) -> dict[str, str]:
    """Return the environment of a worker: no secrets of the server, and temporary files in ``home``."""
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES or name.startswith("LC_")
    }
    return {**kept, **_NO_PROXY, "HOME": str(home), "TMPDIR": str(home)}


def worker_folder(parent: Path, name: str) -> Path:
    """Make the private folder of one process; its subfolder ``home`` is for temporary files."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    (folder / "home").mkdir()
    prepare_home(folder / "home")
    return folder


def cleaned_up(command: Sequence[str], folder: Path, socket: str = "-") -> list[str]:
    """Return a command that runs ``command`` and then removes ``folder`` if the server is gone."""
    return ["/bin/sh", "-c", _CLEAN_UP, "ci-local-worker", str(folder), socket, *command]


class JobFolder:
    """The folders that a job shares with its workers: they read ``inputs`` and write ``outputs``."""

    def __init__(self, inputs: Path, outputs: Path) -> None:
        self.inputs = inputs
        self.outputs = outputs

    def put(self, source: Path, name: str) -> Path:
        """Copy a file into ``inputs`` and return its path; a link would let the worker change the object."""
        return Path(shutil.copyfile(source, self.inputs / name))

    def take(self, name: str, target: Path) -> Path:
        """Move an output to ``target``; refuse all but regular files, as our workers make nothing else."""
        made = self.outputs / name
        # lstat, because a hostile document could leave a link to a file that only the server may read.
        if self.outputs.is_symlink() or not stat.S_ISREG(made.lstat().st_mode):
            raise ConversionError(errors.CONVERTER_CRASHED, f"the converter made no plain file {name}")
        shutil.move(made, target)
        return target


@contextmanager
def job_folder(parent: Path) -> Iterator[JobFolder]:
    """Yield the folder of a job inside the folder that its workers see; its files are removed afterwards.

    Each job has its own path for inputs, because LibreOffice remembers files by path. All jobs share one path
    for outputs, because removing a folder takes milliseconds on some file systems.
    """
    outputs = parent / "out"
    outputs.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="job-", dir=parent, ignore_cleanup_errors=True) as inputs:
            yield JobFolder(Path(inputs), outputs)
    finally:
        _remove_all_but(outputs, parent)


def _remove_all_but(kept: Path, parent: Path) -> None:
    """Empty the folder ``parent`` and its subfolder ``kept``, whatever a worker put there; ``kept`` stays."""
    entries = [entry for entry in os.scandir(parent) if entry.name != kept.name]
    # The folder behind a link is not emptied, because it lies elsewhere.
    if kept.is_symlink() or not kept.is_dir():
        kept.unlink(missing_ok=True)
    else:
        entries += os.scandir(kept)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)
