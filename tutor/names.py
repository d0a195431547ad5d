"""Made-up names of people and things, spelled in syllables; never one of the held-out family's words."""

from __future__ import annotations

import random

from tutor.phrases import HELD_OUT

_ONSETS = [*"bcdfghjklmnprstvwyzbdklmnprst", "br", "ch", "cr", "pr", "sh", "st"]
_VOWELS = "aeiou"
_CODAS = ["", "", "", "", "l", "n", "r", "s", "t"]
_TAKEN = {w.lower() for w in (*HELD_OUT.names, *HELD_OUT.things, *HELD_OUT.containers, *HELD_OUT.goods)}


def made_up(person: bool, rng: random.Random) -> str:
    """A name of one or two syllables: a person's, or a thing's in the plural."""
    while True:
        syllables = rng.choice((1, 2, 2, 2))
        word = "".join(
            rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables)
        )
        word = word.capitalize() if person else word + "s"
        if len(word) > 3 and word.lower() not in _TAKEN:
            return word
