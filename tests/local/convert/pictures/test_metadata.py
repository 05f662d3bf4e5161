"""What imageInfo, exif and imageAve report about a picture."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from airflow_provider_ci.local.convert import ConversionError
from airflow_provider_ci.local.convert.pictures.metadata import QUERIES, exif, image_average, image_info


def test_image_info_is_all_text(tmp_path: Path) -> None:
    path = tmp_path / "in"
    Image.new("RGB", (40, 20), (16, 32, 255)).save(path, "PNG")
    assert image_info(path) == {
        "format": "png",
        "width": "40",
        "height": "20",
        "size": str(path.stat().st_size),
        "md5": hashlib.md5(path.read_bytes()).hexdigest(),
        "frame_count": "1",
        "photo_rgb": "0x1020FF",
    }


def test_image_info_counts_frames(tmp_path: Path) -> None:
    frames = [Image.new("L", (8, 8), value) for value in (0, 100, 200)]
    frames[0].save(tmp_path / "in", "GIF", save_all=True, append_images=frames[1:])
    told = image_info(tmp_path / "in")
    assert (told["format"], told["frame_count"]) == ("gif", "3")


def test_the_average_takes_transparent_parts_as_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 10, 5))
    picture.save(tmp_path / "in", "PNG")
    assert image_average(tmp_path / "in") == {"RGB": "0xFF7F7F"}


def test_exif_is_told_by_name(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x0110] = "X100"
    tags[0x0112] = 6
    tags.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    tags.get_ifd(0x8825)[0x0001] = "N"
    Image.new("RGB", (8, 8)).save(tmp_path / "in", "JPEG", exif=tags)
    assert exif(tmp_path / "in") == {
        "Model": {"val": "X100"},
        "Orientation": {"val": "6"},
        "DateTimeOriginal": {"val": "2026:01:02 03:04:05"},
        "GPSLatitudeRef": {"val": "N"},
    }


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("block", [b"", b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\x7f"])
def test_a_picture_without_readable_exif_says_so(block: bytes, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "in", "JPEG", exif=block)
    assert exif(tmp_path / "in") == {"error": "no exif data"}


@pytest.mark.parametrize("query", QUERIES)
def test_queries_refuse_what_is_no_picture(query: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"no picture")
    with pytest.raises(ConversionError) as caught:
        QUERIES[query](tmp_path / "in")
    assert caught.value.code == "DamagedFile"
