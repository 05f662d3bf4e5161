"""How often a wait checks its jobs, and how many requests it sends; time is simulated, requests are real."""

from __future__ import annotations

import pytest

from airflow_provider_ci.jobs import Pace
from benchmarks import pace as bench


def waits(pace: Pace, *looks: tuple[int, int, float]) -> list[float]:
    return [
        pace.wait_seconds(pending=pending, finished=finished, elapsed_seconds=elapsed)
        for pending, finished, elapsed in looks
    ]


@pytest.mark.parametrize(("jobs", "per_job"), [(161, 0.1), (1000, 0.06)])
def test_waiting_for_a_job_takes_few_requests(jobs: int, per_job: float) -> None:
    """The bounds leave room for a busy machine; `make bench BENCH=pace` prints the exact figures."""
    assert bench.noticed(jobs, bench.JOB_SECONDS).requests_per_job <= per_job


def test_the_first_wait_for_few_jobs_is_short() -> None:
    (seconds,) = waits(Pace(), (20, 0, 0.0))
    assert seconds == pytest.approx(1, rel=0.11)


def test_while_nothing_ends_the_waits_grow_by_half() -> None:
    seconds = waits(Pace(shortest=1), *[(5, 0, 0.0)] * 9)
    assert seconds[2] == pytest.approx(2.25, rel=0.11)
    assert seconds[-1] == pytest.approx(8.5, rel=0.11)


def test_the_last_look_comes_just_after_the_end() -> None:
    (seconds,) = waits(Pace(), (50, 100, 10.0))
    assert 5 < seconds < 7


def test_below_a_thousand_jobs_no_wait_is_longer_than_some_nine_seconds() -> None:
    assert max(waits(Pace(), *[(1000, number, number * 3.0) for number in range(1, 30)])) < 9.5


def test_at_ten_thousand_jobs_waits_take_up_to_thirty_seconds() -> None:
    looks = waits(Pace(), *[(10_000, number, number * 3.0) for number in range(1, 9)])
    assert looks[-1] == pytest.approx(30, rel=0.15)


def test_a_job_that_does_not_end_for_an_hour_is_looked_at_less_often() -> None:
    looks = waits(Pace(), *[(1, 1000, 60.0 * number) for number in range(1, 60)])
    assert looks[-1] == pytest.approx(30, rel=0.11)


def test_bounds_hold_in_every_case() -> None:
    pace = Pace(shortest=0.02, longest=0.1)
    for pending, finished, elapsed in [(1, 0, 0.0), (10_000, 1, 1.0), (1, 9999, 1.0), (3, 9999, 4000.0)]:
        assert 0.018 <= waits(pace, (pending, finished, elapsed))[0] <= 0.11
