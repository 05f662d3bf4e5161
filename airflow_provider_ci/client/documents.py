"""Document jobs: the operation, the result, and the calls that submit, read, list and cancel them.

Source: File Transcoding, tencentcloud.com document/product/1045/47932 and 47933.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ci.client.jobs.calls import JobCalls
from airflow_provider_ci.client.jobs.job import Job, JobKind, JobPage, JobResult, result_of
from airflow_provider_ci.client.jobs.listings import Listing
from airflow_provider_ci.client.jobs.options import JobFilters, JobOptions
from airflow_provider_ci.client.jobs.submissions import Operation
from airflow_provider_ci.client.jobs.watermarks import DocAIGCMetadata, DocWatermark
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.secrets import Secret, secret_text
from airflow_provider_ci.client.records.values import Value
from airflow_provider_ci.client.wire import nodes

if TYPE_CHECKING:  # Python 3.10 has no Unpack
    from typing_extensions import Unpack

TAG = "DocProcess"
DOCUMENT_JOBS = JobKind(tag=TAG, path="/doc_jobs", cancel_path="/doc_jobs")
TARGETS = ("pdf", "png", "jpg")

_PAGE_RANGES = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")

_NODES = {
    "source_type": "SrcType",
    "target": "TgtType",
    "start_page": "StartPage",
    "end_page": "EndPage",
    "page_ranges": "PageRanges",
    "sheet_id": "SheetId",
    "paper_direction": "PaperDirection",
    "paper_size": "PaperSize",
    "image_params": "ImageParams",
    "password": "DocPassword",
    "comments": "Comments",
    "quality": "Quality",
    "zoom": "Zoom",
    "image_dpi": "ImageDpi",
    "pic_pagination": "PicPagination",
}

_TEXTS = ("source_type", "page_ranges", "image_params")

_RANGES: dict[str, tuple[int, int | None, int | None]] = {
    # lowest and highest allowed value, and one more allowed value outside that range
    "start_page": (1, None, None),
    "end_page": (1, None, -1),
    "sheet_id": (0, None, None),
    "paper_direction": (0, None, None),
    "paper_size": (0, 2, None),
    "comments": (0, 1, None),
    "quality": (1, 100, None),
    "zoom": (10, 200, None),
    "image_dpi": (96, 600, None),
    "pic_pagination": (0, 1, None),
}


@dataclass(frozen=True, slots=True, repr=False)
class DocProcess(Operation, Value):
    """How a document is converted: to a PDF, or page by page to pictures.

    Fields that are None are not sent, and the service uses its default. Numbers may be text, as rendered
    templates produce them.

    :param target: ``pdf``, ``png`` or ``jpg``. With ``png`` and ``jpg``, the output key contains
        ``${Number}`` or ``${Page}``, and for spreadsheets ``${SheetID}`` too.
    :param source_type: the type of the document, if the extension of its key does not show it.
    :param start_page: first page to convert, from 1; in a spreadsheet, counted within the sheet. It has no
        effect on ``pdf``.
    :param end_page: last page to convert; -1 means the last page of the document.
    :param page_ranges: pages such as ``1,2-4,7``.
    :param sheet_id: number of the sheet to convert, from 1; 0 for all sheets.
    :param paper_direction: for spreadsheets: 0 is portrait, any other number landscape.
    :param paper_size: for spreadsheets: 0 is A4, 1 is A2, 2 is A0.
    :param image_params: picture rules to apply to the picture of each page, joined by ``|``.
    :param password: opens the document; it is never shown. A :class:`Secret` names the password instead, and
        a batch looks it up for each job.
    :param comments: 0 hides comments and accepts revisions, 1 shows comments and revisions.
    :param quality: quality of the pictures, from 1 to 100.
    :param zoom: zoom of the pages, from 10 to 200 percent.
    :param image_dpi: resolution of the pictures in dpi, from 96 to 600.
    :param pic_pagination: 1 joins the pages, at most 20, into one long picture.
    :param extra: further nodes of ``DocProcess``, by the names of the API page.
    """

    tag: ClassVar[str] = TAG
    always_shown: ClassVar[tuple[str, ...]] = ("target",)

    target: str | None = "pdf"
    _: KW_ONLY
    source_type: str | None = None
    start_page: int | None = None
    end_page: int | None = None
    page_ranges: str | None = None
    sheet_id: int | None = None
    paper_direction: int | None = None
    paper_size: int | None = None
    image_params: str | None = None
    password: str | Secret | None = field(default=None, repr=False)
    comments: int | None = None
    quality: int | None = None
    zoom: int | None = None
    image_dpi: int | None = None
    pic_pagination: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        checks.one_of("DocProcess.target", self.target, TARGETS)
        for name, (lowest, highest, also) in _RANGES.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(
                    self, name, checks.number(f"DocProcess.{name}", value, lowest, highest, also=also)
                )
        for name in _TEXTS:
            object.__setattr__(self, name, checks.text(f"DocProcess.{name}", getattr(self, name)))
        object.__setattr__(self, "password", secret_text("DocProcess.password", self.password))
        ranges = self.page_ranges
        if ranges is not None and not checks.is_template(ranges) and not _PAGE_RANGES.fullmatch(ranges):
            raise ValueError(f"DocProcess.page_ranges must look like '1,2-4,7', not {ranges!r}")

    def to_node(self) -> dict[str, object]:
        """The ``DocProcess`` node of a request."""
        values = ((wire, getattr(self, name)) for name, wire in _NODES.items())
        return {**{wire: value for wire, value in values if value is not None}, **self.extra}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageInfo:
    """One file that a document job made.

    ``key`` is None if the service does not name the file. ``page_no`` is the number of the page, or of the
    sheet in a spreadsheet. The other fields exist only for spreadsheets: ``pic_index`` numbers the picture
    within the document, ``pic_num`` within its sheet, and ``sheet_pics`` is the number of pictures of the
    sheet.
    """

    page_no: int
    key: str | None
    pic_index: int | None = None
    pic_num: int | None = None
    sheet_pics: int | None = None

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> PageInfo:
        """Read a ``PageInfo`` node."""
        return cls(
            # One field that is not as documented must not hide the other fields: the job has been paid for.
            page_no=nodes.integer(node, "PageNo") or 0,
            key=nodes.text(node, "TgtUri") or None,
            pic_index=nodes.integer(node, "PicIndex"),
            pic_num=nodes.integer(node, "PicNum"),
            sheet_pics=nodes.integer(node, "X-SheetPics"),
        )


@result_of(TAG)
@dataclass(frozen=True, slots=True, kw_only=True)
class DocProcessResult(JobResult):
    """What a document job made. A job may succeed with ``fail_page_count`` above 0.

    ``target_type`` and ``task_id`` are empty if the service leaves them out, which it usually does.
    """

    total_page_count: int
    succ_page_count: int
    fail_page_count: int
    total_sheet_count: int
    pages: tuple[PageInfo, ...]
    target_type: str = ""
    task_id: str = ""

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> DocProcessResult:
        """Read a ``DocProcessResult`` node."""
        return cls(
            total_page_count=nodes.integer(node, "TotalPageCount") or 0,
            succ_page_count=nodes.integer(node, "SuccPageCount") or 0,
            fail_page_count=nodes.integer(node, "FailPageCount") or 0,
            total_sheet_count=nodes.integer(node, "TotalSheetCount") or 0,
            pages=tuple(PageInfo.from_node(page, request_id) for page in nodes.children(node, "PageInfo")),
            target_type=nodes.text(node, "TgtType"),
            task_id=nodes.text(node, "TaskId"),
        )


class DocJobCalls(JobCalls):
    """Calls for document jobs, at ``/doc_jobs``."""

    def submit_doc_job(
        self,
        input_key: str | None,
        output_key: str,
        operation: DocProcess | DocWatermark | DocAIGCMetadata,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Submit a job that converts a document or adds marks to it (CreateDocProcessJobs).

        :param input_key: None if ``input_url`` names a document elsewhere.
        :param output_key: may contain ``${Number}``, ``${Page}`` and ``${SheetID}``; its extension is kept.
        :param output_bucket: the client's bucket by default; likewise ``output_region``.
        :param output_sprite_key: key of the sprite image, for tags that make one.
        :param queue_id: the bucket's default queue if not given, or its queue of type ``queue_type``.
        :param user_data: a text that the service echoes with the job.
        :param job_level: priority 0, 1 or 2; a higher level runs first.
        :param callback: where to report the end of the job, in place of the queue's callback.
        :param expires_at: Unix time by the service's clock (:attr:`CIClient.clock`). The signature expires in
            that second, so the service cannot accept the job later.
        :param extra: further nodes of ``Request``, by the names of the API page, at any depth,
            as in ``{"Operation": {"Output": {"Name": "value"}}}``.
        :raises RequestExpiredError: ``expires_at`` has passed, and no job was created.
        :raises SubmissionUnknownError: the service may have accepted the job, but did not confirm it.
        """
        return self._submit(DOCUMENT_JOBS, input_key, output_key, operation, options)

    def get_doc_job(self, job_id: str) -> Job:
        """Read a document job (DescribeDocProcessJob). Raises NotFoundError if it does not exist."""
        return self._get(DOCUMENT_JOBS, job_id).named(job_id)

    def list_doc_jobs(self, **filters: Unpack[JobFilters]) -> Iterator[Job]:
        """Yield the document jobs, newest first (DescribeDocProcessJobs).

        Only one page is in memory at a time. The service keeps jobs for a month. Times are aware datetimes.

        :param tag: the type of job, such as ``DocWatermark``; ``DocProcess`` by default.
        """
        return self._list(Listing(DOCUMENT_JOBS, filters, JobFilters))

    def list_doc_jobs_page(self, *, next_token: str | None = None, **filters: Unpack[JobFilters]) -> JobPage:
        """Read one page of document jobs; without ``next_token``, the first page."""
        return self._list_page(Listing(DOCUMENT_JOBS, filters, JobFilters), next_token)

    def cancel_doc_job(self, job_id: str) -> None:
        """Cancel a document job that has not started (CancelDocProcessJob)."""
        self._cancel(DOCUMENT_JOBS, job_id)
