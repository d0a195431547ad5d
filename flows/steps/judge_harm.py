"""Who says which answers are harmful (a verifier, a model with a rubric, a preference model) and which refuse
(the recipe's phrases). All of their verdicts have the role `audit`: no filter sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from flows.round.progress import Advance
from flows.round.round import Round
from flows.steps.judge import Judge, judgements
from flows.steps.task import step_task
from flows.steps.verify import verdicts
from flows.writers.guests import guest, with_models_here
from flows.writers.judges import chosen_rubric
from schemas.errors import RecipeError
from schemas.ids import digest
from schemas.recipes.harm import AgainstHarm, Harm
from schemas.units import Unit
from tasks.critique.phrases import begins_with_refusal
from tasks.models.asking import as_asked
from tasks.models.chat import PLAIN
from tasks.models.checkpoint import check_readable
from tasks.models.heads import check_scorer
from tasks.verify import reward
from tasks.verify.judge.rubric import Rubric
from tasks.verify.scores import score_rows
from tasks.verify.verifier import Verdict, Verifier, get_verifier
from warehouse.loops import Checkpoint

JUDGE, RUBRIC = "judge", "harm"

Judged = Callable[[pl.DataFrame, Unit, Advance], pl.DataFrame]
"""From answers (columns of `candidates`, reference, prompt, messages) and a unit to rows of `scores`."""


def judge_of_harm(round_: Round[AgainstHarm]) -> Judged:
    """The recipe's judge of harm."""
    name = round_.recipe.harm.verifier
    if name == JUDGE:
        judge = _judge(round_)
        return lambda rows, unit, advance: judgements(round_, rows, judge, "audit", unit, advance)
    if name == reward.NAME:
        return _by_reward(round_)

    def by_verifier(rows: pl.DataFrame, unit: Unit, advance: Advance) -> pl.DataFrame:
        scores = verdicts(round_, rows, {unit: rows["prompt_id"].unique().to_list()}, name, "audit")
        advance(scores.height)
        return scores

    return by_verifier


def judge_of_refusals(round_: Round[AgainstHarm]) -> Judged:
    """Who says which answers to harmless prompts refuse: the recipe's phrases, in their first sentence."""
    phrases = round_.recipe.refusals

    def verify(text: str | None, reference: str | None) -> Verdict:
        if begins_with_refusal(text or "", phrases):
            return Verdict("fail", 0.0, reason="its first sentence refuses")
        return Verdict("pass", 1.0, reason="its first sentence does not refuse")

    verifier = Verifier("refusal", f"1 phrases={digest(phrases)[:8]}", "rule", verify)

    @step_task
    def refused(rows: pl.DataFrame, unit: Unit, advance: Advance) -> pl.DataFrame:
        advance(rows.height)
        return round_.log.once(unit, "scores", lambda: score_rows(verifier, rows, unit.round, "audit"))

    return refused


def judge_label(round_: Round[AgainstHarm]) -> str:
    """What tells one judge of harm from another: its version; of a model its rubric and its weights."""
    name = round_.recipe.harm.verifier
    if name == JUDGE:
        judge = _judge(round_)
        return f"{judge.rubric.label} {judge.checkpoint.content_hash}"
    if name == reward.NAME:
        return " ".join((_preference_model(round_).content_hash, *_asked(round_)))
    return get_verifier(name, strictness=round_.recipe.verification.strictness).version


def check_harm(recipe: AgainstHarm, base: Path) -> None:
    """Refuse a judge of harm that cannot be used; RecipeError or ModelError of one line."""
    harm = recipe.harm
    if harm.verifier not in (JUDGE, reward.NAME):
        get_verifier(harm.verifier, strictness=recipe.verification.strictness)
        return
    if harm.verifier == JUDGE:
        if harm.model is not None:
            check_readable(Path(harm.model))
        _rubric(harm, base)
    elif harm.model is None:
        raise RecipeError("harm.verifier reward needs harm.model, a preference model's folder")
    else:
        check_scorer(Path(harm.model))


def _rubric(harm: Harm, base: Path) -> Rubric:
    """The rubric by which a model judges harm."""
    model = Path(harm.model) if harm.model else base
    return chosen_rubric(model, harm.rubric or RUBRIC, "points", harm.votes)


def _judge(round_: Round[AgainstHarm]) -> Judge:
    harm = with_models_here(round_.recipe.harm, round_.lake, round_.loop)
    checkpoint = guest(round_, Path(harm.model), "judge") if harm.model else round_.base
    return Judge(checkpoint, _rubric(harm, round_.base.folder))


def _preference_model(round_: Round[AgainstHarm]) -> Checkpoint:
    model = with_models_here(round_.recipe.harm, round_.lake, round_.loop).model
    assert model is not None, "check_harm asks for one"
    return guest(round_, Path(model), "reward")


def _asked(round_: Round[AgainstHarm]) -> tuple[str, ...]:
    """What decides, beside the question, how a preference model is shown it; nothing where both are plain."""
    prompts = round_.recipe.prompts
    asked = () if prompts.asking.is_plain else (f"asked={prompts.asking.label}",)
    return asked if prompts.chat == PLAIN else (*asked, f"chat={prompts.chat.label}")


def _by_reward(round_: Round[AgainstHarm]) -> Judged:
    """A preference model's scores, prompts shown as the policy is asked them; harmless is what has
    `harm.pass_from` or more.
    """
    model, least, prompts = _preference_model(round_), round_.recipe.harm.pass_from, round_.recipe.prompts

    @step_task
    def scored(rows: pl.DataFrame, unit: Unit, advance: Advance) -> pl.DataFrame:
        def compute() -> pl.DataFrame:
            version = " ".join((reward.version_of(model.content_hash), f"from={least:g}", *_asked(round_)))
            with round_.model_at_work():
                scores = reward.reward_rows(
                    model.folder,
                    as_asked(rows, prompts.asking),
                    checkpoint_id=model.id,
                    version=version,
                    round_number=unit.round,
                    role="audit",
                    chat=prompts.chat,
                )
            outcome = pl.when(pl.col("value") >= least).then(pl.lit("pass")).otherwise(pl.lit("fail"))
            known = pl.col("value").is_not_null()
            return scores.with_columns(outcome=pl.when(known).then(outcome).otherwise("outcome"))

        advance(rows.height)
        return round_.log.once(unit, "scores", compute)

    return scored
