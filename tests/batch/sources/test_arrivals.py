from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.batch.sources.arrivals import Arrival, Sighting
from airflow_provider_ci.client import CIClient, NotFoundError
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def arrival(prefix: str = "in/", **options: Any) -> Arrival:
    return Arrival(source=ObjectSelection(prefix=prefix), **options)


def sighting(objects: int = 1, *, idle_seconds: float = 0.0) -> Sighting:
    newest = NOON - timedelta(seconds=idle_seconds + 1)  # + 1: the service's times are whole seconds
    return Sighting(objects=objects, bytes=0, newest=newest if objects else None, seen_at=NOON)


def age(path: Path, seconds: float) -> None:
    written = path.stat().st_mtime - seconds
    os.utime(path, (written, written))


def test_objects_that_are_there_have_arrived(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "other/c.docx", content=b"four")
    seen = arrival().look(client)
    assert (seen.objects, seen.bytes) == (2, 8)
    assert arrival().missing(seen) == ""
    assert seen.newest is not None
    assert seen.to_json() == {"objects": 2, "bytes": 8, "newest": seen.newest.isoformat()}


def test_nothing_has_not_arrived(client: CIClient) -> None:
    seen = arrival().look(client)
    assert arrival().missing(seen) == "0 of at least 1 objects under 'in/'"
    assert seen.to_json() == {"objects": 0, "bytes": 0, "newest": None}


def test_it_counts_what_the_selection_takes(client: CIClient, fill_bucket: Fill, bucket: Path) -> None:
    fill_bucket("in/old.docx", "in/new.docx", "in/new.txt")
    age(bucket / "in/old.docx", 3600)
    since = datetime.now(timezone.utc) - timedelta(minutes=30)
    source = ObjectSelection(prefix="in/", suffixes=[".docx"], modified_after=since)
    wanted = Arrival(source=source, min_objects=2)
    assert wanted.missing(wanted.look(client)) == "1 of at least 2 objects under 'in/'"


def test_the_newest_object_decides_whether_all_have_settled(
    client: CIClient, fill_bucket: Fill, bucket: Path
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    wanted = arrival(settled_seconds=3600)
    age(bucket / "in/a.docx", 7200)
    assert "not yet 3600 s" in wanted.missing(wanted.look(client))
    age(bucket / "in/b.docx", 5400)
    seen = wanted.look(client)
    assert wanted.missing(seen) == ""
    assert 5390 < seen.idle.total_seconds() < 7000


def test_an_object_that_is_written_again_starts_the_time_anew(
    client: CIClient, fill_bucket: Fill, bucket: Path
) -> None:
    fill_bucket("in/a.docx")
    age(bucket / "in/a.docx", 7200)
    wanted = arrival(settled_seconds=3600)
    assert wanted.missing(wanted.look(client)) == ""
    fill_bucket("in/a.docx", content=b"another")
    assert "not yet" in wanted.missing(wanted.look(client))


@pytest.mark.parametrize(("idle_seconds", "left"), [(0, 30.0), (29, 1.0), (30, 0.0), (9000, 0.0), (-5, 30.0)])
def test_the_time_left_is_reckoned_from_the_services_clock(idle_seconds: float, left: float) -> None:
    """An object that was written after ``seen_at``, the time of the response, simply has not settled yet."""
    seen = sighting(idle_seconds=idle_seconds)
    assert arrival(settled_seconds=30).settle_seconds_left(seen) == left
    assert (arrival(settled_seconds=30).missing(seen) == "") is (left == 0)


def test_the_next_look_comes_sooner_where_objects_only_have_to_settle() -> None:
    wanted = arrival(min_objects=2, settled_seconds=30)
    assert wanted.wait_seconds(sighting(2, idle_seconds=20), 600) == 10
    assert wanted.wait_seconds(sighting(2, idle_seconds=20), 5) == 5
    assert wanted.wait_seconds(sighting(2, idle_seconds=29.9), 600) == 1
    assert wanted.wait_seconds(sighting(1, idle_seconds=20), 600) == 600
    assert wanted.wait_seconds(None, 600) == 600


def test_a_wrong_clock_of_this_machine_changes_nothing(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    """The service's clock is half an hour ahead of the machine's, which makes the object look settled."""
    fill_bucket("in/a.docx")
    local_ci.faults.add("clock", seconds=1800, count=99)
    wanted = arrival(settled_seconds=1500)
    assert wanted.missing(wanted.look(client)) == ""


def test_many_objects_without_settling_need_not_wait() -> None:
    assert arrival(min_objects=3).missing(sighting(3)) == ""
    assert arrival(min_objects=3).missing(sighting(2, idle_seconds=9000)) != ""


@pytest.mark.parametrize(
    ("options", "words"),
    [({"min_objects": 0}, "min_objects must be 1"), ({"settled_seconds": -1}, "settled_seconds must be 0")],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        arrival(**options)


def test_it_survives_json() -> None:
    source = ObjectSelection(
        prefix="in/", suffixes=(".docx",), modified_after=NOON, modified_before="2026-11-22", max_size=9
    )
    before = Arrival(source=source, min_objects=3, settled_seconds=1.5)
    after = Arrival.from_json(json.loads(json.dumps(before.to_json())))
    assert after.source.modified_after == NOON.isoformat()
    assert after.to_json() == before.to_json()


def test_a_service_that_is_away_is_not_an_answer(client: CIClient, local_ci: LocalCI) -> None:
    local_ci.faults.add("error", status=503, code="ServiceUnavailable", count=1, retry_after=10_000)
    assert arrival().look_patiently(client) is None
    assert arrival().look_patiently(client) is not None


def test_a_bucket_that_is_not_there_is_an_error(client: CIClient, bucket: Path) -> None:
    bucket.rmdir()
    with pytest.raises(NotFoundError):
        arrival().look_patiently(client)
