"""Promises of distillation by logits: what the teacher says is on record, and gives what asking it does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tutor
from flows.nightly import check
from flows.opening.opening import check_opening, open_loop
from flows.recipes.distillation_logits.round import NOTHING_LEARNED, improve
from flows.recipes.distillation_logits.teacher import check_compares, comparable_teacher
from flows.round.round import Round
from schemas.errors import BadInput, RecipeError
from schemas.recipes.distillation_logits import DistillationLogits
from schemas.tables import TABLES
from schemas.units import Unit
from tasks.models.checkpoint import load_tokenizer, weights_hash
from tasks.models.rendering import prompt_ids
from tasks.train.soft_targets import ask, teacher_of, threads_of_a_training
from tests.flows.small import begun, small
from tests.train.conftest import write_model
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read

OFF_POLICY = (
    "writer=teacher",
    "iterations=1",
    "prompts.per_round=16",
    "prompts.eval_count=8",
    "prompts_per_iteration=null",
    "evaluation.sampled_count=0",
    "training.distil.divergence=forward",
    "training.distil.cross_entropy_weight=0.5",
    "training.distil.k=32",
)


def recipe(*settings: str) -> DistillationLogits:
    """The tutor's, small, with some values changed."""
    own: DistillationLogits = small("distillation-logits", *settings)
    return own


def opened(folder: Path, *settings: str) -> Round[DistillationLogits]:
    """Round 0 of a new loop on the tutor, begun."""
    return begun(folder, tutor.READER, recipe(*settings))


def done(folder: Path, *settings: str) -> tuple[Round[DistillationLogits], str]:
    """Such a round, and how it came out."""
    round_ = opened(folder, *settings)
    return round_, improve(round_)[1]


@pytest.fixture(scope="module")
def lake(undisturbed: Callable[[str], Lake]) -> Lake:
    """Two rounds of two iterations, on-policy."""
    return undisturbed("distillation-logits")


def test_the_student_writes_and_the_teacher_scores_what_is_learned(lake: Lake) -> None:
    teacher = read(lake, "checkpoints").filter(role="teacher")
    assert teacher.height == 1
    assert teacher["training_id"].item() is None
    texts = query(
        lake,
        """SELECT c.*, t.token_ids, s.k, s.teacher_ids, s.teacher_logprobs, s.tail_logprobs, s.logprobs,
                  s.checkpoint_id AS teacher_id, d.kept
           FROM candidates AS c JOIN tokens AS t USING (candidate_id)
           JOIN last_decisions AS d USING (candidate_id)
           LEFT JOIN soft_targets AS s USING (candidate_id)
           WHERE c.split = 'train'""",
    )
    assert texts["kept"].to_list() == texts["teacher_id"].is_not_null().to_list()
    assert texts["checkpoint_id"].n_unique() > 2
    kept = texts.filter("kept")
    assert set(kept["teacher_id"]) == set(teacher["checkpoint_id"])
    counts = kept["token_count"]
    assert kept["teacher_ids"].list.len().equals(kept["k"] * counts)
    assert kept["teacher_logprobs"].list.len().equals(kept["k"] * counts)
    assert kept["tail_logprobs"].list.len().to_list() == counts.to_list()
    assert kept["logprobs"].list.len().to_list() == counts.to_list()
    assert kept.schema["teacher_ids"] == pl.List(pl.Int32)
    assert kept.schema["teacher_logprobs"] == pl.List(pl.Float32)
    one = kept.row(0, named=True)
    prompts = read(lake, "prompts", {"prompt_id": one["prompt_id"]})
    before = prompt_ids(load_tokenizer(tutor.READER), prompts["text"].item())
    settings = recipe().distil
    with threads_of_a_training():
        said = ask(teacher_of(tutor.SEEDED_READER), [*before, *one["token_ids"]], len(before), settings, 0)
    assert said.ids.flatten().tolist() == one["teacher_ids"]
    assert said.own.tolist() == pytest.approx(one["logprobs"], abs=1e-4)


def test_an_iteration_goes_on_from_the_one_before_and_the_view_tells_of_each(lake: Lake) -> None:
    trainings = read(lake, "trainings").filter(state="finished", round=0).sort("unit")
    assert trainings["objective"].to_list() == ["distil"] * 2
    assert trainings["teacher_id"].null_count() == 2  # it was not asked while the student trained
    assert trainings["optimizer_from"][0] is None
    for before, after in pairwise(trainings.to_dicts()):
        assert after["base_checkpoint_id"] == before["checkpoint_id"]
        assert after["optimizer_from"] == before["training_id"]
    view = query(lake, "FROM divergence")
    assert view.select("round", "iteration").rows() == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert view["checkpoint_id"].to_list()[:2] == trainings["base_checkpoint_id"].to_list()
    for row in view.to_dicts():
        assert row["kept"] <= row["texts"]
        assert row["divergence"] > 0
        assert row["entropy"] > 0
        assert 0 <= row["agreement"] <= 1
        assert 0 <= row["teacher_tail"] < 1
        assert row["tokens"] > 1
        assert row["kl"] is not None


def test_of_the_texts_that_passed_or_failed_the_view_has_those_that_passed(tmp_path: Path) -> None:
    log, own = Log(Lake.create(tmp_path / "lake")), {"prompt_id": "p", "checkpoint_id": "c"}
    begun: dict[str, Any] = {"event_id": "e", "state": "begun", "recipe": "distillation-logits"}
    begun |= {
        "recipe_hash": "0",
        "recipe_values": "{}",
        "night_begins": 0,
        "night_ends": 1,
        "champion_in": "c",
    }
    log.once(Unit("small", 0, "begin"), "rounds", lambda: TABLES["rounds"].frame([begun]))
    text = own | {"kind": "answer", "split": "train", "text": "x"}
    texts = [text | {"candidate_id": f"c{place}", "sample_index": place} for place in range(3)]
    log.once(Unit("small", 0, "generate", 0, phase="01-iteration"), "candidates", lambda: pl.DataFrame(texts))
    by = {"prompt_id": "p", "verifier": "maths", "verifier_version": "1", "verifier_kind": "rule"}
    verdicts = [
        by | {"score_id": f"s{place}", "candidate_id": f"c{place}", "role": "filter", "outcome": outcome}
        for place, outcome in enumerate(("pass", "fail", "unscorable"))
    ]
    log.once(Unit("small", 0, "verify"), "scores", lambda: pl.DataFrame(verdicts))
    assert query(log.lake, "SELECT texts, passed FROM divergence").rows() == [(3, 0.5)]


def test_from_the_log_and_in_the_job_a_round_ends_with_the_same_bits(tmp_path: Path) -> None:
    ends = {}
    for source in ("log", "job"):
        round_, _ = done(tmp_path / source, *OFF_POLICY, f"logits_from={source}")
        here = round_.lake
        made = read(here, "checkpoints").filter(pl.col("training_id").is_not_null())
        ends[source] = made["content_hash"].item()
        told = read(here, "soft_targets")
        wrote = read(here, "candidates").filter(split="train")["checkpoint_id"].unique()
        teacher = read(here, "checkpoints").filter(role="teacher")["checkpoint_id"]
        assert wrote.to_list() == teacher.to_list()
        finished = read(here, "trainings").filter(state="finished")["teacher_id"].to_list()
        assert finished == ([None] if source == "log" else teacher.to_list())
        assert told.is_empty() == (source == "job")
        cost = query(here, "FROM teaching").row(0, named=True)
        asked = read(here, "candidates").filter(pl.col("checkpoint_id").is_in(teacher.implode()))
        assert cost["read_tokens"] == asked["prompt_tokens"].sum() > 16
    assert ends["log"] == ends["job"]


def test_a_round_of_which_nothing_is_kept_is_held(tmp_path: Path) -> None:
    _, why = done(tmp_path / "lake", "writer=student", "iterations=1", "training.max_tokens=8")
    assert why == NOTHING_LEARNED


def test_another_loops_champion_teaches_where_its_tokens_compare(tmp_path: Path) -> None:
    round_ = opened(tmp_path / "lake", "teacher={loop: other}")
    with pytest.raises(BadInput, match="no loop other whose champion could teach"):
        comparable_teacher(round_)
    open_loop(round_.log, "other", check_opening(tutor.SEEDED_READER, recipe()))
    teacher = comparable_teacher(round_)
    assert teacher.content_hash == weights_hash(tutor.SEEDED_READER)
    assert teacher.role == "teacher"


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"vocab_size": 300}, "has vocab_size 300, the student 1024"),
        ({"vocab_size": 1024}, "has another tokenizer than the student"),
    ],
)
def test_a_teacher_of_other_tokens_is_refused_before_anything_is_written(
    tmp_path: Path, config: dict[str, Any], line: str
) -> None:
    other = write_model(tmp_path / "other", **config)
    with pytest.raises(BadInput, match=line) as refused:
        check(recipe(f"teacher.model={other}"), "new", str(tmp_path / "lake"), None)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("writer", ["teacher", "student"])
def test_a_teacher_whose_context_is_too_short_for_the_texts_is_refused(tmp_path: Path, writer: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(tutor.SEEDED_READER, other)
    config = json.loads((other / "config.json").read_text("utf-8"))
    (other / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 64}), "utf-8")
    settings = (f"writer={writer}", f"teacher.model={other}")
    with pytest.raises(BadInput, match="has a context of 64 tokens, the texts may have"):
        check(recipe(*settings), "new", str(tmp_path / "lake"), None)
    assert not (tmp_path / "lake").exists()
    if writer == "student":
        check_compares(recipe(*settings, "training.max_tokens=64"), tutor.READER, other)


def test_a_teacher_that_is_asked_in_other_tokens_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tutor.SEEDED_READER, other)
    template = other / "chat_template.jinja"
    template.write_text("Now, " + template.read_text("utf-8"), "utf-8")
    with pytest.raises(BadInput, match="writes a prompt in other tokens than the student"):
        check(recipe(f"teacher.model={other}"), "new", str(tmp_path / "lake"), None)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (("training.distil.support=whole",), "logits_from must be job"),
        (("training.distil.cross_entropy_weight=0.5",), "would learn its own answers"),
        (("training.packing=padding-free",), "tokens are learned as drawn"),
        (("training.optimizer=adamw-8bit",), "carry_optimizer must be false"),
        (("verification.judge.share=0.1",), "no judge is asked"),
        (("engine={kind: endpoint, url: http://localhost:1/v1, model: m}",), "an endpoint does not tell"),
    ],
)
def test_values_that_would_be_ignored_or_fail_late_are_refused(settings: tuple[str, ...], line: str) -> None:
    with pytest.raises(RecipeError, match=line):
        recipe(*settings)


def test_a_k_that_is_the_whole_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="k is 1024, of a vocabulary of 1024: take support whole"):
        check(recipe("training.distil.k=1024"), "new", str(tmp_path / "lake"), None)
