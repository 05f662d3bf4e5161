"""Picture jobs: the operation, the result, and the calls that submit, read, list and cancel them.

Source: Image Processing jobs, tencentcloud.com document/product/1045/49947, 73035 and 50337.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_ci.client.jobs.calls import JobCalls
from airflow_provider_ci.client.jobs.job import Job, JobKind, JobPage, JobResult, result_of
from airflow_provider_ci.client.jobs.listings import Listing
from airflow_provider_ci.client.jobs.options import JobOptions, PicJobFilters
from airflow_provider_ci.client.jobs.submissions import Operation
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value
from airflow_provider_ci.client.wire import nodes

if TYPE_CHECKING:  # Python 3.10 has no Unpack
    from typing_extensions import Unpack

TAG = "PicProcess"
MAX_STEPS = 10
IDS_PER_REQUEST = 10

PicForm = Literal["pic_jobs", "jobs"]

_PICTURE_FORMS = {
    # CancelPicJob is at /jobs as well.
    "pic_jobs": JobKind(tag=TAG, path="/pic_jobs", cancel_path="/jobs"),
    "jobs": JobKind(tag=TAG, path="/jobs", cancel_path="/jobs"),
}


@dataclass(frozen=True, slots=True, repr=False)
class PicProcess(Operation, Value):
    """How a picture is processed.

    :param rule: the processing rule, such as ``imageMogr2/thumbnail/!50p``; at most 10 steps joined by ``|``.
    :param is_pic_info: whether the result also describes the original picture.
    :param extra: further nodes of ``PicProcess``, by the names of the API page.
    """

    tag: ClassVar[str] = TAG

    rule: str
    _: KW_ONLY
    is_pic_info: bool | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_rule("PicProcess.rule", self.rule)
        object.__setattr__(self, "is_pic_info", checks.flag("PicProcess.is_pic_info", self.is_pic_info))

    def to_node(self) -> dict[str, object]:
        """The ``PicProcess`` node of a request."""
        return {"IsPicInfo": self.is_pic_info, "ProcessRule": self.rule, **self.extra}


@dataclass(frozen=True, slots=True, repr=False)
class PicTemplate(Operation, Value):
    """Refers to a template of the service that says how a picture is processed; replaces :class:`PicProcess`.

    :param template_id: ``t`` and 32 hex digits, from :meth:`CIClient.create_template` or the console.
    """

    tag: ClassVar[str] = TAG

    template_id: str

    def __post_init__(self) -> None:
        if not checks.is_template(self.template_id):
            checks.identifier("PicTemplate.template_id", self.template_id)

    def to_nodes(self) -> dict[str, object]:
        """The node that names the template instead of a rule."""
        return {"TemplateId": self.template_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInfo:
    """The service's description of a picture. ``ave`` is the average colour, such as ``0xa1a2a3``."""

    format: str = ""
    width: int | None = None
    height: int | None = None
    quality: int | None = None
    ave: str = ""
    orientation: int | None = None
    etag: str = ""
    frame_count: int | None = None
    location: str = ""

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> PictureInfo:
        """Read an ``OriginalInfo`` node."""
        image = nodes.child(node, "ImageInfo")
        return cls(
            format=nodes.text(image, "Format"),
            width=nodes.integer(image, "Width"),
            height=nodes.integer(image, "Height"),
            quality=nodes.integer(image, "Quality"),
            ave=nodes.text(image, "Ave"),
            orientation=nodes.integer(image, "Orientation"),
            etag=_etag(node),
            frame_count=nodes.integer(image, "FrameCount"),
            location=nodes.text(node, "Location"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PicObject:
    """A picture, or a part of a picture, that a job made.

    ``location`` is the picture's URL without a scheme. ``frame_count`` is set only for animated pictures.
    ``watermark_status`` is the confidence, from 0 to 100, that the picture has a blind watermark.
    """

    key: str
    location: str = ""
    format: str = ""
    width: int | None = None
    height: int | None = None
    size: int | None = None
    quality: int | None = None
    etag: str = ""
    frame_count: int | None = None
    watermark_status: int | None = None

    @classmethod
    def from_node(cls, node: nodes.Tree) -> PicObject:
        """Read an ``Object`` or ``ProcessResult`` node."""
        return cls(
            key=nodes.text(node, "Key"),
            location=nodes.text(node, "Location"),
            format=nodes.text(node, "Format"),
            width=nodes.integer(node, "Width"),
            height=nodes.integer(node, "Height"),
            size=nodes.integer(node, "Size"),
            quality=nodes.integer(node, "Quality"),
            etag=_etag(node),
            frame_count=nodes.integer(node, "FrameCount"),
            watermark_status=nodes.integer(node, "WatermarkStatus"),
        )


@result_of(TAG)
@dataclass(frozen=True, slots=True, kw_only=True)
class PicProcessResult(JobResult):
    """The pictures that a job made, and a description of the original if the job requested it.

    ``objects`` holds all pictures; the other fields, except ``original``, describe the first picture.
    """

    key: str
    format: str = ""
    width: int | None = None
    height: int | None = None
    size: int | None = None
    quality: int | None = None
    etag: str = ""
    original: PictureInfo | None = None
    location: str = ""
    frame_count: int | None = None
    watermark_status: int | None = None
    objects: tuple[PicObject, ...] = ()

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> PicProcessResult:
        """Read a ``PicProcessResult`` node in any of the three shapes that the API pages and SDKs show."""
        node = nodes.child(node, "UploadResult") or node
        one = nodes.child(node, "ProcessResult")
        several = nodes.children(nodes.child(node, "ProcessResults"), "Object")
        objects = tuple([PicObject.from_node(each) for each in ([one] if one else several)])
        first = objects[0] if objects else PicObject(key="")
        original = nodes.child(node, "OriginalInfo")
        return cls(
            key=nodes.text(node, "ObjectName") or first.key,
            format=first.format,
            width=first.width,
            height=first.height,
            size=first.size,
            quality=first.quality,
            etag=first.etag,
            original=PictureInfo.from_node(original, request_id) if original else None,
            location=first.location,
            frame_count=first.frame_count,
            watermark_status=first.watermark_status,
            objects=objects,
        )


class PicJobCalls(JobCalls):
    """Calls for picture jobs: at ``/pic_jobs``, or with ``form="jobs"`` at the newer path ``/jobs``.

    Media jobs use ``/jobs``, too. The two forms need different permissions, such as ``CreatePicProcessJobs``
    and ``CreateMediaJobs``.
    """

    def submit_pic_job(
        self,
        input_key: str | None,
        output_key: str,
        operation: PicProcess | PicTemplate,
        *,
        form: PicForm = "pic_jobs",
        **options: Unpack[JobOptions],
    ) -> Job:
        """Submit a picture job (CreatePicProcessJobs); arguments as for :meth:`submit_doc_job`.

        :param operation: a rule, or a template of the service that contains a rule.
        """
        # The service echoes only such texts (1045/73035). Any other text could not be used to find the job.
        checks.user_data(options.get("user_data"))
        return self._submit(_picture_jobs(form), input_key, output_key, operation, options)

    def get_pic_job(self, job_id: str, *, form: PicForm = "pic_jobs") -> Job:
        """Read a picture job (DescribePicProcessJob). Raises NotFoundError if it does not exist."""
        return self._get(_picture_jobs(form), job_id).named(job_id)

    def get_pic_jobs(self, job_ids: Sequence[str], *, form: PicForm = "pic_jobs") -> list[Job]:
        """Read any number of picture jobs, ten per request, in the order given. Unknown ids are left out."""
        found: dict[str, Job] = {}
        for start in range(0, len(job_ids), IDS_PER_REQUEST):
            answer = self._get(_picture_jobs(form), *job_ids[start : start + IDS_PER_REQUEST])
            found.update((job.job_id, job.checked()) for job in answer.jobs)
        return [found[job_id] for job_id in job_ids if job_id in found]

    def list_pic_jobs(self, *, form: PicForm = "pic_jobs", **filters: Unpack[PicJobFilters]) -> Iterator[Job]:
        """Yield the picture jobs (DescribePicProcessJobs); see :meth:`list_doc_jobs`.

        :param tag: another type of job that ``/jobs`` lists; ``PicProcess`` by default.
        :param input_key: only jobs that process this object.
        :param workflow_id: only jobs that this workflow created; likewise ``inventory_trigger_job_id``.
        :param queue_type: only jobs in queues of this type, such as ``PicProcess``; ``queue_id`` overrides
            it.
        """
        return self._list(Listing(_picture_jobs(form), filters, PicJobFilters))

    def list_pic_jobs_page(
        self,
        *,
        next_token: str | None = None,
        form: PicForm = "pic_jobs",
        **filters: Unpack[PicJobFilters],
    ) -> JobPage:
        """Read one page of picture jobs; without ``next_token``, the first page."""
        return self._list_page(Listing(_picture_jobs(form), filters, PicJobFilters), next_token)

    def cancel_pic_job(self, job_id: str) -> None:
        """Cancel a picture job of either form that has not started (CancelPicProcessJob)."""
        self._cancel(_picture_jobs("jobs"), job_id)


def _picture_jobs(form: PicForm) -> JobKind:
    """Return the kind of picture jobs at ``/pic_jobs``, or at ``/jobs``, which serves media jobs too."""
    try:
        return _PICTURE_FORMS[form]
    except KeyError:
        raise ValueError(f"form must be one of {', '.join(_PICTURE_FORMS)}, not {form!r}") from None


def check_rule(name: str, rule: str) -> None:
    """Reject a processing rule that is empty or has too many steps."""
    if checks.is_template(rule):
        return
    if not isinstance(rule, str) or not rule.strip():
        raise ValueError(f"{name} must be a processing rule, not {rule!r}")
    steps = rule.count("|") + 1
    if steps > MAX_STEPS:
        raise ValueError(f"{name} has {steps} steps, more than the {MAX_STEPS} allowed: {rule!r}")


def _etag(node: nodes.Tree) -> str:
    return (nodes.text(node, "Etag") or nodes.text(node, "ETag")).strip('"')
