"""What a record of a prompt file may be: the forms in which people have prompts, answers and whole dialogues.

| columns | prompt | reference |
|---|---|---|
| question, answer | the question, a text (GSM8K) | the answer |
| problem, solution | the same (MATH); a `solution` beside an `answer` is a worked solution of its own | |
| instruction, input, output | the instruction and, after an empty line, the input (Alpaca) | the output |
| messages | all turns, up to the last of the user | the assistant's last turn, or `answer`, or `reference` |
| conversations | the same, as ShareGPT has it: {from, value} | |
| prompt, a text or messages | it | `answer`, `reference`, `completion`, or `chosen` beside `rejected` |
| chosen, rejected | what both dialogues share (HH-RLHF) | the chosen one's last answer |

A pair may have a `probability` (0.5 to 1): that chosen is the better answer.

columns.py says which column is which; other columns are not read. Content is never changed. A number as an
answer becomes its text; a list of answers are several that are accepted. Errors are BadInput, one line,
without the line's number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.errors import BadInput
from schemas.recipes.columns import Named
from tasks.admit.columns import Layout, layout_of
from tasks.admit.files import parsed
from tasks.admit.values import (
    LONGEST,
    Value,
    accepted_answers,
    as_text,
    label_of,
    probability_of,
    text_of,
    whole_of,
)
from tasks.models.conversation import NAMES, Message, Prompt, Role, prompt_of, read_messages

EMPTY, NO_ANSWER = "empty", "no answer"  # why a record asks nothing
_OPENING = f"\n\n{NAMES['user']}: "
_SPEAKERS: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "system": "system",
}


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is admitted. `parted` is a rejected dialogue that is not of this prompt; `probability`
    that of chosen being better than rejected; `solution` a worked solution beside the reference; `refusal`
    says why it asks nothing (`EMPTY`, `NO_ANSWER`).
    """

    prompt: Prompt
    reference: str | None
    rejected: str | None = None
    parted: tuple[Message, ...] | None = None
    probability: float | None = None
    solution: str | None = None
    topic: str | None = None
    difficulty: int | None = None
    problem: str | None = None
    refusal: str | None = None


def record_of(value: Value, columns: Named = ()) -> tuple[Record, Layout]:
    """The record that an object is, and by which columns it was read."""
    null = frozenset(key for key, one in value.items() if one is None)
    layout = layout_of(frozenset(value) - null, null, columns)
    prompt, reference, rejected, parted = _contents(value, layout)
    solution = _answer_in(value, layout.solution)
    blank = isinstance(prompt, str) and not prompt.strip()
    needs = layout.form == "question" and not (reference or "").strip()
    record = Record(
        prompt,
        reference,
        rejected,
        parted,
        probability_of(value, layout.probability),
        solution,
        label_of(value, layout.topic),
        whole_of(value, layout.difficulty),
        label_of(value, layout.problem),
        EMPTY if blank else NO_ANSWER if needs else None,
    )
    return record, layout


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


Contents = tuple[Prompt, str | None, str | None, tuple[Message, ...] | None]


def _contents(value: Value, layout: Layout) -> Contents:
    """A record's prompt, its reference, and what was rejected: an answer, or a dialogue that parted."""
    if layout.form == "dialogues":
        return _of_dialogues(value, layout)
    if layout.form in ("messages", "conversations"):
        return _of_messages(value, layout)
    if layout.form == "prompt":
        return _of_prompt(value, layout)
    question = text_of(value, layout.prompt, blank=True)
    if layout.context is not None and (more := value[layout.context]) is not None:
        more = text_of(value, layout.context, blank=True)
        question = f"{question}\n\n{more}" if question.strip() and more.strip() else question
    return question, _answer_in(value, layout.answer), None, None


def _of_messages(value: Value, layout: Layout) -> Contents:
    messages = _messages(value, layout.prompt, layout.form)
    before, answer = _last_answer(messages)
    reference = _answer_in(value, layout.answer)
    if answer is not None and reference is not None:
        raise BadInput("both a last turn by assistant and a reference: give one of them (--columns answer=)")
    return prompt_of(before), reference if answer is None else answer, None, None


def _of_prompt(value: Value, layout: Layout) -> Contents:
    if layout.chosen is not None and isinstance(value.get(layout.chosen), list):
        return _of_chosen(value, layout)
    prompt = _prompt(value, layout.prompt)
    reference = _answer_in(value, layout.answer)
    if layout.chosen is None or layout.rejected is None:
        return prompt, reference, None, None
    if reference is not None:
        raise BadInput("both 'chosen' and a reference: give one of them")
    return prompt, text_of(value, layout.chosen), text_of(value, layout.rejected), None


def _prompt(value: Value, key: str) -> Prompt:
    if isinstance(value[key], list):
        return prompt_of(_messages(value, key))
    return text_of(value, key, blank=True)


def _of_chosen(value: Value, layout: Layout) -> Contents:
    """A pair whose sides are messages: the last turn of each alone, or with the prompt before it."""
    assert layout.chosen is not None
    assert layout.rejected is not None
    before = _prompt(value, layout.prompt)
    sides: list[tuple[Prompt, str | None]] = []
    for key in (layout.chosen, layout.rejected):
        turns = value.get(key)
        if isinstance(turns, list) and len(turns) == 1:
            sides.append((before, _only_answer(value, key)))
        else:
            turns_before, answer = _last_answer(_messages(value, key))
            sides.append((prompt_of(turns_before), answer))
    (first, better), (other, worse) = sides
    if first != before or other != before:
        raise BadInput(
            f"{layout.chosen!r} and {layout.rejected!r} do not begin with what {layout.prompt!r} says"
        )
    return before, better, worse, None


def _of_dialogues(value: Value, layout: Layout) -> Contents:
    assert layout.chosen is not None
    assert layout.rejected is not None
    chosen, other = _dialogue(value, layout.chosen), _dialogue(value, layout.rejected)
    before, answer = _last_answer(chosen)
    rejected_before, worse = _last_answer(other)
    if rejected_before == before:
        return prompt_of(before), answer, worse, None
    return prompt_of(before), answer, None, other


def _dialogue(value: Value, key: str) -> tuple[Message, ...]:
    return _messages(value, key) if isinstance(value.get(key), list) else read_dialogue(text_of(value, key))


def _last_answer(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], str | None]:
    """The messages up to the user's last, and the assistant's answer to that where there is one."""
    if messages[-1].role == "assistant":
        return messages[:-1], messages[-1].content
    return messages, None


def _messages(value: Value, key: str, form: str = "messages") -> tuple[Message, ...]:
    turns = value.get(key)
    if isinstance(turns, str):  # a cell of a table
        try:
            turns = parsed(turns)
        except ValueError:
            raise BadInput(f"{key!r} must be messages: a list, or JSON of one") from None
    if isinstance(turns, list):
        turns = [
            _sharegpt_turn(one, number) if form == "conversations" else _without_nulls(one)
            for number, one in enumerate(turns, 1)
        ]
    messages = read_messages(turns)
    if sum(len(one.content) for one in messages) > LONGEST:
        raise BadInput(f"{key!r} are longer than {LONGEST:,} characters together")
    try:
        "".join(one.content for one in messages).encode()
    except UnicodeEncodeError:
        raise BadInput(f"{key!r} are not valid Unicode") from None
    return messages


def _without_nulls(message: Any) -> Any:
    """A message without its null keys, which a table gives to all messages where one has them."""
    if not isinstance(message, dict):
        return message
    return {key: one for key, one in message.items() if one is not None or key in ("role", "content")}


def _sharegpt_turn(turn: Any, number: int) -> Any:
    """A turn of ShareGPT as a message."""
    if not isinstance(turn, dict) or "from" not in turn:
        return _without_nulls(turn)
    role = _SPEAKERS.get(turn["from"]) if isinstance(turn["from"], str) else None
    if role is None:
        speakers = ", ".join(_SPEAKERS)
        raise BadInput(f"message {number} is from {str(turn['from'])[:40]!r}: a speaker is {speakers}")
    return {"role": role, "content": turn.get("value")}


def _only_answer(value: Value, key: str) -> str:
    """The one message by the assistant that a list is."""
    turn = value[key][0]
    if not isinstance(turn, dict) or turn.get("role") != "assistant":
        raise BadInput(f"{key!r} must be one message by assistant")
    return text_of({key: turn.get("content")}, key, blank=True)


def _answer_in(value: Value, key: str | None) -> str | None:
    """The answer in a column; None where there is no column, or only blanks in it."""
    answer = None if key is None else _answer(value, key)
    return answer if answer and answer.strip() else None


def _answer(value: Value, key: str) -> str | None:
    """A text, a number as its text, a list of accepted answers, or one message by the assistant, if any."""
    content = value.get(key)
    if content is None:
        return None
    if isinstance(content, list):
        if len(content) == 1 and isinstance(content[0], dict):
            return _only_answer(value, key)
        return accepted_answers(content, key)
    return text_of({key: as_text(content)}, key, blank=True)
