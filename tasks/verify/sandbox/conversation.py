"""The referee's end of the pipes to one child: calls out, hostile answers in, and no way back from a verdict.

An answer that breaks the protocol, an exit or a value that is no plain data ends the matter at once and for
good. Arguments go by value: a candidate that changes them changes its own copy, unless the call is one whose
changes the tests look at (in_place.py); then lists, dicts and sets passed directly take the changes over.
"""

from __future__ import annotations

import builtins
import marshal
import os
import select
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from tasks.verify.sandbox import arguments as packing
from tasks.verify.sandbox import channel, decode, remote
from tasks.verify.sandbox.exceptions import Exceptions

_LONGEST = 300  # characters of a reason, which may quote the candidate
_input, _stdin, _stdout = builtins.input, sys.stdin, sys.stdout


class Final(BaseException):
    """A verdict that no test can change any more: its outcome and why."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(outcome, why)
        self.outcome, self.why = outcome, why[:_LONGEST]


class Conversation:
    """The pipe to one child: orders and questions out, hostile answers in."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests, self._replies = requests, replies
        self.final: Final | None = None
        self.calls = 0  # of the candidate's code, that ended with a value or an exception
        self.exceptions = Exceptions()
        self.in_place = False
        self.stepwise = False  # whether iterators are drawn one by one
        self._locked = False
        self._remotes: dict[int, Any] = {}
        self._functions: list[Callable[..., Any]] = []

    def order(self, order: dict[str, Any]) -> list[Any]:
        """Sends the program; waits until the sandbox is locked and the program's own statements have run.

        Returns what it binds of the wanted names: (name, "value" or "module" or "odd", what it is).
        """
        nonce, load_nonce = _nonce(), _nonce()
        self._send({**order, "nonce": nonce, "load_nonce": load_nonce}, nonce)
        self._locked = True
        names = self._answer(load_nonce)[0]
        if type(names) is not list or not all(type(each) is tuple and len(each) == 3 for each in names):
            self._end("tampered", "the program forged an answer: it is no list of names")
        return names

    def call(self, target: int, arguments: tuple[Any, ...], keywords: dict[str, Any], back: bool) -> Any:
        """A call of the candidate's: its value, or its exception raised."""
        back = back or self.in_place
        options = self._options(back)
        self.calls += 1
        value, after = self._exchange("call", target, arguments, keywords, options)
        if back and after is not None:
            _take_over(arguments, keywords, after)
        return value

    def ask(self, what: str, target: int, *arguments: Any) -> Any:
        """Something other than a call."""
        return self._exchange(what, target, arguments, {}, {})[0]

    def run_whole(self, text: str) -> Any:
        """What a whole program prints for one standard input."""
        self.calls += 1
        return self._exchange("whole", 0, (text,), {}, {})[0]

    def finish(self) -> None:
        """Nothing may be left in the pipe that nobody asked for."""
        if self._waiting():
            self._end("tampered", "the program wrote or closed answers on its own")

    def missing(self, name: str) -> NoReturn:
        """End the conversation: a test uses a name that the program does not bind."""
        self._end("fail", f"it defines no {name}")

    def _options(self, back: bool) -> dict[str, Any]:
        """Options of a call: what the tests have put in the place of standard input and output."""
        options: dict[str, Any] = {"back": True} if back else {}
        if builtins.input is not _input:
            options["input"] = self._number(builtins.input)
        if sys.stdin is not _stdin and hasattr(sys.stdin, "read"):
            options["stdin"] = str(sys.stdin.read())
        if sys.stdout is not _stdout:
            options["prints"] = True
        return options

    def _exchange(
        self, what: str, target: int, arguments: tuple[Any, ...], keywords: dict[str, Any], options: Any
    ) -> tuple[Any, Any]:
        nonce = _nonce()
        try:
            content = marshal.dumps((nonce, what, target, arguments, keywords, options))
        except ValueError:
            content = marshal.dumps(
                (nonce, what, target, *self._packed(arguments, keywords), {**options, "packed": True})
            )
        return self._send(content, nonce)

    def _packed(self, *values: Any) -> list[Any]:
        try:
            return [packing.pack(each, _number_of, self._number) for each in values]
        except packing.Unpackable as error:
            self._end("unscorable", f"reference: the tests pass an argument that is not plain data: {error}")

    def _number(self, function: Callable[..., Any]) -> int:
        self._functions.append(function)
        return len(self._functions) - 1

    def _send(self, request: Any, nonce: str) -> tuple[Any, Any]:
        if self.final is not None:
            raise self.final
        content = request if type(request) is bytes else marshal.dumps(request)
        if self._waiting():
            if os.read(self._replies, 1):
                self._end("tampered", "the program answered before it was asked")
            self._end("lost", "the program ended before it was asked")
        self._put(content)
        return self._answer(nonce)

    def _put(self, content: bytes) -> None:
        try:
            channel.send(self._requests, content)
        except channel.Closed:
            self._end("lost", "the program ended before it was asked")

    def _answer(self, nonce: str) -> tuple[Any, Any]:
        try:
            while True:
                reply = decode.parse(channel.receive(self._replies, channel.LARGEST_REPLY))
                if len(reply) != 5 or reply[0] != nonce:
                    raise decode.Forged("it does not repeat the nonce")
                if reply[1] != "callback":
                    return self._settle(reply)
                self._call_back(decode.build(reply[2], self._made))
        except channel.Closed:
            self._end("lost", "the program ended its process before it answered")
        except (channel.Oversized, decode.Forged) as error:
            self._end("tampered", f"the program forged an answer: {error}")

    def _call_back(self, body: Any) -> None:
        """Runs a function of the tests for the candidate, which gets its value or its exception."""
        if type(body) is not list or len(body) != 3 or type(body[1]) is not list or type(body[2]) is not dict:
            raise decode.Forged("it is a malformed call")
        if type(body[0]) is not int or not 0 <= body[0] < len(self._functions):
            raise decode.Forged("it calls a function that it was not given")
        try:
            kind, value = "value", self._functions[body[0]](*body[1], **body[2])
        except Exception as error:
            kind, value = "raise", [type(error).__name__, str(error)[:_LONGEST]]
        self._put(marshal.dumps(("", "answer", kind, *self._packed(value))))

    def _waiting(self) -> bool:
        """Whether there is something to read, or the end."""
        return bool(select.select([self._replies], [], [], 0)[0])

    def _settle(self, reply: list[Any]) -> tuple[Any, Any]:
        """The value of a well-formed reply, or the exception that stands for it."""
        kind, body = reply[1], decode.build(reply[2], self._made)
        output = reply[4]
        if type(output) is str and sys.stdout is not _stdout:
            sys.stdout.write(output)
        if kind == "value":
            return body, decode.build(reply[3], self._made)
        if kind == "raise":
            raise self._raised(body)
        if type(body) is str and kind in ("odd", "missing"):
            self._end("fail", f"it defines no {body}" if kind == "missing" else f"it gives {body}")
        if type(body) is str and kind == "broken" and not self._locked:
            self._end("error", f"the sandbox could not be set up: {body}")
        if kind == "exit":
            self._end("fail", "the program exits instead of returning")
        raise decode.Forged("it is of no known kind")

    def _raised(self, body: Any) -> Exception:
        if type(body) is not list or len(body) != 4 or type(body[0]) is not list or type(body[1]) is not str:
            raise decode.Forged("it is a malformed exception")
        error = self.exceptions.instance(body)
        error.__dict__["_ratchet"] = True  # the candidate's, not the tests' own
        return error

    def _made(self, parts: list[Any]) -> Any:
        """What stands for a handle: always the same for the same number."""
        number, kind, is_named, names = parts
        if number not in self._remotes:
            if kind == "exception":
                proxy: Any = self.exceptions.kind(names)
            elif kind == "iterator":
                proxy = (remote.stepped if self.stepwise else remote.drawn)(self, number)
            elif kind == "stream":
                proxy = remote.streamed(self, number)
            elif kind == "coroutine":
                proxy = remote.awaited(self, number)
            elif kind in ("object", "class", "function"):
                proxy = remote.Remote((self, number, kind, is_named == "named", tuple(names)))
            else:
                raise decode.Forged("it is a handle of no known kind")
            self._remotes[number] = proxy
        return self._remotes[number]

    def _end(self, outcome: str, why: str) -> NoReturn:
        self.final = Final(outcome, why)
        raise self.final


def _number_of(value: Any) -> int | None:
    """The handle of what the candidate gave, to be given back."""
    return value._ratchet[1] if isinstance(value, remote.Remote) else None


def _take_over(arguments: tuple[Any, ...], keywords: dict[str, Any], after: object) -> None:
    if type(after) is not tuple or len(after) != 2 or len(after[0]) != len(arguments):
        return
    pairs = [
        *zip(arguments, after[0], strict=True),
        *((keywords[name], after[1].get(name)) for name in keywords),
    ]
    for before, now in pairs:
        if type(before) is list and type(now) is list:
            before[:] = now
        elif (type(before) is dict and type(now) is dict) or (type(before) is set and type(now) is set):
            before.clear()
            before.update(now)


def _nonce() -> str:
    return os.urandom(8).hex()
