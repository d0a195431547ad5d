"""The monitors, in the order in which they read a round; a new one needs one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasks.audit.monitors import coverage, drift, imitation, judging, narrowing
from tasks.audit.reading import Answers, Reading
from warehouse.lake import Lake


@dataclass(frozen=True)
class AuditedRound:
    """A round as monitors see it: its place in the log, its answers, and those of its baseline rounds.

    `now` and `baselines` hold the answers with a verdict by `verifier`, whose verdicts filters go by.
    """

    lake: Lake
    loop: str
    verifier: str
    now: Answers
    baselines: Sequence[Answers]


Monitor = Callable[[AuditedRound], list[Reading]]


def _of_answers(name: str, readings: Callable[[Answers, Sequence[Answers]], list[Reading]]) -> Monitor:
    """A monitor of answers: a round without answers has verdict none, and is no baseline for others."""

    def read(round_: AuditedRound) -> list[Reading]:
        if round_.now.frame.is_empty():
            return [unmade(name, f"no answer of round {round_.now.round} has a verdict by {round_.verifier}")]
        return readings(round_.now, [then for then in round_.baselines if not then.frame.is_empty()])

    return read


def _judging(round_: AuditedRound) -> list[Reading]:
    own = judging.readings(round_.lake, round_.loop, round_.now.round)
    return own or [unmade(judging.MONITOR, "no model's judgement decided in this round")]


def _imitation(round_: AuditedRound) -> list[Reading]:
    if round_.now.frame.is_empty():
        return [unmade(imitation.MONITOR, f"no answer of round {round_.now.round} has a verdict")]
    own = imitation.readings(round_.lake, round_.loop, round_.now.round)
    return own or [unmade(imitation.MONITOR, "no student of this round answered held-out prompts greedily")]


def unmade(monitor: str, reason: str) -> Reading:
    """The reading of a monitor that could not read a round."""
    return Reading(monitor, "all", None, verdict="none", reason=reason)


MONITORS: Mapping[str, Monitor] = {
    narrowing.MONITOR: _of_answers(narrowing.MONITOR, narrowing.readings),
    drift.MONITOR: _of_answers(drift.MONITOR, drift.readings),
    coverage.MONITOR: _of_answers(coverage.MONITOR, coverage.readings),
    judging.MONITOR: _judging,
    imitation.MONITOR: _imitation,
}
