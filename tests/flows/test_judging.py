"""Promises of a round's judge that was killed at work: its verdicts are those of the texts on record."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.round.round import Round
from flows.steps.judge import Judge, judgements
from schemas.identity import answer_id
from schemas.recipes.rft import Rft
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.verify.judge.judge import judgement_rows
from tasks.verify.judge.judgement import read_vote
from tasks.verify.judge.rubric import load_rubric
from tests.serving.round import TEACHER, shard
from tutor import JUDGE
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import Checkpoint
from warehouse.query import read

RUBRIC = load_rubric("story")


def answers() -> pl.DataFrame:
    """An answer to each of four prompts, as a step hands them to the judge."""
    frame = shard(4).select("prompt_id", "split", prompt="text").with_columns(text=pl.lit("#### 7"))
    ids = [answer_id(0, one, TEACHER, 0, 0, 0.0, 1.0, 16) for one in frame["prompt_id"]]
    return frame.with_columns(candidate_id=pl.Series(ids))


def test_killed_between_texts_and_verdicts_it_counts_the_texts_on_record_and_asks_for_none(
    tmp_path: Path,
) -> None:
    """What was written before the kill is not what would be written now, as on a GPU."""
    log, judge = Log(Lake.create(tmp_path / "lake")), Checkpoint("ckpt-00000-" + "1" * 24, JUDGE, "1" * 64)
    round_ = Round(log, "ada", 0, Rft(seed=1), judge, judge)
    unit, candidates = round_.unit("judge"), answers()
    how = {"judge_checkpoint_id": judge.id, "round_number": 0}
    with EmbeddedEngine(JUDGE, device="cpu") as engine:
        before = judgement_rows(engine, RUBRIC, candidates, seed=2, **how)  # type: ignore[arg-type]
        now = judgement_rows(engine, RUBRIC, candidates, seed=1, **how)  # type: ignore[arg-type]
    log.once(unit, "candidates", lambda: before)
    scores = judgements(round_, candidates, Judge(judge, RUBRIC), "filter", unit, lambda _: None)
    assert read(log.lake, "candidates").sort("seed")["seed"].equals(before.sort("seed")["seed"])
    points = dict(scores.select("candidate_id", "steps").iter_rows())
    assert points == votes(before)
    assert points != votes(now)
    again = judgements(round_, candidates, Judge(judge, RUBRIC), "filter", unit, lambda _: None)
    assert again.equals(scores)


def votes(written: pl.DataFrame) -> dict[str, list[float]]:
    """The points of the valid votes on each candidate."""
    points_by_candidate: dict[str, list[float]] = {}
    texts = written.sort("sample_index").select("parents", "text", "finish_reason")
    for (judged,), text, reason in texts.iter_rows():
        points = read_vote(text, reason, RUBRIC).points
        points_by_candidate[judged] = points_by_candidate.get(judged, []) + (
            [] if points is None else [points]
        )
    return points_by_candidate
