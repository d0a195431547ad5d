"""The verification step of a round: the verdicts that filters go by, further ones, and the auditor's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from flows.round.round import Round
from flows.steps.task import GROUP, shards, step_task
from schemas.units import Unit
from tasks.verify.scores import Role, sample_of_prompts, score_rows
from tasks.verify.verifier import get_verifier


def verify_candidates(round_: Round[Any], prompts: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """Verdicts on every candidate by the verifier that filters go by: rows of table `scores`.

    Further verifiers, and the auditor on its sample of prompts, give verdicts too. These are recorded but not
    returned, so that no filter sees them.
    """
    return verify_by_all(round_, prompts, candidates)[round_.recipe.verification.verifier]


def verify_by_all(
    round_: Round[Any], prompts: pl.DataFrame, candidates: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Verdicts on every candidate by the verifier that filters go by and by each further one, by its name;
    the auditor's, on its sample, are recorded alone.
    """
    settings = round_.recipe.verification
    scores = {settings.verifier: _judged(round_, prompts, candidates, settings.verifier, "filter", "verify")}
    for name in settings.also:
        scores[name] = _judged(round_, prompts, candidates, name, "also", f"verify-{name}")
    verify_by_auditor(round_, prompts, candidates)
    return scores


def verify_by_auditor(round_: Round[Any], prompts: pl.DataFrame, candidates: pl.DataFrame) -> None:
    """Record the auditor's verdicts on the answers to its sample of prompts; no filter sees them."""
    settings = round_.recipe.verification
    sample = sample_of_prompts(prompts, settings.audit_share, round_.recipe.seed)
    if sample.height:
        _judged(round_, sample, candidates, settings.audit, "audit", "verify-audit")


def _judged(
    round_: Round[Any], prompts: pl.DataFrame, candidates: pl.DataFrame, verifier: str, role: Role, step: str
) -> pl.DataFrame:
    """One verifier's verdicts on the answers to prompts, in shards of prompts."""
    answers = candidates.join(prompts.select("prompt_id", "reference"), on="prompt_id")
    parts = shards(prompts["prompt_id"].to_list(), round_.recipe.shard_size)
    scores = []
    with round_.step(step, answers.height, "verdicts") as advance:
        for start in range(0, len(parts), GROUP):
            group = {round_.unit(step, start + i): ids for i, ids in enumerate(parts[start : start + GROUP])}
            shard_scores = verdicts(round_, answers, group, verifier, role)
            advance(shard_scores.height)
            scores.append(shard_scores)
    return pl.concat(scores)


@step_task
def verdicts(
    round_: Round[Any],
    candidates: pl.DataFrame,
    group: dict[Unit, list[str]],
    name: str,
    role: Role = "filter",
) -> pl.DataFrame:
    """Some shards' verdicts: units of table scores, one commit."""
    verifier = get_verifier(name, strictness=round_.recipe.verification.strictness)

    def compute(missing: Sequence[Unit]) -> list[pl.DataFrame]:
        return [
            score_rows(verifier, candidates.filter(pl.col("prompt_id").is_in(group[unit])), unit.round, role)
            for unit in missing
        ]

    return round_.log.once_each(list(group), "scores", compute)
