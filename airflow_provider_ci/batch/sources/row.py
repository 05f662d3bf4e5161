"""An object with settings of its own: page range, output key or priority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_ci.client import ObjectInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object of a source, and what differs for it from the settings of the batch."""

    info: ObjectInfo
    output_key: str = ""
    """Key of the output; empty: the output template of the batch names it."""
    job_level: int | None = None
    """Priority of the job, 0 to 2; None: the priority of the batch."""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields of the operation that replace those of the batch, such as ``{"start_page": 2}``. A password is
    never among them: ``doc_password`` names a secret, which is looked up when the job is submitted."""
