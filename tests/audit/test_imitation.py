"""Promises of the imitation monitor: the surface is told from the substance, and a copied mistake is seen."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from schemas.tables import TABLES
from schemas.units import Unit
from tasks.audit.monitors.imitation import COPIED, FASTER, FEWEST, MONITOR, readings, style
from tasks.audit.reading import Reading
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read

LOOP, PROMPTS = "taught", FEWEST + 20
BASE, STUDENT, TEACHER = (f"ckpt-00000-{place:024x}" for place in range(3))


Said = list[tuple[str, str, bool]]
THEIRS = "Then {} are left."


def answers(right: int, wrong: str, form: str = "So it is {}.", begin: int = 0) -> Said:
    """Text, answer and whether it is right, for each prompt: so many right ones from `begin` on."""
    own = range(begin, begin + right)
    rows = [(str(place), True) if place in own else (wrong, False) for place in range(PROMPTS)]
    return [(form.format(answer), answer, is_right) for answer, is_right in rows]


def audited(
    folder: Path,
    base: Said,
    student: Said,
    teacher: Said | None,
    cut_off: int = 0,
) -> Lake:
    """A round in which these were said to the held-out prompts; `cut_off` of the base's did not end."""
    log = Log(Lake.create(folder / "lake"))
    ids = [f"prompt-00000-{place:024x}" for place in range(PROMPTS)]
    prompts = {"prompt_id": ids, "split": "eval", "source": "test", "text": ids, "topic": "sums"}
    topics = pl.DataFrame(prompts).with_columns(difficulty=pl.int_range(PROMPTS) % 2 + 1)
    log.once(Unit(LOOP, 0, "admit"), "prompts", lambda: topics)
    said = {BASE: base, STUDENT: student} | ({} if teacher is None else {TEACHER: teacher})
    made = [
        {
            "checkpoint_id": one,
            "content_hash": "0" * 64,
            "role": "teacher" if one == TEACHER else "policy",
            "path": "x",
            "training_id": "training" if one == STUDENT else None,
            "parent_id": BASE if one == STUDENT else None,
        }
        for one in said
    ]
    log.once(Unit(LOOP, 0, "made"), "checkpoints", lambda: pl.DataFrame(made))
    texts, scores = [], []
    for number, (one, own) in enumerate(said.items()):
        for place, (text, answer, is_right) in enumerate(own):
            candidate = f"cand-00000-{number * 1000 + place:024x}"
            ended = one != BASE or place >= cut_off
            texts.append(
                {
                    "candidate_id": candidate,
                    "prompt_id": ids[place],
                    "checkpoint_id": one,
                    "kind": "answer",
                    "split": "eval",
                    "sample_index": 0,
                    "text": text,
                    "finish_reason": "stop" if ended else "length",
                    "temperature": 0.0,
                }
            )
            scores.append(
                {
                    "score_id": f"score-00000-{number * 1000 + place:024x}",
                    "candidate_id": candidate,
                    "prompt_id": ids[place],
                    "verifier": "maths",
                    "verifier_version": "1",
                    "verifier_kind": "rule",
                    "outcome": "pass" if is_right else "fail",
                    "answer": answer,
                }
            )
    log.once(Unit(LOOP, 0, "answer"), "candidates", lambda: pl.DataFrame(texts))
    log.once(Unit(LOOP, 0, "judge"), "scores", lambda: pl.DataFrame(scores))
    return log.lake


def of_all(own: list[Reading]) -> dict[str, Reading]:
    """The readings of the whole round, by metric."""
    return {one.metric: one for one in own if one.subject is None}


def test_a_student_that_learned_answers_and_words_alike_passes(tmp_path: Path) -> None:
    lake = audited(
        tmp_path,
        answers(30, "x"),
        answers(90, "y", THEIRS),
        answers(100, "z", THEIRS),
    )
    own = readings(lake, LOOP, 0)
    assert {one.verdict for one in own} == {"pass"}
    whole = of_all(own)
    assert whole["accuracy"].value == pytest.approx(90 / PROMPTS)
    assert whole["accuracy"].baseline == pytest.approx(30 / PROMPTS)
    assert whole["agreement_right"].value == pytest.approx(0.9)
    assert whole["copied"].value == 0
    assert (whole["form"].value, whole["form"].baseline) == (1, 1)


def test_one_that_sounds_like_its_teacher_and_is_no_better_is_told(tmp_path: Path) -> None:
    lake = audited(
        tmp_path,
        answers(30, "x"),
        answers(32, "y", THEIRS),
        answers(100, "z", THEIRS),
    )
    whole = of_all(readings(lake, LOOP, 0))
    assert whole["style"].verdict == "warn"
    assert whole["style"].value > whole["style"].threshold > whole["style"].baseline  # type: ignore[operator]
    assert whole["copied"].verdict == "pass"


def test_one_that_learned_to_end_its_answers_alone_is_told_without_a_teacher_too(
    tmp_path: Path,
) -> None:
    lake = audited(tmp_path, answers(30, "x"), answers(32, "x"), None, cut_off=60)
    whole = of_all(readings(lake, LOOP, 0))
    assert whole["form"].verdict == "warn"
    assert (whole["form"].value, whole["form"].baseline) == (1, 0.5)
    assert set(whole) == {"accuracy", "form"}


def test_mistakes_that_are_the_teachers_are_counted_and_told(tmp_path: Path) -> None:
    lake = audited(tmp_path, answers(40, "x"), answers(90, "z"), answers(80, "z"))
    whole = of_all(readings(lake, LOOP, 0))
    assert whole["agreement_right"].value == 1
    assert whole["agreement_wrong"].value == pytest.approx(30 / 40)
    assert whole["copied"].value == 1
    assert whole["copied"].threshold == pytest.approx(COPIED)
    assert whole["copied"].verdict == "warn"
    rows = query(lake, "FROM imitation WHERE student = $one", {"one": STUDENT})
    assert rows["same_wrong"].sum() == rows["student_wrong"].sum() == 30
    assert rows["prompts"].sum() == PROMPTS


def test_what_nobody_had_right_is_no_pass(tmp_path: Path) -> None:
    lake = audited(tmp_path, answers(10, "x"), answers(20, "y"), answers(0, "z"))
    reading = of_all(readings(lake, LOOP, 0))["agreement_right"]
    assert (reading.value, reading.verdict) == (None, "none")
    assert reading.reason == "no held-out prompt counts: teacher right is 0"


def test_a_student_has_gone_all_the_way_to_a_teacher_that_is_never_right(tmp_path: Path) -> None:
    lake = audited(tmp_path, answers(30, "x"), answers(32, "x"), answers(0, "z"), cut_off=60)
    form = of_all(readings(lake, LOOP, 0))["form"]
    assert (form.value, form.baseline, form.verdict) == (1, 0.5, "pass")
    assert form.threshold == pytest.approx(0.5 + (1 + FASTER) * 0.5)


def test_a_teacher_that_is_measured_again_counts_once_as_it_was_measured_last(tmp_path: Path) -> None:
    lake = audited(tmp_path, answers(40, "x"), answers(90, "z"), answers(80, "z"))
    log = Log(lake)
    for name in ("candidates", "scores"):
        rows = read(lake, name).select(TABLES[name].own_polars.names())
        ids = pl.col(column for column in ("candidate_id", "score_id") if column in rows.columns)
        if name == "candidates":
            rows = rows.filter(pl.col("checkpoint_id") != BASE)
        else:
            rows = rows.with_columns(answer=pl.col("answer").replace("z", "w"))
        again = rows.with_columns(ids.str.replace("-00000-", "-00001-"))
        log.once(Unit(LOOP, 1, name), name, lambda again=again: again)  # type: ignore[misc]
    view = query(lake, "FROM imitation WHERE student = $one", {"one": STUDENT})
    totals = view.group_by("round").agg(pl.col("prompts", "student_wrong", "same_wrong").sum()).sort("round")
    assert totals.rows() == [(0, PROMPTS, 30, 30), (1, PROMPTS, 30, 30)]


def test_form_and_accuracy_are_read_by_topic_and_by_difficulty(tmp_path: Path) -> None:
    lake = audited(tmp_path, answers(30, "x"), answers(PROMPTS // 2, "y", begin=PROMPTS // 2), None)
    parts = {(one.metric, one.subject): one.value for one in readings(lake, LOOP, 0) if one.subject}
    names = {"sums", "difficulty 1", "difficulty 2"}
    assert {subject for _, subject in parts} == names
    assert all(parts["accuracy", one] == pytest.approx(0.5) and parts["form", one] == 1 for one in names)
    assert {one.monitor for one in readings(lake, LOOP, 0)} == {MONITOR}


def test_a_style_is_words_and_their_order_whatever_the_numbers() -> None:
    assert style("Then <<12-5=7>>7 are left.", "Then <<3-1=2>>2 are left.") == 1
    assert style("Seven.", "There are 7 of them") == 0
    assert style("", "There are 7") == 0
    assert 0.5 < style("There are 7 in all", "In all there are 7") < 1
