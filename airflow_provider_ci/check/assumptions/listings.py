"""What we assume about listings of jobs: filters, order and pages."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_ci.check.assumption import JobEntry, about_jobs
from airflow_provider_ci.check.finding import Finding, Matters, NotSeenError
from airflow_provider_ci.check.job import DOCUMENT, PICTURE, JobStory
from airflow_provider_ci.check.trial import Trial
from airflow_provider_ci.client import CIServiceError, Job, JobState

MAX_PAGES = 6
"""Maximum number of pages to read, with one job each, from one second before the check's own job on."""
_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def filters(trial: Trial, story: JobStory) -> Finding:
    """List with filters that must include the job, and with filters that must exclude it."""
    job = _listed(trial, story)
    other = JobState.CANCEL if job.state is not JobState.CANCEL else JobState.SUCCESS
    before = {"created_after": story.created_at - _MINUTE, "created_before": story.created_at - _SECOND}
    wrong = [
        name
        for name, is_wanted, arguments in (
            ("states leaves it out", True, {"states": [job.state]}),
            ("states lets other states through", False, {"states": [other]}),
            ("endCreationTime lets later jobs through", False, before),
        )
        if story.is_in(story.page(**arguments)) is not is_wanted
    ]
    return Finding(", ".join(wrong) or "states and times select as they should", not wrong)


def order(trial: Trial, story: JobStory) -> Finding:
    """Read one page in each order, and compare the times of its jobs."""
    _listed(trial, story)
    oldest_first = _times(story.page().jobs)
    newest_first = _times(story.page(order="Desc").jobs)
    wrong = [
        name
        for name, found, expected in (
            ("Asc", oldest_first, sorted(oldest_first)),
            ("Desc", newest_first, sorted(newest_first, reverse=True)),
        )
        if found != expected
    ]
    if wrong:
        return Finding(f"{' and '.join(wrong)} not by time", False)
    return Finding("in order", True)


def pages(trial: Trial, story: JobStory) -> Finding:
    """Read the listing with one job per page, from token to token."""
    _listed(trial, story)
    token, tokens, sizes = None, set[str](), list[int]()
    while len(sizes) < MAX_PAGES:
        page = story.any_page(page_size=1, next_token=token)
        sizes.append(len(page.jobs))
        token = page.next_token
        if token is None:
            return _judged(sizes)
        if token in tokens:
            return Finding(f"the token of page {len(sizes)} came before", False)
        tokens.add(token)
    if sum(sizes) < len(sizes):
        return Finding(f"{sizes.count(0)} of {len(sizes)} pages are empty, and a token follows", False)
    return Finding(f"{len(sizes)} pages of one job each, the rest was not read", True)


def _judged(sizes: list[int]) -> Finding:
    """Judge the sizes of all pages of a listing that was read to its end. The last page may be empty."""
    empty = sizes[:-1].count(0)
    if empty:
        return Finding(f"{empty} of {len(sizes)} pages are empty, although more follow", False)
    if max(sizes) > 1:
        return Finding(f"a page of size 1 has {max(sizes)} jobs", False)
    return Finding("as expected, to the last page", True)


def without_queue_id(trial: Trial, story: JobStory) -> Finding:
    """List jobs of all queues."""
    _listed(trial, story)
    try:
        page = story.page(queue_id=None)
    except CIServiceError as error:
        return Finding(f"refused: {error.status} {error.code}", False)
    is_there = story.is_in(page)
    return Finding("jobs of all queues" if is_there else "the job is missing", is_there)


def readable_jobs(trial: Trial, story: JobStory) -> Finding:
    """Look for unreadable jobs, also of other programs, among those created since the submission."""
    _listed(trial, story)
    jobs = story.page().jobs
    odd = [job for job in jobs if not _is_readable(job)]
    if not odd:
        return Finding("all readable", True)
    return Finding(f"{len(odd)} of {len(jobs)} not readable: {'; '.join(_oddities(odd[0]))}", False)


def _is_readable(job: Job) -> bool:
    return not _oddities(job)


def _oddities(job: Job) -> list[str]:
    found = [
        ("State", job.state is JobState.UNKNOWN, job.raw.get("State")),
        ("CreationTime", job.created_at is None, job.raw.get("CreationTime")),
    ]
    return [f"{name} is {value!r}" for name, is_odd, value in found if is_odd]


def _listed(trial: Trial, story: JobStory) -> Job:
    job = trial.require_known(story).ended
    if job is None or story.listed_after is None or story.is_lost:
        raise NotSeenError(f"the {story.sort.noun} job was never in the listing")
    return job


def _times(jobs: tuple[Job, ...]) -> list[float]:
    return [job.created_at.timestamp() for job in jobs if job.created_at]


_LOOKS: tuple[JobEntry, ...] = (
    (
        "filters",
        "states and creation times select the jobs that are listed",
        filters,
        Matters.EXACTLY_ONCE,
        "After a lost response or a crash the engine searches a window of time. Jobs that the filter drops "
        "are submitted again. Send us a record.",
        3,
    ),
    (
        "order",
        "Asc lists the oldest job first, Desc the newest",
        order,
        Matters.EXACTLY_ONCE,
        "The engine reads from the oldest job in flight on, and would miss ends. Send us a record.",
        2,
    ),
    (
        "pages",
        "pages follow each other by new tokens; only the last may be empty, and has none",
        pages,
        Matters.COMFORT,
        "The package reads on over empty pages and stops at a token that it has seen. A listing that "
        "invents tokens without end is an error, and nothing is submitted meanwhile.",
        MAX_PAGES,
    ),
    (
        "without queueId",
        "jobs can be listed without naming a queue",
        without_queue_id,
        Matters.COMFORT,
        "If the bucket has several queues, set queue_id in every task. With one queue nothing is to do.",
        1,
    ),
    (
        "jobs of others",
        "every listed job has a known State and a CreationTime",
        readable_jobs,
        Matters.COMFORT,
        "The package skips what it cannot read. Nothing is to do.",
        1,
    ),
)


LISTINGS = (
    *about_jobs("listing", DOCUMENT, lambda trial: trial.document_job, _LOOKS),
    *about_jobs("listing", PICTURE, lambda trial: trial.picture_job, _LOOKS),
)
