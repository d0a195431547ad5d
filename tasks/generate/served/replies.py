"""A server's answer as samples: hostile input, read strictly.

Covered: what is no JSON or too deep, choices that are missing, too many or doubled, texts that are no text,
numbers that are none or not finite, halves of surrogate pairs (shown as U+FFFD), an answer that ended
otherwise than by its end or its limit, or that was cut by the context. Not covered: a server that cuts a
prompt without saying so, unless the prompt's tokens are known here; one that lies in its counts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas.recipes.shared import Sampling
from tasks.generate.engine import FinishReason, Sample
from tasks.generate.served.requests import Ask
from tasks.generate.stops import cut

LONGEST_LINE = 200  # characters of a server's words in an error
ENDS: dict[str, FinishReason] = {"stop": "stop", "eos": "stop", "eos_token": "stop", "length": "length"}
_NAME = re.compile("[A-Za-z0-9_-]{1,60}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_OVERFLOW = re.compile(
    r"context_length_exceeded|context (length|window|size)|maximum (context|model) len|max_model_len|"
    r"prompt (is )?too long|too many (input |prompt )?tokens|exceeds? the (available )?context",
    re.IGNORECASE,
)

Decode = Callable[[list[int], bool], str]
"""Turns token ids into the text; the flag says that the answer ended by itself, perhaps with an end token."""


class Unusable(Exception):
    """The server's answer cannot be used. `overflow`: the prompt does not fit; `torn`: it may come whole."""

    def __init__(self, why: str, *, overflow: bool = False, torn: bool = False) -> None:
        super().__init__(why)
        self.overflow, self.torn = overflow, torn


@dataclass(frozen=True)
class Read:
    """The samples of an answer, why some are missing, and the tokens that the server counted."""

    samples: tuple[Sample, ...]
    error: str | None
    prompt_tokens: int | None
    completion_tokens: int | None


def parsed(data: bytes) -> Any:
    """The JSON value of a body; Unusable where it is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Unusable("the answer is not JSON", torn=True) from None


def read_answer(
    value: Any, ask: Ask, sampling: Sampling, context: int | None, decode: Decode | None = None
) -> Read:
    """The samples of an answer's JSON value. Fewer choices than asked for are fewer samples, without an
    error.

    `context` is the longest sequence that the server takes, `decode` turns token ids into the text.
    """
    read, written = counted(value)
    choices = _choices(value, ask)
    if read is not None and context is not None and read + sampling.max_tokens > context:
        raise Unusable(
            f"{read} tokens and max_tokens {sampling.max_tokens} do not fit the model's context of {context}",
            overflow=True,
        )
    if read is not None and ask.ids is not None and read < len(ask.ids):
        raise Unusable(f"the server read {read} of the prompt's {len(ask.ids)} tokens", overflow=True)
    samples, errors = [], []
    for index, choice in sorted(choices.items()):
        alone = written if len(choices) == 1 else None
        try:
            samples.append(_sample(choice, index, ask, sampling, alone, decode))
        except Unusable as error:
            if error.overflow:
                raise
            errors.append(f"sample {ask.first + index}: {error}")
    return Read(tuple(samples), "; ".join(errors[:3]) or None, read, written)


def counted(value: Any) -> tuple[int | None, int | None]:
    """Tokens read and written, as an answer counts them; None where it does not."""
    usage = _mapping(_mapping(value).get("usage"))
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def refusal(data: bytes, secret: str | None = None) -> str:
    """What an error body says, in one line, whatever it is made of, without the secret."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return hidden(data.decode("utf-8", "replace"), secret)
    if isinstance(value, dict):
        value = value.get("error", value)
    if isinstance(value, dict):
        words = [value[name] for name in ("message", "detail", "code", "type") if value.get(name)]
        return hidden(" / ".join(map(str, words[:2])), secret)
    return hidden(str(value), secret)


def hidden(text: str, secret: str | None) -> str:
    """A server's words as one line of an error, without the secret."""
    return one_line((text.replace(secret, "(key)") if secret else text)[: 4 * LONGEST_LINE])


def one_line(text: str) -> str:
    """A text that fits in an error: printable, on one line, not long."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[:LONGEST_LINE]


def is_overflow(words: str) -> bool:
    """Whether a refusal is about a prompt that does not fit the model's context."""
    return _OVERFLOW.search(words) is not None


def _choices(value: Any, ask: Ask) -> dict[int, dict[str, Any]]:
    """The choices by their index: those from 0 on, without a gap, so that the rest is asked for anew."""
    choices = _mapping(value).get("choices")
    if not isinstance(choices, list) or not choices:
        raise Unusable("the answer has no choices")
    if len(choices) > ask.count:
        raise Unusable(f"the answer has {len(choices)} choices, {ask.count} were asked for")
    by_index: dict[int, dict[str, Any]] = {}
    for place, choice in enumerate(choices):
        index = _count(choice.get("index", place)) if isinstance(choice, dict) else None
        if index is None or index >= len(choices) or index in by_index:
            raise Unusable("the answer's choices are not numbered from 0 on")
        by_index[index] = choice
    return by_index


def _sample(
    choice: dict[str, Any],
    index: int,
    ask: Ask,
    sampling: Sampling,
    written: int | None,
    decode: Decode | None,
) -> Sample:
    ending = choice.get("finish_reason")
    reason = ENDS.get(ending) if isinstance(ending, str) else None
    if reason is None:
        is_name = isinstance(ending, str) and _NAME.fullmatch(
            ending
        )  # no other words of the server are repeated
        raise Unusable(f"it ended by {ending!r}" if is_name else "it ended by nothing that is known")
    ids, logprobs = _ids(choice.get("token_ids")), _logprobs(choice.get("logprobs"))
    count = next((n for n in (len(ids), written, len(logprobs)) if n), written)
    if reason == "length" and count is not None and count < sampling.max_tokens:
        raise Unusable(f"cut after {count} of max_tokens {sampling.max_tokens}", overflow=True)
    if len(logprobs) != count:
        logprobs = ()
    text = _text(choice, ids, reason, decode)
    if (before := cut(text, sampling.stop)) is not None:  # tokens hold a stop string that ended them
        text, reason = before, "stop"
    return Sample(
        ask.first + index,
        ask.seed + index,
        text,
        reason,
        count,
        math.fsum(logprobs) if logprobs else None,
        ids,
        logprobs,
        logprobs if sampling.temperature in (0.0, 1.0) else (),  # a server says those at 1 alone
    )


def _text(choice: dict[str, Any], ids: tuple[int, ...], reason: FinishReason, decode: Decode | None) -> str:
    """The text: of its tokens where they are known and can be decoded here, else as the server wrote it."""
    text = choice["text"] if "text" in choice else _mapping(choice.get("message")).get("content")
    if not isinstance(text, str):
        raise Unusable("it has no text")
    if decode is not None and ids:
        return decode(list(ids), reason == "stop")
    return _SURROGATE.sub("\ufffd", text)


def _ids(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    ids = tuple(one for one in map(_count, value) if one is not None)
    if len(ids) != len(value):
        raise Unusable("its token ids are none")
    return ids


def _logprobs(value: Any) -> tuple[float, ...]:
    """The log-probabilities of a choice, of either API; empty where it has none."""
    fields = _mapping(value)
    values = fields.get("token_logprobs")
    if isinstance(fields.get("content"), list):
        values = [_mapping(one).get("logprob") for one in fields["content"]]
    if not isinstance(values, list) or any(one is None for one in values):
        return ()
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
        raise Unusable("its log-probabilities are no numbers")
    numbers = tuple(map(_float, values))
    if not all(map(math.isfinite, numbers)):
        raise Unusable("its log-probabilities are not finite")
    return numbers


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40:
        return value
    return None
