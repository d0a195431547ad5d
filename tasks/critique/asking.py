"""What a model is asked when it criticises and revises an answer: conversations, put like any other.

The exchange goes on as if the user spoke again: the principle's critique request after the answer, its
revision request after the critique. Examples stand before as earlier turns of the same form. What a model
wrote becomes a turn's content and is nothing else: content that would open or close a turn is refused where
the conversation is rendered (tasks/models/rendering.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.recipes.constitution import Constitution, CritiqueShot, Principle
from tasks.models.conversation import Conversation, Message, Prompt, messages_of


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
