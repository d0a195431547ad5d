"""Promises of a round through real vLLM: whole, by the embedded engine's log-probabilities, whatever dies."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
import torch

from schemas.engine import Vllm
from schemas.errors import ModelError
from schemas.recipes.shared import Sampling
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.generate.engine import Sample
from tasks.generate.vllm.vllm import VllmServer
from tasks.models.checkpoint import load_model
from tasks.models.rendering import prompt_ids
from tests.vllm.conftest import Run, within
from tutor import BASE
from tutor.world import stories
from warehouse.lake import Lake
from warehouse.loops import checkpoint
from warehouse.query import query, read
from warehouse.verify.lake import verify_lake

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

NATS = 1e-4
GREEDY = Sampling(samples=1, temperature=0.0, max_tokens=96)
FOUR = Sampling(samples=4, temperature=1.0, max_tokens=96)
ONE = Sampling(samples=1, temperature=1.0, max_tokens=96)
TEXTS = "SELECT candidate_id, text, finish_reason, token_count FROM candidates ORDER BY ALL"


def computed(engine: EmbeddedEngine, prompts: Sequence[str], drawn: Sequence[Sequence[Sample]]) -> list[Any]:
    """Log-probabilities of the samples' tokens by one plain forward pass each, and those that were served."""
    model: Any = load_model(engine.folder)
    pairs = []
    for prompt, samples in zip(prompts, drawn, strict=True):
        before = prompt_ids(engine.tokenizer, prompt)
        for sample in samples:
            with torch.no_grad():
                ids = torch.tensor([before + list(sample.token_ids)])
                logits = model(ids).logits[0, len(before) - 1 : -1]
            chosen = torch.log_softmax(logits, -1).gather(1, torch.tensor(sample.token_ids)[:, None])
            pairs.append((chosen[:, 0].tolist(), list(sample.token_logprobs)))
    return pairs


def test_the_facts_of_a_round_are_whole(undisturbed: tuple[Lake, str]) -> None:
    lake, log_text = undisturbed
    assert "Traceback" not in log_text
    rows = query(lake, "SELECT state, recipe_values->'engine'->>'kind' AS engine FROM rounds ORDER BY state")
    assert set(rows["engine"]) == {"vllm"}
    assert "started" in set(rows["state"])
    assert rows.height == 2
    answers = read(lake, "candidates")
    judged = answers.filter(pl.col("kind") == "judgement")
    assert judged.height > 0
    answers = answers.filter(pl.col("kind") == "answer")
    assert answers.filter(pl.col("split") == "train").height == 24 * 4
    assert answers["token_count"].null_count() == 0
    assert answers["logprob_sum"].null_count() == 0
    assert set(answers["finish_reason"]) <= {"stop", "length"}
    assert (answers["text"].str.len_chars() > 0).mean() > 0.95
    scores = query(lake, "SELECT candidate_id FROM scores WHERE coalesce(role, 'filter') = 'filter'")
    assert sorted(scores["candidate_id"]) == sorted(answers["candidate_id"])
    assert read(lake, "evaluations")["checkpoint_id"].n_unique() == 2
    assert verify_lake(lake, deep=True).clean


def test_one_server_served_champion_judge_and_challenger(undisturbed: tuple[Lake, str]) -> None:
    lines = undisturbed[1].splitlines()
    assert sum("vLLM: starting on" in line for line in lines) == 1
    changed = [line.split()[5] for line in lines if "vLLM: has the weights of" in line]
    rows = read(undisturbed[0], "checkpoints")
    judge = rows.filter(role="judge")["path"].item()
    base = rows.filter(pl.col("parent_id").is_null() & (pl.col("role") != "judge"))["path"].item()
    trained = rows.filter(pl.col("training_id").is_not_null())["path"].item()
    assert [Path(name).name for name in changed] == [Path(path).name for path in (judge, base, trained)]


def test_answers_after_a_change_of_weights_are_those_of_a_fresh_server_and_of_the_embedded_engine(
    undisturbed: tuple[Lake, str], tmp_path: Path
) -> None:
    lake = undisturbed[0]
    row = read(lake, "checkpoints").filter(pl.col("training_id").is_not_null()).row(0, named=True)
    trained = checkpoint(lake, row).folder
    questions = [story.question for story in stories(11, 12)]
    seeds = [1000 * place for place in range(len(questions))]
    draws: dict[str, list[list[list[Sample]]]] = {}
    with VllmServer(Vllm()) as changed, VllmServer(Vllm()) as fresh:
        before = changed.engine(BASE).generate(questions, FOUR, seeds)
        for name, server in (("changed", changed), ("fresh", fresh)):
            draws[name] = [server.engine(trained).generate(questions, how, seeds) for how in (FOUR, GREEDY)]
        assert (changed.starts, changed.reloads, fresh.starts, fresh.reloads) == (1, 1, 1, 0)
        assert changed.engine(BASE).generate(questions, FOUR, seeds) == before
        broken = tmp_path / "broken"
        shutil.copytree(trained, broken)
        (broken / "model.safetensors").write_bytes(b"torn")
        for bad in (broken, tmp_path / "nowhere"):
            with pytest.raises(ModelError):
                changed.engine(bad).generate(questions, GREEDY, seeds)
        assert changed.engine(BASE).generate(questions, FOUR, seeds) == before
        assert (changed.starts, changed.reloads) == (1, 2)
        alone = changed.engine(BASE).generate(questions[:1] * 4, ONE, range(seeds[0], seeds[0] + 4))
        assert [samples[0].token_ids for samples in alone] == [sample.token_ids for sample in before[0]]
    assert draws["changed"] == draws["fresh"]
    assert draws["changed"][0] != before
    embedded = EmbeddedEngine(trained, device="cpu")
    for served in draws["changed"]:
        for here, there in computed(embedded, questions, served):
            assert there == pytest.approx(here, abs=NATS)
    for served, own in zip(draws["changed"][1], embedded.generate(questions, GREEDY, seeds), strict=True):
        assert (served[0].text, served[0].token_ids) == (own[0].text, own[0].token_ids)
        assert served[0].finish_reason == own[0].finish_reason
        assert served[0].token_logprobs == pytest.approx(own[0].token_logprobs, abs=NATS)


def test_what_dies_under_way_costs_no_row_and_doubles_none(
    undisturbed: tuple[Lake, str], tmp_path: Path, ended: Callable[[Run], Run]
) -> None:
    run = ended(Run(tmp_path / "lake", tmp_path / "said"))
    assert within(600, lambda: run.written() >= 1), run.log.read_text()
    for engine in run.engines():
        engine.kill()
    assert within(60, lambda: "starting another" in run.log.read_text()), run.log.read_text()
    count = run.written()
    assert within(600, lambda: run.written() > count), run.log.read_text()
    started = run.children()
    assert len(run.engines()) >= 1
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    _, survivors = psutil.wait_procs(started, timeout=60)
    assert survivors == []
    again = ended(Run(tmp_path / "lake", tmp_path / "said-again")).ends()
    assert "going on with the night" in again
    lake = Lake(tmp_path / "lake")
    assert query(lake, TEXTS).equals(query(undisturbed[0], TEXTS))
    assert verify_lake(lake, deep=True).clean
