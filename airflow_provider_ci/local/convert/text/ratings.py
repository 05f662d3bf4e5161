"""Rates how plausible a text is in a script, from 0 to 1, by its characters and the shape of its words."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable
from typing import Final

from airflow_provider_ci.local.convert.text import characters
from airflow_provider_ci.local.convert.text.words import PLAIN_SIGNS, VOWELS, WORD, has_plausible_words

Rate = Callable[[str], float]

_CASES: Final = (str.islower, str.isupper)
_LETTERS_OF_A_SENTENCE: Final = 60
_FEWEST_LETTERS: Final = 4
_LETTERS_OF_A_PHRASE: Final = 10
# The largest share of Asian characters that may stand next to Latin letters, alone or in pairs.
_MOST_ODD: Final = 0.15
_ASCII_WORD: Final = re.compile(r"[A-Za-z0-9]")
_ODD_RUN: Final = re.compile(r"(?<=[a-z])[^\x00-\x7f]{1,2}|[^\x00-\x7f]{1,2}(?=[a-z])")


def _mean(text: str, worth: Callable[[str], float]) -> float:
    signs = [sign for sign in text if sign > "\x7f"]
    return sum(map(worth, signs)) / len(signs) if signs else 0.0


def _row(sign: str, encoding: str) -> int:
    """Return the row of a character in a national character set, or 0 if the set does not have it."""
    try:
        return sign.encode(encoding)[0]
    except UnicodeError:
        return 0


def _is_cjk_sign(sign: str) -> bool:
    return "\u3000" <= sign <= "\u303f" or "\uff01" <= sign <= "\uff5e" or sign in "—…·“”‘’①②③×¥°℃"


def _common_share(text: str, common: frozenset[str]) -> float:
    letters = [sign for sign in text if sign > "\x7f" and sign.isalpha()]
    if not letters:
        return 0.0
    # Even in a wrong reading, half of the characters of a short text may be common by chance.
    typical = 0.9 if len(letters) < _LETTERS_OF_A_PHRASE else 0.5
    return min(1.0, sum(sign in common for sign in letters) / len(letters) / typical)


def _has_kana(text: str) -> bool:
    return any("\u3041" <= sign <= "\u30fa" for sign in text)


def _in_characters(rate: Rate) -> Rate:
    """Rate a text in Asian characters; the result is 0 if too many stand next to Latin letters."""

    def rated(text: str) -> float:
        count = sum(sign > "\x7f" for sign in text)
        odd = sum(map(len, _ODD_RUN.findall(text)))
        if count < 2 or odd > _MOST_ODD * count:
            return 0.0
        return rate(text) * min(1.0, 0.6 + 0.08 * count)

    return rated


@_in_characters
def simplified(text: str) -> float:
    """Rate a Chinese text in simplified characters."""
    # Kana show that the text is Japanese.
    if _has_kana(text):
        return 0.0

    def worth(sign: str) -> float:
        row = _row(sign, "gb2312")
        # Rows B0 to D7 of GB 2312 hold the common characters, later rows the rare ones.
        return 1.0 if _is_cjk_sign(sign) or 0xB0 <= row <= 0xD7 else 0.4 if row >= 0xB0 else 0.0

    return 0.65 * _mean(text, worth) + 0.35 * _common_share(text, characters.HANZI)


@_in_characters
def traditional(text: str) -> float:
    """Rate a Chinese text in traditional characters."""
    if _has_kana(text):
        return 0.0

    def worth(sign: str) -> float:
        row = _row(sign, "big5")
        # Rows A4 to C6 of Big5 hold the common characters.
        return 1.0 if _is_cjk_sign(sign) or 0xA4 <= row <= 0xC6 else 0.3 if row >= 0xC9 else 0.0

    return 0.65 * _mean(text, worth) + 0.35 * _common_share(
        text, characters.HANZI | characters.HANZI_TRADITIONAL
    )


def japanese(half_width: float) -> Rate:
    """Return a rating of Japanese texts; ``half_width`` is the worth of a half-width kana, from 0 to 1."""

    def rate(text: str) -> float:
        has_kana = _has_kana(text)

        def worth(sign: str) -> float:
            if _is_cjk_sign(sign) or "\u3041" <= sign <= "\u30fe":
                return 1.0
            if "\uff61" <= sign <= "\uff9f":
                return half_width
            # Rows B0 to CF of JIS hold the common characters.
            return 1.0 if 0xB0 <= _row(sign, "euc_jp") <= 0xCF else 0.3

        if not has_kana:
            return 0.65 * _mean(text, worth) + 0.35 * _common_share(text, characters.KANJI)
        # A text in another encoding seldom reads as a row of kana.
        letters = [sign for sign in text if sign > "\x7f" and sign.isalpha()]
        kana = sum("\u3041" <= sign <= "\u30fe" for sign in letters)
        return _mean(text, worth) * (1.2 if kana >= 5 and kana >= 0.3 * len(letters) else 1.0)

    return _in_characters(rate)


@_in_characters
def korean(text: str) -> float:
    """Rate a Korean text."""

    def worth(sign: str) -> float:
        if "\uac00" <= sign <= "\ud7a3":
            # cp949 adds seldom used syllables to EUC-KR.
            return 1.0 if _row(sign, "euc_kr") else 0.2
        return 1.0 if _is_cjk_sign(sign) else 0.1

    return 0.5 * _mean(text, worth) + 0.5 * _common_share(text, characters.HANGUL)


def any_of(*rates: Rate) -> Rate:
    """Return a rating that is the highest of the given ratings."""
    return lambda text: max(rate(text) for rate in rates)


def seldom(rate: Rate, share: float) -> Rate:
    """Return a rating lowered to ``share``, for an encoding that is seldom used."""
    return lambda text: share * rate(text)


def of_script(script: str, common: frozenset[str], typical: float, *, is_rare: bool = False) -> Rate:
    """Return a rating of texts in an alphabet, by the form and case of words and by common letters.

    ``typical`` is the share of the ``common`` letters in a normal text. With ``is_rare``, for a seldom used
    encoding, only a longer text gets a high rating. A Cyrillic text with letters of one case rates lower,
    because another encoding of the script has the capital letters where this one has the small letters.
    """
    one_case = 0.8 if script == "CYRILLIC" else 1.0

    def rate(text: str) -> float:
        letters = [sign.lower() for sign in text if sign > "\x7f" and sign.isalpha() and sign != "µ"]
        signs = {sign for sign in set(text) if sign > "\x7f" and unicodedata.category(sign)[0] not in "LM"}
        if len(letters) < _FEWEST_LETTERS or not signs <= PLAIN_SIGNS:
            return 0.0
        # The script is checked before the words, because this check is fast and rejects most wrong readings.
        if any(not unicodedata.name(sign, "").startswith(script) for sign in set(letters)):
            return 0.0
        if not has_plausible_words(text):
            return 0.0
        if script == "THAI" and sum(sign in characters.THAI_VOWELS for sign in text) < len(letters) / 4:
            return 0.0
        share = sum(sign in common for sign in letters) / len(letters)
        rare = sum(sign in characters.RARE for sign in letters) / len(letters)
        length = min(1.0, 0.2 + 0.08 * len(letters)) if is_rare else min(1.0, 0.25 + 0.15 * len(letters))
        has_small, has_capital = (any(test(sign) for sign in text if sign > "\x7f") for test in _CASES)
        is_all_small = has_small and not has_capital and len(letters) > _LETTERS_OF_A_SENTENCE
        case = one_case if not has_small or is_all_small else 1.0
        return min(1.0, share / typical) * length * case * (1 - min(0.5, 3 * rare))

    return rate


def in_alphabets(alphabets: tuple[str, ...], base: float) -> Rate:
    """Return a rating of texts in Latin letters; their accented letters must fit one of the alphabets."""

    def rate(text: str) -> float:
        unusual = {sign for sign in set(text) if sign > "\x7f" and sign not in PLAIN_SIGNS}
        # The small form of the Turkish capital I with a dot has two characters, an i and a combining dot.
        lower = {small for sign in unusual for small in sign.lower()}
        if not any(lower.issubset(alphabet) for alphabet in alphabets):
            return 0.0
        if not _ASCII_WORD.search(text) or not has_plausible_words(text):
            return 0.0
        return base * _alternation(text)

    return rate


def _alternation(text: str) -> float:
    """Return how regularly vowels and consonants alternate around accented letters, from 0.5 to 1."""
    words = WORD.findall(text.lower().replace("µ", " "))
    pairs = [
        (first in VOWELS) != (second in VOWELS) or first + second in characters.PAIRS
        for word in words
        for first, second in itertools.pairwise(word)
        if not (first.isascii() and second.isascii())
    ]
    alone = sum(len(word) == 1 and not word.isascii() and word not in "àâéèóòúùyåö" for word in words)
    count = len(pairs) + alone
    return 0.5 + 0.5 * sum(pairs) / count if count else 1.0
