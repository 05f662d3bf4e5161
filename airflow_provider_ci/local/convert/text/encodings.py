r"""Guesses the encoding of a text without a byte order mark, if one is clearly more plausible than others.

charset-normalizer ranks long texts well, but cannot judge a single word like ``b"Fran\xe7ois"``. So the text
is decoded in each candidate encoding, and each reading is also rated by the script of its encoding. Old
encodings of DOS and Macintosh are candidates, too. Hardly any text is in one of them, but a text that could
be in one of them has no certain encoding.
"""

from __future__ import annotations

import codecs
import unicodedata
from dataclasses import dataclass
from typing import Final

import charset_normalizer

from airflow_provider_ci.local.convert.text import characters, ratings
from airflow_provider_ci.local.convert.text.ratings import Rate, in_alphabets, of_script, seldom

_CERTAIN: Final = 0.6
_MARGIN: Final = 0.15
_NO_SIGNS: Final = ("Cc", "Co", "Cn", "Cs")
_SURE_LANGUAGE: Final = 0.3
SAMPLE_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class _Reading:
    encoding: str
    text: str
    score: float


def guess(content: bytes) -> str | None:
    """Return the encoding of a text that has no mark and is not UTF-8, or None if no encoding is certain."""
    sample = content[:SAMPLE_BYTES]
    best, others = _best_and_rivals(sample)
    if best is None:
        return None
    if all(other.score <= best.score - _MARGIN for other in others):
        return best.encoding if best.score >= _CERTAIN else None
    return _by_language(sample, [best, *others])


def guess_wide(content: bytes) -> str | None:
    """Return the encoding of an unmarked text with two or four bytes per character; None if uncertain."""
    sample = content[: SAMPLE_BYTES - SAMPLE_BYTES % 4]
    readings = [reading for name in _WIDE if (reading := _read(sample, name, _rate_wide))]
    best = max(readings, key=lambda reading: reading.score, default=None)
    if best is None or best.score < _CERTAIN:
        return None
    is_clear = all(other is best or other.score <= best.score - _MARGIN for other in readings)
    return best.encoding if is_clear else None


def _rate_wide(text: str) -> float:
    """Rate a text in any script; bytes in the wrong order give a mix of scripts, which rates low."""
    common = sum(sign.isascii() for sign in text) / max(1, len(text))
    return max(common, *(rate(text) for rate in set(_RATES.values())))


def _best_and_rivals(sample: bytes) -> tuple[_Reading | None, list[_Reading]]:
    """Return the best reading, and all readings whose text differs from it."""
    readings = sorted(
        (reading for encoding, rate in _RATES.items() if (reading := _read(sample, encoding, rate))),
        key=lambda reading: -reading.score,
    )
    if not readings:
        return None, []
    best = readings[0]
    return best, [reading for reading in readings[1:] if reading.text != best.text]


def _by_language(sample: bytes, readings: list[_Reading]) -> str | None:
    """Let charset-normalizer choose between plausible readings, if it recognises the language of one."""
    matches = charset_normalizer.from_bytes(sample, cp_isolation=[reading.encoding for reading in readings])
    ranked = sorted(matches, key=lambda match: -match.coherence)
    if not ranked or ranked[0].coherence < _SURE_LANGUAGE:
        return None
    if len(ranked) > 1 and ranked[1].coherence > ranked[0].coherence / 2 and str(ranked[1]) != str(ranked[0]):
        return None
    names = {codecs.lookup(reading.encoding).name: reading for reading in readings}
    chosen = names.get(codecs.lookup(ranked[0].encoding).name)
    return chosen.encoding if chosen and chosen.score >= readings[0].score - 2 * _MARGIN else None


def _read(sample: bytes, encoding: str, rate: Rate) -> _Reading | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(sample)  # a sample may end within a character
    except UnicodeError:
        return None
    # Control characters and unassigned ones show that the reading is wrong.
    if any(unicodedata.category(sign) in _NO_SIGNS and sign not in "\t\n\r\f\v\x1b" for sign in set(text)):
        return None
    score = rate(text)
    return _Reading(encoding, text, score) if score > 0 else None


_CYRILLIC: Final = of_script("CYRILLIC", characters.CYRILLIC, 0.65)
_RARE_CYRILLIC: Final = of_script("CYRILLIC", characters.CYRILLIC, 0.65, is_rare=True)
_GREEK: Final = of_script("GREEK", characters.GREEK, 0.8)
_HEBREW: Final = of_script("HEBREW", characters.HEBREW, 0.75)
_ARABIC: Final = of_script("ARABIC", characters.ARABIC, 0.7)
_WESTERN: Final = in_alphabets(characters.WESTERN_ALPHABETS, 1.0)
_CENTRAL: Final = in_alphabets(characters.CENTRAL_ALPHABETS, 0.95)
_BALTIC: Final = in_alphabets(characters.BALTIC_ALPHABETS, 0.85)
_TURKISH: Final = in_alphabets(characters.TURKISH_ALPHABETS, 0.95)
_CJK: Final = ratings.any_of(ratings.simplified, ratings.traditional, ratings.japanese(0.3), ratings.korean)

_WIDE: Final = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_RATES: Final[dict[str, Rate]] = {
    "gb18030": ratings.simplified,
    "big5": ratings.traditional,
    # In Shift JIS half of the bytes above ASCII are half-width kana, so they prove little.
    "cp932": ratings.japanese(0.3),
    "euc_jp": seldom(ratings.japanese(0.9), 0.94),
    "cp949": ratings.korean,
    "cp1251": _CYRILLIC,
    "koi8_r": _CYRILLIC,
    "koi8_u": seldom(_CYRILLIC, 0.95),
    "iso8859_5": _RARE_CYRILLIC,
    "cp866": _RARE_CYRILLIC,
    "mac_cyrillic": _RARE_CYRILLIC,
    "cp1253": _GREEK,
    "iso8859_7": _GREEK,
    "cp737": seldom(_GREEK, 0.9),
    "mac_greek": seldom(_GREEK, 0.85),
    "cp1255": _HEBREW,
    "cp862": seldom(_HEBREW, 0.9),
    "cp1256": _ARABIC,
    "iso8859_6": seldom(_ARABIC, 0.95),
    "cp874": of_script("THAI", characters.THAI, 0.6),
    "cp1252": _WESTERN,
    "iso8859_15": seldom(_WESTERN, 0.95),
    "cp850": seldom(_WESTERN, 0.85),
    "cp437": seldom(_WESTERN, 0.85),
    "cp865": seldom(_WESTERN, 0.85),
    "mac_roman": seldom(_WESTERN, 0.85),
    "cp1250": _CENTRAL,
    "iso8859_2": _CENTRAL,
    "cp852": seldom(_CENTRAL, 0.9),
    "mac_latin2": seldom(_CENTRAL, 0.85),
    "cp1257": _BALTIC,
    "cp1254": _TURKISH,
    "cp857": seldom(_TURKISH, 0.9),
    "utf-16-le": seldom(_CJK, 0.95),
    "utf-16-be": seldom(_CJK, 0.9),
}
