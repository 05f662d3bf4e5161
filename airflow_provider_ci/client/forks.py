"""What a forked child must not share with its parent: connections, and locks that another thread held."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that is set up anew in a child."""

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
