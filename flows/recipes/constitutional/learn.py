"""What the constitutional phase learns: revisions, all or the last of each answer, and ordinary help."""

from __future__ import annotations

import polars as pl

from flows.round.round import Round
from flows.steps.filter import length_filter, with_decision_ids
from flows.steps.references import reference_decisions
from flows.steps.task import step_task
from schemas.recipes.constitutional import Constitutional
from tasks.filter.chain import run_chain
from tasks.filter.correct import correct
from tasks.filter.decision import Filter
from tasks.filter.drawn import drawn
from tasks.filter.finished import finished
from tasks.filter.revision import last_revision
from tasks.models.conversation import prompt_columns


@step_task
def learned_revisions(round_: Round[Constitutional], revisions: pl.DataFrame) -> pl.DataFrame:
    """Decisions on those revisions (columns as `revise` gives them) that can be used: which are learned."""
    usable = revisions.filter("usable")
    recipe = round_.recipe

    def compute() -> pl.DataFrame:
        filters: list[Filter] = [last_revision] if recipe.learn == "final" else []
        filters.append(_share(round_, recipe.learn_share, "learn_share"))
        return with_decision_ids(round_, run_chain(usable, filters)[0], "learn")

    return round_.log.once(round_.unit("learn"), "decisions", compute)


def helpful_examples(
    round_: Round[Constitutional], prompts: pl.DataFrame, candidates: pl.DataFrame, scores: pl.DataFrame
) -> pl.DataFrame:
    """Decisions on the champion's answers to ordinary prompts, and on references where they are learned."""
    frames = [_answers(round_, prompts, candidates, scores)]
    if round_.recipe.helpful.references > 0:
        frames.append(reference_decisions(round_, round_.recipe.helpful.references))
    return pl.concat(frames)


@step_task
def _answers(
    round_: Round[Constitutional], prompts: pl.DataFrame, candidates: pl.DataFrame, scores: pl.DataFrame
) -> pl.DataFrame:
    helpful = round_.recipe.helpful

    def compute() -> pl.DataFrame:
        verdicts = scores.select("candidate_id", "outcome", "steps")
        rows = candidates.join(verdicts, on="candidate_id").join(prompt_columns(prompts), on="prompt_id")
        filters: list[Filter] = [
            *([correct] if helpful.passing else []),
            finished,
            length_filter(round_),
            _share(round_, helpful.answers, "helpful_share"),
        ]
        return with_decision_ids(round_, run_chain(rows, filters)[0], "filter")

    return round_.log.once(round_.unit("filter"), "decisions", compute)


def _share(round_: Round[Constitutional], share: float, name: str) -> Filter:
    """A filter that keeps a share of what it is shown, by lot."""
    seed = (round_.recipe.seed, round_.number, name)
    return lambda frame: drawn(frame, round(share * frame.height), name, seed)
