"""Rollouts: answers with what their tokens are credited with, as a policy-gradient training reads them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl

from schemas.recipes.policy_gradients import Advantages
from schemas.tables import ROLLOUTS
from tasks.filter.decision import decide
from tasks.reward.advantages import (
    Floats,
    gae,
    group_advantages,
    leave_one_out,
    spreads,
    token_rewards,
    whitened,
)


def rollout_rows(
    answers: pl.DataFrame, settings: Advantages, kl_in_reward: float = 0.0, keep: bool = False
) -> pl.DataFrame:
    """Rows of table `rollouts` for the answers of an iteration.

    Columns: candidate_id, prompt_id, checkpoint_id, reward, rewards, token_ids, behaviour_logprobs,
    reference_logprobs and values (lists a token, or null). The answers to a prompt are a group. An answer
    without a reward is in none, and has no advantages; nor has one whose tokens are not known, but its reward
    counts. By a critic that is not there yet (no values) all that comes is unexpected. Whitened are answers
    that `signalled` keeps.
    """
    rows = [_row(row) for row in answers.iter_rows(named=True)]
    known = [row for row in rows if row["reward"] is not None]
    estimate = _by_critic if settings.estimator == "gae" else _by_group
    advantages = estimate(known, settings, kl_in_reward)
    if settings.whiten:
        used = range(len(known)) if keep else _unlike(known)
        white = whitened([advantages[place] for place in used])
        for place, values in zip(used, white, strict=True):
            advantages[place] = values
    for row, values in zip(known, advantages, strict=True):
        row["advantages"] = _listed(values)
    return ROLLOUTS.frame(rows).with_columns(pl.lit(settings.estimator).alias("estimator"))


def _unlike(known: list[dict[str, Any]]) -> list[int]:
    """The places of answers to prompts whose answers with tokens on record differ in reward."""
    drawn = [row for row in known if row["count"]]
    spread = spreads([row["reward"] for row in drawn], [row["prompt_id"] for row in drawn])
    return [place for place, row in enumerate(known) if spread.get(row["prompt_id"], 0.0) > 0.0]


def _by_group(known: list[dict[str, Any]], settings: Advantages, kl_in_reward: float) -> list[Floats]:
    """Each answer's advantage at all of its tokens."""
    costs = [kl_in_reward * drift(row) if kl_in_reward else 0.0 for row in known]
    rewards = [row["reward"] - cost for row, cost in zip(known, costs, strict=True)]
    groups = [row["prompt_id"] for row in known]
    each = (
        leave_one_out(rewards, groups)
        if settings.estimator == "leave-one-out"
        else (group_advantages(rewards, groups, settings.scale))
    )
    return [np.full(row["count"], one) for row, one in zip(known, each, strict=True)]


def _by_critic(known: list[dict[str, Any]], settings: Advantages, kl_in_reward: float) -> list[Floats]:
    """Each token's advantage by what a critic expected; the rows get the returns that it should have."""
    advantages = []
    for row in known:
        if not row["count"]:
            advantages.append(np.zeros(0))
            continue
        costs = np.zeros(row["count"])
        if kl_in_reward and row["reference_logprobs"]:
            costs = np.asarray(row["behaviour_logprobs"]) - np.asarray(row["reference_logprobs"])
        rewards = token_rewards(row["reward"], costs, kl_in_reward)
        expected, decay = row["values"], settings.decay
        if expected is None:
            expected, decay = np.zeros(row["count"]), 1.0
        own, returns = gae(rewards, expected, settings.discount, decay)
        row["returns"] = returns.tolist()
        advantages.append(own)
    return advantages


def _row(answer: dict[str, Any]) -> dict[str, Any]:
    own = ("candidate_id", "prompt_id", "checkpoint_id", "reward", "rewards", "reference_logprobs", "values")
    row = {name: answer[name] for name in own}
    behaviour = answer["behaviour_logprobs"]
    return row | {
        "grouped_by": answer["prompt_id"],
        "advantages": None,
        "returns": None,
        "count": len(answer["token_ids"] or ()),
        "behaviour_logprobs": behaviour,
    }


def _listed(values: Floats) -> list[float] | None:
    return values.tolist() if len(values) else None


def drift(row: dict[str, Any]) -> float:
    """An answer's log-ratio of the policy that drew it to the reference, nats: on average the divergence of
    the two; 0 where either is not known.
    """
    drawn, reference = row["behaviour_logprobs"], row["reference_logprobs"]
    return float(np.sum(drawn) - np.sum(reference)) if drawn and reference else 0.0


def mean_drift(rollouts: pl.DataFrame) -> float | None:
    """The divergence from the reference that rollouts show, nats an answer; None where it was not looked
    at.
    """
    known = rollouts.drop_nulls(["behaviour_logprobs", "reference_logprobs"])
    return float(np.mean([drift(row) for row in known.iter_rows(named=True)])) if known.height else None


def signalled(frame: pl.DataFrame, keep: bool = False) -> pl.DataFrame:
    """Decisions (see tasks/filter/decision.py) on answers (columns `reward`, `prompt_id`): dropped are those
    to a prompt whose answers all have the same reward, unless they are to be kept.

    The value is the difference between the prompt's largest and smallest reward.
    """
    known = frame.filter(pl.col("reward").is_not_null())
    spread = spreads(known["reward"].to_list(), known["prompt_id"].to_list())
    marked = frame.with_columns(
        pl.Series("spread", [spread.get(name) for name in frame["prompt_id"]], dtype=pl.Float64)
    )
    same = pl.when((pl.col("spread") == 0.0) & (not keep)).then(
        pl.lit("all answers to its prompt have the same reward")
    )
    return decide(marked, "signal", same, value=pl.col("spread"))


def credited(frame: pl.DataFrame) -> pl.DataFrame:
    """Decisions on answers with columns `reward`, `rewards`, `outcome` and `advantages`: dropped are those
    without a reward or whose tokens are not on record; the value is the reward.

    The reason for no reward is the verdict's outcome, or where that is a plain pass or fail the parts that
    have no value.
    """
    parts = [json.loads(text) for text in frame["rewards"]]
    lacking = [", ".join(name for name, value in one.items() if value is None) for one in parts]
    marked = frame.with_columns(pl.Series("lacking", lacking, dtype=pl.String))
    reason = (
        pl.when(pl.col("reward").is_null())
        .then(
            pl.when(pl.col("outcome").is_in(("pass", "fail")))
            .then(pl.format("no value of {}", "lacking"))
            .otherwise(pl.coalesce("outcome", pl.lit("no score")))
        )
        .when(pl.col("advantages").is_null())
        .then(pl.lit("its tokens are not on record"))
    )
    return decide(marked, "credited", reason, value=pl.col("reward"))


def within_budget(frame: pl.DataFrame, kl: float | None, budget: float | None) -> pl.DataFrame:
    """Decisions that drop every answer where the policy that drew them is further from the reference than a
    budget (nats an answer): the value is that divergence.
    """
    over = kl is not None and budget is not None and kl > budget
    reason = pl.lit(f"KL {kl:.3f} nats an answer, over the budget of {budget:g}" if over else None, pl.String)
    return decide(frame, "kl_budget", reason, value=pl.lit(kl))
