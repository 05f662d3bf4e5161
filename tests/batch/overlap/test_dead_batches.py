"""Other batches finish the work of a dead or suspended batch, which uses their outputs when it returns."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_ci.batch import Batch
from airflow_provider_ci.client import CIClient, DocProcess, RetryPolicy
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import FOLDER, Kill, in_threads, pause, wait_until
from tests.batch.overlap.conftest import keys, outputs, total_of

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], "Counter[str]"]


def test_the_followers_of_a_killed_batch_finish_its_outputs(
    client: CIClient,
    kill: Kill,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
) -> None:
    """X dies with one job in flight. Y and Z share outputs with X and each other, and finish X's work."""
    fill_bucket(*keys(8))
    resume = pause(client)
    kill(2, lambda doomed: batch(doomed, keys(6), batch_id="x", max_in_flight=2, lease_seconds=3))
    others = {"y": keys(6, 1), "z": keys(6, 2)}
    for batch_id, source in others.items():
        made = batch(client, source, batch_id=batch_id)
        assert made.advance(patience=0, deadline=time.time() + 60) is None
    resume()
    found = in_threads(*(batch(client, source, batch_id=name).run for name, source in others.items()))
    assert [total_of(summary) for summary in found] == [(6, 6), (6, 6)]
    assert set(live_outputs(client).values()) == {1}
    again = batch(client, keys(6), batch_id="x", lease_seconds=3).run()
    assert total_of(again) == (6, 6)
    assert live_outputs(client) == outputs(*keys(8))


def test_what_a_killed_batch_has_made_is_made_again_by_another_operation(
    client: CIClient,
    kill: Kill,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
) -> None:
    """Batch Y records the outputs of the killed batch X in the index, because X never runs again."""
    fill_bucket(*keys(4))
    kill(4, lambda doomed: batch(doomed, batch_id="x", threads=1, lease_seconds=3))
    assert batch(client, batch_id="y").run().skipped == 4
    again = batch(client, operation=DocProcess(target="pdf", end_page=3), batch_id="z").run()
    assert again.succeeded == 4
    assert live_outputs(client) == dict.fromkeys(outputs(*keys(4)), 2)


def test_a_deleted_output_that_a_killed_batch_was_to_make_is_made_by_another(
    client: CIClient, kill: Kill, fill_bucket: Fill, batch: Make, live_outputs: Count, bucket: Path
) -> None:
    """The index still has the entry of the output that was deleted before the killed batch was planned."""
    fill_bucket(*keys(4))
    assert batch(client, batch_id="before").run().succeeded == 4
    time.sleep(1.1)  # the index records whole seconds
    for path in (bucket / "out").iterdir():
        path.unlink()
    kill(1, lambda doomed: batch(doomed, batch_id="x", threads=1, max_in_flight=1, lease_seconds=3))
    summary = batch(client, batch_id="y").run()
    assert (summary.succeeded, summary.skipped) in ((3, 1), (4, 0))
    assert len(list((bucket / "out").iterdir())) == 4
    assert live_outputs(client) == dict.fromkeys(outputs(*keys(4)), 2)


def test_a_plan_whose_response_was_lost_is_not_replaced_by_another(
    client: CIClient, local_ci: LocalCI, client_of: Connect, fill_bucket: Fill, batch: Make
) -> None:
    """A batch that has read the first plan would not find its outputs in the second one."""
    fill_bucket(*keys(3))
    path = f"/{FOLDER}plan.json"
    local_ci.faults.add("error_after", method="PUT", path=path, code="InternalError", status=500)
    sent: list[str] = []
    with client_of(local_ci, retry=RetryPolicy(max_attempts=1)) as once:
        once.observe(lambda exchange: sent.append(f"{exchange.method} {exchange.url}"))
        assert batch(once).run().succeeded == 3
    assert local_ci.faults.pending() == []
    assert sum(each.startswith("PUT ") and each.endswith(path) for each in sent) == 1


def test_a_killed_batch_that_comes_back_shares_with_its_follower(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
    kill: Kill,
) -> None:
    fill_bucket(*keys(6))
    kill(3, lambda doomed: batch(doomed, batch_id="x", max_in_flight=3, lease_seconds=3))
    with client_of(local_ci) as other:
        found = in_threads(
            batch(client, batch_id="x", lease_seconds=3).run, batch(other, batch_id="y", lease_seconds=3).run
        )
    assert [total_of(summary) for summary in found] == [(6, 6), (6, 6)]
    assert live_outputs(client) == outputs(*keys(6))


CHILD = """
import sys
from airflow_provider_ci.batch import Batch, ObjectSelection, Pace
from airflow_provider_ci.client import CIClient, Credentials, DocProcess

endpoint, secret_id, secret_key = sys.argv[1:]
client = CIClient(
    Credentials(secret_id=secret_id, secret_key=secret_key), "ap-guangzhou", "examplebucket-1250000000",
    endpoint=endpoint,
)
Batch(
    client, ObjectSelection(prefix="in/"), DocProcess(target="pdf"), "out/{stem}.pdf", batch_id="child",
    lease_seconds=3, max_in_flight=2, threads=2, pace=Pace(shortest=0.02, longest=0.1),
).run()
"""


@pytest.fixture
def child(local_ci: LocalCI, fill_bucket: Fill) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a batch of twenty objects, with at most two jobs in flight."""
    fill_bucket(*keys(20))
    arguments = [local_ci.endpoint, local_ci.secret_id, local_ci.secret_key]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("local_ci", [0.1], indirect=True)
def test_a_batch_beside_a_killed_process_does_its_rest(
    client: CIClient,
    batch: Make,
    live_outputs: Count,
    child: subprocess.Popen[str],
) -> None:
    wait_until(lambda: len(list(client.list_doc_jobs())) >= 4)
    killing = threading.Timer(0.5, child.kill)
    killing.start()
    summary = batch(client, batch_id="other", lease_seconds=3).run()
    killing.join()
    assert total_of(summary) == (20, 20)
    assert live_outputs(client) == outputs(*keys(20))
    again = batch(client, batch_id="child", lease_seconds=3).run()
    assert total_of(again) == (20, 20)
    assert live_outputs(client) == outputs(*keys(20))


@pytest.mark.parametrize("local_ci", [0.1], indirect=True)
def test_a_suspended_batch_stops_if_another_has_done_its_rest(
    client: CIClient,
    batch: Make,
    live_outputs: Count,
    child: subprocess.Popen[str],
) -> None:
    """When the suspended batch continues, another batch has made all remaining outputs of its plan."""
    wait_until(lambda: len(list(client.list_doc_jobs())) >= 4)
    child.send_signal(signal.SIGSTOP)
    summary = batch(client, batch_id="other", lease_seconds=3).run()
    assert total_of(summary) == (20, 20)
    child.send_signal(signal.SIGCONT)
    _, said = child.communicate(timeout=30)
    assert "BatchRunningError" in said
    assert live_outputs(client) == outputs(*keys(20))
    again = batch(client, batch_id="child", lease_seconds=3).run()
    assert total_of(again) == (20, 20)
    assert live_outputs(client) == outputs(*keys(20))
