"""Traits of the service that are drawn for a round; they last for the whole round and can be combined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

_DRAWS: Mapping[str, tuple[float, Callable[[Random], Any]]] = {
    "clock_offset_seconds": (0.12, lambda dice: dice.choice((-90_000, -900, -3, 5, 600, 86_400))),
    "user_data_limit": (0.2, lambda dice: dice.choice((0, 0, 6, 13))),
    "echoes": (0.12, lambda _: {"EndPage:-1": "5001", "Comments:": "1", "TgtType:pdf": "PDF"}),
    "foreign_jobs": (0.12, lambda _: True),
    "empty_pages": (0.12, lambda dice: dice.choice((1, 2))),
    "endless_tokens": (0.06, lambda _: "same"),
    "hide_jobs_seconds": (0.08, lambda dice: dice.uniform(0.2, 1.0)),
    "forget_jobs_seconds": (0.06, lambda dice: dice.choice((0, 1, 2))),
    "require_queue_id": (0.1, lambda _: True),
    "strict_signature": (0.1, lambda _: True),
}
"""Share of the rounds that have a trait, and its value."""

TRAITS = tuple(_DRAWS)
"""Names of all traits that are drawn."""


def draw_traits(dice: Random, *, may_forget: bool) -> dict[str, Any]:
    """The traits of a round."""
    drawn = {name: draw(dice) for name, (share, draw) in _DRAWS.items() if dice.random() < share}
    if not may_forget:
        drawn.pop("forget_jobs_seconds", None)
    if "forget_jobs_seconds" in drawn:
        drawn.pop("hide_jobs_seconds", None)  # a job must be visible for some time
    return drawn
