"""Runs the reference's tests, in a locked process of its own, with proxies in the candidate's place.

A proxy sends its arguments to the child and rebuilds the value of the answer (conversation.py); every
comparison happens here. A verdict that the conversation has reached is final: a test that catches
exceptions cannot turn it into a pass. Tests that never call the candidate's code, and those that fail by
themselves, are no tests of it: unscorable. The candidate is called many times in one process, and may keep
state between its calls.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from tasks.verify.sandbox import (
    concurrency,
    dataclass_words,
    faults,
    pairs,
    pytest_words,
    reading,
    rewriting,
    rungs,
    runners,
    strict,
)
from tasks.verify.sandbox.conversation import Conversation, Final
from tasks.verify.sandbox.remote import Missing, Remote

_PROMPT_FILE = "<prompt>"
_LONGEST = 120  # characters of a message in a reason
_ENTRY_POINT = re.compile(r"([A-Za-z_]\w*)((?:\(\))?(?:\.[A-Za-z_]\w*)*)")

Outcome = tuple[str, str, float | None]


class Examination:
    """One job: its tests as read, their namespace, and how many of them have held."""

    def __init__(self, job: dict[str, Any], talk: Conversation) -> None:
        self.job, self.talk = job, talk
        self.trees: list[ast.Module] = []
        self.wanted: tuple[str, ...] = ()
        self.total = self.held = 0
        self.missed: BaseException | None = None
        talk.in_place = job["in_place"]

    def prepare(self) -> list[Any]:
        """The tests' code, with the names bound that are the referee's; Final where they cannot be used."""
        job = self.job
        try:
            self.trees, self.taken = reading.parsed(job["tests"], job["packages"])
        except reading.Broken as error:
            raise Final("unscorable", f"reference: {error}") from error
        self.wanted = self._names_tested()
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        if any("random" in test for test in job["tests"]):
            import random

            random.seed(0)  # the same verdict whenever a program is judged again
        if any("pytest" in test for test in job["tests"]):
            sys.modules["pytest"] = pytest_words.module()
        if any("unittest" in test for test in job["tests"]):
            runners.prepare_unittest(self.namespace)
        if any("async" in test for test in job["tests"]):
            concurrency.play_loops()
        if any("dataclasses" in test for test in job["tests"]):
            dataclass_words.prepare()
        self.talk.stepwise = any(word in test for test in job["tests"] for word in (".send(", ".throw("))
        _run_prompt(job["prompt"], self.namespace)
        return [self._compiled(place, tree) for place, tree in enumerate(self.trees)]

    def _names_tested(self) -> tuple[str, ...]:
        entry = _ENTRY_POINT.fullmatch(self.job["entry_point"] or "")
        if entry:
            if not any(getattr(each, "name", "") == "check" for tree in self.trees for each in tree.body):
                raise Final("unscorable", "reference: the test defines no check(candidate)")
            others = reading.free_names(self.trees, self.taken)
            return tuple(dict.fromkeys((entry[1], *others)))
        names = reading.free_names(self.trees, self.taken) or reading.shadowed_builtins(self.trees)
        if not names:
            raise Final("unscorable", "reference: the tests call nothing of the candidate's")
        return names

    def _compiled(self, place: int, tree: ast.Module) -> Any:
        if self.job["share"]:
            bodies = [tree.body, *(each.body for each in tree.body if getattr(each, "name", "") == "check")]  # type: ignore[attr-defined]
            self.total += sum(map(rewriting.count_statements, bodies))
            ast.fix_missing_locations(tree)
        tree = strict.rewrite(rewriting.mark_in_place(tree))
        return compile(tree, reading.file_name(place), "exec")

    def load(self) -> None:
        """Has the child run the program, and puts proxies for its names where the tests look for them."""
        order = {key: self.job[key] for key in ("rung", "limits", "view", "root", "prompt", "text")}
        try:
            names = self.talk.order({**order, "wanted": self.wanted, "whole": False})
        except Exception as error:
            raise Final("fail", f"the program does not load: {short(error)}") from error
        bound = {name: (kind, value) for name, kind, value in names if type(name) is str}
        self.namespace.update(
            {
                strict.EQUAL: strict.equal,
                strict.WITHIN: strict.within,
                rewriting.IN_PLACE: self.in_place,
                rewriting.HELD: self.hold,
                rewriting.MISSED: self.miss,
            }
        )
        own = set(vars(builtins))
        builtin_names = reading.innermost([each for each in bound if each in own], self.trees)
        values = {
            name: self._bound(name, *bound.get(name, ("", None)))
            for name in self.wanted
            if name not in own or name in builtin_names
        }
        if not values:
            raise Final("unscorable", "reference: the tests call nothing of the candidate's")
        self._put(values)
        modules = {"candidate", "solution", "__main__"}
        for name in modules:  # for what patches the program's own input and output by its module's name
            sys.modules[name] = types.ModuleType(name)

    def _put(self, values: dict[str, Any]) -> None:
        for alias, names in self.taken.items():
            if alias[0] == "=":
                values[alias[1:]] = values[names[0]]
            else:
                values[alias] = types.SimpleNamespace(**{name: values[name] for name in names})
        self.namespace.update(values)

    def _bound(self, name: str, kind: str, value: Any) -> Any:
        """What stands for one name: a module of the program's is the referee's own, never the program's."""
        is_module = reading.is_package(name, self.trees)
        if kind == "module" and isinstance(value, str) and value.partition(".")[0] in sys.stdlib_module_names:
            return importlib.import_module(value)
        if kind == "value":
            return value
        if kind == "" and name in self.namespace:
            return self.namespace[name]  # the prompt's
        if kind == "" and is_module:
            raise Final("unscorable", f"reference: the tests use {name!r} and do not import it")
        return Missing(name, self.talk.missing)

    def candidate(self) -> Any:
        """The candidate that an entry point names: f, Solution().f, or Solution.f."""
        entry = _ENTRY_POINT.fullmatch(self.job["entry_point"])
        assert entry
        value = self.namespace[entry[1]]
        for part in [each for each in re.split(r"\.|(\(\))", entry[2]) if each]:
            value = value() if part == "()" else getattr(value, part)
        return value

    def in_place(self, function: Any) -> Any:
        """The function, if it is a candidate's with its arguments taken back from each call."""
        if not isinstance(function, Remote):
            return function
        asks, number, *_ = function._ratchet
        return lambda *arguments, **keywords: asks.call(number, arguments, keywords, True)

    def hold(self) -> None:
        """One more test holds."""
        self.held += 1

    def miss(self, error: BaseException) -> None:
        """One test does not; the first one is named."""
        if self.reference_fault(error):
            raise Final("unscorable", f"reference: {self.where(error)}")
        self.missed = self.missed or error

    def run(self, codes: list[Any]) -> None:
        """All tests, in order; raises at the first that fails, unless each one counts."""
        for tree, code in zip(self.trees, codes, strict=True):
            self.guarded(partial(exec, code, self.namespace))  # the reference's own tests
            tests = list(runners.found_tests(reading.named_tests(tree), self.namespace))
            self.total += len(tests)
            for _, test in tests:
                self.each(test)
        if self.job["entry_point"]:
            self.guarded(lambda: self.namespace["check"](self.candidate()))

    def each(self, test: Callable[[], Any]) -> None:
        """One found test."""
        try:
            self.guarded(test)
        except runners.Unrunnable as error:
            raise Final("unscorable", f"reference: {error}") from error
        except Exception as error:
            if type(error).__name__ in ("SkipTest", "Skipped"):
                self.total -= 1
                return
            if not self.job["share"]:
                raise
            self.miss(error)
        else:
            self.hold()

    def guarded(self, run: Callable[[], Any]) -> None:
        """Runs tests' code; that it ends itself without an error is an end like any other."""
        try:
            run()
        except SystemExit as end:
            if end.code not in (None, 0, False):
                raise AssertionError(f"the test exits with {end.code}") from end

    def outcome(self) -> Outcome:
        """What the tests have come to, where all were run."""
        if not self.talk.calls:
            return "unscorable", "reference: the tests call nothing of the candidate's", None
        if self.missed is not None or (self.job["share"] and self.held < self.total):
            why = self.where(self.missed) if self.missed else "a test does not hold"
            return "fail", f"{self.held} of {self.total} tests hold; {why}", self.share()
        return "pass", "every test holds", 1.0

    def share(self) -> float:
        """The share of the tests that have held, of 1.0; 0.0 unless it is asked for."""
        return self.held / self.total if self.job["share"] and self.total else 0.0

    def failed(self, error: BaseException) -> Outcome:
        """What an exception in the tests means."""
        if self.reference_fault(error):
            return "unscorable", f"reference: {self.where(error)}", None
        return "fail", self.where(error), self.share()

    def reference_fault(self, error: BaseException) -> bool:
        """Whether the tests fail by themselves: none of their lines on the way has to do with the
        candidate."""
        if getattr(error, "_ratchet", False) or not self.trees:
            return False
        names = (*self.wanted, *(each.lstrip("=") for each in self.taken), "candidate")
        return faults.is_of_the_tests(error, self.trees, names)

    def where(self, error: BaseException) -> str:
        """Which line of the tests failed, and how."""
        line, frame = 0, error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename.startswith("<test "):
                line = frame.tb_lineno
            frame = frame.tb_next
        return f"line {line} of the test: {short(error)}"


def examine(job: dict[str, Any], talk: Conversation) -> Outcome:
    """The outcome, why and the share of tests that hold, of a job's program under its tests; never raises.

    Outcomes: pass, fail, tampered, unscorable, error, and `lost`: the child ended, for the worker to say how.
    """
    sys.setrecursionlimit(4000)
    rungs.admit_packages(job["view"])
    examination = Examination(job, talk)
    try:
        if job["pairs"]:
            outcome = pairs.examine(job, talk)
        else:
            codes = examination.prepare()
            examination.load()
            examination.run(codes)
            outcome = examination.outcome()
        if talk.final is None:
            talk.finish()
        return outcome if talk.final is None else _ended(talk.final, examination)
    except Final as final:
        return _ended(talk.final or final, examination)
    except BaseException as error:
        return _ended(talk.final, examination) if talk.final else examination.failed(error)


def _ended(final: Final, examination: Examination) -> Outcome:
    return final.outcome, final.why, examination.share() if final.outcome == "fail" else None


def _run_prompt(prompt: str, namespace: dict[str, Any]) -> None:
    """Gives the tests the prompt's own imports and helpers; one that is no program alone has none."""
    try:
        code = compile(prompt, _PROMPT_FILE, "exec")
    except (SyntaxError, ValueError):
        return
    try:
        exec(code, namespace)  # noqa: S102 - the reference's own prompt
    except Exception as error:
        raise Final("unscorable", f"reference: the prompt does not run: {short(error)}") from error


def short(error: BaseException) -> str:
    """An exception as a few words."""
    try:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    except Exception:
        text = type(error).__name__
    return text[:_LONGEST]
