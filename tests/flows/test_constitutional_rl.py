"""Promises of the constitutional RL phase: prompts kept apart, who looks on decides nothing, loops go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import tutor
from flows.nightly import night
from flows.opening.opening import check_opening, open_loop
from flows.opening.red_team import HELD_OUT, KEPT, _fixed
from flows.recipes.constitutional_rl.round import (
    CONSTITUTIONAL_RL,
    NO_PAIR,
    continues,
    improve,
    opens,
    preferences,
)
from flows.recipes.rooms import parse_recipe
from flows.round.round import Round
from flows.steps.admit import admit
from flows.steps.compare import feedback_model
from flows.steps.red_team import red_team
from schemas.errors import BadInput, PromptFileError, RecipeError
from schemas.recipes.constitutional_rl import ConstitutionalRl
from schemas.recipes.parsing import load_recipe
from tests.flows.small import begun, small
from warehouse.lake import Lake
from warehouse.log import Log
from warehouse.query import query, read

BY_PRINCIPLES = ("feedback.constitution=tutor", "feedback.logits=false", "feedback.votes=null")


def recipe(*settings: str) -> ConstitutionalRl:
    """The tutor's, small, with some values changed."""
    own: ConstitutionalRl = small("constitutional-rl", *settings)
    return own


def opened(folder: Path, own: ConstitutionalRl) -> Round[ConstitutionalRl]:
    """Round 0 of a new loop on the tutor, begun."""
    return begun(folder, CONSTITUTIONAL_RL.base(own), own)


@pytest.fixture(scope="module")
def lake(undisturbed: Callable[[str], Lake]) -> Lake:
    """Two rounds of two iterations."""
    return undisturbed("constitutional-rl")


def test_prompts_of_the_supervised_phase_are_not_asked_and_held_out_ones_not_learned(lake: Lake) -> None:
    asked = query(
        lake,
        "SELECT DISTINCT split, regexp_extract(unit, '/0[0-9]-([a-z-]+)[.]', 1) AS phase FROM candidates"
        " WHERE kind = 'answer' AND round = 0",
    )
    phases = {phase: set(rows["split"]) for (phase,), rows in asked.group_by("phase")}
    assert phases["preferences"] == phases["iteration"] == {KEPT, "train"}
    assert phases["held-out"] == {HELD_OUT, "eval"}
    assert "red-team" not in set(asked["split"])
    learned = query(lake, "SELECT DISTINCT p.split FROM examples AS x JOIN prompts AS p USING (prompt_id)")
    assert set(learned["split"]) == {KEPT, "train"}


def test_a_preference_model_is_learned_from_soft_labels_and_measured_on_held_out_pairs(lake: Lake) -> None:
    for number in (0, 1):
        (made,) = read(lake, "checkpoints", {"round": number, "role": "reward"}).to_dicts()
        pairs = query(
            lake,
            "SELECT x.probability, p.split FROM examples AS x JOIN prompts AS p USING (prompt_id)"
            " JOIN trainings AS t USING (snapshot_id)"
            " WHERE t.checkpoint_id = $own AND t.state = 'finished'",
            {"own": made["checkpoint_id"]},
        )
        assert pairs["probability"].is_between(0.5, 1.0).all()
        assert 0.5 < pairs["probability"].min() < 1.0  # type: ignore[operator]
        told = read(lake, "evaluations", {"checkpoint_id": made["checkpoint_id"]})
        assert {"accuracy", "ece", "loss", "margin"} <= set(told["metric"])
        (reason,) = query(lake, "SELECT reason FROM round_states WHERE round = $n", {"n": number})["reason"]
        n = int(told.filter(metric="accuracy")["n"].item())
        right = round(n * told.filter(metric="accuracy")["value"].item())
        assert f"its preference model tells {right} of {n} held-out pairs right" in reason


def test_the_preference_model_rewards_and_who_looks_on_counts_for_nothing(lake: Lake) -> None:
    rows = query(
        lake,
        "SELECT r.reward, r.rewards, s.verifier, s.role, s.value, s.outcome, s.judge_checkpoint_id"
        " FROM rollouts AS r JOIN scores AS s USING (loop, round, candidate_id)",
    )
    by = {name: part for (name,), part in rows.group_by("verifier")}
    assert set(by) == {"maths", "gsm8k", "manner", "reward"}
    for row in by["reward"].iter_rows(named=True):
        parts = json.loads(row["rewards"])
        assert set(parts) == {"reward", "unfinished"}
        assert parts["reward"] == pytest.approx(row["value"])
        assert row["reward"] == pytest.approx(parts["reward"] - parts["unfinished"])
    assert set(by["manner"]["role"]) == set(by["gsm8k"]["role"]) == {"audit"}
    assert by["manner"].height == by["reward"].height
    models = read(lake, "checkpoints", {"role": "reward"}).sort("round")["checkpoint_id"].to_list()
    assert sorted(set(by["reward"]["judge_checkpoint_id"])) == sorted(models)
    view = query(lake, "FROM policy")
    assert view.height == 4
    assert view["harmless"].is_between(0, 1).all()


def test_the_tutors_values_of_both_phases_are_of_one_loop() -> None:
    """What fixes a loop's prompts and how harm is measured: the second phase goes on from the first."""
    phases = [
        parse_recipe(load_recipe(tutor.RECIPES / f"{name}.yaml"))
        for name in ("constitutional", "constitutional-rl")
    ]
    first, second = phases
    assert _fixed(first.red_team) == _fixed(second.red_team)
    assert first.prompts == second.prompts
    for name in ("harm", "gate", "refusals", "evaluation"):
        assert getattr(first, name) == getattr(second, name), name


def test_held_out_pairs_are_compared_once_in_a_loop(lake: Lake) -> None:
    rows = query(
        lake,
        "SELECT f.round, p.split FROM preferences AS f JOIN prompts AS p USING (loop, prompt_id)"
        " WHERE p.split IN ('eval', 'red-team-eval')",
    )
    assert set(rows["round"]) == {0}
    assert set(rows["split"]) == {"eval", "red-team-eval"}
    suites = query(
        lake,
        "SELECT DISTINCT suite FROM evaluations JOIN checkpoints USING (checkpoint_id) WHERE role = 'reward'",
    )
    assert suites.height == 1


def test_the_tutor_with_a_manner_compares_its_own_answers_by_principles(tmp_path: Path) -> None:
    """As the tutor's recipe ships: the policy judges, and pairs that a principle tells apart are frozen."""
    more = ("red_team.count=48", "red_team.eval_count=2", "feedback.share=0", "prompts.per_round=4")
    own = recipe(*BY_PRINCIPLES, *more)
    assert feedback_model(own, tutor.RUDE) is None
    assert feedback_model(own, tutor.READER) == tutor.JUDGE
    round_ = opened(tmp_path, own)
    snapshot = preferences(round_, red_team(round_, KEPT), admit(round_))
    told = read(round_.lake, "preferences")
    assert set(told["judge_checkpoint_id"]) == {round_.champion.id}
    constitution = own.feedback.read_constitution()
    assert constitution is not None
    assert {one.rpartition("/")[2] for one in told["principle"]} <= {
        one.id for one in constitution.principles
    }
    assert snapshot is not None
    labels = query(round_.lake, "SELECT probability FROM examples")["probability"]
    assert labels.is_between(0.5, 1.0).all()


def test_a_round_without_a_pair_trains_nothing_and_says_so(tmp_path: Path) -> None:
    """The tutor's judge was never asked by principles: it means neither option."""
    few = (f"feedback.model={tutor.JUDGE}", "red_team.count=6", "red_team.eval_count=2", "feedback.share=0")
    round_ = opened(tmp_path, recipe(*BY_PRINCIPLES, *few))
    assert improve(round_) == ("held", NO_PAIR, None)
    told = read(round_.lake, "preferences")
    assert told.height > 0
    assert told["reason"].null_count() == 0
    assert read(round_.lake, "trainings").is_empty()


def test_it_goes_on_from_the_champion_of_a_supervised_loop_on_prompts_that_it_did_not_ask(
    undisturbed: Callable[[str], Lake], tmp_path: Path
) -> None:
    shutil.copytree(undisturbed("constitutional").root, tmp_path / "lake")
    same = ("prompts.eval_count=16", "red_team.count=24")
    own = recipe(*same)
    done = night.fn(own, loop="night", rounds=1, lake=str(tmp_path / "lake"))
    assert [one["recipe"] for one in done] == ["constitutional", "constitutional", "constitutional-rl"]
    assert (
        done[2]["champion"]["checkpoint"]
        == (done[1]["challenger"] if done[1]["verdict"] == "promoted" else done[1]["champion"])["checkpoint"]
    )
    asked = query(
        Lake(tmp_path / "lake"),
        "SELECT DISTINCT round = 2 AS now, prompt_id FROM candidates"
        " WHERE kind = 'answer' AND split IN ('red-team', 'red-team-kept')",
    )
    now, before = (set(asked.filter(now=when)["prompt_id"]) for when in (True, False))
    assert now
    assert before
    assert now.isdisjoint(before)
    others = recipe(*same, "red_team.kept_share=0.4")
    with pytest.raises(BadInput, match="other red-team prompts since it was opened"):
        night.fn(others, loop="night", rounds=1, lake=str(tmp_path / "lake"))


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("sampling.samples=3", "samples must be even"),
        ("red_team.kept_share=0", "kept_share must be above 0"),
        ("rewards.weights={maths: 1}", "must name 'reward'"),
        ("rewards.model=somewhere", "rewards.model must be null"),
        ("harm.verifier=gsm8k", "an answer has one verdict of a verifier"),
        ("engine.kind=vllm", "engine must be embedded"),
        ("preference_model.training.packing=padding-free", "packing must be none"),
        ("preference_model.training.lora.quantize=nf4", "quantize must be null"),
        ("iterations=1", "iterations must be more than critic.warm_up"),
    ],
)
def test_values_that_cannot_run_are_refused_in_one_line(setting: str, why: str) -> None:
    with pytest.raises(RecipeError, match=why) as error:
        recipe(setting)
    assert "\n" not in str(error.value)


def test_a_loop_without_prompts_kept_is_refused_before_its_round(tmp_path: Path) -> None:
    few = recipe("red_team.kept_share=0.0001", "red_team.count=4")
    opening = check_opening(CONSTITUTIONAL_RL.base(few), few)
    with pytest.raises(PromptFileError, match="none is kept for preferences"):
        opens(few, opening)
    log = Log(Lake.create(tmp_path / "plain"))
    open_loop(log, "plain", opening)
    with pytest.raises(BadInput, match="opened without red-team prompts"):
        continues(few, log.lake, "plain")
