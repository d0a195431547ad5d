"""Tiny model folders as people bring them: of any architecture, with any chat template and any end token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedConfig, PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
LLAMA: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small gain nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def byte_tokenizer(template: str | None = None, specials: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """One token a byte, `<|endoftext|>` as the end-of-sequence token, and one for each of `specials`."""
    alphabet = {sign: i for i, sign in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<|endoftext|>", *specials])
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=inner, eos_token="<|endoftext|>")
    tokenizer.chat_template = template
    return tokenizer  # type: ignore[no-any-return]


def save(
    folder: Path, config: PreTrainedConfig | None = None, *, tokenizer: Any = None, scale: float = 4.0
) -> Path:
    """A random model of a configuration (a Llama of two layers by default) with its tokenizer."""
    tokenizer = tokenizer if tokenizer is not None else byte_tokenizer()
    eos, size = tokenizer.eos_token_id, len(tokenizer)
    config = config or LlamaConfig(**LLAMA, vocab_size=size, eos_token_id=eos, bos_token_id=None)
    torch.manual_seed(7)
    model: Any = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter *= scale
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
