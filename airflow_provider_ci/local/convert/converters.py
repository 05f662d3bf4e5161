"""Converters: the interface that the local CI uses, and the implementation that really converts."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.document import (
    DocumentJob,
    check_request,
    convert_document,
    shared_images,
)
from airflow_provider_ci.local.convert.errors import ConversionError, ConvertersClosedError, file_errors
from airflow_provider_ci.local.convert.office.libreoffice import (
    OfficeInstallation,
    OfficeLimits,
    OfficeMissingError,
    OfficeWorker,
    find_office,
    prepare_profile,
)
from airflow_provider_ci.local.convert.options import (
    DocumentOptions,
    DocumentResult,
    PictureInfo,
    PictureResult,
)
from airflow_provider_ci.local.convert.pdf.watermark import WatermarkOptions
from airflow_provider_ci.local.convert.pictures.canvas import Fetch, refuse_to_fetch
from airflow_provider_ci.local.convert.pictures.metadata import QUERIES
from airflow_provider_ci.local.convert.pictures.picture import fetch_watermarks
from airflow_provider_ci.local.convert.sandbox import Sandbox, find_sandbox
from airflow_provider_ci.local.convert.sandbox.place import job_folder
from airflow_provider_ci.local.convert.source import archives
from airflow_provider_ci.local.convert.source.archives import MAX_ARCHIVE_BYTES, UnpackedFile
from airflow_provider_ci.local.convert.source.intake import (
    MAX_DOCUMENT_BYTES,
    check_document_size,
    check_pdf,
    check_picture_size,
)
from airflow_provider_ci.local.convert.workers.page_process import PageLimits, PageWorker
from airflow_provider_ci.local.convert.workers.process import Deadline

_Self = TypeVar("_Self", bound="Converters")

NO_SANDBOX_MESSAGE: Final = (
    "no sandbox holds on this machine, so that a document could read its files: install bubblewrap "
    "(ci-local install-office does), or serve with --no-sandbox if you trust all documents"
)


class Converters(ABC):
    """Converts files to files. Its methods block, and many threads may call them at once."""

    @abstractmethod
    def document(
        self,
        source: Path,
        name: str,
        options: DocumentOptions,
        out_dir: Path,
        fetch: Fetch = refuse_to_fetch,
    ) -> DocumentResult:
        """Convert a document into files in ``out_dir``, which exists; ``name`` is the object key.

        ``fetch`` returns the file of a watermark image by its address. Raises ConversionError, or
        ConvertersClosedError if the converters are closed.
        """

    @abstractmethod
    def picture(self, source: Path, rule: str, target: Path, fetch: Fetch = refuse_to_fetch) -> PictureResult:
        """Apply the rule to a picture and write ``target``; ``fetch`` and errors are as in ``document``."""

    def unpack(self, source: Path, name: str, password: str, out_dir: Path) -> list[UnpackedFile]:
        """Unpack an archive into ``out_dir``; ``name`` is its object key. Errors are as in ``document``."""
        with file_errors():
            return archives.unpack(source, name, password, out_dir)

    def watermark(self, source: Path, image: Path, options: WatermarkOptions, target: Path) -> int:
        """Lay ``image`` over each page of the PDF ``source``, write ``target``; return the number of pages.

        This default copies the PDF unchanged and returns 1. Errors are as in ``document``.
        """
        with file_errors():
            check_document_size(source)
            check_pdf(source)
            shutil.copyfile(source, target)
            return 1

    def query(self, source: Path, name: str) -> dict[str, Any]:
        """Describe a picture by the query imageInfo, exif or imageAve. Errors are as in ``document``."""
        try:
            return QUERIES[name](source)
        except (OSError, SyntaxError, ValueError) as error:
            message = "the content cannot be read: it is cut off or damaged"
            raise ConversionError(errors.DAMAGED_FILE, message) from error

    @abstractmethod
    def close(self) -> None:
        """End all workers; calls that still run raise ConvertersClosedError."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def office_missing() -> str | None:
    """Return which part of LibreOffice is missing on this machine, or None if documents can be converted."""
    try:
        find_office()
    except OfficeMissingError as error:
        return error.message
    return None


@dataclass(frozen=True, slots=True)
class Slot:
    """One LibreOffice and one page worker, which serve one call at a time; ``jobs`` holds its files."""

    office: OfficeWorker
    pages: PageWorker
    jobs: Path


class RealConverters(Converters):
    """Converts in ``workers`` slots at the same time; the processes of a slot start on first use.

    A call waits for a free slot and then has ``deadline_seconds`` to convert; a longer conversion is killed
    and fails with code Timeout. ``office`` is the LibreOffice to use; by default it is searched for on the
    machine. If there is none, documents other than PDF fail with code OfficeMissing. The workers run in
    ``sandbox``; the default is the result of ``find_sandbox``. If no sandbox was found or passed, documents
    other than PDF fail with code SandboxMissing.
    """

    def __init__(
        self,
        # Measured on two cores: a third worker converted no faster.
        workers: int = 2,
        *,
        deadline_seconds: float = 60,
        office: OfficeInstallation | None = None,
        office_limits: OfficeLimits | None = None,
        page_limits: PageLimits | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.deadline_seconds = deadline_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="ci-local-convert-"))
        self._profile = OfficeProfile(self._folder / "profile", office)
        self.sandbox = sandbox or find_sandbox()
        # A sandbox passed by the caller is a deliberate choice: ``--no-sandbox`` passes NoSandbox, because
        # the user trusts all documents.
        self._is_office_allowed = self.sandbox.is_confined or sandbox is not None
        self.slots = tuple(
            self._new_slot(number, office_limits or OfficeLimits(), page_limits or PageLimits())
            for number in range(workers)
        )
        self._free = list(self.slots)
        self._changed = threading.Condition()
        self._is_closed = False

    def _new_slot(self, number: int, office_limits: OfficeLimits, page_limits: PageLimits) -> Slot:
        jobs = self._folder / f"jobs-{number}"
        jobs.mkdir()
        return Slot(
            OfficeWorker(self._profile.ready, self._folder, jobs, self.sandbox, office_limits),
            PageWorker(self._folder, jobs, self.sandbox, page_limits),
            jobs,
        )

    def document(
        self,
        source: Path,
        name: str,
        options: DocumentOptions,
        out_dir: Path,
        fetch: Fetch = refuse_to_fetch,
    ) -> DocumentResult:
        """Convert a document; see Converters."""
        with file_errors():
            kind = check_request(source, name, options)
            if kind.kind != "pdf" and not self._is_office_allowed:
                raise ConversionError(errors.SANDBOX_MISSING, NO_SANDBOX_MESSAGE)
            # ImageParams has an effect on png and jpg only (1045/47932).
            images = _images(options.image_params if options.target in ("png", "jpg") else "", fetch)
            with self._slot() as slot, job_folder(slot.jobs) as folder:
                return convert_document(
                    DocumentJob(
                        source=source,
                        name=name,
                        options=options,
                        images=images,
                        out_dir=out_dir,
                        folder=folder,
                        office=slot.office,
                        pages=slot.pages,
                        deadline=Deadline(self.deadline_seconds),
                    )
                )

    def picture(self, source: Path, rule: str, target: Path, fetch: Fetch = refuse_to_fetch) -> PictureResult:
        """Process a picture; see Converters."""
        images = _images(rule, fetch)
        with (
            file_errors(),
            self._slot() as slot,
            job_folder(slot.jobs) as folder,
            # This folder is beside the target, so that a rename puts the complete result in place.
            tempfile.TemporaryDirectory(prefix=".converting-", dir=target.parent) as scratch,
        ):
            # The worker checks the lower limit of pictures, because ``ignore-error/1`` tolerates larger ones.
            check_picture_size(source, MAX_DOCUMENT_BYTES)
            answer = slot.pages.call(
                "picture",
                Deadline(self.deadline_seconds),
                source=str(folder.put(source, f"picture{source.suffix}")),
                rule=rule,
                target=str(folder.outputs / "picture"),
                images=shared_images(folder, images),
            )
            folder.take("picture", Path(scratch) / "picture").replace(target)
            return _picture_result(answer)

    def query(self, source: Path, name: str) -> dict[str, Any]:
        """Describe a picture in a worker; see Converters."""
        with file_errors(), self._slot() as slot, job_folder(slot.jobs) as folder:
            check_picture_size(source, MAX_DOCUMENT_BYTES)
            answer = slot.pages.call(
                "query",
                Deadline(self.deadline_seconds),
                source=str(folder.put(source, f"picture{source.suffix}")),
                name=name,
            )
            told: dict[str, Any] = answer["told"]
            return told

    def unpack(self, source: Path, name: str, password: str, out_dir: Path) -> list[UnpackedFile]:
        """Unpack an archive in a worker; see Converters."""
        with file_errors(), self._slot() as slot, job_folder(slot.jobs) as folder:
            check_picture_size(source, MAX_ARCHIVE_BYTES)
            answer = slot.pages.call(
                "unpack",
                Deadline(self.deadline_seconds),
                source=str(folder.put(source, "archive")),
                name=name,
                password=password,
                folder=str(folder.outputs),
            )
            return [
                UnpackedFile(name=entry, path=folder.take(file, out_dir / file))
                for entry, file in answer["files"]
            ]

    def watermark(self, source: Path, image: Path, options: WatermarkOptions, target: Path) -> int:
        """Lay a picture over a PDF's pages in a worker; see Converters."""
        with file_errors(), self._slot() as slot, job_folder(slot.jobs) as folder:
            check_document_size(source)
            check_pdf(source)
            answer = slot.pages.call(
                "watermark",
                Deadline(self.deadline_seconds),
                source=str(folder.put(source, "source.pdf")),
                image=str(folder.put(image, "watermark")),
                target=str(folder.outputs / "document.pdf"),
                options=dataclasses.asdict(options),
            )
            folder.take("document.pdf", target)
            return int(answer["pages"])

    @contextlib.contextmanager
    def _slot(self) -> Iterator[Slot]:
        slot = self._take()
        try:
            yield slot
        except ConversionError:
            # close() has killed the worker, so the error says nothing about the document.
            if self._is_closed:
                raise ConvertersClosedError("the converters were closed during the conversion") from None
            raise
        finally:
            with self._changed:
                self._free.append(slot)
                self._changed.notify_all()

    def _take(self) -> Slot:
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._is_closed)
            if self._is_closed:
                raise ConvertersClosedError("the converters are closed")
            return self._free.pop()

    def close(self) -> None:
        """End all workers and remove their folders; see Converters."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for slot in self.slots:
            slot.office.interrupt()
            slot.pages.interrupt()
        with self._changed:
            # A worker serves one thread at a time, so it is stopped only after its call has freed the slot.
            self._changed.wait_for(lambda: len(self._free) == len(self.slots))
        for slot in self.slots:
            slot.office.stop()
            slot.pages.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


class OfficeProfile:
    """The LibreOffice profile that each worker copies; it is made once, on first use."""

    def __init__(self, path: Path, office: OfficeInstallation | None) -> None:
        self._path = path
        self._office = office
        self._lock = threading.Lock()

    def ready(self) -> tuple[OfficeInstallation, Path]:
        """Return LibreOffice and the prepared profile, or raise OfficeMissingError."""
        with self._lock:
            office = self._office or find_office()
            if not self._path.exists():
                # The draft is renamed only when complete, so that workers never copy a half-made profile.
                draft = self._path.with_name("profile-draft")
                shutil.rmtree(draft, ignore_errors=True)
                prepare_profile(office, draft)
                draft.rename(self._path)
            return office, self._path


def _images(rule: str, fetch: Fetch) -> dict[str, Path]:
    """Fetch the watermark images of a rule, which a worker cannot do; return the files by address."""
    with file_errors():
        return fetch_watermarks(rule, fetch) if rule else {}


def _picture_result(answer: dict[str, Any]) -> PictureResult:
    return PictureResult(output=PictureInfo(**answer["output"]), original=PictureInfo(**answer["original"]))
