"""What a round is: its objects, its batches in several phases, its server, and what happens to them."""

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
"""The requests at which something may happen: method, and a part of the target."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """Something that happens at the ``number``-th request of this kind in a phase."""

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
    """One part of a round: the batch is started until it completes once."""

    name: str
    """``first``; ``again`` (nothing is left to do); ``changed`` (some objects have new content);
    ``operation`` (another operation for the same outputs); ``never`` (everything is made again, by
    ``skip="never"``)."""
    work: Work
    other: Work | None = None
    """Another batch, whose outputs are a subset of this batch's outputs."""
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
    phases: tuple[Phase, ...]
    deletes: str = ""
    """Which records are deleted before each new try, and by events: ``all``, ``some``, or one kind of them;
    empty if none are."""

    @property
    def lease_seconds(self) -> float:
        """Of the batch, in all phases."""
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
