"""Promises of admission: real files as they are, held-out prompts kept apart, every reject kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tutor
from flows.opening.admission import fixed_prompts
from flows.opening.opening import Opening, admit, check_opening, open_loop, refuse_other_opening
from flows.recipes.rooms import parse_recipe
from schemas.errors import BadInput, PromptFileError
from schemas.recipes.rft import Rft
from schemas.recipes.shared import Prompts
from tasks.admit.apart import sound
from tasks.admit.prompts import draw_prompts, prompt_rows, split_off, without
from tasks.admit.reading import read_file, read_prompts
from tasks.admit.references import same_answer, with_work
from tasks.evaluate.gate import decide, fewest
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read
from warehouse.verify.lake import verify_lake


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

    survivors = without(texts("How  many\nDucks?", "another"), texts(" how many ducks? "))
    assert survivors["text"].to_list() == ["another"]


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
        file.write_text("".join(f'{{"question": "{name} {i}", "answer": "{i}"}}\n' for i in range(30)))
        return parse_recipe({"prompts": {"path": str(file)}, "sampling": {"max_tokens": 16}})

    lake = Lake.create(tmp_path / "lake")
    first = check_opening(tutor.BASE, recipe("first"))
    admit(Log(lake), "loop", "admit-eval", "eval", first.held_out)  # and then the power went
    refuse_other_opening(lake, "loop", first)
    with pytest.raises(BadInput, match="begun with other prompts"):
        refuse_other_opening(lake, "loop", check_opening(tutor.BASE, recipe("second")))
    refuse_other_opening(lake, "other-loop", check_opening(tutor.BASE, recipe("second")))


TOLD = [
    {"question": "only said", "answer": "The answer is 6."},
    {"question": "boxed", "answer": "2 x 3 = 6, so \\boxed{6}"},
    {"question": "in words", "answer": "Three twice makes 6. The answer is 6."},
    {"problem": "apart", "solution": "Twice three.", "answer": 6},
    {"question": "hashed", "answer": "2 x 3\n#### 6"},
    {"question": "bare", "answer": "6"},
]
TWICE = [
    {"question": "twice", "answer": "1 + 1 = 2\n#### 2"},
    {"question": "twice", "answer": "2.0"},
    {"question": "told otherwise", "answer": "a" * 300},
    {"question": "told otherwise", "answer": "b" * 300},
    {"question": "who knows", "answer": "#### 3"},
    {"question": "who knows", "answer": "#### 4"},
    {"question": "who knows", "answer": "#### 3"},
    {"question": " ", "answer": "1"},
    {"question": "asked", "answer": None},
    {"question": "ends early", "answer": "6<|end|> and on"},
    {"question": "long " * 900, "answer": "1"},
]


def written(path: Path, *records: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return str(path)


def sums(name: str, count: int) -> list[dict[str, Any]]:
    return [{"question": f"{name} {i}?", "answer": f"{i}"} for i in range(count)]


def opened(folder: Path, **prompts: Any) -> tuple[Lake, Opening]:
    """A loop that was opened on prompts."""
    lake = Lake.create(folder / "lake")
    recipe = parse_recipe(
        {"prompts": prompts, "sampling": {"max_tokens": 16}, "evaluation": {"max_tokens": 16}}
    )
    opening = check_opening(tutor.BASE, recipe)
    open_loop(Log(lake), "loop", opening)
    return lake, opening


def test_whatever_marks_its_answer_and_shows_its_work_is_reference_data(tmp_path: Path) -> None:
    held_out = written(tmp_path / "held.jsonl", *sums("held", 5))
    lake, opening = opened(tmp_path, path=written(tmp_path / "p.jsonl", *TOLD), eval_path=held_out)
    rows = query(
        lake,
        "SELECT p.text AS asked, c.text FROM candidates AS c JOIN prompts AS p USING (prompt_id)"
        " ORDER BY p.line",
    ).rows()
    worked = [TOLD[place] for place in (1, 2, 3, 4)]
    assert rows == [(one.get("question", "apart"), one.get("solution", one["answer"])) for one in worked]
    outcomes = query(lake, "SELECT outcome FROM scores ORDER BY ALL")["outcome"].to_list()
    assert outcomes == ["fail", "pass", "pass", "pass"], "a solution that marks nothing is judged too"
    assert opening.admitted.tallies[0].worked == 4


def test_every_record_is_taken_or_refused_for_a_reason_that_is_on_record(tmp_path: Path) -> None:
    file = written(tmp_path / "p.jsonl", *TWICE, {"question": "HELD  2?", "answer": "2"}, *sums("train", 3))
    held_out = written(tmp_path / "held.jsonl", *sums("held", 9), *sums("held", 1))
    lake, opening = opened(tmp_path, path=file, eval_path=held_out, eval_count=6)
    train, held_out_tally = opening.admitted.tallies
    assert train.refused == {
        "empty": 1,
        "no answer": 1,
        "duplicate": 1,
        "duplicate with another answer": 1,
        "duplicates whose answers conflict": 3,
        "overlaps a held-out prompt": 1,
        "its answer holds an end of turn": 1,
        "does not fit the model's context": 1,
    }
    assert held_out_tally.refused == {"duplicate": 1, "held out, not drawn": 3}
    assert (train.read, train.training, train.held_out) == (15, 5, 0)
    assert (held_out_tally.read, held_out_tally.training, held_out_tally.held_out) == (10, 0, 6)
    on_record = dict(
        query(lake, "SELECT refusal, count(*) FROM prompts WHERE split = 'refused' GROUP BY 1").rows()
    )
    both = train.refused | {
        key: held_out_tally.refused[key] + train.refused.get(key, 0) for key in held_out_tally.refused
    }
    assert on_record == both
    assert read(lake, "prompts").filter(pl.col("split") != "refused")["refusal"].null_count() == 11
    assert verify_lake(lake, deep=True).items == []


def test_held_out_prompts_are_a_seeded_sample_and_none_of_their_file_is_trained_on(tmp_path: Path) -> None:
    everything = sums("q", 30)
    path = written(tmp_path / "all.jsonl", *everything, *sums("own", 5))
    held_out_path = written(tmp_path / "held.jsonl", *everything)
    by_seed = [
        fixed_prompts(Prompts(path=path, eval_path=held_out_path, eval_count=10), seed) for seed in (0, 0, 1)
    ]
    lines = [one.held_out["line"].to_list() for one in by_seed]
    assert lines[0] == lines[1] == sorted(lines[0])
    assert lines[0] != lines[2]
    assert lines[0] != list(range(1, 11))
    for one in by_seed:
        assert one.training is not None
        assert one.training["text"].to_list() == [f"own {i}?" for i in range(5)]


def test_a_folder_brings_its_own_held_out_split(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    written(folder / "train.jsonl", *sums("a", 8))
    written(folder / "test.jsonl", *sums("b", 6))
    written(folder / "validation.jsonl", *sums("c", 6))
    _, opening = opened(tmp_path, path=str(folder))
    assert opening.admitted.training is not None
    assert opening.admitted.training.height == 8
    assert opening.held_out["text"].to_list() == [f"b {i}?" for i in range(6)]
    assert [one.splits_unread for one in opening.admitted.tallies] == [("validation",)] * 2


def test_too_few_held_out_prompts_for_any_promotion_are_refused_by_the_gates_own_test(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", *sums("a", 24))  # a fifth is 4, and 4 wins of 4 are p = 0.0625
    with pytest.raises(PromptFileError, match=r"no result on 4 held-out prompts passes .* 0.05 needs 5"):
        check_opening(tutor.BASE, parse_recipe({"prompts": {"path": path}, "sampling": {"max_tokens": 16}}))
    world = check_opening(tutor.BASE, parse_recipe({"prompts": {"eval_count": 4}}))
    (warning,) = (
        remark for remark in world.remarks if "no result on 4 held-out prompts passes the gate" in remark
    )
    assert "--eval-prompts" not in warning
    for alpha in (1.0, 0.5, 0.05, 0.0625, 1e-6):
        n = fewest(alpha)
        assert decide([False] * n, [True] * n, alpha).promote
        assert n == 1 or not decide([False] * (n - 1), [True] * (n - 1), alpha).promote


@pytest.mark.parametrize("problems", [4, 5])
def test_held_out_prompts_count_by_the_problems_that_a_file_says_they_tell(
    tmp_path: Path, problems: int
) -> None:
    held_out = [one | {"problem": f"p{i % problems}"} for i, one in enumerate(sums("held", 30))]
    files = {
        "path": written(tmp_path / "p.jsonl", *sums("train", 9)),
        "eval_path": written(tmp_path / "held.jsonl", *held_out),
    }
    recipe = parse_recipe(
        {"prompts": files, "sampling": {"max_tokens": 16}, "evaluation": {"max_tokens": 16}}
    )
    if problems == 4:
        with pytest.raises(
            PromptFileError, match="no result on 30 held-out prompts that tell 4 problems passes"
        ):
            check_opening(tutor.BASE, recipe)
    else:
        assert check_opening(tutor.BASE, recipe).held_out["problem"].n_unique() == problems


ANSWERS_OF_TWO = [
    ("5", "6", False),
    ("5", "5.0", True),
    ("Paris", "London", False),
    ("A", "B", False),
    ("5", "", None),
    ("def f(x): return x + 1", "f = lambda x: 1 + x", None),
]


@pytest.mark.parametrize(("one", "other", "same"), ANSWERS_OF_TWO)
def test_two_references_conflict_only_where_both_are_read(one: str, other: str, same: bool | None) -> None:
    assert same_answer(one, other) is same


def test_a_question_with_an_answer_and_again_without_one_keeps_the_first(tmp_path: Path) -> None:
    record = {"prompt": "What is 2 + 3?"}
    path = written(tmp_path / "p.jsonl", record | {"answer": "5"}, record)
    survivors, refused = sound(read_file(Path(path), "train").rows)
    assert survivors["reference"].to_list() == ["5"]
    assert refused["refusal"].to_list() == ["duplicate with another answer"]


def test_a_blank_solution_hides_no_worked_answer(tmp_path: Path) -> None:
    row = {"question": "2 + 3?", "answer": "we add.\n#### 5", "solution": "  "}
    rows = read_file(Path(written(tmp_path / "p.jsonl", row)), "train").rows
    assert rows["solution"].to_list() == [None]
    assert with_work(rows)["worked"].to_list() == [row["answer"]]


def test_the_tutors_references_are_bare_answers(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    recipe = parse_recipe({"prompts": {"eval_count": 20}, "sampling": {"max_tokens": 96}})
    open_loop(Log(lake), "loop", check_opening(tutor.BASE, recipe))
    assert read(lake, "prompts")["reference"].str.contains(r"^\d+$").all()
    assert read(lake, "candidates").is_empty()
