"""What a model is asked when it criticises and revises an answer: conversations, put like any other.

The exchange goes on as if the user spoke again: the principle's critique request after the answer, its
revision request after the critique. Examples stand before as earlier turns of the same form. What a model
wrote becomes a turn's content and is nothing else: content that would open or close a turn is refused where
the conversation is rendered (tasks/models/rendering.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from transformers import PreTrainedTokenizerBase

from schemas.errors import BadInput, RecipeError, first_line
from schemas.recipes.asking import Asking
from schemas.recipes.constitution import Constitution, CritiqueShot, Principle
from tasks.models.asking import put
from tasks.models.conversation import Conversation, Message, Prompt, messages_of
from tasks.models.rendering import prompt_lengths

_PROMPT, _SAID = "What is 6 times 7?", "It is 42."


def critique_prompt(
    constitution: Constitution, principle: Principle, prompt: Prompt, response: str
) -> Conversation:
    """The conversation whose answer is a critique of the response by the principle."""
    asked = Message("user", principle.critique)
    return _with_shots(constitution, prompt, [Message("assistant", response), asked], revised=False)


def revision_prompt(
    constitution: Constitution, principle: Principle, prompt: Prompt, response: str, critique: str
) -> Conversation:
    """The conversation whose answer is a revision of the response in the light of the critique."""
    further = [
        Message("assistant", response),
        Message("user", principle.critique),
        Message("assistant", critique),
        Message("user", principle.revision),
    ]
    return _with_shots(constitution, prompt, further, revised=True)


def _with_shots(
    constitution: Constitution, prompt: Prompt, further: list[Message], *, revised: bool
) -> Conversation:
    own = messages_of(prompt)
    system = own[:1] if own[0].role == "system" else ()
    shots = [turn for shot in constitution.shots for turn in _turns(constitution, shot, revised)]
    return Conversation((*system, *shots, *own[len(system) :], *further))


def _turns(constitution: Constitution, shot: CritiqueShot, revised: bool) -> Iterator[Message]:
    """An example as turns: up to its critique, or up to its revision."""
    principle = constitution.principle(shot.principle)
    yield Message("user", shot.prompt)
    yield Message("assistant", shot.response)
    yield Message("user", principle.critique)
    yield Message("assistant", shot.critique)
    if revised:
        yield Message("user", principle.revision)
        yield Message("assistant", shot.revision)


@dataclass(frozen=True)
class Asked:
    """A conversation as it can be put to a model; or none, and why not, in one line."""

    prompt: Conversation | None
    refusal: str | None = None


def put_whole(
    tokenizer: PreTrainedTokenizerBase, room: int | None, conversation: Callable[[], Conversation]
) -> Asked:
    """The conversation, where a model reads all of it as what it is, within `room` tokens (None: no limit).

    What was written may hold marks of a turn or no valid Unicode, or be rewritten by the chat template: a
    refusal of that one conversation, never an error.
    """
    try:
        prompt = conversation()
        (length,) = prompt_lengths(tokenizer, [prompt])
    except BadInput as error:
        return Asked(None, first_line(error))
    if room is not None and length > room:
        return Asked(None, f"its {length:,} tokens leave no room in the model's context")
    return Asked(prompt)


def request_lengths(
    constitution: Constitution,
    tokenizer: PreTrainedTokenizerBase,
    room: int | None,
    asking: Asking | None = None,
) -> tuple[int, int]:
    """The most tokens of a request for a critique and for a revision of a short exchange, of all principles.

    RecipeError where one of them would end or begin a turn of the model's, is not rendered whole, or has more
    than `room` tokens (None: no limit).
    """
    prompt, longest = put(_PROMPT, asking or Asking()), [0, 0]
    for one in constitution.principles:
        critique = partial(critique_prompt, constitution, one, prompt, _SAID)
        revision = partial(revision_prompt, constitution, one, prompt, _SAID, _SAID)
        for place, conversation in enumerate((critique, revision)):
            asked = put_whole(tokenizer, room, conversation)
            if asked.prompt is None:
                raise RecipeError(f"constitution {constitution.name}, principle {one.id}: {asked.refusal}")
            longest[place] = max(longest[place], *prompt_lengths(tokenizer, [asked.prompt]))
    return longest[0], longest[1]
