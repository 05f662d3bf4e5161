"""Filters of a selection: several prefixes, globs, storage classes and key ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, ObjectSelection, OutputTemplate, OutputTemplateError, Source
from airflow_provider_ci.batch.sources.filters import Globs
from airflow_provider_ci.batch.sources.source import LeftOut
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.client.records.values import rendered

GLOBS = [
    # pattern, keys that match, keys that do not
    ("*.docx", ["a.docx", "in/b/a.docx", ".docx"], ["a.DOCX", "a.docx.bak", "in/a.docx/b"]),
    ("~$*", ["in/~$a.docx", "~$"], ["in/a~$", "~$/a"]),
    ("in/*", ["in/a", "in/"], ["in/a/b", "xin/a", "in"]),
    ("in/**", ["in/a", "in/a/b", "in/"], ["in", "xin/a"]),
    ("**/a.txt", ["a.txt", "in/a.txt", "in/b/a.txt"], ["ba.txt", "in/ba.txt"]),
    ("in/**/a.txt", ["in/a.txt", "in/b/a.txt", "in/b/c/a.txt"], ["ina.txt", "in/ba.txt", "a.txt"]),
    ("in/**/**/a", ["in/a", "in/b/a"], ["in/ba"]),
    ("report-?.pdf", ["in/report-1.pdf"], ["report-10.pdf", "report-.pdf", "report-/.pdf"]),
    ("a?/b", ["ax/b"], ["a/b", "a//b"]),
    ("in**b", ["inb", "in/x/b", "in-b"], ["b", "in/c"]),
    ("in**/b", ["in/b", "inx/y/b"], ["inb"]),
    ("[ab].txt", ["[ab].txt"], ["a.txt", "b.txt"]),
    ("{a,b}.txt", ["{a,b}.txt"], ["a.txt"]),
    ("a.b+c(d)", ["a.b+c(d)"], ["aXb+c(d)", "a.bbc(d)"]),
    ("*", ["a", "in/a"], []),
    ("/a", ["/a"], ["a"]),
    ("合同*.pdf", ["in/合同 草案.pdf"], ["in/x合同.pdf"]),
    ("a\n*", ["a\nb"], ["a"]),
]


@pytest.mark.parametrize(("pattern", "matching", "others"), GLOBS, ids=[each[0] for each in GLOBS])
def test_globs(pattern: str, matching: list[str], others: list[str]) -> None:
    globs = Globs([pattern])
    assert [key for key in matching if not globs.match(key)] == []
    assert [key for key in others if globs.match(key)] == []


def keys(source: Source, client: CIClient, left_out: LeftOut | None = None) -> list[str]:
    found: Any = source.objects(client, left_out=left_out)
    return [each.key for each in found]


SELECTIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({"prefix": ["b/", "a/"]}, ["a/1.txt", "a/x/2.txt", "b/1.pdf"]),
    ({"prefix": ["a/", "a/x/", "a/"]}, ["a/1.txt", "a/x/2.txt"]),
    ({"prefix": []}, []),
    ({"prefix": ["a", "nothing/"]}, ["a/1.txt", "a/x/2.txt"]),
    ({"include": ["*.pdf"]}, ["b/1.pdf"]),
    ({"include": ["a/*", "c/**"]}, ["a/1.txt", "c/3.txt"]),
    ({"exclude": ["1.*", "c/**"]}, ["a/x/2.txt"]),
    ({"include": ["*.txt"], "exclude": ["a/x/**"]}, ["a/1.txt", "c/3.txt"]),
    ({"start_after": "a/1.txt", "end_at": "b/1.pdf"}, ["a/x/2.txt", "b/1.pdf"]),
    ({"prefix": ["a/", "c/"], "start_after": "a/x", "end_at": "bbb"}, ["a/x/2.txt"]),
    ({"prefix": ["a/", "b/", "c/"], "start_after": "b/"}, ["b/1.pdf", "c/3.txt"]),
]


@pytest.mark.parametrize(("fields", "expected"), SELECTIONS, ids=[str(each[0]) for each in SELECTIONS])
def test_selections(
    fields: dict[str, Any], expected: list[str], client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("a/1.txt", "a/x/2.txt", "b/1.pdf", "c/3.txt")
    selection = ObjectSelection(**fields)
    assert keys(selection, client) == expected
    assert ObjectSelection.deserialize(selection.serialize()) == selection
    assert rendered(selection, fields) == selection


def test_several_prefixes_share_what_dir_leaves_out(
    client: CIClient, fill_bucket: Callable[..., None], batch: Callable[..., Batch]
) -> None:
    fill_bucket("in/2025/a.docx", "in/2026/a.docx")
    source = ObjectSelection(prefix=["in/2026/", "in/2025/"])
    assert source.root == "in/202"
    summary = batch(client, source).run()
    assert (summary.total, summary.succeeded) == (2, 2)
    written = [each.key for each in client.list_objects("out/")]
    assert written == ["out/2025/a.pdf", "out/2026/a.pdf"]


def test_rendered_prefixes_are_lists_also_as_text() -> None:
    source = ObjectSelection(prefix="{{ ti.xcom_pull('folders') }}")
    assert rendered(source, {"prefix": ["a/", "b/"]}).prefix == ("a/", "b/")
    assert rendered(source, {"prefix": "['a/', 'b/']"}).prefix == ("a/", "b/")
    assert rendered(source, {"prefix": "[2026] a/"}).prefix == "[2026] a/"
    with pytest.raises(ValueError, match=r"ObjectSelection\.prefix is None"):
        rendered(source, {"prefix": None})


def test_archived_objects_are_left_out_and_counted(client: CIClient) -> None:
    stored = {"a": "STANDARD", "b": "STANDARD_IA", "c": "ARCHIVE", "d": "DEEP_ARCHIVE", "e.x": "ARCHIVE"}
    put_with_classes(client, stored)
    left_out = LeftOut()
    assert keys(ObjectSelection(exclude=["*.x"]), client, left_out) == ["a", "b"]
    assert left_out == LeftOut(archived=2), "an object that is not selected does not count"
    assert keys(ObjectSelection(storage_classes=["archive", "STANDARD"]), client) == ["a", "c", "e.x"]


def test_the_summary_counts_archived_objects(client: CIClient, batch: Callable[..., Batch]) -> None:
    put_with_classes(client, {"in/a.docx": "STANDARD", "in/b.docx": "ARCHIVE", "in/c.docx": "DEEP_ARCHIVE"})
    summary = batch(client).run()
    assert (summary.total, summary.succeeded, summary.archived) == (1, 1, 2)
    assert summary.to_json()["archived"] == 2


def test_the_service_refuses_an_archived_object(client: CIClient, batch: Callable[..., Batch]) -> None:
    put_with_classes(client, {"in/a.docx": "ARCHIVE", "in/b.docx": "STANDARD"})
    source = ObjectSelection(prefix="in/", storage_classes=["ARCHIVE", "STANDARD"])
    summary = batch(client, source, max_failures=1).run()
    assert (summary.succeeded, [group.code for group in summary.failures]) == (1, ["InvalidObjectState"])


def put_with_classes(client: CIClient, stored: dict[str, str]) -> None:
    """Put the keys of ``stored``, each with its storage class, as another program would."""
    for key, storage_class in stored.items():
        request = client._object("PUT", key, headers={"x-cos-storage-class": storage_class}, body=b"text")
        client._transport.send(request, lambda response: None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"storage_classes": []}, r"ObjectSelection\.storage_classes is empty"),
        ({"storage_classes": ["cold!"]}, r"ObjectSelection\.storage_classes holds 'COLD!'"),
        ({"include": "*.docx"}, r"ObjectSelection\.include is a sequence of strings, not the string"),
        ({"exclude": [3]}, r"ObjectSelection\.exclude holds 3"),
        ({"prefix": ["a", 3]}, r"ObjectSelection\.prefix holds 3"),
        ({"prefix": {"a": 1}}, r"ObjectSelection\.prefix must be a text"),
    ],
)
def test_senseless_filters_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ObjectSelection(**fields)


OWN_OUTPUTS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"suffixes": [".docx"]}, False),
    ({"suffixes": [".pdf"]}, True),
    ({"include": ["*.docx"]}, False),
    ({"include": ["*.docx", "*.p?f"]}, True),
    ({"include": ["report*"]}, True),
    ({"exclude": ["*.pdf"]}, False),
    ({"exclude": ["**/*.pdf"]}, False),
    ({"exclude": ["draft*.pdf"]}, True),
]


@pytest.mark.parametrize(("filters", "is_refused"), OWN_OUTPUTS, ids=[str(each[0]) for each in OWN_OUTPUTS])
def test_outputs_in_the_folder_of_the_inputs(
    filters: dict[str, Any],
    is_refused: bool,
    client: CIClient,
    fill_bucket: Callable[..., None],
    batch: Callable[..., Batch],
) -> None:
    """Outputs in an input folder are refused if the filters could select them, also with several prefixes."""
    fill_bucket("in/a.docx")
    made = batch(client, ObjectSelection(prefix=["x/", "in/"], **filters), output="in/{stem}.pdf")
    assert OutputTemplate(text="in/{stem}.pdf").literal_suffix == ".pdf"
    if is_refused:
        with pytest.raises(OutputTemplateError, match="the outputs lie in 'in/'"):
            made.run()
    else:
        assert made.run().succeeded == 1
