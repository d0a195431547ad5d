"""The units that an answer may carry: which words name the same one, and how many of one make another, so
that 5 cm is 5 centimetres and 0.05 m, not 5 m. Scales (million, dozen, lakh) are part of the amount.

A unit outside this table is a noun, which must agree with another noun. A bare number agrees with any unit
except the percent sign.
"""

from __future__ import annotations

import re
from fractions import Fraction

# Dimension, how many of its smallest unit one is, and the words for it.
_TABLE: dict[str, tuple[str, str, str]] = {
    "nanometer": ("length", "1/1000000", "nm nanometer nanometre"),
    "micrometer": ("length", "1/1000", "micrometer micrometre micron"),
    "millimeter": ("length", "1", "mm millimetre millimeter"),
    "centimeter": ("length", "10", "cm centimetre centimeter"),
    "meter": ("length", "1000", "m metre meter"),
    "kilometer": ("length", "1000000", "km kilometre kilometer"),
    "inch": ("length", "25.4", "in inch inches"),
    "foot": ("length", "304.8", "ft foot feet"),
    "yard": ("length", "914.4", "yd yard"),
    "mile": ("length", "1609344", "mi mile"),
    "milligram": ("mass", "1", "mg milligram"),
    "gram": ("mass", "1000", "g gram gramme"),
    "kilogram": ("mass", "1000000", "kg kilogram kilo"),
    "tonne": ("mass", "1000000000", "tonne"),
    "pound": ("mass", "453592.37", "lb lbs pound"),
    "ounce": ("mass", "28349.523125", "oz ounce"),
    "milliliter": ("volume", "1", "ml mL millilitre milliliter"),
    "liter": ("volume", "1000", "l L litre liter"),
    "millisecond": ("time", "1", "ms millisecond"),
    "gallon": ("kitchen", "768", "gal gallon"),
    "quart": ("kitchen", "192", "qt quart"),
    "pint": ("kitchen", "96", "pint"),
    "cup": ("kitchen", "48", "cup"),
    "tablespoon": ("kitchen", "3", "tbsp tablespoon"),
    "teaspoon": ("kitchen", "1", "tsp teaspoon"),
    "second": ("time", "1000", "s sec secs second"),
    "minute": ("time", "60000", "min mins minute"),
    "hour": ("time", "3600000", "h hr hrs hour"),
    "day": ("time", "86400000", "day"),
    "week": ("time", "604800000", "week wk"),
    "month": ("months", "1", "month"),
    "year": ("months", "12", "yr yrs year"),
    "hertz": ("frequency", "1", "Hz hertz"),
    "kilohertz": ("frequency", "1000", "kHz kilohertz"),
    "megahertz": ("frequency", "1000000", "MHz megahertz"),
    "gigahertz": ("frequency", "1000000000", "GHz gigahertz"),
    "joule": ("energy", "1", "J joule"),
    "kilojoule": ("energy", "1000", "kJ kilojoule"),
    "watt": ("power", "1", "W watt"),
    "kilowatt": ("power", "1000", "kW kilowatt"),
    "megawatt": ("power", "1000000", "MW megawatt"),
    "newton": ("force", "1", "N newton"),
    "kilonewton": ("force", "1000", "kN kilonewton"),
    "volt": ("voltage", "1000", "V volt"),
    "millivolt": ("voltage", "1", "mV millivolt"),
    "byte": ("bytes", "1", "byte B"),
    "degree": ("degree", "1", "degree deg"),
    "radian": ("radian", "1", "rad radian"),
    "fahrenheit": ("fahrenheit", "1", "fahrenheit"),
    "celsius": ("celsius", "1", "celsius centigrade"),
    "kelvin": ("kelvin", "1", "kelvin"),
    "dollar": ("dollar", "100", "dollar buck USD"),
    "cent": ("dollar", "1", "cent penny pennies"),
    "euro": ("euro", "1", "euro EUR"),
    "sterling": ("sterling", "1", "GBP"),
    "yen": ("yen", "1", "yen JPY"),
    "yuan": ("yuan", "1", "yuan RMB CNY"),
    "rupee": ("rupee", "1", "rupee INR Rs Rs."),
    "won": ("won", "1", "KRW"),
    "acre": ("area", "4046.8564224", "acre"),
    "hectare": ("area", "10000", "hectare ha"),
    "am": ("am", "1", "am a.m. a.m AM A.M. A.M"),
    "pm": ("pm", "1", "pm p.m. p.m PM P.M. P.M"),
    "%": ("%", "1", "% percent percentage pct"),
}
_NAMES = {alias: name for name, (_, _, aliases) in _TABLE.items() for alias in aliases.split()}
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3"}
UNIT_LETTERS = frozenset("mgshlLJWNVB")
_SINGLE = UNIT_LETTERS | {"%"}

_SCALE_LISTS = {
    1: "tens 십 十",
    2: "hundred 백 百",
    3: "thousand grand tausend mille mil mila тысяч тыс tsd тысячи тысяча 천 हज़ार 千",
    4: "myriad 만 万 萬",
    5: "लाख lakh lac",
    6: "million mn mio mln millionen millón millone milione milioni milhão milhõe млн миллион "
    "миллиона миллионов",
    7: "करोड़ crore",
    8: "억 亿 億",
    9: "billion milliard milliarde milliarden miliardo miliardi bilhõe млрд миллиард миллиарда "
    "миллиардов bn mrd",
    12: "trillion tn",
    15: "quadrillion",
    18: "quintillion",
    21: "sextillion",
    24: "septillion",
}
SCALES = {word: power for power, words in _SCALE_LISTS.items() for word in words.split()}
"""Words that multiply the number before them, as powers of ten."""
_COUNTS = {"dozen": 12, "dozens": 12, "score": 20, "gross": 144}
"""The same, as numbers."""
SCALE_WORDS = "|".join(sorted((*(f"{word}s?" for word in SCALES), *_COUNTS), key=len, reverse=True))
"""All of them, as a pattern."""

CURRENCY = {"$": "dollar", "\u20ac": "euro", "\u00a3": "sterling", "\u00a5": "yen", "\u20b9": "rupee",
            "\u20a9": "won", "\u00a2": "cent"}  # fmt: skip

ABBREVIATIONS = frozenset(alias for alias in _NAMES if 1 < len(alias) <= 3 and alias.isalpha()) | {"mph"}

_PART = re.compile(r"[A-Za-z][A-Za-z.]*|\^-?[0-9]|/|%")


def scale_of(word: str) -> int | None:
    """What a scale word multiplies by; None for any other word."""
    plain = word.lower()
    for form in (plain, plain.removesuffix("s")):
        if form in SCALES:
            return int(10 ** SCALES[form])
    return _COUNTS.get(plain)


def unit_name(text: str) -> str:
    """The canonical name of a unit's text (square inches: inch^2; km/h: kilometer/hour); "" if not known."""
    name, power = "", ""
    for part in _PART.findall(text.replace("mph", "mi/h")):
        unit = _known(part)
        if part in _POWERS:
            power = _POWERS[part]
        elif part[0] == "^":
            name += part
        elif part in ("/", "per"):
            name += "/"
        elif unit:
            name, power = name + unit + power, ""
        else:
            return ""
    return "" if power else name


def _known(word: str) -> str | None:
    for form in (word, word.lower(), word.lower().rstrip("."), word.lower().removesuffix("s")):
        if form in _NAMES and (len(form) > 1 or word in _SINGLE):
            return _NAMES[form]
    return None


_FACTOR = re.compile(r"(/?)([a-z%]+)(?:\^([0-9]))?")


def ratio(unit: str, target: str) -> Fraction | None:
    """How many of one unit make the other (canonical names); None where they measure different things."""
    if unit == target:
        return Fraction(1)
    (one, a), (other, b) = _taken_apart(unit), _taken_apart(target)
    return a / b if one == other else None


def _taken_apart(name: str) -> tuple[dict[str, int], Fraction]:
    """The powers of a unit's dimensions, and its size in their smallest units."""
    powers: dict[str, int] = {}
    size = Fraction(1)
    for below, part, exponent in _FACTOR.findall(name):
        dimension, one, _ = _TABLE.get(part, (part, "1", ""))
        power = int(exponent or 1) * (-1 if below else 1)
        if dimension == "area":
            dimension, one, power = "length", one, power
            powers[dimension] = powers.get(dimension, 0) + 2 * power
            size *= (Fraction(one) * 1_000_000) ** power
            continue
        powers[dimension] = powers.get(dimension, 0) + power
        size *= Fraction(one) ** power
    return {key: value for key, value in powers.items() if value}, size
