"""Every page can show every job of the local CI: each tag in each state, whatever the result."""

from __future__ import annotations

import ast
import hashlib
import io
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.jobs import queues
from airflow_provider_ci.local.jobs.jobs import ID_PREFIXES, State
from airflow_provider_ci.local.pages import actions, overview, sentences, snippets
from airflow_provider_ci.local.pages.views import queues as queue_views

BUCKET, REGION = "examplebucket-1250000000", "ap-guangzhou"
PLACE = f"<Region>{REGION}</Region><Bucket>{BUCKET}</Bucket>"
IMAGE = f"https://{BUCKET}.cos.{REGION}.myqcloud.com/in/a.png"
FILES = {"x.txt": b"alpha", "deep/y.txt": b"beta"}
HASH = hashlib.sha1(FILES["x.txt"]).hexdigest()


@dataclass(frozen=True)
class Sample:
    """A job of one tag, and the words in which pages describe it."""

    key: str
    operation: str
    output: str
    path: str
    queue: str
    done: str
    doing: str
    not_done: str

    def body(self, tag: str, key: str) -> str:
        output = f"<Output>{PLACE}{self.output}</Output>" if self.output != "none" else ""
        return (
            f"<Request><Tag>{tag}</Tag><Input><Object>{key}</Object></Input>"
            f"<Operation>{self.operation}{output}</Operation></Request>"
        )


SAMPLES = {
    "DocProcess": Sample(
        "in/a.pdf", "<DocProcess><TgtType>png</TgtType></DocProcess>", "<Object>out/${Number}.png</Object>",
        "/doc_jobs", "docqueue", "Made 2 PNG pictures of 2 pages from a.pdf in ",
        "Makes PNG pictures from a.pdf, for ", "Could not make PNG pictures from none.pdf: ",
    ),
    "DocWatermark": Sample(
        "in/a.pdf", f"<DocWatermark><Type>1</Type><Image>{IMAGE}</Image><Dx>9</Dx></DocWatermark>",
        "<Object>out/m.pdf</Object>", "/doc_jobs", "docqueue", "Put a watermark on 2 pages of a.pdf in ",
        "Puts a watermark on a.pdf, for ", "Could not put a watermark on none.pdf: ",
    ),
    "FileHashCode": Sample(
        "in/x.txt",
        "<FileHashCodeConfig><Type>SHA1</Type><AddToHeader>true</AddToHeader></FileHashCodeConfig>",
        "none", "/file_jobs", "file_queue", "Computed the SHA1 hash of x.txt in ",
        "Computes the SHA1 hash of x.txt, for ", "Could not compute the SHA1 hash of none.txt: ",
    ),
    "FileUncompress": Sample(
        "in/a.zip", "<FileUncompressConfig><Prefix>12/</Prefix><PrefixReplaced>1</PrefixReplaced>"
        "<ListingFile>true</ListingFile></FileUncompressConfig>", "", "/file_jobs", "file_queue",
        "Unpacked 2 files from a.zip in ", "Unpacks a.zip, for ", "Could not unpack none.zip: ",
    ),
    "PicProcess": Sample(
        "in/a.png", "<PicProcess><ProcessRule>imageMogr2/format/jpg</ProcessRule></PicProcess>",
        "<Object>out/a.jpg</Object>", "/pic_jobs", "picqueue", "Made a JPG picture of 4×3 (",
        "Makes a picture from a.png, for ", "Could not make a picture from none.png: ",
    ),
}  # fmt: skip


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return made.getvalue()


def pdf() -> bytes:
    made = io.BytesIO()
    with closing(pypdfium2.PdfDocument.new()) as document:
        for _ in range(2):
            document.new_page(200, 100)
        document.save(made)
    return made.getvalue()


def png() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (4, 3), (200, 30, 30)).save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def stocked(real_call: Any, visitor_of: Any) -> Any:
    """A visitor of a local CI whose bucket has the inputs of all samples."""
    for key, content in (("a.pdf", pdf()), ("a.png", png()), ("a.zip", zipped()), ("x.txt", FILES["x.txt"])):
        assert real_call.put(f"in/{key}", content).status == 200
    return visitor_of(real_call)


def words(tree: Any) -> str:
    return " ".join(tree.text_content().split())


def heading(visitor: Any, job_id: str) -> str:
    return words(visitor.tree(f"/_local/jobs/{job_id}").xpath("//h1")[0])


def submit(visitor: Any, tag: str, key: str = "") -> str:
    sample = SAMPLES[tag]
    return str(visitor.call.submit(sample.body(tag, key or sample.key), sample.path))


def change(server: LocalCI, statement: str, *values: object) -> None:
    """Change the table of jobs directly in the database, without the server's knowledge."""
    with closing(sqlite3.connect(server.root / ".ci-local" / "state.sqlite")) as database, database:
        database.execute(statement, values)


def every_page(visitor: Any, tag: str, job_id: str, queue_id: str) -> Iterator[tuple[str, Any]]:
    key = visitor.call.job(job_id, SAMPLES[tag].path).text("JobsDetail/Input/Object")
    for path in (
        *("/", "/_local/jobs", "/_local/queues", f"/_local/queues/{queue_id}", f"/_local/jobs?find={job_id}"),
        *(f"/_local/jobs/{job_id}{query}" for query in ("", "?page=2", "?page=99")),
        *(f"/_local/jobs?state={state}" for state in ("failed", "running", "waiting", "done", "cancelled")),
        f"/_local/object?bucket={BUCKET}&key={key}",
    ):
        yield path, visitor.get(path)


def test_the_pages_know_every_tag_and_every_queue() -> None:
    tags, categories = set(ID_PREFIXES), set(queues.DEFAULT_NAMES)
    assert (
        set(SAMPLES) == set(sentences.TELLINGS) == set(snippets._CALLS) == set(actions._CANCEL_PATHS) == tags
    )
    assert set(overview.TAGS) == set(queue_views._KINDS) == set(actions._QUEUE_PATHS) == categories
    assert {tag for found in overview.TAGS.values() for tag in found} == tags


@pytest.mark.parametrize("tag", SAMPLES)
def test_a_job_is_told_in_every_state_on_every_page(stocked: Any, real_server: LocalCI, tag: str) -> None:
    visitor, sample = stocked, SAMPLES[tag]
    call = visitor.call
    queue_id = call("GET", "ci", f"/{sample.queue}").text("QueueList/QueueId")
    done = submit(visitor, tag)
    failed = submit(visitor, tag, f"in/none.{sample.key.rpartition('.')[2]}")
    for job_id, state in ((done, "Success"), (failed, "Failed")):
        assert call.finished(job_id, sample.path).text("JobsDetail/State") == state
    assert heading(visitor, done).startswith(sample.done)
    assert heading(visitor, failed).startswith(sample.not_done)
    assert visitor.post(f"/_local/queues/{queue_id}", {"state": "Paused"}).status == 303
    jobs = {state: submit(visitor, tag) for state in (State.PAUSE, State.CANCEL)}
    assert visitor.post(f"/_local/jobs/{jobs[State.CANCEL]}").status == 303
    assert call.state(jobs[State.CANCEL], sample.path) == "Cancel"
    name = sample.key.rpartition("/")[2]
    assert heading(visitor, jobs[State.PAUSE]) == f"{name} is held: its queue is paused."
    assert heading(visitor, jobs[State.CANCEL]) == f"{name} was cancelled before it began."
    for state in State:
        change(
            real_server,
            "UPDATE jobs SET state = ?, started = created WHERE job_id = ?",
            state.value,
            jobs[State.PAUSE],
        )
        told = heading(visitor, jobs[State.PAUSE])
        assert told.startswith(sample.doing) or state is not State.RUNNING, told
        assert told.startswith(f"{name} waits to ") or state is not State.SUBMITTED, told
        for path, reply in every_page(visitor, tag, jobs[State.PAUSE], queue_id):
            assert reply.status == 200, (path, state, reply.body)
    change(real_server, "DELETE FROM jobs WHERE job_id = ?", jobs[State.PAUSE])
    assert visitor.post(f"/_local/queues/{queue_id}", {"state": "Active"}).status == 303


@pytest.mark.parametrize("result", [None, "{}", '{"FileCount": "x", "TotalPageCount": ""}'])
@pytest.mark.parametrize("tag", SAMPLES)
def test_a_result_that_lacks_what_it_should_hold_is_shown(
    stocked: Any, real_server: LocalCI, tag: str, result: str | None
) -> None:
    job_id = submit(stocked, tag)
    queue_id = stocked.call.finished(job_id, SAMPLES[tag].path).text("JobsDetail/QueueId")
    change(real_server, "UPDATE jobs SET result = ?, started = NULL WHERE job_id = ?", result, job_id)
    for path, reply in every_page(stocked, tag, job_id, queue_id):
        assert reply.status == 200, (path, reply.body)


@pytest.mark.parametrize("tag", SAMPLES)
def test_a_job_that_was_only_pretended_is_shown(
    serve: Callable[..., LocalCI], caller: Any, visitor_of: Any, tag: str
) -> None:
    visitor = visitor_of(caller(serve(convert="none")))
    job_id = submit(visitor, tag)
    queue_id = visitor.call.finished(job_id, SAMPLES[tag].path).text("JobsDetail/QueueId")
    for path, reply in every_page(visitor, tag, job_id, queue_id):
        missing = path.startswith("/_local/object")
        assert reply.status == (404 if missing else 200), (path, reply.body)


def test_a_hash_stands_beside_its_input(stocked: Any) -> None:
    job_id = submit(stocked, "FileHashCode")
    stocked.call.finished(job_id, "/file_jobs")
    tree = stocked.tree(f"/_local/jobs/{job_id}")
    source, made = tree.xpath("//section[@id='pair']//figure")
    assert (source.findtext("pre"), made.findtext("pre")) == ("alpha", HASH)
    assert [words(link) for link in tree.xpath("//p[@class='actions']/a")] == ["Open the input"]
    assert len(made.xpath(".//a")) == 0, "there is nothing to download"


def test_the_files_of_an_archive_are_seen_one_by_one_and_in_their_folder(stocked: Any) -> None:
    job_id = submit(stocked, "FileUncompress")
    stocked.call.finished(job_id, "/file_jobs")
    texts = []
    for page in (1, 2):
        tree = stocked.tree(f"/_local/jobs/{job_id}?page={page}")
        texts.append(tree.xpath("//section[@id='pair']//figure")[1].findtext("pre"))
    assert sorted(texts) == ["alpha", "beta"]
    assert "File 2 of 2" in words(tree) and "All 2 outputs" in words(tree)
    (folder,) = tree.xpath("//a[text()='Open the folder']/@href")
    assert "deep/" in words(stocked.tree(f"/_local/{folder.removeprefix('../')}"))


def test_an_archive_without_a_listing_says_where_its_files_are(stocked: Any) -> None:
    sample = SAMPLES["FileUncompress"].body("FileUncompress", "in/a.zip").replace(">true<", ">false<")
    job_id = stocked.call.submit(sample, "/file_jobs")
    stocked.call.finished(job_id, "/file_jobs")
    tree = stocked.tree(f"/_local/jobs/{job_id}")
    made = words(tree.xpath("//section[@id='pair']//figure")[1])
    assert "2 files below 12/a/. The job was not asked to list them." in made
    assert "All 2 outputs" not in words(tree)
    assert tree.xpath("//a[text()='Open the folder']")


def test_the_page_of_a_queue_has_the_jobs_of_all_its_tags(
    stocked: Any, until: Callable[[Callable[[], bool]], None]
) -> None:
    ids = [submit(stocked, tag) for tag in ("FileHashCode", "FileUncompress", "FileHashCode")]
    (queue_id, *_) = [stocked.call.finished(each, "/file_jobs").text("JobsDetail/QueueId") for each in ids]
    links = stocked.tree(f"/_local/queues/{queue_id}").xpath("//a[@class='told']/@href")
    assert links[:3] == [f"../jobs/{job_id}" for job_id in reversed(ids)]
    with closing(sqlite3.connect(stocked.call.server.root / ".ci-local" / "state.sqlite")) as database:
        (total,) = database.execute("SELECT count(*) FROM jobs WHERE queue_id = ?", (queue_id,)).fetchone()
    numbers = f"/_local/queues/{queue_id}", "//tr[starts-with(th, 'Jobs ')]/td/text()"
    until(lambda: sum(map(int, stocked.tree(numbers[0]).xpath(numbers[1]))) == total)
    newest = stocked.tree("/_local/jobs").xpath("//section[not(@id)]//a[@class='told']/@href")
    assert newest[:3] == [f"./jobs/{job_id}" for job_id in reversed(ids)]


@pytest.mark.parametrize("tag", SAMPLES)
def test_copied_code_submits_the_same_job_of_any_tag(stocked: Any, tmp_path: Path, tag: str) -> None:
    sample, call = SAMPLES[tag], stocked.call
    wanted = call.finished(submit(stocked, tag), sample.path)
    tree = stocked.tree(f"/_local/jobs/{wanted.text('JobsDetail/JobId')}")
    code = {
        name: str(tree.xpath(f"//details[@id='code-{name}']//pre")[0].text_content())
        for name in ("curl", "python", "dag")
    }
    code = {name: text.replace("YOUR_SECRET_KEY", call.server.secret_key) for name, text in code.items()}
    done = subprocess.run(
        ["bash", "-c", code["curl"]], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    by_curl = done.stdout.partition("<JobId>")[2].partition("</JobId>")[0]
    scope: dict[str, Any] = {}
    exec(compile(code["python"], "snippet", "exec"), scope)
    scope["client"].close()
    for job_id in (by_curl, scope["job"].job_id):
        again = call.finished(job_id, sample.path)
        assert again.text("JobsDetail/State") == "Success", again.body
        assert operation(again) == operation(wanted)
    arguments = {
        item.arg: item.value for item in ast.walk(ast.parse(code["dag"])) if isinstance(item, ast.keyword)
    }
    assert ast.unparse(arguments["operation"]) in code["python"].replace("\n", "")
    assert ("output_key" in arguments) == ("<Object>" in sample.output)


def operation(reply: Any) -> dict[str, str]:
    """The parameters and the output of a job, without its result: only the pages ask for picture details."""
    found = reply.xml.find("JobsDetail/Operation")
    return {
        node.getroottree().getpath(node): node.text
        for child in found
        if not child.tag.endswith("Result")
        for node in child.iter()
        if node.text
    }


def test_a_password_of_an_archive_is_a_place_in_the_code(stocked: Any) -> None:
    secret = "<UnCompressKey>c2VjcmV0</UnCompressKey></FileUncompressConfig>"
    body = SAMPLES["FileUncompress"].body("FileUncompress", "in/a.zip")
    job_id = stocked.call.submit(body.replace("</FileUncompressConfig>", secret), "/file_jobs")
    tree = stocked.tree(f"/_local/jobs/{job_id}")
    assert "c2VjcmV0" not in tree.text_content()
    assert "password='PASSWORD_OF_THE_DOCUMENT'" in tree.text_content()
    assert "<UnCompressKey>BASE64_OF_THE_PASSWORD<" in tree.text_content()
