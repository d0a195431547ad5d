"""An engine some of whose texts are on record: those count, and only the others are written.

Work that was cut short between its texts and what is read from them goes on with the texts on record, where
an engine (a server) would not write the same again.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from schemas.recipes.shared import Sampling
from tasks.generate.engine import Engine, Progress, PromptRefused, Sample
from tasks.models.conversation import Prompt


class Written:
    """`engine`, with the texts of rows of table `candidates` in the place of those it would write by the same
    seeds. Rows keep no tokens: samples from them have none.
    """

    def __init__(self, engine: Engine, rows: pl.DataFrame) -> None:
        self.engine = engine
        self.tokenizer = getattr(engine, "tokenizer", None)
        self._samples = {
            row["seed"]: Sample(
                row["sample_index"],
                row["seed"],
                row["text"],
                row["finish_reason"],
                row["token_count"],
                row["logprob_sum"],
                (),
                (),
            )
            for row in rows.sort("candidate_id", descending=True).to_dicts()
        }

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seeds: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Sample]]:
        """As an engine does; a prompt has its texts from the rows where these hold all of them."""
        own = [[self._samples.get(seed + i) for i in range(sampling.samples)] for seed in seeds]
        whole = {place: [one for one in texts if one is not None] for place, texts in enumerate(own)}
        found = {place: texts for place, texts in whole.items() if len(texts) == sampling.samples}
        open_ = [place for place in range(len(prompts)) if place not in found]
        if open_:
            try:
                texts = self.engine.generate(
                    [prompts[place] for place in open_], sampling, [seeds[place] for place in open_], progress
                )
            except PromptRefused as error:
                raise PromptRefused(str(error), [open_[place] for place in error.indices]) from None
            found |= dict(zip(open_, texts, strict=True))
        return [found[place] for place in range(len(prompts))]
