"""Forked processes: a child must not use its parent's connections, nor locks held by other threads."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """An object that a forked child process has to set up again."""

    def after_fork(self) -> None:
        """Drop what belongs to the parent; the only thread of the child runs this."""


_known: WeakSet[Forkable] = WeakSet()


def watch(each: Forkable) -> None:
    """Call the object's ``after_fork`` in every child process, as long as the object exists."""
    _known.add(each)


def _in_child() -> None:
    for each in list(_known):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
