"""Promises of answers that were cut off: none is learned from, whatever they seem to say."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

import tutor
from flows.opening.opening import check_opening, open_loop
from flows.recipes.rft import pool
from flows.recipes.self_rewarding.rewards import choose_pairs
from flows.round.round import Round
from flows.steps.admit import admit
from flows.steps.filter import length_filter
from flows.steps.verify import verify_candidates
from schemas.identity import answer_id
from schemas.recipes.rft import Rft
from schemas.recipes.self_rewarding import SelfRewarding
from tasks.filter.chain import survivors
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.loops import fold

SAMPLES = (  # what is written around "#### reference", and how it ended
    ("", "", "stop"),
    ("", "\nAnother story: Ada has", "length"),
    ("<<1+1=2>>2\n", "", "stop"),
    ("<<2+2=4>>4\n", "\nand Ben has", "length"),
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Round[Rft]:
    recipe = Rft.model_validate(
        {
            "prompts": {"per_round": 24, "eval_count": 4},
            "verification": {"audit_share": 0},
            "shard_size": 1,
        }
    )
    log = Log(Lake.create(tmp_path_factory.mktemp("cut") / "lake"))
    open_loop(log, "cut", check_opening(tutor.BASE, recipe))
    state = fold(log.lake, "cut")
    assert state is not None
    return Round(log, "cut", 0, recipe, state.base, state.champion)


def answered(round_: Round[Rft]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The round's prompts, right answers to them, half of them cut off, and their verdicts: all pass."""
    prompts, writer = admit(round_), round_.champion.id
    rows = [
        {
            "candidate_id": answer_id(round_.number, prompt, writer, index, 0, 1.0, 1.0, 40),
            "prompt_id": prompt,
            "checkpoint_id": writer,
            "kind": "answer",
            "split": "train",
            "sample_index": index,
            "text": f"{before}#### {reference}{after}",
            "finish_reason": ended,
            "token_count": 40 if ended == "length" else 20,
            "seed": 0,
            "temperature": 1.0,
            "top_p": 1.0,
            "max_tokens": 40,
        }
        for prompt, reference in prompts.select("prompt_id", "reference").iter_rows()
        for index, (before, after, ended) in enumerate(SAMPLES)
    ]
    candidates = round_.log.once(round_.unit("generate"), "candidates", lambda: pl.DataFrame(rows))
    scores = verify_candidates(round_, prompts, candidates)
    assert set(scores["outcome"]) == {"pass"}
    return prompts, candidates, scores


def endings(kept: pl.DataFrame, candidates: pl.DataFrame) -> set[str]:
    return set(kept.join(candidates, on="candidate_id")["finish_reason"])


def test_an_answer_that_was_cut_off_is_dropped_though_what_is_there_of_it_passes(opened: Round[Rft]) -> None:
    prompts, candidates, scores = answered(opened)
    decisions = pool.filter_pool(opened, prompts, candidates, scores)
    dropped = decisions.filter(filter="finished", kept=False)
    assert endings(dropped, candidates) == {"length"}
    assert dropped.height == 2 * prompts.height
    assert set(dropped.select("reason", "value").iter_rows()) == {("cut off", 40.0)}
    assert endings(survivors(decisions), candidates) == {"stop"}


def test_a_round_begun_before_goes_on_by_its_chain_and_the_next_one_drops_what_it_kept(
    opened: Round[Rft], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = replace(opened, number=1)
    prompts, candidates, scores = answered(begun)
    with monkeypatch.context() as older:
        older.setattr(pool, "finished_filter", lambda *_: [])
        first = pool.filter_pool(begun, prompts.head(pool.GROUP), candidates, scores)
    whole = pool.filter_pool(begun, prompts, candidates, scores)
    assert set(first["decision_id"]) < set(whole["decision_id"])
    assert "finished" not in set(whole["filter"])
    rows = survivors(whole).join(candidates.filter(finish_reason="length"), on="candidate_id")
    assert rows.height > pool.GROUP

    later = pool.filter_pool(replace(opened, number=2), prompts, candidates.head(0), scores.head(0))
    assert set(rows["candidate_id"]) == set(later.filter(reason="cut off")["candidate_id"])


def test_an_answer_with_what_ends_a_turn_now_within_it_is_dropped(opened: Round[Rft]) -> None:
    """An end named after the answer was drawn, or written out by a teacher: it would be taught mid-answer."""
    prompts = opened.recipe.prompts.model_copy(update={"end_of_turn": "<|user|>"})
    texts = ["#### 1", "#### 1<|user|>2", "#### 1<|user|>", "#### 1<|end|>2"]
    rows = [{"candidate_id": text, "prompt_id": "p", "prompt": "?", "text": text} for text in texts]
    for ends, dropped in ((opened.recipe.prompts, texts[3:]), (prompts, texts[1:2])):
        recipe = opened.recipe.model_copy(update={"prompts": ends})
        decisions = length_filter(replace(opened, recipe=recipe))(pl.DataFrame(rows))
        assert decisions.filter(reason="an end of turn within it")["candidate_id"].to_list() == dropped


def test_an_answer_that_was_cut_off_is_neither_chosen_nor_rejected(opened: Round[Rft]) -> None:
    prompts, candidates, _ = answered(opened)
    points = {0: 3.0, 1: 5.0, 2: 2.0, 3: 0.0}  # the best and the worst were cut
    rewards = candidates.select(
        "candidate_id",
        pl.col("sample_index").replace_strict(points).alias("value"),
        outcome=pl.lit("pass"),
        judge_checkpoint_id=pl.lit(opened.champion.id),
        verifier_version=pl.lit("a rubric"),
    )
    recipe = SelfRewarding(prompts=opened.recipe.prompts)
    paired = choose_pairs(
        replace(opened, recipe=recipe, phase="01-pairs"),  # type: ignore[arg-type]
        prompts,
        candidates,
        rewards,
    )
    assert set(paired.select("chosen_value", "rejected_value").iter_rows()) == {(3.0, 2.0)}
    assert paired.height == prompts.height
