"""How a prompt is put to a model: by its own chat template, else as plain text.

A conversation is put whole or not at all. A template that refuses a role, or leaves out or rewrites what was
said, is a ModelError. Content that would open or close a turn by itself (`forged`) is a BadInput: a special
token of the tokenizer, or the very words that the template puts between two turns. Nothing is cut or changed.

Not covered: words that only resemble a turn's; and a prompt that is one text goes to the tokenizer as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from schemas.errors import BadInput, ModelError, first_line
from tasks.models.conversation import NAMES, Conversation, Message, Prompt, Role
from tasks.models.neutral import special_texts

PLAIN_PROMPT = "Question: {prompt}\nAnswer:"


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, system: str | None = None) -> list[int]:
    """Token ids of one prompt, ready for the model to answer.

    By the chat template where the tokenizer has one, else as plain text (`plain_prompt`).
    """
    text = prompt_text(tokenizer, prompt, system)
    return list(tokenizer(text, add_special_tokens=not has_template(tokenizer))["input_ids"])


def prompt_tokens(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> list[list[int]]:
    """The token ids of many prompts, as `prompt_ids` gives them."""
    if not prompts:
        return []
    texts = [prompt_text(tokenizer, prompt) for prompt in prompts]
    return list(tokenizer(texts, add_special_tokens=not has_template(tokenizer))["input_ids"])


def prompt_lengths(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> list[int]:
    """Tokens of each prompt as `prompt_ids` gives them."""
    return [len(ids) for ids in prompt_tokens(tokenizer, prompts)]


def prompt_text(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, system: str | None = None) -> str:
    """The text that `prompt_ids` encodes. A conversation says itself what its system message is."""
    if isinstance(prompt, Conversation):
        return _conversation_text(tokenizer, prompt)
    if not has_template(tokenizer):
        return (f"{system}\n\n" if system else "") + plain_prompt(prompt)
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    text = templated(tokenizer, messages, add_generation_prompt=True)
    if system and system.strip() not in text:
        raise ModelError("the chat template leaves out what a message by system says")
    return text


def plain_prompt(prompt: Prompt) -> str:
    """A prompt for a model without a chat template: one text as a question that lacks its answer, a
    conversation as HH-RLHF writes it, up to the assistant's next turn.
    """
    if isinstance(prompt, str):
        return PLAIN_PROMPT.format(prompt=prompt)
    return f"{prompt.text}\n\n{NAMES['assistant']}:"


def forged(tokenizer: PreTrainedTokenizerBase | None, prompt: Prompt) -> str | None:
    """What in a conversation's content would be read as the end or the beginning of a turn; None: nothing.

    Without a tokenizer only the plain rendering's own words are known.
    """
    if not isinstance(prompt, Conversation):
        return None
    speakers = tuple(one.role for one in prompt.messages)
    words = _words_between(tokenizer, str(getattr(tokenizer, "chat_template", None)), speakers)
    for one in prompt.messages:
        for mark in words:
            if mark in one.content:
                return mark
    return None


def forged_in_answer(tokenizer: PreTrainedTokenizerBase, answer: str) -> str | None:
    """What in an answer would be read as the end or the beginning of a turn; None: nothing."""
    words = _words_between(
        tokenizer, str(getattr(tokenizer, "chat_template", None)), ("user", "assistant", "user")
    )
    return next((mark for mark in words if mark in answer), None)


def templated(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], *, add_generation_prompt: bool = False
) -> str:
    """Messages as the chat template writes them; ModelError where it refuses one of their roles."""
    render: Any = tokenizer.apply_chat_template
    try:
        return str(render(messages, tokenize=False, add_generation_prompt=add_generation_prompt))
    except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        roles = " and ".join(dict.fromkeys(message["role"] for message in messages))
        raise ModelError(f"the chat template refuses a message by {roles}: {first_line(error)}") from None


def template_messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as a chat template takes them."""
    return [{"role": one.role, "content": one.content} for one in messages]


def has_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer brings a chat template."""
    return getattr(tokenizer, "chat_template", None) is not None


def _conversation_text(tokenizer: PreTrainedTokenizerBase, prompt: Conversation) -> str:
    mark = forged(tokenizer, prompt)
    if mark is not None:
        raise BadInput(f"a message holds {mark!r}, which this model reads as the end or beginning of a turn")
    if not has_template(tokenizer):
        return plain_prompt(prompt)
    text = templated(tokenizer, template_messages(prompt.messages), add_generation_prompt=True)
    for one in prompt.messages:
        if one.content.strip() not in text:
            raise ModelError(f"the chat template leaves out or rewrites what a message by {one.role} says")
    return text


@lru_cache(maxsize=64)
def _words_between(
    tokenizer: PreTrainedTokenizerBase | None, template: str, speakers: tuple[Role, ...]
) -> tuple[str, ...]:
    """The texts that no content may hold: special tokens, and what stands between these speakers' turns.

    That is seen by rendering other words of theirs; ModelError where some of those are not there once.
    """
    if tokenizer is None or not has_template(tokenizer):
        return (*special_texts(tokenizer), *(f"\n\n{name}:" for name in NAMES.values()))
    messages = [Message(role, f"WORDS{place:05d}") for place, role in enumerate(speakers)]
    text = templated(tokenizer, template_messages(messages), add_generation_prompt=True)
    for one in messages:
        if text.count(one.content) != 1:
            raise ModelError(f"the chat template leaves out or repeats what a message by {one.role} says")
    pieces = re.split("|".join(one.content for one in messages), text)[1:]
    words = (one for one in dict.fromkeys(pieces) if any(map(str.isalnum, one)))
    return (*special_texts(tokenizer), *words)
