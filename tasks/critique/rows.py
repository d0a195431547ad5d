"""Critiques and revisions as rows of the log: one sample of an engine each, with what it was made from."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from schemas.identity import critique_id, revision_id
from schemas.recipes.shared import Sampling
from schemas.tables import CANDIDATES, CRITIQUES
from tasks.generate.engine import Sample


def critique_rows(
    criticised: pl.DataFrame,
    samples: Sequence[Sample],
    *,
    checkpoint_id: str,
    round_number: int,
    constitution: str,
) -> pl.DataFrame:
    """Rows of table `critiques`, one for each text (columns candidate_id, prompt_id, principle)
    and its sample. `constitution` is its label.
    """
    columns = criticised.select("candidate_id", "prompt_id", "principle").iter_rows()
    rows = [
        {
            "critique_id": critique_id(round_number, candidate, principle, checkpoint_id, 0, sample.seed),
            "candidate_id": candidate,
            "principle": principle,
            "text": sample.text,
            "checkpoint_id": checkpoint_id,
            "sample_index": 0,
            "seed": sample.seed,
            "prompt_id": prompt,
            "constitution": constitution,
            "finish_reason": sample.finish_reason,
            "token_count": sample.token_count,
        }
        for (candidate, prompt, principle), sample in zip(columns, samples, strict=True)
    ]
    return CRITIQUES.frame(rows)


def revision_rows(
    revised: pl.DataFrame,
    samples: Sequence[Sample],
    sampling: Sampling,
    *,
    checkpoint_id: str,
    round_number: int,
    further: str | None,
) -> pl.DataFrame:
    """Rows of table `candidates`, one for each text revised (columns candidate_id, prompt_id, split,
    sample_index, critique_id) and its sample. `further` is JSON of the settings beyond temperature, top_p and
    max_tokens.
    """
    settings = (sampling.temperature, sampling.top_p, sampling.max_tokens, further)
    columns = revised.select("candidate_id", "prompt_id", "split", "sample_index", "critique_id").iter_rows()
    rows = [
        {
            "candidate_id": revision_id(
                round_number, [parent], critique, checkpoint_id, index, sample.seed, *settings
            ),
            "prompt_id": prompt,
            "checkpoint_id": checkpoint_id,
            "kind": "revision",
            "split": split,
            "sample_index": index,
            "text": sample.text,
            "finish_reason": sample.finish_reason,
            "token_count": sample.token_count,
            "logprob_sum": sample.logprob_sum,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sample.seed,
            "parents": [parent],
            "settings": further,
            "critique_id": critique,
        }
        for (parent, prompt, split, index, critique), sample in zip(columns, samples, strict=True)
    ]
    return CANDIDATES.frame(rows)
