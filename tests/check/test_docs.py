"""The manual explains every row and every exit code."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_ci.check import MAX_REQUESTS
from airflow_provider_ci.check.assumptions import ASSUMPTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "check.md").read_text()


def test_every_row_is_explained() -> None:
    explained = re.findall(r"^\| ([\w… :]+?) \|", PAGE, re.MULTILINE)
    names = {re.sub(r"^(document|picture) ", "… ", each.name) for each in ASSUMPTIONS}
    assert [name for name in names if name not in explained] == []


def test_the_cost_is_right() -> None:
    assert f"at most {MAX_REQUESTS} requests" in PAGE


def test_the_example_has_the_rows_of_today() -> None:
    shown = re.findall(r"^(?:fits|differs|not seen) +(.+?)  ", PAGE, re.MULTILINE)
    assert shown
    assert set(shown) <= {each.name for each in ASSUMPTIONS}
