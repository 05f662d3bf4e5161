r"""The encoding of a text without a mark: only where one reading is clearly more plausible than others.

charset-normalizer ranks long texts well, but takes a word like ``b"Fran\xe7ois"`` for anything; so each
reading is also scored by the script that its encoding is for.
"""

from __future__ import annotations

import codecs
import itertools
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import charset_normalizer

_CERTAIN: Final = 0.6
_MARGIN: Final = 0.15
_SURE_LANGUAGE: Final = 0.3
SAMPLE_BYTES: Final = 32 * 1024
_CASES: Final = (str.islower, str.isupper)
_LETTERS_OF_A_SENTENCE: Final = 60

# The characters that texts use most: a wrong reading of another encoding seldom hits them.
_HANZI: Final = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政"
    "美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员"
    "解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件"
    "计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象"
    "完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运价百单货号姓"
    "客户订合同金额备注地址城市深圳李请双签字盖章效法律款付账"
)
_HANZI_TRADITIONAL: Final = frozenset(
    "這個們來為國說時會對學過發後裡還進麼現當沒動開實軍與長機無關點業將兩間問應戰頭體見產東聲門員論處義幾條"
    "氣題爾變總電數報結場區隊達權傳師觀讓識帶導爭運價單貨號訂備註圳請雙簽蓋灣臺客戶聯絡務檔說統"
)
_HANGUL: Final = frozenset(
    "이다는에의을를가하고지한로도서기사자인은어나리시대정수전해그으일부제보라아여유성용주만장구상스원모동면들"
    "연소신니과안문조적것있비화명요습세녕김울철합입되며선관공국재계방분행경위내중생물통개설데무업및임없드트우등"
    "오게바실산심진미년월박최센터십따라고객락처감회의번호름"
)
_CYRILLIC: Final = frozenset("оеаинтсрвлкмдпу")
# Letters of the neighbours' alphabets, into which other encodings fall by chance.
_RARE: Final = frozenset("ѓѕјљњћќџђґ")
# Hebrew letters that stand at the end of a word only, and Thai vowels that carry no marks.
_ONLY_AT_ENDS: Final = "ךםןףץς"
_BEFORE_A_LETTER: Final = "เแโใไๅำะา"
_HEBREW: Final = frozenset("יוהלאתרמבנשםן")
_ARABIC: Final = frozenset("اليمنوترهبدةأ")
_THAI: Final = frozenset("านรกอมเวลสยดตทคบแไโ")
_GREEK: Final = frozenset("αοιετσνηυρπκμλάέίόήύ")
# French, German, Spanish, Portuguese, Italian, Dutch, Norwegian, Swedish, Icelandic, Catalan.
_ALPHABETS: Final = (
    "àâæçèéêëîïôœùûüÿ", "äöüßé", "áéíñóúü", "àáâãçéêíóôõú", "àèéìíòóù", "ëïéèöüáóç", "æøåéóò", "åäöéü",
    "áðéíóúýþæö", "àçèéíïòóúü",
)  # fmt: skip
# Polish, Czech, Slovak, Hungarian, Romanian, Croatian, Albanian.
_CENTRAL_ALPHABETS: Final = (
    "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "çëäöü",
)  # fmt: skip
_TURKISH_ALPHABETS: Final = ("çğıöşüâîûi̇",)
_VOWELS: Final = frozenset("aeiouyàâäæèéêëîïôöœùûüÿáíóúãõìòåøýąęěůőűăůı\u0307")
_WORD: Final = re.compile(r"[^\W\d_]+")
_JOINERS: Final = "’‘·–—…»«“”„\xa0"
_PLAIN_SIGNS: Final = "№’‘´“”„‚«»‹›–—…•·°©®™€£¥§±×÷¡¿½¼¾²³ºª¹µ\xa0"


@dataclass(frozen=True, slots=True)
class _Reading:
    encoding: str
    text: str
    score: float


def guess(content: bytes) -> str | None:
    """Name the encoding of a text that is neither marked nor UTF-8, or give None where none is certain."""
    sample = content[:SAMPLE_BYTES]
    best, others = _best_and_rivals(sample)
    if best is None:
        return None
    if all(other.score <= best.score - _MARGIN for other in others):
        return best.encoding if best.score >= _CERTAIN else None
    return _by_language(sample, [best, *others])


def _best_and_rivals(sample: bytes) -> tuple[_Reading | None, list[_Reading]]:
    """Give the best reading, and all readings whose text differs from it."""
    readings = sorted(
        (reading for encoding, rate in _RATES.items() if (reading := _read(sample, encoding, rate))),
        key=lambda reading: -reading.score,
    )
    if not readings:
        return None, []
    best = readings[0]
    return best, [reading for reading in readings[1:] if reading.text != best.text]


def _by_language(sample: bytes, readings: list[_Reading]) -> str | None:
    """Let charset-normalizer choose between plausible readings, where it knows the language of one."""
    matches = charset_normalizer.from_bytes(sample, cp_isolation=[reading.encoding for reading in readings])
    ranked = sorted(matches, key=lambda match: -match.coherence)
    if not ranked or ranked[0].coherence < _SURE_LANGUAGE:
        return None
    if len(ranked) > 1 and ranked[1].coherence > ranked[0].coherence / 2 and str(ranked[1]) != str(ranked[0]):
        return None
    names = {codecs.lookup(reading.encoding).name: reading for reading in readings}
    chosen = names.get(codecs.lookup(ranked[0].encoding).name)
    return chosen.encoding if chosen and chosen.score >= readings[0].score - 2 * _MARGIN else None


def _read(sample: bytes, encoding: str, rate: Callable[[str], float]) -> _Reading | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(sample)  # a sample may end within a character
    except UnicodeError:
        return None
    # Control characters and unassigned ones show that the reading is wrong.
    if any(
        unicodedata.category(sign) in ("Cc", "Co", "Cn", "Cs") and sign not in "\t\n\r\f\v"
        for sign in set(text)
    ):
        return None
    score = rate(text)
    return _Reading(encoding, text, score) if score > 0 else None


def _mean(text: str, worth: Callable[[str], float]) -> float:
    signs = [sign for sign in text if sign > "\x7f"]
    return sum(map(worth, signs)) / len(signs) if signs else 0.0


def _row(sign: str, encoding: str) -> int:
    """Give the row of a character in a national set, 0 where it is not in there."""
    try:
        return sign.encode(encoding)[0]
    except UnicodeError:
        return 0


def _is_cjk_sign(sign: str) -> bool:
    return "\u3000" <= sign <= "\u303f" or "\uff01" <= sign <= "\uff5e" or sign in "—…·“”‘’①②③×¥°℃"


def _common_share(text: str, common: frozenset[str]) -> float:
    letters = [sign for sign in text if sign > "\x7f" and sign.isalpha()]
    share = sum(sign in common for sign in letters) / len(letters) if letters else 0.0
    return min(1.0, share / 0.5)


def _has_kana(text: str) -> bool:
    return any("\u3041" <= sign <= "\u30fa" for sign in text)


def _simplified(text: str) -> float:
    # Kana show that the text is Japanese.
    if _has_kana(text):
        return 0.0

    def worth(sign: str) -> float:
        row = _row(sign, "gb2312")
        # Rows B0 to D7 of GB 2312 hold the common characters, the rows behind them the rare ones.
        return 1.0 if _is_cjk_sign(sign) or 0xB0 <= row <= 0xD7 else 0.4 if row >= 0xB0 else 0.0

    return 0.65 * _mean(text, worth) + 0.35 * _common_share(text, _HANZI)


def _traditional(text: str) -> float:
    if _has_kana(text):
        return 0.0

    def worth(sign: str) -> float:
        row = _row(sign, "big5")
        # Rows A4 to C6 of Big5 hold the common characters.
        return 1.0 if _is_cjk_sign(sign) or 0xA4 <= row <= 0xC6 else 0.3 if row >= 0xC9 else 0.0

    return 0.65 * _mean(text, worth) + 0.35 * _common_share(text, _HANZI | _HANZI_TRADITIONAL)


def _japanese(text: str) -> float:
    has_kana = _has_kana(text)

    def worth(sign: str) -> float:
        if _is_cjk_sign(sign) or "\u3041" <= sign <= "\u30fe":
            return 1.0
        # Half-width kana: in Shift JIS half of the bytes above ASCII are one, so they prove little.
        if "\uff61" <= sign <= "\uff9f":
            return 0.3
        # Rows B0 to CF of JIS hold the common characters.
        level = 1.0 if 0xB0 <= _row(sign, "euc_jp") <= 0xCF else 0.3
        return level if has_kana else level * 0.75

    # Characters of other encodings seldom become a row of kana.
    letters = [sign for sign in text if sign > "\x7f" and sign.isalpha()]
    kana = sum("\u3041" <= sign <= "\u30fe" for sign in letters)
    return _mean(text, worth) * (1.2 if kana >= 5 and kana >= 0.3 * len(letters) else 1.0)


def _korean(text: str) -> float:
    def worth(sign: str) -> float:
        if "\uac00" <= sign <= "\ud7a3":
            # cp949 adds seldom used syllables to EUC-KR.
            return 1.0 if _row(sign, "euc_kr") else 0.2
        return 1.0 if _is_cjk_sign(sign) else 0.1

    return 0.5 * _mean(text, worth) + 0.5 * _common_share(text, _HANGUL)


def _of_script(
    script: str, common: frozenset[str], typical: float, *, is_rare: bool = False, capitals: float = 1.0
) -> Callable[[str], float]:
    """Rate texts in an alphabet: whole words in it, small letters behind capital ones, its common letters.

    ``typical`` is the share of the common letters in a text of the language. ``is_rare`` requires a longer
    text for a seldom used encoding; ``capitals`` is the worth of a text in letters of one case alone.
    """

    def rate(text: str) -> float:
        letters = [sign.lower() for sign in text if sign > "\x7f" and sign.isalpha()]
        signs = {sign for sign in text if sign > "\x7f" and unicodedata.category(sign)[0] not in "LM"}
        if not letters or not signs.issubset(_PLAIN_SIGNS) or not _has_plausible_words(text):
            return 0.0
        if any(not unicodedata.name(sign, "").startswith(script) for sign in letters):
            return 0.0
        share = sum(sign in common for sign in letters) / len(letters)
        rare = sum(sign in _RARE for sign in letters) / len(letters)
        length = min(1.0, 0.2 + 0.08 * len(letters)) if is_rare else min(1.0, 0.7 + 0.1 * len(letters))
        has_small, has_capital = (any(test(sign) for sign in text if sign > "\x7f") for test in _CASES)
        is_all_small = has_small and not has_capital and len(letters) > _LETTERS_OF_A_SENTENCE
        case = capitals if not has_small or is_all_small else 1.0
        return min(1.0, share / typical) * length * case * (1 - min(0.5, 3 * rare))

    return rate


def _has_plausible_words(text: str) -> bool:
    words = [word for word in re.findall(r"\S+", text) if not word.isascii()]
    odd = sum(_has_sign_inside(word) or _has_misplaced_mark(word) for word in words)
    odd += sum(not _is_plausible(word) for word in _WORD.findall(text) if not word.isascii())
    return odd <= len(words) // 50


def _has_sign_inside(word: str) -> bool:
    """Tell whether there is a sign where only a letter makes sense, as in M³ller or Fran§ois."""
    return any(
        before.isalpha() and after.isalpha() and sign > "\x7f" and not _carries(sign) and sign not in _JOINERS
        for before, sign, after in zip(word, word[1:], word[2:], strict=False)
    )


def _has_misplaced_mark(word: str) -> bool:
    """Tell whether a vowel point stands on no letter, or a letter for ends of words stands within one."""
    for before, sign in zip(" " + word, word, strict=False):
        if unicodedata.category(sign) == "Mn" and (before in _BEFORE_A_LETTER or not _carries(before)):
            return True
        if before in _ONLY_AT_ENDS and sign.isalpha():
            return True
    return False


def _carries(sign: str) -> bool:
    return sign.isalpha() or unicodedata.category(sign) == "Mn"


def _is_plausible(word: str) -> bool:
    scripts = {unicodedata.name(sign, "").partition(" ")[0] for sign in word if sign.isalpha()}
    pairs = itertools.pairwise(word)
    turns_capital = any(
        first.islower() and second.isupper() and not (first.isascii() and second.isascii())
        for first, second in pairs
    )
    return len(scripts) == 1 and not turns_capital


def _in_alphabets(alphabets: tuple[str, ...], base: float) -> Callable[[str], float]:
    """Rate texts in Latin letters: marked letters of one language, and common signs."""

    def rate(text: str) -> float:
        signs = {sign for sign in text if sign > "\x7f" and not sign.isalpha()}
        letters = {sign for sign in text if sign > "\x7f" and sign.isalpha() and sign not in _PLAIN_SIGNS}
        if not signs.issubset(_PLAIN_SIGNS) or not _has_plausible_words(text):
            return 0.0
        # The small form of the Turkish capital I with a dot has two characters, an i and a combining dot.
        lower = {small for sign in letters for small in sign.lower()}
        if not any(lower.issubset(alphabet) for alphabet in alphabets):
            return 0.0
        return base * _alternation(text) if _are_positions_right(text) else 0.0

    return rate


def _alternation(text: str) -> float:
    """Tell how regularly vowels and consonants alternate at the marked letters: from 0.5 to 1."""
    words = _WORD.findall(text.lower())
    pairs = [
        (first in _VOWELS) != (second in _VOWELS)
        for word in words
        for first, second in itertools.pairwise(word)
        if not (first.isascii() and second.isascii())
    ]
    alone = sum(len(word) == 1 and not word.isascii() and word not in "àâéèóòúùyåö" for word in words)
    count = len(pairs) + alone
    return 0.5 + 0.5 * sum(pairs) / count if count else 1.0


def _are_positions_right(text: str) -> bool:
    """Polish writes ni, not ń, before a vowel; so España is not Espańa."""
    return not re.search("ń[aeiouyąęó]", text.lower())


_RATES: Final[dict[str, Callable[[str], float]]] = {
    "gb18030": _simplified,
    "big5": _traditional,
    "cp932": _japanese,
    "euc_jp": _japanese,
    "cp949": _korean,
    "cp1251": _of_script("CYRILLIC", _CYRILLIC, 0.65, capitals=0.7),
    "koi8_r": _of_script("CYRILLIC", _CYRILLIC, 0.65, capitals=0.7),
    "iso8859_5": _of_script("CYRILLIC", _CYRILLIC, 0.65, is_rare=True, capitals=0.7),
    "cp866": _of_script("CYRILLIC", _CYRILLIC, 0.65, is_rare=True, capitals=0.7),
    "mac_cyrillic": _of_script("CYRILLIC", _CYRILLIC, 0.65, is_rare=True, capitals=0.7),
    "cp1253": _of_script("GREEK", _GREEK, 0.8),
    "iso8859_7": _of_script("GREEK", _GREEK, 0.8),
    "cp1255": _of_script("HEBREW", _HEBREW, 0.75),
    "cp1256": _of_script("ARABIC", _ARABIC, 0.7),
    "cp874": _of_script("THAI", _THAI, 0.6),
    "cp1252": _in_alphabets(_ALPHABETS, 1.0),
    "cp1250": _in_alphabets(_CENTRAL_ALPHABETS, 0.95),
    "iso8859_2": _in_alphabets(_CENTRAL_ALPHABETS, 0.95),
    "cp1254": _in_alphabets(_TURKISH_ALPHABETS, 0.95),
}
