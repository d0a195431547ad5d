"""How a solution is laid out: reasoning before it, tags and JSON around the answer, headings among its lines.

A text's reasoning is left out first: what follows the last closing tag counts, and an opening tag that
nothing closes leaves what stands before it. Time is linear in the text.
"""

from __future__ import annotations

import json
import re

_THOUGHT = (
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reflection",
    "scratchpad",
    "analysis",
    "seed:think",
)
_CLOSED = re.compile(
    rf"</(?:{'|'.join(_THOUGHT)})>|<\|?(?:/think|end_of_thought)\|?>|\[/THINK\]|◁/think▷"
    r"|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_OPENED = re.compile(
    rf"<(?:{'|'.join(_THOUGHT)})>|<\|begin_of_thought\|>|\[THINK\]|◁think▷"
    r"|<\|channel\|>analysis<\|message\|>",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"</?(?:answer|final_answer|final|solution|output)>|<\|(?:begin|end)_of_solution\|>", re.IGNORECASE
)
_ANY = re.compile(r"<[/|A-Za-z]|THINK\]|think▷")
_JSON = re.compile(r"\s*(?:```(?:json)?\s*)?(\{.*\})\s*(?:```\s*)?", re.DOTALL)
_FENCED = re.compile(r"```json\s*(\{[^`]*\})\s*```\s*\Z")
_KEYS = ("final_answer", "answer", "result", "value")
_MOST_JSON = 20_000  # characters


def has_tag(text: str) -> bool:
    """Whether a text has anything that may be a tag; most have none, and a look for this alone is fast."""
    return ("<" in text or "THINK]" in text or "◁" in text) and _ANY.search(text) is not None


def without_reasoning(text: str) -> str:
    """The text after its reasoning; all of it where it has none."""
    ends = [match.end() for match in _CLOSED.finditer(text)]
    text = text[ends[-1] :] if ends else text
    opening = _OPENED.search(text)
    return text[: opening.start()] if opening else text


def in_answer_tag(text: str) -> str | None:
    """What stands in the last tag of an answer; None where there is none, "" where nothing closes it."""
    if "<" not in text:
        return None
    tags = list(_ANSWER.finditer(text))
    if not tags:
        return None
    opening = next((tag for tag in reversed(tags) if not _closes(tag[0])), None)
    if opening is None:
        return None
    closing = next((tag for tag in tags if tag.start() > opening.start() and _closes(tag[0])), None)
    return text[opening.end() : closing.start()] if closing else ""


def _closes(tag: str) -> bool:
    return tag[1] == "/" or tag.startswith("<|end")


def in_json(text: str) -> str | None:
    """The answer of a text that is nothing but a JSON object with one, or ends in a fenced one; else None."""
    if len(text) > _MOST_JSON or '"' not in text or "{" not in text:
        return None
    match = _JSON.fullmatch(text) if "{" in text[:40] else None
    match = match or (_FENCED.search(text) if "```json" in text else None)
    if not match:
        return None
    try:
        value = json.loads(match[1])
    except (ValueError, RecursionError):
        return None
    value = {str(key).casefold(): each for key, each in value.items()} if isinstance(value, dict) else {}
    for key in _KEYS:
        answer = value.get(key)
        if isinstance(answer, dict):
            answer = answer.get("answer")
        if isinstance(answer, bool):
            return str(answer)
        if isinstance(answer, str):
            return answer
        if isinstance(answer, int | float):
            return repr(answer)
        if isinstance(answer, list) and all(isinstance(each, str | int | float) for each in answer):
            return ", ".join(map(str, answer))
    return None
