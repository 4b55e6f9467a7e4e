"""Analysis of text: words, measures and codes, the same for documents and for what people type."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

MAX_WORD = 40
"""Characters of a word; the rest of a longer one is left out."""

UNIT_NAMES: Mapping[str, str] = {
    name: unit
    for unit, names in {
        "mm": "mm millimeter millimeters millimetre millimetres",
        "cm": "cm centimeter centimeters centimetre centimetres",
        "m": "m meter meters metre metres mtr",
        "in": "in inch inches",
        "ft": "ft foot feet",
        "um": "um micron microns micrometer micrometre",
        "mm2": "mm2 sqmm mmq",
        "kg": "kg kilogram kilograms kilo kilos",
        "g": "g gram grams",
        "l": "l liter liters litre litres ltr",
        "ml": "ml milliliter milliliters",
        "bar": "bar",
        "psi": "psi",
        "a": "a amp amps ampere amperes",
        "v": "v volt volts",
        "w": "w watt watts",
        "kw": "kw kilowatt kilowatts",
        "hz": "hz hertz",
        "k": "k kelvin",
        "deg": "deg degree degrees",
        "c": "celsius",
        "nm": "nm",
        "rpm": "rpm",
    }.items()
    for name in names.split()
}
"""What people write for a unit -> the unit as it is indexed."""

UNIT_CODES: Mapping[str, str] = {
    "MMT": "mm", "CMT": "cm", "MTR": "m", "INH": "in", "FOT": "ft", "4H": "um", "MMK": "mm2", "KGM": "kg", "GRM": "g",
    "LTR": "l", "MLT": "ml", "BAR": "bar", "PS": "psi", "AMP": "a", "VLT": "v", "WTT": "w", "KWT": "kw", "HTZ": "hz",
    "KEL": "k", "DD": "deg", "CEL": "c", "NU": "nm", "RPM": "rpm",
}  # fmt: skip
"""UN/ECE Recommendation 20 code of an attribute's unit -> the unit as it is indexed."""

_BETWEEN_NUMBERS = re.compile(r"(?<=\d)\s*[x×*]\s*(?=\d)")
_INCH_MARK = re.compile(r"(?<=\d)\s*(?:\"|″|'')")
_DEGREE = re.compile(r"(?<=\d)\s*°")
_WORD = re.compile(r"\d+-\d+/\d+[^\W\d_]*|[^\W_]+(?:[./,](?=\d)[^\W_]+)*")
_MEASURE = re.compile(r"(\d[\d./-]*)([a-z]+2?)")
_NUMBER = re.compile(r"\d[\d./-]*")
_SEPARATORS = re.compile(r"[\W_]+")


def fold(text: str) -> str:
    """Text in lower case, without accents and control characters."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join([one for one in plain if not unicodedata.combining(one) and (one.isprintable() or one.isspace())])


def is_number(word: str) -> bool:
    """Whether a word is a number, such as 40, 8.8 or 1-1/4."""
    return _NUMBER.fullmatch(word) is not None


def number_of(word: str) -> str | None:
    """The number of a measure, such as 10 of 10mm; None for other words."""
    found = _MEASURE.fullmatch(word)
    return found.group(1) if found and found.group(2) in UNIT_CODES_USED else None


UNIT_CODES_USED = frozenset(UNIT_NAMES.values())


def words_of(text: str) -> list[str]:
    """The words of a text in their order. A number and the unit that follows it are one word, a *measure*: "10 mm",
    "10mm" and "10 millimeters" are all 10mm; `M8x40` and `M8 x 40` are m8 and 40."""
    plain = _DEGREE.sub(" deg ", _INCH_MARK.sub(" in ", _fractions(text)))
    found = [_canonical(word) for word in _WORD.findall(_BETWEEN_NUMBERS.sub(" ", fold(plain)))]
    joined: list[str] = []
    for word in found:
        unit = UNIT_NAMES.get(word)
        if unit is not None and joined and is_number(joined[-1]):
            joined[-1] += unit
        else:
            joined.append(word)
    return joined


def _fractions(text: str) -> str:
    """½ as 1/2, which NFKD would join to a number before it."""
    return re.sub(r"(\d?)([¼½¾])", lambda found: f"{found[1]}{'-' if found[1] else ''}{_VULGAR[found[2]]}", text)


_VULGAR = {"¼": "1/4", "½": "1/2", "¾": "3/4"}


def _canonical(word: str) -> str:
    word = word[:MAX_WORD].replace(",", ".").replace("⁄", "/")
    if word[0].isdigit():
        measure = _MEASURE.fullmatch(word)
        unit = UNIT_NAMES.get(measure.group(2)) if measure else None
        return f"{measure.group(1)}{unit}" if measure and unit else word
    return singular(word)


def singular(word: str) -> str:
    """An English word without the ending of its plural."""
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def document_words(text: str) -> Iterator[str]:
    """The words that a text is found by: a measure also by its number alone."""
    for word in words_of(text):
        yield word
        number = number_of(word)
        if number is not None:
            yield number


def measure(value: str, unit: str | None) -> str | None:
    """The measure that a value with a unit code is found by; None where the value is no number or the unit unknown."""
    name = UNIT_CODES.get(unit or "")
    return f"{value}{name}" if name and is_number(value) else None


def code_of(text: str) -> str:
    """A code (SKU, GTIN, part number) without separators, in upper case; a GTIN without leading zeros, so that a UPC
    and the EAN and GTIN-14 of the same item are one."""
    code = _SEPARATORS.sub("", fold(text)).upper()[:MAX_WORD]
    return code.lstrip("0") if len(code) >= 8 and code.isdigit() else code


def deletions(word: str) -> Iterator[str]:
    """The word without one of its characters, each. Two words at a distance of one typo (a character too many, too few,
    wrong, or two swapped) have a form in common (symmetric delete)."""
    for position in range(len(word)):
        yield word[:position] + word[position + 1 :]


def takes_typos(word: str) -> bool:
    """Whether a word may be meant by one with a typo: words of letters from four on. Numbers are meant as they are."""
    return 4 <= len(word) <= 24 and word.isalpha()


def one_typo_apart(first: str, second: str) -> bool:
    """Whether one insertion, deletion, substitution or swap of neighbours leads from one to the other."""
    if first == second or abs(len(first) - len(second)) > 1:
        return first == second
    same = 0
    shorter, longer = sorted((first, second), key=len)
    while same < len(shorter) and shorter[same] == longer[same]:
        same += 1
    if len(shorter) < len(longer):
        return shorter[same:] == longer[same + 1 :]
    rest, other = shorter[same:], longer[same:]
    return rest[1:] == other[1:] or (rest[:2] == other[1::-1] and rest[2:] == other[2:])
