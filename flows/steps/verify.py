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
    """A verdict on every candidate, by the verifier that filters go by, which is what comes back.

    Further verifiers judge too, and an independent one a sample of prompts: the log keeps what they say,
    and no filter sees it.
    """
    wanted = round_.recipe.verification
    scores = _judged(round_, prompts, candidates, wanted.verifier, "filter", "verify")
    for name in wanted.also:
        _judged(round_, prompts, candidates, name, "also", f"verify-{name}")
    verify_by_auditor(round_, prompts, candidates)
    return scores


def verify_by_auditor(round_: Round[Any], prompts: pl.DataFrame, candidates: pl.DataFrame) -> None:
    """An independent verifier's verdicts on the answers to a sample of prompts, that no filter sees."""
    wanted = round_.recipe.verification
    sample = sample_of_prompts(prompts, wanted.audit_share, round_.recipe.seed)
    if sample.height:
        _judged(round_, sample, candidates, wanted.audit, "audit", "verify-audit")


def _judged(
    round_: Round[Any], prompts: pl.DataFrame, candidates: pl.DataFrame, verifier: str, role: Role, step: str
) -> pl.DataFrame:
    """One verifier's verdicts on the answers to prompts, in shards of prompts."""
    asked = candidates.join(prompts.select("prompt_id", "reference"), on="prompt_id")
    parts = shards(prompts["prompt_id"].to_list(), round_.recipe.shard_size)
    scores = []
    with round_.step(step, asked.height, "verdicts") as advance:
        for start in range(0, len(parts), GROUP):
            group = {round_.unit(step, start + i): ids for i, ids in enumerate(parts[start : start + GROUP])}
            found = verdicts(round_, asked, group, verifier, role)
            advance(found.height)
            scores.append(found)
    return pl.concat(scores)


@step_task
def verdicts(
    round_: Round[Any], asked: pl.DataFrame, group: dict[Unit, list[str]], name: str, role: Role = "filter"
) -> pl.DataFrame:
    """Some shards' verdicts: units of table scores, one commit."""
    verifier = get_verifier(name, strictness=round_.recipe.verification.strictness)

    def made(missing: Sequence[Unit]) -> list[pl.DataFrame]:
        return [
            score_rows(verifier, asked.filter(pl.col("prompt_id").is_in(group[unit])), unit.round, role)
            for unit in missing
        ]

    return round_.log.once_each(list(group), "scores", made)
