"""Every query of the table of jobs uses an index, and its pages stay the same while jobs are added."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ci.local.database import Database, Parameters, Row
from airflow_provider_ci.local.jobs.jobs import FOLLOWS, Filter, Jobs, Outcome, State, Submission

QUEUES = ("p1", "p2")


class Recorded(Database):
    """A database that records its statements, with their values."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: dict[str, tuple[object, ...]] = {}

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        self.asked.setdefault(sql, tuple(parameters))
        return super().rows(sql, parameters)

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        self.asked.setdefault(sql, tuple(parameters))
        return super().change(sql, parameters)

    def plans(self) -> Iterator[tuple[str, str]]:
        for sql, parameters in list(self.asked.items()):
            for row in super().rows(f"EXPLAIN QUERY PLAN {sql}", parameters):
                yield sql, row["detail"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Recorded]:
    database = Recorded(tmp_path / "state.sqlite")
    yield database
    database.close()


@pytest.fixture
def jobs(database: Recorded) -> Jobs:
    return Jobs(database)


def submission(queue_id: str = "p1", tag: str = "DocProcess", key: str = "a") -> Submission:
    return Submission(
        bucket="b", region="r", tag=tag, queue_id=queue_id, level=0, input_object=key, operation={"n": {}}
    )


def test_servers_that_were_forked_from_one_process_give_different_ids(tmp_path: Path) -> None:
    def add_one() -> None:
        database = Database(tmp_path / "state.sqlite")  # the same file, as after a killed server
        Jobs(database).add(submission(), State.SUBMITTED, 1000)
        database.close()

    processes = [multiprocessing.get_context("fork").Process(target=add_one) for _ in range(2)]
    for process in processes:
        process.start()
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]


def test_nothing_looks_through_the_whole_table(database: Recorded, jobs: Jobs) -> None:
    added = [jobs.add(submission(tag="PicProcess"), State.SUBMITTED, 1000) for _ in range(9)]
    for newest_first in (True, False):
        for key in ("", "a"):
            jobs.page(
                Filter(
                    queue_ids=QUEUES,
                    tag="PicProcess",
                    states=(State.SUCCESS,),
                    created_from=5,
                    created_to=2000,
                    input_object=key,
                    newest_first=newest_first,
                ),
                size=3,
                after=5,
            )
    jobs.hold("p1", held=True)
    jobs.hold("p1", held=False)
    jobs.start(added[0], 1001)
    jobs.finish(added[0], Outcome(result={}), 1002)
    jobs.cancel(added[1], 1003)
    jobs.get("b", [job.job_id for job in added])
    assert len(jobs.next_waiting("p1", 3)) == 3
    jobs.recount()
    plans = list(database.plans())
    assert len(plans) >= 14
    for sql, step in plans:
        is_whole = step.startswith("SCAN jobs") and "waiting_jobs" not in step
        assert not is_whole and "TEMP B-TREE" not in step, (sql, step)


def test_pages_stay_as_they_are_while_jobs_are_added_and_end(jobs: Jobs) -> None:
    added = [jobs.add(submission(QUEUES[n % 2]), State.SUBMITTED, 1000 + n // 4) for n in range(20)]
    wanted = Filter(queue_ids=QUEUES, tag="DocProcess", newest_first=False)
    seen, after = [], None
    while page := jobs.page(wanted, size=3, after=after):
        seen += [job.job_id for job in page]
        after = page[-1].seq
        jobs.start(added[len(seen) % 20], 1010)
        if len(seen) < 10:
            added.append(jobs.add(submission(), State.SUBMITTED, 1010))
    assert seen == [job.job_id for job in added]


def test_a_page_is_of_the_queues_that_are_asked_for(jobs: Jobs) -> None:
    one, two = (jobs.add(submission(queue_id), State.SUBMITTED, 1000) for queue_id in QUEUES)
    for queue_ids, found in (
        (("p1",), [one]),
        (("p2",), [two]),
        (QUEUES, [two, one]),
        ((), []),
        (("p3",), []),
    ):
        assert jobs.page(Filter(queue_ids=queue_ids, tag="DocProcess"), size=9, after=None) == found


def test_the_creation_times_of_a_filter_are_inclusive(jobs: Jobs) -> None:
    added = [jobs.add(submission(), State.SUBMITTED, second) for second in (10, 20, 20, 30)]

    def numbers(created_from: int | None, created_to: int | None) -> list[int]:
        wanted = Filter(
            queue_ids=("p1",),
            tag="DocProcess",
            created_from=created_from,
            created_to=created_to,
            newest_first=False,
        )
        return [job.seq - added[0].seq for job in jobs.page(wanted, size=9, after=None)]

    assert numbers(20, 20) == [1, 2]
    assert numbers(None, 19) == [0]
    assert numbers(11, None) == [1, 2, 3]
    assert numbers(31, None) == numbers(None, 9) == []


def test_creation_times_never_go_back(jobs: Jobs) -> None:
    first = jobs.add(submission(), State.SUBMITTED, 2000)
    assert jobs.add(submission(), State.SUBMITTED, 1000).created == first.created == 2000


def test_a_job_is_added_as_it_is_read_again(jobs: Jobs) -> None:
    added = jobs.add(submission(), State.PAUSE, time.time())
    assert jobs.get("b", [added.job_id]) == [added]


def test_final_states_are_followed_by_none() -> None:
    final = {state for state, following in FOLLOWS.items() if not following}
    assert final == {State.SUCCESS, State.FAILED, State.CANCEL}
    assert set(FOLLOWS) == set(State)
