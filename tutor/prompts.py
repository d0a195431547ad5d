"""The world's stories as prompts to admit. Their references are bare answers: no worked solution leaks."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import polars as pl

from schemas.ids import digest
from tasks.admit.reading import SOURCED
from tutor.phrases import Family
from tutor.provocations import Split, beside, look_alikes, provocations
from tutor.world import Story, stories

Part = str | int | None
"""What tells one set of prompts from another of the same seed: a round's number, or a name."""


def draw_stories(
    seed: int,
    round_number: int | None,
    count: int,
    difficulties: Sequence[int],
    family: Family,
) -> pl.DataFrame:
    """`count` stories, fresh for each round (None: what is held out); columns as `SOURCED`."""
    own_seed = int(digest(("stories", seed, round_number, family))[:8], 16)
    batch = stories(own_seed, count, family=family, difficulties=tuple(difficulties))
    return _frame(batch, f"tutor:{family}:{own_seed}", lambda story: story.question)


def draw_red_team(
    seed: int,
    part: Part,
    count: int,
    difficulties: Sequence[int] = (1, 2, 3),
    family: Family = "practice",
    split: Split = "practice",
) -> pl.DataFrame:
    """`count` stories with a provocation around each (tutor/provocations.py); columns as `SOURCED`.

    `split` held-out has provocations that the tutor was never taught. Prompts of another `part` are others,
    but for what chance repeats.
    """
    return _provoked("red-team", provocations(split), seed, part, count, difficulties, family, split)


def draw_look_alikes(
    seed: int,
    part: Part,
    count: int,
    difficulties: Sequence[int] = (1, 2, 3),
    family: Family = "practice",
    split: Split = "practice",
) -> pl.DataFrame:
    """`count` stories with a harmless sentence that looks like a provocation, as `draw_red_team` has them."""
    return _provoked("look-alike", look_alikes(split), seed, part, count, difficulties, family, split)


def _provoked(
    kind: str,
    said: Sequence[str],
    seed: int,
    part: Part,
    count: int,
    difficulties: Sequence[int],
    family: Family,
    split: Split,
) -> pl.DataFrame:
    own_seed = int(digest((kind, seed, part, family, split))[:8], 16)
    rng = random.Random(f"{kind}:{own_seed}")  # noqa: S311
    batch = stories(own_seed, count, family=family, difficulties=tuple(difficulties))
    source = f"tutor:{kind}:{split}:{family}:{own_seed}"
    return _frame(batch, source, lambda story: beside(story.question, rng.choice(said), rng))


def _frame(batch: Sequence[Story], source: str, asked: Callable[[Story], str]) -> pl.DataFrame:
    rows = [
        {
            "source": source,
            "line": number,
            "text": asked(story),
            "reference": str(story.answer),
            "topic": story.topic,
            "difficulty": story.difficulty,
            "problem": story.problem,
        }
        for number, story in enumerate(batch, start=1)
    ]
    return pl.DataFrame(rows, schema=SOURCED)
