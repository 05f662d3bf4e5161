"""Forked processes: a child must not use its parent's connections, or locks that another thread held."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that a child process sets up again."""

    def after_fork(self) -> None:
        """Drop what belongs to the parent; the only thread of the child runs this."""


_known: WeakSet[Forkable] = WeakSet()


def watch(each: Forkable) -> None:
    """Have ``after_fork`` of it called in every child, as long as it lives."""
    _known.add(each)


def _in_child() -> None:
    for each in list(_known):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
