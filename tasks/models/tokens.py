"""What a tokenizer must be for prompts to be asked and answers to be learned: it ends no prompt by itself."""

from __future__ import annotations

from typing import Any

from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase

from schemas.errors import ModelError

_TEXT = "x"


def append_nothing(tokenizer: PreTrainedTokenizerBase) -> None:
    """Have a tokenizer put nothing behind a text: an end token there would part a prompt from its answer.

    What it puts before a text stays. ModelError where it cannot be told so.
    """
    before, after = _around(tokenizer)
    if not after:
        return
    names_of: Any = tokenizer.convert_ids_to_tokens
    inner = getattr(tokenizer, "backend_tokenizer", None)
    if inner is not None:
        pieces = [(token, before[place]) for place, token in enumerate(names_of(before))]
        form: Any = [*(token for token, _ in pieces), "$A"]
        inner.post_processor = TemplateProcessing(single=form, special_tokens=list(dict(pieces).items()))
    if inner is None or _around(tokenizer) != (before, []):
        raise ModelError(
            f"the tokenizer puts {' '.join(names_of(after))} behind every prompt, which would end it before "
            "the answer: set add_eos_token to false in tokenizer_config.json"
        )


def _around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before and after a text."""
    bare = list(tokenizer(_TEXT, add_special_tokens=False)["input_ids"])
    full = list(tokenizer(_TEXT)["input_ids"])
    starts = [i for i in range(len(full) - len(bare) + 1) if full[i : i + len(bare)] == bare]
    return (full[: starts[0]], full[starts[0] + len(bare) :]) if starts and bare else (full, [])
