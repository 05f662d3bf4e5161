"""The words of the pages: the state of a batch, how it stands, and what clearing its task would do."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_ci.batch import BatchSummary
from airflow_provider_ci.batch.preview import BatchPreview
from airflow_provider_ci.plugin.numbers import Numbers
from airflow_provider_ci.plugin.recorded import TaskBatch
from airflow_provider_ci.web.figures import count, duration, plural, size

STATES: Mapping[str, tuple[str, str]] = {
    "": ("not scheduled", "plain"),
    "scheduled": ("scheduled", "plain"),
    "queued": ("queued", "plain"),
    "running": ("running", "live"),
    "deferred": ("waiting", "live"),
    "restarting": ("restarting", "live"),
    "up_for_retry": ("retry soon", "warn"),
    "up_for_reschedule": ("rescheduled", "live"),
    "failed": ("failed", "bad"),
    "upstream_failed": ("upstream failed", "bad"),
    "success": ("succeeded", "good"),
    "skipped": ("skipped", "plain"),
    "removed": ("removed", "plain"),
}
"""The word and the tone of each state of a task."""

RESULTS: Mapping[str, tuple[str, str]] = {
    "failed": ("failed", "bad"),
    "cancelled": ("cancelled", "warn"),
    "unfinished": ("unfinished", "warn"),
    "succeeded": ("done", "good"),
    "skipped": ("up to date", "plain"),
    "in flight": ("in flight", "live"),
    "planned": ("planned", "plain"),
}
"""The word and the tone of each outcome of an object."""


def state_of(batch: TaskBatch) -> tuple[str, str]:
    """The word and the tone of a batch's state."""
    return STATES.get(batch.state, (batch.state, "plain"))


def verdict(batch: TaskBatch, numbers: Numbers | None) -> str:
    """How the batch stands, in one sentence."""
    if batch.group == "live":
        return _live(batch, numbers)
    if batch.preview is not None:
        return _planned(batch.preview)
    if batch.summary is None:
        return _ended_without_summary(batch, numbers)
    return _ended(batch.summary, has_failed=batch.group == "failed", allowed=batch.record.allowed)


def _planned(preview: BatchPreview) -> str:
    jobs, objects = plural(preview.jobs, "job"), plural(preview.objects, "object")
    cost = f"{preview.cost:,.2f} {preview.currency}" if preview.cost is not None else ""
    about = " and ".join(filter(None, (cost, _hours(preview))))
    estimate = f", about {about}" if about else ""
    return f"Only planned, nothing was submitted: {jobs} for {objects}{estimate}."


def _hours(preview: BatchPreview) -> str:
    if preview.hours is None:
        return ""
    return duration(max(60.0, preview.hours * 3600)).removesuffix(" 0 s")


def preview_figures(preview: BatchPreview) -> list[tuple[str, str, str, str]]:
    """Caption, value, note and tone of each number of a plan."""
    cap = f"at most {count(preview.max_jobs)}" if preview.max_jobs is not None else ""
    numbers = [
        ("Objects found", count(preview.objects), "", ""),
        ("Jobs to submit", count(preview.jobs), cap, ""),
        ("To be read", size(preview.bytes), "", ""),
        ("Requests", count(preview.requests), "", ""),
        (
            "Cost, about",
            *((f"{preview.cost:,.2f}", preview.currency) if preview.cost is not None else ("–", "")),
            "",
        ),
        ("Time, about", _hours(preview) or "–", "", ""),
    ]
    without = (
        ("Up to date", preview.up_to_date, ""),
        ("Failed before", preview.failed_before, "bad"),
        ("Cannot be processed", preview.unusable, "bad"),
        ("In flight already", preview.in_flight, ""),
        ("Finished by earlier runs", preview.finished, ""),
        *((f"Left out: {reason}", number, "") for reason, number in preview.left_out.items()),
    )
    return [*numbers, *((name, count(number), "", tone) for name, number, tone in without if number)]


def _live(batch: TaskBatch, numbers: Numbers | None) -> str:
    if batch.record.plan_only:
        return "The objects are being listed and planned; nothing will be submitted."
    if numbers is None:
        return "The objects are being listed and planned; nothing is submitted yet."
    done = f"{count(numbers.finished)} of {plural(numbers.total, 'object')} have a result"
    failed = f", {count(numbers.failed)} of them failed" if numbers.failed else ""
    left = f"; about {duration(numbers.seconds_left)} left" if numbers.seconds_left else ""
    if batch.state == "up_for_retry":
        return f"The last try ended early: {done}{failed}. The next try resumes the batch."
    return f"{done}{failed}{left}."


def _ended_without_summary(batch: TaskBatch, numbers: Numbers | None) -> str:
    known = (
        f" {count(numbers.finished)} of {plural(numbers.total, 'object')} had a result by then."
        if numbers
        else ""
    )
    if batch.group == "failed":
        return f"The task failed before its batch ended; its log says why.{known}"
    return f"The task ended without a summary of its batch.{known}"


def _ended(summary: BatchSummary, *, has_failed: bool, allowed: str) -> str:
    if not summary.total:
        return "The source has no objects, so nothing was done."
    bad, good = _bad(summary), _good(summary)
    if not bad:
        return f"{'All' if summary.total > 1 else 'The'} {_objects(summary.total)} done: {good}."
    if not has_failed:
        return f"{bad}, which max_failures={allowed} allows; {good}."
    limit = "None may fail" if allowed == "0" else f"At most {allowed} may fail"
    stopped = " So many failed that the rest was not submitted." if summary.stopped_early else ""
    return f"{bad}; {good}. {limit}, so the task failed.{stopped}"


def _objects(number: int) -> str:
    return "object is" if number == 1 else f"{count(number)} objects are"


def _bad(summary: BatchSummary) -> str:
    kinds = (
        (summary.failed, "failed"),
        (summary.cancelled, "were cancelled"),
        (summary.unfinished, "did not finish"),
    )
    named = [(number, word) for number, word in kinds if number]
    whole = f" of {plural(summary.total, 'object')}"
    return ", ".join(
        f"{count(number)}{'' if at else whole} {word}" for at, (number, word) in enumerate(named)
    )


def _good(summary: BatchSummary) -> str:
    kinds = ((summary.succeeded, "made in this run"), (summary.skipped, "up to date already"))
    return ", ".join(f"{count(number)} {word}" for number, word in kinds if number) or "none is done"


def after_clear(batch: TaskBatch) -> str:
    """What clearing the task would do, in a few sentences; empty while the task runs."""
    summary = batch.summary
    if batch.record.plan_only:
        return "Clearing the task plans again." if batch.group != "live" else ""
    if batch.group == "live" or summary is None:
        return ""
    if batch.record.skip == "never":
        return (
            f"Clearing the task makes all {plural(summary.total, 'object')} again, because skip is 'never'."
        )
    permanent = summary.failed - summary.retryable
    again = summary.retryable + summary.cancelled + summary.unfinished
    why = _why(summary)
    if batch.record.retry_failed:
        again, permanent, why = again + permanent, 0, ", because retry_failed is set,"
    first = (
        f"Clearing the task re-runs only {'this one object' if again == 1 else f'these {count(again)}'}{why}"
        " and objects that have changed since."
        if again
        else "Clearing the task submits nothing again, except objects that have changed since."
    )
    second = (
        f" {plural(permanent, 'object')} failed for a reason that does not pass: "
        "a job is submitted again only when the content changes, or with retry_failed=True."
        if permanent > 0
        else ""
    )
    return first + second + _kept(summary.succeeded + summary.skipped)


def _kept(outputs: int) -> str:
    if not outputs:
        return ""
    return (
        " The output that is done stays."
        if outputs == 1
        else f" The {count(outputs)} outputs that are done stay."
    )


def _why(summary: BatchSummary) -> str:
    """Why objects are submitted again, as part of a sentence."""
    kinds = (
        (summary.retryable, "failed for a reason that can pass"),
        (summary.cancelled, "were cancelled"),
        (summary.unfinished, "did not finish"),
    )
    named = [(number, word) for number, word in kinds if number]
    if len(named) == 1:
        return f", which {named[0][1]},"
    return f" ({', '.join(f'{count(number)} {word}' for number, word in named)})" if named else ""
