"""The log of a round, from its first request to its verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.scenario import Event, Scenario


@dataclass(slots=True, kw_only=True)
class Diary:
    """The log of a round: its threads write it, and it is read at the round's end."""

    scenario: Scenario
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)
    """Everything that went wrong; empty for a good round."""
    requests: int = 0
    tries: int = 0
    seconds: float = 0.0
    _happened: list[Event] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        happened = "; ".join(map(str, self._happened)) or "nothing happened"
        figures = f"{self.requests} requests, {self.tries} tries, {self.seconds:.1f} s"
        verdict = f"{self.lost} lost, {self.doubled} doubled, {len(self.problems)} problems"
        if not self.problems:
            verdict = "ok"
        return f"seed {self.scenario.seed}: {self.scenario} | {happened} | {figures} | {verdict}"

    def note(self, text: str) -> None:
        """Write a line with the time."""
        self._lines.append(f"{time.time():.3f} {text}")

    def note_request(self, text: str, event: Event | None) -> int:
        """Write a line for a request and the event that happens at it; return the request's number."""
        self.requests += 1
        if event:
            self._happened.append(event)
        self.note(f"{self.requests} {text}{f' [{event}]' if event else ''}")
        return self.requests

    def note_problem(self, text: str) -> None:
        """Write a line for a problem, and add it to the round's problems."""
        self.problems.append(text)
        self.note(f"PROBLEM {text}")

    def save(self, path: Path) -> None:
        """Write the problems and all lines to a file."""
        path.write_text("\n".join([str(self), *self.problems, "", *self._lines, ""]))
