"""In buckets with versioning, a PUT replaces an existing object even if it forbids overwriting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
FORBID = {"x-cos-forbid-overwrite": "true"}


@pytest.fixture
def server(serve: Callable[..., LocalCI]) -> LocalCI:
    """A local CI whose bucket has versioning."""
    return serve(versioned=[BUCKET])


def test_forbidding_to_overwrite_has_no_effect(call: Any) -> None:
    assert call.put("a.txt", b"first", **FORBID).status == 200
    assert call.put("a.txt", b"second", **FORBID).status == 200
    assert call.get("a.txt").body == b"second"
    assert call("GET", "cos", "/").texts("Contents/Key") == ["a.txt"]


def test_every_put_names_another_version(call: Any) -> None:
    versions = {call.put("a.txt", b"same").headers["x-cos-version-id"] for _ in range(5)}
    assert len(versions) == 5
    assert all(version.isalnum() for version in versions)


def test_versions_cannot_be_asked_for_and_deleting_removes_the_object(call: Any) -> None:
    version = call.put("a.txt").headers["x-cos-version-id"]
    assert call("GET", "cos", "/a.txt", [("versionId", version)]).code == "NotImplemented"
    assert call("GET", "cos", "/", [("versions", "")]).code == "NotImplemented"
    assert call("DELETE", "cos", "/a.txt").status == 204
    assert call.get("a.txt").code == "NoSuchKey"


def test_other_buckets_keep_what_they_have_and_name_no_version(call: Any, caller: Any, root: Path) -> None:
    (root / "other-1250000000").mkdir()
    other = caller(call.server, bucket="other-1250000000")
    assert "x-cos-version-id" not in other.put("a.txt", b"first", **FORBID).headers
    assert other.put("a.txt", b"second", **FORBID).code == "FileAlreadyExists"
    assert other.get("a.txt").body == b"first"
