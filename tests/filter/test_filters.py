"""Each filter decides on its own, keeps its reasons, and loses no candidate."""

from __future__ import annotations

import json
from functools import partial
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
from rapidfuzz.distance import Levenshtein

from schemas.errors import BadInput
from tasks.filter.cap import cap
from tasks.filter.chain import run_chain
from tasks.filter.correct import correct
from tasks.filter.decision import SCHEMA, Filter
from tasks.filter.distinct import distinct
from tasks.filter.equations_hold import equations_hold
from tasks.verify.maths.maths import equations
from tasks.verify.verifier import get_verifier, verify_rows

SYSTEMS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
CHAIN: tuple[Filter, ...] = (correct, equations_hold, distinct, partial(cap, per_prompt=2))
INPUT = [
    ("candidate_id", pl.String()),
    ("prompt_id", pl.String()),
    ("text", pl.String()),
    ("outcome", pl.String()),
    ("steps", pl.List(pl.Float64)),
]


def _frame(texts: dict[str, str], prompt: str = "p", reference: str = "7") -> pl.DataFrame:
    """Candidates of one prompt, judged by the real verifier."""
    verdicts = verify_rows(get_verifier("maths"), list(texts.values()), [reference] * len(texts))
    rows = [
        (candidate, prompt, text, verdict.outcome, list(verdict.steps))
        for (candidate, text), verdict in zip(texts.items(), verdicts, strict=True)
    ]
    return pl.DataFrame(rows, schema=INPUT, orient="row")


@pytest.fixture(scope="module")
def graded(shared_data: Path) -> pl.DataFrame:
    """GSM8K's 5,276 graded answers as candidates of 1,319 prompts, judged by the real verifier."""
    with (shared_data / "gsm8k" / "example_model_solutions.jsonl").open(encoding="utf-8") as lines:
        questions = [json.loads(line) for line in lines]
    return pl.concat(
        _frame(
            {f"cand-{number:05}-{system}": row[system]["solution"] for system in SYSTEMS},
            f"prompt-{number:05}",
            row["ground_truth"],
        )
        for number, row in enumerate(questions)
    )


def _kept(decisions: pl.DataFrame) -> list[str]:
    return decisions.filter("kept")["candidate_id"].to_list()


def test_every_filter_decides_once_on_exactly_what_the_one_before_kept(graded: pl.DataFrame) -> None:
    decisions, survivors = run_chain(graded, CHAIN)
    ids = graded["candidate_id"].to_list()
    for position, name in enumerate(("correct", "equations_hold", "distinct", "cap")):
        stage = decisions.filter(pl.col("position") == position)
        assert set(stage["filter"]) == {name}
        assert stage["candidate_id"].to_list() == ids
        ids = _kept(stage)
        assert 0 < len(ids) < stage.height  # each has something to drop on real answers
    assert survivors["candidate_id"].to_list() == ids
    assert survivors.columns == graded.columns
    assert decisions["kept"].to_list() == decisions["reason"].is_null().to_list()
    assert dict(decisions.schema) == {**SCHEMA, "position": pl.Int64}


def test_the_chain_gives_the_same_decisions_in_whatever_order_the_rows_come(graded: pl.DataFrame) -> None:
    order = ["position", "candidate_id"]
    decisions, _ = run_chain(graded, CHAIN)
    shuffled, _ = run_chain(graded.sample(fraction=1, shuffle=True, seed=7), CHAIN)
    assert decisions.sort(order).equals(shuffled.sort(order))


def test_a_path_column_from_the_verifier_gives_the_decisions_that_the_text_gives(
    graded: pl.DataFrame,
) -> None:
    paths = pl.Series([list(equations(text)) for text in graded["text"]], dtype=pl.List(pl.String))
    some = pl.when(pl.int_range(pl.len()) % 3 > 0).then(paths)  # an older row may lack it
    for column in (paths, some):
        assert run_chain(graded.with_columns(path=column), CHAIN)[0].equals(run_chain(graded, CHAIN)[0])


def test_an_empty_frame_gives_typed_empty_decisions() -> None:
    decisions, survivors = run_chain(pl.DataFrame(schema=INPUT), CHAIN)
    assert (decisions.height, survivors.height) == (0, 0)
    assert dict(decisions.schema) == {**SCHEMA, "position": pl.Int64}


def test_a_candidate_given_twice_is_refused() -> None:
    frame = _frame({"a": "#### 7"})
    with pytest.raises(BadInput, match="twice"):
        run_chain(pl.concat([frame, frame]), CHAIN)


def test_only_pass_is_correct_and_what_was_not_judged_is_never_called_a_fail() -> None:
    outcomes = ["pass", "fail", "timeout", "error", "tampered", "unscorable", None]
    rows = [(f"c{place}", "p", "text", outcome, [1.0]) for place, outcome in enumerate(outcomes)]
    decisions = correct(pl.DataFrame(rows, schema=INPUT, orient="row"))
    assert decisions["kept"].to_list() == [True] + [False] * 6
    assert decisions["reason"].to_list() == [None, *outcomes[1:-1], "no score"]
    assert decisions["value"].to_list() == [1.0, 0.0, None, None, None, None, None]


def test_a_right_answer_with_a_wrong_equation_is_dropped_and_the_equation_named() -> None:
    frame = _frame(
        {
            "all hold": "<<3+4=7>> #### 7",
            "second wrong": "<<3+4=7>> <<2 * 3 = 7>> <<1+1=3>> #### 7",
            "none": "#### 7",
        }
    )
    assert _kept(correct(frame)) == ["all hold", "second wrong", "none"]
    decisions = equations_hold(frame)
    assert decisions["kept"].to_list() == [True, False, True]
    assert decisions["reason"].to_list() == [None, "equation 2 does not hold: 2*3=7", None]
    assert decisions["value"].to_list() == [1.0, pytest.approx(1 / 3), None]


@pytest.mark.parametrize("step", [float("nan"), None, 0.5])
def test_a_step_that_is_not_one_does_not_hold(step: float | None) -> None:
    frame = _frame({"a": "<<3+4=7>> #### 7"}).with_columns(
        steps=pl.Series([[step]], dtype=pl.List(pl.Float64))
    )
    assert equations_hold(frame)["reason"].to_list() == ["equation 1 does not hold: 3+4=7"]


DUPLICATES = {
    "a": "short <<3+4=7>> #### 7",
    "b": "quite another and much longer way of telling it <<3 + 4 = 7>> #### 7",
    "c": "short <<4+3=7>> #### 7",
}


def test_of_two_texts_on_one_path_the_one_farther_from_the_others_is_kept() -> None:
    for rows in permutations(DUPLICATES.items()):
        decisions = distinct(_frame(dict(rows))).sort("candidate_id")
        assert decisions["kept"].to_list() == [False, True, True]
        assert decisions["reason"].to_list() == ["duplicate", None, None]
        assert decisions["duplicate_of"].to_list() == ["b", None, None]
        far = [float(Levenshtein.distance(DUPLICATES[each], DUPLICATES["c"])) for each in "ab"]
        assert decisions["value"].to_list() == [*far, None]


def test_order_of_equations_is_part_of_a_path_and_spaces_are_not() -> None:
    frame = _frame(
        {
            "a": "<<1+2=3>> <<3+4=7>> #### 7",
            "b": "<<3+4=7>> <<1+2=3>> #### 7",
            "c": "then << 1 + 2 = 3 >> <<3+4 =7>> #### 7",
        }
    )
    assert distinct(frame)["kept"].sum() == 2
    assert "b" in _kept(distinct(frame))


def test_candidates_without_equations_share_one_path_and_ties_go_to_the_smallest_id() -> None:
    frame = _frame({"c": "say #### 7", "b": "see #### 7", "a": "see #### 7"})
    decisions = distinct(frame)
    assert _kept(decisions) == ["a"]
    assert decisions["duplicate_of"].to_list() == ["a", "a", None]


def test_duplicates_are_looked_for_within_a_prompt_only() -> None:
    frame = pl.concat([_frame({"a": "<<3+4=7>> #### 7"}, "p"), _frame({"b": "<<3+4=7>> #### 7"}, "q")])
    assert _kept(distinct(frame)) == ["a", "b"]


def test_every_path_of_real_answers_is_kept_exactly_once_and_by_the_rule(graded: pl.DataFrame) -> None:
    decisions = distinct(graded)
    paths = [" ".join(equations(text)) for text in graded["text"]]
    table = graded.select("candidate_id", "prompt_id", path=pl.Series(paths)).hstack(
        decisions.select("kept", "value", "duplicate_of")
    )
    groups = table.group_by("prompt_id", "path").agg(pl.col("kept").sum(), n=pl.len())
    assert set(groups["kept"]) == {1}
    assert groups["n"].max() == 4  # all four systems on one path does happen
    dropped = table.filter(~pl.col("kept")).join(table, left_on="duplicate_of", right_on="candidate_id")
    assert dropped.height == table.height - groups.height
    assert dropped["path"].to_list() == dropped["path_right"].to_list()
    assert dropped["prompt_id"].to_list() == dropped["prompt_id_right"].to_list()
    assert (dropped["value"] <= dropped["value_right"]).all()


def test_many_duplicates_of_one_prompt_stay_bounded() -> None:
    texts = {f"{n:05}": f"<<{n % 300}+1={n % 300 + 1}>> {n} #### 7" for n in range(6000)}
    decisions = distinct(_frame(texts))
    assert decisions["kept"].sum() == 300


def test_a_cap_keeps_so_many_a_prompt_and_different_paths_first() -> None:
    texts = {f"same {n}": f"<<3+4=7>> {n} #### 7" for n in range(6)}
    texts |= {f"other {n}": f"<<{n}+7={n + 7}>> #### 7" for n in range(2)}
    for seed in range(5):
        decisions = cap(_frame(texts), per_prompt=3, seed=seed)
        ids = _kept(decisions)
        assert len(ids) == 3
        assert {"other 0", "other 1"} < set(ids)
        assert sorted(decisions["rank"]) == list(range(8))
        assert set(decisions.filter(~pl.col("kept"))["reason"]) == {"over cap"}


def test_the_cap_is_fixed_by_its_seed_and_prefers_no_id() -> None:
    frame = _frame({f"{n:02}": f"<<{n}+7={n + 7}>> #### 7" for n in range(20)})
    draws = [tuple(_kept(cap(frame, per_prompt=5, seed=seed))) for seed in range(8)]
    assert draws == [tuple(_kept(cap(frame, per_prompt=5, seed=seed))) for seed in range(8)]
    assert len(set(draws)) == 8
    with pytest.raises(BadInput, match="cap of 0"):
        cap(frame, per_prompt=0)
