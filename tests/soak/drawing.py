"""Draws a round; everything in the round depends only on its seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from airflow_provider_ci.batch import Step
from airflow_provider_ci.client import DocProcess, PicProcess, RetryPolicy
from airflow_provider_ci.local.jobs.queues import DOC, PIC, id_of_queue
from tests.soak.child import Work, WrongClock
from tests.soak.scenario import LONG_LEASE_SECONDS, REQUESTS, Event, Phase, Scenario
from tests.soak.server import BUCKET, FLAKY, ServerOptions

LEASE_SECONDS = 3.0
VERSIONED_LEASE_SECONDS = 8.0
"""Longer, because each change of the registry takes several seconds in a bucket with versioning."""
TIMEOUT_SECONDS = 2.0
"""Timeout of a request: the client gives up on a request that takes longer."""
_SHORT_SECONDS = 0.1
_LONG_SECONDS = TIMEOUT_SECONDS + 0.2
"""A little longer than the timeout: the client gives up, but the service still takes the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    suffix: str
    operations: Mapping[str, Step]
    changed: Mapping[str, DocProcess | PicProcess]
    """Step -> its operation in a later phase, where a batch makes the same outputs in another way."""
    categories: tuple[str, ...] = (DOC,)
    """Categories of the queues that take the jobs."""


_PDF = _Kind(
    suffix=".docx",
    operations={"": Step(DocProcess(target="pdf"), "out/{dir}{stem}.pdf")},
    changed={"": DocProcess(target="pdf", end_page=3)},
)
_PNG = _Kind(
    suffix=".docx",
    operations={"": Step(DocProcess(target="png", end_page=2), "out/{dir}{stem}-${Number}.png")},
    changed={"": DocProcess(target="png", end_page=2, image_dpi=300)},
)
_PICTURE = _Kind(
    suffix=".png",
    operations={"": Step(PicProcess("imageMogr2/thumbnail/!50p"), "out/{dir}{name}")},
    changed={"": PicProcess("imageMogr2/thumbnail/!25p")},
    categories=(PIC,),
)
_OUTPUTS = _Kind(
    suffix=".docx",
    operations={
        "pdf": Step(DocProcess(target="pdf"), "out/pdf/{dir}{stem}.pdf"),
        "page": Step(DocProcess(target="jpg", start_page=1, end_page=1), "out/page/{dir}{stem}.jpg"),
    },
    changed={
        "pdf": DocProcess(target="pdf", end_page=3),
        "page": DocProcess(target="jpg", start_page=2, end_page=2),
    },
)
_CHAIN = _Kind(
    suffix=".docx",
    operations={
        "pdf": Step(DocProcess(target="pdf"), "out/{dir}{stem}.pdf"),
        "page": Step(DocProcess(target="jpg", start_page=1, end_page=1), "out/{dir}{stem}.jpg", after="pdf"),
        "small": Step(PicProcess("imageMogr2/thumbnail/!50p"), "out/small/{dir}{stem}.jpg", after="page"),
    },
    changed={"pdf": DocProcess(target="pdf", end_page=3)},
    categories=(DOC, PIC),
)
_KINDS = (_PDF, _PDF, _PNG, _PICTURE, _OUTPUTS, _CHAIN, _CHAIN)

_BATCH_KILLS = (
    "kill the batch before",
    "kill the batch after",
    "kill the batch soon after",
    "kill the batch, request arrives late",
)
_SERVER_KILLS = ("kill the server before", "kill the server while", "kill the server after")
_OVERTAKING = "let a rival overtake"
_RIVALS = ("start a rival", "freeze the batch", "freeze the batch, request arrives late", _OVERTAKING)
_OTHER = "start another batch"
_DELETION = "delete records"
_JUMP = "let the service's clock jump"
ACTIONS = (*_BATCH_KILLS, *_SERVER_KILLS, *_RIVALS, _OTHER, _DELETION, _JUMP, "fault")
"""All actions of events."""
DELETIONS = ("all", "some", "registry", "plan", "results", "runs", "index")
"""The choices for the records that are deleted, as :func:`delete_records` names them."""
_DELETES_REGISTRY = ("all", "some", "registry")
"""Those of them that can delete the states of the registry."""

_REQUESTS = ("request", "request", "submission", "submission", *REQUESTS)
_WRITES = ("lease", "registry", "plan", "block", "results")

_SUBMISSION = {"method": "POST"}
_LEDGER = {"method": "PUT", "path": "/_ci_batches/"}
_JOBS = {"method": "GET", "host": "ci"}
_LISTING = {"method": "GET", "path": "/", "host": "cos"}
_SLOW_DOWN = {"status": 429, "code": "SlowDown"}
_SLOW_DOWN_INSIDE = {"status": 200, "code": "SlowDown"}
_TAKEN_LATE = {"action": "taken_late", **_SUBMISSION}
_TAKEN_AFTER_TIMEOUT = {"action": "slow", "seconds": _LONG_SECONDS, **_SUBMISSION}
FAULTS: tuple[Mapping[str, object], ...] = (
    {"action": "cut_before", **_SUBMISSION},
    {"action": "cut_after", **_SUBMISSION},
    {"action": "cut_after", **_LEDGER},
    {"action": "cut_before", **_LEDGER},
    {"action": "cut_after", **_JOBS},
    {"action": "cut_after"},
    {"action": "error", **_SLOW_DOWN},
    {"action": "error", **_SLOW_DOWN, **_SUBMISSION},
    {"action": "error", **_SLOW_DOWN_INSIDE, **_SUBMISSION},
    {"action": "error", **_SLOW_DOWN_INSIDE, **_JOBS},
    {"action": "error", **_SLOW_DOWN_INSIDE, **_LISTING},
    {"action": "error", **_SLOW_DOWN_INSIDE, **_LEDGER},
    {"action": "error", "status": 503, "code": "ServiceUnavailable"},
    {"action": "error", "status": 500, "code": "InternalError"},
    {"action": "error", "status": 500, "code": "InternalError", **_SUBMISSION},
    {"action": "error_after", "status": 500, **_SUBMISSION},
    {"action": "error_after", "status": 503, **_SUBMISSION},
    {"action": "error_after", "status": 500, **_LEDGER},
    {"action": "page", **_LEDGER},
    {"action": "page", **_JOBS},
    {"action": "page_after", **_SUBMISSION},
    {"action": "page_after", "status": 404, **_SUBMISSION},
    {"action": "page_after", "status": 408, **_SUBMISSION},
    {"action": "truncate", **_LISTING},
    {"action": "truncate", **_JOBS},
    {"action": "truncate", **_SUBMISSION},
    {"action": "slow", "seconds": _SHORT_SECONDS},
    _TAKEN_AFTER_TIMEOUT,
    _TAKEN_LATE,
    _TAKEN_LATE,
    {"action": "late", "seconds": _SHORT_SECONDS, **_SUBMISSION},
    {"action": "late", "seconds": _LONG_SECONDS, **_SUBMISSION},
)
_OF_ONE_REQUEST = ("slow", "late")
_MOST_FAULTS = 4
_WINDOWS = (1, 2, 3, 5, 10, 20, 1000)
_FILLINGS = 12
"""Maximum number of times that a round fills its window with jobs."""
_KILLS = (1, 1, 1, 2, 2, 3)
_KILLS_WITH_VERSIONING = (1,)
"""After each kill, the next try waits until a long lease has expired."""
_COMPANY = (*_RIVALS, _OTHER, _OTHER, _JUMP, "", "", "", "")
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
"""Trait of the service -> share of rounds that have the trait, and a function that draws its value."""

TRAITS = tuple(_DRAWS)
"""Names of all traits of the service that can be drawn."""


def draw(seed: int) -> Scenario:
    """Draw the round of this seed."""
    dice = Random(seed)
    kind = dice.choice(_KINDS)
    contents = dict(_objects(dice, kind.suffix))
    deletes = dice.choice(DELETIONS) if dice.random() < 0.2 else ""
    server = _server(dice, len(contents), deletes)
    work = _with_queues(_work(dice, seed, kind, contents, server), kind, server)
    is_forgetful = "forget_jobs_seconds" in server.traits
    first = Phase(
        name="first",
        work=work,
        other=_other(dice, work, contents),
        events=_events(dice, server, work, len(contents), deletes, alone=bool(deletes) or is_forgetful),
    )
    later = _later_phases(dice, kind, work, server, contents, deletes)
    return Scenario(seed=seed, contents=contents, server=server, phases=(first, *later), deletes=deletes)


def _objects(dice: Random, suffix: str) -> list[tuple[str, bytes]]:
    count = dice.choice((5, 8, 12, 12, 20, 20, 35, 60))
    flaky = dice.choice((0.0, 0.0, 0.1, 0.3))
    return [
        (f"in/{dice.choice(('', 'a/', 'a b/'))}{number:02}{suffix}", _content(dice, number, flaky))
        for number in range(count)
    ]


def _content(dice: Random, number: int, flaky: float) -> bytes:
    if dice.random() < flaky:
        return FLAKY + f"{dice.randint(1, 2)} {number}".encode()
    return f"object {number}".encode()


def _work(dice: Random, seed: int, kind: _Kind, contents: Mapping[str, bytes], server: ServerOptions) -> Work:
    is_hasty = dice.random() < 0.3
    lease = VERSIONED_LEASE_SECONDS if server.is_versioned else LEASE_SECONDS
    options: dict[str, Any] = {
        "skip": dice.choice(("fresh", "fresh", "exists")),
        "max_in_flight": dice.choice([size for size in _WINDOWS if size * _FILLINGS >= len(contents)]),
        "threads": dice.choice((1, 4, 16)),
        "object_attempts": 3,
        "lease_seconds": LONG_LEASE_SECONDS if dice.random() < 0.04 else lease,
        "outage_seconds": 0.3 if is_hasty else 90.0,
    }
    patient = RetryPolicy(max_attempts=12, max_seconds=30, first_wait_seconds=0.05, max_wait_seconds=0.5)
    return Work(
        batch_id=f"soak/{seed}",
        operations=kind.operations,
        has_rows=dice.random() < 0.3,
        keys=tuple(contents) if dice.random() < 0.3 else None,
        clock=_clock(dice),
        options=options,
        timeout_seconds=TIMEOUT_SECONDS,
        retry=RetryPolicy(max_attempts=2, first_wait_seconds=0.05) if is_hasty else patient,
        is_hasty=is_hasty,
    )


def _with_queues(work: Work, kind: _Kind, server: ServerOptions) -> Work:
    """The same batch, with all queues of the bucket if there are several."""
    if server.queues == 1:
        return work
    suffixes = ("", *(f"/{number}" for number in range(2, server.queues + 1)))
    ids = [id_of_queue(BUCKET, category, suffix) for category in kind.categories for suffix in suffixes]
    return replace(work, options={**work.options, "queue_ids": tuple(ids)})


def _clock(dice: Random) -> WrongClock:
    if dice.random() < 0.8:
        return WrongClock()
    offset, jump = dice.choice((-90_000, -600, -40, 7, 600, 86_400)), dice.choice((0, 0, -300, 86_400))
    return WrongClock(offset=offset, jump=jump, readings=dice.randint(1, 40))


def _server(dice: Random, objects: int, deletes: str) -> ServerOptions:
    workers = dice.choice((1, 2, 4))
    drawn = ServerOptions(
        workers=workers,
        job_seconds=min(dice.choice((0.0, 0.0, 0.02, 0.1)), 1.5 * workers / objects),
        latency_ms=dice.choice((0, 0, 0, 5, 20)),
        queue_size=dice.choice((10_000, 10_000, 10_000, 3, 10)),
        queues=dice.choice((1, 1, 2)),
        listing_delay_seconds=dice.uniform(0.5, 3.0) if dice.random() < 0.2 else 0.0,
        is_versioned=dice.random() < 0.15,
        traits=_traits(dice, may_forget=not deletes),
    )
    # Neither the listing nor its first state would show the registry, so a run would begin another one.
    return replace(drawn, listing_delay_seconds=0.0) if deletes in _DELETES_REGISTRY else drawn


def _traits(dice: Random, *, may_forget: bool) -> dict[str, Any]:
    """Draw traits of the service that can be combined."""
    drawn = {name: draw(dice) for name, (share, draw) in _DRAWS.items() if dice.random() < share}
    if not may_forget:
        drawn.pop("forget_jobs_seconds", None)
    if "forget_jobs_seconds" in drawn:
        drawn.pop("hide_jobs_seconds", None)  # otherwise a job might never be visible
    return drawn


def _other(dice: Random, work: Work, contents: Mapping[str, bytes]) -> Work:
    """Draw another batch over some of the objects; it runs only if an event starts it."""
    batch_id = f"{work.batch_id} beside"
    if work.keys is not None:
        keys = dice.sample(sorted(contents), dice.randint(1, len(contents)))
        return replace(work, batch_id=batch_id, keys=tuple(keys))
    if any(key.startswith("in/a/") for key in contents) and dice.random() < 0.5:
        operations = {
            name: replace(step, output=step.output.replace("{dir}", "a/{dir}"))
            for name, step in work.operations.items()
        }
        return replace(work, batch_id=batch_id, folder="in/a/", operations=operations)
    return replace(work, batch_id=batch_id)


def _later_phases(
    dice: Random,
    kind: _Kind,
    work: Work,
    server: ServerOptions,
    contents: Mapping[str, bytes],
    deletes: str,
) -> list[Phase]:
    name = dice.choice(("", "", "again", "changed", "operation", "never"))
    events: tuple[Event, ...] = ()
    if dice.random() < 0.5:
        events = _events(dice, server, work, len(contents), deletes, alone=True)
    elsewhere = replace(work, batch_id=f"{work.batch_id}/next") if dice.random() < 0.5 else work
    if name == "again":
        return [Phase(name=name, work=elsewhere)]
    if name == "changed" and work.options["skip"] == "fresh":
        changed = tuple(dice.sample(sorted(contents), max(1, len(contents) // 4)))
        return [Phase(name=name, work=elsewhere, events=events, changed=changed)]
    if name == "operation" and work.options["skip"] == "fresh" and not deletes:
        # Not with deletions: without the index, the operation that made an output is unknown.
        operations = {
            step: replace(content, operation=kind.changed.get(step, content.operation))
            for step, content in elsewhere.operations.items()
        }
        return [Phase(name=name, work=replace(elsewhere, operations=operations), events=events)]
    if name == "never" and not deletes:
        redo = replace(work, options={**work.options, "skip": "never"})
        return [Phase(name=name, work=redo, events=events)]
    return []


def _events(
    dice: Random, server: ServerOptions, work: Work, objects: int, deletes: str, *, alone: bool
) -> tuple[Event, ...]:
    """Draw the events of a phase.

    :param alone: draw no event that starts another process: the processes would not know of each other.
    """
    lease = float(work.options["lease_seconds"])
    extra = _company(dice, objects, lease, alone=alone)
    if deletes:
        extra += [Event(action=_DELETION, **_moment(dice, objects)) for _ in range(dice.choice((0, 1, 1, 2)))]
    kills = []
    if not _is_forgetful(server) and not any(event.action == _JUMP for event in extra):
        most = dice.choice(_KILLS if lease == LEASE_SECONDS else _KILLS_WITH_VERSIONING)
        may_die = lease < LONG_LEASE_SECONDS
        kills = [_kill(dice, objects, may_die=may_die) for _ in range(most)]
    count = dice.choice((0, 0, 1, 2, 3))
    if lease == LONG_LEASE_SECONDS:
        count = 1
    faults = [_fault(dice, work, objects, deletes) for _ in range(count)]
    if _is_forgetful(server):  # no fault may lose the response to a submission
        faults = [each for each in faults if each.fault and each.fault.get("method") in ("GET", "PUT")]
    return (*kills, *faults, *extra)


def _company(dice: Random, objects: int, lease: float, *, alone: bool) -> list[Event]:
    # With versioning, a change of the registry takes longer than this lease: a lost one cannot be renewed.
    action = dice.choice(_COMPANY if lease == LEASE_SECONDS else (_OTHER, "start a rival", "", ""))
    if not action or (alone and action != _JUMP):
        return []
    moment = _moment(dice, objects, _WRITES if action == _OVERTAKING else _REQUESTS)
    if action == _OTHER:
        moment["number"] = min(moment["number"], objects)  # before the phase ends
    # After a jump back, signatures are valid for longer, and new jobs look older than known jobs.
    seconds = dice.choice((-30, 30, 600, 90_000)) if action == _JUMP else 0.0
    return [Event(action=action, seconds=seconds, **moment)]


def _is_forgetful(server: ServerOptions) -> bool:
    """Whether the service may forget a job before the next run after a crash can find the job."""
    return "forget_jobs_seconds" in server.traits


def _kill(dice: Random, objects: int, *, may_die: bool) -> Event:
    action = dice.choice((*_BATCH_KILLS, *_SERVER_KILLS) if may_die else _SERVER_KILLS)
    return Event(action=action, seconds=dice.uniform(0.0, 0.1), **_moment(dice, objects))


def _fault(dice: Random, work: Work, objects: int, deletes: str) -> Event:
    fault = dict(dice.choice(FAULTS))
    lease = work.options["lease_seconds"]
    if lease == LONG_LEASE_SECONDS:
        fault = dict(_TAKEN_LATE)
    if fault == _TAKEN_LATE:
        # The service takes some just before their signature expires, and refuses others after that.
        fault["seconds"] = dice.uniform(0.1, lease) if not deletes else _SHORT_SECONDS
    if fault == _TAKEN_AFTER_TIMEOUT and deletes:
        fault["seconds"] = _SHORT_SECONDS
    is_one = fault["action"] in _OF_ONE_REQUEST
    fault["count"] = 1 if is_one else dice.randint(1, _MOST_FAULTS)
    moment = _moment(dice, objects)
    if lease == LONG_LEASE_SECONDS:
        moment["number"] = 1
    return Event(action="fault", fault=fault, **moment)


def _moment(dice: Random, objects: int, requests: tuple[str, ...] = _REQUESTS) -> dict[str, Any]:
    """Draw a kind of request, and a number that the requests of this kind are likely to reach."""
    request = dice.choice(requests)
    most = {"request": 2 * objects + 20, "submission": objects, "job listing": 6, "write to the ledger": 12}
    return {"request": request, "number": dice.randint(1, most.get(request, 3))}
