"""Reads and checks the request that submits a job, before anything is stored.

Nodes that the API pages require are required. A node that neither the pages nor an official SDK know is
rejected, so that a misspelling is not ignored. Values are accepted unchecked where the service was seen to do
so (a Quality of 109 is accepted and echoed); the conversion checks them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
"""Parameters of DocProcess and their values in a response if they were not sent (recorded in 1045/51266)."""

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
# BucketName comes from the Java SDK, which also names the bucket in the host; the host counts.
_REQUEST_NODES = frozenset({"Tag", "Input", "Operation", "QueueId", "QueueType", "BucketName"})
_TAGS = ("DocProcess", "PicProcess")
_OUTPUT_NODES = ("Bucket", "Object", "Region")


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


def read(body: bytes, tag: str) -> Order:
    """Read the body of a request for a job with this tag.

    :raises ServiceError: ``MissingContent`` for an empty body, ``InvalidContent`` for XML that is not
        well-formed, ``InvalidArgument`` for a missing, unknown or senseless node, ``NotImplemented`` for
        features that are left out.
    """
    if not body.strip():
        raise ServiceError("MissingContent", "the request has no body")
    request = wire.parse(body, "Request")
    if len(request.findall("Operation")) > 1:
        raise ServiceError("NotImplemented", "the local CI takes one Operation per request")
    check_tag(wire.text(request, "Tag"), tag, "Request.Tag")
    check_known(request, "Request", _REQUEST_NODES | receivers.NODES)
    operation = _required(request, "Operation")
    template_id = _template_id(operation, tag)
    parameters = {} if template_id else _OPERATIONS[tag](_required(operation, tag))
    output = _output(operation)
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
            tag: _masked(parameters),
            "Output": output,
            **_user_data(operation),
        },
        output_bucket=output["Bucket"],
        secret=parameters.get("DocPassword", ""),
    )


def check_tag(given: str, wanted: str, place: str) -> None:
    """Check that the tag is the expected one.

    :raises ServiceError: ``NotImplemented`` for the tag of another feature of the service.
    """
    if given == wanted:
        return
    if re.fullmatch(r"[A-Z][A-Za-z]+", given) and given not in _TAGS:
        raise ServiceError("NotImplemented", f"the local CI does not know jobs with {place} {given}")
    raise _bad(f"{place} is {given!r}, here it must be {wanted}")


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
    check_known(node, "Input", {"Object"}, left_out={"Url"})
    key = _required(node, "Object", "Input").text or ""
    if not key.removeprefix("/"):
        raise _bad("Request.Input.Object is empty")
    keys.check_key(key.removeprefix("/"))
    return key


def _output(operation: etree._Element) -> dict[str, str]:
    node = _required(operation, "Output", "Operation")
    check_known(node, "Operation.Output", set(_OUTPUT_NODES))
    values = {name: wire.exact_text(node, name) for name in _OUTPUT_NODES}
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
    """The parameters in a PicProcess node, of a job or of a template."""
    sent = {**_PIC_DEFAULTS, **_parameters(node, "PicProcess", _PIC_DEFAULTS)}
    if not sent["ProcessRule"]:
        raise _bad("Request.Operation.PicProcess.ProcessRule is missing or empty")
    if sent["IsPicInfo"] not in ("true", "false"):
        raise _bad(f"Request.Operation.PicProcess.IsPicInfo is {sent['IsPicInfo']!r}, not true or false")
    return sent


_OPERATIONS: Mapping[str, Callable[[etree._Element], dict[str, str]]] = {
    "DocProcess": _document,
    "PicProcess": picture,
}


def _parameters(node: etree._Element, name: str, defaults: Mapping[str, str]) -> dict[str, str]:
    check_known(node, f"Operation.{name}", set(defaults))
    values = {str(child.tag): child.text or "" for child in node}
    return {
        name: value if name == "DocPassword" else value.strip() for name, value in values.items() if value
    }


def _check_output_name(key: str, parameters: Mapping[str, str], name: str) -> None:
    """Pages need names that differ (1045/47932); for pdf, which is one file, the page states no rule.

    Assumed: a job for exactly one page needs no number in its name.
    """
    is_one_page = parameters.get("StartPage") == parameters.get("EndPage", "")
    if target_of(parameters) == "pdf" or is_one_page:
        return
    if "${Number}" not in name and "${Page}" not in name:
        raise _bad(f"Output.Object {name!r} needs ${{Number}} or ${{Page}}, for every page becomes an object")
    if source_type_of(parameters, key) in SHEET_TYPES and "${SheetID}" not in name:
        raise _bad(f"Output.Object {name!r} needs ${{SheetID}}, for the source {key!r} has sheets")


def _masked(parameters: dict[str, str]) -> dict[str, str]:
    return {**parameters, "DocPassword": MASK} if parameters.get("DocPassword") else parameters


def _template_id(operation: etree._Element, tag: str) -> str:
    """The template, which wins over parameters (1045/49947); no page knows one for documents."""
    names = {tag, "Output", "UserData", "JobLevel"}
    if tag == "DocProcess":
        check_known(operation, "Operation", names, left_out={"TemplateId"})
    else:
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
    """Return if all children of ``node`` have one of these names.

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
