"""Makes text harmless to quote to a judge: it cannot look like the judge, the frame or a chat's turn.

Covered: every line stands behind "| ", so that no line of the text can be one of the frame; characters that
are not seen, or steer what is seen (control, bidi, zero-width, tags, fillers, unpaired surrogates), are shown
as code points; the tokenizer's special and added tokens and the usual turn marks of chat templates are
broken by showing their first character as a code point.

Not covered: what the text says. A judge may still believe a quoted "Score: 5"; the parser never reads one
(judgement.py), and the calibration report measures how often such texts pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from tasks.models.conversation import Prompt

PREFIX = "| "

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_UNSEEN = frozenset(
    (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10))
) | frozenset(range(0xE0100, 0xE01F0))
"""Letters and marks without ink: fillers, variation selectors, the blank Braille pattern."""
_TURNS = re.compile(
    r"<[|\uff5c]|</?(?:s|bos|eos|pad|unk|mask|sep|cls|think|start_of_turn|end_of_turn|im_start|im_end)>"
    r"|<</?SYS>>|\[/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|CLS|SEP|MASK)\]",
    re.IGNORECASE,
)
_ROUNDS = 8  # breaking one mark could join the pieces of another

_OPENERS = frozenset(
    (
        "thought process",
        "solution",
        "answer",
        "the answer is",
        "final answer",
        "response",
        "reasoning",
        "explanation",
        "lets solve this problem step by step",
        "let us solve this problem step by step",
        "lets think step by step",
        "let us think step by step",
        "step by step",
        "解",
        "かいせつ",
        "解説",
        "解答",
        "respuesta",
        "réponse",
        "antwort",
        "lösung",
    )
)
"""Whole answers that only announce one: master keys (Zhao et al. 2025, arXiv 2507.08794) and their like."""


class _Shown(dict[int, str]):
    """A translation that is computed for a character when it is first met."""

    def __missing__(self, point: int) -> str:
        sign = chr(point)
        hidden = sign not in "\n\t" and (unicodedata.category(sign) in _HIDDEN or point in _UNSEEN)
        self[point] = code_point(sign) if hidden else sign
        return self[point]


_SHOWN = _Shown()


def code_point(sign: str) -> str:
    """A character as its code point: `\\u200b`."""
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"


def visible(text: str) -> str:
    """The text with one kind of line end, and with everything unseen shown as a code point."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_SHOWN)


def special_texts(tokenizer: Any) -> tuple[str, ...]:
    """The texts that a tokenizer reads as tokens of their own: special ones, and added ones with signs."""
    if tokenizer is None:
        return ()
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    texts = [str(one) for one in getattr(tokenizer, "all_special_tokens", ())]
    texts += [one.content for one in added if one.special or not one.content.isalnum()]
    return tuple(sorted({one for one in texts if one.strip()}, key=lambda one: (-len(one), one)))


def unmarked(text: str, specials: Sequence[str] = ()) -> str:
    """The text with every special text and turn mark broken; ValueError where one cannot be."""
    marks = _marks(tuple(specials))
    for _ in range(_ROUNDS):
        broken = marks.sub(lambda match: code_point(match[0][0]) + match[0][1:], text)
        if broken == text:
            return text
        text = broken
    raise ValueError("the text holds special tokens that cannot be broken")


def quoted(text: str, specials: Sequence[str] = ()) -> str:
    """The text made harmless, every line behind "| "; an empty text is one such line."""
    lines = unmarked(visible(text), specials).split("\n")
    return "\n".join((PREFIX + line).rstrip() for line in lines)


def quoted_prompt(prompt: Prompt, specials: Sequence[str] = ()) -> str:
    """A prompt made harmless. Of a conversation each turn stands under a line with its speaker, "user:".

    Such a line has no "| " before it, as every line of every content has: no content can make one.
    """
    if isinstance(prompt, str):
        return quoted(prompt, specials)
    return "\n".join(f"{one.role}:\n{quoted(one.content, specials)}" for one in prompt.messages)


def says_nothing(text: str) -> bool:
    """Whether a text holds no letter and no digit, or only announces an answer ("Thought process:")."""
    plain = "".join(sign for sign in text if _SHOWN[ord(sign)] == sign)
    words = "".join(sign if sign.isalnum() else " " if sign not in "'\u2019" else "" for sign in plain)
    folded = " ".join(unicodedata.normalize("NFKC", words).casefold().split())
    return not folded or folded in _OPENERS


@lru_cache(maxsize=8)
def _marks(specials: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join((*_escaped(specials), _TURNS.pattern)), re.IGNORECASE)


def _escaped(specials: Iterable[str]) -> list[str]:
    return [re.escape(one) for one in specials]
