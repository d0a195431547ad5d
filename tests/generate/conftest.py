"""Real models for the engine's tests: the shipped tutor, and tiny ones of other families and shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

from tasks.generate.embedded.embedded import EmbeddedEngine
from tests.serving.asking import KEY
from tests.serving.peer import ById, Peer
from tutor import BASE
from tutor.world import stories

CONTEXT = 96
SIZE: dict[str, Any] = {"vocab_size": 260, "eos_token_id": 256, "bos_token_id": None, "pad_token_id": None}
LLAMA: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a shared machine take longer than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, `<end>` as the end, no chat template and no pad token."""
    alphabet = {sign: i for i, sign in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<end>"])
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=inner, eos_token="<end>")  # type: ignore[no-any-return]


def _family(name: str) -> Any:
    if name == "gpt2":  # learned positions, tied embeddings
        return GPT2LMHeadModel(GPT2Config(n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=4, **SIZE))
    if name == "sliding":  # a window shorter than the prompts
        return MistralForCausalLM(
            MistralConfig(
                **LLAMA, num_key_value_heads=2, sliding_window=16, max_position_embeddings=CONTEXT, **SIZE
            )
        )
    grouped: dict[str, Any] = {
        "num_key_value_heads": 2 if name == "grouped" else 4,
        "tie_word_embeddings": name == "tied",
    }
    return LlamaForCausalLM(LlamaConfig(**LLAMA, **grouped, max_position_embeddings=CONTEXT, **SIZE))


def save_model(folder: Path, name: str, scale: float = 8.0) -> Path:
    """A random model of a family, its weights scaled up so that it prefers some tokens to others."""
    torch.manual_seed(7)
    model = _family(name)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter *= scale
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", params=["llama", "tied", "grouped", "gpt2", "sliding"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedEngine:
    return EmbeddedEngine(save_model(tmp_path_factory.mktemp(request.param), request.param), device="cpu")


@pytest.fixture(scope="session")
def tutor() -> EmbeddedEngine:
    return EmbeddedEngine(BASE, device="cpu")


@pytest.fixture(scope="session")
def questions() -> list[str]:
    return [story.question for story in stories(11, 32)]


@pytest.fixture(scope="session")
def behind() -> ById:
    return ById(BASE, device="cpu")


@pytest.fixture
def peer(behind: ById) -> Iterator[Peer]:
    server = Peer(behind, key=KEY).start()
    yield server
    server.stop()
