"""Folds the many ways to write a digit or a sign (full-width, superscript, vulgar fractions, the
typographic minus) to ASCII, so that the readers of numbers need to know only one.
"""

from __future__ import annotations

import re
import unicodedata

# NFKC would fold these silently into something else: 10² into 102, 2½ into 21/2.
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_SUBSCRIPTS = re.compile("[₀-₉]+")
_VULGAR_FRACTIONS = re.compile("[¼-¾⅐-⅞↉]")

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("−‐‑‒–﹣", "-"),  # noqa: RUF001
        **dict.fromkeys("×✕✖⨯·⋅∙∗", "*"),  # noqa: RUF001
        **dict.fromkeys("÷∕⁄", "/"),  # noqa: RUF001
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", None),
        "—": " ",
    }
)


def fold(text: str, vulgar_fraction: str) -> str:
    """A short text with its digits and signs in ASCII; `vulgar_fraction` is how ½ is put, as " {}".

    Callers bound the length first: normalising a long run of combining marks is quadratic.
    """
    if text.isascii():
        return text
    text = _SUPERSCRIPTS.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]), text)
    text = _SUBSCRIPTS.sub(lambda match: "_" + unicodedata.normalize("NFKC", match[0]), text)
    text = _VULGAR_FRACTIONS.sub(
        lambda match: vulgar_fraction.format(unicodedata.normalize("NFKC", match[0])), text
    )
    text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS)
    return "".join(map(_digit, text))


def _digit(character: str) -> str:
    """Any script's decimal digit as ASCII; every other character as it is."""
    if character.isascii():
        return character
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def storable(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 column can hold; each becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
