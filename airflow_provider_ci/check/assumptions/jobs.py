"""What we assume about jobs: how they are submitted, what they echo, how they end, and their results."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_provider_ci.check.assumption import Assumption, JobEntry, about_jobs
from airflow_provider_ci.check.finding import Finding, Matters, NotSeenError, Part
from airflow_provider_ci.check.job import DOCUMENT, PICTURE, JobStory
from airflow_provider_ci.check.trial import Trial
from airflow_provider_ci.client import (
    CIServiceError,
    DocProcessResult,
    Job,
    NotFoundError,
    PicProcessResult,
)
from airflow_provider_ci.jobs import matches_keys, matches_operation, user_data_matches

SAME_CLOCK_SECONDS = 5
"""Maximum difference in seconds between CreationTime and the submission that passes."""
SLACK_SECONDS = 5
"""If a job is not listed this long after its signature expires, the engine treats it as never accepted."""
KEPT_SECONDS = 2
_JOB_ID = re.compile(r"[a-z][0-9a-f]{32}")


def success(trial: Trial, story: JobStory) -> Finding:
    """Report how the job ended, and when."""
    if not story.succeeded:
        return Finding(story.fate, False)
    return Finding(f"Success after {story.ended_after or 0:.1f} s", True)


def job_id(trial: Trial, story: JobStory) -> Finding:
    """Check the format of the job id."""
    found = story.job_id
    fits = found.startswith(story.sort.letter) and bool(_JOB_ID.fullmatch(found))
    return Finding(f"{found[0]} and 32 hex digits" if fits else repr(found), fits)


def default_queue(trial: Trial, story: JobStory) -> Finding:
    """Check that the job's queue is one of the bucket's queues."""
    queues = trial.document_queues if story.sort is DOCUMENT else trial.picture_queues
    ids = [queue.queue_id for queue in queues]
    found = story.submitted.queue_id
    if found in ids:
        return Finding("the bucket's own queue" if len(ids) == 1 else f"one of {len(ids)}: {found}", True)
    return Finding(f"{found or 'none'}, which is not listed among the queues", False)


def echoed_parameters(trial: Trial, story: JobStory) -> Finding:
    """Compare the parameters of the submission with those that the job shows."""
    job, operation = _latest(story), story.sort.operation
    shown = _child(_child(job.raw, "Operation"), job.tag)
    sent = {name: _as_text(value) for name, value in operation.to_node().items() if value is not None}
    changes = [
        f"{name} {value} became {shown.get(name) or 'nothing'}"
        for name, value in sent.items()
        if shown.get(name) != value
    ]
    if not changes:
        return Finding(f"all {len(sent)} as they were sent", True)
    if not matches_keys(job, story.input_key, story.output_key) or not matches_operation(job, operation):
        return Finding(", ".join(changes), False)
    advice = "The engine takes the two for the same. Other programs may not."
    return Finding(", ".join(changes), False, advice, Matters.COMFORT)


def user_data(trial: Trial, story: JobStory) -> Finding:
    """Compare the UserData of the submission with the UserData that the job shows."""
    sent, shown = story.user_data, _latest(story).user_data
    limit = ", and 1,024 were refused" if story.is_long_user_data_refused else ""
    if shown == sent:
        return Finding(f"all {len(sent):,} characters{limit}", not limit)
    if user_data_matches(_latest(story), sent) is False:
        advice = "The engine takes its own job for another one after a lost response. Send us a record."
        return Finding("another text than was sent", False, advice, Matters.EXACTLY_ONCE)
    return Finding(f"{len(shown) or 'none'} of {len(sent):,} characters{limit}", False)


def creation_time(trial: Trial, story: JobStory) -> Finding:
    """Compare the job's CreationTime with the time of its submission, both by the service's clock."""
    created = story.created_at.timestamp()
    early, late = story.sent_at - created, created - story.confirmed_at
    gap = max(early, late, 0.0)
    if gap <= SAME_CLOCK_SECONDS:
        return Finding("the time of the submission", True)
    return Finding(f"{gap:.0f} s {'before' if early > late else 'after'} the submission", False)


def known_at_once(trial: Trial, story: JobStory) -> Finding:
    """Report when the job could first be read by its id."""
    return _delay(story.known_after, story)


def listed_at_once(trial: Trial, story: JobStory) -> Finding:
    """Report when the job first appeared in the listing."""
    return _delay(story.listed_after, story)


def _delay(after: float | None, story: JobStory) -> Finding:
    if after is None and story.is_lost:
        raise NotSeenError(f"the {story.sort.noun} job {story.fate}")
    if after is None:
        return Finding("never while the check waited", False, matters=Matters.EXACTLY_ONCE)
    if after == 0:
        return Finding("at once", True)
    matters = Matters.EXACTLY_ONCE if after > SLACK_SECONDS else Matters.COMFORT
    return Finding(f"after {after:.1f} s", False, matters=matters)


def output_exists(trial: Trial, story: JobStory) -> Finding:
    """Check that the output existed when the check first saw that the job had ended."""
    if not story.succeeded:
        raise NotSeenError(f"the {story.sort.noun} job {story.fate}")
    if story.output is None:
        return Finding("missing right after Success", False)
    return Finding(f"{story.output.size:,} bytes", story.output.size > 0)


def result(trial: Trial, story: JobStory) -> Finding:
    """Compare the keys in the job's result with the output key of the submission."""
    job = trial.require_known(story).ended
    if job is None or not story.succeeded:
        raise NotSeenError(f"the {story.sort.noun} job {story.fate}")
    keys = _result_keys(job)
    fits = [key.lstrip("/") for key in keys] == [story.output_key]
    return Finding("names the output" if fits else f"names {keys or 'nothing'}", fits)


def _result_keys(job: Job) -> list[str]:
    if isinstance(job.result, DocProcessResult):
        return [page.key or "" for page in job.result.pages]
    if isinstance(job.result, PicProcessResult):
        return [each.key or job.result.key for each in job.result.objects]
    return []


def kept(trial: Trial, story: JobStory) -> Finding:
    """Read the job again some time after its end."""
    if story.is_lost:
        return Finding(story.fate, False)
    ended = trial.require_known(story).ended_after or 0.0
    elapsed = trial.client.clock.now() - story.confirmed_at
    trial.client.clock.sleep(max(0.0, ended + KEPT_SECONDS - elapsed))
    try:
        story.read()
    except NotFoundError:
        story.is_lost = True
        return Finding("not known any more soon after its end", False)
    return Finding("still known", True)


def unknown_job(trial: Trial) -> Finding:
    """Read a job that does not exist."""
    try:
        trial.client.get_doc_job("d" + "0" * 32)
    except CIServiceError as error:
        fits = (error.status, error.code) == (200, "NonExistJobIds")
        return Finding(f"{error.status} {error.code}", fits)
    return Finding("a job", False)


def _latest(story: JobStory) -> Job:
    return story.ended or story.submitted


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _child(node: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = node.get(name)
    return found if isinstance(found, Mapping) else {}


_LOOKS: tuple[JobEntry, ...] = (
    (
        "success",
        "a small sample is processed in time",
        success,
        Matters.COMFORT,
        "This bucket does not process a simple object. Read the reason, and check the service in the CI "
        "console; the role CI_QCSRole must be allowed to read and write the bucket.",
        0,
    ),
    (
        "id",
        "a job id is a letter (d for documents, c for pictures) and 32 hex digits",
        job_id,
        Matters.COMFORT,
        "Sensors and the cancel operator tell jobs apart by this letter. Send us a record.",
        0,
    ),
    (
        "default queue",
        "a job without queue_id goes to a queue that the bucket lists",
        default_queue,
        Matters.EXACTLY_ONCE,
        "Name a queue_id in every task: after a crash, jobs are looked for in the queue of the batch.",
        0,
    ),
    (
        "parameters",
        "a job shows its parameters as they were sent",
        echoed_parameters,
        Matters.EXACTLY_ONCE,
        "After a lost response the engine does not recognise its own job by this, and may submit it twice if "
        "UserData is not shown either. Send us a record.",
        0,
    ),
    (
        "UserData",
        "a job takes 1,024 characters of UserData, and shows all of them",
        user_data,
        Matters.COMFORT,
        "After a lost response the engine recognises its job by input, output and parameters instead. Do not "
        "rely on UserData in programs of your own.",
        0,
    ),
    (
        "creation time",
        f"CreationTime is within {SAME_CLOCK_SECONDS} s of the submission, by the Date of responses",
        creation_time,
        Matters.EXACTLY_ONCE,
        "After a crash the engine looks for jobs from the time of its last record on, less a minute. A job "
        "dated earlier is not found, and its object is submitted again. Send us a record.",
        0,
    ),
    (
        "known at once",
        "a job can be read by its id right after its submission",
        known_at_once,
        Matters.COMFORT,
        f"Sensors and batches wait for it. Above {SLACK_SECONDS} s, send us a record.",
        0,
    ),
    (
        "listed at once",
        "a job is in the listing right after its submission",
        listed_at_once,
        Matters.COMFORT,
        f"Up to {SLACK_SECONDS} s change nothing. Above that, a job whose response was lost can be submitted "
        "again before it is listed: send us a record.",
        0,
    ),
    (
        "output",
        "the output can be read as soon as the job shows Success",
        output_exists,
        Matters.EXACTLY_ONCE,
        "A later batch may take the output for missing and make it again. Send us a record.",
        0,
    ),
    (
        "result",
        "the result of a job names its output",
        result,
        Matters.COMFORT,
        "The report of a batch has no names of outputs. Read them from the bucket.",
        0,
    ),
)
"""Name, assumption, look, importance, advice, own requests; the entries apply to both kinds of job."""

_LATER_LOOKS: tuple[JobEntry, ...] = (
    (
        "kept",
        "a job that has ended stays known, for a month by the documents",
        kept,
        Matters.EXACTLY_ONCE,
        "A run that continues after a crash does not find the jobs of the one before. It judges by the "
        "outputs in the bucket, and makes missing ones again.",
        1,
    ),
)
"""Assumptions that are checked later, when both jobs have ended."""


JOBS = (
    *about_jobs("job", DOCUMENT, lambda trial: trial.document_job, _LOOKS),
    *about_jobs("job", PICTURE, lambda trial: trial.picture_job, _LOOKS),
    *about_jobs("job", DOCUMENT, lambda trial: trial.document_job, _LATER_LOOKS),
    *about_jobs("job", PICTURE, lambda trial: trial.picture_job, _LATER_LOOKS),
    Assumption(
        name="unknown job",
        assumed="a job that does not exist is a 200 that lists it under NonExistJobIds",
        look=unknown_job,
        matters=Matters.COMFORT,
        advice="A job that the service forgot is taken for a service error, and its task fails. Send us a "
        "record.",
        part=Part.DOCUMENTS,
        requests=1,
    ),
)
