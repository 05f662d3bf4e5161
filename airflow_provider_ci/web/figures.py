"""Formats numbers and times for people."""

from __future__ import annotations

import math
from datetime import datetime, timezone

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_ROUND = 100
"""Numbers from here on are shown without a fraction."""


def count(number: float) -> str:
    """Format a number as ``1,234,567``."""
    return f"{number:,.0f}"


def size(number: float | None) -> str:
    """Format a number of bytes as ``1.5 MiB``; empty if unknown."""
    if number is None:
        return ""
    power = 0
    while number >= _STEP and power < len(_UNITS) - 1:
        number /= _STEP
        power += 1
    digits = 0 if power == 0 or number >= _ROUND else 1
    return f"{number:,.{digits}f} {_UNITS[power]}"


def duration(seconds: float | None) -> str:
    """Format as ``0.4 s``, ``45 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``; empty if unknown."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    if 0 < seconds < 1:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def rate(per_second: float | None) -> str:
    """Format as ``12.5/s`` or ``1,200/s``, and below 0.5 per second as ``3.0/min``; empty if unknown."""
    if per_second is None:
        return ""
    if 0 < per_second < 0.5:
        return f"{per_second * 60:,.1f}/min"
    return f"{per_second:,.0f}/s" if per_second >= _ROUND else f"{per_second:.1f}/s"


def share(part: float, whole: float) -> str:
    """Format as ``12.5%``. Only nothing is shown as 0%, and only the whole as 100%."""
    if not whole:
        return "0%"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1%"
    if 99.9 < percent < 100:
        return ">99.9%"
    return f"{percent:.1f}".removesuffix(".0") + "%"


def plural(number: int, one: str, many: str = "") -> str:
    """Format a number and its noun as ``1 object`` or ``1,204 objects``."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def iso(moment: datetime | float | None) -> str:
    """Format a time for the attribute ``datetime`` of ``<time>``; empty if unknown."""
    found = _utc(moment)
    return found.isoformat(timespec="seconds").replace("+00:00", "Z") if found else ""


def utc(moment: datetime | float | None) -> str:
    """Format a time as a page without script shows it: ``2026-11-27 03:04:05 UTC``."""
    found = _utc(moment)
    return f"{found:%Y-%m-%d %H:%M:%S} UTC" if found else ""


def _utc(moment: datetime | float | None) -> datetime | None:
    if moment is None:
        return None
    if isinstance(moment, datetime):
        return moment.astimezone(timezone.utc)
    return datetime.fromtimestamp(moment, timezone.utc)
