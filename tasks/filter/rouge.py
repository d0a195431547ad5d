"""ROUGE-L F between one text and many (Lin 2004), exact, and fast where the many are a hundred thousand.

Words are those of the rouge-score library without stemming: runs of a-z and 0-9 of the lower-cased text. A
text of another script has none, and is like nothing. F is 2·LCS / (m + n) of two texts of m and n words.

Most texts are never compared: the words that two texts share, with repetition, bound their LCS, and an
index from words to texts gives that bound for all texts at once. What may still be nearest is compared by
rapidfuzz, whose LCS works on 64 words at a time. Bound and F are rounded the same way, so no tie is lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

FIRST = 64  # texts compared first, those of the highest bounds; then four times as many, and so on

_WORD = re.compile(r"[a-z0-9]+")

Ints = npt.NDArray[np.int64]
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
    """Texts that others are held against, indexed by their words once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._codes: dict[str, int] = {}
        coded = [[self._codes.setdefault(word, len(self._codes)) for word in words(text)] for text in texts]
        self._lengths = np.array([len(one) for one in coded], dtype=np.int64)
        self._flat = np.array([code for one in coded for code in one], dtype=np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        owners = np.repeat(np.arange(len(coded)), self._lengths)
        times = _times(owners, self._flat)
        self._width = int(times.max(initial=0)) + 1
        keys = self._flat * self._width + times
        order = np.argsort(keys, kind="stable")
        self._keys, first = np.unique(keys[order], return_index=True)
        self._ends = np.append(first, len(order))
        self._owners = owners[order]

    def __len__(self) -> int:
        return len(self._lengths)

    def nearest(
        self, text: str, among: npt.NDArray[np.bool_] | None = None, *, first: int = FIRST
    ) -> Nearest | None:
        """The text of the highest F above 0, of those where `among` (one value a text) says so."""
        told = words(text)
        query = [self._codes.get(word, -1) for word in told]
        with np.errstate(invalid="ignore"):  # two texts without words
            bounds = 2 * self._shared(query) / (len(query) + self._lengths)
        left = np.flatnonzero(bounds > 0 if among is None else (bounds > 0) & among)
        best, size = Nearest(-1, 0.0), first
        while left.size:
            chosen, left = _highest(left, bounds, size)
            f = 2 * self._lcs(query, chosen) / (len(query) + self._lengths[chosen])
            highest = float(f.max())
            if highest >= best.f:
                place = int(chosen[f == highest].min())
                best = Nearest(place if highest > best.f else min(place, best.place), highest)
            left, size = left[bounds[left] >= best.f], size * 4
        return best if best.f > 0 else None

    def _shared(self, query: Sequence[int]) -> Ints:
        """For every text, the words that it shares with the query, each as often as both have it."""
        wanted = [
            code * self._width + time
            for code, count in Counter(query).items()
            if code >= 0
            for time in range(min(count, self._width))
        ]
        places = np.searchsorted(self._keys, wanted)
        found = [
            self._owners[self._ends[place] : self._ends[place + 1]]
            for place, key in zip(places.tolist(), wanted, strict=True)
            if place < len(self._keys) and self._keys[place] == key
        ]
        owners = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
        return np.bincount(owners, minlength=len(self))

    def _lcs(self, query: Sequence[int], chosen: Ints) -> Ints:
        """Longest common subsequence with each chosen text, in words.

        Words are written as characters, the query's as 1 and up and any other word, which is in no common
        subsequence, not at all: what is compared is short, and its alphabet small.
        """
        letters = {code: letter for letter, code in enumerate(dict.fromkeys(query), start=1) if code >= 0}
        alphabet = np.zeros(len(self._codes), dtype="<u4")
        alphabet[list(letters)] = list(letters.values())
        lengths = self._lengths[chosen]
        ends = np.cumsum(lengths)
        inside = np.arange(ends[-1]) + np.repeat(self._starts[chosen] - ends + lengths, lengths)
        spelt = alphabet[self._flat[inside]]
        kept = np.append(0, np.cumsum(spelt > 0))[ends]
        said = _letters(spelt[spelt > 0])
        texts = [said[a:b] for a, b in zip([0, *kept[:-1].tolist()], kept.tolist(), strict=True)]
        asked = _letters(np.array([letters[code] for code in query if code >= 0], dtype="<u4"))
        common: Ints = cdist([asked], texts, scorer=LCSseq.similarity, dtype=np.int64)[0]
        return common


def _highest(left: Ints, bounds: Floats, size: int) -> tuple[Ints, Ints]:
    """Of the texts left, `size` of the highest bounds, and the others."""
    if left.size <= size:
        return left, left[:0]
    order = np.argpartition(bounds[left], left.size - size)
    return left[order[-size:]], left[order[:-size]]


def _times(owners: Ints, codes: Ints) -> Ints:
    """How often each word stood in its text before."""
    order = np.lexsort((codes, owners))
    again = np.append(False, (np.diff(owners[order]) == 0) & (np.diff(codes[order]) == 0))[: len(order)]
    places = np.arange(len(order))
    times = np.empty(len(order), dtype=np.int64)
    times[order] = places - np.maximum.accumulate(np.where(again, 0, places)) if len(order) else 0
    return times


def _letters(points: npt.NDArray[np.uint32]) -> str:
    return points.tobytes().decode("utf-32-le", "surrogatepass")
