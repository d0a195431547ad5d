"""A preference model on the held-out pairs: its scores and its measures, each a fact."""

from __future__ import annotations

from typing import Any

import polars as pl

from flows.round.round import Round
from flows.steps.prefer import score_answers
from flows.steps.task import shards
from schemas.errors import LakeError
from schemas.ids import digest
from schemas.units import Unit
from tasks.admit.pairs import starts
from tasks.evaluate.measure import evaluation_rows
from tasks.evaluate.preferences import pair_metrics
from tasks.models.asking import as_asked
from tasks.models.checkpoint import load_tokenizer
from tasks.models.turns import answer_tokens
from tasks.verify.reward import NAME, RULES
from warehouse.loops import Checkpoint
from warehouse.query import query, read

_SCORES = """
    SELECT candidate_id, value FROM scores
    WHERE loop = $loop AND round = $round AND verifier = $verifier AND judge_checkpoint_id = $checkpoint
      AND ends_with(unit, $suite)
    ORDER BY candidate_id"""


def measure(round_: Round[Any], checkpoint: Checkpoint, pairs: pl.DataFrame, name: str) -> pl.DataFrame:
    """Which held-out pairs a preference model tells right: preference_id, margin, right. Its scores and
    measures are facts; what an earlier round has measured on the same pairs is read.
    """
    suite = suite_of(round_, pairs)
    earlier = read(round_.lake, "evaluations", {"loop": round_.loop, "checkpoint_id": checkpoint.id})
    earlier = earlier.filter(pl.col("suite") == suite)
    answers = _answers(round_, pairs)
    with round_.step("evaluate", answers.height, f"answers ({name})") as advance:
        if earlier.is_empty():
            scores = [
                score_answers(
                    round_, answers.filter(pl.col("prompt_id").is_in(ids)), checkpoint, unit, advance
                )
                for unit, ids in _shards(round_, answers, checkpoint, suite).items()
            ]
            values = pl.concat(scores).select("candidate_id", "value")
        else:
            values = _recorded(round_, answers, checkpoint, int(earlier["round"][0]), suite)
            advance(answers.height, held=True)
    margins = _margins(round_, pairs, values)
    if earlier.is_empty():
        metrics = pair_metrics(margins, problems_of(margins))
        rows = evaluation_rows(metrics, checkpoint.id, suite, round_.loop, round_.number)
        unit = Unit(round_.loop, round_.number, f"evaluate-{checkpoint.id}", 0, suite)
        round_.log.once(unit, "evaluations", lambda: rows)
    return margins.select("preference_id", "margin", right=pl.col("margin") > 0)


def suite_of(round_: Round[Any], pairs: pl.DataFrame) -> str:
    """12 hex digits over what a measure depends on besides the checkpoint: the pairs and their labels, how
    prompts are put, the rules of scoring.
    """
    prompts = round_.recipe.prompts
    asked = [] if prompts.asking.is_plain else [prompts.asking.label]
    labels = [f"{one}:{p!r}" for one, p in pairs.select("preference_id", "probability").iter_rows()]
    return digest([NAME, RULES, prompts.chat.label, *asked, *labels])[:12]


def problems_of(pairs: pl.DataFrame) -> list[str]:
    """What makes pairs alike: the problem that their prompts tell, else how their dialogues begin."""
    own = starts(pairs.rename({"prompt": "text"}))
    return pairs.select(pl.coalesce("problem", own)).to_series().to_list()


def _answers(round_: Round[Any], pairs: pl.DataFrame) -> pl.DataFrame:
    """Both answers of each pair, each once, with their prompts as the model is asked them."""
    common = ["prompt_id", "prompt", "messages"]
    sides = [pairs.select(*common, candidate_id=f"{side}_id", text=side) for side in ("chosen", "rejected")]
    rows = pl.concat(sides).unique("candidate_id", keep="first", maintain_order=True).sort("candidate_id")
    return as_asked(rows, round_.recipe.prompts.asking)


def _shards(
    round_: Round[Any], answers: pl.DataFrame, checkpoint: Checkpoint, suite: str
) -> dict[Unit, list[str]]:
    parts = shards(sorted(set(answers["prompt_id"])), round_.recipe.shard_size)
    step = f"reward-{checkpoint.id}"
    return {Unit(round_.loop, round_.number, step, shard, suite): ids for shard, ids in enumerate(parts)}


def _recorded(
    round_: Round[Any], answers: pl.DataFrame, checkpoint: Checkpoint, number: int, suite: str
) -> pl.DataFrame:
    """The scores that round `number` recorded of a measured suite, whatever its shards were: candidate_id,
    value. LakeError where an answer has none.
    """
    parameters = {
        "loop": round_.loop,
        "round": number,
        "verifier": NAME,
        "checkpoint": checkpoint.id,
        "suite": f"/{suite}",
    }
    values = query(round_.lake, _SCORES, parameters, scope={"loop": round_.loop})
    lacking = answers.filter(~pl.col("candidate_id").is_in(values["candidate_id"].implode()))
    if not lacking.is_empty():
        raise LakeError(
            f"{lacking.height} of {answers.height} held-out answers, such as {lacking['candidate_id'][0]}, "
            f"have no score by {checkpoint.id} in round {number}, which has measured it: see `ratchet verify`"
        )
    return values


def _margins(round_: Round[Any], pairs: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """Pairs with their margin and how many tokens longer the preferred answer is; a side without a score
    counts as the worst there could be for it: the pair has a margin of 0, which is not right.
    """
    tokenizer = load_tokenizer(round_.base.folder, round_.recipe.prompts.chat)
    rows = pairs
    for side in ("chosen", "rejected"):
        own = values.rename({"candidate_id": f"{side}_id", "value": f"{side}_score"})
        rows = rows.join(own, on=f"{side}_id", how="left", maintain_order="left")
    lengths = [
        [len(one) for one in answer_tokens(tokenizer, pairs[side].to_list())]
        for side in ("chosen", "rejected")
    ]
    longer = pl.Series("longer", lengths[0], dtype=pl.Int64) - pl.Series(lengths[1], dtype=pl.Int64)
    return rows.with_columns(
        longer, margin=(pl.col("chosen_score") - pl.col("rejected_score")).fill_null(0.0)
    )
