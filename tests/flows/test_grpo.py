"""Promises of policy-gradient rounds: iterations that go on from each other, on record to the token."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tutor
from flows.recipes.grpo.round import check, improve
from flows.round.round import Round
from flows.steps.filter import fits_as_drawn
from flows.steps.iterate import NOTHING_LEARNED
from flows.steps.iteration import drawn, even_batch
from schemas.errors import BadInput, ModelError, RecipeError
from schemas.recipes.grpo import Grpo
from tasks.models.checkpoint import load_tokenizer
from tasks.models.heads import load_scalar
from tasks.models.rendering import prompt_ids
from tasks.models.scalar import token_values
from tasks.reward.rollouts import within_budget
from tasks.train.weights import keep_rest
from tests.flows.small import begun, small
from warehouse.lake import Lake
from warehouse.loops import find_checkpoint
from warehouse.query import query, read
from warehouse.snapshot import read_snapshot
from warehouse.verify.lake import verify_lake


def recipe(*settings: str) -> Grpo:
    """The tutor's, small, with some values changed."""
    own: Grpo = small("grpo", *settings)
    return own


def opened(folder: Path, *settings: str) -> Round[Grpo]:
    """Round 0 of a new loop on the tutor, begun."""
    return begun(folder, tutor.READER, recipe(*settings))


@pytest.fixture(scope="module")
def lake(undisturbed: Callable[[str], Lake]) -> Lake:
    """Two rounds of three iterations."""
    return undisturbed("grpo")


ANSWERS = """
    SELECT c.*, t.token_ids, t.logprobs, r.reward, r.rewards, r.advantages, r.reference_logprobs,
           r.checkpoint_id AS credited_to, s.value
    FROM candidates AS c
    LEFT JOIN tokens AS t USING (loop, round, candidate_id)
    LEFT JOIN rollouts AS r USING (loop, round, candidate_id)
    LEFT JOIN scores AS s ON s.candidate_id = c.candidate_id AND s.role = 'filter'
    WHERE c.split = 'train' AND c.kind = 'answer' ORDER BY c.candidate_id"""


def test_every_answer_has_its_tokens_its_reward_and_what_they_are_credited_with(lake: Lake) -> None:
    rows = query(lake, ANSWERS)
    assert rows.height == 2 * 3 * 8 * 4
    for column in ("token_ids", "logprobs", "advantages", "reference_logprobs"):
        assert rows[column].list.len().to_list() == rows["token_count"].to_list()
    assert rows["credited_to"].to_list() == rows["checkpoint_id"].to_list()
    assert rows["logprobs"].list.sum().to_list() == pytest.approx(rows["logprob_sum"].to_list(), abs=1e-3)
    for row in rows.iter_rows(named=True):
        parts = json.loads(row["rewards"])
        assert parts == {"maths": row["value"], "unfinished": row["finish_reason"] == "length"}
        assert row["reward"] == pytest.approx(parts["maths"] - 0.5 * parts["unfinished"])
    means = pl.col("reward") - pl.col("reward").mean().over("unit", "prompt_id")
    expected = rows.select(means)["reward"].to_list()
    assert rows["advantages"].list.first().to_list() == pytest.approx(expected)


def test_an_iteration_goes_on_from_the_one_before_with_its_optimizer(lake: Lake) -> None:
    trainings = read(lake, "trainings").filter(state="finished", round=0).sort("unit")
    assert trainings["objective"].to_list() == ["policy"] * 3
    assert trainings["optimizer_from"][0] is None
    for before, after in pairwise(trainings.to_dicts()):
        assert after["base_checkpoint_id"] == before["checkpoint_id"]
        assert after["optimizer_from"] == before["training_id"]
    drew = query(lake, "SELECT checkpoint_id FROM policy WHERE round = 0 ORDER BY iteration")
    assert drew["checkpoint_id"].to_list() == trainings["base_checkpoint_id"].to_list()
    (champion,) = read(lake, "rounds").filter(state="started", round=0)["champion_in"]
    assert drew["checkpoint_id"][0] == champion


def test_what_is_trained_on_is_what_was_drawn_and_nothing_that_gives_no_signal(lake: Lake) -> None:
    answers = query(lake, ANSWERS)
    for snapshot in read(lake, "snapshots").to_dicts():
        frozen = read_snapshot(lake.place(snapshot["path"]), snapshot["snapshot_id"])
        own = frozen.join(answers, on="candidate_id", how="inner", suffix="_drawn", maintain_order="left")
        assert own.height == frozen.height > 0
        assert own["token_ids"].to_list() == own["token_ids_drawn"].to_list()
        assert own["behaviour_logprobs"].to_list() == own["logprobs"].to_list()
        assert own["advantages"].to_list() == own["advantages_drawn"].to_list()
        assert own["advantages"].list.first().abs().min() > 0
    reasons = "SELECT reason FROM last_decisions WHERE NOT kept"
    assert set(query(lake, reasons)["reason"]) == {"all answers to its prompt have the same reward"}


def test_the_view_tells_proxy_audit_and_drift_of_every_iteration(lake: Lake) -> None:
    view = query(lake, "FROM policy")
    assert view.height == 6
    answers = query(lake, ANSWERS).with_columns(
        iteration=pl.col("unit").str.extract(r"/(\d+)-iteration").cast(pl.Int64),
        kl=pl.col("logprobs").list.sum() - pl.col("reference_logprobs").list.sum(),
    )
    told = (
        answers.group_by("round", "iteration").agg(pl.col("reward", "kl").mean()).sort("round", "iteration")
    )
    assert view["reward"].to_list() == pytest.approx(told["reward"].to_list())
    assert view["kl"].to_list() == pytest.approx(told["kl"].to_list(), abs=1e-6)
    assert view["kl"].to_list()[0] == pytest.approx(0, abs=1e-3)
    assert view["no_signal"].is_between(0, 1).all()
    assert view["entropy"].min() > 0
    assert view["audits"].sum() > 0


def test_a_budget_of_drift_stops_the_iterations_and_says_so(tmp_path: Path) -> None:
    round_ = opened(tmp_path / "lake", "kl_budget=0.0005", "training.learning_rate=3e-3")
    verdict, why, challenger = improve(round_)
    assert verdict == "held"
    assert "stopped before iteration 2: KL " in why
    assert "over the budget of 0.0005" in why
    reasons = read(round_.lake, "decisions").filter(pl.col("unit").str.contains("02-iteration"))
    assert reasons["filter"].unique().to_list() == ["kl_budget"]
    assert not reasons["kept"].any()
    assert challenger is None  # the first policy alone was seen to be within it
    assert read(round_.lake, "trainings").filter(state="finished").height == 1


def test_a_reward_that_never_differs_trains_nothing(tmp_path: Path) -> None:
    round_ = opened(tmp_path / "lake", "rewards.weights={maths: 0}", "iterations=2", "rewards.unfinished=0")
    assert improve(round_) == ("held", NOTHING_LEARNED, None)
    assert read(round_.lake, "trainings").is_empty()
    assert query(round_.lake, "SELECT no_signal FROM policy")["no_signal"].to_list() == [1.0, 1.0]


def test_a_preference_model_rewards_beside_the_verifier_and_each_is_on_record(tmp_path: Path) -> None:
    model = write_preference_model(tmp_path / "taste")
    settings = ("rewards.weights={maths: 1, reward: 0.5}", f"rewards.model={model}", "iterations=1")
    round_ = opened(tmp_path / "lake", *settings, "rewards.unfinished=0")
    improve(round_)
    rows = read(round_.lake, "rollouts")
    parts = rows["rewards"].str.json_decode(pl.Struct({"maths": pl.Float64, "reward": pl.Float64}))
    told = parts.struct.unnest()
    assert told["reward"].n_unique() > 4
    assert rows["reward"].to_list() == pytest.approx((told["maths"] + 0.5 * told["reward"]).to_list())
    scores = read(round_.lake, "scores").filter(verifier="reward")
    assert scores.sort("candidate_id")["value"].to_list() == pytest.approx(told["reward"].to_list())
    assert scores["role"].unique().to_list() == ["also"]
    (guest,) = read(round_.lake, "checkpoints").filter(role="reward")["checkpoint_id"]
    assert scores["judge_checkpoint_id"].unique().to_list() == [guest]
    assert verify_lake(round_.lake, deep=True).items == []
    with pytest.raises(ModelError, match="has no head that gives a number"):
        check(recipe("rewards.weights={reward: 1}", f"rewards.model={tutor.BASE}"), tutor.READER)
    with pytest.raises(BadInput, match="has no preference model of its own: name one's folder"):
        improve(opened(tmp_path / "other", "rewards.weights={reward: 1}"))


def write_preference_model(folder: Path) -> Path:
    """The tutor's base with a scalar head that was drawn, as a training would leave it."""
    model: Any = load_scalar(tutor.BASE, "sequence", seed=3)
    model.save_pretrained(folder)
    keep_rest(tutor.BASE, folder)
    return folder


def test_a_critic_says_what_to_expect_and_learns_what_came(tmp_path: Path) -> None:
    settings = ("advantages.estimator=gae", "advantages.decay=0.9", "critic.training.batch_size=8")
    round_ = opened(tmp_path / "lake", *settings, "kl_in_reward=0.1")
    _, _, challenger = improve(round_)
    assert challenger is not None
    lake = round_.lake
    made = read(lake, "checkpoints").filter(pl.col("training_id").is_not_null())
    assert made.group_by("role").len().sort("role").rows() == [("policy", 2), ("value", 3)]
    trainings = read(lake, "trainings").filter(state="finished")
    assert trainings.group_by("objective").len().sort("objective").rows() == [("policy", 2), ("value", 3)]
    rows = read(lake, "rollouts").with_columns(
        iteration=pl.col("unit").str.extract(r"/(\d+)-").cast(pl.Int64)
    )
    assert rows.filter(iteration=1)["values"].null_count() == 32
    later = rows.filter(iteration=3)
    sums = [
        [a + v for a, v in zip(row["advantages"], row["values"], strict=True)] for row in later.to_dicts()
    ]
    for row, returns in zip(later.to_dicts(), sums, strict=True):
        assert row["returns"] == pytest.approx(returns)
    critic = made.filter(pl.col("unit").str.contains("02-iteration.train-value")).row(0, named=True)
    one = query(lake, ANSWERS.replace("ORDER BY", "AND c.unit LIKE '%/03-%' ORDER BY")).row(0, named=True)
    prompt = asked(round_, one["prompt_id"])
    folder = find_checkpoint(lake, "small", critic["checkpoint_id"]).folder
    (values,) = token_values(folder, [prompt], [one["token_ids"]])
    assert later.filter(candidate_id=one["candidate_id"])["values"][0].to_list() == pytest.approx(
        values, abs=1e-4
    )
    assert verify_lake(lake, deep=True).items == []


def test_the_policy_waits_for_a_critic_that_had_nothing_to_learn_from_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drops_the_first(frame: pl.DataFrame, *_: Any) -> pl.DataFrame:
        return within_budget(frame, 1.0 if frame["unit"].str.contains("/01-").all() else 0.0, 0.5)

    monkeypatch.setattr("flows.steps.credit.within_budget", drops_the_first)
    settings = ("advantages.estimator=gae", "iterations=2", "prompts_per_iteration=2")
    round_ = opened(tmp_path / "lake", *settings)
    assert improve(round_) == ("held", NOTHING_LEARNED, None)
    trainings = read(round_.lake, "trainings").filter(state="finished")
    assert trainings["objective"].to_list() == ["value"]


def test_what_either_training_cannot_take_is_dropped(tmp_path: Path) -> None:
    settings = ("advantages.estimator=gae", "training.max_tokens=200", "critic.training.max_tokens=100")
    round_ = opened(tmp_path / "lake", *settings)
    columns = {"candidate_id": ["a", "b"], "prompt_id": ["p", "p"], "text": ["", ""], "prompt": ["go", "go"]}
    length = len(prompt_ids(load_tokenizer(round_.base.folder), "go"))
    answers = pl.DataFrame(columns | {"token_count": [100 - length, 101 - length]})
    decisions = fits_as_drawn(round_, answers, round_.recipe.trainings)
    assert decisions["reason"].to_list() == [None, "longer than 100 tokens"]


def test_groups_alike_are_kept_where_their_drift_tells_them_apart() -> None:
    assert recipe("kl_in_reward=0.1").keeps_groups_alike
    assert not recipe().keeps_groups_alike


@pytest.mark.parametrize(
    ("examples", "most", "size"), [(385, 128, 97), (384, 128, 128), (5, 128, 5), (9, 8, 5)]
)
def test_no_step_of_an_iteration_is_of_a_few_answers_left_over(examples: int, most: int, size: int) -> None:
    assert even_batch(examples, most) == size


def asked(round_: Round[Grpo], prompt_id: str) -> list[int]:
    """A prompt as token ids."""
    (text,) = read(round_.lake, "prompts", {"prompt_id": prompt_id})["text"]
    return prompt_ids(load_tokenizer(round_.base.folder), text)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (["sampling.top_p=0.9"], "sampling.top_p must be 1 .a policy gradient needs"),
        (["sampling.top_k=5"], "sampling.top_k must be null"),
        (["sampling.min_p=0.1"], "sampling.min_p must be 0"),
        (["sampling.repetition_penalty=1.1"], "sampling.repetition_penalty must be 1"),
        (["sampling.samples=1"], "compared with others"),
        (["sampling.samples=1", "sampling.temperature=0"], "sampling.temperature must be above 0"),
        (
            ["engine={kind: endpoint, url: http://localhost:1/v1, model: m}"],
            "engine must be embedded or vllm",
        ),
        (["engine={kind: vllm}", "sampling.temperature=0.7"], "temperature must be 1 with vllm"),
        (["training.lora.rank=4"], "carry_optimizer must be false"),
        (
            ["advantages.estimator=gae", "critic.training.optimizer=adamw-8bit"],
            "carry_optimizer must be false",
        ),
        (["advantages.estimator=gae", "critic.warm_up=3"], "iterations must be more than critic.warm_up"),
        (["rewards.model=taste"], "rewards.weights must name 'reward'"),
        (["training.packing=padding-free"], "tokens are learned as drawn"),
        (["verification.judge.share=0.5"], "verification.judge.share must be 0"),
        (["rewards.weights={gsm8k: 1}"], "rewards.weights names 'gsm8k'"),
        (["watch_kl=false"], "watch_kl must be true"),
        (["iterations=100"], "less than or equal to 99"),
        (["training.policy.normalisation=constant"], "needs constant_length"),
    ],
    ids=str,
)
def test_values_that_cannot_be_computed_by_are_refused_in_one_line(settings: list[str], why: str) -> None:
    with pytest.raises(RecipeError, match=why) as refused:
        recipe(*settings)
    assert "\n" not in str(refused.value)


def test_prompts_go_round_in_another_order_each_time(tmp_path: Path) -> None:
    prompts = pl.DataFrame({"prompt_id": [f"p{i:02d}" for i in range(24)]})
    round_: Any = opened(tmp_path / "lake")
    turns = [drawn(round_, prompts, number, 8)["prompt_id"].to_list() for number in range(1, 10)]
    assert all(len(turn) == 8 for turn in turns)
    first, second = (sorted(chain.from_iterable(turns[at : at + 3])) for at in (0, 3))
    assert first == second == prompts["prompt_id"].to_list()
    assert turns[0] != turns[3]
