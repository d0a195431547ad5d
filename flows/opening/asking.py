"""Reads and checks what a recipe puts around its questions, before a loop begins or goes on with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import polars as pl
from transformers import PreTrainedTokenizerBase

from schemas.errors import PromptFileError, RecipeError
from schemas.recipes.asking import LONGEST, Asking, Shot
from schemas.recipes.shared import MOST_SHOTS, Recipe
from tasks.admit.prompts import without
from tasks.admit.reading import places, read_prompts
from tasks.models.asking import put
from tasks.models.conversation import Conversation, messages_of
from tasks.models.neutral import special_texts
from tasks.models.rendering import forged, prompt_text
from tasks.verify.references import accepted_of

R = TypeVar("R", bound=Recipe)
_QUESTION = "What is 6 times 7?"


def with_shots(recipe: R) -> R:
    """The recipe with the examples of its file in the file's place: they go on record with its values, and
    the file is not needed again. PromptFileError of one line where it holds no examples.
    """
    source = recipe.prompts.few_shots
    if not isinstance(source, str):
        return recipe
    examples = read_prompts(Path(source))
    if examples.height > MOST_SHOTS:
        raise PromptFileError(
            f"{source} holds {examples.height:,} examples: prompts.few_shots takes {MOST_SHOTS}"
        )
    columns = examples.select("text", "reference", "messages").iter_rows()
    for place, (text, answer, messages) in zip(places(examples), columns, strict=True):
        if messages is not None or not (answer or "").strip() or len(accepted_of(answer)) > 1:
            raise PromptFileError(f"{source}, {place}: an example is a question and its answer")
        if max(len(text), len(answer)) > LONGEST:
            raise PromptFileError(f"{source}, {place}: a text of over {LONGEST:,} characters")
    shots = [Shot(question=q, answer=a) for q, a in examples.select("text", "reference").iter_rows()]
    values = recipe.model_dump() | {"prompts": recipe.prompts.model_dump() | {"few_shots": tuple(shots)}}
    return type(recipe).model_validate(values)


def check_asking(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> None:
    """RecipeError where the texts around a question would end or begin a turn of the model's; ModelError
    where its chat template does not render them whole.
    """
    asking = recipe.prompts.asking
    if asking.is_plain:
        return
    prompt = put(_QUESTION, asking)
    mark = forged(tokenizer, prompt) if isinstance(prompt, Conversation) else None
    marks = [mark] if mark else _within(asking, special_texts(tokenizer))
    if marks:
        raise RecipeError(
            f"prompts.{_holder(asking, marks[0])} holds {marks[0]!r}, which this model reads as the end or "
            "beginning of a turn"
        )
    text = prompt_text(tokenizer, prompt)
    for one in messages_of(prompt):
        if one.content.strip() not in text:
            raise RecipeError(f"the chat template leaves out or rewrites what a message by {one.role} says")


def refuse_shown(recipe: Recipe, held_out: pl.DataFrame) -> None:
    """RecipeError where an example that is shown is a held-out prompt: it would give its answer away."""
    questions = [shot.question for shot in recipe.prompts.asking.shots]
    examples = pl.DataFrame({"text": questions}, schema={"text": pl.String})
    if without(examples, held_out).height < examples.height:
        raise RecipeError("prompts.few_shots holds a held-out prompt: take it out of the file")


def _within(asking: Asking, marks: Iterable[str]) -> list[str]:
    texts = _texts(asking)
    return [mark for mark in marks if any(mark in text for text in texts.values())]


def _holder(asking: Asking, mark: str) -> str:
    return next((name for name, text in _texts(asking).items() if mark in text), "few_shots")


def _texts(asking: Asking) -> dict[str, str]:
    shots = "\n".join(f"{shot.question}\n{shot.answer}" for shot in asking.shots)
    return {"system": asking.system or "", "template": asking.template or "", "few_shots": shots}
