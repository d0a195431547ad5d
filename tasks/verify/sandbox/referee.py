"""Runs the reference's tests, in a locked process of its own, with proxies in the candidate's place.

A proxy sends its arguments to the child and rebuilds the value of the answer; every comparison happens here. An
answer that breaks the protocol, an exit or a value that is no plain data ends the matter at once and for good: a
test that catches exceptions cannot turn it into a pass.

Arguments go by value. A candidate that changes them changes its own copy, unless the reference says `in_place`:
then lists, dicts and sets passed directly take the changes over. Called several times, it may keep state.
"""

from __future__ import annotations

import ast
import builtins
import marshal
import os
import select
from collections.abc import Callable
from typing import Any, NoReturn

from tasks.verify.sandbox import channel, decode, strict

_TEST_FILE, _PROMPT_FILE = "<test>", "<prompt>"
_LONGEST = 120  # characters of a message in a reason

# What a candidate's exception becomes in a test. Those that end an iteration would end the test's own loops.
_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, StopIteration | StopAsyncIteration)
}


class CandidateError(Exception):
    """The candidate raised what is no built-in exception, or one that steers a caller's loop."""


class Final(BaseException):
    """A verdict that no test can change any more: its outcome and why."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(outcome, why)
        self.outcome, self.why = outcome, why


class Conversation:
    """The pipe to one child: orders and calls out, hostile answers in."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests, self._replies = requests, replies
        self.final: Final | None = None

    def order(self, order: dict[str, Any]) -> None:
        """Sends the program and waits until its own statements have run."""
        nonce = _nonce()
        self._ask({**order, "nonce": nonce}, nonce)

    def proxy(self, name: str, in_place: bool) -> Callable[..., Any]:
        """A function that stands for the candidate's function of this name."""

        def candidate(*arguments: Any, **keywords: Any) -> Any:
            nonce = _nonce()
            value, after = self._ask((nonce, name, arguments, keywords, in_place), nonce)
            if in_place and after is not None:
                _take_over(arguments, keywords, after)
            return value

        return candidate

    def finish(self) -> None:
        """Nothing may be left in the pipe that nobody asked for."""
        if self._waiting():
            self._end("tampered", "the program wrote or closed answers on its own")

    def _ask(self, request: object, nonce: str) -> tuple[Any, Any]:
        if self.final is not None:
            raise self.final
        try:
            content = marshal.dumps(request)
        except ValueError:
            self._end("unscorable", "reference: the tests pass an argument that is not plain data")
        try:
            if self._waiting():
                if not os.read(self._replies, 1):
                    raise channel.Closed
                self._end("tampered", "the program answered before it was asked")
            channel.send(self._requests, content)
            return self._settle(decode.parse(channel.receive(self._replies, channel.LARGEST_REPLY)), nonce)
        except channel.Closed:
            self._end("lost", "the program ended before it answered")
        except (channel.Oversized, decode.Forged) as error:
            self._end("tampered", f"the program forged an answer: {error}")

    def _waiting(self) -> bool:
        """Whether there is something to read, or the end."""
        return bool(select.select([self._replies], [], [], 0)[0])

    def _settle(self, reply: list[Any], nonce: str) -> tuple[Any, Any]:
        """The value of a well-formed reply, or the exception that stands for it."""
        if len(reply) != 4 or reply[0] != nonce:
            raise decode.Forged("it does not repeat the nonce")
        kind, body = reply[1], decode.build(reply[2])
        if kind == "value":
            return body, decode.build(reply[3])
        if kind == "raise":
            raise _raised(body)
        if kind == "exit":
            self._end("fail", "the program exits instead of returning")
        if kind not in ("odd", "missing", "broken") or type(body) is not str:
            raise decode.Forged("it is of no known kind")
        if kind == "broken":
            self._end("error", f"the sandbox could not be set up: {body}")
        self._end("fail", f"it defines no {body}" if kind == "missing" else f"it gives {body}")

    def _end(self, outcome: str, why: str) -> NoReturn:
        self.final = Final(outcome, why)
        raise self.final


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
    if job["entry_point"] and not any(getattr(each, "name", "") == "check" for tree in trees for each in tree.body):
        raise Final("unscorable", "reference: the test defines no check(candidate)")
    namespace: dict[str, Any] = {"__name__": "reference", strict.EQUAL: strict.equal, strict.WITHIN: strict.within}
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
    order = {key: job[key] for key in ("rung", "limits", "root", "prompt", "text", "wanted")}
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


def _raised(body: object) -> Exception:
    """The exception that stands for one of the candidate's."""
    if type(body) is not list or len(body) != 2 or type(body[0]) is not list or type(body[1]) is not str:
        raise decode.Forged("it is a malformed exception")
    names, message = body
    if "StopIteration" in names or "StopAsyncIteration" in names or "Exception" not in names:
        return CandidateError(f"{names[0] if names else 'exception'}: {message}")
    kind = next((_EXCEPTIONS[name] for name in names if type(name) is str and name in _EXCEPTIONS), CandidateError)
    try:
        return kind(message)
    except TypeError:  # UnicodeDecodeError and the like take more than a message
        return CandidateError(f"{names[0]}: {message}")


def _take_over(arguments: tuple[Any, ...], keywords: dict[str, Any], after: object) -> None:
    if type(after) is not tuple or len(after) != 2 or len(after[0]) != len(arguments):
        return
    pairs = [*zip(arguments, after[0], strict=True), *((keywords[name], after[1].get(name)) for name in keywords)]
    for before, now in pairs:
        if type(before) is list and type(now) is list:
            before[:] = now
        elif (type(before) is dict and type(now) is dict) or (type(before) is set and type(now) is set):
            before.clear()
            before.update(now)


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


def _nonce() -> str:
    return os.urandom(8).hex()
