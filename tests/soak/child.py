"""A try: one attempt to complete a batch, in a process of its own."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    BatchRunningError,
    ObjectSelection,
    OutputTemplate,
    Pace,
    Step,
)
from airflow_provider_ci.client import CIClient, CIError, Credentials, ObjectInfo, RetryPolicy
from airflow_provider_ci.client.http.clock import Clock
from airflow_provider_ci.jobs.in_flight import JobsInFlight
from airflow_provider_ci.local import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY
from tests.soak.server import BUCKET, PROCESSES

_UNKNOWN_SECONDS = 5.0


class Ending(str, Enum):
    """How a try ended."""

    DONE = "done"
    RUNNING = "running elsewhere"
    FAILED = "failed"
    """The batch failed because too many objects failed or were unfinished."""
    GAVE_UP = "gave up"
    """The try ended with another error of the client or the batch."""
    KILLED = "killed"
    CRASHED = "crashed"
    """The try ended with an exception that is not documented for callers."""
    HUNG = "hung"

    __str__ = str.__str__


@dataclass(slots=True, kw_only=True)
class WrongClock(Clock):
    """A wall clock ``offset`` seconds ahead, which jumps by ``jump`` seconds after ``readings`` readings."""

    offset: float = 0.0
    jump: float = 0.0
    readings: int = 20

    def now(self) -> float:
        self.readings -= 1
        return time.time() + self.offset + (self.jump if self.readings < 0 else 0.0)


@dataclass(slots=True, kw_only=True)
class PausedClock(Clock):
    """Clocks that stood still while the machine was paused; the file ``path`` holds the pause in seconds."""

    path: Path
    wall_goes_on: bool
    """Whether only the steady clock stood still, as after hibernation."""

    def now(self) -> float:
        return time.time() - (0.0 if self.wall_goes_on else self._paused_seconds)

    def monotonic(self) -> float:
        return time.monotonic() - self._paused_seconds

    @property
    def _paused_seconds(self) -> float:
        return float(self.path.read_text() or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A batch, the same for every try."""

    batch_id: str
    operations: Mapping[str, Step]
    """The steps of each object by name; the only step of a plain batch is named ``""``."""
    keys: tuple[str, ...] | None
    """The keys of the objects, or ``None`` to select all objects in ``folder``."""
    folder: str = "in/"
    clock: Clock = field(default_factory=Clock)
    """The clocks of the machine."""
    has_rows: bool = False
    """Whether objects have parameters of their own."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the batch."""
    timeout_seconds: float = 10.0
    """Timeout of one request."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    is_hasty: bool = False
    """Whether a try may give up when the service is unavailable."""

    def run(self, endpoint: str) -> str:
        """Run the batch; return the key of its report."""
        credentials = Credentials(secret_id=DEFAULT_SECRET_ID, secret_key=DEFAULT_SECRET_KEY)
        with CIClient(
            credentials,
            "ap-guangzhou",
            BUCKET,
            endpoint=endpoint,
            timeout=self.timeout_seconds,
            retry=self.retry,
            _clock=self.clock,
        ) as client:
            source = self.keys or ObjectSelection(prefix=self.folder)
            pace = Pace(shortest=0.02, longest=0.1)
            options = {**self.options, "batch_id": self.batch_id, "pace": pace}
            if self.has_rows:
                options["parameters"] = row_of
            only = self.operations.get("")
            if only is None:
                return Batch(client, source, operations=self.operations, **options).run().report_key
            return Batch(client, source, only.operation, only.output, **options).run().report_key

    def outputs_of(self, key: str) -> list[str]:
        """The first output of each step for an object."""
        prefix = "" if self.keys else self.folder
        return [
            OutputTemplate(text=step.output, prefix=prefix).first_output(key)
            for step in self.operations.values()
        ]


def row_of(info: ObjectInfo) -> dict[str, Any]:
    """Parameters of an object; they depend only on its key, so they are the same in every phase."""
    number = int("".join(each for each in info.key if each.isdigit()))
    own = {"is_pic_info": bool(number % 2)} if info.key.endswith(".png") else {"paper_size": number % 3}
    return {**own, "job_level": number % 3} if number % 4 else {}


class Child:
    """The process of one try."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._is_killed = False

    def __str__(self) -> str:
        return self.name

    def start(self, work: Work, port: int, log: Path) -> None:
        """Start the process; it reaches the service at ``port``."""
        self._said, sender = PROCESSES.Pipe(duplex=False)
        self._process = PROCESSES.Process(
            target=_run, args=(work, f"http://127.0.0.1:{port}", log, sender), daemon=True
        )
        self._process.start()
        sender.close()

    def kill(self) -> None:
        """End the process with SIGKILL."""
        self._is_killed = True
        self._process.kill()

    def freeze(self) -> None:
        """Suspend the process with SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process continue after :meth:`freeze`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process.pid
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def wait(self, seconds: float) -> tuple[Ending, str]:
        """Wait up to ``seconds``, then kill the process; return how it ended and its last message."""
        has_ended = self._said.poll(seconds)
        ending = self._last_words() if has_ended else (Ending.HUNG, f"no end after {seconds:g} s")
        self._process.kill()
        self._process.join()
        self._said.close()
        return ending

    def _last_words(self) -> tuple[Ending, str]:
        # The exit status is unreliable: each start of a process, in any thread, polls all processes.
        try:
            ending, text = self._said.recv()
            return ending, text
        except EOFError:
            return (Ending.KILLED, "") if self._is_killed else (Ending.CRASHED, "without a word")


def _run(work: Work, endpoint: str, log: Path, said: Connection) -> None:
    logging.basicConfig(filename=log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    assert JobsInFlight.__init__.__kwdefaults__  # a forgotten job is noticed sooner than after a minute
    JobsInFlight.__init__.__kwdefaults__["unknown_seconds"] = _UNKNOWN_SECONDS
    try:
        ending = Ending.DONE, work.run(endpoint)
    except BatchRunningError as error:
        ending = Ending.RUNNING, str(error)
    except BatchFailedError as error:
        ending = Ending.FAILED, str(error)
    except CIError as error:
        ending = Ending.GAVE_UP, str(error)
    except Exception as error:
        logging.exception("the try crashed")
        ending = Ending.CRASHED, repr(error)
    logging.info("%s: %s", *ending)
    said.send(ending)
