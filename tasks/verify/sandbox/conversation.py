"""The referee's end of the pipes to one child: calls out, hostile answers in, and no way back from a verdict.

An answer that breaks the protocol, an exit or a value that is no plain data ends the matter at once and for
good. Arguments go by value: a candidate that changes them changes its own copy, unless the reference says
`in_place`; then lists, dicts and sets passed directly take the changes over.
"""

from __future__ import annotations

import builtins
import marshal
import os
import select
from collections.abc import Callable
from typing import Any, NoReturn

from tasks.verify.sandbox import channel, decode

_LONGEST = 300  # characters of a reason, which may quote the candidate

# What a candidate's exception becomes in a test. Those that end an iteration would end the test's own loops.
_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type)
    and issubclass(kind, Exception)
    and not issubclass(kind, StopIteration | StopAsyncIteration)
}


class CandidateError(Exception):
    """The candidate raised what is no built-in exception, or one that steers a caller's loop."""


class Final(BaseException):
    """A verdict that no test can change any more: its outcome and why."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(outcome, why)
        self.outcome, self.why = outcome, why[:_LONGEST]


class Conversation:
    """The pipe to one child: orders and calls out, hostile answers in."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests, self._replies = requests, replies
        self.final: Final | None = None
        self._locked = False

    def order(self, order: dict[str, Any]) -> None:
        """Sends the program; waits until the sandbox is locked and the program's own statements have run."""
        nonce, load_nonce = _nonce(), _nonce()
        self._ask({**order, "nonce": nonce, "load_nonce": load_nonce}, nonce)
        self._locked = True
        self._answer(load_nonce)

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

    def _ask(self, request: Any, nonce: str) -> tuple[Any, Any]:
        if self.final is not None:
            raise self.final
        try:
            content = marshal.dumps(request)
        except ValueError:
            self._end("unscorable", "reference: the tests pass an argument that is not plain data")
        if self._waiting():
            if os.read(self._replies, 1):
                self._end("tampered", "the program answered before it was asked")
            self._end("lost", "the program ended before it was asked")
        try:
            channel.send(self._requests, content)
        except channel.Closed:
            self._end("lost", "the program ended before it was asked")
        return self._answer(nonce)

    def _answer(self, nonce: str) -> tuple[Any, Any]:
        try:
            reply = decode.parse(channel.receive(self._replies, channel.LARGEST_REPLY))
            return self._settle(reply, nonce)
        except channel.Closed:
            self._end("lost", "the program ended its process before it answered")
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
        if type(body) is str and kind in ("odd", "missing"):
            self._end("fail", f"it defines no {body}" if kind == "missing" else f"it gives {body}")
        if type(body) is str and kind == "broken" and not self._locked:
            self._end("error", f"the sandbox could not be set up: {body}")
        if kind == "exit":
            self._end("fail", "the program exits instead of returning")
        raise decode.Forged("it is of no known kind")

    def _end(self, outcome: str, why: str) -> NoReturn:
        self.final = Final(outcome, why)
        raise self.final


def _raised(body: object) -> Exception:
    """The exception that stands for one of the candidate's."""
    if type(body) is not list or len(body) != 2 or type(body[0]) is not list or type(body[1]) is not str:
        raise decode.Forged("it is a malformed exception")
    names, message = body
    if "StopIteration" in names or "StopAsyncIteration" in names or "Exception" not in names:
        return CandidateError(f"{names[0] if names else 'exception'}: {message}")
    kind = next(
        (_EXCEPTIONS[name] for name in names if type(name) is str and name in _EXCEPTIONS), CandidateError
    )
    try:
        return kind(message)
    except TypeError:  # UnicodeDecodeError and the like take more than a message
        return CandidateError(f"{names[0]}: {message}")


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
