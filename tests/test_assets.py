from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import pytest
from airflow.models.asset import AssetDagRunQueue, AssetEvent
from airflow.sdk import Asset
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_ci import get_provider_info
from airflow_provider_ci.assets import (
    convert_asset_to_openlineage,
    cos_uri,
    create_asset,
    lineage_name,
    output_uri,
    sanitize_uri,
)

RunDag = Callable[..., Any]
Fill = Callable[..., None]

BUCKET = "examplebucket-1250000000"
ROOT = f"cos://{BUCKET}"


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        (f"{ROOT}/inbox/a.docx", f"{ROOT}/inbox/a.docx"),
        (f"{ROOT}/inbox/", f"{ROOT}/inbox"),
        (ROOT, f"{ROOT}/"),
        (f"COS://{BUCKET}/a", f"{ROOT}/a"),
        (f"cos://conn@{BUCKET}/a", f"{ROOT}/a"),
        (f"{ROOT}/合同/a b+c.docx", f"{ROOT}/%E5%90%88%E5%90%8C/a%20b%2Bc.docx"),
        (f"{ROOT}/%E5%90%88%E5%90%8C/a%20b%2bc.docx", f"{ROOT}/%E5%90%88%E5%90%8C/a%20b%2Bc.docx"),
        (f"{ROOT}/a//b", f"{ROOT}/a//b"),
    ],
)
def test_airflow_gives_every_key_one_uri(written: str, uri: str) -> None:
    """Airflow finds the handler through the provider's entry point."""
    assert Asset(name="any", uri=written).uri == uri
    assert Asset(name="any", uri=uri).uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "cos:///inbox/a.docx",
        "cos://inbox/a.docx",
        f"cos://{BUCKET}:80/a",
        f"cos://{BUCKET.upper()}/a",
        f"{ROOT}/a?versionId=1",
        f"{ROOT}/%FF",
    ],
)
def test_what_names_no_object_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"cos://<BucketName-APPID>|%3F|invalid"):
        Asset(uri)


def test_airflow_is_told_who_knows_of_such_assets() -> None:
    (told,) = get_provider_info()["asset-uris"]
    assert told.pop("schemes") == ["cos"]
    assert {name: resolve_name(path) for name, path in told.items()} == {
        "handler": sanitize_uri,
        "factory": create_asset,
        "to_openlineage_converter": convert_asset_to_openlineage,
    }


@pytest.mark.parametrize("key", ["a.docx", "inbox/合同 草案.docx", "50%+tax?#.docx", "a//b~c"])
def test_a_key_goes_into_its_uri_and_out_again(key: str) -> None:
    asset = create_asset(bucket=BUCKET, key=key, extra={"owner": "archive"})
    assert asset.uri == cos_uri(BUCKET, key) == asset.name
    assert asset.extra == {"owner": "archive"}
    assert lineage_name(asset.uri) == (ROOT, key)


def test_the_bucket_itself_is_an_asset_too() -> None:
    assert create_asset(bucket=BUCKET).uri == f"{ROOT}/"
    assert lineage_name(f"{ROOT}/") == (ROOT, "/")


@pytest.mark.parametrize(
    ("output", "key"),
    [
        ("pdf/{dir}{stem}.pdf", "/pdf"),
        ("pdf/x-{stem}.pdf", "/pdf"),
        ("pages/${Number}.png", "/pages"),
        ("{stem}.pdf", "/"),
        ("pdf/a.pdf", "/pdf/a.pdf"),
    ],
)
def test_the_asset_of_an_output_is_its_folder(output: str, key: str) -> None:
    assert output_uri(BUCKET, output) == ROOT + key == Asset(output_uri(BUCKET, output)).uri


DAG_TEXT = """
from airflow.sdk import DAG, Asset, AssetAlias
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIDocProcessOperator

with DAG(DAG_ID, schedule=None) as dag:
    CIDocProcessOperator(task_id="convert", input_key="a.docx", output_key="%s", poll_interval=0.1,
        operation=DocProcess(target="pdf"), outlets=[%s], deferrable=%s)
"""


def events_of(result: Any) -> list[tuple[str, dict[str, Any], list[str]]]:
    """URI, extra and aliases of each asset event of a run."""
    with create_session() as session:
        found = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == result.run.run_id))
        return [(event.asset.uri, event.extra, [a.name for a in event.source_aliases]) for event in found]


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_event_of_an_outlet_says_what_was_written(
    run_dag: RunDag, fill_bucket: Fill, deferrable: bool
) -> None:
    fill_bucket("a.docx")
    outlets = f'Asset("{ROOT}/out-{deferrable}"), Asset("s3://elsewhere/x")'
    result = run_dag(DAG_TEXT % ("out/a.pdf", outlets, deferrable))
    assert result.state == "success"
    extras = {uri: extra for uri, extra, _ in events_of(result)}
    assert extras.keys() == {f"{ROOT}/out-{deferrable}", "s3://elsewhere/x"}
    assert extras[f"{ROOT}/out-{deferrable}"] == {"objects": 1, **result.results["convert"]}
    assert "objects" not in extras["s3://elsewhere/x"]


def test_an_alias_becomes_the_asset_that_was_written(run_dag: RunDag, fill_bucket: Fill) -> None:
    fill_bucket("a.docx")
    result = run_dag(DAG_TEXT % ("by-alias/${Number}.pdf", 'AssetAlias("converted")', False))
    ((uri, extra, aliases),) = events_of(result)
    assert (uri, aliases) == (f"{ROOT}/by-alias", ["converted"])
    assert (extra["objects"], extra["pages"]) == (1, 1)


def test_a_task_that_fails_announces_nothing(run_dag: RunDag, fill_bucket: Fill) -> None:
    fill_bucket("a.docx", content=b"")
    result = run_dag(DAG_TEXT % ("out/a.pdf", f'Asset("{ROOT}/never"), AssetAlias("never")', False))
    assert result.state == "failed"
    assert events_of(result) == []


def test_a_dag_that_is_scheduled_on_the_asset_is_due(run_dag: RunDag, fill_bucket: Fill) -> None:
    fill_bucket("a.docx")
    consumer = f"""
with DAG("after_" + DAG_ID, schedule=[Asset("{ROOT}/due/")], is_paused_upon_creation=False):
    pass
"""
    result = run_dag(DAG_TEXT % ("due/a.pdf", f'Asset("{ROOT}/due/")', False) + consumer)
    with create_session() as session:
        due = session.scalars(select(AssetDagRunQueue.target_dag_id)).all()
    assert f"after_{result.run.dag_id}" in due
