"""The values of a job that lists show, and the words and tones of its states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_provider_ci.local.http.wire import Value
from airflow_provider_ci.local.jobs.jobs import Job, State
from airflow_provider_ci.local.pages import sentences

TONES: Mapping[State, tuple[str, str]] = {
    State.SUCCESS: ("good", "Done"),
    State.FAILED: ("bad", "Failed"),
    State.RUNNING: ("live", "Running"),
    State.SUBMITTED: ("plain", "Waiting"),
    State.PAUSE: ("warn", "Held"),
    State.CANCEL: ("plain", "Cancelled"),
}
"""The tone and the word of each state."""


def job_row(found: Job, now: float) -> dict[str, object]:
    """The values of a job that a list shows."""
    tone, word = TONES[found.state]
    return {
        "job_id": found.job_id,
        "tone": tone,
        "word": word,
        "sentence": sentences.sentence(found, now),
        "bucket": found.bucket,
        "key": found.input_object,
        "code": found.code if found.state is State.FAILED else "",
        "created": found.created,
        "age": max(int(now) - found.created, 0),
    }


def progress(totals: Mapping[State, int]) -> list[tuple[str, int, str]]:
    """The parts of a bar of jobs: tone, number and name."""
    return [
        ("good", totals.get(State.SUCCESS, 0), "done"),
        ("bad", totals.get(State.FAILED, 0), "failed"),
        ("live", totals.get(State.RUNNING, 0), "running"),
        ("plain", totals.get(State.SUBMITTED, 0), "waiting"),
        ("warn", totals.get(State.PAUSE, 0), "held"),
    ]


def flat(nodes: Mapping[str, Value], place: str = "") -> Iterator[tuple[str, str]]:
    """Every non-empty node with its path, such as ``Operation.Output.Object``."""
    for name, value in nodes.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from flat(item, f"{place}{name}.")
            elif item not in (None, ""):
                yield place + name, str(item)
