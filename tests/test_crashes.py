"""A short soak, and a proof that its judge notices lost and doubled jobs."""

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
from tests.soak.drawing import ACTIONS, DELETIONS, FAULTS, TRAITS, draw
from tests.soak.scenario import REQUESTS, Scenario

ROOT = Path(__file__).parents[1]
PDF = DocProcess(target="pdf")


SEEDS = (1587, 388, 51, 1484, 34, 19, 23, 59)
"""Seeds of a few short rounds, which together have every kind of event, trait and work."""


def soak(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--folder", folder, *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    print(done.stdout)
    return done.returncode, done.stdout.splitlines()[-1]


def test_a_short_soak_loses_and_doubles_nothing(tmp_path: Path) -> None:
    status, summary = soak(tmp_path, "--seeds", *map(str, SEEDS))
    assert (status, summary) == (0, f"soak: {len(SEEDS)} rounds, 0 lost, 0 doubled")


def test_deleted_outputs_and_records_are_seen_by_the_judge(tmp_path: Path) -> None:
    status, summary = soak(tmp_path, "--amnesia", "--seeds", "103", "105")
    assert status == 1
    assert re.fullmatch(r"soak: 2 rounds, \d+ lost, [1-9]\d* doubled", summary)


def test_a_seed_always_draws_the_same_round() -> None:
    assert repr(draw(7)) == repr(draw(7))
    assert repr(draw(7)) != repr(draw(8))


WORK = {"1 steps", "2 steps", "3 steps", "rows", "queues"}


def features(scenario: Scenario) -> set[str]:
    events = [event for phase in scenario.phases for event in phase.events]
    work = scenario.phases[0].work
    return {
        f"{len(work.operations)} steps",
        *(("rows",) if work.has_rows else ()),
        *(("queues",) if "queue_ids" in work.options else ()),
        *(event.action for event in events),
        *(str(event.fault["action"]) for event in events if event.fault),
        *(phase.name for phase in scenario.phases),
        *scenario.server.traits,
    }


def test_the_short_soak_has_every_event_and_trait() -> None:
    kinds = {str(fault["action"]) for fault in FAULTS}
    phases = {"first", "again", "changed", "operation", "never"}
    assert set().union(*(features(draw(seed)) for seed in SEEDS)) == {
        *(*ACTIONS, *kinds, *phases, *TRAITS, *WORK)
    }


def test_six_hundred_rounds_disturb_in_every_way() -> None:
    scenarios = [draw(seed) for seed in range(1, 601)]
    events = [event for each in scenarios for phase in each.phases for event in phase.events]
    assert {event.action for event in events} == set(ACTIONS)
    assert {event.request for event in events} == set(REQUESTS)
    assert {each.deletes for each in scenarios} == {"", *DELETIONS}
    assert set().union(*(each.server.traits for each in scenarios)) == set(TRAITS)
    drawn = [event.fault.items() for event in events if event.fault]
    assert all(any(fault.items() <= one for one in drawn) for fault in FAULTS)


def test_late_listings_and_versioning_are_drawn_often() -> None:
    servers = [draw(seed).server for seed in range(1, 601)]
    late = {number for number, server in enumerate(servers) if server.listing_delay_seconds}
    versioned = {number for number, server in enumerate(servers) if server.is_versioned}
    assert 80 < len(late) < 160
    assert 60 < len(versioned) < 120
    assert late & versioned


def test_the_judge_counts_lost_and_doubled_jobs(
    local_ci: LocalCI, client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("in/once.docx", "in/twice.docx")
    fill_bucket("in/failed.docx", content=b"")
    for name in ("once", "twice", "twice", "failed"):
        client.submit_doc_job(f"in/{name}.docx", f"out/{name}.pdf", PDF)
    wait_for_jobs(client)
    expected = dict.fromkeys(["out/once.pdf", "out/twice.pdf", "out/failed.pdf", "out/never.pdf"], 1)
    verdict = judge.judge_jobs(judge.jobs_by_output(client), expected, may_fail={"out/failed.pdf": 1})
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
