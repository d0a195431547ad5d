"""The files beside the weights that decide what a model computes: configuration, tokenizer, template.

The hash of the weights does not cover these files, because lakes have that hash on record. They have a hash
of their own, `files_hash`, which is on record beside it: a checkpoint is the same where both are.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

DECIDING = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "chat_template*",
    "additional_chat_templates/*",
)
"""Patterns of the files, within a model's folder."""


def deciding_files(folder: Path) -> list[Path]:
    """The files, in order of their names in the folder."""
    paths = {path for pattern in DECIDING for path in folder.glob(pattern) if path.is_file()}
    return sorted(paths, key=lambda path: path.relative_to(folder).as_posix())


def files_hash(folder: Path) -> str:
    """SHA-256 (64 hex digits) over the files' names, sizes and bytes."""
    sha = hashlib.sha256()
    for path in deciding_files(folder):
        data = path.read_bytes()
        sha.update(f"{path.relative_to(folder).as_posix()}|{len(data)}|".encode())
        sha.update(data)
    return sha.hexdigest()
