"""What a line of a prompt file may be: the forms in which people have prompts, answers and whole dialogues.

| keys | prompt | reference |
|---|---|---|
| question, answer | the question, a text (GSM8K) | the answer |
| messages | all turns, up to the last of the user | the assistant's last turn, or `answer`, or `reference` |
| prompt, a text or messages | it | `answer` or `reference`, or `chosen` beside `rejected` |
| chosen, rejected | what both dialogues share (HH-RLHF) | the chosen one's last answer |

Nothing that was said is changed, and what no key asks for is not read. Errors are BadInput, one line, without
the line's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import BadInput
from tasks.models.conversation import NAMES, Message, Prompt, Role, prompt_of, read_messages

LONGEST = 200_000  # characters of a question, an answer or a dialogue; longer ones are no prompts
_OPENING = f"\n\n{NAMES['user']}: "

Value = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """A line as it is admitted. `parted` is a rejected dialogue that is not of this prompt, whole."""

    prompt: Prompt
    reference: str | None
    rejected: str | None = None
    parted: tuple[Message, ...] | None = None


def record_of(value: Value) -> Record:
    """The record that a line's JSON object is."""
    if "question" in value:
        return Record(text_of(value, "question"), text_of(value, "answer"))
    if "messages" in value:
        return _of_messages(value)
    if "prompt" in value:
        return _of_prompt(value)
    if "chosen" in value and "rejected" in value:
        return _of_dialogues(text_of(value, "chosen"), text_of(value, "rejected"))
    return Record(text_of(value, "question"), text_of(value, "answer"))  # says what a line needs


def read_dialogue(text: str) -> tuple[Message, ...]:
    """The turns of a dialogue as HH-RLHF writes it: "\\n\\nHuman: ...\\n\\nAssistant: ...".

    A name opens a turn only where it is that speaker's: HH-RLHF has assistants that write "Assistant:" in the
    middle of what they say. Whatever its turns, the dialogue they make is the text again
    (`conversation.dialogue`). BadInput where it does not begin with a human.
    """
    if not text.startswith(_OPENING):
        raise BadInput(f"a dialogue must begin with {_OPENING!r}")
    turns, start = [], len(_OPENING)
    speaker: Role = "user"
    while True:
        other: Role = "assistant" if speaker == "user" else "user"
        mark = f"\n\n{NAMES[other]}: "
        end = text.find(mark, start)
        turns.append(Message(speaker, text[start:] if end < 0 else text[start:end]))
        if end < 0:
            return tuple(turns)
        speaker, start = other, end + len(mark)


def text_of(value: Value, key: str) -> str:
    """A text that a line must have."""
    if key not in value:
        raise BadInput(f"no {key!r}")
    text = value[key]
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"{key!r} must be a text that is not empty")
    if len(text) > LONGEST:
        raise BadInput(f"{key!r} is longer than {LONGEST:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{key!r} is not valid Unicode") from None
    return text


def optional(value: Value, key: str, kind: type) -> Any:
    """A text or a whole number that a line may have."""
    found = value.get(key)
    if found is None or (isinstance(found, kind) and not isinstance(found, bool)):
        if isinstance(found, str):
            return text_of(value, key)
        if isinstance(found, int) and abs(found) >= 2**63:
            raise BadInput(f"{key!r} is out of range")
        return found
    raise BadInput(f"{key!r} must be {kind.__name__}")


def _of_messages(value: Value) -> Record:
    messages = _messages(value, "messages")
    before, answer = _last_answer(messages)
    told = _reference(value)
    if answer is not None and told is not None:
        raise BadInput("both a last turn by assistant and a reference: give one of them")
    return Record(prompt_of(before), told if answer is None else answer)


def _of_prompt(value: Value) -> Record:
    given = value["prompt"]
    prompt = prompt_of(_messages(value, "prompt")) if isinstance(given, list) else text_of(value, "prompt")
    told = _reference(value)
    if "chosen" not in value and "rejected" not in value:
        return Record(prompt, told)
    if told is not None:
        raise BadInput("both 'chosen' and a reference: give one of them")
    return Record(prompt, text_of(value, "chosen"), text_of(value, "rejected"))


def _of_dialogues(chosen: str, rejected: str) -> Record:
    before, answer = _last_answer(read_dialogue(chosen))
    other = read_dialogue(rejected)
    rejected_before, worse = _last_answer(other)
    if rejected_before == before:
        return Record(prompt_of(before), answer, worse)
    return Record(prompt_of(before), answer, parted=other)


def _last_answer(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], str | None]:
    """The messages up to the user's last, and the assistant's answer to that where there is one."""
    if messages[-1].role == "assistant":
        return messages[:-1], messages[-1].content
    return messages, None


def _messages(value: Value, key: str) -> tuple[Message, ...]:
    messages = read_messages(value[key])
    if sum(len(one.content) for one in messages) > LONGEST:
        raise BadInput(f"{key!r} are longer than {LONGEST:,} characters together")
    return messages


def _reference(value: Value) -> str | None:
    given = [key for key in ("answer", "reference") if value.get(key) is not None]
    if len(given) > 1:
        raise BadInput("both 'answer' and 'reference': give one of them")
    return text_of(value, given[0]) if given else None
