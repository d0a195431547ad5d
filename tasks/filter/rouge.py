"""ROUGE-L F between texts (Lin 2004): exact, and a thousand against a hundred thousand in seconds.

Words are those of the rouge-score library without stemming: runs of a-z and 0-9 of the lower-cased text. A
text of another script has none, and is like nothing. F is 2·LCS / (m + n) of two texts of m and n words.

All pairs are compared: rapidfuzz handles 64 words of several texts at once, and an index that rules pairs out
beforehand was no faster. Each word is mapped to a character, the commonest words to those of one byte.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from schemas.errors import BadInput

AT_ONCE = 64  # texts compared with all others in one go
MOST_WORDS = sys.maxunicode  # different ones

_WORD = re.compile(r"[a-z0-9]+")
_UNKNOWN = "\0"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The text most like another: its place, and their F. The first of several."""

    place: int
    f: float


def words(text: str) -> list[str]:
    """The text's words as ROUGE reads them."""
    return _WORD.findall(text.lower())


class Texts:
    """Texts that others are compared with, read once; BadInput for over a million different words."""

    def __init__(self, texts: Sequence[str]) -> None:
        split = [words(text) for text in texts]
        counts = Counter(word for one in split for word in one)
        if len(counts) > MOST_WORDS:
            raise BadInput(f"{len(texts):,} prompts hold more than {MOST_WORDS:,} different words")
        self._letters = {word: chr(n) for n, (word, _) in enumerate(counts.most_common(), start=1)}
        self._spelt = [self._spell(one) for one in split]
        self._lengths = _lengths(self._spelt)

    def nearest(self, texts: Sequence[str], at_once: int = AT_ONCE) -> list[Nearest | None]:
        """For each text, the one of these with the highest F above 0."""
        result: list[Nearest | None] = []
        for start in range(0, len(texts), at_once):
            f = self.f(texts[start : start + at_once])
            best = f.argmax(axis=1).tolist() if self._spelt else [None] * len(f)
            result += [
                Nearest(place, float(row[place])) if place is not None and row[place] > 0 else None
                for place, row in zip(best, f, strict=True)
            ]
        return result

    def f(self, texts: Sequence[str]) -> Floats:
        """Each text's F with every one of these, shape (texts, these)."""
        spelt = [self._spell(words(text)) for text in texts]
        common = cdist(spelt, self._spelt, scorer=LCSseq.similarity, dtype=np.int32, workers=-1)
        both = _lengths(spelt)[:, None] + self._lengths[None, :]
        f: Floats = 2 * common / np.maximum(both, 1)  # no words on either side: 0
        return f

    def _spell(self, words: Sequence[str]) -> str:
        return "".join(self._letters.get(word, _UNKNOWN) for word in words)


def _lengths(spelt: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.array([len(one) for one in spelt], dtype=np.int64)
