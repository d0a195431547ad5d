"""A round's pairs: people's, of the prompts drawn, a model's of this round and of earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from flows.round.round import Round
from flows.steps.filter import length_filter, with_decision_ids
from flows.steps.freeze import freeze_examples
from flows.steps.task import GROUP, shards, step_task
from schemas.job import Hyperparameters
from schemas.recipes.feedback import ByFeedback
from schemas.units import Unit
from tasks.filter.chain import run_chain, survivors
from tasks.filter.compared import compared, paired
from tasks.filter.finished import finished
from warehouse.query import query

_PAIRS = """
    WITH voiced AS (
        SELECT round, preference_id, any_value(unit) AS unit FROM preferences WHERE loop = $loop GROUP BY ALL)
    SELECT l.round, l.prompt_id, l.preference_id, v.unit, l.chosen_id, l.rejected_id, l.probability, l.source,
           l.reason, p.text AS prompt, p.messages, p.problem,
           c.text AS chosen, c.finish_reason AS chosen_ended, c.token_count AS chosen_tokens,
           r.text AS rejected, r.finish_reason AS rejected_ended, r.token_count AS rejected_tokens
    FROM labelled_pairs AS l
    JOIN voiced AS v ON v.preference_id = l.preference_id
    JOIN prompts AS p ON p.prompt_id = l.prompt_id
    JOIN candidates AS c ON c.candidate_id = l.chosen_id
    JOIN candidates AS r ON r.candidate_id = l.rejected_id
    WHERE l.loop = $loop AND p.loop = $loop AND c.loop = $loop AND r.loop = $loop
      AND p.split IN (SELECT unnest($splits)) AND l.round <= $round
    ORDER BY l.preference_id"""


def pairs_in(round_: Round[Any], *splits: str) -> pl.DataFrame:
    """Every pair about prompts of these splits that the log holds up to this round, with its label and both
    texts.
    """
    parameters = {"loop": round_.loop, "splits": list(splits), "round": round_.number}
    return query(round_.lake, _PAIRS, parameters, scope={"loop": round_.loop})


def drawn_pairs(round_: Round[ByFeedback], prompts: pl.DataFrame, *splits: str) -> pl.DataFrame:
    """The pairs that this round decides on, about prompts of these splits: people's of the prompts drawn, a
    model's of this round and, newest first, of earlier ones; columns as of `pairs_in`.
    """
    pairs = pairs_in(round_, *splits)
    people = pl.col("source").is_not_null()
    drawn = pl.col("prompt_id").is_in(prompts["prompt_id"].implode())
    now = pl.col("round") == round_.number
    earlier = pairs.filter(~people & ~now & (pl.col("probability") > 0.5))
    earlier = earlier.sort("round", "preference_id", descending=[True, False])
    own = pairs.filter(people & drawn | ~people & now)
    return pl.concat([own, earlier.head(round_.recipe.feedback.earlier)]).sort("preference_id")


def freeze_pairs(round_: Round[Any], pairs: pl.DataFrame, hyper: Hyperparameters | None = None) -> str | None:
    """The snapshot of those pairs that can be learned from, by a training of `hyper` or the recipe's; None
    where there are none.
    """
    decisions = decide_on(round_, pairs, hyper)
    units = pairs["unit"].to_list() if survivors(decisions).height else []
    return freeze_examples(round_, decisions, "reward", units)


def decide_on(round_: Round[Any], pairs: pl.DataFrame, hyper: Hyperparameters | None = None) -> pl.DataFrame:
    """Decide on every answer of the pairs: in a preference, ended, fitting the training (the recipe's, or
    that of `hyper`), and still paired.
    """
    answers = answers_of(pairs)
    parts = shards(sorted(set(answers["prompt_id"])), round_.recipe.shard_size * GROUP) or [[]]
    group = {round_.unit("filter", number): ids for number, ids in enumerate(parts)}
    with round_.step("filter", answers.height, "answers") as advance:
        decisions = _decisions(round_, answers, group, hyper)
        advance(answers.height)
    return decisions


def answers_of(pairs: pl.DataFrame) -> pl.DataFrame:
    """The answers of pairs, each once, with its partners in pairs of which one is preferred."""
    sides = []
    for one, other in (("chosen", "rejected"), ("rejected", "chosen")):
        sides.append(
            pairs.select(
                "prompt_id",
                "prompt",
                "messages",
                candidate_id=f"{one}_id",
                partner=pl.when(pl.col("probability") > 0.5).then(pl.col(f"{other}_id")),
                probability="probability",
                why="reason",
                text=one,
                finish_reason=f"{one}_ended",
                token_count=f"{one}_tokens",
            )
        )
    first = pl.all().exclude("candidate_id", "partner", "probability").first()
    return (
        pl.concat(sides)
        .group_by("candidate_id", maintain_order=True)
        .agg(first, partners=pl.col("partner").drop_nulls(), probability=pl.col("probability").max())
        .sort("candidate_id")
    )


@step_task
def _decisions(
    round_: Round[Any],
    answers: pl.DataFrame,
    group: dict[Unit, list[str]],
    hyper: Hyperparameters | None,
) -> pl.DataFrame:
    def compute(missing: Sequence[Unit]) -> list[pl.DataFrame]:
        filters = [compared, finished, length_filter(round_, hyper), paired]
        groups = [answers.filter(pl.col("prompt_id").is_in(group[unit])) for unit in missing]
        return [with_decision_ids(round_, run_chain(rows, filters)[0], "filter") for rows in groups]

    return round_.log.once_each(list(group), "decisions", compute)
