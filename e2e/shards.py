"""Converts a source in eight shards; one worker is killed, one evicted, and the triggerer restarts."""

from __future__ import annotations

import signal
from collections import Counter

from e2e.cluster import Cluster
from e2e.diary import Diary
from tests.cluster.cluster import Task, wait_until

SHARDS = 8
FOLDER = "synthetic"
"""Folder of the objects that the local CI generates."""
_SECONDS_PER_OBJECT = 0.05
"""Maximum time per object, in seconds; many times longer than needed."""


def run_shards(cluster: Cluster, objects: int, workers: tuple[str, str], diary: Diary) -> tuple[int, int]:
    """Convert all objects in shards while workers and triggerer die; return lost and doubled objects.

    :param workers: two running workers.
    :raises RuntimeError: the report differs from the service's table of jobs.
    """
    airflow, seconds = cluster.airflow, 200 + objects * _SECONDS_PER_OBJECT
    report = airflow.run("shards", "report")
    wait_until(lambda: len(plans(cluster)) >= SHARDS // 4, "shards are planned", seconds)
    first, second = workers
    airflow.send(first, signal.SIGKILL)
    diary.note(f"{first} is killed when {len(plans(cluster))} of {SHARDS} shards are planned")
    cluster.evict(second)
    diary.note(f"{second} is evicted with {len(plans(cluster))} shards planned")
    for name in ("worker 5", "worker 6"):
        cluster.start_worker(name)
    wait_until(lambda: len(plans(cluster)) == SHARDS, "all shards are planned", seconds)
    airflow.send("next triggerer", signal.SIGKILL)
    airflow.start("triggerer", name="third triggerer")
    diary.note("on new workers all shards are planned; the triggerer is killed, and another one started")
    wait_until(lambda: report.state in ("success", "failed"), "the report is made", seconds)
    diary.note(f"the report is made: {report.state}")
    return judge(cluster, objects, report)


def plans(cluster: Cluster) -> list[str]:
    """The batches that have a plan."""
    return [str(path) for path in cluster.bucket.glob("_ci_batches/shards/**/plan.json")]


def judge(cluster: Cluster, objects: int, report: Task) -> tuple[int, int]:
    """Compare the table of jobs with the objects, and the report with both of them."""
    jobs = cluster.jobs_of(FOLDER)
    good = Counter(job.input_key for job in jobs if job.state == "Success")
    lost, doubled = objects - len(good), sum(number > 1 for number in good.values())
    print(f"{'shards':14}{objects:9,}{len(jobs):9,}{lost:7}{doubled:9}", flush=True)
    said = report.result
    # If the worker died right after the report of a shard, the shard is planned again and all is up to date.
    done = said["succeeded"] + said["skipped"]
    if (report.state, said["total"], done, said["shards"]) != ("success", objects, objects, SHARDS):
        raise RuntimeError(f"the report of the shards says {said}, state {report.state}")
    return lost, doubled
