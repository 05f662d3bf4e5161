"""``make e2e-celery``: a Celery cluster whose workers and triggerer die while it converts 2,000 documents.

Then the cluster converts the same number, or the number in ``OBJECTS=``, in eight shards; the new workers
die, too.

The exit code is 1 if the service's job table shows an object without a successful job, an object with two, or
a job that was cancelled although no user had asked for it. The time that a user's kill takes is only printed,
because it depends on the load of the machine.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter

from e2e import services
from e2e.cluster import GRACE_SECONDS, Cluster, running
from e2e.diary import Diary
from e2e.shards import run_shards
from tests.cluster.cluster import Task, heartbeats, wait_until
from tests.cluster.gate import Gate

OBJECTS = 2000
TASKS = 10
WINDOW = 500
"""Maximum number of jobs in flight for the batch."""
WAITING = 300
"""Number of jobs that a user's kill must cancel."""


def main(python: str, in_shards: int = OBJECTS) -> int:
    """Set up the cluster, disturb it, and judge the result.

    :param in_shards: number of objects that are converted in shards.
    """
    services.install()
    os.environ["E2E_OBJECTS"] = str(in_shards)  # for the DAG
    diary, gate = Diary(), Gate()
    with running(python, gate, synthetic=in_shards) as cluster:
        diary.note("PostgreSQL, Redis, scheduler, DAG processor, API server and triggerer run")
        batch, singles = disturb(cluster, diary)
        wait_for_end(batch, singles, cluster, diary)
        lost, doubled, cancelled = judge(cluster)
        for way in ("deferred", "in_place"):
            end_by_user(cluster, way, diary)
        more_lost, more_doubled = run_shards(cluster, in_shards, ("worker 3", "worker 4"), diary)
    lost, doubled = lost + more_lost, doubled + more_doubled
    print(f"e2e-celery: {lost} lost, {doubled} doubled, {cancelled} cancelled by mistake")
    return int(bool(lost or doubled or cancelled))


def disturb(cluster: Cluster, diary: Diary) -> tuple[Task, list[Task]]:
    """Start all tasks; kill a worker, evict the other, restart the triggerer while no job ends."""
    airflow, workers = cluster.airflow, ("worker 1", "worker 2")
    with cluster.gate.closed():
        for name in workers:
            cluster.start_worker(name)
        cluster.put("single", TASKS)
        cluster.put("large", OBJECTS)
        first = airflow.run("single", "task_0")
        singles = [Task(airflow, "single", first.run_id, f"task_{number}") for number in range(TASKS)]
        wait_until(lambda: len(cluster.jobs_of("single")) == TASKS, "the single jobs are submitted")
        cluster.server.faults.add("slow", seconds=4, method="POST", path="/doc_jobs", count=OBJECTS)
        batch = airflow.run("large")
        # If a run dies before its first heartbeat, others wait longer for it; the shards cover that case.
        wait_until(lambda: heartbeats(cluster.bucket, "large"), "the batch submits, and gives a sign of life")
        busy = cluster.worker_of(batch.pid, workers)
        airflow.send(busy, signal.SIGKILL)
        diary.note(f"{busy} is killed after {len(cluster.jobs_of('large'))} submissions of {OBJECTS:,}")
        cluster.server.faults.clear()
        (other,) = set(workers) - {busy}
        cluster.evict(other)
        diary.note(f"{other} is evicted: SIGTERM, {GRACE_SECONDS:.0f} s later SIGKILL")
        for name in ("worker 3", "worker 4"):
            cluster.start_worker(name)
        wait_until(lambda: batch.trigger_says(f"{WINDOW} to go"), "the batch has filled its window")
        diary.note("on new workers the batch has filled its window and waits in the triggerer")
        triggers = len(batch.trigger_logs())
        airflow.send("triggerer", signal.SIGKILL)
        airflow.start("triggerer", name="next triggerer")
        batch.wait_for_trigger(triggers + 1)
        diary.note("the triggerer is killed, and another one waits")
    return batch, singles


def wait_for_end(batch: Task, singles: list[Task], cluster: Cluster, diary: Diary) -> None:
    """Wait until all tasks have succeeded.

    :raises RuntimeError: a task has not succeeded.
    """
    for task in (batch, *singles):
        if task.end() != "success":
            raise RuntimeError(f"{task.task_id} of {task.dag_id} has failed")
    tries = Counter(task.try_number for task in singles)
    diary.note(f"the batch has ended, at its try {batch.try_number}; tries of single tasks: {dict(tries)}")


def judge(cluster: Cluster) -> tuple[int, int, int]:
    """Print the job table's counts per kind of task; return the numbers of lost, doubled and cancelled."""
    print(f"\n{'':14}{'objects':>9}{'jobs':>7}{'lost':>7}{'doubled':>9}{'cancelled':>11}")
    totals = Counter[str]()
    for folder, objects in (("large", OBJECTS), ("single", TASKS)):
        jobs = cluster.jobs_of(folder)
        good = Counter(job.input_key for job in jobs if job.state == "Success")
        found = {
            "lost": objects - len(good),
            "doubled": sum(number > 1 for number in good.values()),
            "cancelled": cluster.states_of(folder)["Cancel"],
        }
        totals.update(found)
        print(f"{folder:14}{objects:9,}{len(jobs):7,}" + "{lost:7}{doubled:9}{cancelled:11}".format(**found))
    print()
    return totals["lost"], totals["doubled"], totals["cancelled"]


def end_by_user(cluster: Cluster, way: str, diary: Diary) -> None:
    """Mark a batch as failed, and wait until the last of its waiting jobs is cancelled."""
    dag_id = f"ended_{way}"
    cluster.put(dag_id, WAITING + 1)  # one of the jobs runs
    with cluster.gate.closed():
        task = cluster.airflow.run(dag_id)
        wait_until(lambda: cluster.states_of(dag_id)["Submitted"] == WAITING, "the jobs wait")
        if way == "deferred":
            task.wait_for_trigger()
        began = time.monotonic()
        task.mark_failed()
        wait_until(lambda: cluster.states_of(dag_id)["Cancel"] == WAITING, "the jobs are cancelled")
        took = time.monotonic() - began
    diary.note(f"a user ends a batch ({way.replace('_', ' ')}): {WAITING} jobs cancelled in {took:.1f} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
