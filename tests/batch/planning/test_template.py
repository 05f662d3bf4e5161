from __future__ import annotations

import pytest

from airflow_provider_ci.batch import OutputTemplate, OutputTemplateError


@pytest.mark.parametrize(
    ("text", "key", "output_key"),
    [
        ("pdf/{dir}{stem}.pdf", "inbox/2024/a.docx", "pdf/2024/a.pdf"),
        ("pdf/{dir}{stem}.pdf", "inbox/a.docx", "pdf/a.pdf"),
        ("{key}.pdf", "inbox/a.docx", "inbox/a.docx.pdf"),
        ("out/{name}", "inbox/合同 草案.docx", "out/合同 草案.docx"),
        ("out/{stem}{suffix}", "inbox/noext", "out/noext"),
        ("out/{stem}{suffix}", "inbox/.hidden", "out/.hidden"),
        ("out/{stem}", "inbox/a.b.c", "out/a.b"),
        ("pages/{stem}/${Number}.png", "inbox/a.docx", "pages/a/${Number}.png"),
        ("s/${SheetID}/${Page}-{stem}.png", "inbox/{stem}.xlsx", "s/${SheetID}/${Page}-{stem}.png"),
    ],
)
def test_output_keys(text: str, key: str, output_key: str) -> None:
    assert OutputTemplate(text=text, prefix="inbox/").output_key(key) == output_key


def test_dir_is_relative_to_the_folder_of_the_prefix() -> None:
    template = OutputTemplate(text="out/{dir}{name}", prefix="inbox/re")
    assert template.output_key("inbox/reports/a.docx") == "out/reports/a.docx"


@pytest.mark.parametrize("text", ["", "pdf/{sten}.pdf", "pdf/{}.pdf"])
def test_a_template_that_makes_no_sense_says_what_may_stand_in_it(text: str) -> None:
    with pytest.raises(OutputTemplateError, match=r"use \{key\}, \{dir\}, \{name\}, \{stem\}, \{suffix\}"):
        OutputTemplate(text=text)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("pdf/{stem}.pdf", "pdf/"),
        ("s/${SheetID}/{stem}.png", "s/"),
        ("{key}.pdf", ""),
        ("one.pdf", "one.pdf"),
    ],
)
def test_what_all_outputs_begin_with(text: str, prefix: str) -> None:
    assert OutputTemplate(text=text).literal_prefix == prefix


@pytest.mark.parametrize(
    ("text", "first"),
    [("a.pdf", "a.pdf"), ("a/${Number}.png", "a/1.png"), ("a/${SheetID}-${Page}.png", "a/1-1.png")],
)
def test_the_first_object_that_a_job_writes(text: str, first: str) -> None:
    assert OutputTemplate(text=text).first_output("in/x.docx") == first
