"""Faults and traits: how the local CI can be made to behave like a service on a bad day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_ci.local.http.faults import ACTIONS
from airflow_provider_ci.local.pages.parts import Parts, Shown, Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A fault that one click sets."""

    text: str
    fault: Mapping[str, object]


PRESETS: Mapping[str, Preset] = {
    "busy": Preset(
        text="The next 5 submissions are refused with SlowDown",
        fault={"action": "error", "code": "SlowDown", "count": 5, "method": "POST", "host": "ci"},
    ),
    "broken": Preset(
        text="The next 3 requests for jobs fail with InternalError",
        fault={"action": "error", "code": "InternalError", "count": 3, "host": "ci"},
    ),
    "lost": Preset(
        text="The response to the next submission is lost, although the job exists",
        fault={"action": "cut_after", "method": "POST", "host": "ci"},
    ),
    "slow": Preset(
        text="The next 10 responses take 3 seconds",
        fault={"action": "late", "seconds": 3, "count": 10},
    ),
    "cut": Preset(
        text="The next download ends in the middle",
        fault={"action": "truncate", "method": "GET", "host": "cos"},
    ),
    "clock": Preset(
        text="For 20 requests the server's clock is an hour ahead",
        fault={"action": "clock", "seconds": 3600, "count": 20},
    ),
}

SWITCHES: Mapping[str, str] = {
    "strict_signature": "PUT and POST must sign every header that can be signed",
    "require_queue_id": "Listing jobs without a queue id is refused",
    "foreign_jobs": "Listings of jobs hold three jobs that cannot be read",
}
"""The traits that are on or off."""


def simulate(parts: Parts, visit: Visit) -> Shown:
    """What goes wrong now, and what can be made to."""
    traits = parts.traits.as_mapping()
    others = {name: value for name, value in traits.items() if name not in SWITCHES}
    return Shown(
        template="simulate.html",
        title="Faults",
        refresh=2,
        values={
            "faults": [_described(fault) for fault in parts.faults.pending()],
            "presets": PRESETS,
            "actions": ACTIONS,
            "switches": [(name, text, bool(traits[name])) for name, text in SWITCHES.items()],
            "others": sorted(others.items()),
            "requests": sorted(parts.counts.as_mapping().items(), key=lambda item: -item[1]),
        },
    )


def _described(fault: Mapping[str, object]) -> dict[str, object]:
    """A waiting fault: its action, how often it comes, and what is special about it."""
    special = {
        name: value
        for name, value in fault.items()
        if name not in ("action", "count") and value not in (None, "")
    }
    if fault["action"] != "drip":
        special.pop("part", None)
    return {"action": fault["action"], "count": fault["count"], "special": special}
