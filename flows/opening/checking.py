"""What `ratchet check` finds of a model and of files of prompts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from flows.opening.adapters import whole_model
from flows.opening.admission import Tally, fitting, fixed_prompts, shortage
from flows.opening.opening import room_for_prompts
from flows.opening.proof import Proof, Token, example_tokens, prove
from schemas.errors import PromptFileError
from schemas.recipes.constitution import Constitution
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Prompts
from tasks.admit.references import with_work
from tasks.critique.asking import request_lengths
from tasks.models.checkpoint import context_length, load_tokenizer
from tasks.models.conversation import prompts_of
from tasks.models.rendering import prompt_lengths
from tasks.models.turns import example_lengths
from tasks.verify.references import accepted_of
from tutor.world import stories


@dataclass(frozen=True)
class Lengths:
    """What the files of prompts hold: prompts to ask, those with a worked answer, and the longest prompt and
    example (tokens), whether or not they fit.
    """

    prompts: int
    worked: int
    longest_prompt: int
    longest_example: int


@dataclass(frozen=True)
class Files:
    """What a loop with the default values would take of the files; `lack` says why it would be in vain."""

    lengths: Lengths
    tallies: tuple[Tally, ...]
    lack: str | None

    @property
    def values(self) -> dict[str, Any]:
        """The same for scripts."""
        return asdict(self.lengths) | {"files": [asdict(one) for one in self.tallies], "lack": self.lack}


@dataclass(frozen=True)
class ConstitutionAsked:
    """A constitution as a model is asked by it: its label, its principles, how many examples are shown,
    and the tokens of the longest request for a critique and for a revision of a short exchange.
    """

    label: str
    principles: tuple[str, ...]
    shots: int
    longest_critique: int
    longest_revision: int


@dataclass(frozen=True)
class Checked:
    """A model's proof, one example as a training sees it, what files of prompts hold, and a constitution."""

    proof: Proof
    example: tuple[Token, ...]
    files: Files | None
    constitution: ConstitutionAsked | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The same for scripts."""
        example = [asdict(token) for token in self.example]
        return asdict(self.proof) | {
            "example": example,
            "prompts": None if self.files is None else self.files.values,
            "constitution": None if self.constitution is None else asdict(self.constitution),
        }


def checked(folder: Path, prompts: Prompts, constitution: Constitution | None = None) -> Checked:
    """Prove the model and encode an example: the files' first one with a worked answer, else their first;
    without files a story of the tutor's. An adapter is merged into its base first. ModelError,
    PromptFileError or, of a constitution that the model cannot be asked by, RecipeError of one line.
    """
    with whole_model(folder) as model:
        result = _checked(model.folder, prompts)
        if constitution is not None:
            result = replace(result, constitution=_asked(model.folder, prompts, constitution))
    if model.merged is None:
        return result
    proof = replace(result.proof, model=folder, remarks=(model.merged, *result.proof.remarks))
    return replace(result, proof=proof)


def _asked(model: Path, prompts: Prompts, constitution: Constitution) -> ConstitutionAsked:
    """The constitution as the model reads it; RecipeError where it cannot."""
    critique, revision = request_lengths(
        constitution, load_tokenizer(model, prompts.chat), context_length(model)
    )
    ids = tuple(one.id for one in constitution.principles)
    return ConstitutionAsked(constitution.label, ids, len(constitution.shots), critique, revision)


def _checked(model: Path, prompts: Prompts) -> Checked:
    """The same of a whole model."""
    recipe = Rft(prompts=prompts)
    # The files first: they are soon read.
    fixed = fixed_prompts(prompts, recipe.seed) if prompts.path else None
    proof = prove(model, chat=prompts.chat)
    tokenizer = load_tokenizer(model, prompts.chat)
    if fixed is None or fixed.training is None:
        (story,) = stories(0, 1)
        return Checked(proof, tuple(example_tokens(tokenizer, story.question, story.solution)), None)
    rows = pl.concat([fixed.training, fixed.held_out], how="diagonal").sort("source", "line")
    if rows.is_empty():
        raise PromptFileError(shortage(fixed, recipe) or "no prompts")
    worked, inputs = with_work(rows), prompts_of(rows)
    lengths = Lengths(
        rows.height,
        worked.height,
        max(prompt_lengths(tokenizer, inputs)),
        max(example_lengths(tokenizer, inputs, rows["reference"].fill_null("").to_list())),
    )
    fits = fitting(fixed, tokenizer, room_for_prompts(model, recipe)[0])
    shown_row = (rows if worked.is_empty() else worked).head(1)
    response = accepted_of(shown_row["reference" if worked.is_empty() else "worked"].fill_null("")[0])[0]
    example = tuple(example_tokens(tokenizer, prompts_of(shown_row)[0], response))
    return Checked(proof, example, Files(lengths, fits.tallies, shortage(fits, recipe)))
