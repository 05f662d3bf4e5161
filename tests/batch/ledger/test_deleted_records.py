"""Any record may be deleted at any time: no object is lost or gets a second job, and every report is true."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    BatchSummary,
    LedgerLostError,
    ObjectResult,
    ObjectSelection,
    ObjectState,
)
from airflow_provider_ci.batch.ledger import journal, plan_store
from airflow_provider_ci.batch.ledger.records import MissingRecordError, RecordError
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import FOLDER, Kill, pause, wait_until

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]
Phase = Callable[[], None]

KEYS = [f"in/{number}.docx" for number in range(7)]
PHASES = ("finished", "killed", "parked")
RECORDS = (
    *("plan.json", "/plan/", "/submitted/", "/results/", "/checkpoint.jsonl", "/runs/", "report.jsonl"),
    *("registry/0", "registry/index", "registry/", "_ci_batches"),
)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store two objects in each record, so that the batches of these tests write every kind of record."""
    monkeypatch.setattr(plan_store, "INLINE_LINES", 1)
    monkeypatch.setattr(plan_store, "PART_LINES", 3)
    monkeypatch.setattr(journal, "PART_LINES", 2)
    monkeypatch.setattr("airflow_provider_ci.batch.run.loop._SHORT_RUN_SECONDS", 0.0)


@pytest.fixture
def reach(
    client: CIClient,
    kill: Kill,
    fill_bucket: Fill,
    batch: Make,
    end_leases: Phase,
) -> Callable[..., Callable[[], object]]:
    """Brings a batch of ``KEYS`` to a phase; returns a function that lets the batch's jobs run."""
    fill_bucket(*KEYS)

    def finished(_: int) -> Callable[[], object]:
        assert batch(client, lease_seconds=3).run().succeeded == len(KEYS)
        return bool

    def killed(posts: int) -> Callable[[], object]:
        kill(posts, lambda doomed: batch(doomed, lease_seconds=3, max_in_flight=2, threads=1))
        end_leases()
        return bool

    def parked(_: int) -> Callable[[], object]:
        resume = pause(client)
        made = batch(client, lease_seconds=3, max_in_flight=5)
        assert made.advance(patience=0, deadline=time.time() + 60) is None
        return resume

    phases = {"finished": finished, "killed": killed, "parked": parked}
    return lambda phase, posts=4: phases[phase](posts)


def records_of(bucket: Path) -> list[Path]:
    folders = ("_ci_batches", "_ci_batches.registry")
    return sorted(path for folder in folders for path in (bucket / folder).rglob("*") if path.is_file())


def run_until_it_ends(make: Callable[[], Batch]) -> BatchSummary:
    """Run the batch up to four times while objects are unfinished, as Airflow's retries do."""
    for _ in range(3):
        try:
            return make().run()
        except BatchFailedError as error:
            assert error.summary.unfinished, "nothing failed"
    return make().run()


def check(
    client: CIClient, bucket: Path, summary: BatchSummary, live: Counter[str], keys: list[str] = KEYS
) -> None:
    assert summary.total == summary.succeeded + summary.skipped == len(keys)
    assert live == dict.fromkeys(keys, 1)
    assert all((bucket / f"out/{key[3:-5]}.pdf").is_file() for key in keys)


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("phase", PHASES)
def test_a_deleted_kind_of_record_loses_and_doubles_nothing(
    phase: str,
    record: str,
    reach: Callable[..., Callable[[], object]],
    client: CIClient,
    bucket: Path,
    batch: Make,
    live_jobs: Count,
    results: Results,
) -> None:
    resume = reach(phase)
    for path in records_of(bucket):
        if record in str(path):
            path.unlink()
    resume()
    summary = run_until_it_ends(lambda: batch(client, lease_seconds=3))
    check(client, bucket, summary, live_jobs(client))
    assert results(client).keys() == set(KEYS)


@pytest.mark.parametrize("change", [{}, {"definition": "new"}, {"operation": DocProcess(end_page=1)}])
def test_a_plan_that_is_made_again_has_its_lease_renewed(
    change: dict[str, Any],
    reach: Callable[..., Callable[[], object]],
    client: CIClient,
    bucket: Path,
    batch: Make,
    live_jobs: Count,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The plan's parts are deleted while the batch is parked, and its jobs take longer than the lease."""
    resume = reach("parked")
    for path in records_of(bucket):
        if "/plan/" in str(path):
            path.unlink()
    later = threading.Timer(5, resume)
    later.start()
    summary = run_until_it_ends(lambda: batch(client, lease_seconds=3, outage_seconds=20, **change))
    later.join()
    live, done = live_jobs(client), summary.total == summary.succeeded + summary.skipped
    assert (summary.total, done) == (len(KEYS), True)
    if "operation" in change:
        assert set(live.values()) == {1, 2}, "what the old operation has made is made again"
        assert sum(live.values()) == summary.jobs + 5 == 12
    else:
        assert live == dict.fromkeys(KEYS, 1)
    assert "was deleted" in caplog.text
    assert "could not be written" not in caplog.text


@pytest.mark.parametrize("seed", range(8))
def test_a_random_part_of_the_records_may_be_deleted(
    seed: int,
    reach: Callable[..., Callable[[], object]],
    client: CIClient,
    bucket: Path,
    batch: Make,
    live_jobs: Count,
    results: Results,
) -> None:
    draw = random.Random(seed)
    resume = reach(draw.choice(PHASES), draw.randint(1, 7))
    found = records_of(bucket)
    for path in draw.sample(found, draw.randint(1, len(found))):
        path.unlink()
    resume()
    summary = run_until_it_ends(lambda: batch(client, lease_seconds=3))
    check(client, bucket, summary, live_jobs(client))
    assert results(client).keys() == set(KEYS)


@pytest.mark.parametrize("seed", range(4))
def test_records_may_be_deleted_while_the_batch_runs(
    seed: int,
    client: CIClient,
    bucket: Path,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
) -> None:
    """The run may fail with an error that names the missing record; the next run does the remaining work."""
    fill_bucket(*KEYS)
    draw = random.Random(seed)

    def delete(_: Any) -> None:
        found = records_of(bucket)
        for path in draw.sample(found, min(len(found), 2)):
            path.unlink(missing_ok=True)

    try:
        batch(client, lease_seconds=3, max_in_flight=2, progress=delete).run()
    except (BatchFailedError, MissingRecordError) as error:
        assert "unfinished" in str(error) or FOLDER in str(error), error
    summary = run_until_it_ends(lambda: batch(client, lease_seconds=3))
    check(client, bucket, summary, live_jobs(client))


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
    client, ObjectSelection(prefix="in/"), DocProcess(target="pdf"), "out/{dir}{stem}.pdf", batch_id="test",
    lease_seconds=3, max_in_flight=2, threads=1, pace=Pace(shortest=0.02, longest=0.1),
    progress=lambda now: print(now.finished, flush=True),
).run()
"""


@pytest.mark.parametrize("local_ci", [0.1], indirect=True)
@pytest.mark.parametrize("deleted", ["nothing", "runs", "everything"])
def test_after_sigkill_the_next_run_doubles_nothing(
    deleted: str,
    client: CIClient,
    local_ci: LocalCI,
    bucket: Path,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
) -> None:
    fill_bucket(*KEYS)
    arguments = [local_ci.endpoint, local_ci.secret_id, local_ci.secret_key]
    with subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.DEVNULL) as child:
        wait_until(lambda: len(list(client.list_doc_jobs())) >= 3)
        child.send_signal(signal.SIGKILL)
    for path in records_of(bucket):
        if deleted == "everything" or (deleted == "runs" and path.parent.name == "runs"):
            path.unlink()
    summary = run_until_it_ends(lambda: batch(client, lease_seconds=3))
    check(client, bucket, summary, live_jobs(client))


# One kind of record is deleted


def test_a_deleted_plan_with_new_objects_loses_nothing(
    client: CIClient, bucket: Path, fill_bucket: Fill, batch: Make, live_jobs: Count
) -> None:
    """The results of the deleted plan do not count for the new plan."""
    fill_bucket(*KEYS)
    batch(client).run()
    new = [f"in/+{number}.docx" for number in range(5)]
    fill_bucket(*new)
    (bucket / FOLDER / "plan.json").unlink()
    summary = batch(client).run()
    assert (summary.total, summary.succeeded, summary.skipped) == (12, 5, 7)
    check(client, bucket, summary, live_jobs(client), sorted(new + KEYS))


def test_an_old_report_does_not_end_a_new_plan(
    client: CIClient,
    bucket: Path,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
    end_leases: Phase,
    kill: Kill,
) -> None:
    """The report of the previous plan is still in the bucket when the next run dies."""
    fill_bucket(*KEYS[:3])
    batch(client).run()
    fill_bucket(*KEYS)
    kill(2, lambda doomed: batch(doomed, lease_seconds=3, max_in_flight=2, threads=1))
    end_leases()
    check(client, bucket, batch(client).run(), live_jobs(client))


def test_objects_of_a_deleted_plan_that_are_gone_are_named(
    reach: Callable[..., Callable[[], object]],
    client: CIClient,
    bucket: Path,
    batch: Make,
) -> None:
    """Two objects of the plan were deleted from the bucket, and no record describes them."""
    resume = reach("parked")
    for path in (bucket / FOLDER).rglob("*.json*"):
        if path.parent.name != "runs":
            path.unlink()
    for key in KEYS[5:]:
        (bucket / key).unlink()
    resume()
    with pytest.raises(LedgerLostError, match="2 objects are unknown") as lost:
        run_until_it_ends(lambda: batch(client, lease_seconds=3))
    assert lost.value.summary.total == 5


def test_a_resumed_batch_knows_how_many_objects_were_planned(
    client: CIClient, bucket: Path, fill_bucket: Fill, batch: Make
) -> None:
    """All records are deleted between two deferrals; the trigger's arguments still hold the total."""
    fill_bucket(*KEYS)
    resume = pause(client)
    made = batch(client, max_in_flight=5)
    assert made.advance(patience=0, deadline=time.time() + 60) is None
    parked = json.loads(json.dumps(made.parked))
    for path in records_of(bucket):
        path.unlink()
    for key in KEYS[5:]:
        (bucket / key).unlink()
    resume()
    with pytest.raises(LedgerLostError, match="2 objects are unknown"):
        batch(client).advance(patience=None, deadline=time.time() + 60, resume=parked)


def test_a_missing_part_of_the_results_is_noticed(
    reach: Callable[..., Callable[[], object]], client: CIClient, bucket: Path, batch: Make, live_jobs: Count
) -> None:
    """The batch is killed late, so that its results have several parts."""
    reach("killed", 7)
    for path in sorted((bucket / FOLDER).glob("*/results/*"))[:1]:
        path.unlink()
    check(client, bucket, run_until_it_ends(lambda: batch(client)), live_jobs(client))


# Records that arrive late, come from a newer version, or are damaged


def test_a_late_report_of_a_dead_run_is_refused(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    bucket: Path,
) -> None:
    """The report reaches the service only after the lease has expired."""
    fill_bucket(*KEYS[:2])
    local_ci.faults.add("slow", seconds=4, method="PUT", path=f"/{FOLDER}report.jsonl")
    summary = batch(client, lease_seconds=3).run()
    assert summary.succeeded == 2
    assert not local_ci.faults.pending()


@pytest.mark.parametrize("name", ["plan.json", "report.jsonl"])
def test_a_record_of_a_newer_version_is_refused(
    name: str, client: CIClient, bucket: Path, fill_bucket: Fill, batch: Make, live_jobs: Count
) -> None:
    fill_bucket(*KEYS)
    batch(client).run()
    path = bucket / FOLDER / name
    path.write_text(path.read_text().replace('"version": 2', '"version": 9', 1))
    with pytest.raises(ValueError, match=rf"{name}.* version 9"):
        batch(client).run()
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


@pytest.mark.parametrize("kind", ["registry", "heartbeat"])
def test_a_newer_registry_or_heartbeat_is_refused(
    kind: str, reach: Callable[..., Callable[[], object]], client: CIClient, bucket: Path, batch: Make
) -> None:
    reach("parked")
    pattern = {"registry": "_ci_batches.registry/0*.json", "heartbeat": f"{FOLDER}runs/*.json"}[kind]
    path = sorted(bucket.glob(pattern))[-1]
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 9}))
    with pytest.raises(RecordError, match=f"{path.name}.* version 9"):
        batch(client).run()
    assert len(list(client.list_doc_jobs())) == 5


@pytest.mark.parametrize(
    "name", ["runs/notes.txt", "runs/x.json", "0001/plan/x", "readme.txt", "{token}/submitted/x.jsonl"]
)
@pytest.mark.parametrize("phase", PHASES)
def test_foreign_files_in_the_folder_are_ignored(
    phase: str,
    name: str,
    reach: Callable[..., Callable[[], object]],
    client: CIClient,
    bucket: Path,
    batch: Make,
    live_jobs: Count,
) -> None:
    resume = reach(phase)
    token = json.loads((bucket / FOLDER / "plan.json").read_text().splitlines()[0])["token"]
    path = bucket / FOLDER / name.format(token=token)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("notes of a colleague")
    resume()
    check(client, bucket, run_until_it_ends(lambda: batch(client, lease_seconds=3)), live_jobs(client))


@pytest.mark.parametrize("name", ["00000099.txt", "notes.json", "sub/00000099.json"])
def test_foreign_files_in_the_registry_are_ignored(
    name: str, client: CIClient, bucket: Path, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(f"_ci_batches.registry/{name}", *KEYS)
    assert batch(client).run().succeeded == len(KEYS)
    assert batch(client).run().skipped == len(KEYS)


def test_a_damaged_record_is_named(
    reach: Callable[..., Callable[[], object]], client: CIClient, bucket: Path, batch: Make
) -> None:
    reach("parked")
    (bucket / FOLDER / "plan.json").write_text("not JSON")
    with pytest.raises(RecordError, match=r"plan\.json' is damaged"):
        batch(client).run()
    assert len(list(client.list_doc_jobs())) == 5


def test_a_long_report_comes_in_parts(
    client: CIClient,
    bucket: Path,
    fill_bucket: Fill,
    batch: Make,
    results: Results,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("airflow_provider_ci.batch.reports.writing.PART_BYTES", 500)
    fill_bucket(*KEYS)
    batch(client).run()
    assert len(list((bucket / FOLDER / "report").iterdir())) > 1
    report = results(client)
    assert report.keys() == set(KEYS)
    assert {found.state for found in report.values()} == {ObjectState.SUCCEEDED}


def test_a_run_does_not_read_the_records_of_earlier_plans(
    client: CIClient, local_ci: LocalCI, fill_bucket: Fill, batch: Make
) -> None:
    """The tenth run of a batch costs no more requests than the third."""
    fill_bucket(*KEYS)
    costs = []
    for _ in range(10):
        local_ci.reset_request_counts()
        batch(client, skip="never").run()
        counts = local_ci.request_counts()
        costs.append(sum(counts.get(f"GET cos {path}", 0) for path in ("/", "/{key}")))
    assert max(costs[3:]) <= max(costs[1:3]) + 3, costs


def test_an_old_folder_of_version_1_is_left_alone(
    client: CIClient, bucket: Path, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*KEYS, "_ci_batches/test/batch.json", "_ci_batches/test/0001/plan/000001.jsonl")
    assert batch(client).run().succeeded == len(KEYS)
    assert batch(client, ObjectSelection(), output="all/{key}.pdf", batch_id="all").run().total >= len(KEYS)
    assert not (bucket / "all/_ci_batches").exists()


def test_a_lost_checkpoint_of_a_short_run_is_no_clean_end(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, live_jobs: Count
) -> None:
    """A short run writes no blocks and no parts: only its checkpoint records the jobs that it submitted."""
    keys = [f"in/{number}.docx" for number in range(5)]
    fill_bucket(*keys)
    resume = pause(client)
    assert batch(client).advance(patience=0, deadline=time.time() + 60) is None
    (checkpoint,) = (bucket / FOLDER).glob("*/checkpoint.jsonl")
    checkpoint.unlink()
    resume()
    assert batch(client).run().succeeded == 5
    assert live_jobs(client) == dict.fromkeys(keys, 1)
