"""A rule determines the size, format, quality and orientation of its picture."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_ci.local.convert import ConversionError, PictureResult, RealConverters

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)
Process = Callable[..., PictureResult]


@pytest.fixture
def process(real: RealConverters, tmp_path: Path) -> Process:
    """Applies a rule to a picture and writes the result to ``tmp_path / "out"``."""
    return lambda source, rule: real.picture(source, rule, tmp_path / "out")


@pytest.fixture
def out(tmp_path: Path) -> Callable[[], Image.Image]:
    """Opens the result."""
    return lambda: Image.open(tmp_path / "out")


def _quarters(width: int = 400, height: int = 200) -> Image.Image:
    """A picture whose quarters are red, green, blue and white, clockwise from the top left."""
    picture = Image.new("RGB", (width, height), WHITE)
    picture.paste(RED, (0, 0, width // 2, height // 2))
    picture.paste(GREEN, (width // 2, 0, width, height // 2))
    picture.paste(BLUE, (width // 2, height // 2, width, height))
    return picture


def _corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colours near the corners, clockwise from the top left."""
    width, height = picture.size
    inset = 4
    points = [
        (inset, inset),
        (width - inset, inset),
        (width - inset, height - inset),
        (inset, height - inset),
    ]
    return [picture.convert("RGB").getpixel(point) for point in points]  # type: ignore[misc]  # a tuple in RGB


def _is_near(colour: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(one - other) < 30 for one, other in zip(colour, wanted, strict=True))


def _same(colours: list[tuple[int, ...]], wanted: list[tuple[int, ...]]) -> bool:
    return all(_is_near(colour, want) for colour, want in zip(colours, wanted, strict=True))


@pytest.fixture
def jpg(tmp_path: Path) -> Path:
    path = tmp_path / "quarters.jpg"
    _quarters().save(path, quality=90)
    return path


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "quarters.png"
    _quarters().save(path)
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(
    ("argument", "size"),
    [
        ("!50p", (200, 100)),
        ("!150p", (600, 300)),
        ("!50px", (200, 200)),
        ("!x50p", (400, 100)),
        ("100x", (100, 50)),
        ("x100", (200, 100)),
        ("800x", (800, 400)),
        ("100x100", (100, 50)),
        ("800x800", (800, 400)),
        ("100x100>", (100, 50)),
        ("800x800>", (400, 200)),
        ("800x800<", (800, 400)),
        ("100x100<", (400, 200)),
        ("!100x100r", (200, 100)),
        ("100x100!", (100, 100)),
        ("20000@", (200, 100)),
        ("9000000@", (400, 200)),
        ("1x", (1, 1)),
    ],
)
def test_thumbnail_in_all_its_forms(
    suffix: str, argument: str, size: tuple[int, int], jpg: Path, process: Process, out: Any
) -> None:
    source = jpg if suffix == "jpg" else jpg.with_suffix(".png")
    _quarters().save(source)
    result = process(source, f"imageMogr2/thumbnail/{argument}")
    with out() as picture:
        assert picture.size == size == (result.output.width, result.output.height)


def test_a_padded_thumbnail_is_centred_on_its_colour(png: Path, process: Process, out: Any) -> None:
    colour = base64.urlsafe_b64encode(b"#0000FF").decode().rstrip("=")
    process(png, f"imageMogr2/thumbnail/100x100/pad/1/color/{colour}")
    with out() as picture:
        assert picture.size == (100, 100)
        assert _same(_corners(picture), [BLUE] * 4)
        assert _is_near(picture.getpixel((10, 30)), RED)
    process(png, "imageMogr2/thumbnail/100x100/pad/1")
    with out() as picture:
        assert _same(_corners(picture), [WHITE] * 4)


@pytest.mark.parametrize(
    ("rule", "size", "corners"),
    [
        ("cut/200x100x200x0", (200, 100), [GREEN] * 4),
        ("cut/100x100x150x50", (100, 100), [RED, GREEN, BLUE, WHITE]),
        ("crop/200x", (200, 200), [RED, RED, WHITE, WHITE]),
        ("crop/x100", (400, 100), [RED, GREEN, GREEN, RED]),
        ("crop/200x100", (200, 100), [RED] * 4),
        ("crop/200x100/gravity/southeast", (200, 100), [BLUE] * 4),
        ("crop/200x100/gravity/Center", (200, 100), [RED, GREEN, BLUE, WHITE]),
        ("crop/200x100/gravity/northeast", (200, 100), [GREEN] * 4),
        ("rotate/90", (200, 400), [WHITE, RED, GREEN, BLUE]),
        ("rotate/180", (400, 200), [BLUE, WHITE, RED, GREEN]),
        ("rotate/270", (200, 400), [GREEN, BLUE, WHITE, RED]),
        ("rotate/0", (400, 200), [RED, GREEN, BLUE, WHITE]),
        ("rotate/360", (400, 200), [RED, GREEN, BLUE, WHITE]),
        ("flip/vertical", (400, 200), [WHITE, BLUE, GREEN, RED]),
        ("flip/horizontal", (400, 200), [GREEN, RED, WHITE, BLUE]),
    ],
)
def test_parts_turns_and_mirrors(
    rule: str, size: tuple[int, int], corners: list[tuple[int, ...]], png: Path, process: Process, out: Any
) -> None:
    process(png, f"imageMogr2/{rule}")
    with out() as picture:
        assert picture.size == size
        assert _same(_corners(picture), corners)


def test_an_odd_turn_widens_the_canvas_and_fills_it_white(png: Path, process: Process, out: Any) -> None:
    process(png, "imageMogr2/rotate/45")
    with out() as picture:
        assert picture.size == pytest.approx((424, 424), abs=3)
        assert _same(_corners(picture), [WHITE] * 4)


@pytest.mark.parametrize(
    ("mode", "sides", "size"),
    [
        (1, "w/100/h/100", (100, 100)),
        (1, "w/100", (100, 100)),
        (2, "w/100/h/100", (100, 50)),
        (2, "h/100", (200, 100)),
        (2, "w/800", (400, 200)),
        (3, "w/100/h/100", (200, 100)),
        (3, "h/100", (200, 100)),
        (4, "w/100/h/80", (160, 80)),
        (5, "w/100/h/80", (100, 80)),
        (5, "w/90", (90, 90)),
    ],
)
def test_quick_templates(
    mode: int, sides: str, size: tuple[int, int], png: Path, process: Process, out: Any
) -> None:
    process(png, f"imageView2/{mode}/{sides}")
    with out() as picture:
        assert picture.size == size


def test_quick_templates_measure_a_portrait_by_its_long_side(png: Path, process: Process, out: Any) -> None:
    _quarters(200, 400).save(png)
    process(png, "imageView2/5/w/100/h/80")
    with out() as picture:
        assert picture.size == (80, 100)


def test_a_quick_template_sets_format_and_quality(png: Path, process: Process, out: Any) -> None:
    result = process(png, "imageView2/1/w/100/h/100/format/jpg/q/40")
    assert (result.output.format, result.output.quality) == ("jpeg", 40)


@pytest.mark.parametrize(
    ("name", "written"),
    [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"), ("gif", "GIF"), ("bmp", "BMP")],
)
def test_formats_are_written_and_told(name: str, written: str, png: Path, process: Process, out: Any) -> None:
    result = process(png, f"imageMogr2/format/{name}")
    with out() as picture:
        assert picture.format == written
        assert result.output.format == written.lower()
        assert _same(_corners(picture), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize(
    ("source", "told"), [("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif"), ("BMP", "bmp")]
)
def test_the_format_stays_without_a_rule_for_it(
    source: str, told: str, tmp_path: Path, process: Process
) -> None:
    _quarters().save(tmp_path / "in", source)
    result = process(tmp_path / "in", "imageMogr2/thumbnail/!50p")
    assert (result.original.format, result.output.format) == (told, told)


def test_transparency_lands_on_white_where_the_format_has_none(
    tmp_path: Path, process: Process, out: Any
) -> None:
    Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    process(tmp_path / "clear.png", "imageMogr2/format/jpg")
    with out() as picture:
        assert _same(_corners(picture), [WHITE] * 4)
    process(tmp_path / "clear.png", "imageMogr2/thumbnail/25x/blur/3x2/sharpen/70/bright/10")
    with out() as picture:
        assert (picture.mode, picture.getpixel((10, 10))[3]) == ("RGBA", 0)


@pytest.mark.parametrize(
    ("rule", "quality"),
    [
        ("quality/50", 50),
        ("quality/95", 90),
        ("quality/95!", 95),
        ("rquality/50", 45),
        ("lquality/95", 95),
        ("lquality/50", 90),
        ("strip", 90),
        ("quality/30/lquality/60", 60),
    ],
)
def test_quality_follows_the_original(rule: str, quality: int, jpg: Path, process: Process) -> None:
    result = process(jpg, f"imageMogr2/{rule}")
    assert (result.original.quality, result.output.quality) == (90, quality)


def test_interlace_makes_a_progressive_jpg(jpg: Path, process: Process, out: Any) -> None:
    process(jpg, "imageMogr2/interlace/1")
    with out() as picture:
        assert picture.info.get("progressive")
    process(jpg, "imageMogr2/interlace/0")
    with out() as picture:
        assert not picture.info.get("progressive")


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A jpg with the EXIF mark "show turned by 90 degrees", as phones write it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    path = tmp_path / "turned.jpg"
    _quarters().save(path, quality=90, exif=exif)
    return path


def test_the_exif_orientation_stays_unless_told_otherwise(turned: Path, process: Process, out: Any) -> None:
    result = process(turned, "imageMogr2/thumbnail/!50p")
    assert (result.original.orientation, result.output.orientation) == (6, 6)
    with out() as picture:
        assert picture.size == (200, 100)


def test_auto_orient_turns_the_pixels(turned: Path, process: Process, out: Any) -> None:
    result = process(turned, "imageMogr2/auto-orient")
    assert result.output.orientation == 0
    with out() as picture:
        assert picture.size == (200, 400)
        assert _same(_corners(picture), [WHITE, RED, GREEN, BLUE])
        assert picture.getexif()[0x010E] == "a description"


def test_strip_drops_all_metadata(turned: Path, process: Process, out: Any) -> None:
    assert process(turned, "imageMogr2/strip").output.orientation == 0
    with out() as picture:
        assert dict(picture.getexif()) == {}


def test_tones_change_the_pixels_as_named(png: Path, process: Process, out: Any) -> None:
    Image.linear_gradient("L").convert("RGB").save(png)

    def middle(rule: str) -> tuple[str, int]:
        process(png, f"imageMogr2/{rule}")
        with out() as picture:
            pixel = picture.getpixel((128, 100))
            return picture.mode, pixel if isinstance(pixel, int) else pixel[0]

    assert middle("bright/50") == ("RGB", 150)
    assert middle("bright/-50") == ("RGB", 50)
    assert middle("contrast/-100")[1] == pytest.approx(127, abs=2)
    assert middle("contrast/50")[1] < 100
    assert middle("grayscale/1") == ("L", 100)
    assert middle("grayscale/0") == ("RGB", 100)


def test_blur_softens_and_sharpen_hardens_an_edge(png: Path, process: Process, out: Any) -> None:
    def step(rule: str) -> int:
        process(png, rule)
        with out() as picture:
            return int(picture.getpixel((198, 50))[0]) - int(picture.getpixel((202, 50))[0])

    soft = Image.new("RGB", (400, 200), (180, 180, 180))
    soft.paste((60, 60, 60), (200, 0, 400, 200))
    soft.save(png)
    assert step("imageMogr2/blur/20x8") < 60 < step("imageMogr2/strip")
    assert step("imageMogr2/blur/5x2|imageMogr2/sharpen/300") > step("imageMogr2/blur/5x2")


def test_a_pipeline_runs_from_left_to_right(png: Path, process: Process, out: Any) -> None:
    process(png, "imageMogr2/crop/200x100|imageMogr2/thumbnail/50x50!/rotate/90|imageView2/2/w/25/format/jpg")
    with out() as picture:
        assert (picture.format, picture.size) == ("JPEG", (25, 25))
        assert _same(_corners(picture), [RED] * 4)


@pytest.fixture
def animation(tmp_path: Path) -> Path:
    path = tmp_path / "frames.gif"
    frames = [Image.new("RGB", (60, 40), colour) for colour in (RED, GREEN, BLUE)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 200, 300], loop=0)
    return path


@pytest.mark.parametrize("name", ["gif", "webp"])
def test_an_animation_keeps_its_frames(name: str, animation: Path, process: Process, out: Any) -> None:
    process(animation, f"imageMogr2/thumbnail/30x/format/{name}")
    with out() as picture:
        assert (picture.size, picture.n_frames, picture.info["loop"]) == ((30, 20), 3, 0)
        colours, durations = [], []
        for index in range(3):
            picture.seek(index)
            picture.load()
            durations.append(picture.info["duration"])
            colours.append(picture.convert("RGB").getpixel((15, 10)))
        assert _same(colours, [RED, GREEN, BLUE])
        assert durations == [100, 200, 300]


def test_other_formats_take_the_first_frame(animation: Path, process: Process, out: Any) -> None:
    process(animation, "imageMogr2/format/png")
    with out() as picture:
        assert getattr(picture, "n_frames", 1) == 1
        assert _same(_corners(picture), [RED] * 4)


def test_the_result_tells_of_both_pictures(png: Path, process: Process, tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (16, 32, 255)).save(png)
    result = process(png, "imageMogr2/thumbnail/20x")
    assert (result.original.width, result.original.height, result.original.ave) == (40, 20, "0x1020FF")
    assert result.original.size == png.stat().st_size
    assert result.output.size == (tmp_path / "out").stat().st_size


def _refused(process: Process, source: Path, rule: str, tmp_path: Path) -> ConversionError:
    before = set(tmp_path.iterdir())
    with pytest.raises(ConversionError) as caught:
        process(source, rule)
    assert set(tmp_path.iterdir()) == before
    return caught.value


@pytest.mark.parametrize("mode", ["CMYK", "L", "1", "P", "I;16", "LA", "F"])
def test_pictures_of_every_mode_are_read(mode: str, tmp_path: Path, process: Process, out: Any) -> None:
    path = tmp_path / "in.tif"
    (Image.new("I;16", (40, 20)) if mode == "I;16" else _quarters(40, 20).convert(mode)).save(path, "TIFF")
    process(path, "imageMogr2/thumbnail/20x/blur/1x1/bright/5/rotate/10/format/jpg")
    with out() as picture:
        assert picture.format == "JPEG"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("imageMogr2/crop/500x", "InvalidRule"),
        ("imageMogr2/cut/400x200x1x0", "InvalidRule"),
        ("imageMogr2/thumbnail/!1000p|imageMogr2/thumbnail/!1000p", "ImageTooLarge"),
    ],
)
def test_a_step_that_does_not_fit_the_picture_is_named(
    rule: str, code: str, png: Path, process: Process, tmp_path: Path
) -> None:
    error = _refused(process, png, rule, tmp_path)
    assert error.code == code
    assert error.message.startswith("step ")


def test_ignore_error_gives_the_source_instead(png: Path, process: Process, tmp_path: Path) -> None:
    result = process(png, "imageMogr2/crop/500x/ignore-error/1")
    assert (tmp_path / "out").read_bytes() == png.read_bytes()
    assert result.output == result.original


def test_hostile_pictures_are_refused(tmp_path: Path, process: Process, jpg: Path) -> None:
    files = {
        "empty": (b"", "EmptyFile"),
        "noise": (bytes(range(256)) * 40, "DamagedFile"),
        "cut": (jpg.read_bytes()[:600], "DamagedFile"),
        "text": (b"<svg/>", "DamagedFile"),
    }
    for name, (content, code) in files.items():
        (tmp_path / name).write_bytes(content)
        assert _refused(process, tmp_path / name, "imageMogr2/thumbnail/20x", tmp_path).code == code


def test_a_picture_bomb_is_refused_by_its_header(tmp_path: Path, process: Process) -> None:
    Image.new("1", (29_000, 29_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 300_000
    error = _refused(process, tmp_path / "bomb.png", "imageMogr2/thumbnail/20x", tmp_path)
    assert error.code == "ImageTooLarge"
    assert "29000 x 29000" in error.message


def test_a_picture_over_32_megabytes_is_refused(tmp_path: Path, process: Process) -> None:
    with (tmp_path / "big.jpg").open("wb") as stream:
        stream.truncate(32 * 1024**2 + 1)
    assert _refused(process, tmp_path / "big.jpg", "imageMogr2/strip", tmp_path).code == "FileTooLarge"
