"""How a verdict on a program comes about: the program found in the text, and the tests that it meets.

Run as a program, in a bare process under limits of memory and time, it only parses: a text is compiled to a
tree and never run.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[3]
_SECONDS, _BYTES = 5, 1 << 30
_LONGEST_SHOWN = 4_000  # characters of a program


def explain_program(text: str, reference: str, packages: Sequence[str] = ()) -> dict[str, Any]:
    """`program` (as it would run), `form` of the tests, `tests` (how many), `names` that they ask for.

    Nothing where the reference gives no tests; `program` is None where it could not be parsed in time.
    """
    from tasks.verify.records import Unusable, read_reference

    try:
        case = read_reference(reference, text)
    except Unusable:
        return {}
    command = [os.path.realpath(sys.executable), "-I", "-S", "-B", str(Path(__file__).resolve()), str(_ROOT)]
    nothing = {"program": None, "form": None, "tests": None, "names": None}
    try:
        answer = subprocess.run(  # noqa: S603 - our own interpreter and script
            command,
            input=json.dumps({**asdict(case), "packages": list(packages)}).encode("ascii"),
            capture_output=True,
            timeout=_SECONDS * 2,
            env={},
            cwd="/",
            check=True,
        )
        return nothing | dict(json.loads(answer.stdout))
    except (subprocess.SubprocessError, ValueError, OSError):
        return nothing


def _explain(case: dict[str, Any]) -> dict[str, Any]:
    if case["pairs"]:
        name = (case["function"] or "").rpartition(".")[2]
        form = "arguments and value" if name else "standard input and output"
        names: tuple[str, ...] = (name,) if name else ()
        count = len(case["pairs"])
    else:
        trees, imports = reading.parsed(case["tests"], case["packages"])
        names = reading.free_names(trees, imports) or reading.shadowed_builtins(trees)
        if case["entry_point"]:
            names = tuple(dict.fromkeys((case["entry_point"].rpartition(".")[2], *names)))
        form, count = _form(trees, case["entry_point"])
    source = "\n".join(program.sources(case["prompt"], case["text"], names))
    return {"program": source[:_LONGEST_SHOWN], "form": form, "tests": count, "names": list(names)}


def _form(trees: list[Any], entry_point: str | None) -> tuple[str, int]:
    """What the tests are, and how many; asserts are counted by their statements."""
    if entry_point:
        return "check(candidate)", 1
    names = [name for tree in trees for name in reading.named_tests(tree)]
    if names:
        return "test functions and classes", len(names)
    return "asserts", len(trees)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    sys.path.insert(0, sys.argv[1])
    from tasks.verify.sandbox import program, reading

    json.dump(_explain(json.load(sys.stdin)), sys.stdout)
