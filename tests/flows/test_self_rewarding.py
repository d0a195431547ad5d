"""Promises of self-rewarding rounds: rewards are the judge's alone, and all of it is on record."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.models.checkpoint import weights_hash
from tasks.verify.judge.rubric import ROOM, load_rubric
from tests.commands import ratchet
from tests.conformance.nights import NIGHTS
from tests.flows.conftest import small_night
from tutor import BASE, JUDGE, READER, SEEDED_READER
from warehouse.lake import Lake
from warehouse.query import query, read

FEW = (*NIGHTS["self-rewarding"].settings, "invention.share=0")


def run(
    lake: Path, environment: dict[str, str], *more: str, rounds: int = 1, fault: str | None = None
) -> tuple[int, list[dict[str, Any]], str]:
    """A small self-rewarding night on the tutor: exit code, status, standard error."""
    settings = [word for setting in (*FEW, *more) for word in ("--set", setting)]
    arguments = ("run", "self-rewarding", "--lake", str(lake), "--rounds", str(rounds), *settings, "--json")
    result = ratchet(*arguments, environment=environment, fault=fault)
    assert "Traceback" not in result.stderr
    return result.returncode, json.loads(result.stdout) if result.stdout else [], result.stderr


@pytest.fixture(scope="module")
def told(undisturbed: Callable[[str], Lake]) -> Lake:
    """Two rounds, a quarter of their prompts invented."""
    return undisturbed("self-rewarding")


def pairs_of(lake: Lake) -> pl.DataFrame:
    return read(lake, "preferences").sort("preference_id").drop("recorded_at")


def test_chosen_is_a_prompts_best_by_the_judge_and_rejected_its_worst(told: Lake) -> None:
    rewards = """
        SELECT s.round, s.prompt_id, max(s.value) AS best, min(s.value) AS worst
        FROM scores AS s JOIN candidates AS c USING (loop, round, candidate_id)
        WHERE s.verifier = 'judge' AND c.kind = 'answer' GROUP BY ALL"""
    pairs = pairs_of(told).join(query(told, rewards), on=["round", "prompt_id"])
    assert pairs.height == pairs_of(told).height > 4
    assert pairs.select((pl.col("chosen_value") == pl.col("best")).all()).item()
    assert pairs.select((pl.col("rejected_value") == pl.col("worst")).all()).item()
    assert (pairs["best"] - pairs["worst"]).min() >= 1.0


def test_every_answer_is_decided_on_with_a_reason(told: Lake) -> None:
    sql = """
        SELECT arg_max(d.kept, d.position) AS kept, arg_max(d.reason, d.position) AS reason
        FROM candidates AS c LEFT JOIN decisions AS d USING (loop, round, candidate_id)
        WHERE c.kind = 'answer' AND c.split = 'train' GROUP BY c.round, c.candidate_id"""
    decisions = query(told, sql)
    assert decisions["kept"].null_count() == 0
    assert decisions.filter("kept").height == 2 * pairs_of(told).height
    assert decisions.filter(~pl.col("kept"))["reason"].null_count() == 0


def test_a_checkpoint_judges_its_own_answers_and_each_round_goes_on_from_the_champion(told: Lake) -> None:
    writers = "SELECT DISTINCT round, checkpoint_id FROM candidates WHERE kind = 'answer' AND split = 'train'"
    judges = (
        "SELECT DISTINCT round, judge_checkpoint_id AS checkpoint_id FROM scores WHERE verifier = 'judge'"
    )
    champions = "SELECT round, champion_in AS checkpoint_id FROM round_states"
    first, *others = (query(told, f"FROM ({sql}) ORDER BY round") for sql in (writers, judges, champions))
    assert all(first.equals(other) for other in others)
    bases = "SELECT round, base_checkpoint_id AS checkpoint_id FROM trainings WHERE state = 'finished'"
    assert query(told, f"FROM ({bases}) ORDER BY round").equals(first)


def test_every_pair_and_a_share_of_the_judging_is_trained_on(told: Lake) -> None:
    frozen = query(told, "SELECT preference_id FROM examples WHERE preference_id IS NOT NULL")
    assert sorted(frozen["preference_id"]) == pairs_of(told)["preference_id"].to_list()
    examples = query(told, "SELECT round, rejected_id IS NOT NULL AS is_pair FROM examples_of_checkpoint")
    for number, pairs in pairs_of(told).group_by("round").len().iter_rows():
        assert examples.filter(round=number, is_pair=True).height == pairs
        assert examples.filter(round=number, is_pair=False).height == min(30, round(0.5 * pairs))


def test_views_and_monitor_say_how_the_judge_does_by_topic(told: Lake) -> None:
    agreement = query(told, "SELECT round, topic, agreement FROM judge_agreement")
    read_ = (
        "SELECT round, subject AS topic, value FROM audits WHERE monitor = 'judging' AND metric = 'agreement'"
    )
    audits = query(told, read_)
    assert set(agreement["round"]) == {0, 1}
    by_topic = audits.drop_nulls("topic").sort("round", "topic")["value"].to_list()
    assert by_topic == agreement.sort("round", "topic")["agreement"].to_list()
    whole = audits.filter(pl.col("topic").is_null(), round=1)
    assert whole.height == 1
    rewards = query(told, "FROM rewards")
    assert rewards["pairs"].sum() == pairs_of(told).height
    paired = rewards.filter(pl.col("pairs") > 0)
    assert (paired["chosen_reward"] > paired["rejected_reward"]).all()


def test_it_starts_from_the_tutor_that_was_taught_its_roles_in_the_same_words(told: Lake) -> None:
    base = read(told, "checkpoints").filter(pl.col("training_id").is_null())
    assert base["content_hash"].to_list() == [weights_hash(SEEDED_READER)]
    prompts = read(told, "prompts").filter(
        pl.col("split") == "train", pl.col("source").str.starts_with("tutor:")
    )
    assert set(prompts["source"].str.split(":").list.get(1)) == {"varied"}


def test_what_no_rule_has_judged_is_not_told_as_none_correct(told: Lake) -> None:
    for columns in ("correct, equations_hold FROM funnel", "correct, pass_rate FROM acceptance"):
        rows = query(told, f"SELECT {columns}")
        assert rows.height > 0
        assert set(rows.row(0)) == {None}, columns
    paths = query(told, "SELECT solved, per_question, per_solved, candidates FROM distinct_paths")
    assert set(paths.rows()) == {(None, None, None, n) for n in paths["candidates"]}


def test_the_auditor_is_recorded_and_changes_no_pair(
    tmp_path: Path, told: Lake, plain: dict[str, str]
) -> None:
    settings = ("invention.share=0.25", "verification.audit_share=0.0")
    code, _, stderr = run(tmp_path / "lake", plain, *settings)
    assert code == 0, stderr
    blind = Lake(tmp_path / "lake")
    assert read(blind, "scores").filter(role="audit").is_empty()
    assert not read(told, "scores").filter(role="audit").is_empty()
    columns = ("preference_id", "chosen_id", "rejected_id", "chosen_value", "rejected_value")
    assert pairs_of(blind).select(columns).equals(pairs_of(told).filter(round=0).select(columns))
    snapshots = [read(lake, "snapshots").filter(round=0)["content_hash"][0] for lake in (blind, told)]
    assert snapshots[0] == snapshots[1]


def test_another_model_judges_in_the_same_way(tmp_path: Path, plain: dict[str, str]) -> None:
    code, _, stderr = run(tmp_path / "lake", plain, f"rewarding.model={JUDGE}", "seeds.keep_judging=0")
    assert code == 0, stderr
    lake = Lake(tmp_path / "lake")
    judge = read(lake, "checkpoints").filter(role="judge").row(0, named=True)
    assert judge["path"].startswith("models/")
    assert judge["content_hash"] == weights_hash(JUDGE)
    assert set(pairs_of(lake)["judge_checkpoint_id"]) == {judge["checkpoint_id"]}
    assert query(lake, "FROM examples_of_checkpoint")["rejected_id"].null_count() == 0


def test_a_base_that_knows_no_judging_starts_from_the_seed_sets(
    tmp_path: Path, plain: dict[str, str]
) -> None:
    """Learning to judge need not gain anything on the held-out prompts: no loss on 16 is sure by so small an
    alpha."""
    start = ("seeds.sft_start=true", "seeds.sft_training={epochs: 1, batch_size: 8, learning_rate: 0.001}")
    code, rounds, stderr = run(tmp_path / "lake", plain, *start, "gate.alpha=1e-9")
    assert code == 0, stderr
    lake = Lake(tmp_path / "lake")
    (training,) = read(lake, "trainings").filter(state="finished").to_dicts()
    assert training["objective"] == "sft"
    assert rounds[0]["trained_on"] == read(lake, "candidates").filter(kind="demonstration").height == 60
    assert rounds[0]["verdict"] == "promoted"
    assert "need not gain and is not surely worse" in rounds[0]["reason"]
    base = read(lake, "checkpoints").filter(pl.col("training_id").is_null())
    assert base["content_hash"][0] == weights_hash(READER)


def test_a_start_that_is_surely_worse_is_held(tmp_path: Path, plain: dict[str, str]) -> None:
    """Its learning rate spoils it, and by this alpha any loss is sure."""
    spoilt = "seeds.sft_training={epochs: 1, batch_size: 30, learning_rate: 1.0}"
    code, rounds, stderr = run(tmp_path / "lake", plain, "seeds.sft_start=true", spoilt, "gate.alpha=1.0")
    assert code == 0, stderr
    assert rounds[0]["verdict"] == "held"
    assert "not better: 0 of 16 against " in rounds[0]["reason"]


def test_a_loop_killed_while_it_opened_opens_again(tmp_path: Path, plain: dict[str, str]) -> None:
    tiny = ("prompts.per_round=4", "sampling.samples=2", "rewarding.votes=1", "prompts.eval_count=4")
    tiny += ("rewarding.min_gap=9",)  # what comes after the opening trains nothing
    for fault in ("append prompts: committed#2", "append candidates: committed#2"):
        lake = tmp_path / fault[-1] / "lake"
        code, _, _ = run(lake, plain, *tiny, fault=fault)
        assert code == -9
        code, _, stderr = run(lake, plain, *tiny)
        assert code == 0, stderr
        assert read(Lake(lake), "prompts").filter(split="seed").height == 60


def test_a_loop_of_another_recipe_is_not_gone_on_with_unsaid(tmp_path: Path, plain: dict[str, str]) -> None:
    lake = tmp_path / "lake"
    result = ratchet(*small_night(lake, 1), "--set", "sampling.max_tokens=1", environment=plain)
    assert result.returncode == 0, result.stderr
    code, _, stderr = run(lake, plain, "prompts.eval_family=new-numbers")
    assert code != 0
    assert "draws its prompts from the tutor's world (held-out)" in stderr.splitlines()[-1]
    code, _, stderr = run(lake, plain)
    assert code != 0
    assert "opened without demonstrations of judging" in stderr.splitlines()[-1]


def test_no_demonstration_of_a_held_out_prompt_is_trained_on(tmp_path: Path, plain: dict[str, str]) -> None:
    from tutor.world import stories

    told = [{"question": story.question, "answer": story.solution} for story in stories(77, 60)]
    file = tmp_path / "stories.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in told), "utf-8")
    judged = tmp_path / "judged.jsonl"
    judged.write_text("".join(json.dumps(one | {"judgement": "Score: 5"}) + "\n" for one in told), "utf-8")
    settings = (f"prompts.path={file}", f"seeds.instruction={file}", f"seeds.evaluation={judged}")
    code, _, stderr = run(tmp_path / "lake", plain, *settings, "rewarding.rubric=story")
    assert code == 0, stderr
    prompts = read(Lake(tmp_path / "lake"), "prompts")
    held_out, seeds = (prompts.filter(split=split)["text"].to_list() for split in ("eval", "seed"))
    assert len(held_out) == 12
    assert len(seeds) >= 60
    trained = query(Lake(tmp_path / "lake"), "SELECT prompt FROM examples")["prompt"]
    assert len(trained) > 0
    for texts in (seeds, trained):
        assert not [text for text in texts if any(one in text for one in held_out)]
    assert "overlap held-out prompts" in stderr


def test_a_judge_whose_weights_change_within_a_round_is_refused(
    tmp_path: Path, plain: dict[str, str]
) -> None:
    judge = tmp_path / "judge"
    shutil.copytree(JUDGE, judge)
    settings = (f"rewarding.model={judge}", "seeds.keep_judging=0")
    code, _, _ = run(tmp_path / "lake", plain, *settings, fault="freeze: examples written")
    assert code == -9
    shutil.copyfile(BASE / "model.safetensors", judge / "model.safetensors")
    code, _, stderr = run(tmp_path / "lake", plain, *settings)
    assert code != 0
    assert "holds other weights than the judge" in stderr


def test_a_rubric_that_changes_within_a_round_does_not_change_the_round(
    tmp_path: Path, plain: dict[str, str]
) -> None:
    rubric = tmp_path / "story.yaml"
    shutil.copyfile(ROOM / "story.yaml", rubric)
    settings = (f"rewarding.rubric={rubric}", "prompts.per_round=8")
    code, _, _ = run(tmp_path / "lake", plain, *settings, fault="freeze: examples written")
    assert code == -9
    rubric.write_text(rubric.read_text("utf-8").replace("pass_from: 4", "pass_from: 3"))
    code, _, stderr = run(tmp_path / "lake", plain, *settings)
    assert code == 0, stderr
    assert "goes on under the recipe it began with" in stderr
    lake = Lake(tmp_path / "lake")
    rewarding = json.loads(read(lake, "rounds")["recipe_values"][0])["rewarding"]
    began_with = load_rubric(rewarding["rubric"]).with_votes(rewarding["votes"])
    assert set(read(lake, "scores", {"verifier": "judge"})["verifier_version"]) == {began_with.label}
    assert (began_with.pass_from, load_rubric(rubric).pass_from) == (4, 3)


@pytest.mark.parametrize(
    ("setting", "given", "why"),
    [
        ("seeds.evaluation", {"question": "q", "answer": "a", "judgement": "I like it"}, "has no verdict"),
        ("seeds.evaluation", {"question": "q", "answer": "a"}, "no 'judgement'"),
        ("seeds.instruction", {"question": "q"}, "no 'answer'"),
        ("seeds.instruction", {"question": "q", "answer": ["1", "2"]}, "has one answer, not a list"),
        ("verification.judge.share", "0.5", "judged already"),
        ("rewarding.model", "/nowhere", "no model folder at /nowhere"),
        ("rewarding.rubric", "pairwise", "one of points is needed"),
    ],
)
def test_bad_values_are_one_line_and_leave_no_lake(
    tmp_path: Path, plain: dict[str, str], setting: str, given: str | dict[str, str], why: str
) -> None:
    if isinstance(given, dict):
        file = tmp_path / "seeds.jsonl"
        file.write_text(json.dumps(given) + "\n", "utf-8")
        given = str(file)
    code, _, stderr = run(tmp_path / "lake", plain, f"{setting}={given}")
    assert code != 0
    assert why in stderr.splitlines()[-1]
    assert not (tmp_path / "lake").exists()
