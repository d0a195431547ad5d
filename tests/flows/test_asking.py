"""Promises of a round that asks otherwise than plainly: one rendering everywhere, the question on record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tutor
from flows.nightly import check, night
from flows.opening.asking import with_shots
from flows.opening.opening import open_loop
from flows.recipes.rooms import parse_recipe
from flows.round.round import Round, begin
from flows.steps.evaluate import further
from schemas.errors import BadInput
from schemas.recipes.parsing import with_value
from schemas.recipes.rft import Rft
from tasks.models.asking import put
from tasks.models.checkpoint import load_tokenizer
from tasks.models.conversation import plain_text, prompts_of
from tasks.models.rendering import prompt_ids
from tasks.train.objectives.sft import SFT
from tests.commands import ratchet
from tests.models.conftest import CHATML, byte_tokenizer, save
from tutor.world import stories
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold
from warehouse.query import read
from warehouse.snapshot import read_snapshot
from warehouse.verify.lake import verify_lake

SYSTEM, STYLE = "Solve step by step.", "Style: brief."


def changed(recipe: Rft, **settings: Any) -> Rft:
    values = recipe.model_dump(mode="json")
    for key, value in settings.items():
        values = with_value(values, key.replace("__", "."), json.dumps(value))
    return parse_recipe(values)


def written(file: Path, seed: int, count: int) -> Path:
    records = [{"question": one.question, "answer": one.solution} for one in stories(seed, count)]
    file.write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return file


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    return written(tmp_path / "shots.jsonl", 977, 2)


def test_a_round_asks_learns_and_measures_by_one_rendering_and_keeps_the_question(
    tmp_path: Path, small_recipe: Rft, shots: Path
) -> None:
    lake, model = Lake.create(str(tmp_path / "lake")), tmp_path / "styled"
    shutil.copytree(tutor.BASE, model)  # its template reads a value too
    template = model / "chat_template.jinja"
    template.write_text("{{ style }}" + template.read_text("utf-8"), "utf-8")
    recipe = changed(
        small_recipe,
        prompts__chat_template_kwargs={"style": STYLE},
        prompts__path=str(written(tmp_path / "train.jsonl", 3, 40)),
        prompts__system=SYSTEM,
        prompts__template="Question: {question}",
        prompts__few_shots=str(shots),
        prompts__per_round=6,
        prompts__eval_count=4,
        evaluation__sampled_count=0,
        sampling__stop=["\n####"],
        training__max_tokens=768,
        verification__judge__share=0.5,
        verification__judge__votes=1,
    )
    night.fn(recipe, "asked", 1, lake.where, str(model))
    shots.unlink()  # what it held is on record
    settled = parse_recipe(json.loads(read(lake, "rounds")["recipe_values"][0]))
    asking = settled.prompts.asking
    assert [shot.question for shot in asking.shots] == [one.question for one in stories(977, 2)]

    prompts = read(lake, "prompts").filter(pl.col("split") == "train")
    assert set(prompts["text"]) <= {one.question for one in stories(3, 40)}
    assert prompts["messages"].null_count() == prompts.height
    answers = read(lake, "candidates").filter(pl.col("kind") == "answer")
    assert {json.loads(one)["asked"] for one in answers["settings"]} == {asking.label}
    assert {json.loads(one)["chat"] for one in answers["settings"]} == {settled.prompts.chat.label}
    assert answers.filter(pl.col("text").str.contains("####")).is_empty()
    assert set(answers["finish_reason"]) >= {"stop"}

    (snapshot,) = read(lake, "snapshots").to_dicts()
    examples = read_snapshot(lake.place(snapshot["path"]), snapshot["snapshot_id"])
    questions = dict(prompts.select("prompt_id", "text").iter_rows())
    tokenizer = load_tokenizer(model, settled.prompts.chat)
    learned = SFT.encode(tokenizer, examples)
    for example, row in zip(learned, examples.to_dicts(), strict=True):
        prompt = put(questions[row["prompt_id"]], asking)
        assert row["prompt"] == plain_text(prompt)
        ids = prompt_ids(tokenizer, prompt)
        assert example.tensors["input_ids"].tolist()[: len(ids)] == ids
        assert tokenizer.decode(ids).count(SYSTEM) == tokenizer.decode(ids).count(STYLE) == 1

    assert verify_lake(lake, deep=True).items == []
    others = {"prompts__system": "Think.", "sampling__stop": ["x"], "prompts__template": "{prompt}"}
    others["prompts__chat_template_kwargs"] = {"style": "other"}
    suites = {tuple(further(changed(settled, **{name: value}))) for name, value in others.items()}
    assert len(suites | {tuple(further(settled)), tuple(further(small_recipe))}) == 6


def test_two_ways_of_asking_draw_other_answers(small_recipe: Rft) -> None:
    asking = [changed(small_recipe, prompts__system=one).prompts.asking for one in ("a", "b")]
    assert len({one.label for one in asking}) == 2
    assert changed(small_recipe, prompts__system="a").hash != small_recipe.hash
    (plain,) = prompts_of(pl.DataFrame({"text": ["x"]}))
    assert put(plain, asking[0]) != put(plain, asking[1])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"prompts__system": "a<|end|>b"}, r"prompts\.system holds '<\|end\|>', which this model reads"),
        ({"prompts__template": "<|user|>{question}"}, r"prompts\.template holds '<\|user\|>'"),
        ({"prompts__few_shots": "nowhere.jsonl"}, "nowhere.jsonl"),
    ],
    ids=["system", "template", "file"],
)
def test_what_the_model_would_read_as_a_turn_is_refused_before_a_loop_opens(
    settings: dict[str, Any], why: str, tmp_path: Path, small_recipe: Rft
) -> None:
    with pytest.raises(BadInput, match=why) as refusal:
        check(changed(small_recipe, **settings), "asked", str(tmp_path / "lake"), None)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "lake").exists()


def test_an_example_that_is_too_long_is_one_line(tmp_path: Path, small_recipe: Rft) -> None:
    shots = tmp_path / "shots.jsonl"
    shots.write_text(json.dumps({"question": "a?", "answer": "1"}) + "\n")
    with shots.open("a") as file:
        file.write(json.dumps({"question": "b?", "answer": "1" * 20_001}))
    with pytest.raises(BadInput, match="line 2: a text of over 20,000 characters") as refused:
        check(changed(small_recipe, prompts__few_shots=str(shots)), "asked", str(tmp_path / "lake"), None)
    assert "\n" not in str(refused.value)


def test_a_loop_that_would_be_asked_longer_prompts_than_fit_is_refused_before_its_round(
    tmp_path: Path, small_recipe: Rft, plain: dict[str, str]
) -> None:
    recipe = changed(small_recipe, prompts__path=str(written(tmp_path / "train.jsonl", 3, 40)))
    lake = Lake.create(str(tmp_path / "lake"))
    opening = check(recipe, "asked", lake.where, None)
    assert opening is not None
    log = Log(lake)
    open_loop(log, "asked", opening)
    state = fold(lake, "asked")
    assert state is not None
    begin(Round(log, "asked", 0, recipe, state.base, state.champion), 0, 1)
    long = "Be careful. " * 400
    for settings in (
        {"prompts__system": long},
        {"prompts__few_shots": [{"question": long, "answer": "1"}]},
        {"sampling__max_tokens": 1000},
    ):
        with pytest.raises(
            BadInput, match=r"of the 40 prompts of loop asked would not fit as they are asked"
        ) as one:
            check(changed(recipe, **settings), "asked", lake.where, None)
        assert "\n" not in str(one.value)
    assert check(changed(recipe, prompts__system="Be careful."), "asked", lake.where, None) is None

    settings = ("--set", "prompts.chat_template_kwargs={nowhere: 1}", "--set", "sampling.max_tokens=1000")
    command = ratchet("run", "rft", "--loop", "asked", "--lake", lake.where, *settings, environment=plain)
    assert command.returncode == 2
    told, refusal = command.stderr.splitlines()
    assert told.endswith("the chat template never reads nowhere"), "told before the round, as at an opening"
    assert "would not fit as they are asked" in refusal


def test_a_template_without_a_system_role_is_told(tmp_path: Path, small_recipe: Rft) -> None:
    form = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    folder = save(tmp_path / "m", tokenizer=byte_tokenizer(form, ["<|im_start|>", "<|im_end|>"]))
    with pytest.raises(BadInput, match="refuses a message by system and user: no system"):
        check(changed(small_recipe, prompts__system="s"), "asked", str(tmp_path / "lake"), str(folder))


def test_examples_that_are_no_examples_or_held_out_are_refused(
    tmp_path: Path, small_recipe: Rft, shots: Path
) -> None:
    example = json.loads(shots.read_text().splitlines()[0])
    held_out, training = tmp_path / "eval.jsonl", written(tmp_path / "train.jsonl", 5, 9)
    held_out.write_text(json.dumps(example | {"question": example["question"].upper()}) + "\n")
    files = {"prompts__path": str(training), "prompts__eval_path": str(held_out)}
    recipe = changed(small_recipe, **files, prompts__few_shots=str(shots))
    with pytest.raises(BadInput, match="few_shots holds a held-out prompt"):
        check(recipe, "asked", str(tmp_path / "lake"), None)
    turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
    shots.write_text(json.dumps({"messages": turns, "answer": "y"}) + "\n")
    with pytest.raises(BadInput, match="line 1: an example is a question and its answer"):
        with_shots(recipe)
