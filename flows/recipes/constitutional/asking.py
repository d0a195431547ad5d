"""Whether a model can be asked what a constitution asks, before a round needs it."""

from __future__ import annotations

from pathlib import Path

from schemas.recipes.constitutional import Constitutional
from tasks.critique.asking import request_lengths
from tasks.models.checkpoint import context_length, load_tokenizer


def check_constitution(recipe: Constitutional, base: Path) -> None:
    """RecipeError where the model cannot be asked by a principle, or has no room left for what it writes."""
    context, longest = context_length(base), recipe.revising_sampling.max_tokens
    room = None if context is None else context - longest
    request_lengths(
        recipe.read_constitution, load_tokenizer(base, recipe.prompts.chat), room, recipe.prompts.asking
    )
