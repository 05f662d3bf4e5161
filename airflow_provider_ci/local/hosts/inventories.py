"""Reads the configuration of an inventory from a request (436/46869)."""

from __future__ import annotations

import re

from lxml import etree

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.objects.inventory import OPTIONAL, InventoryTask

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BUCKET = re.compile(r"qcs::cos:[a-z0-9-]*::(.+)")
_FILTERS = ("Prefix", "And")
_VERSIONS = ("All", "Current")


def read(request: Request, body: bytes) -> InventoryTask:
    """Read an ``InventoryConfiguration``.

    :raises ServiceError: the body is malformed, or asks for a feature that is left out
        (``NotImplemented``).
    """
    node = wire.parse(body, "InventoryConfiguration")
    name = request.parameter("id")
    if not _NAME.fullmatch(name) or wire.text(node, "Id") != name:
        raise ServiceError(
            "InvalidArgument", f"id {name!r} and Id {wire.text(node, 'Id')!r} must be one name"
        )
    versions = wire.text(node, "IncludedObjectVersions")
    if versions not in _VERSIONS:
        raise ServiceError("MalformedXML", f"IncludedObjectVersions {versions!r} is neither All nor Current")
    return InventoryTask(
        name=name,
        source=request.address.bucket,
        destination=_destination(node),
        folder=wire.text(node, "Destination/COSBucketDestination/Prefix"),
        key_prefix=_key_prefix(node),
        fields=_fields(node),
        has_versions=versions == "All",
    )


def _destination(node: etree._Element) -> str:
    place = node.find("Destination/COSBucketDestination")
    match = None if place is None else _BUCKET.fullmatch(wire.text(place, "Bucket"))
    if place is None or not match:
        raise ServiceError("MalformedXML", "COSBucketDestination has no Bucket qcs::cos:<region>::<bucket>")
    if wire.text(place, "Format") != "CSV":
        raise ServiceError("NotImplemented", "the local CI writes inventories of the Format CSV only")
    if place.find("Encryption") is not None:
        raise ServiceError("NotImplemented", "the local CI does not know server-side encryption")
    return match[1]


def _key_prefix(node: etree._Element) -> str:
    conditions = node.find("Filter")
    inner = [] if conditions is None else [*conditions, *conditions.findall("And/*")]
    for each in inner:
        if each.tag not in _FILTERS:
            raise ServiceError(
                "NotImplemented", f"the local CI filters inventories by Prefix, not by {each.tag}"
            )
    return wire.exact_text(node, "Filter/Prefix") or wire.exact_text(node, "Filter/And/Prefix")


def _fields(node: etree._Element) -> tuple[str, ...]:
    found = tuple((each.text or "").strip() for each in node.findall("OptionalFields/Field"))
    for name in found:
        if name not in OPTIONAL:
            raise ServiceError("NotImplemented", f"the local CI writes no inventory field {name!r}")
    return found
