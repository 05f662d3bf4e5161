"""A local CI in its own process, which can be killed and started again with the same root and port."""

from __future__ import annotations

import http.client
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import (
    ConversionError,
    DocumentResult,
    InstantConverters,
    PictureResult,
)

PROCESSES = multiprocessing.get_context("forkserver")
"""Forks each process from a process with finished imports: a start takes 0.1 s instead of 0.5 s."""
PROCESSES.set_forkserver_preload(["tests.soak.server", "tests.soak.child"])

BUCKET = "examplebucket-1250000000"
FAULTS_PATH = "/_local/faults"
TRAITS_PATH = "/_local/traits"
FLAKY = b"flaky "
_START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Options with which the server of a round is started."""

    workers: int = 2
    job_seconds: float = 0.0
    """Duration of each job."""
    latency_ms: int = 0
    queue_size: int = 10_000
    queues: int = 1
    """Number of the bucket's queues for each feature."""
    listing_delay_seconds: float = 0.0
    """Age that an object must have to appear in listings."""
    is_versioned: bool = False
    """Whether the bucket has versioning, so that a PUT replaces an object even if its headers forbid that."""
    traits: Mapping[str, Any] = field(default_factory=dict)
    """Further traits of the service, by the local CI's names for them."""


class FlakyConverters(InstantConverters):
    """Conversion that takes ``seconds``; an object whose content is ``flaky 2 …`` fails twice, then succeeds.

    The failures are counted in files in ``folder``, so that the counts survive a restart of the server.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__()
        self._folder = folder
        self._seconds = seconds

    def document(self, source: Path, *others: Any) -> DocumentResult:
        self._prepare(source)
        return super().document(source, *others)

    def picture(self, source: Path, *others: Any) -> PictureResult:
        self._prepare(source)
        return super().picture(source, *others)

    def _prepare(self, source: Path) -> None:
        time.sleep(self._seconds)
        content = source.read_bytes()
        if not content.startswith(FLAKY):
            return
        _, failures, name = content.decode().split()
        counter = self._folder / name
        failed = len(counter.read_bytes()) if counter.exists() else 0
        if failed < int(failures):
            counter.write_bytes(b"." * (failed + 1))
            raise ConversionError("InternalError", f"failure {failed + 1} of {failures}, as was asked for")


class Server:
    """The server of one round; a context manager."""

    def __init__(self, folder: Path, options: ServerOptions) -> None:
        self._root = folder / "buckets"
        self._flaky = folder / "flaky"
        self._log = folder / "server.log"
        self._options = options
        self._traits = dict(options.traits)
        self._process: BaseProcess | None = None
        self.port = 0
        for path in (self.bucket, self._flaky):
            path.mkdir(parents=True)

    @property
    def bucket(self) -> Path:
        """The folder of the bucket."""
        return self._root / BUCKET

    @property
    def endpoint(self) -> str:
        """The server's own endpoint, which bypasses the relay."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server, on its earlier port if it ran before; return once it responds."""
        receiver, sender = PROCESSES.Pipe(duplex=False)
        options = replace(self._options, traits=self._traits)  # keeps jumps of its clock
        arguments = (self._root, self.port, self._flaky, self._log, options, sender)
        self._process = PROCESSES.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        sender.close()
        with receiver:
            if not receiver.poll(_START_SECONDS):
                raise TimeoutError(f"the local CI did not start; see {self._log}")
            self.port = receiver.recv()

    def kill(self) -> None:
        """End the server's process with SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.join()

    def add_fault(self, fault: Mapping[str, object]) -> None:
        """Add a fault for later requests."""
        self._control("POST", FAULTS_PATH, fault)

    def clear_faults(self) -> None:
        """Remove the remaining faults."""
        self._control("DELETE", FAULTS_PATH, {})

    def set_traits(self, **traits: object) -> None:
        """Change traits; a restart of the server keeps them."""
        self._traits.update(traits)
        self._control("POST", TRAITS_PATH, traits)

    def jump_clock(self, seconds: float) -> None:
        """Move the service's clock; after a jump ahead, existing objects keep their times."""
        # Without this, old outputs would seem new: the local CI shows a file's time plus the clock's offset.
        # After a jump back, they only seem older; corrected, they would lie in the future, and late listings
        # would hide them.
        for path in self.bucket.rglob("*") if seconds > 0 else ():
            with suppress(FileNotFoundError):
                if path.is_file():
                    written = path.stat().st_mtime - seconds
                    os.utime(path, (written, written))
        self.set_traits(clock_offset_seconds=self._traits.get("clock_offset_seconds", 0) + seconds)

    def _control(self, method: str, path: str, body: Mapping[str, object]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body), headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise ValueError(f"{method} {path} with {body}: {answer.read().decode()}")
        finally:
            connection.close()

    def fill(self, contents: Iterable[tuple[str, bytes]], age_seconds: float = 0.0) -> None:
        """Put objects into the bucket, as if written ``age_seconds`` ago."""
        for key, content in contents:
            path = self.bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written = time.time() - age_seconds
            os.utime(path, (written, written))


def _serve(root: Path, port: int, flaky: Path, log: Path, options: ServerOptions, ready: Connection) -> None:
    logging.basicConfig(filename=log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    server = LocalCI(
        root,
        port=port,
        convert=FlakyConverters(flaky, options.job_seconds),
        workers=options.workers,
        latency_ms=options.latency_ms,
        queue_size=options.queue_size,
        queues=options.queues,
        listing_delay_seconds=options.listing_delay_seconds,
        versioned=[BUCKET] if options.is_versioned else [],
        **options.traits,
    )
    server.start()
    ready.send(int(server.endpoint.rpartition(":")[2]))
    ready.close()
    while True:
        time.sleep(3600)
