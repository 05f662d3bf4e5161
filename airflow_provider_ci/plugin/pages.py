"""Builds the values for the template of each page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from fastapi import HTTPException

from airflow_provider_ci.batch import FailureGroup, ObjectResult, ObjectState
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.client import CIClient, CIError, NotFoundError
from airflow_provider_ci.plugin import previews, results, words
from airflow_provider_ci.plugin.ledger import Course, Ledger, failed_of
from airflow_provider_ci.plugin.live import count_ended
from airflow_provider_ci.plugin.numbers import Numbers, numbers_of
from airflow_provider_ci.plugin.recorded import PAGE_ROWS, TaskBatch
from airflow_provider_ci.plugin.results import Filter, Page
from airflow_provider_ci.plugin.service import client_of_batch, client_of_outputs
from airflow_provider_ci.web import line_chart
from airflow_provider_ci.web.figures import count, rate

REFRESH_SECONDS = 5
"""Seconds after which a page that shows a running batch reloads itself."""
ALL = "all"
"""The filter by outcome that shows everything."""
_GROUP_NAMES = {"": "All", "live": "Running", "failed": "Failed", "done": "Ended well"}


@dataclass(frozen=True, slots=True)
class ListRow:
    """A batch in the list."""

    batch: TaskBatch
    numbers: Numbers | None
    is_open: bool
    """Whether the user may see the batch's numbers and its page."""

    @property
    def state(self) -> tuple[str, str]:
        """The word and the tone of the batch's state."""
        return words.state_of(self.batch)


def list_of(
    batches: Sequence[TaskBatch],
    counts: Mapping[str, int],
    dags: Sequence[str],
    open_dags: Collection[str],
    *,
    group: str,
    dag: str,
    page: int,
) -> dict[str, Any]:
    """The values of the list."""
    rows = [ListRow(each, numbers_of(each), each.name.dag_id in open_dags) for each in batches]
    of_group = counts.get(group, sum(counts.values()))
    return {
        "title": "CI batches",
        "rows": rows,
        "now": _now(),
        "group": group,
        "dag": dag,
        "dags": dags,
        "groups": [
            (name, words_, counts.get(name, sum(counts.values()))) for name, words_ in _GROUP_NAMES.items()
        ],
        "page": page,
        "pages": -(-of_group // PAGE_ROWS),
        "refresh": REFRESH_SECONDS if any(row.batch.group == "live" for row in rows) else 0,
    }


def batch_page(batch: TaskBatch, wanted: Filter, offset: int) -> dict[str, Any]:
    """The values of the page of one batch."""
    values = {
        **_common(batch),
        "title": f"{batch.name.dag_id} · {batch.name.task_id} · CI batch",
        "after_clear": words.after_clear(batch),
        "summary": batch.summary,
        "refresh": REFRESH_SECONDS if batch.group == "live" else 0,
    }
    if batch.record.plan_only:
        figures = words.preview_figures(batch.preview) if batch.preview else ()
        return {**values, "verdict": words.verdict(batch, None), "preview": figures}
    ledger = Ledger(client_of_batch(batch.record), batch.record.folder)
    numbers = _newest_numbers(batch, ledger)
    groups = _groups(batch, ledger)
    course = _course(ledger, numbers)
    shown = wanted.state or (results.BAD if groups and not wanted.text else ALL)
    return {
        **values,
        "verdict": words.verdict(batch, numbers),
        "numbers": numbers,
        "legend": _legend(batch, numbers),
        "plan": ledger.plan.header if ledger.plan else None,
        "groups": groups,
        "filter": wanted,
        "filters": _filters(batch, numbers),
        "shown": shown,
        "objects": _objects(ledger, replace(wanted, state="" if shown == ALL else shown), offset),
        "offset": offset,
        "previous": 0 if wanted.text else max(0, offset - results.PAGE_ROWS),
        "results": words.RESULTS,
        "throughput": line_chart(course.throughput, rate),
        "depth": line_chart(course.depth, count),
    }


def object_page(batch: TaskBatch, index: int) -> dict[str, Any]:
    """The values of the page of one object."""
    ledger, planned = _planned(batch, index)
    result = results.find(ledger, planned)
    output = _output_key(planned, result)
    return {
        **_common(batch),
        "title": f"{planned.key} · CI batch",
        "planned": planned,
        "result": result,
        "outcome": words.RESULTS[result.state.value if result else "planned"],
        "input": _shown(client_of_batch(batch.record), planned.key),
        "output": _shown(client_of_outputs(batch.record), output) if output else None,
        "index": index,
        "refresh": REFRESH_SECONDS if result is None and batch.group == "live" else 0,
    }


def picture(batch: TaskBatch, index: int, side: str) -> previews.Picture:
    """The picture of an object's input or output; ``side`` is ``input`` or ``output``."""
    client, key = _side(batch, index, side)
    return previews.picture_of(client, key, client.head_object(key).size)


def file(batch: TaskBatch, index: int, side: str) -> tuple[str, bytes]:
    """The file name and the bytes of an object's input or output."""
    client, key = _side(batch, index, side)
    if client.head_object(key).size > previews.MAX_DOWNLOAD_BYTES:
        raise HTTPException(
            413, "This file is too large to be passed on by Airflow. Read it from the bucket."
        )
    return key.rpartition("/")[2] or "object", client.read_object(key)


@dataclass(frozen=True, slots=True)
class Shown:
    """The input or output of an object, as the page shows it."""

    key: str
    kind: previews.Kind
    size: int | None = None
    modified: datetime | None = None
    text: str = ""
    note: str = ""

    @property
    def is_there(self) -> bool:
        """Whether the object exists."""
        return self.size is not None

    @property
    def can_be_saved(self) -> bool:
        """Whether the object may be downloaded through Airflow."""
        return self.size is not None and self.size <= previews.MAX_DOWNLOAD_BYTES


def _shown(client: CIClient, key: str) -> Shown:
    kind = previews.kind_of(key)
    try:
        info = client.head_object(key)
        text = previews.text_of(client, key, info.size) if kind == "text" else ""
    except NotFoundError:
        return Shown(key, "none", note="This object does not exist now.")
    except CIError as error:
        return Shown(key, "none", note=f"It cannot be read now ({type(error).__name__}).")
    note = "" if kind != "text" or info.size <= previews.TEXT_BYTES else "This is its beginning."
    return Shown(key, kind, info.size, info.last_modified, text, note)


def _side(batch: TaskBatch, index: int, side: str) -> tuple[CIClient, str]:
    """The client and the key of an input or output, found in the ledger by the object's place in the plan."""
    ledger, planned = _planned(batch, index)
    if side == "input":
        return ledger.client, planned.key
    output = _output_key(planned, results.find(ledger, planned))
    if side != "output" or not output:
        raise HTTPException(404, "An object has an input and an output.")
    return client_of_outputs(batch.record), output


def _planned(batch: TaskBatch, index: int) -> tuple[Ledger, PlannedObject]:
    ledger = Ledger(client_of_batch(batch.record), batch.record.folder)
    planned = ledger.planned(index)
    if planned is None:
        raise HTTPException(404, "The plan of this batch has no such object now.")
    return ledger, planned


def _output_key(planned: PlannedObject, result: ObjectResult | None) -> str:
    """Key of the first object that the job wrote or will write."""
    return (result.first_output if result else "") or planned.output


def _common(batch: TaskBatch) -> dict[str, Any]:
    return {
        "batch": batch,
        "state": words.state_of(batch),
        "query_of_batch": batch.name.as_query,
        "now": _now(),
    }


def _newest_numbers(batch: TaskBatch, ledger: Ledger) -> Numbers | None:
    """The numbers in the database, or in the ledger if it has more results."""
    known = numbers_of(batch)
    if known and batch.state == "deferred":
        ended = min(known.in_flight, count_ended(ledger))
        known = replace(known, ended=ended, in_flight=known.in_flight - ended)
    if batch.group != "live" and batch.summary is not None:
        return known
    plan, state = ledger.plan, ledger.state
    if plan is None or state is None or (known and known.finished >= state.finished):
        return known
    failed = failed_of(state)
    skipped = state.counts.get(ObjectState.SKIPPED, 0)
    return replace(
        known or Numbers(total=plan.header.total),
        total=plan.header.total,
        succeeded=state.finished - failed - skipped,
        failed=failed,
        skipped=skipped,
        in_flight=state.in_flight if batch.group == "live" else 0,
    )


def _groups(batch: TaskBatch, ledger: Ledger) -> Sequence[FailureGroup]:
    if ledger.report is not None:
        return ledger.report.summary.failures
    if batch.group != "live" and batch.summary is not None:
        return batch.summary.failures
    return results.groups_so_far(ledger) if ledger.state and failed_of(ledger.state) else ()


def _objects(ledger: Ledger, wanted: Filter, offset: int) -> Page:
    return results.page_of(ledger, wanted, offset) if ledger.plan else Page()


def _legend(batch: TaskBatch, numbers: Numbers | None) -> list[tuple[str, int, str]]:
    """The parts of the bar that the legend names."""
    if numbers is None:
        return []
    left = ("plain", numbers.left, "to go" if batch.group == "live" else "without a result")
    return [part for part in (*numbers.parts, left) if part[1] or part[2] in ("done", "failed")]


def _filters(batch: TaskBatch, numbers: Numbers | None) -> list[tuple[str, str, int | None]]:
    """The value, name and number of objects of each filter by outcome."""
    if batch.summary is None or batch.group == "live":
        failed = numbers.failed if numbers else None
        finished = numbers.finished if numbers else None
        return [(ALL, "With a result", finished), (results.BAD, "Failed", failed)]
    found = batch.summary
    bad = [
        ("failed", "Failed", found.failed),
        ("cancelled", "Cancelled", found.cancelled),
        ("unfinished", "Unfinished", found.unfinished),
    ]
    named = [each for each in bad if each[2]]
    if len(named) == 1:
        named = [(results.BAD, named[0][1], named[0][2])]
    elif named:
        named = [(results.BAD, "Without output", sum(number for _, _, number in named)), *named]
    good = [("succeeded", "Done", found.succeeded), ("skipped", "Up to date", found.skipped)]
    return [(ALL, "All", found.total), *named, *(each for each in good if each[2])]


def _course(ledger: Ledger, numbers: Numbers | None) -> Course:
    if numbers is None or ledger.plan is None:
        return Course()
    jobs = numbers.succeeded + numbers.failed + numbers.in_flight
    return ledger.course(numbers.finished, numbers.skipped, jobs)


def _now() -> datetime:
    return datetime.now(timezone.utc)
