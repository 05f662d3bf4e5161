"""Pictures made from an object and stored: header ``Pic-Operations`` of PUT and POST (1045/33695, 33716)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from airflow_provider_ci.local.convert import PictureInfo, PictureResult
from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.request import Request, without_port
from airflow_provider_ci.local.http.wire import Value
from airflow_provider_ci.local.objects import keys
from airflow_provider_ci.local.objects.store import StoredObject, md5_of
from airflow_provider_ci.local.sync.sync import PICTURE_REFUSALS, Bench, Refusal

MAX_RULES = 5


class Rule(NamedTuple):
    """One picture to make: its rule, and the bucket and key to store it under."""

    bucket: str
    key: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PicOperations:
    """The pictures that the header requests; ``host`` is the request's host, for their ``Location``."""

    rules: tuple[Rule, ...]
    is_pic_info: bool
    host: str
    refusals: ClassVar[Mapping[str, Refusal]] = PICTURE_REFUSALS

    def make(self, bench: Bench) -> Answer:
        """Make all pictures, then store them; the response describes them (``UploadResult``)."""
        source = bench.source()
        etag = md5_of(source)
        made: list[PictureResult] = []
        for number, rule in enumerate(self.rules, start=1):
            made.append(bench.picture(source, rule.rule, bench.folder / f"output-{number}{source.suffix}"))
        stored = [
            bench.workspace.publish(
                rule.bucket, rule.key, bench.folder / f"output-{number}{source.suffix}", done.output.format
            )
            for number, (rule, done) in enumerate(zip(self.rules, made, strict=True), start=1)
        ]
        objects: list[Value] = [self._object(*each) for each in zip(stored, made, strict=True)]
        body = wire.document(
            "UploadResult",
            {
                "OriginalInfo": self._original(bench, etag, made[0].original),
                "ProcessResults": {"Object": objects},
            },
        )
        return Answer(body=body, headers={"ETag": f'"{etag}"'})

    def _original(self, bench: Bench, etag: str, picture: PictureInfo) -> dict[str, Value]:
        told: dict[str, Value] = {
            "Key": bench.key,
            "Location": self._location(bench.bucket, bench.key),
            "ETag": f'"{etag}"',
        }
        return {**told, "ImageInfo": _image_info(picture)} if self.is_pic_info else told

    def _object(self, stored: StoredObject, done: PictureResult) -> dict[str, Value]:
        return {
            "Key": stored.file.key,
            "Location": self._location(stored.file.bucket, stored.file.key),
            "Format": done.output.format,
            "Width": done.output.width,
            "Height": done.output.height,
            "Size": done.output.size,
            "Quality": done.output.quality,
            "ETag": f'"{stored.etag}"',
        }

    def _location(self, bucket: str, key: str) -> str:
        return f"{bucket}.{without_port(self.host).partition('.')[2]}/{key}"


def read(request: Request) -> PicOperations | None:
    """Read the pictures that a request asks for; None if it has no ``Pic-Operations``.

    :raises ServiceError: ``InvalidPicOperations``, with ``X-ErrNo`` -60997 for more than five rules.
    """
    text = request.header("Pic-Operations")
    if not text:
        return None
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad(f"Pic-Operations is not JSON: {error}") from error
    if not isinstance(given, dict) or not given.keys() <= {"is_pic_info", "rules"}:
        raise _bad("Pic-Operations is not a JSON object of is_pic_info and rules")
    if str(given.get("is_pic_info", 0)) not in ("0", "1"):
        raise _bad(f"is_pic_info of Pic-Operations is {given['is_pic_info']!r}, not 0 or 1")
    return PicOperations(
        rules=_rules(given.get("rules"), request),
        is_pic_info=str(given.get("is_pic_info", 0)) == "1",
        host=request.host,
    )


def _rules(given: object, request: Request) -> tuple[Rule, ...]:
    if not isinstance(given, list) or not given:
        raise _bad("rules of Pic-Operations is not a list of rules")
    if len(given) > MAX_RULES:
        raise _bad(f"Pic-Operations has {len(given)} rules, more than the {MAX_RULES} allowed", "-60997")
    return tuple(_rule(item, position, request) for position, item in enumerate(given, start=1))


def _rule(given: object, position: int, request: Request) -> Rule:
    place = f"rule {position} of Pic-Operations"
    if not isinstance(given, dict) or not given.keys() <= {"bucket", "fileid", "rule"}:
        raise _bad(f"{place} is not a JSON object of fileid, rule and, if need be, bucket")
    if not all(isinstance(value, str) for value in given.values()):
        raise _bad(f"{place}: fileid, rule and bucket are texts")
    if not given.get("fileid", "").removeprefix("/") or not given.get("rule"):
        raise _bad(f"{place} lacks fileid or rule")
    key = _output_key(given["fileid"], request.path[1:])
    return Rule(given.get("bucket") or request.address.bucket, keys.check_key(key), given["rule"])


def _output_key(file_id: str, source: str) -> str:
    """Return the output key: with a leading slash the whole key, otherwise a name in the source's folder."""
    if file_id.startswith("/"):
        return file_id.removeprefix("/")
    folder, slash, _ = source.rpartition("/")
    return folder + slash + file_id


def _image_info(picture: PictureInfo) -> dict[str, Value]:
    return {
        "Format": picture.format,
        "Width": picture.width,
        "Height": picture.height,
        "Quality": picture.quality,
        "Ave": picture.ave,
        "Orientation": picture.orientation,
    }


def _bad(message: str, number: str = "") -> ServiceError:
    return ServiceError("InvalidPicOperations", message, headers={"X-ErrNo": number} if number else {})
