"""What an iteration of policy gradients learns from: what each answer earned, and which answers."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from flows.round.round import Round
from flows.steps.filter import fits_as_drawn, with_decision_ids
from flows.steps.iteration import tokens_of
from flows.steps.task import step_task
from schemas.recipes.policy_gradients import PolicyGradients
from tasks.filter.chain import run_chain
from tasks.filter.decision import Filter
from tasks.filter.finished import finished
from tasks.models.asking import put
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import prompt_columns, prompts_of
from tasks.models.rendering import prompt_tokens
from tasks.models.scalar import token_values
from tasks.reward.parts import rewarded
from tasks.reward.rollouts import credited, rollout_rows, signalled, within_budget
from tasks.train.reference import BATCH, token_logprobs
from warehouse.loops import Checkpoint


@step_task
def credit(
    round_: Round[PolicyGradients],
    prompts: pl.DataFrame,
    answers: pl.DataFrame,
    given: Mapping[str, pl.DataFrame],
    reference: Checkpoint,
    critic: Checkpoint | None = None,
) -> pl.DataFrame:
    """What each answer earned and what its tokens are credited with: rows of table `rollouts`, with column
    `behaviour_logprobs` beside them.
    """
    recipe, tokens = round_.recipe, tokens_of(round_, answers)
    drawn = answers.join(tokens, on="candidate_id", how="left", maintain_order="left")

    def compute() -> pl.DataFrame:
        with round_.step("credit", drawn.height, "answers") as advance:
            earned = rewarded(drawn, given, recipe.reward_weights, recipe.rewards)
            with round_.model_at_work():
                known = _read_again(round_, prompts, earned, reference, critic)
            alike = recipe.keeps_groups_alike
            rows = rollout_rows(known, recipe.advantages, recipe.kl_in_reward, alike)
            advance(rows.height)
        return rows

    rows = round_.log.once(round_.unit("rollouts"), "rollouts", compute)
    return rows.join(drawn.select("candidate_id", "behaviour_logprobs"), on="candidate_id")


def _read_again(
    round_: Round[PolicyGradients],
    prompts: pl.DataFrame,
    answers: pl.DataFrame,
    reference: Checkpoint,
    critic: Checkpoint | None,
) -> pl.DataFrame:
    """Answers with `reference_logprobs` and the critic's `values`, lists a token; null where nobody asks for
    them, or the answer's tokens are not known.
    """
    recipe, known = round_.recipe, answers.filter(pl.col("token_ids").is_not_null())
    tokenizer, asking = load_tokenizer(reference.folder, recipe.prompts.chat), recipe.prompts.asking
    asked = prompt_tokens(tokenizer, [put(prompt, asking) for prompt in prompts_of(prompts)])
    ids = dict(zip(prompts["prompt_id"], asked, strict=True))
    before, own = [ids[name] for name in known["prompt_id"]], known["token_ids"].to_list()
    batch = recipe.training.micro_batch_size or BATCH
    logprobs: list[list[float]] | None = None
    if recipe.watch_kl:
        logprobs = token_logprobs(reference.folder, before, own, recipe.sampling.temperature, batch)
    values = token_values(critic.folder, before, own, batch) if critic is not None else None
    columns = {"reference_logprobs": logprobs, "values": values}
    lists = [
        pl.Series(name, column or [None] * known.height, dtype=pl.List(pl.Float64))
        for name, column in columns.items()
    ]
    theirs = known.select("candidate_id").with_columns(lists)
    return answers.join(theirs, on="candidate_id", how="left", maintain_order="left")


@step_task
def chosen(
    round_: Round[PolicyGradients],
    prompts: pl.DataFrame,
    answers: pl.DataFrame,
    given: Mapping[str, pl.DataFrame],
    rollouts: pl.DataFrame,
    kl: float | None,
) -> pl.DataFrame:
    """Which answers are learned from, and why others are not: decisions on every answer."""
    recipe = round_.recipe

    def compute() -> pl.DataFrame:
        outcomes = given[recipe.verification.verifier].select("candidate_id", "outcome")
        frame = (
            answers.join(
                rollouts.select("candidate_id", "reward", "rewards", "advantages"), on="candidate_id"
            )
            .join(outcomes, on="candidate_id", how="left")
            .join(prompt_columns(prompts), on="prompt_id")
        )
        filters: list[Filter] = [
            lambda rows: within_budget(rows, kl, recipe.kl_budget),
            credited,
            lambda rows: signalled(rows, recipe.keeps_groups_alike),
            lambda rows: fits_as_drawn(round_, rows, recipe.trainings),
        ]
        filters += [finished] if recipe.cut_off == "drop" else []
        return with_decision_ids(round_, run_chain(frame, filters)[0], "filter")

    return round_.log.once(round_.unit("filter"), "decisions", compute)
