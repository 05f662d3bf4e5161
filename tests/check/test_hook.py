"""CIHook.check_bucket returns what the command prints, as data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.check import Report, Verdict
from airflow_provider_ci.hooks import CIHook, ConnectionConfigError
from airflow_provider_ci.local import LocalCI


def test_a_hook_checks_its_bucket(
    local_ci: LocalCI, connection: dict[str, Any], bucket: Path, tmp_path: Path
) -> None:
    local_ci.traits.set(user_data_limit=12)
    report = CIHook().check_bucket(skip=["pictures"], record=tmp_path / "record.json")
    assert isinstance(report, Report)
    (row,) = report.differences
    assert (row.name, row.verdict) == ("document job: UserData", Verdict.DIFFERS)
    assert json.loads(json.dumps(report.to_dict()))["rows"]
    assert json.loads((tmp_path / "record.json").read_text())["exchanges"]
    assert [path for path in bucket.rglob("*") if path.is_file()] == []


def test_an_unusable_connection_is_named(set_connection: Callable[..., None]) -> None:
    set_connection({"region": ""})
    with pytest.raises(ConnectionConfigError, match="region"):
        CIHook().check_bucket()
