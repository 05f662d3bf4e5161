"""Picture processing: the operation of a job, and its result.

Source: Image Processing jobs, tencentcloud.com document/product/1045/49947, 73035 and 50337.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value
from airflow_provider_ci.client.wire import nodes

TAG = "PicProcess"
MAX_STEPS = 10


@dataclass(frozen=True, slots=True, repr=False)
class PicProcess(Value):
    """How a picture is processed.

    :param rule: the processing rule, such as ``imageMogr2/thumbnail/!50p``; at most 10 steps joined by ``|``.
    :param is_pic_info: whether the result also describes the original picture.
    :param extra: further nodes of ``PicProcess``, by the names of the API page.
    """

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
class PicTemplate(Value):
    """A template of the service that says how a picture is processed, in place of a :class:`PicProcess`.

    :param template_id: ``t`` and 32 hex digits, from :meth:`CIClient.create_template` or the console.
    """

    template_id: str

    def __post_init__(self) -> None:
        if not checks.is_template(self.template_id):
            checks.identifier("PicTemplate.template_id", self.template_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInfo:
    """A picture as the service saw it. ``ave`` is its average colour, such as ``0xa1a2a3``."""

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
    """A picture that a job made, or a part of it.

    ``location`` is its address without a scheme. ``frame_count`` belongs to moving pictures.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PicProcessResult:
    """The pictures that a job made, and the original if the job requested its description.

    ``objects`` holds all pictures; the other fields describe the first of them.
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
