"""The world's stories as prompts to admit. Their references are bare answers: no worked solution leaks."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from schemas.ids import digest
from tasks.admit.reading import SOURCED
from tutor.phrases import Family
from tutor.world import stories


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
    rows = [
        {
            "source": f"tutor:{family}:{own_seed}",
            "line": number,
            "text": story.question,
            "reference": str(story.answer),
            "topic": story.topic,
            "difficulty": story.difficulty,
            "problem": story.problem,
        }
        for number, story in enumerate(batch, start=1)
    ]
    return pl.DataFrame(rows, schema=SOURCED)
