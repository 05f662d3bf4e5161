"""Install LibreOffice by the system's package manager, or say the one command that does."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from airflow_provider_ci.local.convert.office import OfficeMissingError, find_office

# The normal packages: the -nogui ones lack files without which a warm LibreOffice aborts on some documents.
PACKAGES: Final = (
    "libreoffice-writer",
    "libreoffice-calc",
    "libreoffice-impress",
    "libreoffice-math",
    "python3-uno",
    "fonts-liberation2",
    "fonts-crosextra-carlito",
    "fonts-crosextra-caladea",
    "fonts-wqy-zenhei",
)
_INSTALL: Final = ("install", "--yes", "--no-install-recommends", *PACKAGES)
_LOG_LINES: Final = 30

Missing = Callable[[], str | None]


def find_missing() -> str | None:
    """Say what of LibreOffice is missing, looking anew, or None."""
    find_office.cache_clear()
    try:
        find_office()
    except OfficeMissingError as error:
        return error.message
    return None


def main() -> int:
    """Install LibreOffice and print what is done; exit status 0, or 1 after an error in one sentence."""
    try:
        install_office(functools.partial(print, flush=True))
    except OfficeMissingError as error:
        print(f"ci-local: {error.message}", file=sys.stderr)  # noqa: T201 - this is the command line
        return 1
    return 0


def install_office(
    out: Callable[[str], object], *, missing: Missing = find_missing, is_root: bool | None = None
) -> None:
    """Install LibreOffice where it is missing, telling ``out`` line by line what is done.

    Uses apt-get as root, or with sudo where that needs no password. Elsewhere, and when the installation
    fails, raises OfficeMissingError whose message holds the command to run. ``missing`` says what is not
    there yet, ``is_root`` who asks; both are found out if not given.
    """
    lacking = missing()
    if lacking is None:
        out("LibreOffice: present")
        return
    out(lacking)
    is_root = os.geteuid() == 0 if is_root is None else is_root
    advice = _advice(is_root)
    prefix = _privilege(lacking, advice, is_root)
    out(f"installing {' '.join(PACKAGES)} by apt-get; this takes some minutes")
    _run([*prefix, "apt-get", "update", "--quiet"], out, advice)
    _run([*prefix, "apt-get", "--quiet", *_INSTALL], out, advice)
    still = missing()
    if still is not None:
        raise OfficeMissingError(f"{still}, even after the installation; {advice}")
    out("LibreOffice: installed")


def _advice(is_root: bool) -> str:
    sudo = "" if is_root else "sudo "
    if shutil.which("apt-get"):
        return f"run: {sudo}apt-get update && {sudo}apt-get {' '.join(_INSTALL)}"
    return (
        "install LibreOffice (Writer, Calc, Impress, Math, not headless-only builds), its Python bindings "
        "(uno) and a CJK font with the package manager of this system; on Debian and Ubuntu run: "
        f"{sudo}apt-get {' '.join(_INSTALL)}"
    )


def _privilege(lacking: str, advice: str, is_root: bool) -> list[str]:
    if not shutil.which("apt-get"):
        raise OfficeMissingError(f"{lacking}; there is no apt-get here to install it: {advice}")
    if is_root:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        # sudo clears the environment: the variable has to be set behind it
        return [sudo, "-n", "env", "DEBIAN_FRONTEND=noninteractive"]
    raise OfficeMissingError(f"{lacking}; installing it needs root: {advice}")


def _run(command: Sequence[str], out: Callable[[str], object], advice: str) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode:
        for line in done.stdout.splitlines()[-_LOG_LINES:]:
            out(f"  {line}")
        raise OfficeMissingError(f"apt-get ended with {done.returncode} (its last lines are above); {advice}")
