"""Models that bring Python code of their own: refused, unless the user trusts code for this process.

The code must lie in the model's folder, so that the folder's hash can cover it and what says which of its
classes is used: what a folder runs cannot change without its hash changing. A folder is said to bring code
where an `auto_map` names some; no other Python file in it is ever run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import ModelError
from tasks.models.whole import read_json

TRUST = "RATCHET_TRUST_REMOTE_CODE"
"""The variable that allows it, to this process and those it starts; `--trust-remote-code` sets it."""
CODE_ERRORS = (ImportError, AttributeError, NameError, SyntaxError, ArithmeticError, AssertionError)
"""What code of others raises while it is loaded, beside the errors of any folder."""
_CLASS = re.compile(r"\w+\.\w+")
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
        for name in _classes(read_json(described)["auto_map"]):
            if not _CLASS.fullmatch(name) or not (folder / f"{name.partition('.')[0]}.py").is_file():
                raise ModelError(f"{described} names code that is not in its folder: {name}")


def may_run(folder: Path) -> bool:
    """Whether code of this folder may be run: it brings some, and the user trusts such code."""
    return is_trusted() and bool(code_files(folder))


def code_files(folder: Path) -> list[Path]:
    """The Python files of a folder that brings code, in order of name; none of one that does not."""
    return sorted(folder.rglob("*.py")) if any(True for _ in _with_code(folder)) else []


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


def check_loaded(model: object, folder: Path) -> None:
    """ModelError where a loaded model's class is not of the folder's code as it is now.

    transformers keeps such classes by the name of their folder, so another folder's may be given for it.
    """
    if not may_run(folder):
        return
    loaded = getattr(sys.modules.get(type(model).__module__), "__file__", None)
    copies = sorted(Path(loaded).parent.glob("*.py")) if loaded else []
    own = [(copy, folder / copy.name) for copy in copies if copy.name != "__init__.py"]
    if any(file.is_file() and file.read_bytes() != copy.read_bytes() for copy, file in own):
        raise ModelError(
            f"other code than that of {folder} is loaded in this process under the same name: "
            "start again, or give the folder another name"
        )


def _with_code(folder: Path) -> Iterator[Path]:
    for described in (folder / name for name in DESCRIBED):
        if described.is_file() and "auto_map" in read_json(described):
            yield described


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
