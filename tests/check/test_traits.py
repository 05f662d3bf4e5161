"""The check finds and names each trait of a real bucket; a bucket without traits fits all assumptions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.check import MAX_REQUESTS, Report, Verdict
from airflow_provider_ci.check.assumptions import ASSUMPTIONS
from airflow_provider_ci.local.convert import DocumentResult, InstantConverters, PictureResult

BUCKET = "examplebucket-1250000000"
Check = Callable[..., Report]


class UnhurriedConverters(InstantConverters):
    """Converters whose jobs last long enough that a client can read them once before they end."""

    def document(self, *arguments: Any) -> DocumentResult:
        time.sleep(0.5)
        return super().document(*arguments)

    def picture(self, *arguments: Any) -> PictureResult:
        time.sleep(0.5)
        return super().picture(*arguments)


def both(name: str) -> tuple[str, str]:
    return f"document {name}", f"picture {name}"


# For each trait: the options of the local CI, and what the check observes in each row that differs.
TRAITS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "clock offset": ({"clock_offset_seconds": 3600}, {"machine clock": "3600 s ahead"}),
    "strict signature": ({"strict_signature": True}, {"strict signature": "status 403"}),
    "queue id": (
        {"require_queue_id": True},
        dict.fromkeys(both("listing: without queueId"), "400 InvalidArgument"),
    ),
    "hidden jobs": (
        {"hide_jobs_seconds": 1},
        dict.fromkeys((*both("job: known at once"), *both("job: listed at once")), "after "),
    ),
    "forgotten jobs": (
        {"forget_jobs_seconds": 1.9},
        dict.fromkeys(both("job: kept"), "not known any more"),
    ),
    "jobs forgotten at once": (
        {"forget_jobs_seconds": 0, "convert": UnhurriedConverters()},  # the check sees a running job
        dict.fromkeys((*both("job: kept"), *both("job: success")), "not known any more"),
    ),
    "echo of the same meaning": (
        {"echoes": {"EndPage:-1": "5001"}},
        {"document job: parameters": "EndPage -1 became 5001"},
    ),
    "another echo": (
        {"echoes": {"TgtType:pdf": "png"}},
        {"document job: parameters": "TgtType pdf became png"},
    ),
    "UserData cut": ({"user_data_limit": 12}, dict.fromkeys(both("job: UserData"), "12 of 1,024")),
    "no UserData": ({"user_data_limit": 0}, dict.fromkeys(both("job: UserData"), "none of 1,024")),
    "empty pages": ({"empty_pages": 2}, dict.fromkeys(both("listing: pages"), "pages are empty")),
    "a token again": ({"endless_tokens": "same"}, dict.fromkeys(both("listing: pages"), "came before")),
    "new tokens for ever": (
        {"endless_tokens": "new"},
        dict.fromkeys(both("listing: pages"), "5 of 6 pages are empty"),
    ),
    "unreadable jobs of others": (
        {"foreign_jobs": True},
        dict.fromkeys(both("listing: jobs of others"), "State is 'Archived'"),
    ),
    "failing jobs": (
        {"fail_jobs": {"*.txt": "DamagedFile:cut off"}},
        {"document job: success": "DamagedFile: cut off"},
    ),
    "versioning": (
        {"versioned": [BUCKET]},
        {"overwriting": "was replaced", "versioning": "has a version id"},
    ),
    "late listings": ({"listing_delay_seconds": 1}, {"listing lag": "after "}),
    "small queues": (
        {"queue_size": 50, "queue_concurrency": 2},
        dict.fromkeys(both("queue limits"), "50 waiting, 2 running"),
    ),
}
ALSO = {
    "unreadable jobs of others": {*both("listing: order"), *both("listing: pages")},
}
"""For a trait that breaks more than one assumption: the further rows that differ."""


def seen(report: Report) -> dict[str, str]:
    return {row.name: row.seen for row in report.differences}


def assert_named(report: Report, expected: dict[str, str], also: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    found = seen(report)
    assert set(found) - also == set(expected)
    for name, words in expected.items():
        assert words in found[name]


def test_without_traits_everything_fits(check: Check) -> None:
    report = check()
    assert [row for row in report.rows if row.verdict is not Verdict.FITS] == []
    assert [row.name for row in report.rows] == [each.name for each in ASSUMPTIONS]
    assert (report.exit_code, report.problem, report.jobs) == (0, "", 2)
    assert report.requests < 100 < MAX_REQUESTS


@pytest.mark.parametrize("trait", TRAITS)
def test_each_trait_is_found_and_named(check: Check, trait: str) -> None:
    traits, expected = TRAITS[trait]
    report = check(**traits)
    assert_named(report, expected, ALSO.get(trait, set()))
    assert report.exit_code in (1, 2)
    assert report.requests <= MAX_REQUESTS


def test_three_traits_at_once(check: Check) -> None:
    report = check(clock_offset_seconds=-3600, empty_pages=1, user_data_limit=0)
    expected = {
        "machine clock": "3600 s behind",
        **TRAITS["empty pages"][1],
        **TRAITS["no UserData"][1],
    }
    assert_named(report, expected)
    assert report.exit_code == 1


@pytest.mark.parametrize(
    ("trait", "row", "words"),
    [
        ("versioning", "overwriting", "Matters for"),
        ("another echo", "document job: parameters", "Matters for"),
        ("echo of the same meaning", "document job: parameters", "Does not matter for"),
        ("strict signature", "strict signature", "Does not matter for"),
    ],
)
def test_the_advice_says_what_matters(check: Check, trait: str, row: str, words: str) -> None:
    report = check(**TRAITS[trait][0])
    advice = next(each.advice for each in report.rows if each.name == row)
    assert advice.startswith(f'{words} "exactly once". ')


def test_one_kind_of_jobs_can_be_left_out(check: Check) -> None:
    report = check({"skip": ["pictures"]})
    assert report.exit_code == 0
    assert report.jobs == 1
    assert not any("picture" in row.name for row in report.rows)


def test_every_assumption_has_its_own_name_and_advice() -> None:
    names = [each.name for each in ASSUMPTIONS]
    assert len(set(names)) == len(names)
    assert all(each.assumed and each.advice.endswith(".") for each in ASSUMPTIONS)
