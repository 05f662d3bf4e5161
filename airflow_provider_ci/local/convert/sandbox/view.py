"""What a worker process sees of the machine: program files and fonts to read, its own folder to write."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Programs, libraries, fonts and their settings. No /etc as a whole, no /proc, no /home, no /tmp.
_SYSTEM: Final = (
    "/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share",
    "/usr/local/bin", "/usr/local/lib", "/usr/local/share/fonts",
    "/bin", "/lib", "/lib32", "/lib64", "/nix/store",
    "/etc/alternatives", "/etc/fonts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/libreoffice", "/etc/localtime",
    "/var/cache/fontconfig", "/var/lib/libreoffice", "/var/spool/libreoffice",
)  # fmt: skip
_MODULES: Final = ("PIL", "charset_normalizer", "pypdfium2", "pypdfium2_raw")
_USER_FONTS: Final = (".fonts", ".local/share/fonts")
# LibreOffice aborts without random numbers; neither device reveals anything about this machine.
DEVICES: Final = ("/dev/null", "/dev/urandom")


@dataclass(frozen=True, slots=True)
class View:
    """Files and folders that a worker may read, and the folders that it may write in."""

    readable: tuple[Path, ...]
    writable: tuple[Path, ...]


def view_of(programs: Iterable[Path], writable: Iterable[Path]) -> View:
    """Return the view of a worker that needs ``programs`` besides the system's programs."""
    wanted = [*map(Path, _SYSTEM), *programs, *(folder for _, folder in _user_fonts())]
    # A program is found through its link and loaded from the link's target, so both have to be visible.
    paths = {path for raw in wanted for path in (raw, raw.resolve()) if path.exists()}
    outermost = sorted(path for path in paths if not paths.intersection(path.parents))
    return View(tuple(outermost), tuple(writable))


def python_files() -> tuple[Path, ...]:
    """Return the files of the running Python, of its installed packages, and of this package."""
    folders = [
        Path(prefix) / part for prefix in (sys.prefix, sys.base_prefix) for part in ("bin", "lib", "lib64")
    ]
    installed = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return (*folders, Path(sys.prefix) / "pyvenv.cfg", *installed, *folders_of_modules(), package_folder())


def folders_of_modules() -> tuple[Path, ...]:
    """Return the folders that the modules of the page and picture worker are installed in."""
    found = [importlib.util.find_spec(name) for name in _MODULES]
    origins = [Path(spec.origin) for spec in found if spec and spec.origin]
    return tuple(dict.fromkeys(origin.resolve().parents[1] for origin in origins))


def package_folder() -> Path:
    """Return the folder of this package, which may lie beside files that a worker must not see."""
    return Path(__file__).resolve().parents[3]


def prepare_home(home: Path) -> None:
    """Link the user's own fonts into a worker's ``home``, where the worker finds them."""
    for name, folder in _user_fonts():
        link = home / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder)


def _user_fonts() -> list[tuple[str, Path]]:
    try:
        home = Path.home()
    except RuntimeError:  # a user id without an entry in the list of users
        return []
    return [(name, home / name) for name in _USER_FONTS if (home / name).is_dir()]
