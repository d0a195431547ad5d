"""A preference model, one round: pairs of people and of a model in, a scorer of answers out.

The scorer is a checkpoint of role `reward`. The loop's champion, its policy, stays what it is: a preference
model that is promoted is the loop's of its role, and is what the next one has to beat on the held-out pairs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flows.opening.admission import shortage
from flows.opening.opening import Opening
from flows.opening.pairs import fitting_pairs
from flows.recipes.preference_model.weighing import weigh_preferences
from flows.recipes.room import Room
from flows.round.round import Outcome, Round
from flows.steps.admit import admit
from flows.steps.audit import audit
from flows.steps.compare import compare_answers, compared_by, feedback_share, held_out_pairs
from flows.steps.evaluate import held_out_prompts
from flows.steps.pair import drawn_pairs, freeze_pairs
from flows.steps.train import train
from schemas.errors import BadInput, PromptFileError, RecipeError
from schemas.recipes.preference_model import PreferenceModel
from tasks.models.checkpoint import check_readable
from warehouse.lake import Lake
from warehouse.query import query

NO_PAIR = "no pair with a preference: nothing to train on"
NO_HELD_OUT = "no held-out pair has a preference: nothing to measure a preference model on"


def improve(round_: Round[PreferenceModel]) -> Outcome:
    """Draw people's pairs, have new ones compared, learn the preference, measure, promote what is better."""
    prompts, writer = admit(round_), round_.champion
    compare_answers(round_, feedback_share(round_, prompts), writer)
    snapshot = freeze_pairs(round_, drawn_pairs(round_, prompts, "train"))
    held_out = held_out_pairs(round_, feedback_share(round_, held_out_prompts(round_)), writer, "eval")
    if snapshot is None or held_out.is_empty():
        audit(round_)
        return "held", NO_PAIR if snapshot is None else NO_HELD_OUT, None
    return weigh_preferences(round_, train(round_, snapshot, "reward"), held_out)


def check(recipe: PreferenceModel, base: Path) -> None:
    """Refuse a comparing model and a rubric that cannot be used, and a loop that would have no pairs."""
    if recipe.prompts.path is None and not recipe.feedback.share:
        raise RecipeError(
            "no pairs to learn from: give a file of them (--prompts), or have a model compare answers "
            "(--set feedback.share=1)"
        )
    if recipe.feedback.share:
        if recipe.feedback.model is not None:
            check_readable(Path(recipe.feedback.model))
        compared_by(recipe, base)


def opens(recipe: PreferenceModel, opening: Opening) -> Opening:
    """The opening with people's pairs, where there is a file of them."""
    if recipe.prompts.path is None:
        return opening
    admitted = fitting_pairs(opening.admitted, recipe, opening.model)
    lack = shortage(admitted, recipe, pairs=True)
    if lack is not None:
        raise PromptFileError(lack)
    return replace(opening, admitted=admitted, pairs=True)


def continues(recipe: PreferenceModel, lake: Lake, loop: str) -> None:
    """Refuse to go on with a loop that holds no pairs, where no model is to compare any."""
    if (
        not recipe.feedback.share
        and query(lake, "SELECT 1 FROM preferences WHERE loop = $loop LIMIT 1", {"loop": loop}).is_empty()
    ):
        raise BadInput(f"loop {loop} was opened without pairs: use another --loop, or --set feedback.share=1")


PREFERENCE_MODEL = Room(PreferenceModel, improve, check=check, opens=opens, continues=continues, pairs=True)
