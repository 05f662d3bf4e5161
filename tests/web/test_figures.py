"""Numbers of every size are easy to read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_ci.web import line_chart
from airflow_provider_ci.web.chart import nice_top
from airflow_provider_ci.web.figures import count, duration, iso, plural, rate, share, size, utc


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (count(1234567), "1,234,567"),
        (size(0), "0 bytes"),
        (size(1023), "1,023 bytes"),
        (size(1536), "1.5 KiB"),
        (size(300 * 1024**2), "300 MiB"),
        (size(5000 * 1024**5), "5,000 PiB"),
        (size(None), ""),
        (duration(0), "0 s"),
        (duration(0.4), "0.4 s"),
        (duration(200), "3 min 20 s"),
        (duration(7500), "2 h 5 min"),
        (duration(273_600), "3 d 4 h"),
        (duration(float("inf")), ""),
        (rate(0.05), "3.0/min"),
        (rate(12.5), "12.5/s"),
        (rate(1200), "1,200/s"),
        (share(1, 8), "12.5%"),
        (share(1, 1_000_000), "<0.1%"),
        (share(999_999, 1_000_000), ">99.9%"),
        (share(0, 0), "0%"),
        (plural(1, "object"), "1 object"),
        (plural(2, "batch", "batches"), "2 batches"),
    ],
)
def test_figures(shown: str, expected: str) -> None:
    assert shown == expected


def test_moments_are_in_utc() -> None:
    moment = datetime(2026, 11, 27, 3, 4, 5, tzinfo=timezone(timedelta(hours=8)))
    assert iso(moment) == "2026-11-26T19:04:05Z"
    assert utc(moment.timestamp()) == "2026-11-26 19:04:05 UTC"
    assert iso(None) == utc(None) == ""


def test_a_chart_stays_in_its_frame() -> None:
    made = line_chart([(100.0 + index, index * 7.0) for index in range(50)], count)
    assert made is not None
    numbers = [tuple(map(float, pair.split(","))) for pair in made.line[1:].split("L")]
    assert all(0 <= x <= made.width and 0 <= y <= made.height for x, y in numbers)
    assert [label for _, label in made.levels] == ["250", "500"]
    assert line_chart([(1.0, 1.0)], count) is None
    assert nice_top(0) == 1.0
