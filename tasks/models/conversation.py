"""Conversations: who said what, as a value that no text can be taken for, and as plain text for people.

A prompt is a text (what a user says to a model that has heard nothing yet) or a conversation that ends with a
user's turn. Which of the two is never read from the text itself: the log has a column of its own for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from schemas.errors import BadInput

Role = Literal["system", "user", "assistant"]
NAMES: dict[Role, str] = {"system": "System", "user": "Human", "assistant": "Assistant"}
"""Who speaks, in plain text: as in HH-RLHF (Bai et al. 2022, arXiv 2204.05862)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: what one of the three said, to the character."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt of several messages: perhaps one by system, then user and assistant in turn, the user last.

    BadInput for any other order, and for one user's message alone: that prompt is a text.
    """

    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        _check(self.messages)
        if self.messages[-1].role != "user":
            raise BadInput("the last message of a prompt must be the user's")
        if len(self.messages) == 1:
            raise BadInput("a user's only message is a text, not a conversation")

    @property
    def json(self) -> str:
        """The messages as canonical JSON, as they stand in the log."""
        return messages_json(self.messages)

    @property
    def text(self) -> str:
        """The conversation as plain text, for people and for what compares texts. Two may share one."""
        return dialogue(self.messages).removeprefix("\n\n")


Prompt = str | Conversation


def prompt_of(messages: Sequence[Message]) -> Prompt:
    """The messages as a prompt: a text where they are one user's message."""
    turns = tuple(messages)
    if len(turns) == 1 and turns[0].role == "user":
        _check(turns)
        return turns[0].content
    return Conversation(turns)


def messages_of(prompt: Prompt) -> tuple[Message, ...]:
    """The messages that a prompt is."""
    return (Message("user", prompt),) if isinstance(prompt, str) else prompt.messages


def plain_text(prompt: Prompt) -> str:
    """What column `text` of table `prompts` holds of a prompt."""
    return prompt if isinstance(prompt, str) else prompt.text


def spoken_text(prompt: Prompt) -> str:
    """What the user and the assistant say in a prompt: many conversations share a system message."""
    if isinstance(prompt, str):
        return prompt
    return dialogue([one for one in prompt.messages if one.role != "system"]).removeprefix("\n\n")


def dialogue(messages: Sequence[Message]) -> str:
    """Messages as HH-RLHF writes them: each after an empty line and the name of who speaks."""
    return "".join(f"\n\n{NAMES[one.role]}: {one.content}" for one in messages)


def messages_json(messages: Sequence[Message]) -> str:
    """Messages as canonical JSON."""
    values = [{"role": one.role, "content": one.content} for one in messages]
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def read_messages(value: Any) -> tuple[Message, ...]:
    """Messages from a value of JSON, strictly: {role, content} and no more. BadInput says what is wrong.

    The last may be anybody's.
    """
    if not isinstance(value, list) or not value:
        raise BadInput("messages must be a list that is not empty")
    messages = tuple(_message(number, one) for number, one in enumerate(value, start=1))
    _check(messages)
    return messages


def prompt_columns(prompts: pl.DataFrame) -> pl.DataFrame:
    """Columns prompt_id, prompt (the text) and messages of rows of table `prompts`, to join to candidates."""
    messages = (
        pl.col("messages") if "messages" in prompts.columns else pl.lit(None, pl.String).alias("messages")
    )
    return prompts.select("prompt_id", pl.col("text").alias("prompt"), messages)


def prompts_of(frame: pl.DataFrame, text: str = "text") -> list[Prompt]:
    """The prompts of a frame: its column `messages` where that has any, else the text (in column `text`)."""
    texts = frame[text].to_list()
    if "messages" not in frame.columns:
        return texts
    return [
        one if messages is None else Conversation(read_messages(json.loads(messages)))
        for one, messages in zip(texts, frame["messages"], strict=True)
    ]


def _message(number: int, value: Any) -> Message:
    if not isinstance(value, dict):
        raise BadInput(f"message {number} must be an object with role and content")
    if unknown := sorted(str(key) for key in value.keys() - {"role", "content"}):
        raise BadInput(f"message {number} has {unknown[0]!r}: only role and content are read")
    role, content = value.get("role"), value.get("content")
    if not isinstance(role, str) or role not in NAMES:
        raise BadInput(f"message {number} is by {str(role)[:40]!r}: a role is {', '.join(NAMES)}")
    if not isinstance(content, str):
        raise BadInput(f"message {number}: content must be a text")
    return Message(role, content)


def _check(messages: Sequence[Message]) -> None:
    """BadInput unless system comes first if at all, and user and assistant take turns from the user on."""
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns:
        raise BadInput("messages need one by user")
    first = len(messages) - len(turns) + 1
    for place, one in enumerate(turns):
        due = "assistant" if place % 2 else "user"
        if one.role == "system":
            raise BadInput(f"message {first + place} is by system, who speaks first if at all")
        if one.role != due:
            raise BadInput(f"message {first + place} is by {one.role}, where it is the turn of {due}")
    for number, one in enumerate(messages, start=1):
        try:
            one.content.encode()
        except UnicodeEncodeError:
            raise BadInput(f"message {number} is not valid Unicode") from None
    if not next(one for one in reversed(messages) if one.role == "user").content.strip():
        raise BadInput("the user's last message is empty")
