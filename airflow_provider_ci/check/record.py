"""Writes all exchanges of a check to a file that is safe to share.

The file holds no secrets, and no object keys of jobs that are not the check's own.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from airflow_provider_ci import __version__
from airflow_provider_ci.client import Exchange

if TYPE_CHECKING:
    from airflow_provider_ci.check.trial import Trial

FORMAT = 1
REMOVED = "removed"

SIGNATURE_FIELDS = ("q-ak", "q-signature")
TOKEN_NAMES = ("x-cos-security-token", "x-ci-security-token")

_KEPT_REQUEST_HEADERS = frozenset({"content-length", "content-md5", "content-type", "date", "host"})
_KEPT_RESPONSE_HEADERS = frozenset(
    {
        *("age", "connection", "content-encoding", "content-length", "content-type", "date", "etag"),
        *("last-modified", "location", "retry-after", "server", "transfer-encoding", "via"),
    }
)
_SERVICE_PREFIXES = ("x-cos-", "x-ci-")

_ALWAYS_REMOVED = "DocPassword|Url|CallBack|MqName|AuthToken|ID|DisplayName|UIN|StringToSign|FormatString"
_REMOVED_OF_OTHERS = f"{_ALWAYS_REMOVED}|Object|TgtUri|UserData|Key|ObjectName|Location|SpriteObject"
_JOB = re.compile(r"<JobsDetail>.*?</JobsDetail>", re.DOTALL)


def write(path: Path, trial: Trial, skip: Collection[str], patience_seconds: float) -> None:
    """Write all exchanges of a trial.

    :raises OSError: the file cannot be written.
    """
    path.write_text(text_of(trial, skip, patience_seconds), "utf-8")


def text_of(trial: Trial, skip: Collection[str], patience_seconds: float) -> str:
    """All exchanges of a trial as JSON, without secrets."""
    begin = trial.exchanges[0].sent if trial.exchanges else 0.0
    wall = trial.client.clock.now() - trial.client.clock.monotonic() - trial.client.clock_offset_seconds
    content = {
        "format": FORMAT,
        "package": __version__,
        "bucket": trial.client.bucket,
        "region": trial.client.region,
        "folder": trial.folder,
        "skip": sorted(skip),
        "patience_seconds": patience_seconds,
        "machine_time": wall + begin,
        "exchanges": [_entry(each, begin, trial.folder) for each in trial.exchanges],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    for secret in sorted(_secrets(trial.exchanges), key=len, reverse=True):
        text = text.replace(json.dumps(secret, ensure_ascii=False)[1:-1], REMOVED)
    return text + "\n"


def _entry(exchange: Exchange, begin: float, folder: str) -> Mapping[str, Any]:
    url = urlsplit(exchange.url)
    return {
        "at": round(exchange.sent - begin, 3),
        "until": round(exchange.received - begin, 3),
        "method": exchange.method,
        "path": unquote(url.path),
        "query": public_query(url.query),
        "request_headers": _kept(exchange.request_headers, _KEPT_REQUEST_HEADERS),
        "request_body": _readable(exchange.request_body, folder),
        "status": exchange.status,
        "headers": _kept(exchange.response_headers, _KEPT_RESPONSE_HEADERS),
        "body": _readable(exchange.response_body, folder),
    }


def public_query(query: str) -> list[list[str]]:
    """The parameters of a query, without the fields of the signature."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return sorted([name, value] for name, value in pairs if not _is_secret_name(name))


def _is_secret_name(name: str) -> bool:
    lower = name.lower()
    return lower.startswith("q-") or lower == "sign" or lower in TOKEN_NAMES


def _kept(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    """Keep only headers that are known to be harmless: an unknown header may hold a secret."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() in names
        or (name.lower().startswith(_SERVICE_PREFIXES) and name.lower() not in TOKEN_NAMES)
    }


def _readable(body: bytes, folder: str) -> object:
    try:
        return _without_secrets(body.decode(), folder)
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _without_secrets(text: str, folder: str) -> str:
    """Remove passwords and callback addresses, and the object keys of jobs that are not the check's own."""
    if not text.lstrip().startswith("<"):
        return text
    others = _JOB.sub(lambda job: job[0] if folder in job[0] else _emptied(job[0], _REMOVED_OF_OTHERS), text)
    return _emptied(others, _ALWAYS_REMOVED)


def _emptied(text: str, names: str) -> str:
    return re.sub(rf"<({names})>[^<]+</", rf"<\1>{REMOVED}</", text)


def _secrets(exchanges: list[Exchange]) -> set[str]:
    """Return the signatures, key ids and tokens of the requests, in every form that a response may repeat."""
    found = {value for exchange in exchanges for value in _secrets_of(exchange) if value}
    return found | {quote(value, "") for value in found}


def _secrets_of(exchange: Exchange) -> Iterator[str]:
    for name, value in exchange.request_headers.items():
        if name.lower() == "authorization":
            yield value
            yield from (field for name, field in parse_qsl(value) if name in SIGNATURE_FIELDS)
        elif name.lower() in TOKEN_NAMES:
            yield value
    for name, value in parse_qsl(urlsplit(exchange.url).query):
        if name in SIGNATURE_FIELDS or name.lower() in TOKEN_NAMES:
            yield value
