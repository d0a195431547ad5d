"""Grading JSONL line by line: lines in, one verdict a line out, in order and with bounded look-ahead.

A line that cannot be graded has a verdict too (`unscorable`, with its number and what is wrong), so that
output and input always match; nothing in a line can end the run. A worker process that dies (killed for
memory, say) gives the lines it may have held the outcome `error`, and the rest goes on with new workers.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from flows.grading.lines import READS, Line, Malformed, judge_row
from schemas.errors import RatchetError
from schemas.recipes.strictness import Strictness
from tasks.generate.engine import Engine
from tasks.verify.judge.judge import NAME as JUDGE
from tasks.verify.judge.judge import judge_answers
from tasks.verify.judge.rubric import Rubric
from tasks.verify.verifier import Verdict, get_verifier, verify_rows

GROUP = 16  # lines a worker takes at once
_LONGEST_KIND = 100  # characters of a reason in a summary
AHEAD = 4  # groups a worker may lie ahead of what was written

Item = TypeVar("Item")
Row = dict[str, Any]
Verdicts = dict[int, Verdict]


def verify_lines(
    name: str, lines: Sequence[Line], strictness: Strictness | None = None, explained: bool = False
) -> list[Row]:
    """A row a line, by a registered verifier; `explained` says too what was read as the answer."""
    verifier = get_verifier(name, strictness=strictness)
    pairs, wrong = _read(lines, READS[name])
    texts, references = [text for text, _ in pairs.values()], [reference for _, reference in pairs.values()]
    verdicts = dict(zip(pairs, verify_rows(verifier, texts, references), strict=True)) | wrong
    rows = [_row(line, verdicts[line.number], verifier.name, verifier.version) for line in lines]
    if explained:
        for row in rows:
            packages = strictness.packages if strictness else ()
            own = _explanation(name, pairs.get(row["line"]), packages)
            row |= {"answer": verdicts[row["line"]].answer, **own}
    return rows


def _explanation(name: str, pair: tuple[str | None, str | None] | None, packages: Sequence[str]) -> Row:
    """How a verdict comes about, by the verifiers that say so."""
    if pair is None or pair[0] is None or pair[1] is None:
        return {}
    if name == "unit-tests":
        from tasks.verify.sandbox.explain import explain_program

        return explain_program(pair[0], pair[1], packages)
    if name != "maths":
        return {}
    from tasks.verify.maths.maths import explain

    return dict(explain(pair[0], pair[1]))


def summary(rows: Iterable[Row]) -> Row:
    """Counts of verdicts by outcome, and by outcome and reason, the most frequent first."""
    outcomes, reasons, values = Counter[str](), Counter[tuple[str, str]](), list[float]()
    for row in rows:
        outcomes[row["outcome"]] += 1
        reasons[row["outcome"], _kind_of(row["reason"])] += 1
        values += [row["value"]] if row["value"] is not None else []
    return {
        "lines": outcomes.total(),
        "outcomes": dict(outcomes.most_common()),
        "mean_value": sum(values) / len(values) if values else None,
        "reasons": [
            {"outcome": outcome, "reason": reason, "count": count}
            for (outcome, reason), count in reasons.most_common()
        ],
    }


def _kind_of(reason: str) -> str:
    """A reason without the details of its line: numbers, quotations, the reference."""
    reason = re.sub(r"\s*\[sandbox: [a-z]+\]$|^line [0-9]+: ", "", reason)
    reason = re.sub(r"(the final answer is not the reference's) .*", r"\1", reason)
    return re.sub(r"'[^']*'|\"[^\"]*\"", "...", re.sub(r"[0-9]+", "N", reason))[:_LONGEST_KIND]


def judge_lines(
    engine: Engine, rubric: Rubric, lines: Sequence[Line], seed: int, logits: bool = False
) -> list[Row]:
    """A row a line, by a judge, with its votes: null for one that held no verdict.

    With `logits` a vote is the points that the judge expects (`tasks/verify/judge/expected.py`).
    """
    inputs, wrong = _read(lines, judge_row)
    verdicts, votes = wrong, {line.number: list[float | None]() for line in lines}
    try:
        judged = judge_answers(engine, rubric, list(inputs.values()), seed=seed, logits=logits)
    except RatchetError:
        raise
    except Exception as error:  # what broke is the judge, not the answers
        verdicts |= dict.fromkeys(
            inputs, Verdict("error", None, reason=f"the judge broke: {type(error).__name__}")
        )
    else:
        for number, one in zip(inputs, judged, strict=True):
            verdicts[number], votes[number] = one.verdict, [vote.points for vote in one.votes]
    return [
        _row(line, verdicts[line.number], JUDGE, rubric.label) | {"votes": votes[line.number]}
        for line in lines
    ]


def reward_lines(folder: Path, version: str, lines: Sequence[Line]) -> list[Row]:
    """A row a line, by the preference model in a folder, whose `version` is that of its verdicts."""
    from tasks.verify.reward import NAME, reward_verdicts

    inputs, verdicts = _read(lines, judge_row)
    prompts, answers = [one.prompt for one in inputs.values()], [one.answer for one in inputs.values()]
    verdicts |= dict(zip(inputs, reward_verdicts(folder, prompts, answers), strict=True))
    return [_row(line, verdicts[line.number], NAME, version) for line in lines]


def graded(
    name: str,
    lines: Iterable[Line],
    workers: int = 1,
    strictness: Strictness | None = None,
    explained: bool = False,
) -> Iterator[Row]:
    """A row a line, in order: each as soon as its line is read, or in groups by `workers` processes."""
    if workers == 1:
        for line in lines:
            yield from verify_lines(name, [line], strictness, explained)
        return
    crew = _Crew(name, workers, strictness, explained)
    try:
        for group in grouped(lines, GROUP):
            crew.take(group)
            while crew.ready():
                yield from crew.give()
        while crew.waiting:
            yield from crew.give()
    finally:
        crew.pool.shutdown(cancel_futures=True)


class _Crew:
    """Worker processes, and the groups they were given and have not given back, in order."""

    def __init__(
        self, name: str, workers: int, strictness: Strictness | None = None, explained: bool = False
    ) -> None:
        self.name, self.workers, self.strictness, self.explained = name, workers, strictness, explained
        self.waiting: deque[tuple[list[Line], Future[list[Row]]]] = deque()
        self.pool = self._new_pool()

    def take(self, group: list[Line]) -> None:
        self.waiting.append(
            (group, self.pool.submit(verify_lines, self.name, group, self.strictness, self.explained))
        )

    def ready(self) -> bool:
        """Whether the oldest group is done, or the crew has as much as it may have."""
        return bool(self.waiting) and (self.waiting[0][1].done() or len(self.waiting) >= self.workers * AHEAD)

    def give(self) -> list[Row]:
        """The oldest group's rows."""
        group, future = self.waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            self.pool.shutdown(cancel_futures=True)
            self.pool = self._new_pool()
            groups, self.waiting = self.waiting, deque()
            for each, _ in groups:
                self.take(each)
        verifier = get_verifier(self.name, strictness=self.strictness)
        died = Verdict("error", None, reason="a worker process died")
        return [_row(line, died, verifier.name, verifier.version) for line in group]

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))


def grouped(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one shorter."""
    rest = iter(items)
    while group := list(islice(rest, size)):
        yield group


def _read(
    lines: Sequence[Line], read: Callable[[Mapping[str, Any]], Item]
) -> tuple[dict[int, Item], Verdicts]:
    """What each good line holds, by its number, and the verdicts on the others."""
    values: dict[int, Item] = {}
    wrong: Verdicts = {}
    for line in lines:
        why = line.why
        if line.value is not None:
            try:
                values[line.number] = read(line.value)
                continue
            except Malformed as error:
                why = str(error)
        wrong[line.number] = Verdict("unscorable", None, reason=f"line {line.number}: {why}")
    return values, wrong


def _row(line: Line, verdict: Verdict, name: str, version: str) -> Row:
    """A verdict as it is written out; an `id` that the line has goes with it."""
    identity = {"id": line.value["id"]} if line.value and isinstance(line.value.get("id"), str | int) else {}
    return {
        "line": line.number,
        **identity,
        "outcome": verdict.outcome,
        "value": verdict.value,
        "reason": verdict.reason,
        "verifier": name,
        "version": version,
    }
