"""The tokens that answers were drawn as, with the sampler's log-probabilities: rows of table `tokens`."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from schemas.errors import BadInput
from schemas.recipes.shared import Sampling
from schemas.tables import TOKENS
from tasks.generate.engine import Engine, Progress, Sample
from tasks.models.conversation import Prompt


class Remembering:
    """An engine that remembers the samples of its last call, in the order of the prompts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.samples: list[Sample] = []

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seeds: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Sample]]:
        """See Engine.generate."""
        answers = self._engine.generate(prompts, sampling, seeds, progress)
        self.samples = [sample for samples in answers for sample in samples]
        return answers


def token_rows(candidates: pl.DataFrame, samples: Sequence[Sample]) -> pl.DataFrame:
    """The tokens of candidates (columns candidate_id, text) that were made from these samples, in order.

    A sample has no row where its engine keeps tokens or log-probabilities to itself, or where its text is not
    the candidate's: drawn again by a server that does not draw by the seed, it is another answer. BadInput
    where no sample has any.
    """
    if samples and not any(sample.token_ids and sample.tempered_logprobs for sample in samples):
        raise BadInput(
            "the engine keeps the tokens that it drew, or their log-probabilities, to itself: nothing can be"
            " learned from them"
        )
    rows = [
        {
            "candidate_id": name,
            "token_ids": sample.token_ids,
            "logprobs": sample.token_logprobs,
            "tempered_logprobs": warm
            if (warm := sample.tempered_logprobs) != sample.token_logprobs
            else None,
        }
        for (name, text), sample in zip(
            candidates.select("candidate_id", "text").iter_rows(), samples, strict=True
        )
        if len(sample.token_ids) == len(sample.tempered_logprobs) > 0 and sample.text == text
    ]
    return TOKENS.frame(rows)
