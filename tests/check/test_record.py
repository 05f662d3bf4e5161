"""The record of a check has no secrets, and a check of the replayed record gives the same result."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.check import Report, Row, check_bucket
from airflow_provider_ci.client import CIClient, Credentials, DocProcess
from airflow_provider_ci.local import LocalCI
from tests.check.replay import Replay

SECRETS = {
    "secret_id": "AKIDthisIsTheSecretIdOfTheTest012345",
    "secret_key": "thisIsTheSecretKey/+=OfTheTest",
    "token": "thisIsTheToken/+=OfTheTest",
}
FOREIGN_KEY = "confidential/merger.docx"
PASSWORD = "the-password-of-a-document"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record.json"


def entries_of(record: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(record.read_text())["exchanges"]
    return found


def test_a_record_holds_every_exchange(check: Callable[..., Report], record: Path) -> None:
    report = check({"record": record})
    entries = entries_of(record)
    assert len(entries) == report.requests
    (submission,) = [entry for entry in entries if entry["path"] == "/doc_jobs" and entry["method"] == "POST"]
    assert "<TgtType>pdf</TgtType>" in submission["request_body"]
    assert "<JobId>d" in submission["body"]
    assert submission["headers"]["x-ci-request-id"]


@pytest.mark.parametrize("is_refused", [False, True], ids=["accepted", "refused"])
def test_a_record_has_no_secrets(
    serve: Callable[..., LocalCI], connect: Callable[..., CIClient], record: Path, is_refused: bool
) -> None:
    """The service repeats parts of a refused request, such as its SecretId, in the error."""
    server = serve(**SECRETS)
    keys = {**SECRETS, **({"secret_id": "AKIDunknown00000000000000"} if is_refused else {})}
    report = check_bucket(connect(server, **keys), record=record)
    assert bool(report.problem) is is_refused
    text = record.read_text()
    for secret in (*keys.values(), "thisIsTheSecretKey", "thisIsTheToken", "AKIDunknown"):
        assert secret not in text
    for name in ("Authorization", "authorization", "q-signature", "q-ak", "security-token"):
        assert name not in text


def test_a_record_names_no_objects_of_others(
    serve: Callable[..., LocalCI], connect: Callable[..., CIClient], own_buckets: Path, record: Path
) -> None:
    server = serve()
    client = connect(server)
    client.put_object(FOREIGN_KEY, b"secret")
    # This job is as recent as the job of the check, so that both are on the same page of the listing.
    client.submit_doc_job(
        FOREIGN_KEY, f"{FOREIGN_KEY}.pdf", DocProcess(password=PASSWORD), user_data="merger"
    )
    check_bucket(client, record=record)
    text = record.read_text()
    assert text.count("<JobId>d") > 1
    assert "confidential" not in text
    assert "merger" not in text
    assert PASSWORD not in text
    assert (own_buckets / "examplebucket-1250000000" / FOREIGN_KEY).read_bytes() == b"secret"


# The client against a record


def replayed(record: Path | dict[str, Any]) -> Report:
    with Replay(record) as server:
        report: Report = server.check()
        assert server.unknown == []
    return report


def without_tenths(report: Report) -> dict[str, Row]:
    """The rows by name. The tenths of a delay depend on how busy this machine was, so they are left out."""
    return {row.name: replace(row, seen=re.sub(r"\d+\.\d s\b", "… s", row.seen)) for row in report.rows}


@pytest.mark.parametrize(
    "traits",
    [
        {},
        {"clock_offset_seconds": 3600, "empty_pages": 1, "user_data_limit": 12},
        {"versioned": ["examplebucket-1250000000"], "strict_signature": True, "hide_jobs_seconds": 1},
    ],
    ids=["no traits", "three traits", "three others"],
)
def test_a_replay_finds_what_was_found(
    check: Callable[..., Report], record: Path, traits: dict[str, Any]
) -> None:
    report = check({"record": record}, **traits)
    again = replayed(record)
    assert without_tenths(again) == without_tenths(report)
    assert replace(again, seconds=0, rows=()) == replace(report, seconds=0, rows=())


# Faults that no trait of the local CI causes. Each changes a record, so that the named row differs.

Change = Callable[[dict[str, Any]], None]


def on(method: str, path: str, change: Change, nth: int = -1) -> Callable[[list[dict[str, Any]]], None]:
    """Change the nth exchange that has this method and contains ``path`` in its path."""

    def apply(entries: list[dict[str, Any]]) -> None:
        found = [entry for entry in entries if entry["method"] == method and path in entry["path"]]
        change(found[nth])

    return apply


def every(host: str, change: Change) -> Callable[[list[dict[str, Any]]], None]:
    """Change all exchanges with the hosts whose name contains ``host``."""

    def apply(entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            if host in entry["request_headers"]["Host"]:
                change(entry)

    return apply


def put(**values: Any) -> Change:
    return lambda entry: entry.update(values)


def header(name: str, value: str | None) -> Change:
    def change(entry: dict[str, Any]) -> None:
        entry["headers"].pop(name, None)
        if value is not None:
            entry["headers"][name] = value

    return change


def swap(old: str, new: str) -> Change:
    def change(entry: dict[str, Any]) -> None:
        assert old in entry["body"]
        entry["body"] = entry["body"].replace(old, new)

    return change


def moved_in_time(entry: dict[str, Any]) -> None:
    entry["headers"]["Date"] = "Wed, 01 Jan 2020 00:00:00 GMT"


def job_with_another_letter(entries: list[dict[str, Any]]) -> None:
    text = json.dumps(entries)
    job_id = re.findall(r"<JobId>(c\w+)<", text)[0]
    entries[:] = json.loads(text.replace(job_id, f"z{job_id[1:]}"))


DATED = {"Date": "Fri, 27 Nov 2026 03:00:00 GMT"}
REFUSAL = "<Error><Code>{}</Code><Message>m</Message></Error>"
CHANGES: dict[str, tuple[Callable[[list[dict[str, Any]]], None], str, str]] = {
    "a late request is accepted": (
        on("PUT", "late.txt", put(status=200)),
        "expired signature",
        "accepted",
    ),
    "the old content": (on("GET", "changed.txt", put(body="old")), "read after write", "b'old'"),
    "a deleted object": (
        on("HEAD", "deleted.txt", put(status=200, headers={**DATED, "ETag": '"1"', "Content-Length": "3"})),
        "read after delete",
        "can still be read",
    ),
    "403 for a missing object": (
        on("GET", "missing.txt", put(status=403, body=REFUSAL.format("AccessDenied"))),
        "missing object",
        "403 AccessDenied",
    ),
    "another refusal to overwrite": (
        on("PUT", "protected.txt", put(status=412, body=REFUSAL.format("PreconditionFailed"))),
        "overwriting",
        "412 PreconditionFailed",
    ),
    "an ETag that is no MD5": (on("PUT", "stored.txt", header("ETag", '"abc-1"')), "ETag", "abc-1"),
    "no checksum": (on("PUT", "stored.txt", header("x-cos-hash-crc64ecma", None)), "checksum", "missing"),
    "a paused queue": (on("GET", "/docqueue", swap("Active", "Paused")), "document queue", "Paused"),
    "a strange job id": (job_with_another_letter, "picture job: id", "'z"),
    "another queue": (
        on("GET", "/picqueue", swap("<QueueId>p", "<QueueId>p0")),
        "picture job: default queue",
        "not listed among the queues",
    ),
    "no Date": (on("GET", "/docqueue", header("Date", None)), "Date", "in "),
    "no request id": (on("GET", "/docqueue", header("x-ci-request-id", None)), "request id", "in "),
    "two clocks": (every(".ci.", moved_in_time), "one clock", "s apart"),
    "an unknown job is an error": (
        on("GET", "/doc_jobs/d0000", put(status=400, body=REFUSAL.format("ResourceNotFound"))),
        "unknown job",
        "400 ResourceNotFound",
    ),
    "no output after Success": (on("HEAD", "small.png", put(status=404)), "picture job: output", "missing"),
}


@pytest.fixture(scope="module")
def good_record(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A record of a bucket that fits all assumptions."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "buckets" / "examplebucket-1250000000").mkdir(parents=True)
    with LocalCI(folder / "buckets", convert="instant") as server:
        credentials = {"secret_id": server.secret_id, "secret_key": server.secret_key}
        with client_of(server, credentials) as client:
            assert check_bucket(client, record=folder / "record.json").exit_code == 0
    return (folder / "record.json").read_text()


def client_of(server: LocalCI, credentials: dict[str, str]) -> CIClient:
    key = Credentials(**credentials)
    return CIClient(key, "ap-guangzhou", "examplebucket-1250000000", endpoint=server.endpoint)


@pytest.mark.parametrize("name", CHANGES)
def test_what_no_trait_shows_is_found_in_a_changed_record(good_record: str, name: str) -> None:
    change, row, words = CHANGES[name]
    record = json.loads(good_record)
    change(record["exchanges"])
    report = replayed(record)
    assert report.problem == ""
    found = {each.name: each for each in report.differences}
    assert words in found[row].seen
