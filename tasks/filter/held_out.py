"""Drops prompts that overlap a held-out one, so that no loop trains on what it is measured by.

The rule is Tülu 3's (Lambert et al. 2024, arXiv 2411.15124), both ways: more than half of the words of the
prompt, or of a held-out one, stand in runs of eight that the two share. A held-out prompt of fewer words is
one run, if it has at least four; one of the very same words overlaps whatever its length. Words are runs of
letters and digits, case aside; a Chinese or Japanese character is a word of its own. A run that more than
2% of many held-out prompts hold is the form that they are written in, and no overlap.

Held-out prompts are indexed by their runs, so a text costs its length and the prompts it shares a run with,
not a comparison with each of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from tasks.filter.decision import decide

RUN = 8  # words
LEAST = 4  # words of the shortest held-out prompt that is looked for inside others
MOST = 0.5  # share of a prompt's words
FORM = 0.02  # share of the held-out prompts that may hold a run
FEW = 10  # held-out prompts that may hold one, however few there are

_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # written without spaces: kana, ideographs
_WORD = re.compile(f"[{_ALONE}]|[^\\W_{_ALONE}]+")

Run = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """The larger share of words (0 to 1), of a text or of a held-out prompt, in runs that the two share; that
    prompt's id, and the longest stretch of words that both hold.
    """

    share: float
    prompt: str
    span: str


class HeldOut:
    """The held-out prompts of a loop (ids and texts), indexed by their runs of words."""

    def __init__(self, ids: Iterable[str], texts: Iterable[str]) -> None:
        self._whole: dict[Run, str] = {}
        self._words: dict[str, int] = {}
        self._runs: dict[int, dict[Run, dict[str, list[int]]]] = defaultdict(
            dict
        )  # length, run, prompt: places
        for prompt, text in zip(ids, texts, strict=True):
            words = _words(text)
            self._words[prompt] = len(words)
            if words:
                self._whole.setdefault(words, prompt)
            if len(words) >= LEAST:
                length = min(RUN, len(words))
                for place, run in enumerate(_runs(words, length)):
                    self._runs[length].setdefault(run, {}).setdefault(prompt, []).append(place)
        most = max(FEW, FORM * len(self._words))
        for length, runs in self._runs.items():
            self._runs[length] = {run: places for run, places in runs.items() if len(places) <= most}

    def overlap(self, text: str) -> Overlap | None:
        """The held-out prompt that a text overlaps most, None where they share no run."""
        words = _words(text)
        if words in self._whole:
            return Overlap(1.0, self._whole[words], " ".join(words))
        overlaps = [one for length in self._runs for one in self._shared(words, length)]
        return min(overlaps, key=lambda one: (-one.share, one.prompt), default=None)

    def near(self, text: str) -> Overlap | None:
        """The overlap, where it is more than `MOST`."""
        overlap = self.overlap(text)
        return overlap if overlap is not None and overlap.share > MOST else None

    def _shared(self, words: Run, length: int) -> Iterator[Overlap]:
        """The overlap with each held-out prompt that shares a run of the length."""
        index = self._runs[length]
        if index.keys().isdisjoint(_runs(words, length)):
            return
        ours: dict[str, list[int]] = defaultdict(list)
        theirs: dict[str, list[int]] = defaultdict(list)
        places: dict[Run, list[int]] = defaultdict(list)
        for place, run in enumerate(_runs(words, length)):
            if run in index:
                places[run].append(place)
        for run, here in places.items():
            for prompt, there in index[run].items():
                ours[prompt] += here
                theirs[prompt] += there
        for prompt in ours:
            covered, start, end = _covered(ours[prompt], length)
            share = max(covered / len(words), _covered(theirs[prompt], length)[0] / self._words[prompt])
            yield Overlap(share, prompt, " ".join(words[start:end]))


def held_out(frame: pl.DataFrame, prompts: HeldOut) -> pl.DataFrame:
    """Decisions (see decision.SCHEMA); the value is the overlap, `duplicate_of` the held-out prompt."""
    overlaps = [prompts.overlap(text) for text in frame["text"]]
    marked = frame.with_columns(
        pl.Series("overlap", [one.share if one else 0.0 for one in overlaps], dtype=pl.Float64),
        pl.Series("nearest", [one.prompt if one else None for one in overlaps], dtype=pl.String),
    )
    over = pl.col("overlap") > MOST
    return decide(
        marked,
        "held_out",
        pl.when(over).then(pl.lit("overlaps a held-out prompt")),
        value=pl.col("overlap"),
        duplicate_of=pl.when(over).then(pl.col("nearest")),
    )


def _words(text: str) -> Run:
    return tuple(_WORD.findall(text.casefold()))


def _runs(words: Run, length: int) -> Iterator[Run]:
    """Every run of `length` words, by its place."""
    return zip(*(words[start:] for start in range(length)), strict=False)


def _covered(places: list[int], length: int) -> tuple[int, int, int]:
    """How many words runs at these places cover, and where the longest stretch of them begins and ends."""
    covered, begun, end, longest = 0, 0, -1, (0, 0)
    for place in sorted(places):
        if place > end:
            begun = place
        covered += place + length - max(end, place)
        end = place + length
        longest = max(longest, (begun, end), key=lambda one: one[1] - one[0])
    return covered, *longest
