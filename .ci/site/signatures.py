"""Griffe extension: signatures that list the arguments behind ``**options: Unpack[JobOptions]``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import griffe


class SharedArguments(griffe.Extension):
    """Shows the arguments that calls share as if each call had written them out."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite every signature of the package, once all names are known."""
        for function in _functions(pkg):
            for shared in [each for each in function.parameters if _unpacked(each)]:
                del function.parameters[shared.name]
                for parameter in _arguments(pkg, _unpacked(shared)):
                    function.parameters.add(parameter)


def _functions(item: griffe.Object) -> Iterator[griffe.Function]:
    for member in item.members.values():
        if isinstance(member, griffe.Function):
            yield member
        elif not member.is_alias:
            yield from _functions(member)  # type: ignore[arg-type] # an alias was left out


def _unpacked(parameter: griffe.Parameter) -> str:
    """The path of the class that names the arguments; empty for any other parameter."""
    annotation = parameter.annotation
    if not isinstance(annotation, griffe.ExprSubscript) or annotation.canonical_name != "Unpack":
        return ""
    return annotation.slice.canonical_path if isinstance(annotation.slice, griffe.Expr) else ""


def _arguments(pkg: griffe.Module, path: str) -> list[griffe.Parameter]:
    """The arguments that the class and its bases name."""
    shared = pkg[path.removeprefix(f"{pkg.path}.")]
    inherited = [
        each
        for base in shared.bases
        if isinstance(base, griffe.Expr) and base.canonical_path.startswith(f"{pkg.path}.")
        for each in _arguments(pkg, base.canonical_path)
    ]
    own = [
        griffe.Parameter(
            name, annotation=each.annotation, kind=griffe.ParameterKind.keyword_only, default="..."
        )
        for name, each in shared.members.items()
        if each.is_attribute
    ]
    return [*inherited, *own]
