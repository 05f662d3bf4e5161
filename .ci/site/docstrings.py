"""Griffe extension: the docstrings' Sphinx roles and literal blocks, as Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|meth|func|attr|mod|exc|data|obj):`(~|\.)?([\w.]+)`")


class SphinxRoles(griffe.Extension):
    """Turns ``:class:`~a.b.C``` into a link to ``a.b.C``, and ``::`` before a code block into a colon."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite every docstring of the package, once all names are known."""
        names = _Names(pkg)
        for item in names.all:
            if item.docstring:
                item.docstring.value = _markdown(item.docstring.value, item, names)


class _Names:
    """Every object of a package, and the public path by which the site shows it."""

    def __init__(self, package: griffe.Module) -> None:
        self.all: list[griffe.Object] = []
        self.public: dict[str, str] = {}
        self._collect(package)

    def _collect(self, item: griffe.Object) -> None:
        self.all.append(item)
        for member in item.members.values():
            if not member.is_alias:
                self._collect(member)  # type: ignore[arg-type] # an alias was left out
            elif item.is_module and item.exports and member.name in item.exports:
                self.public[member.target_path] = member.path  # type: ignore[union-attr] # it is an alias

    def find(self, name: str, seen_from: griffe.Object) -> str | None:
        """The path of what a docstring names: in full, by its own name, or as a member of the class."""
        known = {item.path for item in self.all}
        for scope in _scopes(seen_from):
            if (path := f"{scope}.{name}") in known:
                return self._shown(path)
        if name in known or name in self.public.values():
            return self._shown(name)
        endings = sorted({path for path in known if path.endswith(f".{name}")}, key=len)
        return self._shown(endings[0]) if endings else None

    def _shown(self, path: str) -> str | None:
        for hidden, public in self.public.items():
            if path == hidden or path.startswith(f"{hidden}."):
                return public + path.removeprefix(hidden)
        return path if path in self.public.values() else None


def _scopes(item: griffe.Object | None) -> list[str]:
    return [] if item is None else [item.path, *_scopes(item.parent)]  # type: ignore[arg-type] # a package has none


def _markdown(text: str, item: griffe.Object, names: _Names) -> str:
    def link(role: re.Match[str]) -> str:
        shown = role[2].rsplit(".", 1)[-1] if role[1] else role[2]
        path = names.find(role[2].lstrip("."), item)
        return f"[`{shown}`][{path}]" if path else f"`{shown}`"

    text = re.sub(r"^::$\n", "", text, flags=re.MULTILINE)
    return re.sub(r"::$", ":", _ROLE.sub(link, text), flags=re.MULTILINE)
