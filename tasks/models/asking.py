"""A question with what a recipe puts around it: a system message, a template, examples shown before it.

What comes out is a prompt like any other (conversation.py): engines and trainings render it by the same code,
whole or not at all, and no content of it may open a turn. The question itself stays what is on record, and
what judges see. Nothing is evaluated: a template's field is replaced by the question, to the character.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from schemas.recipes.asking import FIELDS, Asking
from tasks.models.conversation import (
    Conversation,
    Message,
    Prompt,
    messages_of,
    plain_text,
    prompt_of,
    prompts_of,
)


def put(prompt: Prompt, asking: Asking) -> Prompt:
    """The prompt as it is asked. The template and the examples go with the user's last message.

    Examples as turns stand before all that was said, after the system message; as text they stand in the
    message itself, in the form of a plain prompt, or of the template where there is one. A conversation that
    has a system message keeps its own.
    """
    if asking.is_plain:
        return prompt
    messages = messages_of(prompt)
    own = messages[:1] if messages[0].role == "system" else ()
    system = (Message("system", asking.system),) if asking.system else ()
    turns = messages[len(own) :]
    last = Message("user", _user_text(asking, turns[-1].content))
    return prompt_of([*(own or system), *_turns(asking), *turns[:-1], last])


def as_asked(rows: pl.DataFrame, asking: Asking) -> pl.DataFrame:
    """Rows (columns prompt, messages) with both columns as the model is asked."""
    return with_prompts(rows, [put(one, asking) for one in prompts_of(rows, "prompt")])


def with_prompts(rows: pl.DataFrame, prompts: Iterable[Prompt], column: str = "prompt") -> pl.DataFrame:
    """Rows with these prompts, in their order: what is plain of each in `column`, the whole of one that is a
    conversation in `messages`.
    """
    own = list(prompts)
    messages = [one.json if isinstance(one, Conversation) else None for one in own]
    return rows.with_columns(
        pl.Series(column, [plain_text(one) for one in own], dtype=pl.String),
        pl.Series("messages", messages, dtype=pl.String),
    )


def _turns(asking: Asking) -> list[Message]:
    if asking.shots_as != "turns":
        return []
    return [
        turn
        for shot in asking.shots
        for turn in (
            Message("user", _filled(asking.template, shot.question)),
            Message("assistant", shot.answer),
        )
    ]


def _user_text(asking: Asking, question: str) -> str:
    """The user's last message."""
    if asking.shots_as == "turns" or not asking.shots:
        return _filled(asking.template, question)
    if asking.template is None:
        blocks = [f"{shot.question}\nAnswer: {shot.answer}" for shot in asking.shots]
        return "\n\nQuestion: ".join([*blocks, question])
    texts = [(_filled(asking.template, shot.question), shot.answer) for shot in asking.shots]
    blocks = [f"{text}{'' if text[-1:].isspace() else ' '}{answer}" for text, answer in texts]
    return "\n\n".join([*blocks, _filled(asking.template, question)])


def _filled(template: str | None, question: str) -> str:
    if template is None:
        return question
    field = next(one for one in FIELDS if one in template)
    before, _, after = template.partition(field)
    return before + question + after
