"""The constitutional supervised phase, one round (Bai et al. 2022, arXiv 2212.08073, section 3)."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.opening.red_team import check_red_team, with_red_team
from flows.recipes.constitutional.asking import check_constitution
from flows.recipes.constitutional.learn import helpful_examples, learned_revisions
from flows.recipes.constitutional.revise import respond, revise
from flows.recipes.room import Room, mannered_tutor
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.freeze import freeze_examples
from flows.steps.generate import generate
from flows.steps.harm import score_texts, weigh_harm
from flows.steps.judge import judge_sample
from flows.steps.judge_harm import check_harm
from flows.steps.red_team import red_team
from flows.steps.train import train
from flows.steps.verify import verify_candidates
from schemas.recipes.constitutional import Constitutional
from tasks.filter.chain import survivors

NO_REVISION = "no revision of an answer could be used: nothing to train on"


def improve(round_: Round[Constitutional]) -> Outcome:
    """Provoke, answer, criticise and revise by the constitution; learn that beside help; weigh harm."""
    provocations = red_team(round_)
    responses = respond(round_, provocations)
    revisions = revise(round_, provocations, responses)
    score_texts(round_, provocations, [responses, revisions])
    learned = learned_revisions(round_, revisions)
    helpful = help_beside(round_)
    if survivors(learned).is_empty():
        audit(round_)
        return "held", NO_REVISION, None
    return weigh_harm(round_, train(round_, freeze_both(round_, learned, helpful)))


def help_beside(round_: Round[Constitutional]) -> pl.DataFrame:
    """Decisions on the champion's answers to the round's ordinary prompts."""
    prompts = admit(round_)
    candidates = generate(round_, prompts, [round_.champion])
    scores = verify_candidates(round_, prompts, candidates)
    judge_sample(round_, prompts, candidates)
    return helpful_examples(round_, prompts, candidates, scores)


def freeze_both(round_: Round[Constitutional], learned: pl.DataFrame, helpful: pl.DataFrame) -> str:
    """The snapshot of revisions and ordinary help."""
    snapshot = freeze_examples(round_, pl.concat([learned, helpful.select(learned.columns)]))
    assert snapshot is not None, "some revision was kept"
    return snapshot


def check(recipe: Constitutional, base: Path) -> None:
    """Refuse a constitution that the model cannot be asked by, and judges that cannot be used."""
    check_constitution(recipe, base)
    check_harm(recipe, base)


CONSTITUTIONAL = Room(
    Constitutional, improve, check=check, opens=with_red_team, continues=check_red_team, base=mannered_tutor
)
