from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES, ObjectKeys, ObjectSelection
from airflow_provider_ci.batch.sources.selection import as_source
from airflow_provider_ci.batch.sources.source import UnusableKey
from airflow_provider_ci.client import CIClient


def keys(selection: ObjectSelection, client: CIClient) -> list[str]:
    return [found.key for found in selection.objects(client)]


def test_prefix_and_suffix(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("in/a.docx", "in/B.DOCX", "in/c.exe", "other/d.docx")
    assert keys(ObjectSelection(prefix="in/", suffixes=DOCUMENT_SUFFIXES), client) == [
        "in/B.DOCX",
        "in/a.docx",
    ]


def test_folder_placeholders_are_never_taken(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    client.put_object("in/folder/", b"")
    fill_bucket("in/a.txt")
    assert keys(ObjectSelection(prefix="in/"), client) == ["in/a.txt"]


def test_sizes_are_inclusive(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    for size in (0, 1, 2, 3):
        fill_bucket(f"in/{size}", content=b"x" * size)
    assert keys(ObjectSelection(prefix="in/", min_size=1, max_size=2), client) == ["in/1", "in/2"]
    assert keys(ObjectSelection(prefix="in/"), client) == ["in/0", "in/1", "in/2", "in/3"]


def test_the_window_is_half_open(client: CIClient, fill_bucket: Callable[..., None], bucket: Path) -> None:
    for day in (1, 2, 3):
        fill_bucket(f"in/{day}")
        moment = datetime(2026, 5, day, tzinfo=timezone.utc).timestamp()
        os.utime(bucket / f"in/{day}", (moment, moment))
    window = ObjectSelection(
        prefix="in/",
        modified_after="2026-05-01T00:00:00+00:00",
        modified_before=datetime(2026, 5, 3, tzinfo=timezone.utc),
    )
    assert keys(window, client) == ["in/1", "in/2"]


def test_a_listing_of_several_pages_is_complete(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    names = [f"in/{number:04}.txt" for number in range(1100)]
    fill_bucket(*names)
    assert keys(ObjectSelection(prefix="in/"), client) == names


def test_named_objects_keep_their_order_with_missing_ones(
    client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("b", "a")
    found = list(ObjectKeys(keys=["b", "missing", "a"]).objects(client))
    assert [one.key for one in found] == ["b", "missing", "a"]
    assert found[1] == UnusableKey(
        key="missing", code="NoSuchKey", message="the bucket has no object 'missing'"
    )


def test_a_string_is_not_taken_for_a_list_of_keys() -> None:
    with pytest.raises(ValueError, match="not the string 'in/'"):
        as_source("in/")
    with pytest.raises(ValueError, match=r"not the string '\.docx'"):
        ObjectSelection(suffixes=".docx")


def test_sizes_that_exclude_everything_are_refused() -> None:
    with pytest.raises(ValueError, match="min_size"):
        ObjectSelection(min_size=5, max_size=4)


def test_a_string_is_not_taken_for_keys() -> None:
    with pytest.raises(ValueError, match="not the string 'in/a'"):
        ObjectKeys(keys="in/a")


def test_keys_that_are_named_twice_are_taken_once(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("a", "b")
    assert [found.key for found in ObjectKeys(keys=["b", "a", "b"]).objects(client)] == ["b", "a"]


@pytest.mark.parametrize("bound", ["", "None", "yesterday"])
def test_a_window_that_is_no_time_does_not_take_the_whole_bucket(client: CIClient, bound: str) -> None:
    """In a DAG run without a data interval, the template of a bound renders to an empty string."""
    with pytest.raises(ValueError, match=f"ObjectSelection.modified_after is '{bound}'"):
        keys(ObjectSelection(modified_after=bound), client)
    with pytest.raises(ValueError, match=f"ObjectSelection.modified_before is '{bound}'"):
        keys(ObjectSelection(modified_before=bound), client)


def test_a_missing_prefix_does_not_take_the_whole_bucket(client: CIClient) -> None:
    nothing: Any = None
    with pytest.raises(ValueError, match=r"ObjectSelection\.prefix is None"):
        keys(ObjectSelection(prefix=nothing), client)
