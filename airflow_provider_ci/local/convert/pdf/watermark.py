"""Lays a picture over every page of a PDF, once or tiled. Runs in a worker process, because of PDFium."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pypdfium2
from PIL import Image

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.pdf.drawing import open_pdf
from airflow_provider_ci.local.convert.pictures.reading import in_srgb, open_picture
from airflow_provider_ci.local.convert.pictures.rules.operations import Placement
from airflow_provider_ci.local.convert.pictures.watermark import layers

MAX_PAGES: Final = 1000
_OPAQUE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WatermarkOptions:
    """The picture's distance from the left and the upper edge, or the gaps between tiles, in points."""

    dx: int = 0
    dy: int = 0
    batch: bool = False
    horizontal_spacing: int = 0
    vertical_spacing: int = 0


def lay_over(request: dict[str, Any]) -> dict[str, Any]:
    """Lay ``image`` over each page of the PDF ``source``, write ``target``; return the number of pages."""
    options = WatermarkOptions(**request["options"])
    stamp = _stamp(Path(request["image"]))
    with open_pdf(Path(request["source"]), "") as document:
        if len(document) > MAX_PAGES:
            raise ConversionError(
                errors.FILE_TOO_LARGE, f"the PDF has {len(document)} pages; the limit is {MAX_PAGES}"
            )
        for index in range(len(document)):
            _mark(document, index, stamp, options)
        document.save(Path(request["target"]))
        return {"pages": len(document)}


def _stamp(path: Path) -> Image.Image:
    with open_picture(path, "the watermark image") as image:
        try:
            return in_srgb(image).convert("RGBA")
        except (OSError, SyntaxError, ValueError) as error:
            message = "the watermark image is cut off or damaged"
            raise ConversionError(errors.DAMAGED_FILE, message) from error


def _mark(document: pypdfium2.PdfDocument, index: int, stamp: Image.Image, options: WatermarkOptions) -> None:
    try:
        page = document[index]
        width, height = page.get_size()
        # Assumed: a pixel of the picture is a point of the page.
        picture, left, top = _placed(stamp, (max(1, round(width)), max(1, round(height))), options)
        image = pypdfium2.PdfImage.new(document)
        image.set_bitmap(pypdfium2.PdfBitmap.from_pil(picture))
        # PDF measures positions from the lower left corner.
        bottom = height - top - picture.height
        image.set_matrix(pypdfium2.PdfMatrix().scale(picture.width, picture.height).translate(left, bottom))
        page.insert_obj(image)
        # Without this PDFium does not save the new object.
        page.gen_content()
        page.close()
    except pypdfium2.PdfiumError as error:
        raise ConversionError(errors.DAMAGED_FILE, f"page {index + 1} of the PDF cannot be read") from error


def _placed(
    stamp: Image.Image, size: tuple[int, int], options: WatermarkOptions
) -> tuple[Image.Image, int, int]:
    """Return the picture for a page, and its distance from the left and the upper edge in points."""
    if not options.batch:
        return stamp, options.dx, options.dy
    gaps = Placement(batch=True, dx=options.horizontal_spacing, dy=options.vertical_spacing, dissolve=_OPAQUE)
    ground = Image.new("RGBA", size)
    for tile, corner in layers(stamp, size, gaps):
        ground.alpha_composite(tile, corner)
    return ground, 0, 0
