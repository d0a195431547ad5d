"""Runs the reference's tests, in a locked process of its own, with proxies in the candidate's place.

A proxy sends its arguments to the child and rebuilds the value of the answer (conversation.py); every
comparison happens here. A verdict that the conversation has reached is final: a test that catches
exceptions cannot turn it into a pass. The candidate is called many times in one process, and may keep state
between its calls.
"""

from __future__ import annotations

import ast
import builtins
from typing import Any

from tasks.verify.sandbox import strict
from tasks.verify.sandbox.conversation import Conversation, Final

_TEST_FILE, _PROMPT_FILE = "<test>", "<prompt>"
_LONGEST = 120  # characters of a message in a reason


def examine(job: dict[str, Any], talk: Conversation) -> tuple[str, str]:
    """The outcome and why, of a job's program under its tests; never raises.

    Outcomes: pass, fail, tampered, unscorable, error, and `lost`: the child ended, for the worker to say how.
    """
    try:
        namespace, codes = prepare(job, talk)
        _load(job, talk)
        for code in codes:
            exec(code, namespace)  # noqa: S102 - the reference's own tests, in a locked process
        if job["entry_point"]:
            namespace["check"](talk.proxy(job["entry_point"], job["in_place"]))
        if talk.final is None:
            talk.finish()
        outcome = talk.final or Final("pass", "every test holds")
    except Final as final:
        outcome = talk.final or final
    except BaseException as error:
        outcome = talk.final or Final("fail", _failure(error))
    return outcome.outcome, outcome.why


def prepare(job: dict[str, Any], talk: Conversation) -> tuple[dict[str, Any], list[Any]]:
    """The tests' namespace with its proxies, and their code; Final where the reference cannot be used."""
    try:
        trees = [ast.parse(test, _TEST_FILE) for test in job["tests"]]
        codes = [compile(strict.rewrite(tree), _TEST_FILE, "exec") for tree in trees]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Final("unscorable", f"reference: the tests do not compile: {_short(error)}") from error
    if job["entry_point"] and not any(
        getattr(each, "name", "") == "check" for tree in trees for each in tree.body
    ):
        raise Final("unscorable", "reference: the test defines no check(candidate)")
    namespace: dict[str, Any] = {
        "__name__": "reference",
        strict.EQUAL: strict.equal,
        strict.WITHIN: strict.within,
    }
    if any("random" in test for test in job["tests"]):
        import random

        random.seed(0)  # the same verdict whenever a program is judged again
    wanted = (job["entry_point"],) if job["entry_point"] else _free_names(trees)
    if not wanted:
        raise Final("unscorable", "reference: the tests call nothing of the candidate's")
    _run_prompt(job["prompt"], namespace)
    namespace.update({name: talk.proxy(name, job["in_place"]) for name in wanted})
    job["wanted"] = wanted
    return namespace, codes


def _load(job: dict[str, Any], talk: Conversation) -> None:
    order = {key: job[key] for key in ("rung", "limits", "view", "root", "prompt", "text", "wanted")}
    try:
        talk.order(order)
    except Exception as error:
        raise Final("fail", f"the program does not load: {_short(error)}") from error


def _run_prompt(prompt: str, namespace: dict[str, Any]) -> None:
    """Gives the tests the prompt's own imports and helpers; one that is no program alone has none."""
    try:
        code = compile(prompt, _PROMPT_FILE, "exec")
    except (SyntaxError, ValueError):
        return
    try:
        exec(code, namespace)  # noqa: S102 - the reference's own prompt
    except Exception as error:
        raise Final("unscorable", f"reference: the prompt does not run: {_short(error)}") from error


def _free_names(trees: list[ast.Module]) -> tuple[str, ...]:
    """The names that the tests use and nobody binds: those of the candidate."""
    used: dict[str, None] = {}
    bound = set(vars(builtins))
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                used[node.id] = None
            else:
                bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
            bound.add(node.name or "")
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    # The rewritten trees call the strict comparisons too.
    return tuple(name for name in used if name not in bound | {strict.EQUAL, strict.WITHIN})


def _failure(error: BaseException) -> str:
    """Which line of the tests failed, and how."""
    line, frame = 0, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == _TEST_FILE:
            line = frame.tb_lineno
        frame = frame.tb_next
    return f"line {line} of the test: {_short(error)}"


def _short(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    except Exception:
        text = type(error).__name__
    return text[:_LONGEST]
