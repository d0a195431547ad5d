"""The units that an answer may carry: which words name the same one, so that 5 cm is 5 centimetres, not 5 m.

A unit outside this table is a word that says nothing (apples); a unit inside it must agree with another
one inside it. A bare number agrees with any unit except the percent sign.
"""

from __future__ import annotations

import re

_ALIASES = {
    "meter": "m metre meter",
    "centimeter": "cm centimetre centimeter",
    "millimeter": "mm millimetre millimeter",
    "kilometer": "km kilometre kilometer",
    "inch": "in inch inches",
    "foot": "ft foot feet",
    "yard": "yd yard",
    "mile": "mi mile",
    "gram": "g gram gramme",
    "kilogram": "kg kilogram",
    "milligram": "mg milligram",
    "pound": "lb lbs pound",
    "ounce": "oz ounce",
    "liter": "l L litre liter",
    "milliliter": "ml mL millilitre milliliter",
    "second": "s sec second",
    "minute": "min mins minute",
    "hour": "h hr hrs hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "year": "yr yrs year",
    "degree": "degree deg",
    "radian": "rad radian",
    "dollar": "dollar buck USD",
    "cent": "cent",
    "euro": "euro EUR",
    "am": "am a.m. a.m AM A.M. A.M",
    "pm": "pm p.m. p.m PM P.M. P.M",
    "%": "% percent percentage pct",
}
_NAMES = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3"}
_SINGLE = frozenset("mgshlL%")

ABBREVIATIONS = frozenset(alias for alias in _NAMES if 1 < len(alias) <= 3 and alias.isalpha()) | {"mph"}

_PART = re.compile(r"[A-Za-z][A-Za-z.]*|\^-?[0-9]|/|%")


def unit_name(text: str) -> str:
    """The canonical name of a unit's text (square inches: inch^2; km/h: kilometer/hour); "" if not known."""
    name, power = "", ""
    for part in _PART.findall(text.replace("mph", "mi/h")):
        known = _known(part)
        if part in _POWERS:
            power = _POWERS[part]
        elif part[0] == "^":
            name += part
        elif part in ("/", "per"):
            name += "/"
        elif known:
            name, power = name + known + power, ""
        else:
            return ""
    return "" if power else name


def _known(word: str) -> str | None:
    for form in (word, word.lower(), word.lower().rstrip("."), word.lower().removesuffix("s")):
        if form in _NAMES and (len(form) > 1 or word in _SINGLE):
            return _NAMES[form]
    return None
