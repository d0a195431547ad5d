"""Promises about architectures: what is drawn is the model's own, or the model is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    FalconMambaConfig,
    Gemma2Config,
    GPT2Config,
    GPTJConfig,
    GPTNeoConfig,
    JambaConfig,
    Mamba2Config,
    MambaConfig,
    MixtralConfig,
    PreTrainedConfig,
    RecurrentGemmaConfig,
    RwkvConfig,
    xLSTMConfig,
)

from schemas.errors import ModelError
from schemas.recipes.shared import Sampling
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.generate.embedded.forward import Forward
from tasks.generate.embedded.proof import prove_drawing
from tasks.models.checkpoint import load_model
from tests.generate.test_embedded import greedy_by_transformers, spaced, teacher_forced
from tests.models.conftest import save

SIZE: dict[str, Any] = {"vocab_size": 257, "eos_token_id": 256, "bos_token_id": None, "pad_token_id": None}
SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2}
HEADS: dict[str, Any] = SMALL | {"intermediate_size": 48, "num_attention_heads": 4}
GROUPED: dict[str, Any] = HEADS | {"num_key_value_heads": 2}
LOCAL: dict[str, Any] = {"hidden_size": 32, "num_layers": 2, "num_heads": 4}
LOCAL["attention_types"] = [[["global", "local"], 1]]
PROMPTS = ["a", "How many apples?", "x" * 20]
CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "mamba": lambda: MambaConfig(**SMALL, state_size=8, **SIZE),
    "mamba2": lambda: Mamba2Config(
        **SMALL, num_heads=8, head_dim=8, n_groups=2, state_size=8, chunk_size=16, **SIZE
    ),
    "falcon-mamba": lambda: FalconMambaConfig(**SMALL, state_size=8, **SIZE),
    "gpt-neo": lambda: GPTNeoConfig(**LOCAL, window_size=8, max_position_embeddings=64, **SIZE),
    "gpt-neo without a window": lambda: GPTNeoConfig(
        **LOCAL, window_size=256, max_position_embeddings=60, **SIZE
    ),
    "gpt-j": lambda: GPTJConfig(n_embd=32, n_layer=2, n_head=4, n_positions=64, rotary_dim=4, **SIZE),
    "gemma2": lambda: Gemma2Config(
        **HEADS, num_key_value_heads=4, head_dim=8, sliding_window=8, max_position_embeddings=64, **SIZE
    ),
    "mixtral": lambda: MixtralConfig(**GROUPED, num_local_experts=4, sliding_window=8, **SIZE),
    "recurrent-gemma": lambda: RecurrentGemmaConfig(
        **HEADS | {"num_hidden_layers": 3},
        num_key_value_heads=1,
        lru_width=32,
        attention_window_size=8,
        **SIZE,
    ),
    "jamba": lambda: JambaConfig(
        **GROUPED, attn_layer_period=2, attn_layer_offset=1, num_experts=2, mamba_d_state=8, **SIZE
    ),
}


@pytest.fixture(scope="module", params=CONFIGS)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedEngine:
    folder = save(tmp_path_factory.mktemp("model"), CONFIGS[request.param]())
    return EmbeddedEngine(folder, device="cpu")


@pytest.mark.parametrize("samples", [1, 4])
def test_log_probabilities_are_those_of_a_plain_pass(engine: EmbeddedEngine, samples: int) -> None:
    """Longer than the windows; four samples would share a row that is longer than the context."""
    sampling = Sampling(samples=samples, temperature=0.8, max_tokens=16)
    for prompt, outputs in zip(PROMPTS, engine.generate(PROMPTS, sampling, spaced(PROMPTS)), strict=True):
        for sample in outputs:
            assert sample.token_logprobs == pytest.approx(teacher_forced(engine, prompt, sample), abs=1e-3)


def test_greedy_is_transformers_own_greedy(engine: EmbeddedEngine) -> None:
    greedy = Sampling(samples=1, temperature=0.0, max_tokens=12)
    for prompt, (sample,) in zip(PROMPTS, engine.generate(PROMPTS, greedy, spaced(PROMPTS)), strict=True):
        assert list(sample.token_ids) == greedy_by_transformers(engine, prompt, 12)


def test_what_is_drawn_is_proved(engine: EmbeddedEngine) -> None:
    proof = engine.prove()
    assert proof.answers > 10
    assert 0 <= proof.deviation < 1e-3


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (RwkvConfig(**SMALL, context_length=64, attention_hidden_size=32, **SIZE), "rwkv cannot be drawn"),
        (xLSTMConfig(**SMALL, num_heads=4, num_blocks=2, **SIZE), "xlstm cannot be drawn"),
    ],
    ids=["rwkv", "xlstm"],
)
def test_a_state_that_the_engine_cannot_give_back_is_refused(
    config: PreTrainedConfig, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=why) as refusal:
        EmbeddedEngine(save(tmp_path, config), device="cpu")
    assert "\n" not in str(refusal.value)


def test_a_model_that_sees_what_comes_after_is_refused(tmp_path: Path) -> None:
    config = BertConfig(**HEADS, max_position_embeddings=64, **SIZE | {"pad_token_id": 0})
    engine = EmbeddedEngine(save(tmp_path, config), device="cpu")
    with engine, pytest.raises(ModelError, match="bert sees what comes after a token"):
        engine.prove()


def test_weights_whose_logits_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, GPT2Config(n_embd=32, n_layer=1, n_head=4, n_positions=64, **SIZE))
    model = load_model(folder)
    with torch.no_grad():
        next(model.parameters())[5] = torch.inf
    model.save_pretrained(folder)
    with EmbeddedEngine(folder, device="cpu") as engine, pytest.raises(ModelError, match="not finite"):
        engine.prove()


def _no_end(forward: Forward) -> torch.Tensor:
    return torch.zeros(forward.vocabulary, dtype=torch.bool)


def test_the_proof_sees_a_state_that_is_lost(tmp_path: Path) -> None:
    forward = Forward(load_model(save(tmp_path, CONFIGS["mamba"]())))
    forward._cache = "past_key_values"  # what such a model takes no notice of
    with pytest.raises(ModelError, match=r"log-probabilities differ by up to [0-9.]+ nats"):
        prove_drawing(forward, _no_end(forward))


def test_the_proof_sees_a_window_that_shared_rows_break(tmp_path: Path) -> None:
    """Shorter probes than the window would not."""
    config = GPTNeoConfig(**LOCAL, window_size=40, max_position_embeddings=512, **SIZE)
    forward = Forward(load_model(save(tmp_path, config)))
    assert not forward.shares_rows
    forward.shares_rows = True
    with pytest.raises(ModelError, match="log-probabilities differ"):
        prove_drawing(forward, _no_end(forward))


def test_a_window_too_wide_to_be_probed_is_told(tmp_path: Path) -> None:
    config = MixtralConfig(**GROUPED, num_local_experts=2, sliding_window=4096, **SIZE)
    with EmbeddedEngine(save(tmp_path, config), device="cpu") as engine:
        assert engine.prove().unprobed == (4096,)
