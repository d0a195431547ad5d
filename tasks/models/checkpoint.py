"""Model folders: what makes one safe to load, and its content hash.

A checkpoint is a Hugging Face folder with `config.json`, a tokenizer and safetensors weights. Pickled
weights are refused, and folders that bring their own code unless the user trusts it (remote_code.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from schemas.errors import ModelError, first_line
from schemas.job import Chat
from tasks.models.chat import PLAIN, spoken
from tasks.models.dates import dated, writes_date
from tasks.models.remote_code import (
    CODE_ERRORS,
    check_code,
    check_loaded,
    may_run,
)
from tasks.models.rendering import prompt_text
from tasks.models.tokens import append_nothing
from tasks.models.whole import check_filled, check_whole
from warehouse.models.code import code_files
from warehouse.models.described import deciding_files
from warehouse.models.tensors import check_headers
from warehouse.models.tensors import weights_hash as hash_of

# What transformers warns of (lengths, templates) is checked here, and steps have bars of their own.
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

LOAD_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    KeyError,
    TypeError,
    SafetensorError,
    StrictDataclassError,
    *CODE_ERRORS,
)
"""What transformers raises of a folder that cannot be loaded."""
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_PROBE = "What is 6 times 7?"


def check_folder(folder: Path) -> list[Path]:
    """The safetensors files of a model folder that is safe to load; a ModelError says what is wrong."""
    if not folder.is_dir():
        raise ModelError(f"no model folder at {folder}")
    check_whole(folder)
    config = folder / "config.json"
    if not config.is_file():
        raise ModelError(f"{folder} has no config.json: it is not a Hugging Face model folder")
    check_code(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickled = any(file.suffix in PICKLED for file in folder.iterdir())
        why = "only pickled weights, which are not loaded" if pickled else "no weights"
        raise ModelError(f"{folder} has {why}: safetensors files are needed")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        raise ModelError(f"{folder} has no tokenizer")
    return weights


def check_readable(folder: Path) -> None:
    """ModelError unless a folder is safe to load and its tensors lie as its files say; nothing is hashed."""
    check_headers(check_folder(folder))


def file_stamps(folder: Path) -> tuple[tuple[str, int], ...]:
    """The files that a model is loaded from and when each was written: another value, another model."""
    files = (*check_folder(folder), *code_files(folder), *deciding_files(folder))
    return tuple((str(file), file.stat().st_mtime_ns) for file in files)


def weights_hash(folder: Path) -> str:
    """SHA-256 (64 hex digits) over every tensor's name, type, shape and bytes, in order of name, of a folder
    that is safe to load.

    It does not depend on how tensors are spread over files, so a resharded model keeps its hash. Where the
    folder brings its own code, that is hashed too.
    """
    return hash_of(folder, check_folder(folder))


def load_model(folder: Path, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A causal language model from a local folder, in evaluation mode, on the CPU; every tensor is filled."""
    model, info = read_model(AutoModelForCausalLM, folder, dtype)
    check_filled(folder, info)
    model.train(False)
    return model


def read_model(
    architecture: Any, folder: Path, dtype: torch.dtype = torch.float32, **config: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A folder's model by one of transformers' Auto classes, on the CPU, and which tensors were missing,
    unused or of another shape; `config` overrides its configuration. ModelError where it cannot be loaded.
    """
    check_folder(folder)
    try:
        model, info = architecture.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=may_run(folder),
            ignore_mismatched_sizes=True,  # told apart by whole.py, and named
            output_loading_info=True,
            **config,
        )
    except LOAD_ERRORS as error:
        raise ModelError(f"{folder} cannot be loaded: {first_line(error)}") from None
    check_loaded(model, folder)
    return model, info


def load_tokenizer(folder: Path, chat: Chat = PLAIN) -> PreTrainedTokenizerBase:
    """The folder's tokenizer, padding on the left, with a pad token (the end token where it has none), that
    writes turns as `chat` says.
    """
    check_folder(folder)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=may_run(folder)
        )
    except LOAD_ERRORS as error:
        raise ModelError(f"{folder} has no usable tokenizer: {first_line(error)}") from None
    if tokenizer.eos_token_id is None and chat.end_of_turn is None:
        raise ModelError(f"{folder}: the tokenizer has no end-of-sequence token")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or chat.end_of_turn
    tokenizer.padding_side = "left"
    try:
        append_nothing(tokenizer)
        if writes_date(tokenizer.chat_template):
            tokenizer.chat_template = dated(tokenizer.chat_template)
        spoken(tokenizer, chat)
        text = prompt_text(tokenizer, _PROBE)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None
    if _PROBE not in text:
        raise ModelError(f"{folder}: the chat template leaves out what a message by user says")
    return tokenizer  # type: ignore[no-any-return]


def context_length(folder: Path) -> int | None:
    """The longest sequence the model takes, in tokens; None where its config names none."""
    try:
        config: Any = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=may_run(folder)
        )
    except LOAD_ERRORS as error:
        raise ModelError(f"{folder} has no usable config.json: {first_line(error)}") from None
    return getattr(config.get_text_config(), "max_position_embeddings", None)
