"""The forms: a dropped file becomes a job; queues pause; faults come and go; buckets are created."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
HOSTILE = "in/'; touch owned; '\n\"XML\"\n$(touch owned) {{ 7 * 7 }} {% raw %} <b>&.docx"


def words(tree: Any) -> str:
    return " ".join(tree.text_content().split())


def snippet(tree: Any, name: str) -> str:
    return str(tree.xpath(f"//details[@id='code-{name}']//pre")[0].text_content())


def test_a_dropped_file_becomes_an_object_and_a_job(visitor: Any, folder: Path) -> None:
    job_id = visitor.job_of(visitor.drop("my report.docx", b"content"))
    assert (folder / "uploads/my report.docx").read_bytes() == b"content"
    assert (folder / "converted/my report.pdf").stat().st_size > 0
    assert "Made a PDF of 1 page from my report.docx" in words(visitor.tree(f"/_local/jobs/{job_id}"))
    found = visitor.get(f"/_local/download?bucket={BUCKET}&key=converted/my%20report.pdf")
    assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''my%20report.pdf"
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.body == (folder / "converted/my report.pdf").read_bytes()


def test_a_name_that_is_taken_by_other_content_gets_a_number(visitor: Any, folder: Path) -> None:
    for content in (b"one", b"two", b"one"):
        visitor.job_of(visitor.drop("a.docx", content))
    found = {path.name: path.read_bytes() for path in (folder / "uploads").iterdir()}
    assert found == {"a.docx": b"one", "a-2.docx": b"two"}


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../x.docx", "x.docx"),
        ("C:\\\\files\\\\x.docx", "x.docx"),
        ("..", "file"),
        ("a%2Fb.docx", "a%2Fb.docx"),
        ("<img src=x onerror=alert(1)>.docx", "<img src=x onerror=alert(1)>.docx"),
        ("x" * 300 + ".docx", "x" * 175 + ".docx"),
        ("表.docx", "表.docx"),
    ],
)
def test_a_dropped_file_stays_in_the_folder_for_uploads(
    visitor: Any, root: Path, name: str, stored: str
) -> None:
    reply = visitor.drop(name, b"content")
    assert reply.status in (303, 400), reply.body
    if reply.status == 303:  # once the job ends, its temporary folder is gone
        visitor.job_of(reply)
    outside = [path for path in root.parent.rglob("*") if path.is_file() and path.read_bytes() == b"content"]
    assert [path.name for path in outside] == [stored]
    assert outside[0].parent == root / BUCKET / "uploads"


def test_without_the_token_nothing_is_stored(visitor: Any, folder: Path) -> None:
    assert visitor.drop("a.docx", b"content", token="wrong").status == 403
    assert list(folder.iterdir()) == []


def test_a_first_file_makes_the_example_bucket(visitor: Any, root: Path, folder: Path) -> None:
    folder.rmdir()
    tree = visitor.tree("/")
    assert tree.xpath("//input[@name='bucket']/@value") == [BUCKET]
    assert visitor.drop("a.docx", b"content").status == 404
    fields = {"make_bucket": "1", "bucket": BUCKET, "key": "a.docx"}
    visitor.post("/_local/convert", fields)
    assert folder.is_dir()


@pytest.mark.parametrize("name", ["../x", "", "a/b", "A", ".ci-local", "a" * 61, "a b"])
def test_only_buckets_with_good_names_are_made(visitor: Any, root: Path, name: str) -> None:
    before = sorted(path.name for path in root.parent.rglob("*") if path.is_dir())
    assert visitor.post("/_local/buckets", {"name": name}).status == 400
    assert sorted(path.name for path in root.parent.rglob("*") if path.is_dir()) == before
    assert visitor.post("/_local/buckets", {"name": "mine-1"}).headers["location"] == "./buckets/mine-1"
    assert (root / "mine-1").is_dir()


@pytest.mark.parametrize(
    ("key", "fields", "made"),
    [
        ("a.docx", {"goal": "png", "pages": "1-3"}, ["converted/a/1.png", "converted/a/3.png"]),
        ("a.xlsx", {"goal": "jpg", "pages": "1"}, ["converted/a/1-1.jpg"]),
        ("a.docx", {"goal": "auto", "output": "mine/b.pdf"}, ["mine/b.pdf"]),
        ("a.jpg", {"goal": "auto", "width": "50"}, ["converted/a.webp"]),
        ("a.jpg", {"goal": "picture", "format": "gif"}, ["converted/a.gif"]),
        ("a.png", {"goal": "picture", "rule": "imageMogr2/rotate/90"}, ["converted/a.png"]),
        ("in/sub/a.docx", {"goal": "pdf", "pages": "9", "quality": "x"}, ["converted/in/sub/a.pdf"]),
    ],
    ids=str,
)
def test_the_form_says_what_is_made(
    visitor: Any, folder: Path, key: str, fields: dict[str, str], made: list[str]
) -> None:
    visitor.call.put(key)
    visitor.job_of(visitor.post("/_local/convert", {"bucket": BUCKET, "key": key, **fields}))
    assert all((folder / name).is_file() for name in made), list(folder.rglob("*"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"goal": "nothing"}, "conversion 'nothing' is unknown"),
        ({"goal": "jpg", "quality": "high"}, "DocProcess.Quality"),
        ({"goal": "picture", "width": "wide"}, "width is 'wide', not a number"),
        ({"bucket": "none-1"}, "bucket 'none-1' does not exist"),
        ({"key": ""}, "The form has no file"),
    ],
    ids=str,
)
def test_a_senseless_form_says_why(visitor: Any, fields: dict[str, str], reason: str) -> None:
    reply = visitor.post("/_local/convert", {"bucket": BUCKET, "key": "a.docx", "goal": "pdf", **fields})
    assert reply.status in (400, 404)
    assert reason in reply.body.decode().replace("&#39;", "'")


def test_a_queue_pauses_and_goes_on_and_a_held_job_is_cancelled(visitor: Any) -> None:
    call = visitor.call
    call.put("a.docx")
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")
    assert visitor.post(f"/_local/queues/{queue_id}", {"state": "Paused"}).status == 303
    assert call("GET", "ci", "/docqueue").text("QueueList/State") == "Paused"
    held, cancelled = (call.submit(call.doc_job("a.docx")) for _ in range(2))
    assert "is held: its queue is paused" in words(visitor.tree(f"/_local/jobs/{held}"))
    assert "2 waiting" in words(visitor.tree("/_local/queues"))
    assert visitor.post(f"/_local/jobs/{cancelled}").status == 303
    assert call.state(cancelled) == "Cancel"
    assert visitor.post(f"/_local/queues/{queue_id}", {"state": "Active"}).status == 303
    assert call.finished(held).text("JobsDetail/State") == "Success"
    assert visitor.post(f"/_local/jobs/{held}").status == 400, "it has ended"
    assert visitor.post(f"/_local/queues/{queue_id}", {"state": "Nothing"}).status == 400


def test_faults_and_traits_are_switched_on_and_off(visitor: Any, server: LocalCI) -> None:
    visitor.post("/_local/simulate", {"do": "busy"})
    own = {"do": "add", "action": "late", "seconds": "0.5", "count": "2", "path": "/doc_jobs", "code": ""}
    visitor.post("/_local/simulate", own)
    assert [(item["action"], item["count"]) for item in server.faults.pending()] == [
        ("error", 5),
        ("late", 2),
    ]
    assert "error for 5 requests" in words(visitor.tree("/_local/simulate"))
    assert "2 faults wait" in words(visitor.tree("/"))
    visitor.post("/_local/simulate", {"do": "require_queue_id", "on": "true"})
    assert server.traits.now_on.require_queue_id
    visitor.post("/_local/simulate", {"do": "require_queue_id", "on": "false"})
    visitor.post("/_local/simulate", {"do": "clear"})
    assert (server.faults.pending(), server.traits.now_on.require_queue_id) == ([], False)
    for bad in ({"do": "add", "action": "late"}, {"do": "add", "action": "error", "count": "x"}, {"do": "x"}):
        assert visitor.post("/_local/simulate", bad).status == 400
    assert server.faults.pending() == []


def test_the_page_submits_as_a_client_does_with_all_traits(visitor: Any, server: LocalCI) -> None:
    server.traits.set(refuse_submissions="DocBucketUnBinded")
    reply = visitor.post("/_local/convert", {"bucket": BUCKET, "key": "a.docx"})
    assert (reply.status, b"refused with DocBucketUnBinded" in reply.body) == (400, True)


@pytest.mark.parametrize("key", ["in/a.docx", HOSTILE])
def test_copied_code_submits_the_same_job(
    visitor: Any, server: LocalCI, tmp_path: Path, folder: Path, key: str
) -> None:
    visitor.call.put(key)
    fields = {"bucket": BUCKET, "key": key, "goal": "png", "pages": "1-2", "password": "word's"}
    job_id = visitor.job_of(visitor.post("/_local/convert", fields))
    tree = visitor.tree(f"/_local/jobs/{job_id}")
    done = subprocess.run(
        ["bash", "-c", snippet(tree, "curl")], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    sent = visitor.call.finished(done.stdout.partition("<JobId>")[2].partition("</JobId>")[0])
    assert sent.text("JobsDetail/State") == "Success", done
    assert not list(tmp_path.rglob("owned"))
    scope: dict[str, Any] = {}
    exec(compile(snippet(tree, "python"), "snippet", "exec"), scope)
    for detail in (sent, visitor.call.job(scope["job"].job_id), visitor.call.job(job_id)):
        assert detail.xml.find("JobsDetail/Input/Object").text.replace("\n", " ") == key.replace("\n", " ")
        assert detail.text("JobsDetail/Operation/DocProcess/PageRanges") == "1-2"
    scope["client"].close()
    dag = ast.parse(snippet(tree, "dag"))
    arguments = {item.arg: item.value for item in ast.walk(dag) if isinstance(item, ast.keyword)}
    assert Environment().from_string(ast.literal_eval(arguments["input_key"])).render() == key
    assert "word's" not in tree.text_content()


def test_a_key_of_their_own_is_in_no_page(
    serve: Callable[..., LocalCI], caller: Any, visitor_of: Any
) -> None:
    call = caller(serve(secret_key="a-key-of-their-own", token="a-token-of-their-own"))
    visitor = visitor_of(call)
    job = visitor.post("/_local/convert", {"bucket": BUCKET, "key": "a.docx"}).headers["location"]
    for path in ("/", f"/_local/{job}", "/_local/simulate", "/_local/queues"):
        body = visitor.get(path).body.decode()
        assert "of-their-own" not in body
    assert "YOUR_SECRET_KEY" in visitor.get("/").body.decode()


def test_the_connection_line_is_complete_with_the_documented_key(visitor: Any, server: LocalCI) -> None:
    line = snippet(visitor.tree("/"), "airflow")
    values = json.loads(line.partition("=")[2].strip("'"))
    assert (values["login"], values["password"]) == (server.secret_id, server.secret_key)
    assert values["extra"] == {"region": "ap-guangzhou", "bucket": BUCKET, "endpoint": server.endpoint}
