"""Reads and checks the request that submits a job, before anything is stored.

Nodes that the API pages require are required. A node that neither the pages nor an official SDK know is
rejected, so that a misspelling is not ignored. Values are accepted unchecked where the service was seen to do
so (a Quality of 109 is accepted and echoed); the conversion checks them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from lxml import etree

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.jobs import receivers
from airflow_provider_ci.local.jobs.jobs import MASK
from airflow_provider_ci.local.objects import keys

DOC_DEFAULTS: Mapping[str, str] = {
    "Comments": "1",
    "DocPassword": "",
    "EndPage": "-1",
    "ImageDpi": "96",
    "ImageParams": "",
    "PageRanges": "",
    "PaperDirection": "0",
    "PaperSize": "0",
    "PicPagination": "0",
    "Quality": "100",
    "SheetId": "0",
    "SrcType": "",
    "StartPage": "0",
    "TgtType": "",
    "Zoom": "100",
}
"""Parameters of DocProcess, and the values that a response shows for unsent ones (recorded in 1045/51266)."""

SHEET_TYPES = frozenset(
    ["xls", "xlt", "et", "ett", "xlsx", "xltx", "csv", "xlsb", "xlsm", "xltm", "ets", "ods"]
)
"""Source types whose pages lie on sheets (1045/47932, and ods)."""

_OWN_TYPES = frozenset({"odt", "ods", "odp"})

TARGETS = ("pdf", "png", "jpg")

_PIC_DEFAULTS = {"IsPicInfo": "false", "ProcessRule": ""}

_NUMBERS = frozenset(name for name, default in DOC_DEFAULTS.items() if re.fullmatch("-?[0-9]+", default))
_LEVELS = ("0", "1", "2")
_MAX_USER_DATA = 1024
_PRINTABLE = re.compile("[ -~]*")
# The Java SDK sends BucketName, but also names the bucket in the host; the host decides.
_REQUEST_NODES = frozenset({"Tag", "Input", "Operation", "QueueId", "QueueType", "BucketName"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The content of a request for a job. The caller checks bucket and queues."""

    tag: str
    input_object: str
    queue_id: str
    queue_type: str
    level: int
    template_id: str
    receiver: Mapping[str, str]
    operation: Mapping[str, Mapping[str, str] | str]
    output_bucket: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form of a request for a job with a certain tag."""

    node: str
    """Name of the node within ``Operation`` that holds the parameters."""
    read: Callable[[etree._Element], dict[str, str]]
    output: tuple[str, ...] = ("Bucket", "Object", "Region")
    """Nodes of ``Output``, all of them required; empty for a tag whose jobs write no object."""
    secret: str = ""
    """The parameter that is a password."""
    takes_template: bool = False


def read(body: bytes, tags: Collection[str]) -> Order:
    """Read the body of a request for a job with one of these tags.

    :raises ServiceError: ``MissingContent`` for an empty body, ``InvalidContent`` for XML that is not
        well-formed, ``InvalidArgument`` for a missing, unknown or invalid node, ``NotImplemented`` for
        features that are left out.
    """
    if not body.strip():
        raise ServiceError("MissingContent", "the request has no body")
    request = wire.parse(body, "Request")
    if len(request.findall("Operation")) > 1:
        raise ServiceError("NotImplemented", "the local CI takes one Operation per request")
    tag = wire.text(request, "Tag")
    check_tag(tag, tags, "Request.Tag")
    form = FORMS[tag]
    check_known(request, "Request", _REQUEST_NODES | receivers.NODES)
    operation = _required(request, "Operation")
    template_id = _template_id(operation, form)
    parameters = {} if template_id else form.read(_required(operation, form.node, "Request.Operation"))
    output = _output(operation, form)
    input_object = _input(request)
    if tag == "DocProcess":
        _check_output_name(input_object, parameters, output["Object"])
    return Order(
        tag=tag,
        input_object=input_object,
        queue_id=wire.text(request, "QueueId"),
        queue_type=wire.text(request, "QueueType"),
        template_id=template_id,
        receiver=receivers.read(request),
        level=_level(operation),
        operation={
            form.node: _masked(parameters, form.secret),
            **({"Output": output} if output else {}),
            **_user_data(operation),
        },
        output_bucket=output.get("Bucket", ""),
        secret=parameters.get(form.secret, ""),
    )


def check_tag(given: str, wanted: Collection[str], place: str) -> None:
    """Check that the tag is one of the expected ones.

    :raises ServiceError: ``NotImplemented`` for the tag of another feature of the service.
    """
    if given in wanted:
        return
    # A name in this form may be a tag of the service that is left out here; anything else is a mistake.
    if re.fullmatch(r"[A-Z][A-Za-z]+", given) and given not in FORMS:
        known = ", ".join(sorted(FORMS))
        raise ServiceError(
            "NotImplemented", f"the local CI does not know jobs with {place} {given}; it does {known}"
        )
    raise _bad(f"{place} is {given!r}, here it must be {' or '.join(wanted)}")


def is_own_type(source_type: str) -> bool:
    """Whether only the local CI reads this type of document: the service's pages do not name it."""
    return source_type in _OWN_TYPES


def target_of(parameters: Mapping[str, str]) -> str:
    """The target type of a document job; anything not recognised means jpg (1045/47932)."""
    target = parameters.get("TgtType", "").lower()
    return target if target in TARGETS else "jpg"


def source_type_of(parameters: Mapping[str, str], key: str) -> str:
    """The source type: the key's suffix, or ``SrcType`` for a key without one."""
    name = key.rpartition("/")[2]
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    return suffix or parameters.get("SrcType", "").lower()


def _input(request: etree._Element) -> str:
    node = _required(request, "Input")
    # SDKs can send Url, but the local CI calls no foreign hosts.
    check_known(node, "Input", {"Object"}, left_out={"Url"})
    key = _required(node, "Object", "Input").text or ""
    if not key.removeprefix("/"):
        raise _bad("Request.Input.Object is empty")
    keys.check_key(key.removeprefix("/"))
    return key


def _output(operation: etree._Element, form: Form) -> dict[str, str]:
    if not form.output:
        return {}
    node = _required(operation, "Output", "Operation")
    check_known(node, "Operation.Output", set(form.output))
    values = {name: wire.exact_text(node, name) for name in form.output}
    for name, value in values.items():
        if not value.removeprefix("/"):
            raise _bad(f"Request.Operation.Output.{name} is missing or empty")
    return values


def _document(node: etree._Element) -> dict[str, str]:
    sent = _parameters(node, "DocProcess", DOC_DEFAULTS)
    for name in _NUMBERS.intersection(sent):
        wire.number(f"DocProcess.{name}", sent[name], 0, low=-999_999_999, high=999_999_999)
    return sent


def picture(node: etree._Element) -> dict[str, str]:
    """Read the parameters in a PicProcess node, of a job or of a template."""
    sent = {**_PIC_DEFAULTS, **_parameters(node, "PicProcess", _PIC_DEFAULTS)}
    if not sent["ProcessRule"]:
        raise _bad("Request.Operation.PicProcess.ProcessRule is missing or empty")
    if sent["IsPicInfo"] not in ("true", "false"):
        raise _bad(f"Request.Operation.PicProcess.IsPicInfo is {sent['IsPicInfo']!r}, not true or false")
    return sent


def _watermark(node: etree._Element) -> dict[str, str]:
    sent = _parameters(node, "DocWatermark", _WATERMARK_NODES)
    if sent.get("Type") != "1":
        raise ServiceError(
            "NotImplemented",
            f"the local CI does only DocWatermark.Type 1 (an image), not {sent.get('Type')!r}",
        )
    if not sent.get("Image"):
        raise _bad("Request.Operation.DocWatermark.Image is missing or empty")
    for name in _WATERMARK_NODES[3:]:
        wire.number(f"DocWatermark.{name}", sent.get(name, ""), 0, low=0, high=100_000)
    return sent


def _hash_code(node: etree._Element) -> dict[str, str]:
    sent = _parameters(node, "FileHashCodeConfig", ("Type", "AddToHeader"))
    if sent.get("Type", "").upper() not in HASH_TYPES:
        raise _bad(f"FileHashCodeConfig.Type is {sent.get('Type')!r}, not one of {', '.join(HASH_TYPES)}")
    _check_flag("FileHashCodeConfig.AddToHeader", sent)
    return sent


def _uncompress(node: etree._Element) -> dict[str, str]:
    check_known(
        node, "Operation.FileUncompressConfig", set(_UNCOMPRESS_NODES), left_out={"Mode", "DownloadConfig"}
    )
    sent = _parameters(node, "FileUncompressConfig", _UNCOMPRESS_NODES)
    wire.number("FileUncompressConfig.PrefixReplaced", sent.get("PrefixReplaced", ""), 0, low=0, high=2)
    _check_flag("FileUncompressConfig.ListingFile", sent)
    try:
        base64.b64decode(sent.get("UnCompressKey", ""), validate=True).decode()
    except ValueError:
        raise _bad("FileUncompressConfig.UnCompressKey is not Base64 of a text") from None
    return sent


def _check_flag(place: str, sent: Mapping[str, str]) -> None:
    value = sent.get(place.rpartition(".")[2], "false")
    if value not in ("true", "false"):
        raise _bad(f"{place} is {value!r}, not true or false")


HASH_TYPES = ("MD5", "SHA1", "SHA256")
_WATERMARK_NODES = (
    *("SrcType", "Type", "Image", "Dx", "Dy", "Batch", "HorizontalSpacing", "VerticalSpacing"),
)
_UNCOMPRESS_NODES = ("Prefix", "PrefixReplaced", "UnCompressKey", "ListingFile")

FORMS: Mapping[str, Form] = {
    "DocProcess": Form(node="DocProcess", read=_document, secret="DocPassword"),  # noqa: S106
    "PicProcess": Form(node="PicProcess", read=picture, takes_template=True),
    "DocWatermark": Form(node="DocWatermark", read=_watermark),
    "FileHashCode": Form(node="FileHashCodeConfig", read=_hash_code, output=()),
    "FileUncompress": Form(
        node="FileUncompressConfig",
        read=_uncompress,
        output=("Bucket", "Region"),
        secret="UnCompressKey",  # noqa: S106
    ),
}
"""The form of each tag; from 1045/47932, 1045/73035, 436/83108, 436/83110; DocWatermark from the Go SDK."""


def _parameters(node: etree._Element, name: str, known: Collection[str]) -> dict[str, str]:
    check_known(node, f"Operation.{name}", set(known))
    values = {str(child.tag): child.text or "" for child in node}
    exact = ("DocPassword", "Prefix")
    # Blanks around numbers and names only format the XML; in a password or a prefix they are content.
    return {name: value if name in exact else value.strip() for name, value in values.items() if value}


def _check_output_name(key: str, parameters: Mapping[str, str], name: str) -> None:
    """Check that pages get different names (1045/47932). A pdf is one file; the page states no rule.

    Assumed: a job for exactly one page needs no number in its name.
    """
    is_one_page = parameters.get("StartPage") == parameters.get("EndPage", "")
    if target_of(parameters) == "pdf" or is_one_page:
        return
    if "${Number}" not in name and "${Page}" not in name:
        raise _bad(f"Output.Object {name!r} needs ${{Number}} or ${{Page}}, for every page becomes an object")
    if source_type_of(parameters, key) in SHEET_TYPES and "${SheetID}" not in name:
        raise _bad(f"Output.Object {name!r} needs ${{SheetID}}, for the source {key!r} has sheets")


def _masked(parameters: dict[str, str], secret: str) -> dict[str, str]:
    return {**parameters, secret: MASK} if parameters.get(secret) else parameters


def _template_id(operation: etree._Element, form: Form) -> str:
    """The id of the template, which overrides parameters (1045/49947); only picture jobs have templates."""
    names = {form.node, "Output", "UserData", "JobLevel"}
    if not form.takes_template:
        check_known(operation, "Operation", names, left_out={"TemplateId"})
        return ""
    check_known(operation, "Operation", names | {"TemplateId"})
    return wire.text(operation, "TemplateId")


def _level(operation: etree._Element) -> int:
    level = wire.text(operation, "JobLevel") or "0"
    if level not in _LEVELS:
        raise _bad(f"Request.Operation.JobLevel is {level!r}, not 0, 1 or 2")
    return int(level)


def _user_data(operation: etree._Element) -> dict[str, str]:
    node = operation.find("UserData")
    if node is None:
        return {}
    text = node.text or ""
    if len(text) > _MAX_USER_DATA or not _PRINTABLE.fullmatch(text):
        raise _bad(
            f"Request.Operation.UserData is not printable ASCII of at most {_MAX_USER_DATA} characters"
        )
    return {"UserData": text}


def check_known(
    node: etree._Element,
    place: str,
    names: set[str] | frozenset[str],
    *,
    left_out: set[str] | frozenset[str] = frozenset(),
) -> None:
    """Check that all children of ``node`` have one of these names.

    :raises ServiceError: ``NotImplemented`` for a name in ``left_out``, ``InvalidArgument`` for others.
    """
    for child in node:
        if child.tag in left_out:
            raise ServiceError("NotImplemented", f"the local CI does not know {place}.{child.tag!s} yet")
        if child.tag not in names:
            raise _bad(f"{place}.{child.tag!s} is unknown; known are {', '.join(sorted(names))}")


def _required(node: etree._Element, name: str, place: str = "Request") -> etree._Element:
    found = node.find(name)
    if found is None:
        raise _bad(f"{place}.{name} is missing")
    return found


def _bad(message: str) -> ServiceError:
    return ServiceError("InvalidArgument", message)
