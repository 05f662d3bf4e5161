"""One assumption about the service or a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from airflow_provider_ci.check.finding import Finding, Matters, Part
from airflow_provider_ci.check.job import JobStory, Sort
from airflow_provider_ci.check.trial import Trial

Story = Callable[[Trial], JobStory]
Look = Callable[[Trial, JobStory], Finding]
JobEntry = tuple[str, str, Look, Matters, str, int]
"""Name, assumption, look, importance, advice and number of requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One thing that this package assumes about the service or the bucket.

    ``look`` checks whether the assumption is true. ``requests`` is the maximum number of requests that
    ``look`` itself sends; :mod:`.trial` counts the requests of shared parts. ``advice`` is shown for a bucket
    that does not fit.
    """

    name: str
    assumed: str
    look: Callable[[Trial], Finding]
    matters: Matters
    advice: str
    part: Part = Part.BUCKET
    requests: int = 0


def about_jobs(what: str, sort: Sort, story: Story, entries: Iterable[JobEntry]) -> list[Assumption]:
    """Return the assumptions about one kind of job.

    :param what: the subject in the names of the assumptions: ``job`` or ``listing``.
    :param story: returns the check's job of this kind, given a trial.
    """

    def bound(look: Look) -> Callable[[Trial], Finding]:
        return lambda trial: look(trial, story(trial))

    return [
        Assumption(
            name=f"{sort.noun} {what}: {name}",
            assumed=assumed,
            look=bound(look),
            matters=matters,
            advice=advice,
            part=sort.part,
            requests=requests,
        )
        for name, assumed, look, matters, advice, requests in entries
    ]
