"""The demo's sample bucket: all types, small, without personal data, and readable except for one file."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest
from lxml import etree
from PIL import Image, ImageOps, ImageStat

DEMO = Path(__file__).parents[2] / "demo"
SAMPLES = DEMO / "samples"
BROKEN = "inbox/broken-contract.docx"

TYPES = {
    "inbox": {
        "docx": 6, "doc": 1, "xlsx": 2, "xls": 1, "pptx": 1, "ppt": 1,
        "rtf": 2, "csv": 3, "txt": 2, "html": 1, "pdf": 1,
    },
    "photos": {"jpg": 3, "png": 1, "gif": 1, "webp": 1, "bmp": 1},
}  # fmt: skip
KEYS = sorted(
    path.relative_to(SAMPLES).as_posix()
    for folder in TYPES
    for path in (SAMPLES / folder).rglob("*")
    if path.is_file()
)
OOXML = [key for key in KEYS if key.endswith(("docx", "xlsx", "pptx")) and key != BROKEN]
BINARY_OFFICE = [key for key in KEYS if key.endswith((".doc", ".xls", ".ppt"))]

MACHINE_TRACES = re.compile(
    r"/home/|/root\b|/tmp/|/Users/|file://|[A-Z]:\\Users|LibreOffice/\d|Printer(Name|Setup)", re.ASCII
)
PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def content_of(key: str) -> bytes:
    return (SAMPLES / key).read_bytes()


def picture(key: str) -> Image.Image:
    return Image.open(io.BytesIO(content_of(key)))


def members_of(key: str) -> dict[str, bytes]:
    with zipfile.ZipFile(SAMPLES / key) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def texts_of(key: str) -> Iterator[str]:
    """All texts that could be read from a file or its zipped members, in several encodings."""
    contents = [content_of(key)]
    if key in OOXML:
        contents += members_of(key).values()
    for content in contents:
        yield content.decode("latin-1")
        yield content.decode("utf-16-le", errors="replace")
        yield content[1:].decode("utf-16-le", errors="replace")


def member_xml(key: str, member: str) -> etree._Element:
    return etree.fromstring(members_of(key)[member], PARSER)


@pytest.mark.parametrize("folder", TYPES)
def test_every_type_is_there_as_often_as_listed(folder: str) -> None:
    suffixes = Counter(key.rpartition(".")[2] for key in KEYS if key.startswith(f"{folder}/"))
    assert suffixes == TYPES[folder]


def test_the_readme_lists_every_object_and_no_other() -> None:
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    listed: list[str] = []
    for section in re.split(r"^## ", readme, flags=re.MULTILINE)[1:]:
        folder = section.partition("`")[2].partition("`")[0]
        listed += [folder + name for name in re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)]
    assert sorted(listed) == KEYS


def test_all_samples_together_stay_below_one_and_a_half_megabytes() -> None:
    sizes = [len(content_of(key)) for key in KEYS]
    assert min(sizes) > 0
    assert sum(sizes) < 1_500_000


def test_names_hold_what_urls_and_signatures_stumble_over() -> None:
    names = "".join(KEYS)
    assert {" ", "+", "%"} <= set(names)
    assert "inbox/合同 草案.docx" in KEYS


def test_no_two_documents_share_a_name_apart_from_their_suffix() -> None:
    stems = Counter(key.rpartition(".")[0] for key in KEYS)
    assert max(stems.values()) == 1


def test_only_the_broken_contract_is_no_zip() -> None:
    assert content_of(BROKEN).startswith(b"PK")
    assert not zipfile.is_zipfile(SAMPLES / BROKEN)
    for key in OOXML:
        with zipfile.ZipFile(SAMPLES / key) as archive:
            assert archive.testzip() is None, key


@pytest.mark.parametrize("key", OOXML)
def test_every_xml_part_is_well_formed(key: str) -> None:
    for name, content in members_of(key).items():
        if name.endswith((".xml", ".rels", ".rdf")):
            etree.fromstring(content, PARSER)


@pytest.mark.parametrize("key", BINARY_OFFICE)
def test_binary_office_files_are_compound_files(key: str) -> None:
    assert content_of(key).startswith(bytes.fromhex("d0cf11e0a1b11ae1"))


def test_the_handbook_has_five_pages_with_text_on_each() -> None:
    document = pypdfium2.PdfDocument(SAMPLES / "inbox/owners-handbook.pdf")
    texts = [page.get_textpage().get_text_range() for page in document]
    headings = (
        "Your new bicycle",
        "Before each ride",
        "Care through the year",
        "Bolts and torques",
        "Warranty",
    )
    assert len(texts) == len(headings)
    for heading, text in zip(headings, texts, strict=True):
        assert heading in text


def test_the_workbook_has_three_sheets_and_formulas_that_carry_their_values() -> None:
    sheets = member_xml("inbox/sales-2025.xlsx", "xl/workbook.xml").findall(".//{*}sheet")
    assert [sheet.get("name") for sheet in sheets] == ["Summary", "By region", "Orders"]
    turnover = [
        cell for cell in _formula_cells("xl/worksheets/sheet1.xml") if cell[0].startswith("SUM(Orders!G")
    ]
    amounts = [value for formula, value in _formula_cells("xl/worksheets/sheet3.xml") if "*" in formula]
    assert len(amounts) == 96
    assert turnover[0][1] == pytest.approx(sum(amounts))


def _formula_cells(sheet: str) -> list[tuple[str, float]]:
    cells = member_xml("inbox/sales-2025.xlsx", sheet).findall(".//{*}c")
    return [
        (formula, float(cell.findtext("{*}v") or "nan"))
        for cell in cells
        if (formula := cell.findtext("{*}f")) is not None
    ]


def test_the_presentation_has_four_slides_one_of_them_with_a_picture() -> None:
    names = members_of("inbox/slides/product-launch.pptx")
    slides = [name for name in names if re.fullmatch(r"ppt/slides/slide\d+\.xml", name)]
    assert len(slides) == 4
    assert sum(b"<p:pic>" in names[name] for name in slides) == 1


def test_the_depot_report_holds_a_picture_and_a_table() -> None:
    members = members_of("inbox/reports/depot-millbrook.docx")
    Image.open(io.BytesIO(members["word/media/bicycle.jpeg"])).verify()
    assert b"<w:tbl>" in members["word/document.xml"]


def test_the_contract_is_in_chinese() -> None:
    text = members_of("inbox/合同 草案.docx")["word/document.xml"].decode()
    assert "自行车零件采购合同" in text


@pytest.mark.parametrize(
    ("key", "encoding", "separator", "first"),
    [
        ("inbox/exports/orders-2026-04.csv", "utf-8", ",", "order"),
        ("inbox/exports/kunden.csv", "utf-8-sig", ";", "Kundennummer"),
        ("inbox/exports/库存.csv", "gb18030", ",", "编号"),
    ],
)
def test_csv_exports_come_in_three_dialects(key: str, encoding: str, separator: str, first: str) -> None:
    lines = content_of(key).decode(encoding).splitlines()
    assert lines[0].split(separator)[0] == first
    assert len(lines) > 5


def test_the_gb18030_export_is_not_utf_8() -> None:
    with pytest.raises(UnicodeDecodeError):
        content_of("inbox/exports/库存.csv").decode("utf-8")


def test_the_log_is_longer_than_two_pages() -> None:
    assert len(content_of("inbox/logs/import-2026-04-18.txt").decode("utf-8").splitlines()) > 2 * 62


def test_the_upright_photo_lies_on_its_side_and_says_so() -> None:
    photo = picture("photos/IMG_2041.jpg")
    assert photo.getexif()[0x0112] == 6
    assert photo.size == (1600, 1200)
    upright = ImageOps.exif_transpose(photo).convert("RGB")
    assert upright.size == (1200, 1600)
    _, _, blue_of_sky = ImageStat.Stat(upright.crop((0, 0, 200, 200))).mean
    _, _, blue_of_grass = ImageStat.Stat(upright.crop((0, 1500, 200, 1600))).mean
    assert blue_of_sky > blue_of_grass + 80


def test_the_photo_tells_its_camera_but_no_place_and_no_owner() -> None:
    exif = picture("photos/IMG_2041.jpg").getexif()
    assert exif[0x0110] == "EX-100"
    assert not exif.get_ifd(0x8825), "GPS"
    assert not {0x013B, 0x0131, 0x8298} & set(exif), "artist, software, copyright"


def test_the_large_photo_is_large_and_yet_light() -> None:
    width, height = picture("photos/evening lake.jpg").size
    assert width >= 2000
    assert height >= 1500
    assert len(content_of("photos/evening lake.jpg")) <= 300_000


def test_the_logo_is_transparent_outside_its_wheel() -> None:
    logo = picture("photos/logo.png")
    assert logo.mode == "RGBA"
    assert logo.getpixel((0, 0)) == (0, 0, 0, 0)
    assert logo.getchannel("A").getextrema() == (0, 255)


def test_the_gif_moves() -> None:
    assert getattr(picture("photos/wheel-spinning.gif"), "n_frames", 1) == 12


@pytest.mark.parametrize("key", [key for key in KEYS if key.startswith("photos/")])
def test_every_picture_decodes_as_what_its_suffix_says(key: str) -> None:
    image = picture(key)
    image.load()
    suffix = key.rpartition(".")[2]
    assert image.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())


@pytest.mark.parametrize("key", KEYS)
def test_no_file_tells_of_the_machine_that_made_it(key: str) -> None:
    for text in texts_of(key):
        found = MACHINE_TRACES.search(text)
        assert found is None, f"{key}: {found}"


@pytest.mark.parametrize("key", OOXML)
def test_document_properties_name_the_company_and_nobody(key: str) -> None:
    core = member_xml(key, "docProps/core.xml")
    assert core.findtext("{*}creator") == "Bramley Cycle Works"
    assert core.find("{*}lastModifiedBy") is None
    assert member_xml(key, "docProps/app.xml").find("{*}Application") is None


def test_the_pdf_names_the_company_and_no_program() -> None:
    metadata = pypdfium2.PdfDocument(SAMPLES / "inbox/owners-handbook.pdf").get_metadata_dict()
    assert metadata["Author"] == "Bramley Cycle Works"
    assert metadata["Creator"].strip() == ""
    assert metadata["Producer"].strip() == ""
