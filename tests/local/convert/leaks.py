"""Documents that try to show another file of the machine; each vector is a function of its address."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_ODF: Final = "".join(
    f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{urn}:1.0"'
    for name, urn in {
        "office": "office", "style": "style", "text": "text", "table": "table", "draw": "drawing",
        "fo": "xsl-fo-compatible", "svg": "svg-compatible", "presentation": "presentation",
        "manifest": "manifest",
    }.items()
) + ' xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.2"'  # fmt: skip
_OOXML: Final = "http://schemas.openxmlformats.org"
_RELS: Final = f"{_OOXML}/officeDocument/2006/relationships"
_APP: Final = "application/vnd.openxmlformats-officedocument"
_SPACES: Final = (
    f' xmlns:w="{_OOXML}/wordprocessingml/2006/main" xmlns:p="{_OOXML}/presentationml/2006/main"'
    f' xmlns:a="{_OOXML}/drawingml/2006/main" xmlns:r="{_RELS}"'
    f' xmlns:wp="{_OOXML}/drawingml/2006/wordprocessingDrawing"'
    f' xmlns:pic="{_OOXML}/drawingml/2006/picture"'
    ' xmlns:asvg="http://schemas.microsoft.com/office/drawing/2016/SVG/main"'
)
# A white picture of one pixel: the fallback that an Office without support for SVG shows.
_PIXEL: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
)


def _svg(address: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="300" '
        f'height="300"><image xlink:href="{address}" href="{address}" width="300" height="300"/></svg>'
    )


def _page(body: str) -> bytes:
    return f"<html><body>{body}<p>text</p></body></html>".encode()


def _in_data_uri(address: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(_svg(address).encode()).decode()


def _svg_image(content: str) -> str:
    """A picture whose address is a data URI with an SVG."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="300" '
        f'height="300">{content}</svg>'
    )
    return f'<img src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" width=300>'


_ELEMENTS: Final = (
    '<img src="ADDRESS" width=300 height=300>',
    '<iframe src="ADDRESS" width=300 height=300></iframe>',
    '<object data="ADDRESS" width=300 height=300></object><embed src="ADDRESS">',
    '<div style="background-image: url(ADDRESS); height: 300px">text</div>',
    '<table background="ADDRESS"><tr><td background="ADDRESS" height=300>text</td></tr></table>',
    '<ul style="list-style-image: url(ADDRESS)"><li>item</li></ul>',
    '<link rel="stylesheet" href="ADDRESS">',
    '<style>@import url("ADDRESS"); @import "ADDRESS"; body { background: url(ADDRESS) }</style>',
    '<input type=image src="ADDRESS" width=300 height=300>',
    '<applet code="ADDRESS"></applet><bgsound src="ADDRESS"><video src="ADDRESS" poster="ADDRESS"></video>',
    '<picture><source srcset="ADDRESS"><img srcset="ADDRESS 1x" width=300></picture>',
    '<p style="background: url(ADDRESS)">text</p><table style="background-image: url(ADDRESS)"><tr><td>x'
    "</table>",
)
_SVGS: Final[Mapping[str, str]] = {
    "use": '<use href="ADDRESS#a" xlink:href="ADDRESS#a"/>',
    "pattern": '<pattern id="p" width="300" height="300" patternUnits="userSpaceOnUse"><image '
    'xlink:href="ADDRESS" width="300" height="300"/></pattern><rect width="300" height="300" '
    'fill="url(#p)"/>',
    "style": '<style>@import url("ADDRESS");</style><image href="ADDRESS" width="300" height="300"/>',
    "filter": '<filter id="f"><feImage xlink:href="ADDRESS"/></filter><rect width="300" height="300" '
    'filter="url(#f)"/>',
    "include": '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="ADDRESS" parse="text"/>',
    "object": '<foreignObject width="300" height="300"><img xmlns="http://www.w3.org/1999/xhtml" '
    'src="ADDRESS"/></foreignObject>',
}
_HTML: Final[Mapping[str, Callable[[str], bytes]]] = {
    "background": lambda a: f'<html><body background="{a}"><p>text</p></body></html>'.encode(),
    "base": lambda a: (
        f'<html><head><base href="{a.rpartition("/")[0]}/"></head>'
        f'<body background="{a.rpartition("/")[2]}"><p>text</p></body></html>'
    ).encode(),
    "data-svg": lambda a: f'<html><body background="{_in_data_uri(a)}"><p>text</p></body></html>'.encode(),
    "data-svg-img": lambda a: _page(f'<img src="{_in_data_uri(a)}" width=300 height=300>'),
    "frames": lambda a: f'<html><frameset cols="50%,50%"><frame src="{a}"><frame src="{a}"></html>'.encode(),
    **{
        f"svg-{name}": partial(lambda element, a: _page(_svg_image(element.replace("ADDRESS", a))), element)
        for name, element in _SVGS.items()
    },
    "elements": lambda a: _page("".join(element.replace("ADDRESS", a) for element in _ELEMENTS)),
}


def _odf(
    kind: str, styles: str, body: str, *, page: str = "", extra: Mapping[str, bytes] | None = None
) -> dict[str, bytes]:
    """The parts of a package: automatic ``styles``, a ``body``, and properties of the default ``page``."""
    media = f"application/vnd.oasis.opendocument.{kind}"
    parts = {"content.xml": b"", "styles.xml": b"", **(extra or {})}
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type=""/>' for name in parts
    )
    return {
        "mimetype": media.encode(),
        "META-INF/manifest.xml": (
            f'{_XML}<manifest:manifest{_ODF}><manifest:file-entry manifest:full-path="/" '
            f'manifest:media-type="{media}"/>{entries}</manifest:manifest>'
        ).encode(),
        **parts,
        "content.xml": (
            f"{_XML}<office:document-content{_ODF}><office:automatic-styles>{styles}"
            f"</office:automatic-styles><office:body>{body}</office:body></office:document-content>"
        ).encode(),
        "styles.xml": (
            f"{_XML}<office:document-styles{_ODF}><office:automatic-styles>"
            '<style:page-layout style:name="L"><style:page-layout-properties fo:page-width="21cm" '
            f'fo:page-height="29cm">{page}</style:page-layout-properties></style:page-layout>'
            '<style:style style:name="dp" style:family="drawing-page"><style:drawing-page-properties '
            f'draw:fill="bitmap" draw:fill-image-name="fill">{page}</style:drawing-page-properties>'
            "</style:style></office:automatic-styles><office:master-styles>"
            '<style:master-page style:name="Standard" style:page-layout-name="L" draw:style-name="dp"/>'
            "</office:master-styles></office:document-styles>"
        ).encode(),
    }


def _text(body: str, styles: str = "", **more: object) -> dict[str, bytes]:
    return _odf("text", styles, f"<office:text>{body}</office:text>", **more)  # type: ignore[arg-type]


def _background(address: str) -> str:
    return f'<style:background-image xlink:href="{address}" xlink:type="simple" xlink:actuate="onLoad"/>'


def _styled(properties: str) -> str:
    return f'<style:style style:name="P" style:family="paragraph">{properties}</style:style>'


def _frame(address: str, anchor: str = 'text:anchor-type="as-char" ') -> str:
    return (
        f'<draw:frame {anchor}svg:x="1cm" svg:y="1cm" svg:width="8cm" svg:height="8cm"><draw:image '
        f'xlink:href="{address}" xlink:type="simple" xlink:show="embed" xlink:actuate="onLoad"/></draw:frame>'
    )


_IMAGE_BULLET: Final = (
    '<text:list-style style:name="L"><text:list-level-style-image text:level="1" xlink:href="{}" '
    'xlink:type="simple" xlink:show="embed" xlink:actuate="onLoad"><style:list-level-properties '
    'fo:width="5cm" fo:height="5cm"/></text:list-level-style-image></text:list-style>'
)
_LIST: Final = (
    '<text:list text:style-name="L"><text:list-item><text:p>item</text:p></text:list-item></text:list>'
)
_SECTION: Final = (
    '<text:section text:name="s"><text:section-source xlink:href="{}" xlink:show="embed"/>'
    "<text:p>old</text:p></text:section>"
)


def _sheet(shapes: str, cell: str = "<text:p>x</text:p>", table: str = "") -> dict[str, bytes]:
    rows = f"<table:table-row><table:table-cell>{cell}</table:table-cell></table:table-row>"
    body = f'<table:table table:name="T">{table}<table:shapes>{shapes}</table:shapes>{rows}</table:table>'
    return _odf("spreadsheet", "", f"<office:spreadsheet>{body}</office:spreadsheet>")


def _slide(shapes: str, **more: object) -> dict[str, bytes]:
    body = f'<draw:page draw:master-page-name="Standard" draw:style-name="dp">{shapes}</draw:page>'
    return _odf("presentation", "", f"<office:presentation>{body}</office:presentation>", **more)  # type: ignore[arg-type]


def _filled(parts: dict[str, bytes], address: str) -> dict[str, bytes]:
    """Add a picture as the background of the pages or slides."""
    fill = f'<draw:fill-image draw:name="fill" xlink:href="{address}" xlink:actuate="onLoad"/>'
    styles = parts["styles.xml"].decode()
    styles = styles.replace("fo:page-width", 'draw:fill="bitmap" draw:fill-image-name="fill" fo:page-width')
    parts["styles.xml"] = styles.replace(
        "<office:automatic-styles>", f"<office:styles>{fill}</office:styles><office:automatic-styles>", 1
    ).encode()
    return parts


def _package(main: str, kind: str, content: str, rels: str, more: Mapping[str, bytes]) -> dict[str, bytes]:
    folder, _, name = main.rpartition("/")
    return {
        "[Content_Types].xml": (
            f'{_XML}<Types xmlns="{_OOXML}/package/2006/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default '
            'Extension="xml" ContentType="application/xml"/>'
            '<Default Extension="png" ContentType="image/png"/>'
            '<Default Extension="svg" ContentType="image/svg+xml"/>'
            f'<Override PartName="/{main}" ContentType="{_APP}.{kind}.main+xml"/>'
            + "".join(
                f'<Override PartName="/{part}" ContentType="{_APP}.presentationml.slide+xml"/>'
                for part in more
                if part.endswith("slide1.xml")
            )
            + "</Types>"
        ).encode(),
        "_rels/.rels": (
            f'{_XML}<Relationships xmlns="{_OOXML}/package/2006/relationships"><Relationship Id="r1" '
            f'Type="{_RELS}/officeDocument" Target="{main}"/></Relationships>'
        ).encode(),
        main: f"{_XML}{content}".encode(),
        f"{folder}/_rels/{name}.rels": _relations(rels),
        **more,
    }


def _relations(rels: str) -> bytes:
    return f'{_XML}<Relationships xmlns="{_OOXML}/package/2006/relationships">{rels}</Relationships>'.encode()


def _relation(name: str, kind: str, target: str, mode: str = "") -> str:
    outside = f' TargetMode="{mode}"' if mode else ""
    return f'<Relationship Id="{name}" Type="{_RELS}/{kind}" Target="{target}"{outside}/>'


_BLIP_OF_SVG: Final = (
    '<a:blip r:embed="pixel"><a:extLst><a:ext uri="{96DAC541-7B7A-43D3-8B79-37D633B846F1}">'
    '<asvg:svgBlip r:embed="svg"/></a:ext></a:extLst></a:blip>'
)
_FORM: Final = (
    '<a:xfrm><a:off x="0" y="0"/><a:ext cx="3000000" cy="3000000"/></a:xfrm><a:prstGeom prst="rect"/>'
)


def _drawing(blip: str) -> str:
    return (
        '<w:p><w:r><w:drawing><wp:inline><wp:extent cx="3000000" cy="3000000"/><wp:docPr id="1" name="p"/>'
        f'<a:graphic><a:graphicData uri="{_OOXML}/drawingml/2006/picture"><pic:pic><pic:nvPicPr><pic:cNvPr '
        f'id="1" name="p"/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill>{blip}<a:stretch><a:fillRect/>'
        f"</a:stretch></pic:blipFill><pic:spPr>{_FORM}</pic:spPr></pic:pic></a:graphicData></a:graphic>"
        "</wp:inline></w:drawing></w:r></w:p>"
    )


def _docx(body: str, rels: str = "", more: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    content = f"<w:document{_SPACES}><w:body>{body}</w:body></w:document>"
    return _package("word/document.xml", "wordprocessingml.document", content, rels, more or {})


def _docx_field(instruction: str) -> dict[str, bytes]:
    return _docx(f"<w:p><w:fldSimple w:instr='{instruction}'><w:r><w:t>old</w:t></w:r></w:fldSimple></w:p>")


def _docx_svg(address: str) -> dict[str, bytes]:
    rels = _relation("pixel", "image", "media/p.png") + _relation("svg", "image", "media/p.svg")
    more = {"word/media/p.png": _PIXEL, "word/media/p.svg": _svg(address).encode()}
    return _docx(_drawing(_BLIP_OF_SVG), rels, more)


def _docx_plain_svg(address: str) -> dict[str, bytes]:
    more = {"word/media/p.svg": _svg(address).encode()}
    return _docx(_drawing('<a:blip r:embed="svg"/>'), _relation("svg", "image", "media/p.svg"), more)


def _pptx(blip: str, rels: str, more: Mapping[str, bytes]) -> dict[str, bytes]:
    slide = (
        f'{_XML}<p:sld{_SPACES}><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/>'
        '<p:nvPr/></p:nvGrpSpPr><p:grpSpPr/><p:pic><p:nvPicPr><p:cNvPr id="2" name="p"/><p:cNvPicPr/>'
        "<p:nvPr/>"
        f"</p:nvPicPr><p:blipFill>{blip}<a:stretch><a:fillRect/></a:stretch></p:blipFill><p:spPr>{_FORM}"
        "</p:spPr></p:pic></p:spTree></p:cSld></p:sld>"
    )
    content = (
        f'<p:presentation{_SPACES}><p:sldIdLst><p:sldId id="256" r:id="s"/></p:sldIdLst><p:sldSz '
        'cx="9144000" cy="6858000"/><p:notesSz cx="6858000" cy="9144000"/></p:presentation>'
    )
    parts = {
        "ppt/slides/slide1.xml": slide.encode(),
        "ppt/slides/_rels/slide1.xml.rels": _relations(rels),
        **more,
    }
    first = _relation("s", "slide", "slides/slide1.xml")
    return _package("ppt/presentation.xml", "presentationml.presentation", content, first, parts)


def _pptx_svg(address: str) -> dict[str, bytes]:
    rels = _relation("pixel", "image", "../media/p.png") + _relation("svg", "image", "../media/p.svg")
    more = {"ppt/media/p.png": _PIXEL, "ppt/media/p.svg": _svg(address).encode()}
    return _pptx(_BLIP_OF_SVG, rels, more)


def _pptx_plain_svg(address: str) -> dict[str, bytes]:
    more = {"ppt/media/p.svg": _svg(address).encode()}
    return _pptx('<a:blip r:embed="svg"/>', _relation("svg", "image", "../media/p.svg"), more)


_AREA: Final = '<office:forms/><table:source-area xlink:href="{}" table:name="A1:B9"/>'


def _formula(formula: str) -> dict[str, bytes]:
    cell = f'<table:table-cell table:formula="{formula}" office:value-type="string"><text:p>old</text:p>'
    parts = _sheet("")
    space = ' xmlns:of="urn:oasis:names:tc:opendocument:xmlns:of:1.2" office:version'
    content = parts["content.xml"].decode().replace("<table:table-cell>", cell, 1)
    parts["content.xml"] = content.replace(" office:version", space, 1).encode()
    return parts


_LINKED: Final = '<a:blip r:link="out"/>'

_PACKAGES: Final[Mapping[str, Callable[[str], dict[str, bytes]]]] = {
    "odt paragraph": lambda a: _text(
        '<text:p text:style-name="P">text</text:p>',
        _styled(f"<style:paragraph-properties>{_background(a)}</style:paragraph-properties>"),
    ),
    "odt page": lambda a: _text("<text:p>text</text:p>", page=_background(a)),
    "odt page fill": lambda a: _filled(_text("<text:p>text</text:p>"), a),
    "odt bullet": lambda a: _text(_LIST, _IMAGE_BULLET.format(a)),
    "odt image": lambda a: _text(f"<text:p>{_frame(a)}</text:p>"),
    "odt section": lambda a: _text(_SECTION.format(a)),
    "odt svg": lambda a: _text(
        f"<text:p>{_frame('Pictures/p.svg')}</text:p>", extra={"Pictures/p.svg": _svg(a).encode()}
    ),
    "odt bitmap fill": lambda a: _text(
        '<text:p><draw:rect text:anchor-type="as-char" draw:style-name="G" svg:width="8cm" '
        'svg:height="8cm"/></text:p>',
        f'<draw:fill-image draw:name="fill" xlink:href="{a}" xlink:actuate="onLoad"/><style:style '
        'style:name="G" style:family="graphic"><style:graphic-properties draw:fill="bitmap" '
        'draw:fill-image-name="fill"/></style:style>',
    ),
    "odt applet": lambda a: _text(
        f"<text:p>{_frame(a).replace('draw:image', 'draw:floating-frame')}</text:p>"
    ),
    "odt plugin": lambda a: _text(f"<text:p>{_frame(a).replace('draw:image', 'draw:plugin')}</text:p>"),
    "odt ole": lambda a: _text(f"<text:p>{_frame(a).replace('draw:image', 'draw:object-ole')}</text:p>"),
    "odt dde": lambda a: _text(
        '<text:section text:name="s"><office:dde-source office:dde-application="soffice" '
        f'office:dde-topic="{a}" office:dde-item="x" office:automatic-update="true"/><text:p>old</text:p>'
        "</text:section>"
    ),
    "odt include": lambda a: _text(
        f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{a}" parse="text"/><text:p>x</text:p>'
    ),
    "ods link": lambda a: _sheet("", f"<text:p>{_frame(a)}</text:p>", _AREA.format(a)),
    "ods external": lambda a: _formula(f"of:=&apos;{a}&apos;#$T.A1"),
    "ods webservice": lambda a: _formula(f"of:=COM.MICROSOFT.WEBSERVICE(&quot;{a}&quot;)"),
    "ods dde": lambda a: _formula(f"of:=DDE(&quot;soffice&quot;;&quot;{a}&quot;;&quot;T.A1&quot;)"),
    "ods hyperlink": lambda a: _formula(f"of:=HYPERLINK(&quot;{a}&quot;)"),
    "odt object": lambda a: _text(f"<text:p>{_frame(a).replace('draw:image', 'draw:object')}</text:p>"),
    "ods image": lambda a: _sheet(_frame(a, "")),
    "ods source": lambda a: _sheet("", table=f'<table:table-source xlink:href="{a}" xlink:type="simple"/>'),
    "ods cell image": lambda a: _sheet("", f"<text:p>{_frame(a)}</text:p>"),
    "odp image": lambda a: _slide(_frame(a, "")),
    "odp page": lambda a: _filled(_slide(""), a),
    "odp page style": lambda a: _slide("", page=_background(a)),
    "odp svg": lambda a: _slide(_frame("Pictures/p.svg", ""), extra={"Pictures/p.svg": _svg(a).encode()}),
    "docx svg": _docx_svg,
    "docx svg alone": _docx_plain_svg,
    "docx link": lambda a: _docx(_drawing(_LINKED), _relation("out", "image", a, "External")),
    "docx part": lambda a: _docx('<w:altChunk r:id="out"/>', _relation("out", "aFChunk", a, "External")),
    "docx frame": lambda a: _docx(
        '<w:p/><w:sectPr/><w:subDoc r:id="out"/>', _relation("out", "subDocument", a, "External")
    ),
    "docx template": lambda a: _docx(
        "<w:p><w:r><w:t>x</w:t></w:r></w:p>", _relation("out", "attachedTemplate", a, "External")
    ),
    "docx ole": lambda a: _docx(
        '<w:p><w:r><w:object w:dxaOrig="3000" w:dyaOrig="3000"><o:OLEObject xmlns:o="urn:schemas-microsoft-'
        'com:office:office" Type="Link" ProgID="Paint.Picture" UpdateMode="Always" r:id="out"/></w:object>'
        "</w:r></w:p>",
        _relation("out", "oleObject", a, "External"),
    ),
    "docx vml": lambda a: _docx(
        '<w:p><w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml" style="width:300pt;height:300pt">'
        '<v:imagedata r:link="out" r:id="out"/></v:shape></w:pict></w:r></w:p>',
        _relation("out", "image", a, "External"),
    ),
    "docx dde": lambda a: _docx_field(f'DDEAUTO soffice "{a}" "x"'),
    "docx link field": lambda a: _docx_field(f'LINK Paint.Picture "{a}" "" \\a \\p'),
    "docx database": lambda a: _docx_field(f'DATABASE \\d "{a}"'),
    "docx includepicture": lambda a: _docx_field(f'INCLUDEPICTURE "{a}" \\d'),
    "docx includetext": lambda a: _docx_field(f'INCLUDETEXT "{a}"'),
    "pptx svg": _pptx_svg,
    "pptx svg alone": _pptx_plain_svg,
    "pptx link": lambda a: _pptx(_LINKED, _relation("out", "image", a, "External"), {}),
}

_RTF: Final[Mapping[str, Callable[[str], str]]] = {
    "includepicture": lambda a: rf'{{\field{{\*\fldinst INCLUDEPICTURE "{a}" \\d}}{{\fldrslt old}}}}',
    "includetext": lambda a: rf'{{\field{{\*\fldinst INCLUDETEXT "{a}"}}{{\fldrslt old}}}}',
    "dde": lambda a: rf'{{\field{{\*\fldinst DDEAUTO soffice "{a}" "x"}}{{\fldrslt old}}}}',
    "link": lambda a: rf'{{\field{{\*\fldinst LINK Paint.Picture "{a}" \\a \\p}}{{\fldrslt old}}}}',
    "template": lambda a: rf"{{\*\template {a}}}",
    "filetable": lambda a: rf"{{\*\filetbl{{\file\fid1 {a}}}}}{{\subdocument1}}",
    "import": lambda a: rf'{{\field{{\*\fldinst IMPORT "{a}"}}{{\fldrslt old}}}}',
}

_TABLES: Final[Mapping[str, Callable[[str], str]]] = {
    "formulas": lambda a: f'=\'{a}\'#$T.A1;=WEBSERVICE("{a}");=DDE("soffice";"{a}";"A1")\n',
}

VECTORS: Final = (
    *(f"csv {name}" for name in _TABLES),
    *(f"html {name}" for name in _HTML),
    *_PACKAGES,
    *(f"rtf {name}" for name in _RTF),
)


def write_leak(folder: Path, vector: str, address: str) -> Path:
    """Write the document of a vector that refers to an address."""
    suffix, _, name = vector.partition(" ")
    path = folder / f"{vector.replace(' ', '-')}.{suffix}"
    if suffix == "html":
        path.write_bytes(_HTML[name](address))
    elif suffix == "csv":
        path.write_text(_TABLES[name](address))
    elif suffix == "rtf":
        path.write_text(rf"{{\rtf1\ansi text {_RTF[name](address)}}}", encoding="ascii")
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, content in _PACKAGES[vector](address).items():
                archive.writestr(part, content)
    return path
