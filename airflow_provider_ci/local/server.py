"""Puts the parts of the local CI together, starts them and stops them."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING

from aiohttp import web

from airflow_provider_ci.client.signing import Credentials
from airflow_provider_ci.local.convert import Converters, InstantConverters, RealConverters
from airflow_provider_ci.local.convert.office.libreoffice import OfficeMissingError, find_office
from airflow_provider_ci.local.convert.sandbox import NoSandbox, find_sandbox
from airflow_provider_ci.local.database import Database
from airflow_provider_ci.local.errors import Service
from airflow_provider_ci.local.hosts.app import App, Operations
from airflow_provider_ci.local.hosts.ci import CIService
from airflow_provider_ci.local.hosts.ci_jobs import JobOperations
from airflow_provider_ci.local.hosts.ci_queues import QueueOperations
from airflow_provider_ci.local.hosts.cos import COSService
from airflow_provider_ci.local.http.counts import RequestCounts
from airflow_provider_ci.local.http.faults import Faults
from airflow_provider_ci.local.http.traits import TraitSwitch, TraitValues
from airflow_provider_ci.local.jobs.callbacks import Callbacks
from airflow_provider_ci.local.jobs.jobs import Jobs
from airflow_provider_ci.local.jobs.queues import Queues
from airflow_provider_ci.local.jobs.templates import Templates
from airflow_provider_ci.local.jobs.work.pretending import PretendingScheduler
from airflow_provider_ci.local.jobs.work.processing import Processor
from airflow_provider_ci.local.jobs.work.scheduler import Scheduler
from airflow_provider_ci.local.objects.store import STATE_FOLDER, Store
from airflow_provider_ci.local.objects.synthetic import SyntheticObjects
from airflow_provider_ci.local.pages.guard import Guard, is_loopback_address
from airflow_provider_ci.local.pages.overview import Overview
from airflow_provider_ci.local.pages.parts import Parts
from airflow_provider_ci.local.pages.site import Pages
from airflow_provider_ci.local.sync.sync import SyncProcessing
from airflow_provider_ci.local.workspace import Workspace

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_ci.local.http.listener import Listener

DEFAULT_SECRET_ID = "AKIDlocal0000000000000000000000000000"  # noqa: S105 - an example
DEFAULT_SECRET_KEY = "local-ci-not-a-secret-key"  # noqa: S105 - an example, too

GRACE_SECONDS = 5
"""Seconds that a stopping server waits for jobs and requests; a job that still runs then will run again."""

_BACKLOG = 1024

_log = logging.getLogger(__name__)


class LocalCIError(Exception):
    """The local CI cannot start; the message says why and what to do."""


class LocalCI:
    """A local CI in a thread of its own; a context manager. One process can run several.

    :param root: folder of the buckets, made if it does not exist. Only one server at a time can use it.
    :param port: 0 chooses a free port.
    :param token: session token that every request must carry; None for permanent keys.
    :param workers: number of jobs that run at once.
    :param convert: ``real``, ``instant`` (a tiny file of the target type), ``none`` (jobs succeed, and
        nothing is written) or converters of your own.
    :param latency_ms: milliseconds to wait before every response.
    :param queue_size: maximum number of waiting jobs in a queue.
    :param queues: number of queues for each bucket and feature.
    :param queue_concurrency: maximum number of jobs of one queue that run at once, within ``workers``.
    :param deadline_seconds: longest time for one conversion.
    :param office: folder of LibreOffice's ``soffice.bin``; searched for if not given.
    :param sandbox: False converts office documents even where no sandbox keeps them from reading files of
        this machine.
    :param synthetic: number of synthetic objects that each of these buckets lists besides its files.
    :param listing_delay_seconds: seconds after a write during which listings leave the object out.
    :param versioned: buckets in which PUT replaces an object despite ``x-cos-forbid-overwrite``.
    :param tls: accept TLS as well, with a self-made certificate, see :attr:`certificate`.
    :param pages: whether to serve pages for a browser, see docs/local.md; None: only if ``host`` cannot be
        reached from other machines. In any case, only this machine can open the pages.
    :param faults: faults that are pending from the start, in the form that ``/_local/faults`` accepts.
    :param traits: traits of real buckets, the fields of :class:`~.http.traits.Traits`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        secret_id: str = DEFAULT_SECRET_ID,
        secret_key: str = DEFAULT_SECRET_KEY,
        token: str | None = None,
        workers: int = 2,
        convert: str | Converters = "real",
        latency_ms: float = 0,
        queue_size: int = 10_000,
        queue_concurrency: int = 10,
        queues: int = 1,
        deadline_seconds: float = 60,
        office: str | os.PathLike[str] | None = None,
        sandbox: bool = True,
        synthetic: Mapping[str, int] | None = None,
        listing_delay_seconds: float = 0,
        versioned: Collection[str] = (),
        tls: bool = False,
        pages: bool | None = None,
        faults: Iterable[Mapping[str, object]] = (),
        **traits: Unpack[TraitValues],
    ) -> None:
        self.root = Path(root).absolute()
        self.secret_id = secret_id
        self.secret_key = secret_key
        self.faults = Faults()
        for fault in faults:
            self.faults.add_mapping(fault)
        self.traits = TraitSwitch(**traits)
        self._counts = RequestCounts()
        self._tls = tls
        self.has_pages = is_loopback_address(host) if pages is None else pages
        self._credentials = Credentials(secret_id=secret_id, secret_key=secret_key, token=token)
        self._host = host
        self._port = port
        self._workers = workers
        self._convert = convert
        self._latency_seconds = latency_ms / 1000
        self._queue_size = queue_size
        self._queue_concurrency = queue_concurrency
        self._queues = queues
        self._deadline_seconds = deadline_seconds
        self._office = None if office is None else Path(office).absolute()
        self._wants_sandbox = sandbox
        self._synthetic = {
            bucket: SyntheticObjects(count=count) for bucket, count in (synthetic or {}).items()
        }
        self._listing_delay_seconds = listing_delay_seconds
        self._versioned = frozenset(versioned)
        self._thread: Thread | None = None

    def __repr__(self) -> str:
        return f"LocalCI({str(self.root)!r}, host={self._host!r}, port={self._port})"

    def __enter__(self) -> LocalCI:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """The address of the server, ``http://127.0.0.1:PORT``, or ``https://…`` with ``tls``."""
        return self._address(self._host)

    @property
    def page(self) -> str:
        """The address of the start page for a browser on this machine; empty if pages are off."""
        if not self.has_pages:
            return ""
        is_everywhere = self._host in ("0.0.0.0", "::")  # noqa: S104 - only compared
        return self._address("127.0.0.1" if is_everywhere else self._host) + "/"

    def _address(self, host: str) -> str:
        name = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{name}:{self._port}"

    @property
    def certificate(self) -> Path | None:
        """The certificate that clients have to trust, made at each start; None without ``tls``."""
        return self.root / STATE_FOLDER / "certificate.pem" if self._tls else None

    def request_counts(self) -> dict[str, int]:
        """How many requests of each kind were served, such as ``POST ci /doc_jobs`` -> 3."""
        return self._counts.as_mapping()

    def reset_request_counts(self) -> None:
        """Count requests from 0 again."""
        self._counts.reset()

    @property
    def sandbox(self) -> str:
        """What keeps documents from reading files of this machine; empty where nothing is converted."""
        if self._convert != "real":
            return ""
        if not self._wants_sandbox:
            return "off: documents can read files of this machine"
        return find_sandbox().description

    def bucket_path(self, bucket: str) -> Path:
        """The folder of a bucket; create the folder to create the bucket."""
        return self.root / bucket

    def start(self) -> None:
        """Start, and return as soon as requests are served.

        :raises LocalCIError: the port is taken, the folder is not writable or served already, or
            LibreOffice is missing.
        """
        if self._thread:
            raise LocalCIError("this local CI runs already")
        self._ready = Event()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="ci-local", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure:
            self._thread.join()
            self._thread = None
            raise self._failure

    def stop(self) -> None:
        """Respond to open requests, wait a little for running jobs, and stop; harmless when not started."""
        if self._thread:
            with suppress(RuntimeError):  # its loop ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._failure = error
            if self._ready.is_set():
                _log.exception("the local CI ended")
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        lock = _lock(self.root)
        try:
            converters = self._converters()
            try:
                await self._serve(converters)
            finally:
                await asyncio.to_thread(converters.close)
        finally:
            os.close(lock)

    async def _serve(self, converters: Converters) -> None:
        database = _database(self.root / STATE_FOLDER / "state.sqlite")
        jobs, queues = Jobs(database), Queues(database, per_feature=self._queues)
        store = Store(self.root, database, self._synthetic)
        workspace = Workspace(store, self.root)
        again = jobs.recover(self.traits.now())
        if again:
            _log.info("%d jobs ran when the last server died; they run again", again)
        callbacks = Callbacks(database, jobs, queues)
        kind = PretendingScheduler if self._convert == "none" else Scheduler
        scheduler = kind(
            jobs,
            queues,
            Processor(workspace, converters, self.traits),
            callbacks,
            self.traits,
            workers=self._workers,
            queue_size=self._queue_size,
            queue_concurrency=self._queue_concurrency,
        )
        ci = self._ci_service(store, jobs, queues, scheduler, Templates(database))
        sync = SyncProcessing(workspace, converters, workers=self._workers)
        services: dict[Service, Operations] = {
            Service.CI: ci,
            Service.COS: COSService(
                store=store,
                sync=sync,
                traits=self.traits,
                listing_delay_seconds=self._listing_delay_seconds,
                versioned=self._versioned,
            ),
        }
        parts = Parts(
            store=store,
            jobs=jobs,
            queues=queues,
            overview=Overview(database, jobs, queues),
            ci=ci.answer,
            sync=sync,
            faults=self.faults,
            traits=self.traits,
            counts=self._counts,
            credentials=self._credentials,
            is_example_key=self.secret_key == DEFAULT_SECRET_KEY,
            certificate=str(self.certificate or ""),
            converts=self._convert not in ("instant", "none"),
            workers=self._workers,
            queue_size=self._queue_size,
            queue_concurrency=self._queue_concurrency,
        )
        app = App(
            self._credentials,
            services,
            self.faults,
            self.traits,
            self._counts,
            Pages(parts, Guard(is_open=self.has_pages)),
            latency_seconds=self._latency_seconds,
        )
        try:
            callbacks.wake()
            await self._listen(app, scheduler)
        finally:
            await asyncio.to_thread(converters.close)
            await asyncio.to_thread(sync.close)
            await scheduler.join()
            await callbacks.stop()
            database.close()

    def _ci_service(
        self, store: Store, jobs: Jobs, queues: Queues, scheduler: Scheduler, templates: Templates
    ) -> CIService:
        return CIService(
            store=store,
            jobs=JobOperations(
                store=store,
                jobs=jobs,
                queues=queues,
                templates=templates,
                scheduler=scheduler,
                traits=self.traits,
            ),
            queues=QueueOperations(
                store=store,
                jobs=jobs,
                queues=queues,
                scheduler=scheduler,
                queue_size=self._queue_size,
                queue_concurrency=self._queue_concurrency,
            ),
            templates=templates,
        )

    async def _listen(self, app: App, scheduler: Scheduler) -> None:
        # aiohttp itself responds to bytes that are not HTTP; the log needs no line about them.
        quiet = logging.getLogger(f"{__name__}.http")
        quiet.setLevel(logging.CRITICAL)
        server = web.Server(app.handle, access_log=None, auto_decompress=False, logger=quiet)
        # aiohttp uses this time twice, to wait for open requests and then to cancel them.
        runner = web.ServerRunner(server, shutdown_timeout=GRACE_SECONDS / 2)
        await runner.setup()
        listener = None
        try:
            listener = await self._bind(runner, server)
            scheduler.wake()
            self._ready.set()
            await self._stopping.wait()
        finally:
            if listener:
                await listener.stop()
            await asyncio.gather(runner.cleanup(), scheduler.stop(GRACE_SECONDS))

    async def _bind(self, runner: web.ServerRunner, server: web.Server) -> Listener | None:
        try:
            if self.certificate:
                listener = _tls_listener(server, self.certificate)
                self._port = listener.start(self._host, self._port, _BACKLOG)
                return listener
            await web.TCPSite(runner, self._host, self._port, backlog=_BACKLOG).start()
        except OSError as error:
            raise _listening_error(self._host, self._port, error) from error
        self._port = int(runner.addresses[0][1])
        return None

    def _converters(self) -> Converters:
        if isinstance(self._convert, Converters):
            return self._convert
        if self._convert in ("instant", "none"):
            return InstantConverters()
        try:
            office = find_office(self._office)
        except OfficeMissingError as error:
            advice = "run ci-local install-office, or serve with --convert instant"
            raise LocalCIError(f"{error.message}; {advice}") from error
        if self._wants_sandbox and not find_sandbox().is_confined:
            _log.warning("%s", self.sandbox)
        return RealConverters(
            workers=self._workers,
            deadline_seconds=self._deadline_seconds,
            office=office,
            sandbox=None if self._wants_sandbox else NoSandbox(),
        )


def _tls_listener(server: web.Server, certificate: Path) -> Listener:
    # Imported on demand: only a server with TLS needs the package for certificates.
    from airflow_provider_ci.local.http.certificates import Authority
    from airflow_provider_ci.local.http.listener import Listener

    return Listener(server, Authority(certificate).context)


def _lock(root: Path) -> int:
    """Lock ``root`` for this process; the lock ends with the process, even after a crash."""
    folder = root / STATE_FOLDER
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)  # passwords of waiting jobs are stored there
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LocalCIError(f"cannot write to {root}: {error.strerror}; give another --root") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise LocalCIError(
            f"another local CI serves {root} already; stop it or give another --root"
        ) from error
    return descriptor


def _database(path: Path) -> Database:
    try:
        return Database(path)
    except sqlite3.Error as error:
        advice = "make room or move the file away to begin with an empty table of jobs"
        raise LocalCIError(f"cannot use the table of jobs {path}: {error}; {advice}") from error


def _listening_error(host: str, port: int, error: OSError) -> LocalCIError:
    if error.errno == errno.EADDRINUSE:
        return LocalCIError(f"port {port} on {host} is in use; give another --port, or 0 for a free one")
    return LocalCIError(f"cannot listen on {host} port {port}: {error.strerror}")
