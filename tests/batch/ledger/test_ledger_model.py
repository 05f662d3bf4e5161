"""A model of two batches: hypothesis draws the events that can happen to them, in any order."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from contextlib import ExitStack
from itertools import count
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from airflow_provider_ci.batch import (
    Batch,
    BatchStoppedError,
    BatchSummary,
    ObjectSelection,
    OutputConflictError,
    Pace,
)
from airflow_provider_ci.batch.registry.service_time import service_now
from airflow_provider_ci.client import CIClient, CIError, Credentials, DocProcess, Job, JobState, RetryPolicy
from airflow_provider_ci.local import LocalCI
from tests.soak.deletion import delete_records
from tests.soak.drawing import DELETIONS
from tests.soak.relay import Relay, Request

DEAD = (JobState.CANCEL, JobState.FAILED)
KEYS = tuple(f"in/{number}.docx" for number in range(5))
NAMES = st.sampled_from(["one", "two"])
FAULTS = st.sampled_from(["cut_before", "cut_after", "error_after", "page_after"])
NUMBERS = count(1)
Subject = tuple[str, str, int | None]
"""The input of a job: the object's key and ETag, and the last page that its operation converts."""


class PowerCut(BaseException):
    """Simulates the death of the batch's process; the engine must not catch this exception."""


class Wire:
    """Passes on the requests of a batch until its power is cut; after that, it drops them."""

    def __init__(self) -> None:
        self.live()

    def live(self) -> None:
        """Pass on all requests."""
        self.die_at("none", 0, arrives=False)

    def die_at(self, method: str, number: int, *, arrives: bool) -> None:
        """Cut the power at request ``number`` of ``method``, which the service receives if ``arrives``."""
        self.is_dead, self._method, self._left, self._arrives = False, method, number, arrives

    async def pass_on(self, request: Request[str]) -> bytes | None:
        if self.is_dead:
            return None
        self._left -= request.method == self._method
        if self._left or request.method != self._method:
            return await request.forward()
        self.is_dead = True
        if self._arrives:
            await request.forward()
        return None


class EngineMachine(RuleBasedStateMachine):
    """Two batches with the same outputs; each example has a bucket of its own on a shared server."""

    def __init__(self, server: LocalCI) -> None:
        super().__init__()
        name = f"engine{next(NUMBERS)}-1250000000"
        self.server = server
        self.bucket = server.bucket_path(name)
        (self.bucket / "in").mkdir(parents=True)
        self.stack = ExitStack()
        keys = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
        self.service = self.stack.enter_context(
            CIClient(keys, "ap-guangzhou", name, endpoint=server.endpoint)
        )
        self.wire = Wire()
        relay = self.stack.enter_context(Relay(int(server.endpoint.rpartition(":")[2]), self.wire.pass_on))
        self.client = self.stack.enter_context(
            CIClient(
                keys,
                "ap-guangzhou",
                name,
                endpoint=f"http://127.0.0.1:{relay.listen('batch')}",
                retry=RetryPolicy(max_attempts=3, first_wait_seconds=0.01, max_wait_seconds=0.01),
            )
        )
        self.stops = False
        self.versions = count(1)
        self.pages = 1
        self.planned: dict[str, tuple[str, str]] = {}
        self.was_deleted = False

    def teardown(self) -> None:
        try:
            self.finish_all()
        finally:
            self.stack.close()

    def is_stopped(self) -> bool:
        if self.wire.is_dead:
            raise PowerCut
        return self.stops

    def batch(self, name: str) -> Batch:
        return Batch(
            self.client,
            ObjectSelection(prefix="in/"),
            DocProcess(target="pdf", end_page=self.pages),
            "out/{stem}.pdf",
            batch_id=name,
            lease_seconds=2,
            outage_seconds=10.0,
            max_in_flight=3,
            threads=2,
            pace=Pace(shortest=0.005, longest=0.01),
            is_stopped=self.is_stopped,
            cancels_when_stopped=lambda: self.stops,
        )

    # Events

    @initialize(keys=st.sets(st.sampled_from(KEYS), min_size=1))
    def begin(self, keys: set[str]) -> None:
        for key in sorted(keys):
            self.write(key)

    @rule(key=st.sampled_from(KEYS))
    def write(self, key: str) -> None:
        """Create an object, or change its content."""
        (self.bucket / key).write_text(f"content {next(self.versions)}")

    @rule()
    def change_the_operation(self) -> None:
        self.pages += 1

    @rule(action=FAULTS, number=st.integers(1, 2))
    def lose_responses(self, action: str, number: int) -> None:
        self.server.faults.add(action, method="POST", count=number)

    @rule(name=NAMES)
    def advance(self, name: str) -> None:
        """Do the work that is possible without waiting, and end the run."""
        self.run(name, patience=0)

    @rule(
        name=NAMES,
        method=st.sampled_from(["POST", "PUT", "GET"]),
        number=st.integers(1, 9),
        arrives=st.booleans(),
    )
    def die(self, name: str, method: str, number: int, arrives: bool) -> None:
        """Run until the power is cut."""
        self.wire.die_at(method, number, arrives=arrives)
        self.run(name, patience=0)
        self.wire.live()

    @rule(name=NAMES)
    def cancel(self, name: str) -> None:
        """A user stops the run and cancels its jobs."""
        self.stops = True
        self.run(name, patience=0)
        self.stops = False

    @rule(what=st.sampled_from(DELETIONS), seed=st.integers(0, 9))
    def delete(self, what: str, seed: int) -> None:
        """A user deletes records while no run is active."""
        self.was_deleted |= bool(delete_records(self.bucket, what, Random(seed)))

    @rule(name=NAMES)
    def finish(self, name: str) -> None:
        """Run the batch to its end; a batch that has already ended runs again."""
        self.server.faults.clear()
        self.drive({name})

    # Invariants

    @invariant()
    def no_object_has_two_live_jobs_for_one_content(self) -> None:
        assert not {what: number for what, number in self.live_jobs().items() if number > 1}

    def finish_all(self) -> None:
        self.server.faults.clear()
        assert self.drive({"one", "two"}) == {"one", "two"}
        assert self.drive({"one", "two"}) == {"one", "two"}  # new plans include the latest changes
        wanted = {path.relative_to(self.bucket).as_posix() for path in (self.bucket / "in").iterdir()}
        for key in wanted:
            assert (self.bucket / key.replace("in/", "out/").replace(".docx", ".pdf")).exists()
        if not self.was_deleted:
            live = self.live_jobs()
            assert all(live[key, self.etag(key), self.pages] == 1 for key in wanted)
        before = [job.job_id for job in self.jobs()]
        summary = self.run("one", patience=None)
        assert summary is not None
        assert summary.skipped == summary.total == len(wanted)
        assert [job.job_id for job in self.jobs()] == before
        self.no_object_has_two_live_jobs_for_one_content()

    def drive(self, names: set[str]) -> set[str]:
        """Run both batches in turns, as one may wait for the other; return the batches that ended."""
        done: set[str] = set()
        for _ in range(200):
            done |= {name for name in ("one", "two") if name not in done and self.run(name, patience=0.0)}
            if names <= done:
                break
            time.sleep(0.05)
        return done & names

    # Helpers

    def etag(self, key: str) -> str:
        return hashlib.md5((self.bucket / key).read_bytes(), usedforsecurity=False).hexdigest()

    def run(self, name: str, *, patience: float | None) -> BatchSummary | None:
        """Start a new run of a batch; return None if the batch did not end."""
        try:
            return self.batch(name).advance(patience=patience, deadline=time.time() + 60)
        except (PowerCut, BatchStoppedError, OutputConflictError):
            return None
        except CIError:
            if not self.wire.is_dead:
                raise
            return None
        finally:
            self.note_plans()

    def note_plans(self) -> None:
        """Remember the object's key and ETag for each line of the plans, by the user data of its jobs."""
        for path in self.bucket.glob("_ci_batches/*/plan.json"):
            header, *lines = map(json.loads, path.read_text().splitlines())
            for line in lines:
                self.planned[f"{header['token']}-{line['index']}"] = (line["key"], line["etag"])

    def live_jobs(self) -> Counter[Subject]:
        return Counter(map(self.subject, (job for job in self.jobs() if job.state not in DEAD)))

    def subject(self, job: Job) -> Subject:
        key, etag = self.planned[job.user_data.rpartition("-")[0]]
        operation = job.raw["Operation"]
        assert isinstance(operation, dict)
        return key, etag, int(operation["DocProcess"]["EndPage"])

    def jobs(self) -> list[Job]:
        return list(self.service.list_doc_jobs())


def leases_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a minute seem to pass between two checks of another run's claim, so that leases expire soon."""
    looks = count(1)
    monkeypatch.setattr(
        "airflow_provider_ci.batch.registry.heartbeat.service_now",
        lambda client: service_now(client) + 60 * (next(looks) % 14),
    )


def test_no_order_of_events_loses_or_doubles_a_job(
    local_ci: LocalCI, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases_end_at_once(monkeypatch)

    class Machine(EngineMachine):
        def __init__(self) -> None:
            super().__init__(local_ci)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12, stateful_step_count=9, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
