"""Models that bring Python code of their own: refused, unless the user trusts code for this process.

The code must lie in the model's folder, so that the folder's hash can cover it: what a folder runs cannot
change without its hash changing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.errors import ModelError

TRUST = "RATCHET_TRUST_REMOTE_CODE"
"""The variable that allows it, to this process and those it starts; `--trust-remote-code` sets it."""
DESCRIBED = ("config.json", "tokenizer_config.json")
"""The files whose `auto_map` says which classes of the folder's own are to be used."""


def is_trusted() -> bool:
    """Whether the user said that models may run their own code."""
    return os.environ.get(TRUST, "").strip().lower() in {"1", "true", "yes"}


def trust() -> None:
    """Allows this process, and those it starts, to run models' own code."""
    os.environ[TRUST] = "1"


def check_code(folder: Path) -> None:
    """ModelError where a folder brings code and that is not trusted, or names code that is elsewhere."""
    for described in _with_code(folder):
        if not is_trusted():
            raise ModelError(
                f"{folder} brings its own code (auto_map in {described.name}), which is not run: "
                f"--trust-remote-code (or {TRUST}=1) allows it, once you have read the code"
            )
        for name in _classes(_told(described)["auto_map"]):
            if "--" in name or not (folder / f"{name.split('.')[0]}.py").is_file():
                raise ModelError(f"{described} names code that is not in its folder: {name}")


def code_files(folder: Path) -> list[Path]:
    """The Python files of a folder that brings code, in order of name; none of one that does not."""
    return sorted(folder.rglob("*.py")) if any(True for _ in _with_code(folder)) else []


def _with_code(folder: Path) -> Iterator[Path]:
    for described in (folder / name for name in DESCRIBED):
        if described.is_file() and "auto_map" in _told(described):
            yield described


def _told(described: Path) -> dict[str, Any]:
    try:
        told = json.loads(described.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{described} does not parse: {why}") from None
    return told if isinstance(told, dict) else {}


def _classes(named: object) -> Iterator[str]:
    """The classes that an auto_map names, lists of them too: {"AutoTokenizer": [slow, fast or null]}."""
    if isinstance(named, str):
        yield named
    elif isinstance(named, dict):
        for each in named.values():
            yield from _classes(each)
    elif isinstance(named, list):
        for each in named:
            yield from _classes(each)
