"""300 objects in one CIBatchOperator, compared with one mapped task per object that uses the official SDK.

A real Airflow runs both DAGs with the same LocalExecutor on SQLite, against a local CI that converts
instantly. The time of a DAG run is the difference between the start and the end that Airflow records.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from airflow_provider_ci.local import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY
from benchmarks.service import BUCKET, REGION, serving
from benchmarks.standalone import connection, running

OBJECTS = 300
PARALLELISM = 8
TIMEOUT_SECONDS = 900

DAGS = """
import time

from airflow.sdk import DAG, task
from qcloud_cos import CosConfig, CosS3Client

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator

HOST, PORT, BUCKET, REGION = {host!r}, {port!r}, {bucket!r}, {region!r}
KEYS = {keys!r}

with DAG("warm_up", schedule=None):

    @task
    def nothing():
        pass

    nothing()

with DAG("batch", schedule=None):
    CIBatchOperator(
        task_id="to_pdf",
        source=ObjectSelection(prefix="synthetic/"),
        operation=DocProcess(target="pdf"),
        output="batch/{{stem}}.pdf",
    )

with DAG("mapped", schedule=None):

    @task
    def to_pdf(key):
        config = CosConfig(
            Region=REGION, SecretId={secret_id!r}, SecretKey={secret_key!r}, Scheme="http",
            IP=HOST, Port=PORT, Domain=f"{{BUCKET}}.ci.{{REGION}}.myqcloud.com",
        )
        client = CosS3Client(config)
        stem = key.rpartition("/")[2].partition(".")[0]
        made = client.ci_create_doc_job(
            Bucket=BUCKET, InputObject=key, OutputBucket=BUCKET, OutputRegion=REGION,
            OutputObject=f"mapped/{{stem}}.pdf", TgtType="pdf",
        )
        job_id, state = made["JobsDetail"]["JobId"], ""
        while state != "Success":
            if state in ("Failed", "Cancel"):
                raise RuntimeError(f"job {{job_id}} ended as {{state}}")
            time.sleep(1)
            state = client.ci_get_doc_job(Bucket=BUCKET, JobID=job_id)["JobsDetail"][0]["State"]

    to_pdf.expand(key=KEYS)
"""


def main(objects: int = OBJECTS, parallelism: int = PARALLELISM) -> None:
    """Run both DAGs and print the ratio of their times."""
    with tempfile.TemporaryDirectory(prefix="bench-airflow-") as folder:
        buckets = Path(folder) / "buckets"
        with serving(buckets, "--convert", "instant", "--synthetic", f"{BUCKET}={objects}") as endpoint:
            ours, peer = seconds(Path(folder) / "airflow", endpoint, objects, parallelism)
        for outputs in ("batch", "mapped"):
            count = len(list((buckets / BUCKET / outputs).iterdir()))
            assert count == objects, f"{outputs}: {count} outputs of {objects} objects"
    print(
        f"bench airflow {objects} objects: ours {ours:.1f} seconds, peer {peer:.1f} seconds, "
        f"ratio {peer / ours:.1f} (ours: one CIBatchOperator; peer: a mapped task each, the SDK and a look a "
        f"second; LocalExecutor with {parallelism} places)",
        flush=True,
    )


def seconds(home: Path, endpoint: str, objects: int, parallelism: int) -> tuple[float, float]:
    """Seconds per DAG run, after a first run that warms Airflow up."""
    settings = {
        "AIRFLOW__CORE__PARALLELISM": str(parallelism),
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(parallelism),
        "AIRFLOW__CORE__MAX_MAP_LENGTH": str(max(objects, 1024)),
        "AIRFLOW_CONN_TENCENT_CI_DEFAULT": connection(
            endpoint, DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY, region=REGION, bucket=BUCKET
        ),
    }
    with running(home, dags(endpoint, objects), 3, **settings) as airflow:
        airflow.seconds_of_run("warm_up", timeout=TIMEOUT_SECONDS)
        ours = airflow.seconds_of_run("batch", timeout=TIMEOUT_SECONDS)
        return ours, airflow.seconds_of_run("mapped", timeout=TIMEOUT_SECONDS)


def dags(endpoint: str, objects: int) -> str:
    """The text of the DAG file, for a given number of synthetic objects of the local CI."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    return DAGS.format(
        host=host,
        port=int(port),
        bucket=BUCKET,
        region=REGION,
        keys=[f"synthetic/2020/01/01/doc-{number:07}.txt" for number in range(1, objects + 1)],
        secret_id=DEFAULT_SECRET_ID,
        secret_key=DEFAULT_SECRET_KEY,
    )


if __name__ == "__main__":
    main()
