"""How a prompt is put to a model: by its own chat template, else as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from schemas.errors import ModelError

PLAIN_PROMPT = "Question: {prompt}\nAnswer:"


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str, system: str | None = None) -> list[int]:
    """Token ids of one prompt, ready for the model to answer.

    By the chat template where the tokenizer has one, else as plain "Question: ... Answer:" text.
    """
    text = prompt_text(tokenizer, prompt, system)
    special = getattr(tokenizer, "chat_template", None) is None
    return list(tokenizer(text, add_special_tokens=special)["input_ids"])


def prompt_text(tokenizer: PreTrainedTokenizerBase, prompt: str, system: str | None = None) -> str:
    """The text that `prompt_ids` encodes."""
    if getattr(tokenizer, "chat_template", None) is None:
        return (f"{system}\n\n" if system else "") + PLAIN_PROMPT.format(prompt=prompt)
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    text = templated(tokenizer, messages, add_generation_prompt=True)
    if system and system.strip() not in text:
        raise ModelError("the chat template leaves out what a message by system says")
    return text


def templated(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], *, add_generation_prompt: bool = False
) -> str:
    """Messages as the chat template writes them; ModelError where it refuses one of their roles."""
    written: Any = tokenizer.apply_chat_template
    try:
        return str(written(messages, tokenize=False, add_generation_prompt=add_generation_prompt))
    except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        roles = " and ".join(message["role"] for message in messages)
        raise ModelError(f"the chat template refuses a message by {roles}: {_first_line(error)}") from None


def prompt_lengths(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[int]:
    """Tokens of each prompt as `prompt_ids` gives them."""
    if not prompts:
        return []
    special = getattr(tokenizer, "chat_template", None) is None
    texts = [prompt_text(tokenizer, prompt) for prompt in prompts]
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=special)["input_ids"]]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
