"""A recipe's settings of how a model's turns are written, put into its tokenizer as it is loaded.

Values for the chat template become variables at its head, so that whatever renders it (engines, trainings,
judges, a check) renders it with them. The token that ends a turn is the tokenizer's end-of-sequence token
from then on, and is known to be named: it is taught in the place of what the template writes (turns.py).
"""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, TemplateError, meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from transformers import PreTrainedTokenizerBase

from schemas.errors import ModelError, RecipeError
from schemas.job import Chat

PLAIN = Chat()
_NAMED = "ratchet_end_of_turn"
"""The attribute of a tokenizer that holds the text of the token named."""


class _Generation(Extension):
    """`{% generation %}`, which transformers adds to templates: what stands in it is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012 (as jinja has it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def spoken(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> None:
    """Have a tokenizer write turns as `chat` says. RecipeError where it has no such token, ModelError where
    it has no chat template for the values.
    """
    writable: Any = tokenizer
    if chat.template_values:
        if writable.chat_template is None:
            raise ModelError("prompts.chat_template_kwargs: the model has no chat template to give them to")
        writable.chat_template = _with_values(writable.chat_template, json.loads(chat.template_values))
    if chat.end_of_turn is not None:
        _check_token(tokenizer, chat.end_of_turn)
        writable.eos_token = chat.end_of_turn
        setattr(writable, _NAMED, chat.end_of_turn)


def named_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The token that a recipe names as the end of a turn; None: it names none."""
    text = getattr(tokenizer, _NAMED, None)
    return None if text is None else int(tokenizer.get_vocab()[text])


def unread(template: Any, chat: Chat) -> list[str]:
    """The names of template values that a chat template, in none of its forms, ever reads."""
    names = set(json.loads(chat.template_values)) if chat.template_values else set()
    texts = template.values() if isinstance(template, dict) else (template,)
    for text in texts if names else ():
        names -= _read(text) if isinstance(text, str) else set()
    return sorted(names)


def _read(text: str) -> set[str]:
    """The variables that a template reads; all could be read of one that does not parse here."""
    environment = Environment(extensions=[_Generation, loopcontrols])  # noqa: S701 (nothing is rendered)
    try:
        return meta.find_undeclared_variables(environment.parse(text))
    except TemplateError:
        return set()


def _with_values(template: Any, values: dict[str, Any]) -> Any:
    """A chat template, or several by name, in which the values are set; None where there is none."""
    if isinstance(template, dict):
        return {name: _with_values(text, values) for name, text in template.items()}
    if not isinstance(template, str):
        return template
    # A line break after a block is not written, so this one is the head's own.
    head = "".join(f"{{% set {name} = {_literal(value)} %}}" for name, value in values.items())
    return f"{head}\n{template}"


def _literal(value: Any) -> str:
    """A value of JSON as a template writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if value is None:
        return "none"
    return json.dumps(value, ensure_ascii=False)  # a pair of escapes would be two halves of a sign


def _check_token(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    """RecipeError unless a text is one token of the tokenizer, read as that one, and no ordinary text."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    own = tokenizer.get_vocab().get(text)
    read = own is not None and ids == [own]
    if read and own in {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}:
        return
    if read:  # named, it would be cut out of every text that holds it
        kind, why = "special token", "it is one of ordinary text"
    else:
        kind = "token"
        why = f"it reads {len(ids)} tokens there" if own is None else "it is not read as that token"
    raise RecipeError(
        f"prompts.end_of_turn {text!r} is no {kind} of the model's ({why}): name one of its special tokens, "
        f"such as {tokenizer.eos_token}"
    )
