"""Finds words and signs that no language would write: they show that a text was decoded wrongly."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable
from typing import Final

from airflow_provider_ci.local.convert.text.characters import BEFORE_A_LETTER, CYRILLIC_WORDS, ONLY_AT_ENDS

WORD: Final = re.compile(r"[^\W\d_]+")
VOWELS: Final = frozenset("aeiouyàâäæèéêëîïôöœùûüáíóúãõìòåøýąęěůőűăůıāēīōūėįų\u0307")
_ALL_VOWELS: Final = VOWELS | frozenset("аеёиоуыэюяіїєαεηιουωάέήίόύώϊϋΐΰ")
_SCRIPTS_WITH_VOWELS: Final = ("LATIN", "CYRILLIC", "GREEK")
_LATIN_WORDS: Final = frozenset("àáéèêíóòôúyåöäæø")
# One word in fifty may look wrong.
_WORDS_PER_ODD: Final = 50
_LONGEST_ABBREVIATION: Final = 5
# Polish writes si for ś before a vowel; œ occurs only before few letters, and ß only after a vowel.
_IMPOSSIBLE: Final = re.compile(r"[ńśź][aeiouyąęó]|œ[^uidcnstlmr]|\bß|[^aeiouyäöü]ß|ÿ", re.IGNORECASE)
# The final form of sigma occurs at the end of a Greek word and the normal form never does; a Greek word has
# one accent, or two before a short word. No Cyrillic word begins with ь or ы.
_IMPOSSIBLE_ELSEWHERE: Final = re.compile(r"σ\b|ς\B|[ΰΐ]\b|[πφβ]σ|(?:[άέήίόύώΐΰΆΈΉΊΌΎΏ]\w*){3}|\b[ьыЬЫ]")

Place = Callable[[str, str], bool]


def _is_part(sign: str) -> bool:
    return sign.isalnum()


def _is_blank(sign: str) -> bool:
    return sign.isspace() or not sign


def _is_opening(before: str, after: str) -> bool:
    return not _is_part(before) and not _is_blank(after)


def _is_closing(before: str, after: str) -> bool:
    return not _is_blank(before) and not _is_part(after)


def _is_between(before: str, after: str) -> bool:
    is_minus = after.isdigit() and not before.isalpha()
    return is_minus or (_is_blank(before), _is_part(before)) == (_is_blank(after), _is_part(after))


def _is_beside_a_number(before: str, after: str) -> bool:
    return all(sign.isascii() and not sign.isalpha() for sign in before + after)


# For each common sign: whether it can occur between two characters (a newline at the ends of the text).
_PLACES: Final[dict[str, Place]] = {
    "’": lambda before, after: _is_part(before) or _is_part(after),
    "‘": lambda before, after: not _is_part(before) and _is_part(after),
    **dict.fromkeys("“„‚", _is_opening),
    "”": _is_closing,
    **dict.fromkeys("«»‹›", lambda before, after: not (_is_part(before) and _is_part(after))),
    **dict.fromkeys("–—", _is_between),
    "…": lambda before, after: not (_is_part(before) and _is_part(after)),
    "•": lambda before, _: not _is_part(before),
    "·": lambda before, after: _is_part(before) == _is_part(after),
    "°": lambda before, after: (
        (before.isdigit() or _is_blank(before) or before in "nN") and (not after.isalpha() or after in "CFKR")
    ),
    **dict.fromkeys("ºª", lambda before, after: before.isalnum() and not after.isalpha()),
    **dict.fromkeys("¹²³", lambda before, after: _is_part(before) and not after.isalpha()),
    **dict.fromkeys("½¼¾±×", _is_beside_a_number),
    **dict.fromkeys("€£¥", _is_beside_a_number),
    "§": lambda before, after: not _is_part(before) and (_is_blank(after) or after in "§0123456789"),
    "©": lambda before, after: not _is_part(before) and not after.isalpha(),
    **dict.fromkeys("®™", lambda _, after: not _is_part(after)),
    "µ": lambda before, after: not before.isalpha() and (after.isalpha() or after == "-"),
    **dict.fromkeys("¡¿", lambda before, after: not _is_part(before) and (_is_part(after) or after in "¡¿")),
    "№": lambda before, after: not _is_part(before) and (_is_blank(after) or after.isdigit()),
    "\xa0": lambda before, after: not (before.islower() and after.islower()),
}
PLAIN_SIGNS: Final = frozenset(_PLACES)
_DASH_IN_SHORT_WORD: Final = re.compile(r"\b\w{1,2}[–—]\w|\w[–—]\w{1,2}\b")
# Signs that come in pairs, and their partners.
_PARTNERS: Final = {"”": "“„”", "„": "“”", "›": "‹›", "‹": "‹›", "‚": "‚", "»": "«»", "«": "«»"}


def has_plausible_words(text: str) -> bool:
    """Return whether all words look like words of a language; one word in fifty may look wrong."""
    words = [word for word in re.findall(r"\S+", text) if not word.isascii()]
    odd = _misplaced_signs(text) + sum(map(_has_misplaced_mark, words))
    odd += sum(not _is_plausible(word) for word in WORD.findall(text) if not word.isascii())
    return odd <= len(words) // _WORDS_PER_ODD and _are_pairs_whole(text)


def _misplaced_signs(text: str) -> int:
    """Count signs in places where they cannot occur, and non-ASCII letters next to a digit."""
    odd = len(_DASH_IN_SHORT_WORD.findall(text))
    for before, sign, after in zip("\n" + text[:-1], text, text[1:] + "\n", strict=True):
        if sign <= "\x7f":
            continue
        if sign in _PLACES:
            odd += not _PLACES[sign](before, after)
        elif sign.isalpha():
            odd += before.isdigit() or after.isdigit()
    return odd


def _are_pairs_whole(text: str) -> bool:
    for sign, partners in _PARTNERS.items():
        if sign in text and not any(partner in text for partner in partners if partner != sign):
            return sign in "‚" and "‘" in text
    return True


def _has_misplaced_mark(word: str) -> bool:
    """Return whether a vowel point has no letter, or a letter that only ends words is inside a word."""
    for before, sign in itertools.pairwise(" " + word):
        is_mark = unicodedata.category(sign) == "Mn"
        if is_mark and (before in BEFORE_A_LETTER or not _carries(before)):
            return True
        if before in ONLY_AT_ENDS and sign.isalpha():
            return True
        if before in "เแโใไ" and not "ก" <= sign <= "ฮ":
            return True
    return False


def _has_ascii(word: str) -> bool:
    return any(sign.isascii() for sign in word)


def _carries(sign: str) -> bool:
    return sign.isalpha() or unicodedata.category(sign) == "Mn"


def _is_plausible(word: str) -> bool:
    word = "".join(sign for sign in word.lstrip("µ") if sign.isalpha())  # without units and exponents
    if word.isascii():
        return True
    scripts = {unicodedata.name(sign, "").partition(" ")[0] for sign in word if sign.isalpha()}
    if len(scripts) != 1 or _IMPOSSIBLE.search(word) or _IMPOSSIBLE_ELSEWHERE.search(word):
        return False
    script = scripts.pop()
    if script not in _SCRIPTS_WITH_VOWELS:
        return True
    lower = word.lower()
    if len(word) == 1:
        return script == "GREEK" or lower in (CYRILLIC_WORDS if script == "CYRILLIC" else _LATIN_WORDS)
    if script == "LATIN" and not _has_ascii(word) and lower[0] != "þ":
        return False
    if word.isupper():
        return len(word) <= _LONGEST_ABBREVIATION or not _ALL_VOWELS.isdisjoint(lower)
    # Only ASCII names such as McDonald have capitals within a word.
    has_right_case = word[1:] == word[1:].lower()
    return has_right_case and not _ALL_VOWELS.isdisjoint(lower)
