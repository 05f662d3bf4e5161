"""What happens in a round: all of it is drawn from the round's seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from airflow_provider_ci.client import DocProcess, PicProcess, RetryPolicy
from tests.soak.child import Work
from tests.soak.server import FLAKY, ServerOptions

LEASE_SECONDS = 3.0
VERSIONED_LEASE_SECONDS = 8.0
"""In a bucket with versioning a run takes the more of its lease's time to be sure that it alone has it."""
TIMEOUT_SECONDS = 2.0
"""Of a request. What takes longer, the client gives up."""
_SHORT_SECONDS = 0.1
_LONG_SECONDS = TIMEOUT_SECONDS + 0.2
"""A little longer than that; the service has still heard the request well within the time to settle."""

REQUESTS: Mapping[str, tuple[str, str]] = {
    "request": ("", ""),
    "submission": ("POST", "_jobs"),
    "job listing": ("GET", "_jobs?"),
    "object listing": ("GET", "/?"),
    "read of the ledger": ("GET", "/_ci_batches/"),
    "write to the ledger": ("PUT", "/_ci_batches/"),
    "lease": ("PUT", "/runs/"),
    "registry": ("PUT", "/_ci_batches.registry/"),
    "plan": ("PUT", "/plan.json"),
    "block": ("PUT", "/submitted/"),
    "results": ("PUT", "/results/"),
    "report": ("PUT", "/report.jsonl"),
}
"""The requests at which something may happen: method, and a part of the target."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """Something that happens at the ``number``-th request of a phase that is of this kind."""

    action: str
    request: str
    number: int
    seconds: float = 0.0
    fault: Mapping[str, object] | None = None

    def __str__(self) -> str:
        what = " ".join(str(value) for value in (self.fault or {}).values()) or self.action
        return f"{what} at {self.request} {self.number}"

    def matches(self, method: str, target: str) -> bool:
        """Whether it counts such a request."""
        wanted, part = REQUESTS[self.request]
        return wanted in ("", method) and part in target


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The batch until it ends well once."""

    name: str
    """``first``, ``again`` (nothing is left to do), ``changed`` (some objects are new) or ``never`` (all
    are done once more, by ``skip="never"``)."""
    work: Work
    events: tuple[Event, ...] = ()
    changed: tuple[str, ...] = ()
    """Objects that get new content before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A round."""

    seed: int
    contents: Mapping[str, bytes]
    """The objects."""
    server: ServerOptions
    echoes_user_data: bool
    """Whether the service shows the UserData of jobs; no page promises that."""
    phases: tuple[Phase, ...]

    @property
    def lease_seconds(self) -> float:
        """Of the batch, in all phases."""
        return float(self.phases[0].work.options["lease_seconds"])

    def __str__(self) -> str:
        work, delay = self.phases[0].work, self.server.listing_delay_seconds
        phases = "+".join(phase.name for phase in self.phases)
        mute = "" if self.echoes_user_data else ", no UserData"
        behind = f", listings {delay:.1f} s behind" if delay else ""
        versioned = ", versioning" if self.server.is_versioned else ""
        what = f"{len(self.contents)} objects to {work.output.rpartition('.')[2]}, {phases}"
        return f"{what}{mute}{behind}{versioned}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    suffix: str
    operation: DocProcess | PicProcess
    output: str


_KINDS = (
    _Kind(suffix=".docx", operation=DocProcess(target="pdf"), output="out/{dir}{stem}.pdf"),
    _Kind(suffix=".docx", operation=DocProcess(target="pdf"), output="out/{dir}{stem}.pdf"),
    _Kind(
        suffix=".docx",
        operation=DocProcess(target="png", end_page=2),
        output="out/{dir}{stem}-${Number}.png",
    ),
    _Kind(suffix=".png", operation=PicProcess("imageMogr2/thumbnail/!50p"), output="out/{dir}{name}"),
)

_BATCH_KILLS = (
    "kill the batch before",
    "kill the batch after",
    "kill the batch soon after",
    "kill the batch, which is heard late",
)
_SERVER_KILLS = ("kill the server before", "kill the server while", "kill the server after")
_OVERTAKING = "let a rival overtake"
_RIVALS = ("start a rival", "freeze the batch", "freeze the batch, which is heard late", _OVERTAKING)
ACTIONS = (*_BATCH_KILLS, *_SERVER_KILLS, *_RIVALS, "fault")
"""All that may happen."""

_REQUESTS = ("request", "request", "submission", "submission", *REQUESTS)
_WRITES = ("lease", "registry", "plan", "block", "results")

_SUBMISSION = {"method": "POST"}
_LEDGER = {"method": "PUT", "path": "/_ci_batches/"}
_JOBS = {"method": "GET", "host": "ci"}
_LISTING = {"method": "GET", "path": "/", "host": "cos"}
_SLOW_DOWN = {"status": 429, "code": "SlowDown"}
_HEARD_AFTER_TIMEOUT = {"action": "slow", "seconds": _LONG_SECONDS, **_SUBMISSION}
FAULTS: tuple[Mapping[str, object], ...] = (
    {"action": "cut_before", **_SUBMISSION},
    {"action": "cut_after", **_SUBMISSION},
    {"action": "cut_after", **_LEDGER},
    {"action": "cut_before", **_LEDGER},
    {"action": "cut_after", **_JOBS},
    {"action": "cut_after"},
    {"action": "error", **_SLOW_DOWN},
    {"action": "error", **_SLOW_DOWN, **_SUBMISSION},
    {"action": "error", "status": 503, "code": "ServiceUnavailable"},
    {"action": "error", "status": 500, "code": "InternalError"},
    {"action": "error", "status": 500, "code": "InternalError", **_SUBMISSION},
    {"action": "error_after", "status": 500, **_SUBMISSION},
    {"action": "error_after", "status": 503, **_SUBMISSION},
    {"action": "error_after", "status": 500, **_LEDGER},
    {"action": "truncate", **_LISTING},
    {"action": "truncate", **_JOBS},
    {"action": "truncate", **_SUBMISSION},
    {"action": "slow", "seconds": _SHORT_SECONDS},
    _HEARD_AFTER_TIMEOUT,
    {"action": "late", "seconds": _SHORT_SECONDS, **_SUBMISSION},
    {"action": "late", "seconds": _LONG_SECONDS, **_SUBMISSION},
)
_FAULTS_OF_ONE = ("slow", "late")
_MOST_FAULTS = 4
_WINDOWS = (1, 2, 3, 5, 10, 20, 1000)
_ROUNDS = 12
"""So often is a window filled, at most."""
_KILLS = (1, 1, 1, 2, 2, 3)
_KILLS_WITH_VERSIONING = (1,)
"""Each takes the time of a long lease."""
_NO_RIVALS = 6
"""So many are the chances for none, where each kind of rival has one; with versioning there is but one."""


def draw(seed: int) -> Scenario:
    """The round of this seed."""
    dice = Random(seed)
    kind = dice.choice(_KINDS)
    contents = dict(_objects(dice, kind.suffix))
    server = _server(dice, len(contents))
    work = _work(dice, seed, kind, contents, server)
    return Scenario(
        seed=seed,
        contents=contents,
        server=server,
        echoes_user_data=dice.random() < 0.8,
        phases=(
            Phase(name="first", work=work, events=_events(dice, server, len(contents), rivals=True)),
            *_later_phases(dice, work, server, contents),
        ),
    )


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
    options: dict[str, Any] = {
        "skip": dice.choice(("fresh", "fresh", "exists")),
        "max_in_flight": dice.choice([size for size in _WINDOWS if size * _ROUNDS >= len(contents)]),
        "threads": dice.choice((1, 4, 16)),
        "object_attempts": 3,
        "lease_seconds": VERSIONED_LEASE_SECONDS if server.is_versioned else LEASE_SECONDS,
        "outage_seconds": 0.3 if is_hasty else 60.0,
    }
    patient = RetryPolicy(max_attempts=12, max_seconds=30, first_wait_seconds=0.05, max_wait_seconds=0.5)
    return Work(
        batch_id=f"soak/{seed}",
        operation=kind.operation,
        output=kind.output,
        keys=tuple(contents) if dice.random() < 0.3 else None,
        options=options,
        timeout_seconds=TIMEOUT_SECONDS,
        retry=RetryPolicy(max_attempts=2, first_wait_seconds=0.05) if is_hasty else patient,
        is_hasty=is_hasty,
    )


def _server(dice: Random, objects: int) -> ServerOptions:
    workers = dice.choice((1, 2, 4))
    return ServerOptions(
        workers=workers,
        job_seconds=min(dice.choice((0.0, 0.0, 0.02, 0.1)), 1.5 * workers / objects),
        latency_ms=dice.choice((0, 0, 0, 5, 20)),
        queue_size=dice.choice((10_000, 10_000, 10_000, 3, 10)),
        listing_delay_seconds=dice.uniform(0.5, 3.0) if dice.random() < 0.25 else 0.0,
        is_versioned=dice.random() < 0.25,
    )


def _later_phases(
    dice: Random, work: Work, server: ServerOptions, contents: Mapping[str, bytes]
) -> list[Phase]:
    name = dice.choice(("", "", "again", "changed", "never"))
    events = _events(dice, server, len(contents), rivals=False) if dice.random() < 0.5 else ()
    if name == "again":
        return [Phase(name=name, work=work)]
    if name == "changed" and work.options["skip"] == "fresh":
        changed = tuple(dice.sample(sorted(contents), max(1, len(contents) // 4)))
        return [Phase(name=name, work=work, events=events, changed=changed)]
    if name == "never":
        redo = replace(work, options={**work.options, "skip": "never"})
        return [Phase(name=name, work=redo, events=events)]
    return []


def _events(dice: Random, server: ServerOptions, objects: int, *, rivals: bool) -> tuple[Event, ...]:
    most = dice.choice(_KILLS_WITH_VERSIONING if server.is_versioned else _KILLS)
    kills = [_kill(dice, objects) for _ in range(most)]
    alone = ("",) * (1 if server.is_versioned else _NO_RIVALS)
    rival = dice.choice((*_RIVALS, *alone)) if rivals else ""
    requests = _WRITES if rival == _OVERTAKING else _REQUESTS
    extra = [Event(action=rival, **_moment(dice, objects, requests))] if rival else []
    is_left_alone = all(event.action in _SERVER_KILLS for event in (*kills, *extra))
    faults = [_fault(dice, objects, is_left_alone=is_left_alone) for _ in range(dice.choice((0, 0, 1, 2, 3)))]
    return (*kills, *faults, *extra)


def _kill(dice: Random, objects: int) -> Event:
    action = dice.choice((*_BATCH_KILLS, *_SERVER_KILLS))
    return Event(action=action, seconds=dice.uniform(0.0, 0.1), **_moment(dice, objects))


def _fault(dice: Random, objects: int, *, is_left_alone: bool) -> Event:
    fault = dict(dice.choice(FAULTS))
    if fault == _HEARD_AFTER_TIMEOUT and not is_left_alone:
        # The next run takes over sooner than the service hears of this: that nobody can promise.
        fault["seconds"] = _SHORT_SECONDS
    is_one = fault["action"] in _FAULTS_OF_ONE
    fault["count"] = 1 if is_one else dice.randint(1, _MOST_FAULTS)
    return Event(action="fault", fault=fault, **_moment(dice, objects))


def _moment(dice: Random, objects: int, requests: tuple[str, ...] = _REQUESTS) -> dict[str, Any]:
    """A request that is likely to come: each kind has its own usual number."""
    request = dice.choice(requests)
    most = {"request": 2 * objects + 20, "submission": objects, "job listing": 6, "write to the ledger": 12}
    return {"request": request, "number": dice.randint(1, most.get(request, 3))}
