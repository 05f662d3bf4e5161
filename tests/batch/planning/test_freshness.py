""":class:`ExistingOutputs` finds the outputs that exist, with few requests."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ci.batch.planning.outputs.existing import ExistingOutputs
from airflow_provider_ci.client import CIClient, CIServiceError, Credentials, ObjectPage
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]

KEYS = st.lists(
    st.text(st.sampled_from("-/0Aaé表\ue000\uffee\U00010000\U0001f600"), min_size=1, max_size=4).filter(
        lambda text: "//" not in f"/{text}/"
    ),
    unique=True,
    max_size=30,
)
"""Keys that include characters which UTF-16 and UTF-8 sort differently."""


@pytest.fixture
def requests(local_ci: LocalCI) -> Callable[[], dict[str, int]]:
    """Returns the number of GET and HEAD requests so far, by method."""
    many = 1_000_000
    for method in ("GET", "HEAD"):
        local_ci.faults.add("slow", seconds=0, method=method, count=many)

    def count() -> dict[str, int]:
        return {str(left["method"]): many - int(str(left["count"])) for left in local_ci.faults.pending()}

    return count


@pytest.fixture
def outputs(client: CIClient) -> ExistingOutputs:
    return ExistingOutputs(client, "out/", threads=8)


def numbered(numbers: Any) -> list[str]:
    return [f"out/{number:06}.pdf" for number in numbers]


def test_neighbours_are_found_with_one_request(
    outputs: ExistingOutputs, fill_bucket: Fill, requests: Callable[[], dict[str, int]]
) -> None:
    there = numbered(range(0, 600, 2))
    fill_bucket(*there)
    assert list(outputs.last_modified(numbered(range(600)))) == there
    assert requests() == {"GET": 1, "HEAD": 0}


def test_the_rest_of_a_page_serves_the_keys_that_are_asked_for_next(
    outputs: ExistingOutputs, fill_bucket: Fill, requests: Callable[[], dict[str, int]]
) -> None:
    keys = numbered(range(2500))
    fill_bucket(*keys)
    found = [outputs.last_modified(keys[start : start + 300]) for start in range(0, 2500, 300)]
    assert list(itertools.chain(*found)) == keys
    assert requests() == {"GET": 3, "HEAD": 0}


def test_where_nothing_is_there_yet_one_request_tells(
    outputs: ExistingOutputs, requests: Callable[[], dict[str, int]]
) -> None:
    keys = numbered(range(5000))
    assert [outputs.last_modified(keys[start : start + 1000]) for start in range(0, 5000, 1000)] == [{}] * 5
    assert requests() == {"GET": 1, "HEAD": 0}


def test_a_few_among_many_are_asked_for_one_by_one(
    outputs: ExistingOutputs, fill_bucket: Fill, requests: Callable[[], dict[str, int]]
) -> None:
    fill_bucket(*numbered(range(6000)))
    keys = [*numbered(range(1, 6000, 700)), "out/100000.pdf"]
    assert list(outputs.last_modified(keys)) == keys[:-1]
    assert requests() == {"GET": 1, "HEAD": len(keys) - 2}


def test_a_single_one_is_asked_for(
    outputs: ExistingOutputs, fill_bucket: Fill, requests: Callable[[], dict[str, int]]
) -> None:
    fill_bucket("out/a.pdf")
    assert list(outputs.last_modified(["out/a.pdf"])) == ["out/a.pdf"]
    assert requests() == {"GET": 0, "HEAD": 1}


@pytest.mark.parametrize(("every", "pages"), [(100, 3), (40, 3), (300, 1)])
def test_pages_are_read_only_as_long_as_they_save_time(
    every: int,
    pages: int,
    outputs: ExistingOutputs,
    fill_bucket: Fill,
    requests: Callable[[], dict[str, int]],
) -> None:
    """At most one page is read for every twenty keys."""
    fill_bucket(*numbered(range(6000)))
    keys = numbered(range(0, 6000, every))[:75]
    assert list(outputs.last_modified(keys)) == keys
    made = requests()
    assert made["GET"] == pages
    assert made["HEAD"] <= len(keys) - pages * (1000 // every)


def test_an_error_is_no_absence_and_leaves_no_thread_behind(
    outputs: ExistingOutputs, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket(*numbered(range(3000)))
    local_ci.faults.add("slow", seconds=0, method="HEAD", count=2)
    local_ci.faults.add("error", code="AccessDenied", method="HEAD")
    with pytest.raises(CIServiceError, match="403"):
        outputs.last_modified(numbered(range(0, 3000, 200)))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ci-outputs")]


class SmallPages(CIClient):
    """A client whose listings have three objects a page."""

    def list_objects_page(self, *arguments: Any, **options: Any) -> ObjectPage:
        return super().list_objects_page(*arguments, **{**options, "page_size": 3})


@pytest.fixture
def small_pages(local_ci: LocalCI, client: CIClient) -> Iterator[CIClient]:
    credentials = Credentials(secret_id=local_ci.secret_id, secret_key=local_ci.secret_key)
    with SmallPages(credentials, client.region, client.bucket, endpoint=local_ci.endpoint) as small:
        yield small


@given(there=KEYS, others=KEYS, chunk=st.integers(1, 60))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_keys_are_called_those_that_are_there_are_found(
    there: list[str], others: list[str], chunk: int, small_pages: CIClient, folders: Iterator[int]
) -> None:
    prefix = f"out/{next(folders)}/"
    names = [f"{prefix}{text}.p" for text in there]
    for key in names:
        small_pages.put_object(key, b"x")
    keys = sorted({*names, *(f"{prefix}{text}.p" for text in others)})
    outputs = ExistingOutputs(small_pages, prefix, threads=4)
    found = [outputs.last_modified(keys[start : start + chunk]) for start in range(0, len(keys), chunk)]
    assert set(itertools.chain(*found)) == set(names)


@pytest.fixture
def folders() -> Iterator[int]:
    """Numbers from 0 on: each example puts its outputs into a folder of its own."""
    return itertools.count()
