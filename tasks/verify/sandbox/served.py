"""The loaded program in the child, and what it answers: calls, attributes, next values, and calls back.

A module of its own, so that it need not be compiled at every start. See child.py.
"""

from __future__ import annotations

import marshal
import sys
import types

from tasks.verify.sandbox import arguments as arguments_
from tasks.verify.sandbox import channel, encode, inputs, loops, objects

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing these would take longer than many a candidate
    from collections.abc import Callable
    from typing import Any

REQUESTS, REPLIES = 3, 4


class Served:
    """The loaded program, and the answers that it gives."""

    def __init__(self, namespace: dict[str, Any], wanted: tuple[str, ...]) -> None:
        self.namespace, self.wanted = namespace, wanted
        self.objects = objects.Objects(wanted)
        self.codes: list[Any] = []
        self.nonce = ""

    def names(self) -> list[Any]:
        """Each wanted name that the program binds: (name, what it is); a module is only said to be one."""
        names = []
        for name in self.wanted:
            value = self.namespace.get(name, _absent)
            if value is _absent:
                solution = self.namespace.get("Solution")
                if not hasattr(solution, name) or name.startswith("__"):
                    continue
                value = getattr(solution(), name)  # type: ignore[misc]
            if isinstance(value, types.ModuleType):
                names.append((name, "module", value.__name__))
                continue
            try:
                encode.encode(value, self.objects.keep)
            except encode.Unencodable:
                names.append((name, "odd", type(value).__name__))
                continue
            names.append((name, "value", value))
        return names

    def answer(self, request: tuple[Any, ...]) -> None:
        """Does what one request asks for, and replies."""
        before, (nonce, what, target, arguments, keywords, options) = self.nonce, request
        self.nonce = nonce
        values: dict[str, Any] = {}

        def run() -> Any:
            if options.get("packed"):
                values["arguments"] = arguments_.unpack(arguments, self.objects.by_number, self.function)
                values["keywords"] = arguments_.unpack(keywords, self.objects.by_number, self.function)
            else:
                values["arguments"], values["keywords"] = arguments, keywords
            return self.value_of(what, target, values["arguments"], values["keywords"])

        kind, body, output = self.outcome_beside(run, options)
        after = "null"
        if options.get("back") and kind in ("value", "raise"):
            after = self.plain((list(values["arguments"]), values["keywords"]))
        reply(nonce, kind, body, after, output)
        self.nonce = before

    def value_of(self, what: str, target: Any, arguments: Any, keywords: Any) -> Any:
        """The value of one thing that is asked for."""
        if what == "whole":
            return inputs.run_whole(self.codes, *arguments)
        subject = self.objects.by_number[target]
        if what == "call":
            return subject(*arguments, **keywords)
        if what == "await":
            return sys.modules["asyncio"].run(subject)
        if what in loops.OPERATIONS:
            return loops.OPERATIONS[what](subject, *arguments)
        if what in ("operate", "reflect"):
            return objects.OPERATIONS[what](arguments[0], subject, *arguments[1:])
        return objects.OPERATIONS[what](subject, *arguments)

    def outcome_beside(self, run: Callable[[], object], options: dict[str, Any]) -> tuple[str, str, str]:
        """An outcome, and what was printed on the way where the tests look at that."""
        if not options.get("prints") and "stdin" not in options and "input" not in options:
            return (*self.outcome(run), "null")
        if "stdin" in options:
            inputs.feed(options["stdin"])
        builtins = sys.modules["builtins"]
        own = getattr(builtins, "input", None)
        if "input" in options:
            builtins.input = self.function(options["input"])  # type: ignore[attr-defined]
        try:
            (kind, body), output = inputs.printed(lambda: self.outcome(run))
        finally:
            builtins.input = own  # type: ignore[attr-defined]
        return kind, body, encode.encode(output)

    def outcome(self, run: Callable[[], object]) -> tuple[str, str]:
        """What came of running the candidate's code: its value, or how it failed, encoded."""
        try:
            return "value", encode.encode(run(), self.objects.keep)
        except (encode.Unencodable, objects.TooMany) as error:
            return "odd", encode.encode(str(error)[:200])
        except SystemExit:
            return "exit", "null"
        except BaseException as error:
            return "raise", self.exception(error)

    def exception(self, error: BaseException) -> str:
        try:
            names = [each.__name__ for each in type(error).__mro__][:20]
            message = encode.encode([names, str(error)[:2000]])
        except BaseException:
            return '["l",["l"],"",["t"],["d"]]'
        about = [self.plain(error.args), self.plain(getattr(error, "__dict__", {}))]
        texts = [text if text != "null" else '["t"]' for text in about]
        return f"{message[:-1]},{','.join(texts)}]"

    def plain(self, value: Any) -> str:
        try:
            return encode.encode(value, self.objects.keep)
        except BaseException:
            return "null"

    def function(self, number: int) -> Callable[..., Any]:
        """A function of the tests: calling it asks the referee to, and serves requests until the answer."""

        def of_the_tests(*arguments: Any, **keywords: Any) -> Any:
            nonce = self.nonce
            call = encode.encode([number, list(arguments), keywords], self.objects.keep)
            reply(nonce, "callback", call)
            while True:
                request = marshal.loads(channel.receive(REQUESTS))  # noqa: S302
                if request[1] == "answer":
                    break
                self.answer(request)
                self.nonce = nonce
            kind, value = request[2:4]
            value = arguments_.unpack(value, self.objects.by_number, self.function)
            if kind == "value":
                return value
            raise getattr(sys.modules["builtins"], value[0], Exception)(value[1])

        return of_the_tests


_absent = object()


def reply(nonce: str, kind: str, body: str, after: str = "null", output: str = "null") -> None:
    frame = f'["{nonce}","{kind}",{body},{after},{output}]'.encode("ascii")
    if len(frame) > channel.LARGEST_REPLY:
        frame = f'["{nonce}","odd","a value of {len(frame)} bytes",null,null]'.encode("ascii")
    channel.send(REPLIES, frame)
