"""The output of ``ci-batch`` in special cases: wrong options, warnings, interruptions, several steps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, ObjectSelection
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.commands.console import DONE, FAILED, STOPPED, UNAVAILABLE, WRONG
from tests.batch.costs.work import CHAIN
from tests.commands.test_ci_batch import CONVERT, ci, environment, failed

__all__ = ["ci", "environment", "failed"]  # fixtures

OUTPUT = ("--output", "out/{stem}.pdf")


def as_process(*arguments: str) -> subprocess.Popen[str]:
    """Start the command in its own process, with its own log."""
    command = [sys.executable, "-m", "airflow_provider_ci.commands", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


CONTRADICTIONS = [
    (("--keys", "k", "--prefix", "in/", "--target", "pdf"), "--keys names the objects, so --prefix cannot"),
    (("--manifest", "m.csv", "--suffix", ".docx", "--target", "pdf"), "so --suffix cannot be given, too"),
    (("--inventory", "i/", "--failures-of", "b", "--target", "pdf"), "so --failures-of cannot"),
    (
        ("--failures-of", "b", "--include", "*", "--exclude", "*", "--target", "pdf"),
        "so --include, --exclude",
    ),
    (("--prefix", "", "--target", "pdf", "--rule", "imageMogr2/rotate/90"), "--target and --rule name"),
    (
        ("--prefix", "", "--rule", "imageMogr2/rotate/90", "--set", "quality=7"),
        "--set and --password-env are",
    ),
]


@pytest.mark.parametrize(("options", "words"), CONTRADICTIONS)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_options_that_would_have_no_effect_are_refused(
    command: str, options: tuple[str, ...], words: str, ci: Any, client: CIClient
) -> None:
    code, out, err = ci(command, "b", *options, *OUTPUT)
    assert (code, out) == (WRONG, "")
    assert words in err
    assert not list(client.list_objects(""))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "b", "--state", "nonsense"), "invalid choice: 'nonsense'"),
        (("report", "b", "--limit", "-1"), "a whole number from 0, not '-1'"),
        (("list", "--limit", "many"), "a whole number from 0, not 'many'"),
        (("status", "b", "--watch", "0"), "a number of seconds above 0, not '0'"),
        (("status", "b", "--watch", "soon"), "a number of seconds above 0, not 'soon'"),
    ],
)
def test_values_that_make_no_sense_are_named(
    arguments: tuple[str, ...], words: str, ci: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        ci(*arguments)
    assert ended.value.code == WRONG
    assert words in capsys.readouterr().err


def test_a_service_that_cannot_be_reached_is_named_before_the_end(ci: Any) -> None:
    code, out, err = ci("run", "b", *CONVERT, "--endpoint", "http://127.0.0.1:1", "--outage-seconds", "0.1")
    assert (code, out) == (UNAVAILABLE, "")
    assert "could not be reached" in err


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_source_without_objects_says_what_to_check(command: str) -> None:
    done = as_process(command, "b", "--prefix", "none/", *CONVERT[2:])
    out, err = done.communicate()
    assert done.returncode == DONE
    assert out.startswith("0 objects")
    assert err.startswith("ci-batch: no object under 'none/': check the prefix and the suffixes\n")


def test_a_report_as_json_is_one_object_per_line(ci: Any, failed: Any) -> None:
    rows = [json.loads(line) for line in ci("report", "b", "--json")[1].splitlines()]
    assert {row["key"]: row["state"] for row in rows} == {
        "in/a/good.docx": "succeeded",
        "in/bad.docx": "failed",
    }
    assert ci("report", "b", "--json", "--format", "table")[1].startswith("state ")


def test_every_command_prints_json(ci: Any, failed: Any) -> None:
    for arguments in (
        ("plan", "c", *CONVERT),
        ("status", "b"),
        ("list",),
        ("report", "b"),
        ("run", "b", *CONVERT),
    ):
        for line in ci(*arguments, "--json")[1].splitlines():
            assert isinstance(json.loads(line), dict), arguments


def test_the_status_of_several_steps_says_what_it_counts(ci: Any, fill_bucket: Any, client: CIClient) -> None:
    fill_bucket("in/1.docx", "in/2.docx")
    made = Batch(client, ObjectSelection(prefix="in/"), operations=CHAIN, batch_id="b", max_jobs=2)
    with pytest.raises(BatchFailedError):
        made.run()
    assert ci("status", "b")[1] == "not ended, 2 objects with 6 outputs: 2 succeeded, 4 unfinished\n"
    assert ci("retry", "b", "--max-jobs", "6")[0] == DONE
    assert ci("status", "b")[1].startswith("ended, 2 objects: ")
    found = json.loads(ci("status", "b", "--json")[1])
    assert (found["total"], found["outputs"], found["counts"]) == (2, 6, "objects")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_watch_with_a_word(number: signal.Signals, ci: Any, fill_bucket: Any) -> None:
    fill_bucket("in/1.docx", "in/2.docx")
    ci("run", "b", *CONVERT, "--max-jobs", "1")
    watch = as_process("status", "b", "--watch", "60")
    assert watch.stdout is not None
    assert watch.stdout.readline() == "not ended, 2 objects: 1 succeeded, 1 unfinished\n"
    watch.send_signal(number)
    _, err = watch.communicate(timeout=60)
    assert (watch.returncode, err) == (STOPPED, "ci-batch: stopped\n")


@pytest.mark.parametrize("command", ["plan", "run", "status", "report", "retry", "list"])
def test_every_option_is_explained(command: str, capsys: pytest.CaptureFixture[str], ci: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        ci(command, "--help")
    assert ended.value.code == DONE
    lines = capsys.readouterr().out.splitlines()
    options = [line for line in lines if line.startswith("  --")]
    assert options
    assert not [
        line for line in options if len(line.split()) == 1 and not lines[lines.index(line) + 1].strip()
    ]


def test_a_retry_takes_a_key_that_cannot_name_its_output(ci: Any, fill_bucket: Any) -> None:
    fill_bucket("in/1.docx", "in/${Number}.docx")
    code, _, err = ci("run", "b", *CONVERT)
    assert (code, "1 failed of 2 objects" in err) == (FAILED, True), err
    code, _, err = ci("retry", "b")
    assert (code, "1 failed of 1 objects" in err) == (FAILED, True), err


def test_a_retry_keeps_what_the_rows_said(ci: Any, fill_bucket: Any, client: CIClient) -> None:
    fill_bucket("in/1.docx")
    fill_bucket("in/3.docx", content=b"")
    rows = ("key,output,comments", "in/1.docx,,", "in/3.docx,out/c-0.pdf,0", "in/3.docx,out/c-1.pdf,1")
    client.put_object("m.csv", "\n".join(rows).encode())
    work = ("--target", "pdf", "--output", "out/{stem}.pdf", "--max-failures", "2")
    code, _, err = ci("run", "b", "--manifest", "m.csv", *work)
    assert code == DONE, err
    fill_bucket("in/3.docx")
    code, out, err = ci("retry", "b")
    assert (code, out.splitlines()[0]) == (DONE, "2 objects: 2 succeeded; 2 jobs"), err
    made = [each.key for each in client.list_objects("out/")]
    assert made == ["out/1.pdf", "out/c-0.pdf", "out/c-1.pdf"]
