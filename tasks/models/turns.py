"""The model's turn in a chat: what its template writes between a prompt, an answer and the end of the turn.

A prompt is asked with the template's generation prompt; a training must teach what the template writes when
it is told the answer. Most templates write just the prompt, the answer and an end token. Others write more
before the answer: a channel's name, a block of thought opened and closed. Such text is taught with every
answer that does not hold it; what the model itself wrote behind the same prompt holds it as the model wrote
it. A template that writes its turn otherwise than it asks for one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from schemas.errors import ModelError
from tasks.models.chat import named_end
from tasks.models.conversation import Prompt
from tasks.models.rendering import prompt_lengths, templated

_ANSWER, _QUESTION = "ANSWER", "?"
_OPENED = re.compile(r"\s*<(\w+)>\s*")


@dataclass(frozen=True)
class Turn:
    """What stands around an answer, as text, and the token that ends it.

    `before` comes after the prompt where an answer does not hold it, `after` before the end token. `remark`
    is what a user is to know of the template, in one line; empty where the turn is prompt, answer and end.
    """

    end: int
    before: str = ""
    after: str = ""
    remark: str = ""

    def wrapped(self, answer: str) -> str:
        """An answer with what the template writes around it, where it does not hold that yet."""
        mark = self.before.strip()
        has_before = mark in answer if mark else answer.startswith(self.before)
        text = answer if has_before else self.before + answer
        return text if text.endswith(self.after) else text + self.after


def turn_of(tokenizer: PreTrainedTokenizerBase) -> Turn:
    """The turn of a tokenizer's chat template; without one an answer ends by the end-of-sequence token.

    ModelError where the template has no room for an answer, or asks for another turn than it writes.
    """
    end: Any = tokenizer.eos_token_id
    token_named = named_end(tokenizer)
    if getattr(tokenizer, "chat_template", None) is None:
        return Turn(int(end))
    question = [{"role": "user", "content": _QUESTION}]
    opening = templated(tokenizer, question, add_generation_prompt=True)
    whole = templated(tokenizer, [*question, {"role": "assistant", "content": _ANSWER}])
    head, answer, tail = whole.rpartition(_ANSWER)
    if not answer:
        raise ModelError("the chat template leaves out what a message by assistant says")
    before, remark = _before(opening, head)
    after, token = _ending(tokenizer, tail)
    if token_named is not None and token != token_named:
        ending, text = tail.strip(), str(tokenizer.eos_token)
        after, token = tail[: max(0, tail.find(text))], token_named
        if text not in tail:
            remark = remark or (
                f"an answer ends with {_shown(text)} (prompts.end_of_turn), where the chat template writes "
                f"{_shown(ending) if ending else 'no end'}: earlier turns of a conversation end as "
                "it writes them"
            )
    if token is None and tail.strip():
        closing = _shown(tail.strip())
        remark = remark or f"the chat template ends a turn with {closing}, which is no end token: not taught"
    return Turn(int(end) if token is None else token, before, after, remark)


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends an answer: what the chat template puts right after one, else end-of-sequence."""
    return turn_of(tokenizer).end


def answer_tokens(tokenizer: PreTrainedTokenizerBase, answers: Sequence[str]) -> list[list[int]]:
    """Answers as a training sees them behind their prompts, encoded apart from them, with one end token."""
    if not answers:
        return []
    turn = turn_of(tokenizer)
    texts = [turn.wrapped(answer) for answer in answers]
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [[*_open(ids, turn.end), turn.end] for ids in encoded]


def end_inside(tokenizer: PreTrainedTokenizerBase, answers: Sequence[str | None]) -> list[bool]:
    """Which answers hold an end token before their own end, so that a training would teach to end twice."""
    ends = {turn_of(tokenizer).end, tokenizer.eos_token_id}
    marks = [str(tokenizer.convert_ids_to_tokens(one)) for one in ends if one is not None]
    suspects = [place for place, text in enumerate(answers) if text and any(mark in text for mark in marks)]
    encoded = answer_tokens(tokenizer, [answers[place] or "" for place in suspects])
    inside = {place for place, ids in zip(suspects, encoded, strict=True) if not ends.isdisjoint(ids[:-1])}
    return [place in inside for place in range(len(answers))]


def texts_of(tokenizer: PreTrainedTokenizerBase, answers: Sequence[Sequence[int]]) -> list[str]:
    """Answers as text, given without their end tokens: all that the model wrote, special tokens (`<think>`)
    too, because a training has to teach them again.
    """
    decode: Any = tokenizer.batch_decode
    texts: list[str] = decode(
        [list(ids) for ids in answers],
        skip_special_tokens=False,
        spaces_between_special_tokens=False,
        clean_up_tokenization_spaces=False,
    )
    return texts


def example_lengths(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], responses: Sequence[str]
) -> list[int]:
    """Tokens of each prompt with its response and the token that ends it, as a training sees them."""
    lengths = prompt_lengths(tokenizer, prompts)
    return [a + len(b) for a, b in zip(lengths, answer_tokens(tokenizer, responses), strict=True)]


def _before(prompt: str, head: str) -> tuple[str, str]:
    """What the template writes between the prompt it asks with and an answer, and what to say of that."""
    common = next((i for i, (a, b) in enumerate(zip(prompt, head, strict=False)) if a != b), None)
    common = min(len(prompt), len(head)) if common is None else common
    unwritten, before = prompt[common:], head[common:]
    if not before and not unwritten:
        return "", ""
    if not unwritten.strip():
        return before, f"the chat template writes {_shown(before)} before an answer: taught where it lacks it"
    opened = _OPENED.fullmatch(unwritten)
    if opened and not before:
        # The template leaves finished thoughts out of what was said; an answer comes behind their end.
        closed = f"\n</{opened[1]}>\n\n"
        return closed, (
            f"the chat template asks with an open <{opened[1]}> and leaves it out of what was said: answers "
            f"without </{opened[1]}> are taught behind it"
        )
    raise ModelError(
        f"the chat template asks for an answer with {_shown(unwritten)} and writes {_shown(before)} in its "
        "place: no training can teach such a turn"
    )


def _ending(tokenizer: PreTrainedTokenizerBase, tail: str) -> tuple[str, int | None]:
    """The text between an answer and the first end token after it, and that token; None: there is none."""
    ids: list[int] = tokenizer(tail, add_special_tokens=False)["input_ids"]
    ends = {tokenizer.eos_token_id, *tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    token = next((one for one in ids if one in ends), None)
    if token is None:
        return "", None
    return tail[: max(0, tail.find(str(tokenizer.convert_ids_to_tokens(token))))], token


def _open(ids: list[int], end: int) -> list[int]:
    """Tokens without the end tokens they finish with: an answer that has its end written out ends once."""
    while ids and ids[-1] == end:
        ids = ids[:-1]
    return ids


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
