"""Finds an installed font for any font name in a rule, because the service's fonts are not available."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Final

from PIL import ImageFont

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError

_FIND: Final = ("fc-match", "--format", "%{file}\n%{index}\n")
_SECONDS: Final = 10
_FOLDER: Final = Path("/usr/share/fonts/truetype")
_CJK: Final = ("wqy/wqy-zenhei.ttc", "wqy/wqy-microhei.ttc", "arphic/uming.ttc")
_OTHER: Final = (
    "dejavu/DejaVuSans.ttf",
    "liberation2/LiberationSans-Regular.ttf",
    "liberation/LiberationSans-Regular.ttf",
)
_FIRST_CJK: Final = "\u2e80"


def font_for(name: str, size: int, text: str) -> ImageFont.FreeTypeFont:
    """Load the installed font that is nearest to a name like ``tahoma.ttf`` and has a text's characters.

    Without fontconfig, the font is one of a few known files. Raises ConversionError if none is installed.
    """
    family = re.sub(r"[^\w ]+", " ", re.sub(r"\.(ttf|ttc|otf)$", "", name, flags=re.IGNORECASE)).strip()
    # Sorted, so that texts with the same characters share an entry of the cache.
    path, index = _matching(family, "".join(sorted(set(text)))) or _known(text)
    return ImageFont.truetype(path, size, index=index)


@lru_cache(maxsize=256)
def _matching(family: str, characters: str) -> tuple[str, int] | None:
    """Ask fontconfig, which knows substitutes for the usual names and the characters of each font."""
    # Without the characters, fontconfig may choose a font that draws boxes for them.
    charset = " ".join(f"{ord(character):x}" for character in characters if not character.isspace())
    try:
        found = subprocess.run(
            [*_FIND, f"{family}:charset={charset}"], capture_output=True, check=True, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    path, index, *_ = [*found.stdout.decode(errors="replace").split("\n"), "", ""]
    # The upper 16 bits name a variant of a variable font.
    return (path, int(index) & 0xFFFF) if Path(path).is_file() and index.isdigit() else None


def _known(text: str) -> tuple[str, int]:
    names = (*_CJK, *_OTHER) if max(text) >= _FIRST_CJK else (*_OTHER, *_CJK)
    for name in names:
        if (_FOLDER / name).is_file():
            return str(_FOLDER / name), 0
    raise ConversionError(
        errors.UNSUPPORTED_RULE,
        "no font is installed to draw the text with; install fontconfig, fonts-dejavu-core, fonts-wqy-zenhei",
    )
