"""The ledger under all that can happen to a batch, in every order that hypothesis thinks of."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from airflow_provider_ci.batch import Batch, BatchStoppedError, BatchSummary, ObjectSelection, Pace
from airflow_provider_ci.client import (
    CIClient,
    CIError,
    Credentials,
    DocProcess,
    Job,
    JobState,
    QueueState,
    RetryPolicy,
)
from airflow_provider_ci.local import LocalCI
from tests.soak.relay import Relay, Request

DEAD = (JobState.CANCEL, JobState.FAILED)
KEYS = tuple(f"in/{number}.docx" for number in range(5))
FAULTS = ("cut_before", "cut_after", "error_after")
NUMBERS = count(1)


class PowerCut(BaseException):
    """The process of the batch is gone: nothing of ours may catch this."""


class Wire:
    """Where the requests of a batch pass until its power is cut; then none passes any more."""

    def __init__(self) -> None:
        self.live()

    def live(self) -> None:
        """Let all pass."""
        self.die_at("none", 0, is_heard=False)

    def die_at(self, method: str, number: int, *, is_heard: bool) -> None:
        """Cut the power at a request of this method, which the service still hears or does not."""
        self.is_dead, self._method, self._left, self._is_heard = False, method, number, is_heard

    async def pass_on(self, request: Request[str]) -> bytes | None:
        if self.is_dead:
            return None
        self._left -= request.method == self._method
        if self._left or request.method != self._method:
            return await request.forward()
        self.is_dead = True
        if self._is_heard:
            await request.forward()
        return None


class LedgerMachine(RuleBasedStateMachine):
    """A batch over a bucket of its own, on a server that all examples share."""

    def __init__(self, server: LocalCI) -> None:
        super().__init__()
        name = f"ledger{next(NUMBERS)}-1250000000"
        self.server = server
        self.bucket = server.bucket_path(name)
        (self.bucket / "in").mkdir(parents=True)
        self.keys = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
        self.service = CIClient(self.keys, "ap-guangzhou", name, endpoint=server.endpoint)
        self.wire = Wire()
        self.relay = Relay(int(server.endpoint.rpartition(":")[2]), self.wire.pass_on).__enter__()
        self.stops = False
        self.versions = count(1)
        self.folder = self.bucket / "_ci_batches" / "model"
        self.planned: dict[str, tuple[str, str]] = {}
        self.client = CIClient(
            self.keys,
            "ap-guangzhou",
            name,
            endpoint=f"http://127.0.0.1:{self.relay.listen('batch')}",
            retry=RetryPolicy(max_attempts=3, first_wait_seconds=0.01, max_wait_seconds=0.01),
        )

    def teardown(self) -> None:
        self.finish_all()
        for client in (self.client, self.service):
            client.close()
        self.relay.__exit__(None, None, None)

    def is_stopped(self) -> bool:
        if self.wire.is_dead:
            raise PowerCut
        return self.stops

    def batch(self) -> Batch:
        return Batch(
            self.client,
            ObjectSelection(prefix="in/"),
            DocProcess(target="pdf"),
            "out/{stem}.pdf",
            batch_id="model",
            settle_seconds=0.05,
            outage_seconds=2.0,
            max_in_flight=3,
            threads=2,
            pace=Pace(shortest=0.005, longest=0.01),
            is_stopped=self.is_stopped,
            cancels_when_stopped=lambda: self.stops,
        )

    # What happens

    @initialize(keys=st.sets(st.sampled_from(KEYS), min_size=1))
    def begin(self, keys: set[str]) -> None:
        for key in sorted(keys):
            self.write(key)

    @rule(key=st.sampled_from(KEYS))
    def write(self, key: str) -> None:
        """Make an object, or change its content."""
        (self.bucket / key).write_text(f"content {next(self.versions)}")

    @rule(action=st.sampled_from(FAULTS), number=st.integers(1, 4))
    def lose_answers(self, action: str, number: int) -> None:
        self.server.faults.add(action, method="POST", count=number)

    @rule()
    def pause(self) -> None:
        self.set_queue(QueueState.PAUSED)

    @rule()
    def resume(self) -> None:
        self.set_queue(QueueState.ACTIVE)

    @rule()
    def advance(self) -> None:
        """Do what can be done now, and leave."""
        self.run(patience=0)

    @rule(keys=st.sets(st.sampled_from(KEYS), min_size=1), number=st.integers(1, 4))
    def die_with_jobs_that_nobody_noted(self, keys: set[str], number: int) -> None:
        self.begin(keys)
        self.die("POST", number, is_heard=True)

    @rule(method=st.sampled_from(["POST", "PUT", "GET"]), number=st.integers(1, 6), is_heard=st.booleans())
    def die(self, method: str, number: int, is_heard: bool) -> None:
        """Run until the power is cut."""
        self.wire.die_at(method, number, is_heard=is_heard)
        self.run(patience=0)
        self.wire.live()

    @rule()
    def cancel(self) -> None:
        """A user ends the run and its jobs."""
        self.stops = True
        self.run(patience=0)
        self.stops = False

    @rule()
    def finish(self) -> None:
        """Run to the end; what was finished before is run again."""
        self.set_queue(QueueState.ACTIVE)
        self.server.faults.clear()
        assert self.run(patience=None)

    # What must hold

    @invariant()
    def no_object_has_two_live_jobs_for_one_content(self) -> None:
        assert not {what: number for what, number in self.live_jobs().items() if number > 1}

    def finish_all(self) -> None:
        self.finish()
        self.finish()  # objects that changed after the plan
        wanted = {
            (path.relative_to(self.bucket).as_posix(), self.etag(path))
            for path in (self.bucket / "in").iterdir()
        }
        live = self.live_jobs()
        assert {what: live[what] for what in wanted} == dict.fromkeys(wanted, 1)
        before = [job.job_id for job in self.jobs()]
        summary = self.run(patience=None)
        assert summary is not None
        assert summary.skipped == summary.total == len(wanted)
        assert [job.job_id for job in self.jobs()] == before

    # How it is done and seen

    def etag(self, path: Path) -> str:
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()

    def run(self, *, patience: float | None) -> BatchSummary | None:
        """A new run of the batch; None if it did not get to the end."""
        self.let_the_lease_end()
        try:
            summary = self.batch().advance(patience=patience, deadline=time.time() + 60)
        except (PowerCut, BatchStoppedError):
            return None
        except CIError:
            if not self.wire.is_dead:
                raise
            return None
        finally:
            self.note_plan()
        return summary

    def let_the_lease_end(self) -> None:
        """As if the dead run's time had passed."""
        for path in (self.folder / "lease").glob("*"):
            os.utime(path, (0, 0))

    def note_plan(self) -> None:
        """Remember what the jobs of this plan are about."""
        if not (self.folder / "batch.json").exists():
            return
        batch = json.loads((self.folder / "batch.json").read_text().splitlines()[0])
        for part in (self.folder / f"{batch['number']:04}" / "plan").iterdir():
            for line in map(json.loads, part.read_text().splitlines()[1:]):
                self.planned[f"{batch['token']}-{line['index']}"] = (line["key"], line["etag"])

    def live_jobs(self) -> Counter[tuple[str, str]]:
        """How many live jobs there are for each object and the content that was planned."""
        jobs = [job for job in self.jobs() if job.state not in DEAD]
        return Counter(self.planned[(job.user_data or "").rpartition("-")[0]] for job in jobs)

    def jobs(self) -> list[Job]:
        return list(self.service.list_doc_jobs())

    def set_queue(self, state: QueueState) -> None:
        (queue,) = self.service.list_doc_queues()
        if queue.state is not state:
            self.service.update_doc_queue(queue.queue_id, state=state)


def test_no_order_of_events_loses_or_doubles_a_job(local_ci: LocalCI) -> None:
    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(local_ci)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
