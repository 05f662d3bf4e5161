"""Hashes, archives and watermarks: jobs that are really done, and tags that the local CI does not do."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert.source import archives
from tests.local.conftest import BUCKET, REGION, Caller

FILES = {"a.txt": b"alpha", "deep/b.txt": b"beta" * 1000, "合同.txt": "甲".encode()}
PATHS = pytest.mark.parametrize("path", ["/file_jobs", "/jobs"])
PLACE = f"<Region>{REGION}</Region><Bucket>{BUCKET}</Bucket>"


def hash_job(key: str, config: str = "<Type>MD5</Type>", more: str = "") -> str:
    return (
        f"<Request><Tag>FileHashCode</Tag><Input><Object>{key}</Object></Input><Operation>"
        f"<FileHashCodeConfig>{config}</FileHashCodeConfig>{more}</Operation></Request>"
    )


def unpack_job(key: str, config: str = "<Prefix>out/</Prefix>", more: str = "") -> str:
    return (
        f"<Request><Tag>FileUncompress</Tag><Input><Object>{key}</Object></Input><Operation>"
        f"<FileUncompressConfig>{config}</FileUncompressConfig><Output>{PLACE}</Output>{more}</Operation></Request>"
    )


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload] # a plain text
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


ARCHIVES = {"a.zip": zipped(FILES), "a.tar": tarred(FILES), "a.tar.gz": tarred(FILES, "w:gz")}


def below(folder: Path, prefix: str) -> dict[str, bytes]:
    root = folder / prefix
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@PATHS
@pytest.mark.parametrize("kind", ["MD5", "SHA1", "SHA256"])
def test_a_hash_is_in_the_job_and_in_the_header(call: Caller, kind: str, path: str) -> None:
    content = b"x" * 3_000_000
    call.put("in/a.bin", content)
    config = f"<Type>{kind}</Type><AddToHeader>true</AddToHeader>"
    job_id = call.submit(hash_job("in/a.bin", config, "<UserData>u 1</UserData>"), path)
    assert job_id.startswith("f")
    done = call.finished(job_id, path)
    wanted = hashlib.new(kind.lower(), content).hexdigest()
    result = "JobsDetail/Operation/FileHashCodeResult"
    assert done.text(f"{result}/{kind}") == wanted
    assert done.text(f"{result}/FileSize") == "3000000"
    assert done.text(f"{result}/Etag") == f'"{hashlib.md5(content).hexdigest()}"'
    assert done.text("JobsDetail/Operation/UserData") == "u 1"
    assert done.texts("JobsDetail/Operation/Output") == []
    assert call.get("in/a.bin").headers[f"x-cos-meta-{kind.lower()}"] == wanted
    assert call.get("in/a.bin").body == content


@pytest.mark.parametrize("convert", ["instant", "real"])
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_becomes_objects(
    serve: Callable[..., LocalCI], folder: Path, name: str, convert: str
) -> None:
    call = Caller(serve(convert=convert))
    call.put(f"in/{name}", ARCHIVES[name])
    config = "<Prefix>out/</Prefix><ListingFile>true</ListingFile>"
    done = call.finished(call.submit(unpack_job(f"in/{name}", config), "/file_jobs"), "/file_jobs")
    assert done.text("JobsDetail/State") == "Success"
    assert below(folder, "out") == FILES
    result = "JobsDetail/Operation/FileUncompressResult"
    assert done.text(f"{result}/FileCount") == "3"
    assert sorted(done.texts(f"{result}/FileList/Contents/Key")) == sorted(f"out/{name}" for name in FILES)
    assert done.text(f"{result}/FileList/IsTruncated") == "false"


@pytest.mark.parametrize(
    ("config", "folder_of_files"),
    [
        ("", ""),
        ("<Prefix>out</Prefix>", "out/"),
        ("<Prefix>out/</Prefix><PrefixReplaced>1</PrefixReplaced>", "out/a/"),
        ("<PrefixReplaced>2</PrefixReplaced>", "in/a/"),
    ],
)
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_prefixes_of_unpacked_files(
    call: Caller, folder: Path, config: str, folder_of_files: str, name: str
) -> None:
    call.put(f"in/{name}", ARCHIVES[name])
    done = call.finished(call.submit(unpack_job(f"in/{name}", config), "/file_jobs"), "/file_jobs")
    assert done.text("JobsDetail/State") == "Success"
    assert (folder / folder_of_files / "deep/b.txt").read_bytes() == FILES["deep/b.txt"]


def test_a_single_file_of_gzip_loses_its_suffix(call: Caller, folder: Path) -> None:
    call.put("in/notes.txt.gz", gzip.compress(b"notes"))
    call.finished(call.submit(unpack_job("in/notes.txt.gz"), "/file_jobs"), "/file_jobs")
    assert below(folder, "out") == {"notes.txt": b"notes"}


def test_links_are_left_out(call: Caller, folder: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, kind in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("device", tarfile.CHRTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        archive.addfile(tarfile.TarInfo("empty"))
    call.put("in/links.tar", made.getvalue())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive_of_link:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive_of_link.writestr(link, "/etc/passwd")
        archive_of_link.writestr("file", "x")
    call.put("in/links.zip", packed.getvalue())
    for name in ("links.tar", "links.zip"):
        config = f"<Prefix>{name}/</Prefix>"
        done = call.finished(call.submit(unpack_job(f"in/{name}", config), "/file_jobs"), "/file_jobs")
        assert done.text("JobsDetail/State") == "Success"
    assert below(folder, "links.tar") == {"empty": b""}
    assert below(folder, "links.zip") == {"file": b"x"}


HOSTILE: dict[str, tuple[bytes, str]] = {
    "up.zip": (zipped({"ok": b"x", "../evil": b"x"}), "UnsafeArchive"),
    "up.tar": (tarred({"ok": b"x", "a/../../evil": b"x"}), "UnsafeArchive"),
    "root.tar": (tarred({"ok": b"x", "/evil": b"x"}), "UnsafeArchive"),
    "drive.zip": (zipped({"ok": b"x", "C:/evil": b"x"}), "UnsafeArchive"),
    "backslash.tar": (tarred({"ok": b"x", "..\\evil": b"x"}), "UnsafeArchive"),
    "control.tar": (tarred({"ok": b"x", "a\nb": b"x"}), "UnsafeArchive"),
    "cut.zip": (zipped(FILES)[:-30], "DamagedFile"),
    "cut.tar.gz": (tarred(FILES, "w:gz")[:-30], "DamagedFile"),
    "a.7z": (b"7z\xbc\xaf\x27\x1c" + b"\0" * 40, "UnsupportedType"),
    "a.rar": (b"Rar!\x1a\x07\x00" + b"\0" * 40, "UnsupportedType"),
    "text.zip": (b"no archive at all", "UnsupportedType"),
    "empty.zip": (b"", "UnsupportedType"),
    "many.tar": (tarred({str(number): b"" for number in range(60)}), "FileTooLarge"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_ends_its_own_job_and_writes_nothing(
    call: Caller, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 50)
    content, code = HOSTILE[name]
    call.put(f"in/{name}", content)
    done = call.finished(call.submit(unpack_job(f"in/{name}"), "/file_jobs"), "/file_jobs")
    assert (done.text("JobsDetail/State"), done.text("JobsDetail/Code")) == ("Failed", code)
    assert not (folder / "out").exists()
    assert not list(folder.parent.rglob("evil"))


BOMBS = {
    "bomb.zip": zipped({"zeros": bytes(300_000)}),
    "bomb.tar.gz": tarred({"zeros": bytes(300_000)}, "w:gz"),
    "bomb.gz": gzip.compress(bytes(300_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_stopped_by_the_bytes_that_come_out(
    call: Caller, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 200_000)
    call.put(f"in/{name}", BOMBS[name])
    done = call.finished(call.submit(unpack_job(f"in/{name}"), "/file_jobs"), "/file_jobs")
    assert (done.text("JobsDetail/State"), done.text("JobsDetail/Code")) == ("Failed", "FileTooLarge")
    assert not (folder / "out").exists()


def test_a_header_without_end_is_not_read_into_memory(call: Caller) -> None:
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, 8_000_000_000
    call.put("in/header.tar", entry.tobuf() + bytes(4096))
    done = call.finished(call.submit(unpack_job("in/header.tar"), "/file_jobs"), "/file_jobs")
    assert (done.text("JobsDetail/State"), done.text("JobsDetail/Code")) == ("Failed", "DamagedFile")


REFUSED: dict[str, tuple[str, str, str]] = {
    "unknown hash": ("/file_jobs", hash_job("a", "<Type>CRC32</Type>"), "InvalidArgument"),
    "no hash": ("/file_jobs", hash_job("a", ""), "InvalidArgument"),
    "odd flag": (
        "/file_jobs",
        hash_job("a", "<Type>MD5</Type><AddToHeader>yes</AddToHeader>"),
        "InvalidArgument",
    ),
    "odd prefix": (
        "/file_jobs",
        unpack_job("a", "<PrefixReplaced>3</PrefixReplaced>"),
        "InvalidArgument",
    ),
    "odd key": ("/file_jobs", unpack_job("a", "<UnCompressKey>!</UnCompressKey>"), "InvalidArgument"),
    "part of an archive": ("/file_jobs", unpack_job("a", "<Mode>1</Mode>"), "NotImplemented"),
    "no output": (
        "/file_jobs",
        unpack_job("a").replace(f"<Output>{PLACE}</Output>", ""),
        "InvalidArgument",
    ),
    "compress": ("/file_jobs", "<Request><Tag>FileCompress</Tag></Request>", "NotImplemented"),
    "ocr": ("/jobs", "<Request><Tag>ImageOCR</Tag></Request>", "NotImplemented"),
    "snapshot": ("/jobs", "<Request><Tag>Snapshot</Tag></Request>", "NotImplemented"),
    "label": ("/doc_jobs", "<Request><Tag>DocAIGCMetadata</Tag></Request>", "NotImplemented"),
    "a document among files": ("/file_jobs", "<Request><Tag>DocProcess</Tag></Request>", "InvalidArgument"),
    "a hash among documents": ("/doc_jobs", hash_job("a"), "InvalidArgument"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_done_is_refused_before_a_job_exists(call: Caller, case: str) -> None:
    path, body, code = REFUSED[case]
    reply = call("POST", "ci", path, body=body)
    assert reply.code == code
    assert reply.status == (501 if code == "NotImplemented" else 400)


def test_file_jobs_have_a_queue_and_no_listing(call: Caller) -> None:
    (queue_id,) = call("GET", "ci", "/file_queue").texts("QueueList/QueueId")
    call.put("in/a.bin")
    reply = call("POST", "ci", "/file_jobs", body=hash_job("in/a.bin"))
    assert reply.text("JobsDetail/QueueId") == queue_id
    assert call("GET", "ci", "/file_jobs", [("tag", "FileHashCode")]).status == 405
    job_id = reply.text("JobsDetail/JobId")
    params = [("tag", "FileHashCode"), ("queueType", "FileProcess"), ("inputObject", "in/a.bin")]
    assert call("GET", "ci", "/jobs", params).texts("JobsDetail/JobId") == [job_id]
    assert call("GET", "ci", "/jobs", [("tag", "PicProcess")]).texts("JobsDetail/JobId") == []
    assert call.job(job_id, "/jobs").text("JobsDetail/JobId") == job_id


def test_a_waiting_file_job_can_be_cancelled(call: Caller) -> None:
    (queue,) = call("GET", "ci", "/file_queue").texts("QueueList/QueueId")
    off = "<NotifyConfig><State>Off</State></NotifyConfig>"
    pause = f"<Request><Name>q</Name><State>Paused</State>{off}</Request>"
    assert call("PUT", "ci", f"/file_queue/{queue}", body=pause).status == 200
    call.put("in/a.bin")
    job_id = call.submit(hash_job("in/a.bin"), "/file_jobs")
    assert call("PUT", "ci", f"/jobs/{job_id}", [("cancel", "")]).status == 200
    assert call.state(job_id, "/file_jobs") == "Cancel"


def test_a_password_of_an_archive_is_not_shown(call: Caller) -> None:
    call.put("in/a.zip", ARCHIVES["a.zip"])
    job_id = call.submit(unpack_job("in/a.zip", "<UnCompressKey>c2VjcmV0</UnCompressKey>"), "/file_jobs")
    done = call.finished(job_id, "/file_jobs")
    assert b"c2VjcmV0" not in done.body
    assert done.text("JobsDetail/State") == "Success"
