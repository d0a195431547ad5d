"""Promises of the embedded engine: the model's own probabilities, samples that depend on their seed only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from schemas.errors import BadInput, ModelError
from schemas.recipes.shared import Sampling
from tasks.generate.embedded.draw import draw_tokens, uniforms
from tasks.generate.embedded.embedded import EmbeddedEngine, embedded_engine
from tasks.generate.embedded.forward import Forward
from tasks.generate.engine import PromptRefused, Sample
from tasks.models.checkpoint import load_model
from tasks.models.rendering import prompt_ids
from tests.generate.conftest import CONTEXT, save_model
from tutor import BASE

PROMPTS = ["a", "How many apples?", "x" * 30, "", "\x00\x01 and \x7f", "é 😀 ١٢", "<end><end>"]
GREEDY = Sampling(samples=1, temperature=0.0, max_tokens=24)
FOUR = Sampling(samples=4, temperature=1.0, max_tokens=24)


def spaced(prompts: Sequence[str]) -> list[int]:
    return [1000 * i for i in range(len(prompts))]


def texts(answers: list[list[Sample]]) -> list[str]:
    return [sample.text for samples in answers for sample in samples]


def teacher_forced(engine: EmbeddedEngine, prompt: str, sample: Sample) -> list[float]:
    """Log-probabilities of the sample's tokens by one plain forward pass over prompt and answer."""
    before = prompt_ids(engine.tokenizer, prompt)
    model: Any = load_model(engine.folder)
    with torch.no_grad():
        logits = model(torch.tensor([before + list(sample.token_ids)])).logits[0, len(before) - 1 : -1]
    chosen = torch.log_softmax(logits, -1).gather(1, torch.tensor(sample.token_ids)[:, None])
    return chosen[:, 0].tolist()


def test_samples_share_rows_where_every_head_has_its_own_keys(
    tiny: EmbeddedEngine, tutor: EmbeddedEngine
) -> None:
    """So that both ways of decoding are behind the promises below."""
    forward = Forward(load_model(tiny.folder))
    assert forward.shares_rows == (tiny.folder.name.rstrip("0123456789") in {"llama", "tied", "gpt"})
    assert forward.plain == ("sliding" not in tiny.folder.name)


@pytest.mark.parametrize("samples", [1, 3, 4, 5])
def test_log_probabilities_are_those_of_a_plain_forward_pass(tiny: EmbeddedEngine, samples: int) -> None:
    sampling = Sampling(samples=samples, temperature=0.7, top_p=0.9, max_tokens=16)
    answers = tiny.generate(PROMPTS, sampling, spaced(PROMPTS))
    for prompt, draws in zip(PROMPTS, answers, strict=True):
        for sample in draws:
            assert sample.token_logprobs == pytest.approx(teacher_forced(tiny, prompt, sample), abs=1e-4)
            assert sample.logprob_sum == pytest.approx(sum(sample.token_logprobs))


def test_the_tutors_log_probabilities_are_those_of_a_plain_forward_pass(
    tutor: EmbeddedEngine, questions: list[str]
) -> None:
    some = questions[:4]
    for prompt, samples in zip(some, tutor.generate(some, FOUR, spaced(some)), strict=True):
        for sample in samples:
            assert sample.token_logprobs == pytest.approx(teacher_forced(tutor, prompt, sample), abs=1e-4)


def test_every_token_is_the_draw_of_its_own_seed_and_step(tiny: EmbeddedEngine) -> None:
    """Replayed one sample at a time, from a plain forward pass and the numbers of its seed."""
    sampling = Sampling(samples=4, temperature=1.3, top_p=0.95, max_tokens=16)
    model: Any = load_model(tiny.folder)
    for prompt, samples in zip(PROMPTS, tiny.generate(PROMPTS, sampling, spaced(PROMPTS)), strict=True):
        before = prompt_ids(tiny.tokenizer, prompt)
        for sample in samples:
            with torch.no_grad():
                logits = model(torch.tensor([before + list(sample.token_ids)])).logits[
                    0, len(before) - 1 : -1
                ]
            chance = torch.from_numpy(uniforms([sample.seed], sample.token_count)[:, 0])
            assert list(sample.token_ids) == draw_tokens(logits, chance, 1.3, 0.95).tokens.tolist()


def greedy_by_transformers(engine: EmbeddedEngine, prompt: str, max_tokens: int) -> list[int]:
    model: Any = load_model(engine.folder)
    ids = torch.tensor([prompt_ids(engine.tokenizer, prompt)])
    ends = engine.tokenizer.eos_token_id
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=max_tokens,
        eos_token_id=ends,
        pad_token_id=ends,
    )
    return out[0, ids.shape[1] :].tolist()  # type: ignore[no-any-return]


def test_greedy_is_transformers_own_greedy(tiny: EmbeddedEngine) -> None:
    for prompt, (sample,) in zip(PROMPTS, tiny.generate(PROMPTS, GREEDY, spaced(PROMPTS)), strict=True):
        assert list(sample.token_ids) == greedy_by_transformers(tiny, prompt, GREEDY.max_tokens)


def test_the_tutors_greedy_is_transformers_own_greedy(tutor: EmbeddedEngine, questions: list[str]) -> None:
    sampling = GREEDY.model_copy(update={"max_tokens": 80})
    some = questions[:8]
    for prompt, (sample,) in zip(some, tutor.generate(some, sampling, spaced(some)), strict=True):
        assert list(sample.token_ids) == greedy_by_transformers(tutor, prompt, 80)


def test_a_sample_does_not_depend_on_its_batch(tiny: EmbeddedEngine) -> None:
    whole = tiny.generate(PROMPTS, FOUR, spaced(PROMPTS))
    alone = [tiny.generate([p], FOUR, [s])[0] for p, s in zip(PROMPTS, spaced(PROMPTS), strict=True)]
    small = EmbeddedEngine(tiny.folder, rows=7, device="cpu").generate(PROMPTS, FOUR, spaced(PROMPTS))
    assert texts(whole) == texts(alone) == texts(small)
    assert len(set(texts(whole))) > len(PROMPTS)


def test_sample_i_is_the_first_sample_of_seed_plus_i(tiny: EmbeddedEngine) -> None:
    four = tiny.generate(["count"], FOUR, [500])[0]
    one = FOUR.model_copy(update={"samples": 1})
    assert [sample.seed for sample in four] == [500, 501, 502, 503]
    assert [sample.text for sample in four] == [
        tiny.generate(["count"], one, [500 + i])[0][0].text for i in range(4)
    ]


@pytest.mark.parametrize("sampling", [FOUR, FOUR.model_copy(update={"top_p": 0.9}), GREEDY], ids=str)
def test_the_tutor_writes_the_same_in_batches_of_1_7_and_64(
    tutor: EmbeddedEngine, questions: list[str], sampling: Sampling
) -> None:
    sampling = sampling.model_copy(update={"max_tokens": 80})
    some, seeds = questions[:10], spaced(questions[:10])
    expected = texts(tutor.generate(some, sampling, seeds))
    assert len(set(expected)) >= 10
    for rows in (1, 7, 64):
        actual = texts(EmbeddedEngine(BASE, rows=rows, device="cpu").generate(some, sampling, seeds))
        assert expected == actual


def test_what_float_noise_could_decide_is_decided_by_the_sample_alone(
    tutor: EmbeddedEngine, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches whose logits are much noisier than real ones write what they write without any noise."""
    sampling, seeds = FOUR.model_copy(update={"top_p": 0.95, "max_tokens": 80}), spaced(questions[:10])
    quiet = texts(EmbeddedEngine(BASE, rows=1, device="cpu").generate(questions[:10], sampling, seeds))
    called, loud = Forward.__call__, torch.Generator().manual_seed(0)

    def noisy(self: Forward, ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        logits = called(self, ids, *rest)
        far = torch.rand(logits.shape, generator=loud) * 2.0 - 1.0
        return logits + 0.2 * far * (len(ids) > 1 or ids.shape[1] == 1)

    monkeypatch.setattr(Forward, "__call__", noisy)
    monkeypatch.setattr("tasks.generate.embedded.forward.LEAST_NOISE", 0.2)
    monkeypatch.setattr("tasks.generate.embedded.forward.NOISE_FACTOR", 0.0)
    engine = EmbeddedEngine(BASE, device="cpu")
    assert texts(engine.generate(questions[:10], sampling, seeds)) == quiet
    monkeypatch.setattr("tasks.generate.embedded.forward.LEAST_NOISE", 0.0)
    engine = EmbeddedEngine(BASE, device="cpu")
    assert texts(engine.generate(questions[:10], sampling, seeds)) != quiet


def test_little_memory_draws_the_same(tutor: EmbeddedEngine, questions: list[str]) -> None:
    some = questions[:6]
    tight = EmbeddedEngine(BASE, memory=3_000_000, device="cpu")
    assert texts(tight.generate(some, FOUR, spaced(some))) == texts(tutor.generate(some, FOUR, spaced(some)))


def test_a_finished_sample_ends_with_the_end_token_and_an_unfinished_one_is_full(
    tutor: EmbeddedEngine, questions: list[str]
) -> None:
    sampling = Sampling(samples=4, temperature=1.0, max_tokens=26)
    end, reasons = tutor.tokenizer.eos_token_id, set()
    for samples in tutor.generate(questions, sampling, spaced(questions)):
        for sample in samples:
            reasons.add(sample.finish_reason)
            assert sample.token_count == len(sample.token_ids) == len(sample.token_logprobs) <= 26
            assert (sample.token_ids[-1] == end) == (sample.finish_reason == "stop")
            assert end not in sample.token_ids[:-1]
            assert sample.finish_reason == "stop" or sample.token_count == 26
            assert "<|" not in sample.text
    assert reasons == {"stop", "length"}


def test_one_token_is_a_possible_length(tiny: EmbeddedEngine) -> None:
    outputs = tiny.generate(["a", "bb"], Sampling(samples=2, temperature=1.0, max_tokens=1), [1, 5])
    assert [sample.token_count for samples in outputs for sample in samples] == [1] * 4


def test_every_end_token_of_the_generation_settings_ends_an_answer(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "llama")
    free = EmbeddedEngine(folder, device="cpu").generate(["go"], GREEDY, [0])[0][0]
    chosen = free.token_ids[5]
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": [256, chosen]}))
    cut = EmbeddedEngine(folder, device="cpu").generate(["go"], GREEDY, [0])[0][0]
    assert cut.token_ids == free.token_ids[: free.token_ids.index(chosen) + 1]
    assert cut.finish_reason == "stop"


def test_progress_counts_every_sample_once(tutor: EmbeddedEngine, questions: list[str]) -> None:
    heard: list[int] = []
    tutor.generate(
        questions, Sampling(samples=4, temperature=1.0, max_tokens=40), spaced(questions), heard.append
    )
    assert sum(heard) == 4 * len(questions)
    assert all(count > 0 for count in heard)
    assert len(heard) > 5


def test_a_prompt_too_long_for_the_context_is_named_and_nothing_is_cut(tiny: EmbeddedEngine) -> None:
    room = CONTEXT - len(prompt_ids(tiny.tokenizer, "")) - GREEDY.max_tokens
    fits, long = "y" * room, "y" * (room + 1)
    assert tiny.generate([fits], GREEDY, [0])[0][0].token_count > 0
    with pytest.raises(PromptRefused, match=rf"prompt 1 .*{CONTEXT}.*1 more") as refused:
        tiny.generate([fits, long, "z", long], GREEDY, [0, 1, 2, 3])
    assert refused.value.indices == (1, 3)
    assert isinstance(refused.value, BadInput)
    assert "\n" not in str(refused.value)


def test_half_a_surrogate_pair_is_refused_by_name(tutor: EmbeddedEngine) -> None:
    with pytest.raises(PromptRefused, match=r"prompt 1 .*surrogate") as refused:
        tutor.generate(["fine", "broken \ud800 text"], GREEDY, [0, 1])
    assert refused.value.indices == (1,)
    str(refused.value).encode()


@pytest.mark.parametrize("prompt", ["", "\x00", "<|end|><|assistant|>", "\u202e\ufeff", "1" * 300])
def test_a_hostile_prompt_is_answered_like_any_other(tutor: EmbeddedEngine, prompt: str) -> None:
    alone = tutor.generate(["What is 2 + 3?"], FOUR, [1])
    together = tutor.generate([prompt, "What is 2 + 3?"], FOUR, [0, 1])
    assert all(sample.token_count >= 1 for sample in together[0])
    assert texts(together[1:]) == texts(alone)


def test_broken_weights_are_said_to_be_broken(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "llama")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for sampling in (GREEDY, FOUR):
        with pytest.raises(ModelError, match="not finite"):
            EmbeddedEngine(folder, device="cpu").generate(["a", "b"], sampling, [0, 9])


def test_threads_side_by_side_write_the_same_and_leave_torchs_threads_alone(
    tutor: EmbeddedEngine, questions: list[str]
) -> None:
    torch.set_num_threads(3)
    try:
        engine = EmbeddedEngine(BASE, rows=12, device="cpu")
        heard: list[int] = []
        actual = texts(engine.generate(questions, FOUR, spaced(questions), heard.append))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert engine._workers.count == 3
    assert sum(heard) == 4 * len(questions)
    expected = texts(tutor.generate(questions, FOUR, spaced(questions)))
    assert sum(a != b for a, b in zip(expected, actual, strict=True)) <= 1
    assert texts(engine.generate(questions, FOUR, spaced(questions))) == actual


def test_a_broken_job_stops_the_call_and_not_the_engine(tutor: EmbeddedEngine) -> None:
    def fails(count: int) -> None:
        raise InterruptedError

    torch.set_num_threads(2)
    try:
        engine = EmbeddedEngine(BASE, rows=4, device="cpu")
    finally:
        torch.set_num_threads(1)
    with pytest.raises(InterruptedError):
        engine.generate(["a", "b", "c", "d"], FOUR, [0, 9, 18, 27], fails)
    assert texts(engine.generate(["a"], FOUR, [0])) == texts(tutor.generate(["a"], FOUR, [0]))


def test_an_engine_is_loaded_once_for_a_folder_until_its_weights_change(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "llama")
    first = embedded_engine(folder)
    assert embedded_engine(folder) is first
    save_model(folder, "llama", scale=2.0)
    assert embedded_engine(folder) is not first


def test_a_closed_engine_says_so(tmp_path: Path) -> None:
    with EmbeddedEngine(save_model(tmp_path / "model", "llama"), device="cpu") as engine:
        assert engine.generate(["a"], GREEDY, [0])
    with pytest.raises(RuntimeError, match="closed"):
        engine.generate(["a"], GREEDY, [0])
