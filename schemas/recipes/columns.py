"""Columns of a prompt file as a user names them: `question=problem,answer=key`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

PROMPT_ROLES = ("question", "prompt", "messages", "conversations")
"""What may be asked: a text with an answer, a text or messages with or without, messages, ShareGPT's."""

PAIR_ROLES = ("chosen", "rejected", "probability")
ROLES = (*PROMPT_ROLES, "input", "answer", "solution", *PAIR_ROLES, "topic", "difficulty", "problem")

Named = tuple[tuple[str, str], ...]


def read_columns(text: str | None) -> Named:
    """`ROLE=COLUMN,...` as pairs; an empty column leaves a role unread. ValueError says what is wrong."""
    pairs: dict[str, str] = {}
    for part in (text or "").split(",") if text else ():
        role, equals, column = (one.strip() for one in part.partition("="))
        if not equals or role not in ROLES:
            raise ValueError(f"{part.strip()!r} is not ROLE=COLUMN, where ROLE is one of {', '.join(ROLES)}")
        if role in pairs:
            raise ValueError(f"{role} is named twice")
        pairs[role] = column
    prompts = [role for role in PROMPT_ROLES if pairs.get(role)]
    if len(prompts) > 1:
        raise ValueError(f"{' and '.join(prompts)} are two things to ask: name one of them")
    return tuple(pairs.items())


def _readable(text: str) -> str:
    read_columns(text)
    return text


Columns = Annotated[str, Field(min_length=1), AfterValidator(_readable)]
"""The value of a recipe: a text that `read_columns` reads."""
