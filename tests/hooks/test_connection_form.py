from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ci import get_provider_info
from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.hooks.connection import EXTRAS, SOURCES


def test_the_form_has_a_field_for_every_extra_and_hides_the_token() -> None:
    (kind,) = get_provider_info()["connection-types"]
    assert kind["connection-type"] == CIHook.conn_type
    module, name = kind["hook-class-name"].rsplit(".", 1)
    assert getattr(importlib.import_module(module), name) is CIHook
    assert kind["conn-fields"]["token"]["schema"]["format"] == "password"
    assert kind["conn-fields"]["credentials"]["schema"]["enum"] == list(SOURCES)
    assert kind["conn-fields"].keys() == EXTRAS


def test_an_older_airflow_gets_the_same_form_from_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's API server replaces the field classes of wtforms with its own, and so does this test."""

    class Field:
        def __init__(self, label: str, *, validators: list[Any], description: str, widget: Any) -> None:
            self.label, self.validators, self.widget = label, validators, widget

    kinds: dict[str, Any] = {
        name: type(name, (Field,), {}) for name in ("IntegerField", "PasswordField", "StringField")
    }
    validators = {"Optional": lambda: "optional", "any_of": list}
    looks: dict[str, Any] = {
        name: type(name, (), {}) for name in ("BS3PasswordFieldWidget", "BS3TextFieldWidget")
    }
    modules: dict[str, dict[str, Any]] = {
        "wtforms": kinds,
        "wtforms.validators": validators,
        "flask_appbuilder": {},
        "flask_appbuilder.fieldwidgets": looks,
    }
    for name, content in modules.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))
    form = CIHook.get_connection_form_widgets()
    assert form.keys() == EXTRAS
    assert isinstance(form["token"], kinds["PasswordField"])
    assert isinstance(form["token"].widget, looks["BS3PasswordFieldWidget"])
    assert isinstance(form["max_connections"], kinds["IntegerField"])
    assert form["region"].label == "Region"
    assert form["credentials"].validators == ["optional", list(SOURCES)]
    assert CIHook.get_ui_field_behaviour() == {
        "hidden_fields": ["host", "port", "schema"],
        "relabeling": {"login": "SecretId", "password": "SecretKey"},
        "placeholders": {},
    }
