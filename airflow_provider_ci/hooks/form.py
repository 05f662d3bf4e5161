"""The connection form for Airflow 3.0 and 3.1, built from the field list that newer versions read."""

from __future__ import annotations

from typing import Any

from airflow_provider_ci import get_provider_info

Field = dict[str, Any]


def widgets() -> dict[str, Any]:
    """Return a field of the form for each extra.

    wtforms and Flask-AppBuilder are imported here, because only an Airflow with the FAB provider has them.
    Without them, Airflow shows the extra as JSON.
    """
    from flask_appbuilder.fieldwidgets import (
        BS3PasswordFieldWidget,
        BS3TextFieldWidget,
    )
    from wtforms import IntegerField, PasswordField, StringField  # type: ignore[import-untyped]
    from wtforms.validators import Optional, any_of  # type: ignore[import-untyped]

    def widget(field: Field) -> Any:
        schema = field["schema"]
        kind, look = {
            "password": (PasswordField, BS3PasswordFieldWidget),
            "integer": (IntegerField, BS3TextFieldWidget),
        }.get(schema.get("format") or schema["type"][0], (StringField, BS3TextFieldWidget))
        allowed = [any_of(schema["enum"])] if "enum" in schema else []
        return kind(
            field["label"],
            validators=[Optional(), *allowed],
            description=field["description"],
            widget=look(),
        )

    return {name: widget(field) for name, field in _connection_type()["conn-fields"].items()}


def behaviour() -> dict[str, Any]:
    """Return which of Airflow's own fields are hidden or have another label."""
    declared = _connection_type()["ui-field-behaviour"]
    return {name.replace("-", "_"): value for name, value in declared.items()}


def _connection_type() -> dict[str, Any]:
    found: dict[str, Any] = get_provider_info()["connection-types"][0]
    return found
