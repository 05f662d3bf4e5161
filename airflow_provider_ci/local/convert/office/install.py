"""Install LibreOffice with the system's package manager, or show the one command that installs it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from airflow_provider_ci.local.convert.office.libreoffice import OfficeMissingError, find_office

# Not the -nogui packages: they lack files without which a LibreOffice that keeps running aborts on some
# documents.
_OFFICE: Final = (
    "libreoffice-writer",
    "libreoffice-calc",
    "libreoffice-impress",
    "libreoffice-math",
    "python3-uno",
)
# Fonts with the character widths of the usual Office fonts; then fonts for Chinese, Japanese and Korean, for
# all other scripts, and for emoji without colours.
_FONTS: Final = (
    "fonts-liberation2",
    "fonts-crosextra-carlito",
    "fonts-crosextra-caladea",
    "fonts-wqy-zenhei",
    "fonts-noto-core",
    "fonts-symbola",
)
_SANDBOX: Final = ("bubblewrap",)
PACKAGES: Final = (*_OFFICE, *_FONTS, *_SANDBOX)
"""The packages that apt-get installs."""

_INSTALL: Final = ("install", "--yes", "--no-install-recommends", *PACKAGES)
# Part of a font's path that shows that its package is installed.
_SIGNS_OF_FONTS: Final = {
    "fonts-liberation2": "LiberationSans",
    "fonts-wqy-zenhei": "wqy-zenhei",
    "fonts-noto-core": "NotoSansThai",
    "fonts-symbola": "Symbola",
}
_LIST_FONTS: Final = ("fc-list", ":", "file")
_LOG_LINES: Final = 30

Missing = Callable[[], str | None]


class ExtrasMissing(str):
    """Missing packages that LibreOffice works without; they make conversion better or safer."""

    __slots__ = ()


def find_missing() -> str | None:
    """Describe the missing parts of LibreOffice, its fonts and its sandbox; None if nothing is missing."""
    # LibreOffice may have been installed since the last search.
    find_office.cache_clear()
    try:
        find_office()
    except OfficeMissingError as error:
        return error.message
    lacking = [package for package, sign in _SIGNS_OF_FONTS.items() if sign not in _installed_fonts()]
    if not shutil.which("bwrap"):
        lacking += _SANDBOX
    return ExtrasMissing(f"LibreOffice is here, but not {', '.join(lacking)}") if lacking else None


def _installed_fonts() -> str:
    """Return the paths of all fonts, from fontconfig; without fontconfig, assume that no font is missing."""
    try:
        found = subprocess.run(_LIST_FONTS, capture_output=True, check=True, encoding="utf-8")
    except (OSError, subprocess.SubprocessError):
        return " ".join(_SIGNS_OF_FONTS.values())
    return found.stdout


def main() -> int:
    """Install LibreOffice and print each step; return exit status 0, or 1 after an error message."""
    try:
        install_office(functools.partial(print, flush=True), missing=find_missing)
    except OfficeMissingError as error:
        print(f"ci-local: {error.message}", file=sys.stderr)  # noqa: T201 - this is the command line
        return 1
    return 0


def install_office(
    out: Callable[[str], object], *, missing: Missing = find_missing, is_root: bool | None = None
) -> None:
    """Install missing parts of LibreOffice, its fonts and its sandbox; ``out`` gets a line for each step.

    Uses apt-get as root, or with sudo if sudo needs no password. If neither is possible, or the installation
    fails, raises OfficeMissingError; its message holds the command to run. ``missing`` returns a description
    of the missing parts. ``is_root`` says whether this process runs as root; by default it is detected. If
    LibreOffice is installed and only fonts or the sandbox cannot be installed, ``out`` gets a warning and no
    error is raised.
    """
    lacking = missing()
    if lacking is None:
        out("LibreOffice: present")
        return
    out(lacking)
    try:
        _install(lacking, out, missing, os.geteuid() == 0 if is_root is None else is_root)
    except OfficeMissingError as error:
        if not isinstance(lacking, ExtrasMissing):
            raise
        out(f"going on without: {error.message}")
    else:
        out("LibreOffice: installed")


def _install(lacking: str, out: Callable[[str], object], missing: Missing, is_root: bool) -> None:
    advice = _advice(is_root)
    prefix = _privilege(lacking, advice, is_root)
    out(f"installing {' '.join(PACKAGES)} by apt-get; this takes some minutes")
    _run([*prefix, "apt-get", "update", "--quiet"], out, advice)
    _run([*prefix, "apt-get", "--quiet", *_INSTALL], out, advice)
    still = missing()
    if still is not None:
        raise OfficeMissingError(f"{still}, even after the installation; {advice}")


def _advice(is_root: bool) -> str:
    sudo = "" if is_root else "sudo "
    if shutil.which("apt-get"):
        return f"run: {sudo}apt-get update && {sudo}apt-get {' '.join(_INSTALL)}"
    return (
        "install LibreOffice (Writer, Calc, Impress, Math, not headless-only builds), its Python bindings "
        "(uno), bubblewrap and Noto fonts with the package manager of this system; on Debian and Ubuntu run: "
        f"{sudo}apt-get {' '.join(_INSTALL)}"
    )


def _privilege(lacking: str, advice: str, is_root: bool) -> list[str]:
    if not shutil.which("apt-get"):
        raise OfficeMissingError(f"{lacking}; there is no apt-get here to install it: {advice}")
    if is_root:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        # sudo clears the environment, so ``env`` sets the variable after sudo
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
