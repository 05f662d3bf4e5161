"""The parts of a round: its objects, its batches in several phases, its server, and its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.soak.child import Work, WrongClock
from tests.soak.server import ServerOptions

LONG_LEASE_SECONDS = 60.0

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
"""Kinds of requests at which an event may happen: name -> method, and a part of the request's target."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """An action that happens at the ``number``-th request of a kind in a phase."""

    action: str
    request: str
    number: int
    seconds: float = 0.0
    fault: Mapping[str, object] | None = None

    def __str__(self) -> str:
        what = " ".join(str(value) for value in (self.fault or {}).values()) or self.action
        return f"{what} at {self.request} {self.number}"

    def matches(self, method: str, target: str) -> bool:
        """Whether a request is of the kind that this event counts."""
        wanted, part = REQUESTS[self.request]
        return wanted in ("", method) and part in target


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One part of a round: the batch is started again and again until it completes once."""

    name: str
    """``first``; ``again`` (nothing is left to do); ``changed`` (some objects have new content);
    ``operation`` (another operation for the same outputs); ``never`` (everything is made again, by
    ``skip="never"``)."""
    work: Work
    other: Work | None = None
    """Another batch, whose outputs are a subset of the outputs of ``work``."""
    events: tuple[Event, ...] = ()
    changed: tuple[str, ...] = ()
    """Keys of the objects that get new content before the phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A round as drawn from its seed."""

    seed: int
    contents: Mapping[str, bytes]
    """Key of each object -> its content."""
    server: ServerOptions
    phases: tuple[Phase, ...]
    deletes: str = ""
    """The records that are deleted before each new try and by events: ``all``, ``some`` or a kind of records;
    empty if none are deleted."""

    @property
    def lease_seconds(self) -> float:
        """Duration of the batch's lease, which is the same in all phases."""
        return float(self.phases[0].work.options["lease_seconds"])

    @property
    def traits(self) -> tuple[str, ...]:
        """Everything about the service and the machine that is unusual in this round, in words."""
        server, clock = self.server, self.phases[0].work.clock
        words = [f"{name} {value}" for name, value in server.traits.items()]
        if server.listing_delay_seconds:
            words.append(f"listings {server.listing_delay_seconds:.1f} s behind")
        if server.is_versioned:
            words.append("versioning")
        if isinstance(clock, WrongClock) and (clock.offset or clock.jump):
            words.append(f"machine's clock {clock.offset:+g} s, then {clock.jump:+g} s")
        if self.deletes:
            words.append(f"deletes {self.deletes}")
        if self.phases[0].work.has_rows:
            words.append("rows")
        if queues := self.phases[0].work.options.get("queue_ids"):
            words.append(f"{len(queues)} queues")
        if self.lease_seconds == LONG_LEASE_SECONDS:
            words.append("long lease")
        return tuple(words)

    def __str__(self) -> str:
        phases = "+".join(phase.name for phase in self.phases)
        steps = self.phases[0].work.operations.values()
        targets = (" after " if any(step.after for step in steps) else " and ").join(
            step.output.rpartition(".")[2] for step in steps
        )
        return ", ".join((f"{len(self.contents)} objects to {targets}", phases, *self.traits))
