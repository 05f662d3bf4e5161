"""The geometry of a small chart of values over time; ``web/parts.html`` draws it as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 320, 110
LEFT, BOTTOM, TOP, RIGHT = 4, 6, 18, 6
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One line with the area below it, the lines of the scale, and the first and last time."""

    line: str
    """The attribute ``d`` of the line's path."""
    area: str
    """The attribute ``d`` of the area's path: the line, closed at the bottom."""
    levels: tuple[tuple[float, str], ...]
    """Vertical position and label of each line of the scale."""
    start: float
    end: float
    """``start`` and ``end`` are the Unix times of the left and of the right edge."""
    last: tuple[float, float]
    """Position of the newest value."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = HEIGHT - BOTTOM


def line_chart(points: Sequence[tuple[float, float]], label: Callable[[float], str]) -> Chart | None:
    """The chart of values over time; None for fewer than two different times.

    :param points: Unix time and value, in order of time.
    :param label: formats a value of the scale.
    """
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    start, end = points[0][0], points[-1][0]
    top = nice_top(max(value for _, value in points))
    floor = HEIGHT - BOTTOM

    def place(moment: float, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * (moment - start) / (end - start)
        return round(across, 1), round(floor - (floor - TOP) * value / top, 1)

    places = [place(*point) for point in points]
    line = "M" + "L".join(f"{x:g},{y:g}" for x, y in places)
    return Chart(
        line=line,
        area=f"{line}L{places[-1][0]:g},{floor}L{places[0][0]:g},{floor}Z",
        levels=tuple((place(start, value)[1], label(value)) for value in (top / 2, top)),
        start=start,
        end=end,
        last=places[-1],
    )


def nice_top(value: float) -> float:
    """The least round number that is not below ``value``: 1, 2, 2.5 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))
