"""Promises of admission: real files as they are, held-out prompts kept apart, every reject kept."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import tutor
from flows.opening.opening import admit, check_opening, open_loop, refuse_other_opening
from flows.recipes.rooms import parse_recipe
from schemas.errors import BadInput
from schemas.recipes.rft import Rft
from tasks.admit.prompts import draw_prompts, prompt_rows, read_prompts, split_off, without
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read


def test_all_of_gsm8k_is_admitted_and_every_reference_passes(shared_data: Path, tmp_path: Path) -> None:
    train, test = shared_data / "gsm8k" / "train.jsonl", shared_data / "gsm8k" / "test.jsonl"
    recipe = parse_recipe(
        {
            "prompts": {"path": str(train), "eval_path": str(test), "eval_count": 1319},
            "sampling": {"max_tokens": 16},
            "evaluation": {"max_tokens": 16},
        }
    )
    lake = Lake.create(tmp_path / "lake")
    open_loop(Log(lake), "gsm8k", check_opening(tutor.BASE, recipe))
    by_split = dict(query(lake, "SELECT split, count(*) FROM prompts GROUP BY 1").iter_rows())
    assert by_split["train"] + by_split["eval"] + by_split.get("refused", 0) == 7473 + 1319
    assert "refused" not in by_split, "every question fits the tutor's context"
    references = query(
        lake,
        "SELECT s.outcome, list_contains(s.steps, 0.0) AS broken FROM scores AS s"
        " JOIN candidates AS c USING (candidate_id) WHERE c.kind = 'reference'",
    )
    assert references.height == by_split["train"]
    assert set(references["outcome"]) == {"pass"}
    assert not references["broken"].any()


def test_a_file_without_held_out_prompts_gives_some_and_trains_on_none_of_them(shared_data: Path) -> None:
    prompts = read_prompts(shared_data / "gsm8k" / "test.jsonl")
    training, held_out = split_off(prompts, 200, seed=1)
    assert held_out.height == 200
    assert training.height + held_out.height == prompts.height
    assert set(training["text"]).isdisjoint(held_out["text"])
    again, _ = split_off(prompts, 200, seed=1)
    assert again.equals(training)
    other, _ = split_off(prompts, 200, seed=2)
    assert not other.equals(training)


def test_a_held_out_prompt_in_other_case_and_spacing_is_kept_from_training() -> None:
    def texts(*some: str) -> pl.DataFrame:
        return pl.DataFrame({"text": some})

    kept = without(texts("How  many\nDucks?", "another"), texts(" how many ducks? "))
    assert kept["text"].to_list() == ["another"]


def test_a_text_is_admitted_once_and_ids_do_not_move(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    one, two = '{"question": "a", "answer": "1"}', '{"question": "b", "answer": "2"}'
    file.write_text("\n".join((one, "", one, two)))
    rows = prompt_rows(read_prompts(file), "train", "loop", 0)
    assert rows["line"].to_list() == [1, 4]
    assert (
        rows["prompt_id"].to_list()
        == prompt_rows(read_prompts(file), "train", "loop", 0)["prompt_id"].to_list()
    )
    assert set(rows["prompt_id"]).isdisjoint(
        prompt_rows(read_prompts(file), "train", "other", 0)["prompt_id"]
    )


def test_each_round_draws_anew_and_the_same_when_asked_again() -> None:
    prompts = pl.DataFrame(
        {"prompt_id": [f"p{i:03}" for i in range(100)], "text": [f"t{i}" for i in range(100)]}
    )
    first, second = (
        draw_prompts(prompts, 20, seed=0, round_number=0),
        draw_prompts(prompts, 20, seed=0, round_number=1),
    )
    assert first.height == second.height == 20
    assert not first.equals(second)
    assert draw_prompts(prompts.reverse(), 20, seed=0, round_number=0).equals(first)
    assert draw_prompts(prompts, None, seed=0, round_number=0).height == 100


def test_an_opening_that_was_cut_short_goes_on_only_with_its_own_prompts(tmp_path: Path) -> None:
    def recipe(name: str) -> Rft:
        file = tmp_path / name
        file.write_text("".join(f'{{"question": "{name} {i}", "answer": "{i}"}}\n' for i in range(20)))
        return parse_recipe({"prompts": {"path": str(file)}, "sampling": {"max_tokens": 16}})

    lake = Lake.create(tmp_path / "lake")
    first = check_opening(tutor.BASE, recipe("first"))
    admit(Log(lake), "loop", "admit-eval", "eval", first.held_out)  # and then the power went
    refuse_other_opening(lake, "loop", first)
    with pytest.raises(BadInput, match="begun with other prompts"):
        refuse_other_opening(lake, "loop", check_opening(tutor.BASE, recipe("second")))
    refuse_other_opening(lake, "other-loop", check_opening(tutor.BASE, recipe("second")))


def test_the_tutors_references_are_bare_answers(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    recipe = parse_recipe({"prompts": {"eval_count": 20}, "sampling": {"max_tokens": 96}})
    open_loop(Log(lake), "loop", check_opening(tutor.BASE, recipe))
    assert read(lake, "prompts")["reference"].str.contains(r"^\d+$").all()
    assert read(lake, "candidates").is_empty()
