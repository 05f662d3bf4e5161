"""Checks the built site: nothing comes from another host, and the reference has every public name.

MkDocs itself, in strict mode, has checked the links and their anchors.
"""

from __future__ import annotations

import ast
import re
import sys
import zlib
from pathlib import Path

_PACKAGE = Path(__file__).parents[2] / "airflow_provider_ci"
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*?\bsrc=["'](https?:)?//|"""
    r"""<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon))[^>]*?\bhref=["'](https?:)?//"""
)
_PUBLIC_ROOMS = ("batch", "check", "client", "hooks", "jobs", "local", "operators", "sensors", "triggers")


def main(site: Path) -> int:
    """Print each fault; return 1 if there is one."""
    wrong = [*foreign(site), *missing(site)]
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return bool(wrong)


def foreign(site: Path) -> list[str]:
    """The pages and style sheets that load something from another host."""
    pages = [page for page in site.rglob("*.html") if _LOADED.search(page.read_text("utf-8"))]
    styles = [
        style for style in site.rglob("*.css") if re.search(r"url\(['\"]?https?:", style.read_text("utf-8"))
    ]
    return [f"docs: {path.relative_to(site)} loads something from another host" for path in (*pages, *styles)]


def missing(site: Path) -> list[str]:
    """The public names that no page of the reference describes."""
    described = inventory(site / "objects.inv")
    wanted = {
        f"airflow_provider_ci.{room}.{name}"
        for room in _PUBLIC_ROOMS
        for name in public_names(_PACKAGE / room / "__init__.py")
    }
    return [f"docs: the reference does not describe {name}" for name in sorted(wanted - described)]


def inventory(path: Path) -> set[str]:
    """The names in the index that mkdocstrings writes for other sites: a header of four lines, then zlib."""
    packed = path.read_bytes().split(b"\n", 4)[4]
    return {line.split(" ")[0] for line in zlib.decompress(packed).decode().splitlines()}


def public_names(module: Path) -> list[str]:
    """The value of ``__all__``."""
    for node in ast.parse(module.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise LookupError(f"{module} has no __all__")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
