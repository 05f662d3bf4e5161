"""A converter process: one JSON line in, one JSON line out, killed with its whole group at a deadline."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError, ConvertersClosedError

# A worker that runs wild must not fill the server's memory.
_LONGEST_ANSWER: Final = 64 * 1024**2
_LOG_CHARACTERS: Final = 2000

_log = logging.getLogger(__name__)


class ProcessEndedError(Exception):
    """The process ended, or spoke nonsense, instead of answering."""


class Deadline:
    """A point in time that a call must end by."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Give the seconds left, or raise the Timeout that fails the job."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> ConversionError:
        """Give the error of a call that did not end in time."""
        return ConversionError(
            errors.TIMEOUT, f"the conversion did not end within {self.seconds:g} s and was stopped"
        )


class LineProcess:
    """A child in its own session, spoken to from one thread at a time.

    The child is to end when its stdin does, so that it also goes when this process is killed.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> None:
        with log.open("wb") as stderr:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                # Unbuffered, because poll() does not see bytes in a buffer of Python's.
                bufsize=0,
                env=dict(environment),
                # A group of its own, so that kill_group() reaches LibreOffice, too.
                start_new_session=True,
            )
        self._unread = b""

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._child.pid

    def is_alive(self) -> bool:
        """Tell whether the process still runs; it is not waited for, so that its group keeps its id."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def call(self, request: Mapping[str, object], deadline: Deadline) -> dict[str, Any]:
        """Send one request and give its answer.

        Raises ProcessEndedError, or the deadline's ConversionError; after either the process is of no use.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise ProcessEndedError(str(error)) from error
        return self.receive(deadline)

    def receive(self, deadline: Deadline) -> dict[str, Any]:
        """Wait for the next line of the process."""
        while b"\n" not in self._unread:
            self._unread += self._read(deadline)
        line, self._unread = self._unread.split(b"\n", 1)
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise ProcessEndedError("the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise ProcessEndedError("the answer is not a JSON object")
        return answer

    def _read(self, deadline: Deadline) -> bytes:
        assert self._child.stdout is not None
        poll = select.poll()  # select.select refuses file numbers over 1023
        poll.register(self._child.stdout, select.POLLIN)
        if not poll.poll(deadline.left() * 1000):
            raise deadline.error()
        data = os.read(self._child.stdout.fileno(), 1 << 16)
        if not data or len(self._unread) > _LONGEST_ANSWER:
            raise ProcessEndedError("the process ended")
        return data

    def kill_group(self) -> None:
        """Kill the process and everything it started. Call it before ``close``, from any thread."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Wait for the killed process and let go of its pipes."""
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()


class Worker(ABC):
    """A process that is started on first use and replaced after a crash or a deadline.

    Used by one thread at a time; only ``interrupt`` may come from another. ``leftovers`` are files and
    folders that go with the process, ``*`` stands for anything in the last part of their names.
    """

    crash_message = "the converter crashed"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_interrupted = False
        self._log_file = Path(os.devnull)
        self.process: LineProcess | None = None
        self.leftovers: list[Path] = []
        self.starts = 0
        self.answered = 0

    @abstractmethod
    def start(self) -> None:
        """Start the process with ``launch`` and make sure that it can be asked."""

    def ask(self, request: Mapping[str, object], deadline: Deadline) -> dict[str, Any]:
        """Send a request and give its answer; every failure is a ConversionError.

        Only a crash of a fresh process is blamed on the request. A process that has answered before is
        replaced, and the new one gets the request once more.
        """
        while True:
            process = self._running(deadline)
            is_fresh = self.answered == 0
            try:
                answer = process.call(request, deadline)
            except ProcessEndedError as error:
                # close() kills workers on purpose, which needs no warning.
                if not self._is_interrupted:
                    _log.warning("%s: %s", self.crash_message, self.last_words() or error)
                self.stop()
                if is_fresh:
                    raise ConversionError(errors.CONVERTER_CRASHED, self.crash_message) from None
            except ConversionError:
                self.stop()
                raise
            else:
                self.answered += 1
                return answer

    def _running(self, deadline: Deadline) -> LineProcess:
        if self.process is None or not self.process.is_alive():
            self.stop()
            # Raises if the time is used up, before a process is started for nothing.
            deadline.left()
            self.start()
            self.starts += 1
            self.answered = 0
        assert self.process is not None
        return self.process

    def launch(self, command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> LineProcess:
        """Start a process in the place of this worker; ConvertersClosedError after an interrupt."""
        with self._lock:
            if self._is_interrupted:
                raise ConvertersClosedError("the converters are closed")
            self._log_file = log
            self.process = LineProcess(command, environment=environment, log=log)
            return self.process

    def last_words(self) -> str:
        """Give the end of what the process wrote to its log."""
        try:
            return self._log_file.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:].strip()
        except OSError:
            return ""

    def stop(self) -> None:
        """Kill the process with its group and remove the files it leaves behind."""
        with self._lock:
            if self.process is not None:
                self.process.kill_group()
                self.process.close()
            self.process = None
        for pattern in self.leftovers:
            for path in pattern.parent.glob(pattern.name):
                _remove(path)
        self.leftovers = []

    def interrupt(self) -> None:
        """Kill the process under the thread that waits for it, for good: no other will be started."""
        with self._lock:
            self._is_interrupted = True
            if self.process is not None:
                self.process.kill_group()


def checked(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Give a worker's answer, or raise the ConversionError that it holds; its detail is for the log alone."""
    if "code" in answer:
        if answer.get("detail"):
            _log.info("%s: %s", answer["code"], answer["detail"])
        raise ConversionError(answer["code"], answer["message"])
    return dict(answer)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
