"""What `ratchet check` finds of a model and a file of prompts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from flows.opening.proof import Proof, Token, example_tokens, prove
from tasks.admit.prompts import MARK, read_prompts
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import prompts_of
from tasks.models.rendering import prompt_lengths
from tasks.models.turns import example_lengths
from tutor.world import stories


@dataclass(frozen=True)
class Lengths:
    """What a file of prompts holds: prompts, those with a worked answer, and the longest prompt and example
    (tokens).
    """

    prompts: int
    worked: int
    longest_prompt: int
    longest_example: int


@dataclass(frozen=True)
class Checked:
    """A model's proof, one example as a training sees it, and what the file of prompts holds."""

    proof: Proof
    example: tuple[Token, ...]
    file: Lengths | None

    @property
    def values(self) -> dict[str, Any]:
        """The same for scripts."""
        example = [asdict(token) for token in self.example]
        return asdict(self.proof) | {
            "example": example,
            "prompts": None if self.file is None else asdict(self.file),
        }


def checked(model: Path, prompts: Path | None) -> Checked:
    """Prove the model and encode an example: the file's first with a worked answer where one has that, else
    a story of the tutor's. ModelError or PromptFileError of one line.
    """
    read = None if prompts is None else read_prompts(prompts)  # the file first: it is soon read
    proof = prove(model)
    tokenizer = load_tokenizer(model)
    if read is None:
        (story,) = stories(0, 1)
        return Checked(proof, tuple(example_tokens(tokenizer, story.question, story.solution)), None)
    worked = read.filter(pl.col("reference").str.contains(MARK, literal=True))
    asked, references = prompts_of(read), read["reference"].fill_null("").to_list()
    lengths = Lengths(
        read.height,
        worked.height,
        max(prompt_lengths(tokenizer, asked)),
        max(example_lengths(tokenizer, asked, references)),
    )
    shown = (read if worked.is_empty() else worked).head(1)
    response = shown["reference"].fill_null("")[0]
    return Checked(proof, tuple(example_tokens(tokenizer, prompts_of(shown)[0], response)), lengths)
