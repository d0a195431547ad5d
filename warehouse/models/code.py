"""Python code that a model's folder brings: which files it is, and its hash.

A folder is said to bring code where an `auto_map` names some; no other Python file in it is ever run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.errors import ModelError, first_line

DESCRIBED = ("config.json", "tokenizer_config.json")
"""The files whose `auto_map` says which classes of the folder's own are to be used."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a model's folder, {} for another value; ModelError of one line."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} does not parse: {first_line(error)}") from None
    return value if isinstance(value, dict) else {}


def naming_code(folder: Path) -> Iterator[Path]:
    """The files of a folder that name code of its own."""
    for described in (folder / name for name in DESCRIBED):
        if described.is_file() and "auto_map" in read_json(described):
            yield described


def code_files(folder: Path) -> list[Path]:
    """The Python files of a folder that brings code, in order of name; [] for other folders."""
    return sorted(folder.rglob("*.py")) if any(True for _ in naming_code(folder)) else []


def code_hash(folder: Path) -> str:
    """SHA-256 (64 hex digits) over a folder's code and what says how it is used; empty where it has none."""
    files = code_files(folder)
    if not files:
        return ""
    sha = hashlib.sha256()
    for described in (folder / name for name in DESCRIBED if (folder / name).is_file()):
        sha.update(f"{described.name}|{json.dumps(read_json(described), sort_keys=True)}|".encode())
    for file in files:
        sha.update(f"{file.relative_to(folder).as_posix()}|{file.stat().st_size}|".encode())
        sha.update(file.read_bytes())
    return sha.hexdigest()
