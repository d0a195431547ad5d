"""References: which show their work, which of two say the same, and their rows among the candidates."""

from __future__ import annotations

import re
from itertools import product

import polars as pl

from schemas.identity import reference_id
from tasks.admit.prompts import given_rows
from tasks.verify.maths.marks import find_mark
from tasks.verify.maths.maths import compare_phrase, read_reference, verify
from tasks.verify.references import accepted_of

MARK = "####"
_LONGEST_BARE = 200  # characters of an answer that marks none, to be read as one
_LEADING = frozenset(
    {"so", "thus", "hence", "therefore", "the", "final", "correct", "answer", "is", "would", "be"}
)


def shows_work(text: str) -> bool:
    """Whether an answer is a worked solution: it marks its final answer (`####`, a box, "the answer is ..."),
    and says something before that.
    """
    if len(accepted_of(text)) > 1:
        return False
    if MARK in text:
        return bool(text.partition(MARK)[0].strip())
    mark = find_mark(text)
    if mark.boxes is not None:
        if mark.boxes.why:
            return False
        start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    elif mark.phrase and mark.phrase.strip():
        start = text.rfind(mark.phrase.strip())
    else:
        return False
    return any(word[0].lower() not in _LEADING for word in re.finditer(r"\w+", text[: max(start, 0)]))


def with_work(prompts: pl.DataFrame) -> pl.DataFrame:
    """The prompts with a worked solution, as column `worked`: one of its own, else the reference."""
    own = pl.col("solution") if "solution" in prompts.columns else pl.lit(None, pl.String)
    rows = prompts.with_columns(pl.coalesce(own, "reference").alias("worked"))
    marked = pl.Series(
        "marked", [text is not None and shows_work(text) for text in rows["worked"]], dtype=pl.Boolean
    )
    return rows.filter(marked | own.is_not_null())


def reference_rows(prompts: pl.DataFrame, loop: str, round_number: int) -> pl.DataFrame:
    """Rows of table `candidates` for the references that show their work, of admitted `prompts`."""
    worked = with_work(prompts)
    ids = [reference_id(round_number, loop, prompt) for prompt in worked["prompt_id"]]
    return given_rows(worked, "reference", ids, "worked")


def same_answer(one: str, other: str) -> bool | None:
    """Whether two references have the same final answer by the maths verifier, lists of accepted ones one in
    common; None: it reads none.
    """
    if one == other:
        return True
    lists = [accepted_of(each) for each in (one, other)]
    if any(len(each) > 1 for each in lists):
        answers = {same_answer(*pair) for pair in product(*lists)}
        return True if True in answers else False if answers == {False} else None
    if not (_readable(one) and _readable(other)):
        return None
    if _marked(other):
        return {"pass": True, "fail": False}.get(verify(other, one).outcome)
    reference = read_reference(one)
    _, equal, why = compare_phrase(other.strip(), reference)
    if equal:
        return True
    return None if why or reference.answer.tree is None else False


def _readable(text: str) -> bool:
    return len(text) <= _LONGEST_BARE or _marked(text)


def _marked(text: str) -> bool:
    mark = find_mark(text)
    return mark.boxes is not None or (mark.phrase is not None and mark.phrase.strip() != text.strip())
