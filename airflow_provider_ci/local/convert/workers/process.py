"""A converter process: it exchanges JSON lines, and its whole process group is killed at a deadline."""

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
    """The process ended, or wrote an invalid response."""


class Deadline:
    """A point in time by which a call must end."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left; after the deadline, raise the ConversionError that fails the job."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> ConversionError:
        """Return the error of a call that did not end in time."""
        return ConversionError(
            errors.TIMEOUT, f"the conversion did not end within {self.seconds:g} s and was stopped"
        )


class LineProcess:
    """A child process in its own session; only one thread at a time may send requests to it.

    The child must exit when its stdin ends, so that it also ends when this process is killed.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> None:
        with log.open("wb") as stderr:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                # Unbuffered, because poll() does not see bytes in Python's buffer.
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
        """Return whether the process still runs; do not reap it, so that its group keeps its id."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def call(self, request: Mapping[str, object], deadline: Deadline) -> dict[str, Any]:
        """Send one request and return the response.

        Raises ProcessEndedError, or the deadline's ConversionError; after either, the process must not be
        used again.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise ProcessEndedError(str(error)) from error
        return self.receive(deadline)

    def receive(self, deadline: Deadline) -> dict[str, Any]:
        """Wait for the next JSON line of the process and return its object."""
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
        """Wait for the killed process and close its pipes."""
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()


class Worker(ABC):
    """A process that is started on first use and replaced after a crash or a deadline.

    Only one thread at a time may use a worker, but any thread may call ``interrupt``. ``leftovers`` are the
    files and folders to remove with the process; the last part of their paths may have the wildcard ``*``.
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
        """Start the process with ``launch`` and make sure that it can take requests."""

    def ask(self, request: Mapping[str, object], deadline: Deadline) -> dict[str, Any]:
        """Send a request and return the response; every failure is a ConversionError.

        If a process crashes that has answered before, a new process gets the request once more. Only the
        crash of a new process is blamed on the request.
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
            # Raises if no time is left, so that no process is started for nothing.
            deadline.left()
            self.start()
            self.starts += 1
            self.answered = 0
        assert self.process is not None
        return self.process

    def launch(self, command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> LineProcess:
        """Start the process of this worker; raise ConvertersClosedError after an interrupt."""
        with self._lock:
            if self._is_interrupted:
                raise ConvertersClosedError("the converters are closed")
            self._log_file = log
            self.process = LineProcess(command, environment=environment, log=log)
            return self.process

    def last_words(self) -> str:
        """Return the end of the process's log."""
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
        """Kill the process, even while another thread waits for it; no new process will be started."""
        with self._lock:
            self._is_interrupted = True
            if self.process is not None:
                self.process.kill_group()


def checked(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a worker's response, or raise the ConversionError that it holds; its detail is only logged."""
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
