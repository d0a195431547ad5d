"""Which columns of a record are read, as what: by their names, or as the user has named them.

The forms of formats.py go by one table of names. Where names leave a choice, nothing is guessed: one line
lists the columns and the option that decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from schemas.errors import BadInput
from schemas.recipes.columns import PROMPT_ROLES, ROLES, Named

QUESTIONS = ("problem", "instruction")  # beside `question`, which goes before all
ANSWERS = ("answer", "reference")
NEWER = ("solution", "output", "completion", "response")  # answers where none of those two is there
KNOWN = frozenset((*ROLES, *QUESTIONS, *ANSWERS, *NEWER))

Form = Literal["question", "prompt", "messages", "conversations", "dialogues"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one kind of record. `asked` is the question, the messages or the chosen dialogue."""

    form: Form
    asked: str
    answer: str | None = None
    context: str | None = None
    solution: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    topic: str | None = None
    difficulty: str | None = None
    problem: str | None = None

    @property
    def read(self) -> dict[str, str]:
        """Role to column, of what is read."""
        roles = {
            "input": self.context,
            "answer": self.answer,
            "solution": self.solution,
            "chosen": self.chosen,
        }
        roles |= {"rejected": self.rejected, "topic": self.topic, "difficulty": self.difficulty}
        roles |= {"problem": self.problem}
        asked = {} if self.form == "dialogues" else {self.form: self.asked}
        return asked | {role: column for role, column in roles.items() if column}


@lru_cache(maxsize=1024)
def layout_of(given: frozenset[str], null: frozenset[str], named: Named) -> Layout:
    """The layout of a record with values in some columns, and none in others. BadInput says what is missing.

    A column without a value is read as an answer only where no other is there.
    """
    roles = dict(named)
    for column in roles.values():
        if column and column not in given | null:
            raise BadInput(f"no {column!r}, which is named as a column: {_listed(given | null)}")
    form, asked = _asked(given, null, roles)
    pair = {role: _own(role, given, roles) for role in ("chosen", "rejected")}
    paired = form in ("prompt", "dialogues") and any(pair.values())
    answer = None if form == "dialogues" else _answer(given, null, roles, form, asked, paired)
    solution = roles.get("solution", "solution" if answer in ANSWERS and "solution" in given else None)
    return Layout(
        form,
        asked,
        answer,
        roles.get("input", "input" if asked == "instruction" and "input" in given else None) or None,
        (solution or None) if solution != answer else None,
        (pair["chosen"] or "chosen") if paired else None,
        (pair["rejected"] or "rejected") if paired else None,
        _own("topic", given, roles),
        _own("difficulty", given, roles),
        _own("problem", given - {asked}, roles),
    )


def _asked(given: frozenset[str], null: frozenset[str], roles: dict[str, str]) -> tuple[Form, str]:
    for role in PROMPT_ROLES:
        if roles.get(role):
            return role, roles[role]  # type: ignore[return-value]
    if "question" in given:
        return "question", "question"
    if "messages" in given:
        return "messages", "messages"
    if "prompt" in given:
        return "prompt", "prompt"
    if all(_own(role, given, roles) for role in ("chosen", "rejected")):
        return "dialogues", _own("chosen", given, roles) or "chosen"
    others = [name for name in (*QUESTIONS, "conversations") if name in given]
    if len(others) > 1:
        raise BadInput(
            f"{_any_of(others)} could be what is asked: say which, such as --columns {_say(others[0])}"
        )
    if others:
        return ("conversations" if others[0] == "conversations" else "question"), others[0]
    empty = next((name for name in ("question", *QUESTIONS, "prompt", "messages") if name in null), None)
    if empty:
        raise BadInput(f"{empty!r} must be a text that is not empty, not null")
    raise BadInput(
        f"no 'question', nor another column that is known: {_listed(given | null)}; "
        "say which it is: --columns question=COLUMN,answer=COLUMN"
    )


def _answer(
    given: frozenset[str], null: frozenset[str], roles: dict[str, str], form: Form, asked: str, paired: bool
) -> str | None:
    if "answer" in roles:
        return roles["answer"] or None
    if asked == "question" and "answer" in given | null:
        return "answer"
    old = [name for name in ANSWERS if name in given]
    if len(old) > 1:
        raise BadInput(f"both 'answer' and 'reference': give one of them, or say --columns {_say('answer')}")
    if old or form in ("messages", "conversations") or paired:
        return old[0] if old else None
    newer = [name for name in NEWER if name in given and name != roles.get("solution")]
    if len(newer) > 1:
        raise BadInput(
            f"{_any_of(newer)} could be the answer: say which, such as --columns answer={newer[0]}"
        )
    if newer:
        return newer[0]
    empty = next((name for name in (*ANSWERS, *NEWER) if name in null), None)
    if empty is None and form == "question":
        raise BadInput(
            f"no 'answer': {_listed(given | null)}; say which it is (--columns answer=COLUMN), "
            "or that there is none (--columns prompt=COLUMN)"
        )
    return empty


def _own(role: str, given: frozenset[str], roles: dict[str, str]) -> str | None:
    """The column of a role that is called as the role is, unless another was named."""
    return roles.get(role, role if role in given else None) or None


def _say(column: str) -> str:
    role = "question" if column in QUESTIONS else column
    return f"{role}={column}"


def _any_of(names: Iterable[str]) -> str:
    return "columns " + " and ".join(map(repr, names))


def _listed(names: Iterable[str]) -> str:
    shown = sorted(name[:40] for name in names)
    more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
    return f"there is {', '.join(map(repr, shown[:12]))}{more}" if shown else "there is none"
