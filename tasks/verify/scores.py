"""Scores: a verifier's verdicts as rows of the log."""

from __future__ import annotations

from typing import Literal

import polars as pl

from schemas.identity import score_id
from schemas.ids import digest
from schemas.tables import SCORES
from tasks.verify.verifier import Verifier, verify_rows

Role = Literal["filter", "also", "audit"]  # what filters go by, a further opinion, one that no filter sees


def score_rows(
    verifier: Verifier, candidates: pl.DataFrame, round_number: int, role: Role = "filter"
) -> pl.DataFrame:
    """One verdict for each candidate (columns candidate_id, prompt_id, text, reference), for a role.

    Returns rows of table `scores`. A candidate without a reference is `unscorable`, never a fail.
    """
    references = candidates["reference"].fill_null("").to_list()
    verdicts = verify_rows(verifier, candidates["text"].to_list(), references)
    rows = [
        {
            "score_id": score_id(round_number, candidate_id, verifier.name, verifier.version),
            "candidate_id": candidate_id,
            "prompt_id": prompt_id,
            "outcome": verdict.outcome,
            "value": verdict.value,
            "steps": list(verdict.steps),
            "answer": verdict.answer,
            "path": list(verdict.equations),
            "rationale": verdict.reason,
        }
        for (candidate_id, prompt_id), verdict in zip(
            candidates.select("candidate_id", "prompt_id").iter_rows(), verdicts, strict=True
        )
    ]
    return SCORES.frame(rows).with_columns(
        pl.lit(verifier.name).alias("verifier"),
        pl.lit(verifier.version).alias("verifier_version"),
        pl.lit(verifier.kind).alias("verifier_kind"),
        pl.lit(role).alias("role"),
    )


def sample_of_prompts(prompts: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """The prompts that an auditor or a judge sees: a share (0 to 1), by hash of seed and id."""
    lots = [int(digest(("audit", seed, one))[:12], 16) / 16**12 for one in prompts["prompt_id"]]
    return prompts.filter(pl.Series("lot", lots, dtype=pl.Float64) < share)
