"""Models that bring Python code of their own: refused, unless the user trusts code for this process.

The code must lie in the model's folder, so that the folder's hash can cover it and what says which of its
classes is used (warehouse/models/code.py): what a folder runs cannot change without its hash changing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import ModelError
from warehouse.models.code import code_files, naming_code, read_json

TRUST = "RATCHET_TRUST_REMOTE_CODE"
"""The variable that allows it, to this process and those it starts; `--trust-remote-code` sets it."""
CODE_ERRORS = (ImportError, AttributeError, NameError, SyntaxError, ArithmeticError, AssertionError)
"""What code of others raises while it is loaded, beside the errors of any folder."""
_CLASS = re.compile(r"\w+\.\w+")


def is_trusted() -> bool:
    """Whether the user said that models may run their own code."""
    return os.environ.get(TRUST, "").strip().lower() in {"1", "true", "yes"}


def trust() -> None:
    """Allows this process, and those it starts, to run models' own code."""
    os.environ[TRUST] = "1"


def check_code(folder: Path) -> None:
    """ModelError where a folder brings code and that is not trusted, or names code that is elsewhere."""
    for described in naming_code(folder):
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
