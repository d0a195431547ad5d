"""Candidates: an engine's samples as rows of the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from schemas.identity import answer_id
from schemas.recipes.asking import Asking
from schemas.recipes.shared import Sampling
from schemas.tables import CANDIDATES
from tasks.generate.engine import Engine, first_seed
from tasks.models.asking import put
from tasks.models.conversation import Prompt, prompts_of

PLAIN = Asking()
NOTHING: Mapping[str, str] = {}


def candidate_rows(
    engine: Engine,
    prompts: pl.DataFrame,
    sampling: Sampling,
    *,
    checkpoint_id: str,
    round_number: int,
    seed: int,
    kind: str = "answer",
    progress: Callable[[int], None] | None = None,
    asking: Asking = PLAIN,
    engine_settings: Mapping[str, str] = NOTHING,
) -> pl.DataFrame:
    """`sampling.samples` answers to each prompt (columns prompt_id, split, text, maybe messages) by one
    checkpoint.

    Returns rows of table `candidates`. `seed` is the recipe's; each prompt gets its own from it, the
    round and what the prompt says, so that the same draw in another loop writes the same answers. A prompt
    that is asked several times, under several ids, needs a column `seed` with a seed for each. `asking`
    stands around each prompt, `engine_settings` are further values that decide the draw; both are on record.
    """
    inputs = [put(prompt, asking) for prompt in prompts_of(prompts)]
    if "seed" in prompts.columns:
        seeds = prompts["seed"].to_list()
    else:
        seeds = [prompt_seed(seed, round_number, prompt) for prompt in inputs]
    answers = engine.generate(inputs, sampling, seeds, progress)
    further = sampling.further(**({} if asking.is_plain else {"asked": asking.label}), **engine_settings)
    settings = (sampling.temperature, sampling.top_p, sampling.max_tokens, further)
    rows = [
        {
            "candidate_id": answer_id(
                round_number, prompt_id, checkpoint_id, sample.index, sample.seed, *settings
            ),
            "prompt_id": prompt_id,
            "split": split,
            "sample_index": sample.index,
            "text": sample.text,
            "finish_reason": sample.finish_reason,
            "token_count": sample.token_count,
            "logprob_sum": sample.logprob_sum,
            "seed": sample.seed,
        }
        for (prompt_id, split), samples in zip(
            prompts.select("prompt_id", "split").iter_rows(), answers, strict=True
        )
        for sample in samples
    ]
    return CANDIDATES.frame(rows).with_columns(
        pl.lit(checkpoint_id).alias("checkpoint_id"),
        pl.lit(kind).alias("kind"),
        pl.lit(sampling.temperature).alias("temperature"),
        pl.lit(sampling.top_p).alias("top_p"),
        pl.lit(sampling.max_tokens).alias("max_tokens"),
        pl.lit(further, pl.String).alias("settings"),
    )


def prompt_seed(seed: int, round_number: int, prompt: Prompt) -> int:
    """The seed of a prompt's first sample in a round."""
    parts = (prompt,) if isinstance(prompt, str) else (prompt.text, prompt.json)
    return first_seed("sample", seed, round_number, *parts)
