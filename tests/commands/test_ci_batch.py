"""``ci-batch``: its output, its exit codes, and the secrets that it never shows."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, ObjectSelection
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.commands.console import DONE, FAILED, RUNNING, STOPPED, UNAVAILABLE, WRONG
from airflow_provider_ci.commands.main import main
from airflow_provider_ci.commands.showing import Shown
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
CONVERT = ("--prefix", "in/", "--target", "pdf", "--output", "out/{dir}{stem}.pdf")


@pytest.fixture(autouse=True)
def environment(local_ci: LocalCI, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "TENCENTCLOUD_SECRET_ID": local_ci.secret_id,
        "TENCENTCLOUD_SECRET_KEY": local_ci.secret_key,
        "CI_BUCKET": "examplebucket-1250000000",
        "CI_REGION": "ap-guangzhou",
        "CI_ENDPOINT": local_ci.endpoint,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def ci(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command; returns its exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def failed(ci: Any, fill_bucket: Fill) -> tuple[int, str, str]:
    """Runs a batch of two objects, one of which fails."""
    fill_bucket("in/a/good.docx")
    fill_bucket("in/bad.docx", content=b"")
    found: tuple[int, str, str] = ci("run", "b", *CONVERT)
    return found


def test_a_plan_costs_nothing(ci: Any, fill_bucket: Fill, client: CIClient) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    code, out, _ = ci("plan", "b", *CONVERT, "--price", "per_1000_pages=50")
    assert code == DONE
    assert out.splitlines()[0] == "2 objects found"
    assert "2 jobs to submit" in out
    assert json.loads(ci("plan", "b", *CONVERT, "--json")[1])["jobs"] == 2
    assert list(client.list_doc_jobs()) == []


def test_a_run_says_how_it_ended(ci: Any, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    code, out, err = ci("run", "b", *CONVERT)
    assert (code, out.splitlines()[0]) == (DONE, "1 objects: 1 succeeded; 1 jobs")
    assert "1 of 1 finished" in err or "0 of 1 finished" in err, "plain lines, since this is no terminal"
    assert json.loads(ci("run", "b", *CONVERT, "--json")[1])["skipped"] == 1


def test_failures_have_an_exit_code_and_reasons(failed: tuple[int, str, str]) -> None:
    code, out, err = failed
    assert code == FAILED
    assert "1 × EmptyFile, e.g. in/bad.docx" in out
    assert err.splitlines()[-1].startswith("ci-batch: 1 failed of 2 objects")


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ("csv", lambda text: [row["key"] for row in csv.DictReader(io.StringIO(text))]),
        ("jsonl", lambda text: [json.loads(line)["key"] for line in text.splitlines()]),
        ("table", lambda text: [line.split()[2] for line in text.splitlines()[1:]]),
    ],
)
def test_a_report_has_several_forms(form: str, read: Any, ci: Any, failed: Any, tmp_path: Path) -> None:
    code, out, _ = ci("report", "b", "--format", form)
    assert (code, sorted(read(out))) == (DONE, ["in/a/good.docx", "in/bad.docx"])
    assert read(ci("report", "b", "--failed", "--format", form)[1]) == ["in/bad.docx"]
    assert read(ci("report", "b", "--state", "succeeded", "--format", form)[1]) == ["in/a/good.docx"]
    assert read(ci("report", "b", "--key", "in/bad.docx", "--format", form)[1]) == ["in/bad.docx"]
    ci("report", "b", "--format", form, "--to", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text("utf-8") == out


def test_a_report_becomes_a_parquet_file(ci: Any, failed: Any, tmp_path: Path) -> None:
    assert ci("report", "b", "--format", "parquet", "--to", str(tmp_path / "b.parquet"))[0] == DONE
    rows = pyarrow.parquet.read_table(tmp_path / "b.parquet").to_pylist()
    assert {row["key"]: row["code"] for row in rows} == {"in/a/good.docx": "", "in/bad.docx": "EmptyFile"}
    code, _, err = ci("report", "b", "--format", "parquet")
    assert (code, "name it with --to" in err) == (WRONG, True)


def test_status_and_list(ci: Any, failed: Any) -> None:
    assert ci("status", "b")[1] == "ended, 2 objects: 1 succeeded, 1 failed\n"
    assert json.loads(ci("status", "b", "--json", "--watch", "1")[1])["jobs"] == 2
    ci("run", "team/other", *CONVERT, "--max-failures", "1")
    lines = ci("list")[1].splitlines()
    assert [line.partition(":")[0] for line in lines] == ["b", "team/other"]
    assert len(ci("list", "--limit", "1")[1].splitlines()) == 1


def test_a_retry_takes_the_failures_of_an_ended_batch(ci: Any, failed: Any, client: CIClient) -> None:
    client.put_object("in/bad.docx", b"repaired")
    code, out, _ = ci("retry", "b")
    assert (code, out.splitlines()[0]) == (DONE, "1 objects: 1 succeeded; 1 jobs")
    assert client.head_object("out/bad.pdf").size
    assert len(ci("list")[1].splitlines()) == 2


def test_a_retry_continues_an_unfinished_batch(ci: Any, fill_bucket: Fill, client: CIClient) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(5)))
    code, _, err = ci("run", "b", *CONVERT, "--max-jobs", "2")
    assert (code, "higher max_jobs" in err) == (FAILED, True)
    assert ci("status", "b")[1] == "not ended, 5 objects: 2 succeeded, 3 unfinished\n"
    assert ci("retry", "b", "--max-jobs", "5")[0] == DONE
    assert len(list(client.list_doc_jobs())) == 5


def test_a_retry_makes_the_missing_steps_of_several(
    ci: Any, fill_bucket: Fill, client: CIClient, bucket: Path
) -> None:
    fill_bucket("in/good.docx")
    fill_bucket("in/bad.docx", content=b"")
    steps = {
        "pdf": (DocProcess(target="pdf"), "pdf/{stem}.pdf"),
        "thumb": (DocProcess(target="jpg", start_page=1, end_page=1), "thumbs/{stem}-${Number}.jpg"),
    }
    batch = Batch(client, ObjectSelection(prefix="in/"), operations=steps, batch_id="b", max_failures=1)
    assert batch.run().failed == 1
    fill_bucket("in/bad.docx")
    assert ci("retry", "b")[0] == DONE
    assert {path.name for path in bucket.glob("*/bad*")} == {"bad.docx", "bad.pdf", "bad-1.jpg"}


@pytest.mark.parametrize("limits", [{"max_failures": 1}, {"max_jobs": 1}], ids=["ended", "unfinished"])
def test_a_retry_writes_to_the_bucket_of_the_batch(
    ci: Any, fill_bucket: Fill, client: CIClient, bucket: Path, limits: dict[str, Any]
) -> None:
    other = bucket.parent / "other-1250000000"
    other.mkdir()
    fill_bucket("in/good.docx")
    fill_bucket("in/bad.docx", content=b"")
    source = ObjectSelection(prefix="in/")
    where: dict[str, Any] = {"output_bucket": other.name, "output_region": "ap-beijing", **limits}
    batch = Batch(client, source, DocProcess(), "out/{stem}.pdf", batch_id="b", **where)
    with contextlib.suppress(BatchFailedError):
        batch.run()
    fill_bucket("in/bad.docx")
    assert ci("retry", "b", "--max-jobs", "9")[0] == (FAILED if "max_jobs" in limits else DONE)
    assert not (bucket / "out").exists()
    assert (other / "out/good.pdf").exists()


def test_queues_priority_and_another_bucket_are_options(
    ci: Any, tmp_path: Path, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCI(tmp_path / "two", convert="instant", queues=2) as server, connect(server) as client:
        monkeypatch.setenv("CI_ENDPOINT", server.endpoint)
        monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", server.secret_id)
        monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", server.secret_key)
        server.bucket_path("other-1250000000").mkdir(parents=True)
        folder = server.bucket_path(client.bucket) / "in"
        folder.mkdir(parents=True)
        for number in range(20):
            (folder / f"{number}.docx").write_text("text")
        queues = [queue.queue_id for queue in client.list_doc_queues()]
        where = ("--output-bucket", "other-1250000000", "--output-region", "ap-beijing", "--job-level", "2")
        named = (each for queue_id in queues for each in ("--queue-id", queue_id))
        assert ci("run", "b", *CONVERT, *where, *named)[0] == DONE
        jobs = list(client.list_doc_jobs())
    assert {job.output_bucket for job in jobs} == {"other-1250000000"}
    assert {job.queue_id for job in jobs} == set(queues)
    assert {job.raw["Operation"]["JobLevel"] for job in jobs} == {"2"}


def test_a_manifest_is_a_source(ci: Any, fill_bucket: Fill, bucket: Path) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    fill_bucket("list.csv", content=b"key,output\nin/a.docx,out/first.pdf\n")
    code, out, _ = ci("run", "b", "--manifest", "list.csv", *CONVERT[2:])
    assert (code, [path.name for path in (bucket / "out").iterdir()]) == (DONE, ["first.pdf"]), out


def test_keys_and_failures_are_sources_too(ci: Any, failed: Any, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in/a/good.docx\n")
    more = ("--target", "pdf", "--output", "more/{stem}.pdf")
    assert ci("run", "keys", "--keys", str(tmp_path / "keys"), *more)[1].startswith("1 objects: 1 succeeded")
    assert ci("plan", "again", "--failures-of", "b", *more)[1].startswith("1 objects found")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "b", "--prefix", "in/", "--target", "pdf"), "--output is missing"),
        (("run", "b", "--target", "pdf", "--output", "o/{stem}"), "the source is missing"),
        (("run", "b", "--prefix", "in/", "--output", "o/{stem}"), "the operation is missing"),
        (("plan", "b", *CONVERT, "--set", "password=geheim"), "use --password-env"),
        (("plan", "b", *CONVERT, "--set", "colour=1"), "'colour=1' is not NAME=VALUE"),
        (("plan", "b", *CONVERT, "--password-env", "NO_SUCH"), "no variable NO_SUCH"),
        (("plan", "b", *CONVERT, "--price", "gold=1"), "'gold' is not one of currency"),
        (("run", "b", *CONVERT, "--max-jobs", "0"), "max_jobs must be at least 1"),
        (("status", "none"), "no batch 'none'"),
        (("report", "none"), "no report in"),
        (("report", "none", "--bucket", ""), "no report in"),
    ],
)
def test_wrong_usage_is_named(arguments: tuple[str, ...], message: str, ci: Any) -> None:
    code, out, err = ci(*arguments)
    assert (code, out) == (WRONG, "")
    assert message in err
    assert err.startswith("ci-batch: ")
    assert "geheim" not in err


@pytest.mark.parametrize("variable", ["CI_BUCKET", "CI_REGION", "TENCENTCLOUD_SECRET_KEY"])
def test_a_missing_variable_is_named(variable: str, ci: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable)
    code, _, err = ci("list")
    assert code == WRONG
    assert variable in err


def test_a_refusal_of_the_service_has_its_own_exit_code(
    ci: Any, monkeypatch: pytest.MonkeyPatch, local_ci: LocalCI
) -> None:
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", "wrong")
    code, out, err = ci("list")
    assert (code, out) == (UNAVAILABLE, "")
    assert "SignatureDoesNotMatch" in err
    assert local_ci.secret_key not in err


def test_the_exit_codes_differ() -> None:
    assert len({DONE, FAILED, WRONG, UNAVAILABLE, RUNNING, STOPPED}) == 6


@pytest.mark.parametrize("local_ci", [0.5], indirect=True)
def test_a_signal_stops_a_run_and_the_next_one_continues(
    ci: Any, fill_bucket: Fill, client: CIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))

    def interrupt(shown: Any, progress: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(Shown, "__call__", interrupt)
        code, _, err = ci("run", "b", *CONVERT, "--max-in-flight", "2")
    assert code == STOPPED, err
    assert ci("retry", "b")[0] == DONE
    assert len(list(client.list_doc_jobs())) == 4


def test_a_connection_of_airflow_gives_the_client(
    ci: Any, fill_bucket: Fill, connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CI_BUCKET", "CI_REGION", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"):
        monkeypatch.delenv(name)
    fill_bucket("in/a.docx")
    assert ci("plan", "b", *CONVERT, "--conn-id", "tencent_ci_default")[1].startswith("1 objects found")
    assert ci("list", "--conn-id", "no_such")[0] == WRONG


def test_as_a_module_it_needs_no_airflow(fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    program = (
        "import sys; from airflow_provider_ci.commands.main import main; "
        f"code = main({['plan', 'b', *CONVERT]!r}); sys.exit(9 if 'airflow' in sys.modules else code)"
    )
    for call in (("-c", program), ("-m", "airflow_provider_ci.commands", "list")):
        run = subprocess.run([sys.executable, *call], capture_output=True, text=True)
        assert run.returncode == DONE, run.stderr
