"""Every benchmark runs at a small size and prints its lines; speeds do not matter here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from benchmarks import __main__, airflow, memory, submit, wait


def test_submit_compares_with_the_sdk_and_no_job_of_ours_is_doubled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    submit.main(jobs=100, loop_calls=2, rounds=1)
    loop, whole, threads, lost = capsys.readouterr().out.splitlines()
    cost = r"[\d.]+ s wall, [\d.]+ s CPU"
    compared = rf"ours {cost}, peer {cost}, ratio [\d.]+ of wall time"
    assert re.match(rf"bench submit 100 jobs: {compared} \(", loop)
    assert re.match(rf"bench submit with plan and ledger: {compared} \(", whole)
    assert re.match(rf"bench submit against threads: {compared}, [\d.]+ of CPU \(", threads)
    assert lost.startswith("bench submit with lost answers: ours 0 doubled jobs, peer 1, ratio 0.00 (1 ")


def test_wait_counts_the_requests(capsys: pytest.CaptureFixture[str]) -> None:
    wait.main(jobs=120, job_seconds=0.01, sample=2)
    waiting, whole = capsys.readouterr().out.splitlines()
    found = re.match(
        r"bench wait 120 jobs: ours (\d+) requests, ([\d.]+) per job, [\d.]+ s CPU, "
        r"peer (\d+) requests, \d+ s CPU, ratio (\d+) of requests, \d+ of CPU \(\d+ looks;",
        waiting,
    )
    assert found
    ours, per_job, peer = int(found[1]), float(found[2]), int(found[3])
    assert 2 <= ours < peer  # a listing of 120 jobs has two pages
    assert per_job == pytest.approx(ours / 120, abs=1e-4)
    assert re.match(r"bench wait in a window of \d+: ours \d+ requests, [\d.]+ per job \(", whole)


def test_memory_stays_far_below_200_mib_in_each_process(capsys: pytest.CaptureFixture[str]) -> None:
    memory.main(sizes=[5000])
    (line,) = capsys.readouterr().out.splitlines()
    found = re.match(
        r"bench memory 5000: (\d+) MiB \((\d+) MiB in the process that runs the batch, "
        r"(\d+) MiB in the one that waits for a window; (\d+) MiB of each",
        line,
    )
    assert found
    peak, batch, waiting, empty = map(int, found.groups())
    assert peak == max(batch, waiting) and min(batch, waiting) >= empty > 10
    assert peak < 150


def test_the_dags_of_airflow_are_parsed_and_map_a_task_for_each_object(tmp_path: Path) -> None:
    (tmp_path / "dags.py").write_text(airflow.dags("http://127.0.0.1:9000", objects=5))
    bag = DagBag(tmp_path)
    assert not bag.import_errors
    assert set(bag.dags) == {"warm_up", "batch", "mapped"}
    to_pdf: Any = bag.dags["mapped"].get_task("to_pdf")
    assert len(to_pdf.op_kwargs_expand_input.value["key"]) == 5


def test_an_unknown_name_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["nothing"]) == 2
    assert (
        "call, convert, submit, small, plan, wait, pace, airflow, memory, import" in capsys.readouterr().err
    )
