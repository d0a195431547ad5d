"""The monitors there are, in the order in which they read: one line more here reads every round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasks.audit.monitors import coverage, drift, judging, narrowing
from tasks.audit.reading import Answers, Reading
from warehouse.lake import Lake


@dataclass(frozen=True)
class AuditedRound:
    """A round as monitors see it: its place in the log, its answers, and those that it is held against.

    `now` and `baselines` hold the answers with a verdict by `verifier`, whose verdicts filters go by.
    """

    lake: Lake
    loop: str
    verifier: str
    now: Answers
    baselines: Sequence[Answers]


Monitor = Callable[[AuditedRound], list[Reading]]


def _of_answers(name: str, readings: Callable[[Answers, Sequence[Answers]], list[Reading]]) -> Monitor:
    """A monitor of answers, whose reading is none where a round has no answer; that is no baseline."""

    def read(seen: AuditedRound) -> list[Reading]:
        if seen.now.frame.is_empty():
            return [unmade(name, f"no answer of round {seen.now.round} has a verdict by {seen.verifier}")]
        return readings(seen.now, [then for then in seen.baselines if not then.frame.is_empty()])

    return read


def _judging(seen: AuditedRound) -> list[Reading]:
    own = judging.readings(seen.lake, seen.loop, seen.now.round)
    return own or [unmade(judging.MONITOR, "no model's judgement decided in this round")]


def unmade(monitor: str, reason: str) -> Reading:
    """The reading of a monitor that could not read a round."""
    return Reading(monitor, "all", None, verdict="none", reason=reason)


MONITORS: Mapping[str, Monitor] = {
    narrowing.MONITOR: _of_answers(narrowing.MONITOR, narrowing.readings),
    drift.MONITOR: _of_answers(drift.MONITOR, drift.readings),
    coverage.MONITOR: _of_answers(coverage.MONITOR, coverage.readings),
    judging.MONITOR: _judging,
}
