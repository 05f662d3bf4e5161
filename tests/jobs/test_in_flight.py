"""Ended jobs are found whatever the listing looks like, as checked against the service's job table."""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.jobs import DOCUMENTS, JobsInFlight

HOUR_AGO = int(time.time()) - 3600


@pytest.fixture
def add(odd_service: Any) -> Any:
    """Adds jobs to the service and returns their ids."""
    numbers = itertools.count()
    job_class = sys.modules[type(odd_service).__module__].OddJob

    def make(count: int, *, name: str = "d", **values: Any) -> list[str]:
        values = {"created": HOUR_AGO, **values}
        made = [job_class(job_id=f"{name}{next(numbers):08d}", **values) for _ in range(count)]
        odd_service.jobs += made
        odd_service.jobs.sort(key=lambda job: job.created)
        return [job.job_id for job in made]

    return make


def end(service: Any, job_ids: Sequence[str], state: str = "Success") -> None:
    for job in service.jobs:
        if job.job_id in job_ids:
            job.state = state


def created(service: Any, job_ids: Sequence[str]) -> dict[str, datetime | None]:
    wanted = set(job_ids)
    return {
        job.job_id: datetime.fromtimestamp(job.created, timezone.utc)
        for job in service.jobs
        if job.job_id in wanted
    }


class Watch:
    """Checks the pending jobs again and again, as a batch does."""

    def __init__(self, client: CIClient, service: Any, pending: Mapping[str, datetime | None]) -> None:
        self.in_flight = JobsInFlight(client, DOCUMENTS)
        self.service = service
        self.pending = dict(pending)

    def look(self) -> set[str]:
        """Return the ids of the jobs found to have ended; fails if the service's table says otherwise."""
        states = {job.job_id: job.state for job in self.service.jobs}
        ended = {job.job_id for job in self.in_flight.ended(self.pending)}
        assert {states[job_id] for job_id in ended} <= {"Success", "Failed", "Cancel"}
        for job_id in ended:
            del self.pending[job_id]
        return ended

    def requests(self) -> int:
        """Check once; return the number of requests sent."""
        before = len(self.service.requests)
        self.look()
        return len(self.service.requests) - before


ODDITIES: list[dict[str, Any]] = [
    {},
    {"by_offset": True},
    {"token_uses": 1},
    {"token_uses": 0},
    {"empty_pages": 2},
    {"repeats": True},
    {"is_endless": True},
]


@pytest.mark.parametrize("oddity", ODDITIES, ids=str)
def test_every_end_is_noticed_with_few_requests(
    odd_client: CIClient, odd_service: Any, add: Any, oddity: dict[str, Any]
) -> None:
    for name, value in oddity.items():
        setattr(odd_service, name, value)
    ours = add(250)
    add(20, name="dforeign")
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    for first in range(0, 250, 50):
        end(odd_service, ours[first : first + 50])
        watch.look()
    for _ in range(12):
        watch.look()
    assert not watch.pending
    assert len(odd_service.requests) <= 350, "one request for each job would be enough"


def test_only_our_queue_is_listed(odd_client: CIClient, odd_service: Any, add: Any) -> None:
    odd_service.queue_ids = ("p1",)
    ours = add(10)
    add(500, name="dforeign", queue_id="p2")
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    watch.look()
    listings = [given for path, given in odd_service.requests if path == "/doc_jobs"]
    assert len(listings) == 1
    assert {given["queueId"] for given in listings} == {"p1"}


def test_of_several_queues_a_job_tells_ours(odd_client: CIClient, odd_service: Any, add: Any) -> None:
    odd_service.queue_ids = ("p1", "p2")
    ours = add(10, queue_id="p2")
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    end(odd_service, ours)
    assert watch.look() == set(ours)
    listings = [given for path, given in odd_service.requests if path == "/doc_jobs"]
    assert {given["queueId"] for given in listings} == {"p2"}


def test_jobs_in_another_queue_are_found_too(odd_client: CIClient, odd_service: Any, add: Any) -> None:
    """The batch's queue has changed since some of its jobs were submitted."""
    ours = add(100, queue_id="p-old") + add(100, created=HOUR_AGO + 100)
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    end(odd_service, ours)
    for _ in range(3):
        watch.look()
    assert not watch.pending
    assert len(odd_service.requests) < 60


def test_many_ended_jobs_of_others_are_not_read_through_to_find_a_few(
    odd_client: CIClient, odd_service: Any, add: Any
) -> None:
    ours = add(4)
    add(5000, name="dforeign", state="Success")
    ours += add(4, created=HOUR_AGO + 2)
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    assert watch.requests() <= 1 + 8 + 8
    end(odd_service, ours)
    assert watch.requests() <= 8 + 8
    assert not watch.pending


def test_jobs_of_others_between_old_and_new_ones_are_left_out(
    odd_client: CIClient, odd_service: Any, add: Any
) -> None:
    old = add(2, state="Running")
    add(5000, name="dforeign", state="Success", created=HOUR_AGO + 60)
    new = add(150, created=HOUR_AGO + 1800)
    watch = Watch(odd_client, odd_service, created(odd_service, [*old, *new]))
    end(odd_service, new)
    assert watch.requests() <= 8
    assert set(watch.pending) == set(old)


def test_a_straggler_costs_a_request_a_look(odd_client: CIClient, odd_service: Any, add: Any) -> None:
    """Listing from the oldest pending job on would read all later jobs, most of them ended, at each check."""
    ours = add(1000)
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    end(odd_service, ours[:1], "Running")
    end(odd_service, ours[1:750])
    while len(watch.pending) > 251:
        watch.look()
    assert watch.requests() <= 2
    end(odd_service, ours[:1])
    assert watch.look() == {ours[0]}


def test_jobs_that_overtake_others_are_noticed(odd_client: CIClient, odd_service: Any, add: Any) -> None:
    ours = add(600)
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    watch.look()
    overtaking = ours[350:360]
    end(odd_service, overtaking)
    looks = 0
    while not watch.look():
        looks += 1
    assert looks <= 40
    assert set(ours) - set(overtaking) == set(watch.pending)


@pytest.mark.parametrize("count", [2, 40])
def test_a_forgotten_job_is_named(odd_client: CIClient, odd_service: Any, add: Any, count: int) -> None:
    """The service keeps jobs for a month and then forgets them."""
    ours = add(count)
    pending = created(odd_service, ours)
    odd_service.jobs = [job for job in odd_service.jobs if job.job_id != ours[1]]
    end(odd_service, ours)
    watch = Watch(odd_client, odd_service, pending)
    watch.look()
    assert list(watch.in_flight.forgotten) == [ours[1]]
    assert set(watch.pending) == {ours[1]}


def test_a_job_that_was_just_submitted_is_not_forgotten(
    odd_client: CIClient, odd_service: Any, add: Any
) -> None:
    just_now = datetime.now(timezone.utc)
    watch = Watch(odd_client, odd_service, {"d1": just_now, "d2": None})
    watch.look()
    assert watch.in_flight.unknown.keys() == {"d1", "d2"}
    assert not watch.in_flight.forgotten


def test_when_all_are_forgotten_all_are_named_sooner_or_later(
    odd_client: CIClient, odd_service: Any, add: Any
) -> None:
    pending = created(odd_service, add(100))
    odd_service.jobs = []
    add(300, name="dforeign", created=HOUR_AGO + 500)
    watch = Watch(odd_client, odd_service, pending)
    forgotten: set[str] = set()
    for _ in range(8):
        watch.look()
        forgotten |= watch.in_flight.forgotten.keys()
        for job_id in watch.in_flight.forgotten:
            watch.pending.pop(job_id)
    assert forgotten == pending.keys()


def test_pages_that_move_lose_no_job(odd_client: CIClient, odd_service: Any, add: Any) -> None:
    """Pages shift if tokens are offsets and old jobs are deleted."""
    odd_service.by_offset = True
    old = add(150, name="dforeign", state="Success")
    ours = add(400)
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    for first in range(0, 400, 40):
        odd_service.jobs = [job for job in odd_service.jobs if job.job_id not in old[: first // 3]]
        end(odd_service, ours[first : first + 40])
        watch.look()
    for _ in range(5):
        watch.look()
    assert not watch.pending


def test_jobs_that_the_listing_shows_late_are_noticed(
    odd_client: CIClient, odd_service: Any, add: Any
) -> None:
    ours = add(120)
    odd_service.unlisted = set(ours[10:14])
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    watch.look()
    end(odd_service, ours)
    for _ in range(3):
        watch.look()
    assert not watch.pending


@pytest.mark.parametrize("count", [4, 120])
def test_jobs_of_which_only_the_ids_are_known_are_found_by_a_listing(
    odd_client: CIClient, odd_service: Any, add: Any, count: int
) -> None:
    ours = add(count)
    watch = Watch(odd_client, odd_service, dict.fromkeys(ours))
    assert watch.requests() <= 5
    end(odd_service, ours)
    assert watch.requests() <= 2
    assert not watch.pending


def test_up_to_three_jobs_are_a_request_each(odd_client: CIClient, odd_service: Any, add: Any) -> None:
    ours = add(3)
    watch = Watch(odd_client, odd_service, created(odd_service, ours))
    assert watch.requests() == 3
    assert [path for path, _ in odd_service.requests] == [f"/doc_jobs/{job_id}" for job_id in ours]


def test_without_pending_jobs_nothing_is_asked(odd_client: CIClient, odd_service: Any) -> None:
    assert JobsInFlight(odd_client, DOCUMENTS).ended({}) == []
    assert odd_service.requests == []


@pytest.mark.parametrize("seed", range(16))
def test_whatever_happens_in_whatever_order_every_job_is_settled(
    odd_client: CIClient, odd_service: Any, add: Any, seed: int
) -> None:
    chance = random.Random(seed)
    for name, value in chance.choice(ODDITIES).items():
        setattr(odd_service, name, value)
    watch = Watch(odd_client, odd_service, {})
    gone: set[str] = set()
    for step in range(15):
        if chance.random() < 0.6:
            new = add(chance.choice([1, 3, 30, 130]), created=HOUR_AGO + step * chance.choice([0, 1, 40]))
            watch.pending |= created(odd_service, new)
            if chance.random() < 0.2:
                watch.pending |= dict.fromkeys(new)
        if chance.random() < 0.5:
            add(chance.choice([5, 250]), name="dforeign", state=chance.choice(["Success", "Submitted"]))
        some = [job.job_id for job in odd_service.jobs if job.state != "Success"]
        end(odd_service, some[: chance.choice([1, 20, 100])], chance.choice(["Success", "Failed", "Cancel"]))
        if chance.random() < 0.2:
            vanishing = {job.job_id for job in odd_service.jobs if chance.random() < 0.02}
            odd_service.jobs = [job for job in odd_service.jobs if job.job_id not in vanishing]
            gone |= vanishing
        watch.look()
        assert watch.in_flight.forgotten.keys() <= gone
    end(odd_service, [job.job_id for job in odd_service.jobs])
    for _ in range(60):
        watch.look()
        assert watch.in_flight.forgotten.keys() <= gone
        for job_id in watch.in_flight.forgotten:
            del watch.pending[job_id]
    # For a minute, a job that was never seen may be either forgotten or just submitted.
    assert watch.pending.keys() <= gone & watch.in_flight.unknown.keys()
