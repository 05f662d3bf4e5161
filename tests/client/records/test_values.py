"""Value objects: their repr, their JSON form, and when their values are checked."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import fields
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_ci.batch import ObjectKeys, ObjectSelection
from airflow_provider_ci.client import Callback, DocProcess, MqConfig, NotifyConfig, PicProcess, PicTemplate
from airflow_provider_ci.client.records.values import Value, plain, rendered, stable_text

NOON = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
QUEUE = MqConfig(region="gz", name="ended")
VALUES = [
    DocProcess(target="png", start_page=2, page_ranges="1,2-4"),
    DocProcess(extra={"PicPagination": 1}),
    PicProcess("imageMogr2/rotate/90", is_pic_info=True),
    PicTemplate("t" + "0" * 32),
    Callback("https://example.com/ended", format="JSON"),
    Callback(mq=QUEUE),
    NotifyConfig("https://example.com/ended", is_on=False),
    NotifyConfig(type="TDMQ", mq=QUEUE),
    QUEUE,
    ObjectSelection(prefix="in/", suffixes=[".docx"], modified_after=NOON, max_size=9),
    ObjectSelection(prefix="{{ params.prefix }}", suffixes="{{ params.s }}", min_size="{{ params.n }}"),  # type: ignore[arg-type]
    ObjectKeys(keys=["a", "b"]),
]


class Later:
    """A placeholder for the result of another task, like an XComArg."""

    def resolve(self, context: Any) -> Any: ...


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_survives_the_round_trip_through_json(value: Value) -> None:
    stored = json.loads(json.dumps(value.serialize()))
    assert type(value).deserialize(stored, 1) == value
    assert pickle.loads(pickle.dumps(value)) == value


def test_only_what_differs_from_the_defaults_is_shown_and_stored() -> None:
    selection = ObjectSelection(prefix="in/", suffixes=(".docx",))
    assert selection.serialize() == {"prefix": "in/", "suffixes": [".docx"]}
    assert repr(selection) == "ObjectSelection(prefix='in/', suffixes=('.docx',))"
    assert repr(DocProcess(target="png")) == "DocProcess(target='png')"
    assert DocProcess().serialize() == {"target": "pdf"}
    assert ObjectSelection().serialize() == {"prefix": ""}


def test_a_newer_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2 is newer than 1"):
        DocProcess.deserialize({}, 2)


def test_a_secret_is_neither_shown_nor_stored_and_its_absence_is_no_silent_change() -> None:
    locked = DocProcess(password="open-sesame")
    assert "open-sesame" not in repr(locked) + json.dumps(locked.serialize())
    with pytest.raises(ValueError, match=r"DocProcess\.password is a secret, which XCom does not carry"):
        DocProcess.deserialize(locked.serialize(), 1)


def test_a_template_of_a_secret_is_stored() -> None:
    value = DocProcess(password="{{ var.value.password }}")
    assert DocProcess.deserialize(value.serialize(), 1) == value


FIELDS: list[tuple[type[Any], dict[str, Any], str]] = [
    (kind, fixed, name)
    for kind, fixed in (
        (DocProcess, {}),
        (PicProcess, {"rule": "imageMogr2/rotate/90"}),
        (PicTemplate, {}),
        (MqConfig, {"region": "gz", "name": "n"}),
        (Callback, {"url": "https://example.com"}),
        (NotifyConfig, {}),
        (ObjectSelection, {}),
        (ObjectKeys, {"keys": ()}),
    )
    for name in (field.name for field in fields(kind))
]


@pytest.mark.parametrize(
    "late", ["{{ params.x }}", "{% if params.x %}1{% endif %}", Later()], ids=["text", "block", "result"]
)
@pytest.mark.parametrize(("kind", "fixed", "name"), FIELDS, ids=lambda part: getattr(part, "__name__", None))
def test_every_field_of_every_value_may_wait_for_a_template_or_a_result(
    kind: type[Any], fixed: dict[str, Any], name: str, late: Any
) -> None:
    assert getattr(kind(**{**fixed, name: late}), name) is late


@pytest.mark.parametrize(
    ("value", "known", "expected"),
    [
        (DocProcess(), {"start_page": "3", "page_ranges": 7}, DocProcess(start_page=3, page_ranges="7")),
        (DocProcess(), {"target": None}, DocProcess(target=None)),
        (PicProcess("r"), {"rule": "r", "is_pic_info": "True"}, PicProcess("r", is_pic_info=True)),
        (NotifyConfig(), {"is_on": "false"}, NotifyConfig(is_on=False)),
        (ObjectSelection(), {"min_size": "3", "max_size": None}, ObjectSelection(min_size=3)),
        (ObjectSelection(), {"min_size": None, "suffixes": None}, ObjectSelection()),
        (ObjectSelection(), {"suffixes": ".a, .b"}, ObjectSelection(suffixes=[".a", ".b"])),
        (ObjectSelection(), {"suffixes": "['.a', '.b']"}, ObjectSelection(suffixes=[".a", ".b"])),
        (ObjectSelection(), {"prefix": 2026}, ObjectSelection(prefix="2026")),
        (ObjectKeys(keys=()), {"keys": [["a"], [], ["b", ["c"]]]}, ObjectKeys(keys=["a", "b", "c"])),
    ],
)
def test_what_a_template_left_as_text_has_its_type_again(value: Any, known: Any, expected: Any) -> None:
    assert rendered(value, known) == expected


@pytest.mark.parametrize(
    ("value", "known", "words"),
    [
        (DocProcess(), {"target": "{{ once }}"}, "must be one of pdf"),
        (DocProcess(), {"start_page": "first"}, "must be a whole number, not 'first'"),
        (DocProcess(), {"page_ranges": "some"}, "must look like"),
        (DocProcess(), {"password": ["x"]}, r"DocProcess.password must be a text"),
        (PicProcess("r"), {"rule": None}, "must be a processing rule, not None"),
        (PicProcess("r"), {"rule": "r", "is_pic_info": "maybe"}, "must be true or false, not 'maybe'"),
        (PicTemplate("t"), {"template_id": "a/b"}, "must be an id"),
        (ObjectSelection(), {"prefix": None}, "prefix is None"),
        (ObjectSelection(), {"min_size": "9", "max_size": "3"}, "min_size 9 is more than max_size 3"),
        (ObjectSelection(), {"min_size": "-1"}, "must be at least 0"),
        (ObjectSelection(), {"suffixes": [None]}, "suffixes holds None"),
        (ObjectKeys(keys=()), {"keys": None}, "list of object keys, not None"),
        (ObjectKeys(keys=()), {"keys": ["a", None]}, "list of object keys, not None"),
        (Callback("no"), {"url": "ftp://x"}, "must begin with http"),
    ],
)
def test_what_makes_no_sense_is_refused_once_it_is_known(value: Any, known: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rendered(value, known)


class Plain:
    pass


def test_nothing_shows_an_address() -> None:
    assert stable_text(Plain()) == f"<{__name__}.Plain>"
    assert stable_text(Plain) == f"<{__name__}.Plain>"
    assert stable_text(test_nothing_shows_an_address).endswith("test_nothing_shows_an_address>")
    assert plain({"times": [NOON], "set": {"b", "a"}, 3: (1, None)}) == {
        "times": ["2026-11-26T12:00:00+00:00"],
        "set": ["a", "b"],
        "3": [1, None],
    }


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_a_set_is_the_same_with_every_hash_seed(seed: str) -> None:
    code = (
        "from airflow_provider_ci.batch import ObjectKeys, ObjectSelection;"
        "print(ObjectSelection(suffixes={'.a', '.b', '.c', '.d'}), ObjectKeys(keys={'p', 'q', 'r'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split(") ")[0] == "ObjectSelection(prefix='', suffixes=('.a', '.b', '.c', '.d')"
    assert "('p', 'q', 'r')" in done.stdout
