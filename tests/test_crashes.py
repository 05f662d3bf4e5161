"""A short soak in every run of the tests, and proof that its judge detects errors."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_ci.batch import ObjectResult, ObjectState
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.local import LocalCI
from tests.soak import judge
from tests.soak.scenario import ACTIONS, FAULTS, REQUESTS, draw

ROOT = Path(__file__).parents[1]
PDF = DocProcess(target="pdf")


def soak(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--folder", folder, *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    print(done.stdout)
    return done.returncode, done.stdout.splitlines()[-1]


def test_whatever_is_killed_when_no_job_is_lost_or_doubled(tmp_path: Path) -> None:
    assert soak(tmp_path, "--rounds", "36") == (0, "soak: 36 rounds, 0 lost, 0 doubled")


def test_a_batch_whose_ledger_is_gone_doubles_jobs_and_the_soak_says_so(tmp_path: Path) -> None:
    status, summary = soak(tmp_path, "--rounds", "6", "--amnesia")
    assert status == 1
    assert re.fullmatch(r"soak: 6 rounds, 0 lost, [1-9]\d* doubled", summary)


def test_a_seed_always_draws_the_same_round() -> None:
    assert repr(draw(7)) == repr(draw(7))
    assert repr(draw(7)) != repr(draw(8))


def test_three_hundred_rounds_kill_and_disturb_in_every_way() -> None:
    events = [event for seed in range(1, 301) for phase in draw(seed).phases for event in phase.events]
    assert {event.action for event in events} == set(ACTIONS)
    assert {event.request for event in events} == set(REQUESTS)
    drawn = [event.fault.items() for event in events if event.fault]
    assert all(any(fault.items() <= one for one in drawn) for fault in FAULTS)


def test_a_quarter_of_the_rounds_has_late_listings_and_a_quarter_a_bucket_with_versioning() -> None:
    servers = [draw(seed).server for seed in range(1, 301)]
    late = {number for number, server in enumerate(servers) if server.listing_delay_seconds}
    versioned = {number for number, server in enumerate(servers) if server.is_versioned}
    assert 50 < len(late) < 100
    assert 50 < len(versioned) < 100
    assert late & versioned
    assert all(0.5 <= servers[number].listing_delay_seconds <= 3.0 for number in late)


def test_the_judge_counts_what_is_lost_and_what_is_doubled(
    local_ci: LocalCI, client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("in/once.docx", "in/twice.docx")
    fill_bucket("in/failed.docx", content=b"")
    for name in ("once", "twice", "twice", "failed"):
        client.submit_doc_job(f"in/{name}.docx", f"out/{name}.pdf", PDF)
    wait_for_jobs(client)
    expected = dict.fromkeys(["in/once.docx", "in/twice.docx", "in/failed.docx", "in/never.docx"], 1)
    verdict = judge.judge_jobs(judge.jobs_by_key(client), expected, may_fail={"in/failed.docx": 1})
    assert (verdict.lost, verdict.doubled) == (2, 1)
    assert len(verdict.problems) == 3


def wait_for_jobs(client: CIClient) -> None:
    while any(not job.state.is_final for job in client.list_doc_jobs()):
        pass


@pytest.mark.parametrize(
    ("states", "problem"),
    [
        ([ObjectState.SUCCEEDED, ObjectState.SUCCEEDED], "2 times"),
        ([], "0 times"),
        ([ObjectState.FAILED], "reported as failed"),
        ([ObjectState.SUCCEEDED], "reported with job d2"),
    ],
)
def test_the_judge_reads_the_report_line_by_line(states: list[ObjectState], problem: str) -> None:
    verdicts = [ObjectResult(key="in/a", state=state, output_key="out/a", job_id="d2") for state in states]
    expected = {"in/a": frozenset({ObjectState.SUCCEEDED})}
    assert any(problem in found for found in judge.judge_report(verdicts, {}, expected))
