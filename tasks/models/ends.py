"""The tokens that end an answer of a model's, whatever program runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, GenerationConfig

from schemas.job import Chat
from tasks.models.chat import PLAIN
from tasks.models.checkpoint import load_tokenizer
from tasks.models.remote_code import may_run
from tasks.models.turns import end_of_turn
from warehouse.models.code import read_json

SETTINGS = "generation_config.json"


def end_ids(folder: Path, chat: Chat = PLAIN) -> list[int]:
    """The tokens that end an answer: those of the generation settings, the tokenizer's and the one that a
    training teaches, with `chat`, as embedded.py has them.
    """
    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=may_run(folder))
    if (folder / SETTINGS).is_file():
        configured = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    else:
        configured = config.get_text_config().eos_token_id
    ends = configured if isinstance(configured, list) else [configured]
    tokenizer = load_tokenizer(folder, chat)
    ends = [tokenizer.eos_token_id, end_of_turn(tokenizer), *ends]
    most = config.get_text_config().vocab_size
    return sorted({end for end in ends if end is not None and end < most})


def settle_ends(base: Path, checkpoint: Path, chat: Chat) -> None:
    """Have a checkpoint's generation settings name the end that it was taught, where a recipe names one."""
    if chat.end_of_turn is not None:
        settings = read_json(base / SETTINGS) if (base / SETTINGS).is_file() else {}
        values = settings | {"eos_token_id": end_ids(base, chat)}
        (checkpoint / SETTINGS).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", "utf-8")
