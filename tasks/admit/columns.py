"""Which columns of a record are read, and as what: by their names, or as the user says.

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
    """The columns of one kind of record. `prompt` is the question, the messages or the chosen dialogue."""

    form: Form
    prompt: str
    answer: str | None = None
    context: str | None = None
    solution: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    probability: str | None = None
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
        roles |= {"rejected": self.rejected, "probability": self.probability}
        roles |= {"topic": self.topic, "difficulty": self.difficulty, "problem": self.problem}
        prompt = {} if self.form == "dialogues" else {self.form: self.prompt}
        return prompt | {role: column for role, column in roles.items() if column}


@lru_cache(maxsize=1024)
def layout_of(present: frozenset[str], null: frozenset[str], columns: Named) -> Layout:
    """The layout of a record with values in some columns, and none in others. BadInput says what is missing.

    A column without a value is read as an answer only where no other is there.
    """
    roles = dict(columns)
    for column in roles.values():
        if column and column not in present | null:
            raise BadInput(f"no {column!r}, which is named as a column: {_listed(present | null)}")
    form, prompt = _prompt_column(present, null, roles)
    pair = {role: _own(role, present, roles) for role in ("chosen", "rejected")}
    paired = form in ("prompt", "dialogues") and any(pair.values())
    answer = None if form == "dialogues" else _answer(present, null, roles, form, prompt, paired)
    solution = roles.get("solution", "solution" if answer in ANSWERS and "solution" in present else None)
    return Layout(
        form,
        prompt,
        answer,
        roles.get("input", "input" if prompt == "instruction" and "input" in present else None) or None,
        (solution or None) if solution != answer else None,
        (pair["chosen"] or "chosen") if paired else None,
        (pair["rejected"] or "rejected") if paired else None,
        _own("probability", present, roles) if paired else None,
        _own("topic", present, roles),
        _own("difficulty", present, roles),
        _own("problem", present - {prompt}, roles),
    )


def _prompt_column(present: frozenset[str], null: frozenset[str], roles: dict[str, str]) -> tuple[Form, str]:
    for role in PROMPT_ROLES:
        if roles.get(role):
            return role, roles[role]  # type: ignore[return-value]
    if "question" in present:
        return "question", "question"
    if "messages" in present:
        return "messages", "messages"
    if "prompt" in present:
        return "prompt", "prompt"
    if all(_own(role, present, roles) for role in ("chosen", "rejected")):
        return "dialogues", _own("chosen", present, roles) or "chosen"
    others = [name for name in (*QUESTIONS, "conversations") if name in present]
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
        f"no 'question', nor another column that is known: {_listed(present | null)}; "
        "say which it is: --columns question=COLUMN,answer=COLUMN"
    )


def _answer(
    present: frozenset[str],
    null: frozenset[str],
    roles: dict[str, str],
    form: Form,
    prompt: str,
    paired: bool,
) -> str | None:
    if "answer" in roles:
        return roles["answer"] or None
    if prompt == "question" and "answer" in present | null:
        return "answer"
    old = [name for name in ANSWERS if name in present]
    if len(old) > 1:
        raise BadInput(f"both 'answer' and 'reference': give one of them, or say --columns {_say('answer')}")
    if old or form in ("messages", "conversations") or paired:
        return old[0] if old else None
    newer = [name for name in NEWER if name in present and name != roles.get("solution")]
    if len(newer) > 1:
        raise BadInput(
            f"{_any_of(newer)} could be the answer: say which, such as --columns answer={newer[0]}"
        )
    if newer:
        return newer[0]
    empty = next((name for name in (*ANSWERS, *NEWER) if name in null), None)
    if empty is None and form == "question":
        raise BadInput(
            f"no 'answer': {_listed(present | null)}; say which it is (--columns answer=COLUMN), "
            "or that there is none (--columns prompt=COLUMN)"
        )
    return empty


def _own(role: str, present: frozenset[str], roles: dict[str, str]) -> str | None:
    """The column of a role: the one that the user names, else the one with the role's own name."""
    return roles.get(role, role if role in present else None) or None


def _say(column: str) -> str:
    role = "question" if column in QUESTIONS else column
    return f"{role}={column}"


def _any_of(names: Iterable[str]) -> str:
    return "columns " + " and ".join(map(repr, names))


def _listed(names: Iterable[str]) -> str:
    columns_ = sorted(name[:40] for name in names)
    more = f" and {len(columns_) - 12} more" if len(columns_) > 12 else ""
    return f"there is {', '.join(map(repr, columns_[:12]))}{more}" if columns_ else "there is none"
