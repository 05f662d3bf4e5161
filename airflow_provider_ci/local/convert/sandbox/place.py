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
# A proxy that leads nowhere, for machines that cannot close the network.
_NO_PROXY: Final = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
# Remove the folder of all workers when their server was killed: no worker sees more than its own part of it.
# A process whose parent died has a new one at once, while the dead one may stay visible for long.
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
    """Give the environment of a worker: no secrets of the server's, and temporary files in ``home``."""
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES or name.startswith("LC_")
    }
    return {**kept, **_NO_PROXY, "HOME": str(home), "TMPDIR": str(home)}


def worker_folder(parent: Path, name: str) -> Path:
    """Make the folder that one process has for itself; ``home`` in it is for its temporary files."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    (folder / "home").mkdir()
    prepare_home(folder / "home")
    return folder


def cleaned_up(command: Sequence[str], folder: Path, socket: str = "-") -> list[str]:
    """Give a command that also removes ``folder`` when the server is gone before it."""
    return ["/bin/sh", "-c", _CLEAN_UP, "ci-local-worker", str(folder), socket, *command]


class JobFolder:
    """What one job shares with its workers: ``inputs`` that they read, ``outputs`` that they write."""

    def __init__(self, inputs: Path, outputs: Path) -> None:
        self.inputs = inputs
        self.outputs = outputs

    def put(self, source: Path, name: str) -> Path:
        """Copy a file in and give its path there; a link would let the worker change the object."""
        return Path(shutil.copyfile(source, self.inputs / name))

    def take(self, name: str, target: Path) -> Path:
        """Move a made file out to ``target``. Refuse all but plain files: our workers make nothing else."""
        made = self.outputs / name
        # lstat, because a hostile document could leave a link to a file that only the server may read.
        if self.outputs.is_symlink() or not stat.S_ISREG(made.lstat().st_mode):
            raise ConversionError(errors.CONVERTER_CRASHED, f"the converter made no plain file {name}")
        shutil.move(made, target)
        return target


@contextmanager
def job_folder(parent: Path) -> Iterator[JobFolder]:
    """Give the folder of a job inside the folder that its workers see; its files are removed afterwards.

    The inputs of each job have a path of their own, because LibreOffice remembers what it read. The outputs
    of all jobs have one, because to remove a folder takes some file systems longer than a small conversion.
    """
    outputs = parent / "out"
    outputs.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="job-", dir=parent, ignore_cleanup_errors=True) as inputs:
            yield JobFolder(Path(inputs), outputs)
    finally:
        _remove_all_but(outputs, parent)


def _remove_all_but(kept: Path, parent: Path) -> None:
    """Empty a folder, and the one folder in it that is kept; whatever a worker may have put there goes."""
    entries = [entry for entry in os.scandir(parent) if entry.name != kept.name]
    # A link would lead out of the folder.
    if kept.is_symlink() or not kept.is_dir():
        kept.unlink(missing_ok=True)
    else:
        entries += os.scandir(kept)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)
