"""Changes the parameters that a job shows, because the service sometimes shows other values than sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from airflow_provider_ci.local.http.traits import Traits
from airflow_provider_ci.local.http.wire import Value


def changed(detail: Mapping[str, Value], traits: Traits) -> Mapping[str, Value]:
    """The ``JobsDetail`` with the echoes that the traits ask for."""
    if not traits.echoes and traits.user_data_limit is None:
        return detail
    operation = dict(cast("Mapping[str, Value]", detail["Operation"]))
    for name in ("DocProcess", "PicProcess"):
        if name in operation:
            operation[name] = _parameters(cast("Mapping[str, str]", operation[name]), traits.echoes)
    _cut_user_data(operation, traits.user_data_limit)
    return {**detail, "Operation": operation}


def _parameters(sent: Mapping[str, str], echoes: Mapping[str, str]) -> Mapping[str, Value]:
    return {name: echoes.get(f"{name}:{value}", value) for name, value in sent.items()}


def _cut_user_data(operation: dict[str, Value], limit: int | None) -> None:
    if limit is None or "UserData" not in operation:
        return
    text = str(operation["UserData"])[:limit]
    if text:
        operation["UserData"] = text
    else:
        del operation["UserData"]
