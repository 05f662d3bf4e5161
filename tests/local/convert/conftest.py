"""Fixtures: small source files, one pair of real converters for the test run, and readers of the output."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pypdfium2
import pytest

from airflow_provider_ci.local.convert import ConversionError, DocumentOptions, DocumentResult, RealConverters
from airflow_provider_ci.local.convert.office.libreoffice import find_office

_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_DOC_RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
_DRAW = "http://schemas.openxmlformats.org/drawingml/2006/main"
_APP = "application/vnd.openxmlformats-officedocument"


def _types(parts: Mapping[str, str]) -> str:
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in parts.items()
    )
    return (
        f'{_XML}<Types xmlns="{_TYPES}"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    )


def _rels(targets: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f'<Relationship Id="rId{number}" Type="{_DOC_RELS}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'{_XML}<Relationships xmlns="{_RELS}">{items}</Relationships>'


def _zip(path: Path, parts: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def _column(index: int) -> str:
    return chr(ord("A") + index)


class Make:
    """Makes small source files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def docx(self, name: str, body: str, comments: str = "", settings: str = "") -> Path:
        """A document. ``body`` is XML, or the plain texts of its pages, separated by form feeds."""
        if not body.startswith("<"):
            pages = body.split("\f")
            body = '<w:p><w:r><w:br w:type="page"/></w:r></w:p>'.join(
                f"<w:p><w:r><w:t>{page}</w:t></w:r></w:p>" for page in pages
            )
        parts = {"word/document.xml": f"{_APP}.wordprocessingml.document.main+xml"}
        if comments:
            parts["word/comments.xml"] = f"{_APP}.wordprocessingml.comments+xml"
        if settings:
            parts["word/settings.xml"] = f"{_APP}.wordprocessingml.settings+xml"
        files = {
            "[Content_Types].xml": _types(parts),
            "_rels/.rels": _rels([("officeDocument", "word/document.xml")]),
            "word/document.xml": f'{_XML}<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>',
        }
        if comments:
            files["word/_rels/document.xml.rels"] = _rels([("comments", "comments.xml")])
            files["word/comments.xml"] = f'{_XML}<w:comments xmlns:w="{_WORD}">{comments}</w:comments>'
        if settings:
            files["word/_rels/document.xml.rels"] = _rels([("settings", "settings.xml")])
            files["word/settings.xml"] = f'{_XML}<w:settings xmlns:w="{_WORD}">{settings}</w:settings>'
        return _zip(self.folder / name, files)

    def xlsx(
        self,
        name: str,
        sheets: Mapping[str, Sequence[Sequence[str]]],
        hidden: Sequence[str] | Mapping[str, str] = (),
        *,
        names: str = "",
        end: str = "",
    ) -> Path:
        """A workbook of text cells; a text that starts with = is a formula.

        ``hidden`` lists hidden sheets, or maps sheets to their state. ``names`` is the XML of defined names;
        ``end`` is XML at the end of each sheet.
        """
        parts = {"xl/workbook.xml": f"{_APP}.spreadsheetml.sheet.main+xml"}
        files = {"_rels/.rels": _rels([("officeDocument", "xl/workbook.xml")])}
        entries = ""
        for number, (title, rows) in enumerate(sheets.items(), start=1):
            part = f"xl/worksheets/sheet{number}.xml"
            parts[part] = f"{_APP}.spreadsheetml.worksheet+xml"
            states = hidden if isinstance(hidden, Mapping) else dict.fromkeys(hidden, "hidden")
            state = f' state="{states[title]}"' if title in states else ""
            entries += f'<sheet name="{title}" sheetId="{number}"{state} r:id="rId{number}"/>'
            cells = f"<sheetData>{self._rows(rows)}</sheetData>"
            files[part] = f'{_XML}<worksheet xmlns="{_SHEET}">{cells}{end}</worksheet>'
        targets = [("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(sheets) + 1)]
        files["[Content_Types].xml"] = _types(parts)
        files["xl/_rels/workbook.xml.rels"] = _rels(targets)
        files["xl/workbook.xml"] = (
            f'{_XML}<workbook xmlns="{_SHEET}" xmlns:r="{_DOC_RELS}"><sheets>{entries}</sheets>'
            f"{f'<definedNames>{names}</definedNames>' if names else ''}</workbook>"
        )
        return _zip(self.folder / name, files)

    @staticmethod
    def _rows(rows: Sequence[Sequence[str]]) -> str:
        def cell(row: int, column: int, text: str) -> str:
            place = f"{_column(column)}{row}"
            if text.startswith("="):
                return f'<c r="{place}"><f>{text[1:]}</f></c>'
            return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'

        return "".join(
            f'<row r="{row}">{"".join(cell(row, column, text) for column, text in enumerate(cells))}</row>'
            for row, cells in enumerate(rows, start=1)
        )

    def pptx(self, name: str, slides: Sequence[str]) -> Path:
        """A presentation with one text box per slide."""
        parts = {"ppt/presentation.xml": f"{_APP}.presentationml.presentation.main+xml"}
        files = {"_rels/.rels": _rels([("officeDocument", "ppt/presentation.xml")])}
        for number, text in enumerate(slides, start=1):
            part = f"ppt/slides/slide{number}.xml"
            parts[part] = f"{_APP}.presentationml.slide+xml"
            files[part] = (
                f'{_XML}<p:sld xmlns:p="{_SLIDE}" xmlns:a="{_DRAW}"><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr '
                'id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/><p:sp><p:nvSpPr>'
                '<p:cNvPr id="2" name="text"/><p:cNvSpPr txBox="1"/><p:nvPr/></p:nvSpPr><p:spPr>'
                '<a:xfrm><a:off x="900000" y="900000"/><a:ext cx="6000000" cy="900000"/>'
                '</a:xfrm><a:prstGeom prst="rect"/></p:spPr>'
                f'<p:txBody><a:bodyPr/><a:p><a:r><a:rPr sz="3200"/><a:t>{text}</a:t></a:r></a:p></p:txBody>'
                "</p:sp></p:spTree></p:cSld></p:sld>"
            )
        numbers = range(1, len(slides) + 1)
        ids = "".join(f'<p:sldId id="{255 + number}" r:id="rId{number}"/>' for number in numbers)
        files["[Content_Types].xml"] = _types(parts)
        files["ppt/_rels/presentation.xml.rels"] = _rels([("slide", f"slides/slide{n}.xml") for n in numbers])
        files["ppt/presentation.xml"] = (
            f'{_XML}<p:presentation xmlns:p="{_SLIDE}" xmlns:r="{_DOC_RELS}"><p:sldIdLst>{ids}</p:sldIdLst>'
            '<p:sldSz cx="9144000" cy="6858000"/><p:notesSz cx="6858000" cy="9144000"/></p:presentation>'
        )
        return _zip(self.folder / name, files)

    def odt(self, name: str, body: str) -> Path:
        """An OpenDocument text. ``body`` is XML, or a plain text, which becomes one paragraph."""
        body = body if body.startswith("<") else f"<text:p>{body}</text:p>"
        office = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
        manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
        kind = "application/vnd.oasis.opendocument.text"
        return _zip(
            self.folder / name,
            {
                "mimetype": kind,
                "META-INF/manifest.xml": f'{_XML}<manifest:manifest xmlns:manifest="{manifest}">'
                f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
                '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
                "</manifest:manifest>",
                "content.xml": f'{_XML}<office:document-content xmlns:office="{office}" '
                'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
                'xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.2"><office:body><office:text>'
                f"{body}</office:text></office:body></office:document-content>",
            },
        )

    def pdf(self, name: str, pages: int = 1, size: tuple[int, int] = (595, 842), extra: str = "") -> Path:
        """A PDF whose pages show their numbers; ``extra`` is added to the trailer."""
        objects = ["<</Type/Catalog/Pages 2 0 R>>", "", "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
        kids = []
        for number in range(1, pages + 1):
            content = f"BT /F1 40 Tf 60 {size[1] - 100} Td (page {number}) Tj ET"
            objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
            objects.append(
                f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {size[0]} {size[1]}]/Contents {len(objects)} 0 R"
                "/Resources<</Font<</F1 3 0 R>>>>>>"
            )
            kids.append(f"{len(objects)} 0 R")
        objects[1] = f"<</Type/Pages/Count {pages}/Kids[{' '.join(kids)}]>>"
        text, offsets = "%PDF-1.4\n", []
        for number, content in enumerate(objects, start=1):
            offsets.append(len(text))
            text += f"{number} 0 obj\n{content}\nendobj\n"
        table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
        size_entry = f"/Size {len(objects) + 1}"
        text += (
            f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
            f"trailer<<{size_entry}/Root 1 0 R{extra}>>\nstartxref\n{len(text)}\n%%EOF\n"
        )
        path = self.folder / name
        path.write_bytes(text.encode("latin-1"))
        return path

    def file(self, name: str, content: bytes | str) -> Path:
        """A file with this content; a text is written as UTF-8."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes source files in a folder beside the test's outputs."""
    folder = tmp_path / "sources"
    folder.mkdir()
    return Make(folder)


@pytest.fixture(scope="session")
def real() -> Iterator[RealConverters]:
    """Converters with two warm workers for the whole test run."""
    with RealConverters(2, deadline_seconds=60) as converters:
        yield converters


@pytest.fixture
def convert(real: RealConverters, tmp_path: Path) -> Callable[..., DocumentResult]:
    """Converts a document with the warm workers, into a new folder each time."""

    def call(source: Path, *, name: str | None = None, **options: object) -> DocumentResult:
        out = tmp_path / f"out-{len(list(tmp_path.glob('out-*')))}"
        out.mkdir()
        wanted = DocumentOptions(**{"target": "pdf", **options})  # type: ignore[arg-type]  # checked when made
        return real.document(source, name or f"in/{source.name}", wanted, out)

    return call


@pytest.fixture
def refusal(convert: Callable[..., DocumentResult], tmp_path: Path) -> Callable[..., ConversionError]:
    """Runs a conversion that must be refused, checks that no file is left behind, and returns the error."""

    def call(source: Path, **options: object) -> ConversionError:
        with pytest.raises(ConversionError) as caught:
            convert(source, **options)
        assert list(tmp_path.glob("out-*/*")) == []
        for noise in (str(tmp_path), "file:", "Error", "0xc", "zip file"):
            assert noise not in caught.value.message
        return caught.value

    return call


def _page_texts(path: Path) -> list[str]:
    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_bounded().strip() for page in document]


@pytest.fixture
def page_texts() -> Callable[[Path], list[str]]:
    """Reads the text of every page of a PDF."""
    return _page_texts


_OFFICE_SCRIPT = """
import subprocess, sys, time, uuid, uno
from pathlib import Path
from com.sun.star.beans import NamedValue, PropertyValue
soffice, profile, *tasks = sys.argv[1:]
pipe = uuid.uuid4().hex
profile_option = f"-env:UserInstallation={Path(profile).as_uri()}"
accept = f"--accept=pipe,name={pipe};urp;"
office = subprocess.Popen([soffice, "--headless", "--norestore", profile_option, accept])
local = uno.getComponentContext()
resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
while True:
    try:
        context = resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
        break
    except Exception:
        time.sleep(0.05)
desktop = context.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", context)
for task in tasks:
    source, target, filter_name, password = task.split("|")
    hidden = (PropertyValue("Hidden", 0, True, 0),)
    document = desktop.loadComponentFromURL(Path(source).as_uri(), "_blank", 0, hidden)
    values = [PropertyValue("FilterName", 0, filter_name, 0)]
    if password and "XML" in filter_name:
        keys = (NamedValue("CryptoType", "Standard"), NamedValue("OOXPassword", password))
        values.append(PropertyValue("EncryptionData", 0, uno.Any("[]com.sun.star.beans.NamedValue", keys), 0))
    elif password:
        values.append(PropertyValue("Password", 0, password, 0))
    document.storeToURL(Path(target).as_uri(), tuple(values))
    document.close(True)
try:
    desktop.terminate()
except Exception:
    pass
office.wait()
"""
_SAVED = {
    "old.doc": ("text.docx", "MS Word 97", ""),
    "old.xls": ("table.xlsx", "MS Excel 97", ""),
    "old.ppt": ("show.pptx", "MS PowerPoint 97", ""),
    "new.ods": ("table.xlsx", "calc8", ""),
    "new.odp": ("show.pptx", "impress8", ""),
    "old.dot": ("text.docx", "MS Word 97 Vorlage", ""),
    "new.docm": ("text.docx", "MS Word 2007 XML VBA", ""),
    "new.dotx": ("text.docx", "MS Word 2007 XML Template", ""),
    "old.xlt": ("table.xlsx", "MS Excel 97 Vorlage/Template", ""),
    "new.xlsm": ("table.xlsx", "Calc MS Excel 2007 VBA XML", ""),
    "new.xltx": ("table.xlsx", "Calc MS Excel 2007 XML Template", ""),
    "old.pps": ("show.pptx", "MS PowerPoint 97 AutoPlay", ""),
    "old.pot": ("show.pptx", "MS PowerPoint 97 Vorlage", ""),
    "new.pptm": ("show.pptx", "Impress MS PowerPoint 2007 XML VBA", ""),
    "new.ppsx": ("show.pptx", "Impress MS PowerPoint 2007 XML AutoPlay", ""),
    "new.potx": ("show.pptx", "Impress MS PowerPoint 2007 XML Template", ""),
    "locked.docx": ("text.docx", "MS Word 2007 XML", "geheim"),
    "locked.xlsx": ("table.xlsx", "Calc MS Excel 2007 XML", "geheim"),
    "locked.pptx": ("show.pptx", "Impress MS PowerPoint 2007 XML", "geheim"),
    "locked.odt": ("text.docx", "writer8", "geheim"),
    "locked.doc": ("text.docx", "MS Word 97", "geheim"),
    "locked.xls": ("table.xlsx", "MS Excel 97", "geheim"),
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files saved by LibreOffice itself: old formats, and files locked with the password ``geheim``."""
    folder = tmp_path_factory.mktemp("saved")
    make = Make(folder)
    make.docx("text.docx", "Words of a document")
    make.xlsx("table.xlsx", {"One": [["cell of one"]], "Two": [["cell of two"]]})
    make.pptx("show.pptx", ["first slide", "second slide"])
    tasks = [
        f"{folder / source}|{folder / target}|{filter_name}|{password}"
        for target, (source, filter_name, password) in _SAVED.items()
    ]
    office = find_office()
    soffice = str(office.program / "soffice")
    subprocess.run(
        [str(office.python), "-c", _OFFICE_SCRIPT, soffice, str(folder / "profile"), *tasks],
        check=True,
        timeout=120,
        capture_output=True,
    )
    return folder
