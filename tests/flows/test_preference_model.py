"""Promises of a preference model's loop: pairs in, a reward model out that has to beat the last one."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

import tutor
from flows.nightly import night
from flows.opening.opening import check_opening, open_loop
from flows.opening.pairs import admit_pairs
from flows.pages.show import story
from flows.recipes.preference_model.round import PREFERENCE_MODEL
from flows.recipes.rooms import parse_recipe
from flows.round.round import Round
from flows.steps import compare
from flows.steps.compare import Judge, _compared, held_out_pairs
from flows.steps.evaluate import held_out_prompts
from flows.steps.measure_pairs import measure
from flows.writers.constitutions import chosen_constitution
from schemas.errors import BadInput, LakeError, RecipeError
from schemas.recipes.shared import Sampling
from tasks.generate.engine import Sample
from tasks.models.conversation import messages_of, prompts_of
from tasks.verify.judge.pairs import preference_rows
from tasks.verify.judge.rubric import load_rubric
from tasks.verify.reward import rewards
from warehouse.lake import Lake
from warehouse.lineage import trace
from warehouse.log import Log
from warehouse.loops import champion_of, fold
from warehouse.query import query, read
from warehouse.share.export import export
from warehouse.verify.lake import verify_lake

LOOP, TASTE = "taste", 60
SETTINGS: dict[str, Any] = {
    "recipe": "preference-model",
    "launcher": "in-process",
    "sampling": {"max_tokens": 8},
    "evaluation": {"max_tokens": 8},
    "training": {
        "epochs": 2,
        "batch_size": 16,
        "micro_batch_size": 16,
        "learning_rate": 1e-3,
        "warmup_ratio": 0.1,
    },
}


def taste(path: Path) -> Path:
    """Pairs of people who like thanks; half are about conversations, two dialogues of each start."""
    lines = []
    for number in range(TASTE):
        start = f"Tom has {number // 2 + 3} apples."
        talk = [{"role": "user", "content": start}]
        if number % 2:
            more = [("assistant", "Tom has apples."), ("user", f"How many has Tom now? {number}")]
            talk += [{"role": role, "content": text} for role, text in more]
        sides = f"{number} apples. Thanks, Tom!", f"{number + 1} apples. No."
        lines.append({"prompt": talk, "chosen": sides[0], "rejected": sides[1], "probability": 0.9})
    path.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return path


def recipe(path: Path | None, **more: Any) -> Any:
    prompts = {"path": str(path), "eval_count": 12, "per_round": 40} if path else {"eval_count": 12}
    return parse_recipe({**SETTINGS, "prompts": prompts, **more})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A loop of two rounds over one taste, to read."""
    root = tmp_path_factory.mktemp("taste")
    night.fn(recipe(taste(root / "pairs.jsonl")), loop=LOOP, rounds=2, lake=str(root / "lake"))
    return Lake(root / "lake")


def test_the_first_model_beats_a_coin_and_the_second_has_to_beat_the_first(lake: Lake) -> None:
    rounds = query(lake, "FROM round_states ORDER BY round").to_dicts()
    assert [one["state"] for one in rounds] == ["finished", "held"]
    assert "against a coin" in rounds[0]["reason"]
    assert "not better: 12 of 12 against 12" in rounds[1]["reason"]
    made = read(lake, "checkpoints").filter(pl.col("training_id").is_not_null())
    assert made["role"].to_list() == ["reward", "reward"]
    state = fold(lake, LOOP)
    assert state is not None
    assert state.champion == state.base
    assert {one["champion_out"] for one in rounds} == {state.base.id}
    best = champion_of(lake, LOOP, "reward")
    assert best is not None
    assert best.id == rounds[0]["challenger"]
    assert champion_of(lake, LOOP, "reward", before=0) is None
    assert champion_of(lake, LOOP, "value") is None


def test_people_and_models_are_in_one_table_and_the_round_learned_from_the_drawn_ones(lake: Lake) -> None:
    people = read(lake, "preferences")
    assert people.height == TASTE
    assert people["source"].str.contains(r"^pairs\.jsonl, line \d+$").all()
    assert people["judge_checkpoint_id"].null_count() == people["principle"].null_count() == TASTE
    assert set(people["probability"]) == {0.9}
    trained = query(lake, "SELECT snapshot_id, prompt_id, probability, prompt, chosen FROM examples")
    splits = query(lake, "SELECT split, count(*) AS n FROM prompts GROUP BY ALL")
    counts = dict(splits.iter_rows())
    assert counts == {"train": 48, "eval": 12}
    assert trained.group_by("snapshot_id").len()["len"].to_list() == [40, 40]
    assert set(trained["probability"]) == {0.9}
    assert trained["chosen"].str.contains("Thanks").all()
    own = query(lake, "SELECT text, messages, split FROM prompts")
    firsts = [messages_of(one)[0].content for one in prompts_of(own)]
    sides = own.with_columns(pl.Series("first", firsts)).group_by("first").agg(pl.col("split").n_unique())
    assert set(sides["split"]) == {1}


def test_a_models_scores_and_measures_are_facts_that_follow_from_its_folder(lake: Lake) -> None:
    best = champion_of(lake, LOOP, "reward")
    assert best is not None
    scores = query(
        lake,
        "SELECT s.*, c.text, p.text AS prompt, p.messages FROM scores AS s"
        " JOIN candidates AS c USING (candidate_id) JOIN prompts AS p ON p.prompt_id = c.prompt_id"
        " WHERE judge_checkpoint_id = $own ORDER BY candidate_id",
        {"own": best.id},
    )
    assert scores.height == 24
    assert set(scores["round"]) == {0}, "what was measured once is read"
    again = rewards(best.folder, prompts_of(scores, "prompt"), scores["text"].to_list())
    assert scores["value"].to_list() == pytest.approx(again, abs=1e-5)
    rows = read(lake, "evaluations").filter(pl.col("checkpoint_id") == best.id)
    told = {one["metric"]: one for one in rows.to_dicts()}
    assert told["accuracy"]["value"] == 1.0
    assert told["accuracy"]["n"] == 12
    assert {"ece", "brier", "loss", "margin"} <= told.keys()
    assert any(name.startswith("right 0.") for name in told)
    assert rows["suite"].n_unique() == 1


def test_what_was_measured_in_other_shards_is_read_whole_or_not_at_all(lake: Lake) -> None:
    state, best = fold(lake, LOOP), champion_of(lake, LOOP, "reward")
    assert state is not None
    assert best is not None
    own = recipe(Path("pairs.jsonl")).model_copy(update={"shard_size": 5})
    round_ = Round(Log(lake), LOOP, 2, own, state.base, state.champion)
    pairs = held_out_pairs(round_, held_out_prompts(round_).head(0), round_.champion, "eval")
    marks = measure(round_, best, pairs, "last")
    assert marks["right"].to_list() == [True] * 12
    assert (marks["margin"] > 0).all()
    other = pairs.with_columns(chosen_id=pl.col("chosen_id") + "-other")
    with pytest.raises(LakeError, match=r"12 of 24 held-out answers, such as cand-.*-other, have no score"):
        measure(round_, best, other, "last")


def test_all_of_it_verifies_deep_is_traced_and_exported(lake: Lake, tmp_path: Path) -> None:
    assert verify_lake(lake, deep=True).items == []
    best = champion_of(lake, LOOP, "reward")
    assert best is not None
    own, base = trace(lake, best.id)["generations"]
    assert own["checkpoint"]["role"] == "reward"
    assert base["checkpoint"]["parent_id"] is None
    assert own["pairs"]["pairs"] == own["snapshot"]["rows"] == 40
    (row,) = query(
        lake, "SELECT * FROM pairs_of_checkpoint WHERE checkpoint_id = $own LIMIT 1", {"own": best.id}
    ).to_dicts()
    console = Console(file=io.StringIO(), width=200)
    story(console, trace(lake, row["chosen_id"]))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"preference: chosen over {row['rejected_id']}, probability 0.9 (pairs.jsonl, line " in told
    for form in ("parquet", "jsonl"):
        report = export(lake, own["snapshot"]["snapshot_id"], tmp_path / form, form)
        assert report.whole
        assert report.rows == 40


def test_a_model_no_better_than_a_coin_is_held(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    weak = recipe(
        taste(tmp_path / "pairs.jsonl"), training={**SETTINGS["training"], "learning_rate": 1e-9, "epochs": 1}
    )
    night.fn(weak, loop=LOOP, rounds=1, lake=str(root))
    (row,) = query(Lake(root), "FROM round_states").to_dicts()
    assert row["state"] == "held"
    assert champion_of(Lake(root), LOOP, "reward") is None


def test_an_opening_that_was_cut_short_is_finished_and_nothing_is_there_twice(tmp_path: Path) -> None:
    own = recipe(taste(tmp_path / "pairs.jsonl"))
    opening = PREFERENCE_MODEL.opens(own, check_opening(tutor.BASE, own, pairs=True))
    log = Log(Lake.create(tmp_path / "lake"))
    admit_pairs(log, LOOP, {"eval": opening.held_out})  # and then the power went
    cut = read(log.lake, "preferences").height
    for _ in range(2):
        open_loop(log, LOOP, opening)
        rows = {name: read(log.lake, name) for name in ("preferences", "candidates", "prompts")}
        assert rows["preferences"].height == TASTE > cut > 0
        assert rows["candidates"].height == 2 * TASTE
        assert all(frame[f"{name.removesuffix('s')}_id"].is_unique().all() for name, frame in rows.items())


def test_a_loop_without_pairs_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no pairs to learn from"):
        night.fn(recipe(None), loop=LOOP, rounds=1, lake=str(tmp_path / "lake"))
    plain = tmp_path / "plain.jsonl"
    plain.write_text("".join(f'{{"prompt": "question {number}"}}\n' for number in range(20)))
    with pytest.raises(BadInput, match="20 refused: no pair of answers"):
        night.fn(recipe(plain), loop=LOOP, rounds=1, lake=str(tmp_path / "lake"))
    assert not (tmp_path / "lake").exists()


def test_verdicts_by_principles_that_are_none_are_on_record_and_no_pair(tmp_path: Path) -> None:
    """The tutor's judge was never asked for (A) or (B)."""
    feedback = {"share": 1.0, "constitution": "tutor", "principles": 2}
    prompts = {"per_round": 4, "eval_count": 6}
    settings = recipe(None, feedback=feedback, gate={"alpha": 1.0}).model_copy(
        update={"prompts": recipe(None).prompts.model_copy(update=prompts), "shard_size": 3}
    )
    night.fn(settings, loop=LOOP, rounds=1, lake=str(tmp_path / "lake"))
    there = Lake(tmp_path / "lake")
    (row,) = query(there, "FROM round_states").to_dicts()
    assert (row["state"], row["reason"]) == ("held", "no pair with a preference: nothing to train on")
    said = read(there, "preferences")
    asked = said.filter(pl.col("principle").str.contains("/"))
    principles = {f"{constitution().label}/{one.id}" for one in constitution().principles}
    assert set(asked["principle"]) <= principles
    assert asked.group_by("chosen_id", "rejected_id").len()["len"].to_list() == [2] * (asked.height // 2)
    assert said.height - asked.height + asked.height // 2 == 20, "two pairs to each of ten prompts"
    assert said["probability"].null_count() == said.height
    assert said["reason"].null_count() == 0
    assert "it means neither option" in set(said["reason"])
    decided = read(there, "decisions")
    assert set(decided["filter"]) == {"compared"}
    assert not decided["kept"].any()
    assert set(decided["reason"]) <= set(said["reason"])
    values = json.loads(row["recipe_values"])
    assert values["feedback"]["constitution"] == constitution().model_dump(mode="json"), (
        "it is on record whole"
    )
    assert verify_lake(there, deep=True).items == []


def test_a_comparison_cut_short_goes_on_with_the_judgements_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine, as a server may, never writes the same again."""
    own = recipe(None, feedback={"share": 1.0, "rubric": "pairwise"})
    log = Log(Lake.create(tmp_path / "lake"))
    open_loop(log, LOOP, check_opening(tutor.BASE, own))
    state = fold(log.lake, LOOP)
    assert state is not None
    round_ = Round(log, LOOP, 0, own, state.base, state.champion)
    unit, engine = round_.unit("compare"), Fickle()
    sides = [(number, f"{number} apples", f"{number} pears") for number in range(3)]
    shard = pl.DataFrame(
        {
            "left_id": [f"cand-00000-{number}a" for number, _, _ in sides],
            "right_id": [f"cand-00000-{number}b" for number, _, _ in sides],
            "prompt_id": [f"prompt-00000-{number}" for number, _, _ in sides],
            "split": ["train"] * 3,
            "prompt": ["What is on the tree?"] * 3,
            "left": [left for _, left, _ in sides],
            "right": [right for _, _, right in sides],
        }
    )
    judge = Judge(round_.champion, load_rubric("pairwise"))
    how: dict[str, Any] = {"judge_checkpoint_id": judge.checkpoint.id, "round_number": 0, "seed": round_.seed}
    texts, said = preference_rows(engine, load_rubric("pairwise"), shard, **how)
    log.once(unit, "candidates", lambda: texts)  # and then the power went
    monkeypatch.setattr(compare, "engine_of", lambda *_, **__: engine)
    rows = _compared(round_, shard, judge, unit, lambda *_, **__: None)
    columns = ["preference_id", "chosen_id", "probability", "reason"]
    assert rows.select(columns).equals(said.sort("preference_id").select(columns))
    assert set(rows["probability"]) == {1.0}
    assert engine.calls == 1


class Fickle:
    """Finds apples better when it is asked first, pears ever after."""

    def __init__(self) -> None:
        self.calls = 0

    def generate(
        self, prompts: Sequence[Any], sampling: Sampling, seeds: Sequence[int], progress: Any = None
    ) -> list[list[Sample]]:
        self.calls += 1
        liked = "apples" if self.calls == 1 else "pears"
        said = ["A" if liked in one.partition("Answer B:")[0] else "B" for one in prompts]
        return [
            [Sample(0, seed, f"Verdict: {one}", "stop", 3, -1.0, (), ())]
            for one, seed in zip(said, seeds, strict=True)
        ]


def test_an_engine_that_keeps_its_probabilities_is_refused_where_they_are_needed() -> None:
    for needs in ({"constitution": "tutor"}, {"logits": True}):
        with pytest.raises(RecipeError, match="engine must be embedded with feedback") as refused:
            recipe(None, feedback={"share": 1.0, **needs}, engine={"kind": "vllm"})
        assert "\n" not in str(refused.value)
    assert recipe(None, feedback={"share": 1.0}, engine={"kind": "vllm"}).engine.kind == "vllm"


def test_more_principles_than_there_are_is_refused_in_one_line(tmp_path: Path) -> None:
    feedback = {"share": 1.0, "constitution": "tutor", "principles": 200}
    with pytest.raises(RecipeError, match=r"feedback\.principles: 200, where the constitution"):
        night.fn(recipe(None, feedback=feedback), loop=LOOP, rounds=1, lake=str(tmp_path / "lake"))


def constitution() -> Any:
    return chosen_constitution("tutor")
