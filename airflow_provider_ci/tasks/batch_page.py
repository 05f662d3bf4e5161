"""The record that a task writes for the page of its batch, and the address of that page.

The page reads only the bucket and the folder that the task itself recorded here. Neither comes from the
address of the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlencode, urlsplit

from airflow_provider_ci import compat

RECORD_KEY = "ci_batch"
"""Key of the XCom that holds the record."""
PROGRESS_KEY = "ci_progress"
"""Key of the XCom that holds the progress if Airflow has no task state store."""
PREFIX = "/ci-batches"
"""Path of the pages in Airflow's API server, and also their path below ``/plugin/`` in Airflow's UI."""
_LEDGER_END = ".ci-batch/"
_FLAGS = ("retry_failed", "plan_only")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """Where a batch is stored, and its settings, as its task recorded them."""

    conn_id: str
    bucket: str
    region: str
    folder: str
    """Folder of the batch in the bucket, with its ``/`` at the end."""
    batch_id: str
    output_bucket: str = ""
    """Bucket of the outputs, if it is not ``bucket``."""
    output_region: str = ""
    skip: str = "fresh"
    retry_failed: bool = False
    plan_only: bool = False
    """Whether the task only estimates what a batch would do."""
    allowed: str = "0"
    """How many objects may fail, as the user wrote it."""

    def to_json(self) -> dict[str, Any]:
        """The record as JSON types, without empty fields."""
        return {name: value for name, value in asdict(self).items() if value not in ("", False)}

    @classmethod
    def from_json(cls, values: object) -> BatchRecord | None:
        """The record from :meth:`to_json`; None if the values are no record: any task can push an XCom."""
        if not isinstance(values, Mapping):
            return None
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        if not all(isinstance(value, bool if name in _FLAGS else str) for name, value in known.items()):
            return None
        try:
            record = cls(**known)
        except TypeError:
            return None
        return record if record.conn_id and record.bucket and record.folder.endswith(_LEDGER_END) else None


def page_url(ti: Any) -> str:
    """The address of the page of a task's batch; empty if this Airflow has no such pages.

    If Airflow's UI can show a page of a plugin beside its menu, the address leads to that view; otherwise it
    leads to the page alone. If ``[api] base_url`` is not set, the address is a path from the root of
    Airflow's host, which is enough for a link in the UI.
    """
    if not compat.has_batch_pages():
        return ""
    names = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id}
    map_index = getattr(ti, "map_index", None)
    if map_index is not None and map_index >= 0:
        names["map_index"] = map_index
    base = compat.base_url()
    # The UI opens the part after /plugin/ci-batches as a path from the root of the host.
    page = f"{urlsplit(base).path}{PREFIX}/batch?{urlencode(names)}"
    if compat.pages_have_deep_links():
        return f"{base}/plugin{PREFIX}{page}"
    return f"{base}{PREFIX}/batch?{urlencode(names)}"
